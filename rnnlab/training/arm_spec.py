"""The static description of an arm, and how its cell, model and optimizer are built from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import optax

from rnnlab.cells.registry import cell_factory, factory_options, make_cell
from rnnlab.cells.user_cell import whole_model
from rnnlab.cells.wrappers.mixed_precision import mixed_precision
from rnnlab.cells.wrappers.stack import stack
from rnnlab.cells.wrappers.trained_state import trained_initial_state
from rnnlab.cells.wrappers.zoneout import zoneout
from rnnlab.config.experiment import Option
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Cell, Dataset, Key, Model
from rnnlab.models.flax_model import Sizes, make_flax_model
from rnnlab.models.recurrent_model import Dropout, make_model
from rnnlab.models.seq2seq import make_seq2seq
from rnnlab.training.optimizers import make_optimizer, schedule
from rnnlab.training.tasks import TASKS

Options = tuple[tuple[str, Option], ...]

DROPOUT = {"dropout": "inputs", "recurrent_dropout": "recurrent", "readout_dropout": "readout"}
LAYER_DROPOUT = "layer_dropout"
ZONEOUT = "zoneout"
OPTIMIZER = "optimizer_"  # prefix of an optimizer's swept options: its eps and a cell's are different columns


@dataclass(frozen=True)
class DataShape:
    """What a model must know of a data set; see `Dataset` for the fields."""

    name: str
    task: str
    input_size: int
    output_size: int
    scale: float = 1.0
    has_token_inputs: bool = False
    prompt_length: int = 0
    target_scale: tuple[float, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset) -> "DataShape":
        """The shape of ``dataset``."""
        return cls(
            dataset.name, dataset.task, dataset.input_size, dataset.output_size, dataset.scale,
            dataset.has_token_inputs, dataset.prompt_length, dataset.target_scale,
        )  # fmt: skip


@dataclass(frozen=True)
class ArmSpec:
    """What all runs of an arm share: code and shapes. Hashable; hyperparameters are not part of it.

    ``cell`` and ``decoder`` are names as `make_cell` takes them. ``options`` are cell options with one value;
    ``swept_options`` names those that are hyperparameters. See `Config` for the other fields.
    """

    data: DataShape
    cell: str
    hidden_size: int
    steps_per_epoch: int
    batch_size: int = 32
    eval_batch_size: int = 128
    batch_sampling: str = "shuffled"
    layers: int = 1
    connections: str = "plain"
    attention: str | None = None
    decoder: str | None = None
    options: Options = ()
    swept_options: tuple[str, ...] = ()
    compute_dtype: str = "float32"
    backward: str = "auto"
    bptt: int | None = None
    remat: bool = False
    embedding_size: int | None = None
    embedding_init: str = "glorot_uniform"
    optimizer: str = "adam"
    optimizer_options: Options = ()
    lr_schedule: str = "step"
    lr_decay: float = 0.1
    lr_decay_epochs: int | None = None
    lr_warmup_epochs: int | None = None
    initial_state: str = "fixed"
    seed_source: str = "all"
    probes: tuple[str, ...] = ()


def build_cell(spec: ArmSpec, hyperparams: Mapping[str, Array], key: Key | None = None, *, name: str = "") -> Cell:
    """The cell of ``spec`` with all its layers; ``key`` in a training step, None in evaluation.

    ``name`` is ``spec.cell`` (default) or ``spec.decoder``; options that only the other cell takes are left out.
    """
    name = name or spec.cell
    accepted = factory_options(cell_factory(name))
    options: dict[str, Any] = {**dict(spec.options), **{swept: hyperparams[swept] for swept in spec.swept_options}}
    options = {option: value for option, value in options.items() if option in accepted}
    keys = [None if key is None else jax.random.fold_in(key, layer) for layer in range(spec.layers)]
    layers = [_layer(spec, name, hyperparams, options, own) for own in keys]
    if len(layers) == 1:
        return layers[0]
    key = None if key is None else jax.random.fold_in(key, len(layers))  # no layer's own
    return stack(layers, connections=spec.connections, dropout=hyperparams.get(LAYER_DROPOUT, 0.0), key=key)


def _layer(
    spec: ArmSpec, name: str, hyperparams: Mapping[str, Array], options: dict[str, Any], key: Key | None
) -> Cell:
    cell = mixed_precision(make_cell(name, spec.hidden_size, key=key, **options), spec.compute_dtype)
    if ZONEOUT in hyperparams:  # a key that no cell draws from: theirs are folded from steps and paths, below 2^31
        cell = zoneout(cell, hyperparams[ZONEOUT], None if key is None else jax.random.fold_in(key, 2**31))
    return trained_initial_state(cell) if spec.initial_state == "trained" else cell


def build_model(spec: ArmSpec, hyperparams: Mapping[str, Array], key: Key | None = None) -> Model:
    """The model of ``spec``; ``key`` in a training step, None in evaluation, where nothing is dropped.

    Raises InputError if the cell and the data do not fit together.
    """
    whole = whole_model(spec.cell)
    if whole is not None:
        return _build_whole(spec, whole, hyperparams, key)
    if ZONEOUT in hyperparams and "recurrent_dropout" in hyperparams:
        raise InputError("zoneout: with recurrent_dropout, which masks the same state; accepted: one of them")
    rates = {field: hyperparams[name] for name, field in DROPOUT.items() if name in hyperparams}
    dropout = None
    if key is not None and rates:
        key, key_dropout = jax.random.split(key)
        dropout = Dropout(key_dropout, **rates)
    if spec.attention is not None:
        return _build_seq2seq(spec, hyperparams, key, dropout)
    data, cell = spec.data, build_cell(spec, hyperparams, key)
    embedding_size = spec.embedding_size if data.has_token_inputs else None
    if cell.step is None and (data.prompt_length or data.task in ("language_modeling", "forecasting")):
        raise InputError(
            f"cell: {spec.cell} is bidirectional and would see its targets in {data.task} (data {data.name}); "
            "accepted: cells of one direction"
        )
    if spec.connections == "dense" and data.has_token_inputs and not embedding_size:
        raise InputError(
            "connections: dense cannot pass on one-hot ids; accepted: plain, residual, or an embedding_size"
        )
    return make_model(
        cell,
        data.input_size,
        data.output_size,
        per_step=TASKS[data.task].per_step,
        embedding_size=embedding_size or 0,
        embedding_init=spec.embedding_init,
        scale=data.scale,
        dropout=dropout,
        backward=spec.backward,
        bptt=spec.bptt,
        remat=spec.remat,
    )


def _build_whole(spec: ArmSpec, cls: Any, hyperparams: Mapping[str, Array], key: Key | None) -> Model:
    """The model of a Flax class from inputs to logits. Raises InputError for fields that only cells have."""
    data = spec.data
    foreign = {
        "layers": spec.layers > 1, "attention": spec.attention is not None, "probes": bool(spec.probes),
        "compute_dtype": spec.compute_dtype != "float32", "batch_sampling": spec.batch_sampling == "contiguous",
        **{name: name in hyperparams for name in (*DROPOUT, LAYER_DROPOUT, ZONEOUT)},
        "initial_state": spec.initial_state == "trained", "bptt": spec.bptt is not None, "remat": spec.remat,
    }  # fmt: skip
    for field, given in foreign.items():
        if given:
            raise InputError(f"{field}: {cls.__name__} is a whole model and has none; accepted: without it")
    options = {**dict(spec.options), **{swept: hyperparams[swept] for swept in spec.swept_options}}
    sizes = Sizes(data.input_size, spec.hidden_size, data.output_size)
    per_step, ids = TASKS[data.task].per_step, data.has_token_inputs
    return make_flax_model(cls, sizes, options, per_step=per_step, ids=ids, scale=data.scale, key=key)


def _build_seq2seq(spec: ArmSpec, hyperparams: Mapping[str, Array], key: Key | None, dropout: Dropout | None) -> Model:
    if not spec.data.prompt_length:
        raise InputError(
            f"attention: {spec.attention}, but {spec.data.name} has no prompt; accepted: data with "
            "data_options.teacher_forcing=true, such as reversal or sorting"
        )
    decoder_key = None if key is None else jax.random.fold_in(key, spec.layers)
    return make_seq2seq(
        build_cell(spec, hyperparams, key),
        build_cell(spec, hyperparams, decoder_key, name=spec.decoder or spec.cell),
        spec.data.input_size,
        spec.data.output_size,
        prompt_length=spec.data.prompt_length,
        attention=spec.attention or "none",
        embedding_size=spec.embedding_size or 0,
        embedding_init=spec.embedding_init,
        dropout=dropout,
        backward=spec.backward,
        bptt=spec.bptt,
        remat=spec.remat,
    )


def build_optimizer(spec: ArmSpec, hyperparams: Mapping[str, Array]) -> optax.GradientTransformation:
    """The optimizer of ``spec`` with its learning-rate schedule, clipping and weight decay."""
    swept = {name.removeprefix(OPTIMIZER): v for name, v in hyperparams.items() if name.startswith(OPTIMIZER)}
    rate = schedule(
        spec.lr_schedule, hyperparams["learning_rate"],
        steps=None if spec.lr_decay_epochs is None else spec.lr_decay_epochs * spec.steps_per_epoch,
        factor=spec.lr_decay, warmup=(spec.lr_warmup_epochs or 0) * spec.steps_per_epoch,
    )  # fmt: skip
    weight_decay = hyperparams.get("weight_decay")
    return make_optimizer(
        spec.optimizer,
        rate,
        clip_norm=hyperparams.get("clip_norm"),
        weight_decay=weight_decay,
        no_decay=build_model(spec, hyperparams).no_decay,
        **dict(spec.optimizer_options),
        **swept,
    )
