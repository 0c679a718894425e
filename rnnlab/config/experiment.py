"""An experiment in words: frozen dataclasses, a JSON round trip, a hash. No JAX."""

import dataclasses
import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, TypeVar

from rnnlab.core.errors import InputError, choose

FORMAT = 4  # of config.json and of the run directory; a change that old code cannot read raises it

Option = bool | int | float | str | tuple[float, ...]  # several numbers are swept: each gets runs of its own


CONNECTIONS = ("plain", "residual", "dense")
COMPUTE_DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class Arm:
    """One thing that an experiment compares: a cell, its width, how many of it are stacked, its options."""

    cell: str  # a row of CELLS, path/to/file.py:function, or COMBINATOR(either)
    hidden_size: int = 0  # 0: the experiment's
    layers: int = 1
    connections: str = "plain"  # of CONNECTIONS, between layers
    options: Mapping[str, Option] = field(default_factory=dict)
    hyperparams: Mapping[str, Option] = field(default_factory=dict)  # of NUMBERS, where they are not the experiment's
    attention: str = ""  # sequence to sequence: none, additive or dot; "": a model of one stream
    decoder: str = ""  # the cell that writes the answer there; "": the one that reads the question

    @property
    def cells(self) -> tuple[str, ...]:
        """The names of its cells: one, or of sequence to sequence the encoder's and the decoder's."""
        return (self.cell, self.decoder or self.cell) if self.attention else (self.cell,)


@dataclass(frozen=True)
class Config:
    """An experiment. Every field can be overridden by its path: ``hidden=64``, ``arms.lstm.options.forget_bias=0``."""

    experiment: str
    arms: Mapping[str, Arm]
    data: str
    data_options: Mapping[str, Option] = field(default_factory=dict)  # what the data set's loader takes
    protocol: str = ""  # which of the study's PROTOCOLS gave the values that follow
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    epochs: int = 10
    batch_size: int = 32
    hidden_size: int = 100
    learning_rate: tuple[float, ...] = (1e-3,)  # several are swept
    optimizer: str = "adam"
    optimizer_options: Mapping[str, Option] = field(default_factory=dict)
    clip_norm: tuple[float, ...] = ()  # largest global gradient norm; none: no clipping
    weight_decay: tuple[float, ...] = ()  # decoupled (AdamW): times the learning rate, off every weight; none: no decay
    dropout: tuple[float, ...] = ()  # part of the inputs (embedded ids) that is dropped, one mask for all time steps
    recurrent_dropout: tuple[float, ...] = ()  # part of h that a step does not see, one mask for all time steps
    readout_dropout: tuple[float, ...] = ()  # part of h that the readout does not see
    layer_dropout: tuple[float, ...] = ()  # part of h that layers above do not see, one mask for all time steps
    lr_decay_epochs: int = 0  # epochs after which the learning rate is multiplied by lr_decay; 0: never
    lr_decay: float = 0.1
    options: Mapping[str, Option] = field(default_factory=dict)  # for every arm whose cell takes them
    sequence_length: int = 32  # T of texts
    embedding_size: int = 0  # dimensions of embedded ids; 0: one-hot
    embedding_init: str = "glorot_uniform"
    batch_sampling: str = (
        "shuffled"  # shuffled: each example once an epoch; drawn: each batch anew; contiguous: carry kept
    )
    steps_per_epoch: int = 0  # 0: the whole training split
    probes: tuple[str, ...] = ()  # of rnnlab.train.probes, measured after every epoch
    success_threshold: float = (
        0.0  # of the task's success metric on validation, at which a run has solved its task; 0: none
    )
    compute_dtype: str = "float32"  # of PRODUCTS: what a cell's parameters and products are rounded to in a step
    eval_batch_size: int = 128  # most examples at once: more leave the caches of a CPU
    runs_per_device: int = 0  # runs that a device trains side by side; 0: 1 on a CPU, elsewhere all
    keep_params_every: int = 0  # epochs between parameters that are kept for analysis; 0: none
    checkpoint_interval_s: float = 30.0  # seconds between checkpoints: what a kill can cost

    def check(self) -> None:
        """Raise InputError for the first value that is out of range."""
        for name, least in _LEAST.items():
            _at_least(name, getattr(self, name), least)
        if not self.arms:
            raise InputError("arms: none are left; accepted: one or more")
        choose("compute_dtype", self.compute_dtype, COMPUTE_DTYPES)
        for name, arm in self.arms.items():
            if not name or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
                raise InputError(f"arms: {name!r} is not a name; accepted: letters, digits, '-', '_' and '.'")
            _at_least(f"arms.{name}.hidden_size", arm.hidden_size, 0)
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
        if not 0 <= self.success_threshold <= 1:
            raise InputError(
                f"success_threshold: {self.success_threshold:g} is out of range; accepted: a fraction from 0 (no goal) to 1"
            )


class Kind(NamedTuple):
    """What numbers are accepted: ``least <= number < below``, or ``least < number`` where ``above``."""

    words: str
    least: float = -math.inf
    below: float = math.inf
    above: bool = False


POSITIVE = Kind("numbers above 0", 0, above=True)
FINITE = Kind("finite numbers")
RATE = Kind("numbers from 0, below 1", 0, 1)

# The fields that ride the run axis: several values of one are swept, and an arm may have its own.
HYPERPARAMS = {
    "learning_rate": POSITIVE,
    "clip_norm": POSITIVE,
    "weight_decay": Kind("numbers from 0", 0),
    "dropout": RATE,
    "recurrent_dropout": RATE,
    "readout_dropout": RATE,
    "layer_dropout": RATE,
}

MOST = 2**31 - 1  # of every whole number: what an int32 on a device holds

_LEAST = {
    "epochs": 1,
    "batch_size": 1,
    "hidden_size": 1,
    "sequence_length": 1,
    "embedding_size": 0,
    "lr_decay_epochs": 0,
    "steps_per_epoch": 0,
    "eval_batch_size": 1,
    "runs_per_device": 0,
    "keep_params_every": 0,
}

AnyConfig = TypeVar("AnyConfig", bound=Config)


def _at_least(name: str, value: int, least: int) -> None:
    if not least <= value <= MOST:
        raise InputError(f"{name}: {value} is out of range; accepted: a whole number from {least} to {MOST}")


def check_hyperparams(name: str, values: tuple[float, ...], kind: Kind = FINITE) -> None:
    """Raise InputError unless there are ``values`` of ``kind`` that differ as float32 (what devices see)."""
    try:
        ridden = [struct.unpack("f", struct.pack("f", value))[0] for value in values]
    except (OverflowError, struct.error):
        ridden = []
    ok = bool(ridden) and len(set(ridden)) == len(ridden) and all(math.isfinite(number) for number in ridden)
    ok = ok and all(kind.least <= number < kind.below for number in ridden)
    if not ok or (kind.above and min(ridden) <= kind.least):
        shown = ", ".join(f"{value:g}" for value in values) or "nothing"
        raise InputError(
            f"{name}: {shown} is out of range; accepted: {kind.words}, one or more, that differ in float32"
        )


def to_json(config: Config) -> str:
    """``config`` as JSON text, with the format's number and the config's hash."""
    document = {"format": FORMAT, "hash": config_hash(config), "config": dataclasses.asdict(config)}
    return json.dumps(document, indent=2) + "\n"


def config_hash(config: Config) -> str:
    """16 hexadecimal digits that differ when any field does."""
    return _digest(dataclasses.asdict(config))


def _digest(values: Mapping[str, Any]) -> str:
    canonical = json.dumps(values)  # in order: the arms' order is that of tables and of training
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def from_json(text: str, kind: type[AnyConfig]) -> AnyConfig:
    """The config of ``kind`` that ``to_json`` wrote. Raises InputError if it is not whole, unaltered and of FORMAT."""
    document = parse_document(text)
    known = {f.name for f in fields(kind)}
    if set(document["config"]) != known:
        odd = sorted(set(document["config"]) ^ known)
        raise InputError(f"config.json: fields {', '.join(odd)} do not belong to this version; accepted: a run of it")
    config = _build(document["config"], kind)
    _check_hash(document, config_hash(config))
    return config


def base_from_json(text: str) -> tuple[Config, str]:
    """What every experiment has of a config that ``to_json`` wrote, without its study's own fields; and its hash.

    For those who do not know the study. Raises InputError as ``from_json``; an altered field of the study too.
    """
    document = parse_document(text)
    values, known = document["config"], [f.name for f in fields(Config)]
    _check_hash(document, _digest(values))
    if missing := sorted(set(known) - set(values)):
        raise InputError(f"config.json: no fields {', '.join(missing)}; accepted: a run of this version")
    return _build({name: values[name] for name in known}, Config), document["hash"]


def _check_hash(document: Mapping[str, Any], found: str) -> None:
    if found != document["hash"]:
        raise InputError(f"config.json: was altered: hash {found}, recorded {document['hash']}")


def _build(values: Mapping[str, Any], kind: type[AnyConfig]) -> AnyConfig:
    try:
        whole: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        if issubclass(kind, Config):  # else the settings of a study that trains nothing: plain values
            whole["arms"] = {
                name: Arm(**{**arm, "options": _options(arm["options"]), "hyperparams": _options(arm["hyperparams"])})
                for name, arm in values["arms"].items()
            }
            for name in ("options", "optimizer_options", "data_options"):
                whole[name] = _options(values[name])
        return kind(**whole)
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"config.json: not readable by this version ({error}); accepted: a run of it") from error


def parse_document(text: str) -> dict[str, Any]:
    """The document of a config.json, checked for its format only (its experiment tells the config's kind)."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"config.json: truncated or altered ({error}); accepted: the file that run wrote") from error
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict) or "hash" not in document:
        raise InputError("config.json: not written by rnnlab; accepted: the file that run wrote")
    if document.get("format") != FORMAT:
        raise InputError(f"config.json: format {document.get('format')!r} of another version; accepted: {FORMAT}")
    return document


def _options(values: Mapping[str, Any]) -> dict[str, Option]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
