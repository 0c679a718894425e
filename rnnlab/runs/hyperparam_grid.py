"""The hyperparameters of an arm: which options are fixed, which are swept, and every combination of values."""

import math
from collections.abc import Mapping
from inspect import Parameter
from typing import Any

from rnnlab.cells.registry import cell_factory, factory_options
from rnnlab.config.experiment import HYPERPARAMS, Arm, Config, Option, check_hyperparams
from rnnlab.core.errors import InputError, choose, unknown
from rnnlab.models.attention import ATTENTION
from rnnlab.models.recurrent_model import EMBEDDING_INITIALIZERS
from rnnlab.training.arm_spec import LAYER_DROPOUT, OPTIMIZER
from rnnlab.training.batches import BATCH_SAMPLING
from rnnlab.training.optimizers import optimizer_options
from rnnlab.training.probes import PROBES
from rnnlab.training.sweep import Grid

# A swept option is a column of the records and tables, which use these names already.
RESERVED = {*HYPERPARAMS, "experiment", "arm", "seed", "epoch", "step", "split", "metric", "value"}
RESERVED |= {"runs", "diverged", "epochs", "metrics", "solved", "steps_to_solve"}


def hyperparam_grids(config: Config) -> dict[str, Grid]:
    """The hyperparameter values of every arm. Raises InputError for whatever is wrong without looking at data."""
    config.check()
    choose("batch_sampling", config.batch_sampling, BATCH_SAMPLING)
    choose("embedding_init", config.embedding_init, EMBEDDING_INITIALIZERS)
    for probe in config.probes:
        choose("probes", probe, PROBES)
    accepted = {name: _accepted_options(name, arm) for name, arm in config.arms.items()}
    for option in config.options:
        if not any(option in taken for taken in accepted.values()):
            raise unknown("options", option, sorted({name for taken in accepted.values() for name in taken}))
        if own := [name for name, arm in config.arms.items() if option in arm.options]:
            raise InputError(
                f"options.{option}: arms {', '.join(own)} set it themselves; accepted: arms.NAME.options.{option}"
            )
    return {name: hyperparam_grid(config, name) for name in config.arms}


def hyperparam_grid(config: Config, name: str) -> Grid:
    """The hyperparameter values of one arm. Raises InputError for its options."""
    arm = config.arms[name]
    accepted = _accepted_options(name, arm)
    for option in arm.options:
        if option not in accepted:
            raise unknown(f"arms.{name}.options: option of cell {' or '.join(arm.cells)}", option, accepted)
    _, swept = split_cell_options(config, name)
    _, optimizer_swept = split_optimizer_options(config)
    grid = _hyperparams(config, name, arm)
    for option, values in optimizer_swept.items():
        check_hyperparams(f"optimizer_options.{option}", values)
        grid[OPTIMIZER + option] = values
    for option, values in swept.items():
        if option in RESERVED or option.startswith(OPTIMIZER):
            raise InputError(f"arms.{name}.options.{option}: cannot be swept, a column of the records has this name")
        check_hyperparams(option, values)
        grid[option] = values
    lengths = {hyperparam: len(values) for hyperparam, values in grid.items() if len(values) > 1}
    if config.sweep == "paired" and len(set(lengths.values())) > 1:
        counts = ", ".join(f"{hyperparam} {length}" for hyperparam, length in lengths.items())
        raise InputError(f"sweep: paired, but arm {name} has {counts} values; accepted: as many of each, or grid")
    return grid


def _accepted_options(name: str, arm: Arm) -> dict[str, Parameter]:
    """The options of the arm's cells. Raises InputError for unknown cells and for a decoder without attention."""
    if arm.attention is not None:
        choose(f"arms.{name}.attention", arm.attention, ATTENTION)
    elif arm.decoder:
        raise InputError(
            f"arms.{name}.decoder: {arm.decoder} needs an attention; accepted: attention=none, additive or dot"
        )
    accepted: dict[str, Parameter] = {}
    for cell in reversed(arm.cells):
        accepted |= factory_options(cell_factory(cell))
    return accepted


def split_cell_options(config: Config, name: str) -> tuple[dict[str, Option], Grid]:
    """The cell options of the arm that have one value, and those that are swept."""
    arm = config.arms[name]
    accepted = _accepted_options(name, arm)
    shared = {option: value for option, value in config.options.items() if option in accepted}
    return _split(f"arms.{name}.options", {**shared, **arm.options}, accepted)


def split_optimizer_options(config: Config) -> tuple[dict[str, Option], Grid]:
    """The optimizer options that have one value, and those that are swept."""
    accepted = optimizer_options(config.optimizer)
    for option in config.optimizer_options:
        if option not in accepted:
            raise unknown(f"optimizer_options: option of {config.optimizer}", option, accepted)
    return _split("optimizer_options", config.optimizer_options, accepted)


def _hyperparams(config: Config, name: str, arm: Arm) -> dict[str, tuple[float, ...]]:
    """The arm's own hyperparameters, the experiment's for the rest, without those that are not used."""
    own: dict[str, tuple[float, ...]] = {}
    for hyperparam, value in arm.hyperparams.items():
        if hyperparam not in HYPERPARAMS:
            raise unknown(f"arms.{name}.hyperparams", hyperparam, HYPERPARAMS)
        _check_type(f"arms.{name}.hyperparams.{hyperparam}", value, 0.0)
        own[hyperparam] = value if isinstance(value, tuple) else (float(value),)
        check_hyperparams(f"arms.{name}.hyperparams.{hyperparam}", own[hyperparam], HYPERPARAMS[hyperparam])
    if arm.layers == 1 and (own.get(LAYER_DROPOUT) or config.layer_dropout):
        raise InputError(
            f"arms.{name}: {LAYER_DROPOUT} acts between layers and there is one; accepted: arms.{name}.layers from 2, "
            f"or arms.NAME.hyperparams.{LAYER_DROPOUT} of the arms that have more"
        )
    every = {hyperparam: own.get(hyperparam, tuple(getattr(config, hyperparam))) for hyperparam in HYPERPARAMS}
    return {hyperparam: values for hyperparam, values in every.items() if values}


def _split(
    field: str, options: Mapping[str, Option], accepted: Mapping[str, Parameter]
) -> tuple[dict[str, Option], Grid]:
    """The options with one value, and those with several, which are swept."""
    fixed: dict[str, Option] = {}
    swept: dict[str, tuple[float, ...]] = {}
    for name, value in options.items():
        _check_type(f"{field}.{name}", value, accepted[name].default)
        if isinstance(value, tuple):
            swept[name] = value
        else:
            fixed[name] = value
    return fixed, swept


def _check_type(field: str, value: Option, default: Any) -> None:
    """Raise InputError unless ``value`` has the type of the option's ``default``; without one anything goes."""
    kinds: dict[type, tuple[type | tuple[type, ...], str]] = {
        bool: (bool, "true or false"),
        int: (int, "a whole number"),
        float: ((int, float, tuple), "a number, or several (swept)"),
        str: (str, "a word"),
    }
    if type(default) not in kinds:
        return
    kind, accepted = kinds[type(default)]
    if not isinstance(value, kind) or (isinstance(value, bool) and type(default) is not bool):
        raise InputError(f"{field}: {value!r} is not accepted; accepted: {accepted}")
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, float) and not math.isfinite(number):
            raise InputError(f"{field}: {number} is not accepted; accepted: a finite number")
