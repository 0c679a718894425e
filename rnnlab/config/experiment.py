"""Experiment configuration: frozen dataclasses, JSON round trip, hash. No JAX."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from rnnlab.core.errors import InputError, choose

FORMAT = 7  # of config.json and the run directory; raised by every change that older code cannot read

Option = bool | int | float | str | tuple[float, ...]  # a tuple is swept: each value gets its own runs


CONNECTIONS = ("plain", "residual", "dense")
BACKWARD = ("auto", "scan")
COMPUTE_DTYPES = ("float32", "bfloat16")
LR_SCHEDULES = ("step", "constant", "cosine", "warmup_cosine", "linear")
SWEEPS = ("grid", "paired")
INITIAL_STATES = ("fixed", "trained")
SEED_SOURCES = ("all", "init", "batches", "split")


@dataclass(frozen=True)
class Arm:
    """One of the things that an experiment compares: a cell, its width, number of layers and options."""

    cell: str  # a row of CELLS, path/to/file.py:function, or WRAPPER(either)
    hidden_size: int | None = None  # None: the experiment's
    layers: int = 1
    connections: str = "plain"  # between layers, of CONNECTIONS
    options: Mapping[str, Option] = field(default_factory=dict)
    hyperparams: Mapping[str, Option] = field(default_factory=dict)  # of HYPERPARAMS, instead of the experiment's
    attention: str | None = None  # of an encoder and decoder: none, additive or dot; None: a single recurrent model
    decoder: str | None = None  # the decoder's cell; None: the encoder's

    @property
    def cells(self) -> tuple[str, ...]:
        """The names of its cells: one, or the encoder's and the decoder's."""
        return (self.cell,) if self.attention is None else (self.cell, self.decoder or self.cell)


@dataclass(frozen=True)
class Config:
    """An experiment. Any field is overridden by its path, as in ``arms.lstm.options.forget_bias=0``."""

    experiment: str
    arms: Mapping[str, Arm]
    data: str
    data_options: Mapping[str, Option] = field(default_factory=dict)  # options of the data set's loader
    protocol: str | None = None  # the study's protocol that set the values below
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    epochs: int = 10
    batch_size: int = 32
    hidden_size: int = 100
    learning_rate: tuple[float, ...] = (1e-3,)  # several values are swept, here and below
    optimizer: str = "adam"
    optimizer_options: Mapping[str, Option] = field(default_factory=dict)
    clip_norm: tuple[float, ...] = ()  # largest global gradient norm; empty: no clipping
    weight_decay: tuple[float, ...] = ()  # decoupled weight decay (AdamW); empty: none
    dropout: tuple[float, ...] = ()  # of inputs or embeddings, one mask for all time steps
    recurrent_dropout: tuple[float, ...] = ()  # of h as the next step sees it, one mask for all time steps
    readout_dropout: tuple[float, ...] = ()  # of h as the readout sees it
    zoneout: tuple[float, ...] = ()  # probability that a part of a unit's state stays for a step
    layer_dropout: tuple[float, ...] = ()  # of h as the layers above see it, one mask for all time steps
    lr_schedule: str = "step"  # of LR_SCHEDULES: multiplied by lr_decay after every lr_decay_epochs, or falling to it
    lr_decay_epochs: int | None = None  # None: the learning rate stays constant
    lr_decay: float = 0.1
    lr_warmup_epochs: int | None = None  # epochs in which it rises from 0, among lr_decay_epochs of cosine and linear
    sweep: str = "grid"  # of SWEEPS: every combination of swept values, or the first of each, the second of each, ...
    options: Mapping[str, Option] = field(default_factory=dict)  # of every arm whose cell takes them
    initial_state: str = "fixed"  # of INITIAL_STATES: the cell's own, or trained from it
    seed_source: str = "all"  # what a run's seed draws, of SEED_SOURCES: initial values and batches; or one of these,
    # or the division of train and validation, all else as with seed 0
    sequence_length: int = 32  # T of texts
    embedding_size: int | None = None  # None: token ids enter the cell as one-hot rows
    embedding_init: str = "glorot_uniform"
    batch_sampling: str = "shuffled"  # once an epoch; drawn: every batch anew; contiguous: text streams, carry kept
    steps_per_epoch: int | None = None  # None: one pass over the training split
    probes: tuple[str, ...] = ()  # of rnnlab.training.probes, measured after every epoch
    success_threshold: float | None = None  # of the success metric on validation; None: not counted
    backward: str = "auto"  # gradient over time, of BACKWARD: auto (fast), or scan (differentiate a plain scan)
    bptt: int | None = None  # steps after which the carry goes on without a gradient; None: never within a sequence
    remat: bool = False  # whether the gradient keeps the carries of about 2 sqrt(T) steps and computes the others again
    compute_dtype: str = "float32"  # of COMPUTE_DTYPES: matrix products and parameters inside a step
    eval_batch_size: int = 128  # larger batches leave a CPU's caches
    batch_devices: int | None = None  # devices that share the batches of a run; None: as many as there are for each
    # run, where that is faster; with 1 a run alone has the bits of the same run in a sweep
    runs_per_device: int | None = None  # runs that a device trains side by side; None: 1 on a CPU, elsewhere all
    keep_params_every: int | None = None  # epochs between parameters kept for analysis; None: none are kept
    checkpoint_interval_s: float = 30.0  # seconds of training that a kill can cost

    def check(self) -> None:
        """Raise InputError for the first value out of range."""
        for name in _AT_LEAST_1:
            _at_least(name, getattr(self, name), 1)
        if not self.arms:
            raise InputError("arms: none left; at least one is needed")
        choose("compute_dtype", self.compute_dtype, COMPUTE_DTYPES)
        choose("backward", self.backward, BACKWARD)
        choose("lr_schedule", self.lr_schedule, LR_SCHEDULES)
        choose("sweep", self.sweep, SWEEPS)
        choose("initial_state", self.initial_state, INITIAL_STATES)
        choose("seed_source", self.seed_source, SEED_SOURCES)
        if self.initial_state == "trained" and self.batch_sampling == "contiguous":
            raise InputError("initial_state: trained, but contiguous batches carry the state on and start once an "
                             "epoch; accepted: fixed, or batch_sampling=shuffled")  # fmt: skip
        if self.seed_source == "split" and self.batch_sampling == "contiguous":
            raise InputError("seed_source: split, but contiguous batches read a text in its order; accepted: all, "
                             "init")  # fmt: skip
        self._check_schedule()
        for name, arm in self.arms.items():
            if not name or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
                raise InputError(f"arms: {name!r} is not a name; accepted: letters, digits, '-', '_' and '.'")
            _at_least(f"arms.{name}.hidden_size", arm.hidden_size, 1)
            _at_least(f"arms.{name}.layers", arm.layers, 1)
            choose(f"arms.{name}.connections", arm.connections, CONNECTIONS)
            if arm.layers == 1 and arm.connections != "plain":
                raise InputError(
                    f"arms.{name}.connections: {arm.connections} needs layers to connect; accepted: plain, or "
                    f"arms.{name}.layers from 2"
                )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds: {list(self.seeds)}; accepted: one seed or more, each once")
        if not all(0 <= seed < 2**32 for seed in self.seeds):
            raise InputError(f"seeds: {list(self.seeds)}; accepted: whole numbers from 0 to {2**32 - 1}")
        for name, kind in HYPERPARAMS.items():
            if (values := getattr(self, name)) or name == "learning_rate":
                check_hyperparams(name, values, kind)
        check_hyperparams("lr_decay", (self.lr_decay,), POSITIVE)
        check_hyperparams("checkpoint_interval_s", (self.checkpoint_interval_s,), POSITIVE)
        if self.success_threshold is not None and not 0 < self.success_threshold <= 1:
            raise InputError(
                f"success_threshold: {self.success_threshold:g} is out of range; accepted: above 0, at most 1"
            )

    def _check_schedule(self) -> None:
        if self.lr_schedule == "step":
            return
        if self.lr_schedule == "constant":
            if self.lr_decay_epochs is not None:
                raise InputError(
                    f"lr_decay_epochs: {self.lr_decay_epochs}, but lr_schedule is constant; accepted: none"
                )
            return
        if self.lr_schedule == "warmup_cosine" and not self.lr_warmup_epochs:
            raise InputError("lr_warmup_epochs: none, but lr_schedule is warmup_cosine; accepted: the epochs in which "
                             "the learning rate rises")  # fmt: skip
        if self.lr_decay_epochs is None:
            raise InputError(f"lr_decay_epochs: none, but lr_schedule is {self.lr_schedule}; accepted: the epochs in "
                             "which the learning rate falls to lr_decay times its value")  # fmt: skip
        if (self.lr_warmup_epochs or 0) >= self.lr_decay_epochs:
            raise InputError(f"lr_warmup_epochs: {self.lr_warmup_epochs} is out of range; accepted: less than the "
                             f"{self.lr_decay_epochs} of lr_decay_epochs")  # fmt: skip


class Kind(NamedTuple):
    """A range of numbers: ``least <= number < below``, or ``least < number`` with ``above``."""

    words: str
    least: float = -math.inf
    below: float = math.inf
    above: bool = False


POSITIVE = Kind("numbers above 0", 0, above=True)
FINITE = Kind("finite numbers")
RATE = Kind("numbers from 0, below 1", 0, 1)

# The fields that ride the run axis: several values are swept, and an arm may have its own.
HYPERPARAMS = {
    "learning_rate": POSITIVE,
    "clip_norm": POSITIVE,
    "weight_decay": Kind("numbers from 0", 0),
    "dropout": RATE,
    "recurrent_dropout": RATE,
    "readout_dropout": RATE,
    "layer_dropout": RATE,
    "zoneout": RATE,
}

MOST = 2**31 - 1  # the largest int32

_AT_LEAST_1 = (
    "epochs", "batch_size", "hidden_size", "sequence_length", "embedding_size", "lr_decay_epochs", "lr_warmup_epochs",
    "steps_per_epoch", "eval_batch_size", "runs_per_device", "keep_params_every", "bptt", "batch_devices",
)  # fmt: skip

# Fields of earlier versions, for an error that names the present ones.
RENAMED = {
    "hidden": "hidden_size", "batch": "batch_size", "window": "sequence_length", "embedding": "embedding_size",
    "numbers": "hyperparams", "products": "compute_dtype", "chunk": "runs_per_device", "goal": "success_threshold",
    "decay": "lr_decay", "decay_every": "lr_decay_epochs", "keep_every": "keep_params_every",
    "save_seconds": "checkpoint_interval_s", "batches": "batch_sampling", "eval_batch": "eval_batch_size",
}  # fmt: skip

AnyConfig = TypeVar("AnyConfig", bound=Config)


def _at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and not least <= value <= MOST:
        raise InputError(f"{name}: {value} is out of range; accepted: a whole number from {least} to {MOST}")


def check_hyperparams(name: str, values: tuple[float, ...], kind: Kind = FINITE) -> None:
    """Raise InputError unless ``values`` are one or more numbers of ``kind`` that differ in float32."""
    try:
        as_float32 = [struct.unpack("f", struct.pack("f", value))[0] for value in values]
    except (OverflowError, struct.error):
        as_float32 = []
    ok = (
        bool(as_float32)
        and len(set(as_float32)) == len(as_float32)
        and all(math.isfinite(number) for number in as_float32)
    )
    ok = ok and all(kind.least <= number < kind.below for number in as_float32)
    if not ok or (kind.above and min(as_float32) <= kind.least):
        shown = ", ".join(f"{value:g}" for value in values) or "nothing"
        raise InputError(
            f"{name}: {shown} is out of range; accepted: {kind.words}, one or more, that differ in float32"
        )
