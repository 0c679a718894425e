"""From an experiment's words to what is trained: the cell, the numbers that ride the run axis, the recipe."""

import math
from collections.abc import Iterator, Mapping
from inspect import Parameter
from itertools import product
from typing import Any, NamedTuple

import jax

from rnnlab.cells import stack

from rnnlab.cells.registry import cell_factory, factory_options, make_cell
from rnnlab.cells.wrappers.mixed_precision import mixed_precision
from rnnlab.config.experiment import HYPERPARAMS, Arm, Config, Option, check_hyperparams
from rnnlab.core.errors import InputError, choose, unknown
from rnnlab.models.recurrent_model import EMBEDDING_INITIALIZERS
from rnnlab.train.optimizers import make_optimizer, optimizer_options, step_decay
from rnnlab.train.probes import choose_probes
from rnnlab.models.seq2seq import ATTENTION
from rnnlab.train.single_run import BATCH_SAMPLING
from rnnlab.core.types import Array, Cell, Key

OPTIMIZER = "optimizer_"  # prefixes the optimizer's swept numbers, so that its eps and a cell's do not meet


# Names that the records and tables give to something else; a swept option is a column too.
RESERVED = {*HYPERPARAMS, "experiment", "arm", "seed", "epoch", "step", "split", "metric", "value"}
RESERVED |= {"runs", "diverged", "epochs", "metrics", "solved", "steps_to_solve"}
LAYER_DROPOUT = "layer_dropout"


class Plan(NamedTuple):
    """One arm, checked: what is fixed and compiled in, and what rides the run axis."""

    name: str
    arm: Arm
    hidden_size: int
    fixed: Mapping[str, Option]  # cell options
    swept: tuple[str, ...]  # cell options that ride
    optimizer_fixed: Mapping[str, Option]
    hyperparams: Mapping[str, tuple[float, ...]]  # name -> values; the first is learning_rate
    compute_dtype: str  # of config.PRODUCTS


def plan_arms(config: Config) -> dict[str, Plan]:
    """Every arm of ``config`` with its options checked against its cell.

    Raises InputError for unknown cells and options, values of the wrong type and values that a cell refuses.
    """
    config.check()
    choose("batch_sampling", config.batch_sampling, BATCH_SAMPLING)
    choose("embedding_init", config.embedding_init, EMBEDDING_INITIALIZERS)
    choose_probes(config.probes)
    options = {name: _options(name, arm) for name, arm in config.arms.items()}
    for option in config.options:
        if not any(option in taken for taken in options.values()):
            raise unknown("options", option, sorted({name for taken in options.values() for name in taken}))
        own = [name for name, arm in config.arms.items() if option in arm.options]
        if own:  # an arm called lstm-tanh would be trained with another activation
            raise InputError(
                f"options.{option}: arms {', '.join(own)} have their own; accepted: arms.NAME.options.{option}"
            )
    plans = {name: _plan(config, name, arm, options[name]) for name, arm in config.arms.items()}
    for name, plan in plans.items():
        for combination in combinations(plan.hyperparams):  # a cell checks concrete numbers; traced ones it cannot
            try:
                for cell in plan.arm.cells:
                    arm_cell(plan, cell, combination, None)
                arm_optimizer(config, plan, combination, steps=1)
            except InputError as error:
                raise InputError(f"arms.{name}: {error}") from error
    return plans


def _options(name: str, arm: Arm) -> dict[str, Parameter]:
    """The options that the arm's cells take. Raises InputError for unknown cells and for half of two."""
    if arm.attention:
        choose(f"arms.{name}.attention", arm.attention, ATTENTION)
    elif arm.decoder:
        raise InputError(
            f"arms.{name}.decoder: {arm.decoder}, without attention; accepted: with attention=none, additive or dot"
        )
    taken: dict[str, Parameter] = {}
    for cell in reversed(arm.cells):
        taken |= factory_options(cell_factory(cell))
    return taken


def _plan(config: Config, name: str, arm: Arm, accepted: Mapping[str, Parameter]) -> Plan:
    for option in arm.options:
        if option not in accepted:
            raise unknown(f"arms.{name}.options: option of cell {' or '.join(arm.cells)}", option, accepted)
    shared = {option: value for option, value in config.options.items() if option in accepted}
    fixed, swept = _split(f"arms.{name}.options", {**shared, **arm.options}, accepted)
    optimizer_accepted = optimizer_options(config.optimizer)
    for option in config.optimizer_options:
        if option not in optimizer_accepted:
            raise unknown(f"optimizer_options: option of {config.optimizer}", option, optimizer_accepted)
    optimizer_fixed, optimizer_swept = _split("optimizer_options", config.optimizer_options, optimizer_accepted)
    hyperparams = _numbers(config, name, arm)
    hyperparams |= {OPTIMIZER + option: values for option, values in optimizer_swept.items()}
    for option, values in swept.items():
        if option in RESERVED or option.startswith(OPTIMIZER):
            raise InputError(f"arms.{name}.options.{option}: a column of the records has this name; accepted: another")
        hyperparams[option] = values
        check_hyperparams(option, values)
    for option, values in optimizer_swept.items():
        check_hyperparams(f"optimizer_options.{option}", values)
    return Plan(name, arm, arm.hidden_size or config.hidden_size, fixed, tuple(swept), optimizer_fixed, hyperparams, config.compute_dtype)


def _numbers(config: Config, name: str, arm: Arm) -> dict[str, tuple[float, ...]]:
    """The arm's own numbers, and the experiment's where it has none; without those that are not used at all."""
    for number, value in arm.hyperparams.items():
        if number not in HYPERPARAMS:
            raise unknown(f"arms.{name}.hyperparams", number, HYPERPARAMS)
        _check_type(f"arms.{name}.hyperparams.{number}", value, 0.0)
    own = {number: value if isinstance(value, tuple) else (float(value),) for number, value in arm.hyperparams.items()}
    for number, values in own.items():
        check_hyperparams(f"arms.{name}.hyperparams.{number}", values, HYPERPARAMS[number])
    if arm.layers == 1 and (own.get(LAYER_DROPOUT) or config.layer_dropout):
        raise InputError(
            f"arms.{name}: {LAYER_DROPOUT} acts between layers, but there is one; accepted: arms.{name}.layers from 2, "
            f"or arms.NAME.hyperparams.{LAYER_DROPOUT} of those that have them"
        )
    every = {number: own.get(number, tuple(getattr(config, number))) for number in HYPERPARAMS}
    return {number: values for number, values in every.items() if values}


def _split(
    field: str, options: Mapping[str, Option], accepted: Mapping[str, Parameter]
) -> tuple[dict[str, Option], dict[str, tuple[float, ...]]]:
    """Options that are compiled in, and those that are given as several numbers and so are swept."""
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
    """The option's default tells its type; a parameter without one takes anything."""
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


def combinations(hyperparams: Mapping[str, tuple[float, ...]]) -> Iterator[dict[str, Any]]:
    """Every combination of swept numbers, the last name varying fastest."""
    for values in product(*hyperparams.values()):
        yield dict(zip(hyperparams, values, strict=True))


def arm_cell(plan: Plan, name: str, hyperparams: Mapping[str, Array], key: Key | None) -> Cell:
    """The arm's cell of that name, with those of its options that the cell takes (a decoder may be another cell)."""
    accepted = factory_options(cell_factory(name))
    options: dict[str, Any] = {**plan.fixed, **{swept: hyperparams[swept] for swept in plan.swept}}
    options = {option: value for option, value in options.items() if option in accepted}
    keys = [None if key is None else jax.random.fold_in(key, layer) for layer in range(plan.arm.layers)]
    layers = [
        mixed_precision(make_cell(name, plan.hidden_size, key=layer_key, **options), plan.compute_dtype)
        for layer_key in keys
    ]
    if len(layers) == 1:
        return layers[0]
    key = None if key is None else jax.random.fold_in(key, len(layers))  # no layer's own
    return stack(layers, connections=plan.arm.connections, dropout=hyperparams.get(LAYER_DROPOUT, 0.0), key=key)


def arm_optimizer(
    config: Config, plan: Plan, hyperparams: Mapping[str, Array], steps: int, no_decay: Any = None
) -> Any:
    swept = {name.removeprefix(OPTIMIZER): v for name, v in hyperparams.items() if name.startswith(OPTIMIZER)}
    rate: Any = hyperparams["learning_rate"]
    return make_optimizer(
        config.optimizer,
        step_decay(rate, config.lr_decay, config.lr_decay_epochs * steps) if config.lr_decay_epochs else rate,
        clip_norm=hyperparams.get("clip_norm"),
        weight_decay=hyperparams.get("weight_decay"),
        no_decay=no_decay,
        **plan.optimizer_fixed,
        **swept,
    )
