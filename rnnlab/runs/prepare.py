"""An experiment checked as far as can be without training: its data loaded, its arms planned, users' cells traced."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from rnnlab.runs.arms import Plan, plan_arms
from rnnlab.config.experiment import Config
from rnnlab.data.registry import dataset_options, load_dataset
from rnnlab.core.errors import InputError
from rnnlab.config.cell_name import is_file_cell, parse_name
from rnnlab.runs.recipes import DROPOUT, make_recipe
from rnnlab.train.sweep import run_grid
from rnnlab.train.tasks import TASKS
from rnnlab.train.single_run import Recipe, batch_indices, evaluate, init_state, train_steps
from rnnlab.core.types import Dataset, Run, Split, MetricSums, TrainState


class Prepared(NamedTuple):
    """What ``start`` and ``resume`` take."""

    config: Config
    plans: Mapping[str, Plan]
    recipes: Mapping[str, Recipe]
    dataset: Dataset


def prepare(config: Config) -> Prepared:
    """Load the data and check everything. Raises InputError; nothing has been written then."""
    plans = plan_arms(config)
    dataset = load_dataset(config.data, **data_options(config))
    recipes = {name: make_recipe(config, plan, dataset) for name, plan in plans.items()}
    for name, recipe in recipes.items():
        arm, own = config.arms[name], [cell for cell in config.arms[name].cells if is_file_cell(cell)]
        whole = bool(own or arm.attention or dataset.prompt_length or DROPOUT.keys() & plans[name].hyperparams.keys())
        try:  # what cannot be traced (a user's cell, dropout where it does not belong) fails here, not after hours
            _trace(plans[name], recipe, config, dataset, whole)
        except InputError as error:
            raise InputError(f"arms.{name}: {error}") from error
        except Exception as error:
            if not own:
                raise
            reason = (str(error).splitlines() or [""])[0][:200]
            raise InputError(f"arms.{name}: cell {' or '.join(own)} fails: {type(error).__name__}: {reason}") from error
    return Prepared(config, plans, recipes, dataset)


def data_options(config: Config) -> dict[str, Any]:
    """What the loader takes: the config's own, and its window where the data is a text."""
    if "sequence_length" in config.data_options:
        raise InputError(f"data_options.sequence_length: {config.data_options['sequence_length']}; accepted: --set sequence_length=T")
    sequence_length = {"sequence_length": config.sequence_length} if "sequence_length" in dataset_options(config.data) else {}
    return {**config.data_options, **sequence_length}


def identity(prepared: Prepared) -> dict[str, Any]:
    """What identifies the data and the users' cells, as JSON: a resume with others is refused."""
    data = prepared.dataset
    letters = None if data.vocabulary is None or not TASKS[data.task].per_step else list(data.vocabulary)
    sizes = {name: len(getattr(data, name).targets) for name in ("train", "validation", "test")}
    cells = sorted({cell for arm in prepared.config.arms.values() for cell in arm.cells if is_file_cell(cell)})
    hashes = {cell: file_hash(cell) for cell in cells}
    model = {"task": data.task, "input_size": data.input_size, "output_size": data.output_size, "scale": data.scale}
    known = {"name": data.name, "examples": sizes, "source": dict(data.source), "cells": hashes}
    return {**known, **model, "ids": data.has_token_inputs, "vocabulary": letters, "prompt_length": data.prompt_length}


def file_hash(cell: str) -> str | None:
    """SHA-256 of the file that a user's own cell is in; None for one of the table."""
    file = parse_name(cell).file
    return None if file is None else hashlib.sha256(file.read_bytes()).hexdigest()


def abstract_state(plan: Plan, recipe: Recipe, config: Config) -> TrainState:
    """Shapes of the arm's whole state, leaves ``[R, ...]``, without computing anything."""
    return jax.eval_shape(jax.vmap(lambda run: init_state(recipe, run)), run_grid(config.seeds, plan.hyperparams))


def _trace(plan: Plan, recipe: Recipe, config: Config, dataset: Dataset, whole: bool) -> None:
    """Go through one run's initial values, and if ``whole`` a training step and an evaluation, without computing."""
    run = jax.tree.map(lambda leaf: leaf[0], run_grid(config.seeds, plan.hyperparams))
    if not whole:  # the lab's own cells can refuse no more than the width of their input
        jax.eval_shape(lambda run: recipe.make_model(run.hyperparams, None).init(jax.random.key(0)), run)
        return

    def life(run: Run, training: Split, validation: Split) -> MetricSums:
        state = init_state(recipe, run)
        order = batch_indices(recipe, run, 1, training.targets.shape[0])
        state = train_steps(recipe, run, state, order, training, 0, 1)
        return evaluate(recipe, run, state.params, validation)

    jax.eval_shape(life, run, dataset.train, dataset.validation)
