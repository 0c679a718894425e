"""From a config to what is trained. Everything a user can get wrong is reported here, before anything is written."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from rnnlab.cells.user_cell import whole_model
from rnnlab.cells.user_file import imported_hashes
from rnnlab.config.cell_name import is_file_cell, is_own_cell, parse_name
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError, choose
from rnnlab.core.types import Dataset, Params, Split
from rnnlab.core.user_file import one_line, sha256
from rnnlab.data.registry import dataset_options, load_dataset
from rnnlab.data.text import HELD_OUT_DIVISOR
from rnnlab.runs.hyperparam_grid import hyperparam_grids, split_cell_options, split_optimizer_options
from rnnlab.runs.own_files import NONE, Moved, relocated
from rnnlab.training.arm_spec import DROPOUT, ZONEOUT, ArmSpec, DataShape, build_cell, build_model, build_optimizer
from rnnlab.training.batch_axis import check_batch_devices
from rnnlab.training.batches import batch_indices
from rnnlab.training.optimizers import OPTIMIZERS
from rnnlab.training.probes import check_probes
from rnnlab.training.single_run import evaluate, init_state, probe, train_steps
from rnnlab.training.state import Run, TrainState
from rnnlab.training.sweep import Grid, combinations, run_grid
from rnnlab.training.tasks import TASKS, MetricSums


class Experiment(NamedTuple):
    """A config that passed every check, with what is needed to train it."""

    config: Config
    dataset: Dataset
    specs: Mapping[str, ArmSpec]
    grids: Mapping[str, Grid]
    moved: Moved = NONE  # files that are no longer where ``config`` says
    is_part: bool = False  # of a sweep, whose other seeds are trained elsewhere

    def runs(self, arm: str) -> Run:
        """All runs of the arm on the host, leaves ``[R]``."""
        return run_grid(self.config.seeds, self.grids[arm], self.config.sweep)

    @property
    def batch_devices(self) -> int | None:
        """How many devices share the batches of a run; None: `default_batch_devices`. One in a part unless told.

        A part has fewer runs than its sweep, and devices that share a batch round otherwise.
        """
        return self.config.batch_devices or (1 if self.is_part else None)


def validate(config: Config, moved: Moved = NONE, dataset: Dataset | None = None) -> Experiment:
    """Load the data, describe every arm and trace what a user's code can break. Raises InputError.

    ``dataset``: instead of what ``config`` names.
    """
    given, config = config, relocated(config, moved)
    grids = hyperparam_grids(config)  # mistakes that need no data are reported before it is loaded
    if dataset is None:
        dataset = load_dataset(config.data, **data_options(config))
    specs = arm_specs(config, dataset, grids)
    name_then = given.data if config.data != given.data else dataset.name
    experiment = Experiment(given, dataset._replace(name=name_then), specs, grids, moved)
    for name, spec in specs.items():
        user_cells = [cell for cell in config.arms[name].cells if is_own_cell(cell)]
        foreign = config.optimizer not in OPTIMIZERS
        traced = bool(
            foreign or user_cells or spec.attention or dataset.prompt_length or {*DROPOUT, ZONEOUT} & grids[name].keys()
        )
        try:
            _trace(spec, experiment.runs(name), dataset, whole=traced)
        except InputError as error:
            raise InputError(f"arms.{name}: {error}") from error
        except Exception as error:
            if foreign and not user_cells:
                raise InputError(f"optimizer: {config.optimizer} fails: {one_line(error)}") from error
            if not user_cells:
                raise
            raise InputError(f"arms.{name}: cell {' or '.join(user_cells)} fails: {one_line(error)}") from error
    return experiment


def arm_specs(config: Config, dataset: Dataset, grids: Mapping[str, Grid]) -> dict[str, ArmSpec]:
    """`arm_spec` of every arm."""
    return {name: arm_spec(config, name, dataset, grids[name]) for name in config.arms}


def arm_spec(config: Config, name: str, dataset: Dataset, grid: Grid) -> ArmSpec:
    """The static description of one arm on ``dataset``, which may lack its examples.

    Model and optimizer are built once with every combination of hyperparameters, since these check concrete numbers
    only. Raises InputError for values that they refuse, and where data, batches and arm do not fit together.
    """
    if jax.config.read("jax_enable_x64"):
        raise InputError("JAX_ENABLE_X64: rnnlab trains in float32; accepted: JAX_ENABLE_X64=0, and no jax_enable_x64 "
                         "in a file that is imported")  # fmt: skip
    spec = _describe(config, name, dataset)
    try:
        for values in combinations(grid, config.sweep):
            hyperparams: Mapping[str, Any] = dict(zip(grid, values, strict=True))
            build_optimizer(spec, hyperparams)
            build_model(spec, hyperparams)
        if config.batch_devices is not None and config.batch_devices > 1:
            check_batch_devices(spec, grid, config.batch_devices, jax.device_count())
    except InputError as error:
        raise InputError(f"arms.{name}: {error}") from error
    return spec


def data_options(config: Config) -> dict[str, Any]:
    """The options of the data set's loader: the config's, and its sequence_length for texts."""
    if "sequence_length" in config.data_options:
        raise InputError(
            f"data_options.sequence_length: {config.data_options['sequence_length']}; accepted: --set sequence_length=T"
        )
    texts = "sequence_length" in dataset_options(config.data)
    return {**config.data_options, **({"sequence_length": config.sequence_length} if texts else {})}


def identity(experiment: Experiment) -> dict[str, Any]:
    """What identifies the data and users' cells, as JSON: resume refuses others."""
    data = experiment.dataset
    letters = list(data.vocabulary) if data.vocabulary is not None and TASKS[data.task].per_step else None
    present = relocated(experiment.config, experiment.moved).arms
    arms = experiment.config.arms.items()
    cells = {old: new for name, arm in arms for old, new in zip(arm.cells, present[name].cells, strict=True)}
    own = {old: new for old, new in sorted(cells.items()) if is_file_cell(old)}
    return {
        "name": data.name,
        "examples": {split: len(getattr(data, split).targets) for split in ("train", "validation", "test")},
        "source": dict(data.source),
        "cells": {old: file_hash(new) for old, new in own.items()},
        "imports": {
            old: imported_hashes(new) for old, new in own.items()
        },  # by path, from the folder of the cell's file
        "task": data.task,
        "input_size": data.input_size,
        "output_size": data.output_size,
        "scale": data.scale,
        "has_token_inputs": data.has_token_inputs,
        "vocabulary": letters,
        "prompt_length": data.prompt_length,
    }


def file_hash(cell: str) -> str | None:
    """SHA-256 of a user's cell file; None for a cell of the table, or without the file."""
    file = parse_name(cell).file
    return None if file is None else sha256(file)


def abstract_state(spec: ArmSpec, runs: Run) -> TrainState:
    """Shapes and dtypes of the state of all ``runs``, leaves ``[R, ...]``. Computes nothing."""
    return jax.eval_shape(jax.vmap(lambda run: init_state(spec, run)), runs)


def _describe(config: Config, name: str, dataset: Dataset) -> ArmSpec:
    arm, examples = config.arms[name], dataset.train.targets.shape[0]
    most = examples // config.batch_size
    if not most:
        raise InputError(
            f"batch_size: {config.batch_size} is out of range; accepted: 1 to {examples}, the training examples"
            + _longer_text(config, dataset, config.batch_size)
        )
    if config.steps_per_epoch is not None and config.steps_per_epoch > most:
        raise InputError(
            f"steps_per_epoch: {config.steps_per_epoch} is out of range; accepted: 1 to {most}, one pass over the data"
            + _longer_text(config, dataset, config.batch_size * config.steps_per_epoch)
        )
    task = TASKS[choose("task", dataset.task, TASKS)]
    if config.batch_sampling == "contiguous" and dataset.task != "language_modeling":
        raise InputError(
            f"batch_sampling: contiguous batches need a text, {dataset.name} is none; accepted: shuffled, drawn"
        )
    if config.success_threshold is not None and (not task.success_metric or dataset.validation_is_test):
        why = "validates on test" if task.success_metric else "has no success metric"
        raise InputError(f"success_threshold: {config.success_threshold:g}, but {dataset.name} {why}; accepted: none")
    check_probes(config.probes, dataset)
    _check_seed_source(config, dataset)
    if dataset.train.resets is not None and (arm.attention is not None or whole_model(arm.cell) is not None):
        raise InputError(f"cell: {dataset.name} has resets, which only a cell of the lab reads; accepted: no encoder "
                         "and decoder, no whole model, or data without resets")  # fmt: skip
    fixed, swept = split_cell_options(config, name)
    optimizer_fixed, _ = split_optimizer_options(config)
    return ArmSpec(
        data=DataShape.of(dataset),
        cell=arm.cell,
        hidden_size=arm.hidden_size or config.hidden_size,
        layers=arm.layers,
        connections=arm.connections,
        attention=arm.attention,
        decoder=arm.decoder,
        options=tuple(fixed.items()),
        swept_options=tuple(swept),
        compute_dtype=config.compute_dtype,
        backward=config.backward,
        bptt=config.bptt,
        remat=config.remat,
        embedding_size=config.embedding_size,
        embedding_init=config.embedding_init,
        optimizer=config.optimizer,
        optimizer_options=tuple(optimizer_fixed.items()),
        lr_schedule=config.lr_schedule,
        lr_decay=config.lr_decay,
        lr_decay_epochs=config.lr_decay_epochs,
        lr_warmup_epochs=config.lr_warmup_epochs,
        batch_size=config.batch_size,
        eval_batch_size=config.eval_batch_size,
        batch_sampling=config.batch_sampling,
        steps_per_epoch=config.steps_per_epoch or most,
        initial_state=config.initial_state,
        seed_source=config.seed_source,
        probes=config.probes,
    )


def _check_seed_source(config: Config, dataset: Dataset) -> None:
    """Raise InputError where train and validation cannot be divided anew for each run."""
    if config.seed_source != "split":
        return
    shapes = [jax.tree.map(lambda leaf: leaf.shape[1:], split) for split in (dataset.train, dataset.validation)]
    why = f"{dataset.name} validates on test" if dataset.validation_is_test else ""
    why = why or ("probes read one validation split" if config.probes else "")
    why = why or ("" if shapes[0] == shapes[1] else f"train and validation of {dataset.name} differ in shape")
    if why:
        raise InputError(f"seed_source: split, but {why}; accepted: all, init, batches")


def _longer_text(config: Config, dataset: Dataset, windows: int) -> str:
    """How long a text would have to be for so many training windows; "" for other data."""
    if "characters" not in dataset.source:
        return ""
    training = windows * config.sequence_length + 1
    held_out = max(0, -(-(training - HELD_OUT_DIVISOR + 1) // (HELD_OUT_DIVISOR - 2)))  # of the shortest such text
    needed = training + 2 * held_out
    return f"; the text has {dataset.source['characters']:,} characters, this needs {needed:,}"


def _trace(spec: ArmSpec, runs: Run, dataset: Dataset, *, whole: bool) -> None:
    """Trace one run's initial state and, if ``whole``, a training step and an evaluation. Computes nothing."""
    run = jax.tree.map(lambda leaf: leaf[0], runs)
    if not whole:  # the lab's own cells can refuse no more than the width of their input
        jax.eval_shape(lambda run: build_model(spec, run.hyperparams).init(jax.random.key(0)), run)
        return

    def life(run: Run, training: Split, validation: Split) -> MetricSums:
        state = init_state(spec, run)
        indices = batch_indices(spec, run.seed, 1, training.targets.shape[0])
        state = train_steps(spec, run, state, indices, training, 0, 1)
        _trace_declared(spec, run, state.params, training)
        probe(spec, run, state.params, validation)
        return evaluate(spec, run, state.params, validation)

    jax.eval_shape(life, run, dataset.train, dataset.validation)


def _trace_declared(spec: ArmSpec, run: Run, params: Params, split: Split) -> None:
    """Trace what only probes and the analysis call."""
    model = build_model(spec, run.hyperparams)
    if model.embed is None:  # an encoder and a decoder
        return
    cell = build_cell(spec, run.hyperparams)
    if cell.paths is not None:
        cell.paths(params.cell)
    if cell.gates is not None:
        x = model.embed(params, split.inputs[: spec.batch_size])[0]
        gates = cell.gates(params.cell, cell.initial_carry(params.cell, (spec.batch_size,)), x)
        if cell.retention is not None:
            cell.retention(gates)
