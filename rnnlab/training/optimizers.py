"""Optimizers as optax chains. Hyperparameters may be traced arrays, one value per run."""

import inspect
import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import optax

from rnnlab.cells.ops import vectors
from rnnlab.core.errors import check_number, unknown
from rnnlab.core.types import Array, Params


def adam(
    learning_rate: Array, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Kingma & Ba, Adam, 2014."""
    check_number("b1", b1, below=1)
    check_number("b2", b2, below=1)
    check_number("eps", eps)
    return optax.adam(learning_rate, b1=b1, b2=b2, eps=eps)


def rmsprop(learning_rate: Array, *, decay: float = 0.9, eps: float = 1e-7) -> optax.GradientTransformation:
    """Tieleman & Hinton, RMSprop, 2012, in Keras's form: eps outside the root, moments from zero, uncorrected."""
    check_number("decay", decay, below=1)
    check_number("eps", eps)
    return optax.rmsprop(learning_rate, decay=decay, eps=eps, eps_in_sqrt=False)


def adagrad(
    learning_rate: Array, *, initial_accumulator: float = 0.1, eps: float = 1e-7
) -> optax.GradientTransformation:
    """Duchi, Hazan & Singer, Adagrad, 2011. The accumulator starts at 0.1, as TensorFlow's did; PyTorch's at 0."""
    check_number("initial_accumulator", initial_accumulator)
    check_number("eps", eps)
    return optax.adagrad(learning_rate, initial_accumulator_value=initial_accumulator, eps=eps)


def sgd(learning_rate: Array, *, momentum: float = 0.0, nesterov: bool = False) -> optax.GradientTransformation:
    """Stochastic gradient descent with (heavy-ball or Nesterov) momentum."""
    check_number("momentum", momentum, below=1)
    return optax.sgd(learning_rate, momentum=momentum, nesterov=nesterov)


OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adam": adam,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "sgd": sgd,
}


_OPTAX = "optax:"
_NUMBERS = (bool, int, float, str)  # the options that a config can hold


def find_optimizer(name: str) -> Callable[..., optax.GradientTransformation]:
    """The function ``(learning_rate, **options)`` of a row of OPTIMIZERS, or of Optax's by its name there.

    ``optax:NAME`` is Optax's also where OPTIMIZERS has one of that name. Raises InputError for another name.
    """
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    own = name.removeprefix(_OPTAX)
    found = getattr(optax, own, None) if own.isidentifier() else None
    if not inspect.isfunction(found) or "learning_rate" not in inspect.signature(found).parameters:
        raise unknown("optimizer", name, [*OPTIMIZERS, *_of_optax()])
    return found


def _of_optax() -> list[str]:
    functions = inspect.getmembers(optax, inspect.isfunction)
    return [name for name, each in functions if "learning_rate" in inspect.signature(each).parameters]


def optimizer_options(name: str) -> Mapping[str, inspect.Parameter]:
    """The options of an optimizer: its parameters that are numbers, truths or words.

    Without the learning rate and a weight decay, which are hyperparameters of every optimizer.
    """
    parameters = inspect.signature(find_optimizer(name)).parameters
    return {
        option: parameter
        for option, parameter in parameters.items()
        if option not in ("learning_rate", "weight_decay") and isinstance(parameter.default, _NUMBERS)
    }


def schedule(
    name: str, learning_rate: Array, *, steps: int | None, factor: float, warmup: int = 0
) -> Array | optax.Schedule:
    """The learning rate by training step, which may be traced.

    ``step``: multiplied by ``factor`` after every ``steps`` steps. ``cosine``, ``warmup_cosine``, ``linear``: falls to
    ``factor`` times its value within ``steps`` steps, and stays there. ``steps=None``: constant. Before it ``warmup``
    steps rise from 0 linearly; they count among ``steps`` of these, as in Optax's warmup_cosine_decay_schedule.
    """
    if steps is None:
        after: Any = optax.constant_schedule(learning_rate)
    elif name in ("cosine", "warmup_cosine"):
        after = optax.cosine_decay_schedule(learning_rate, steps - warmup, alpha=factor)
    elif name == "linear":
        after = optax.linear_schedule(learning_rate, learning_rate * factor, steps - warmup)
    else:
        after = step_decay(learning_rate, factor, steps)
    if warmup:
        return optax.join_schedules([optax.linear_schedule(0.0, learning_rate, warmup), after], [warmup])
    return learning_rate if steps is None else after


def step_decay(learning_rate: Array, factor: float, steps: int) -> optax.Schedule:
    """The learning rate multiplied by ``factor`` after every ``steps`` training steps."""
    return lambda count: learning_rate * factor ** (count // steps)


def make_optimizer(
    name: str,
    learning_rate: Array | optax.Schedule,
    *,
    clip_norm: Array | None = None,
    weight_decay: Array | None = None,
    no_decay: Callable[[Params], Any] | None = None,
    **options: Any,
) -> optax.GradientTransformation:
    """The optimizer called ``name``; gradients are first clipped to a global norm of ``clip_norm`` if given.

    ``weight_decay`` is decoupled from the gradient, as in AdamW (Loshchilov & Hutter, Decoupled weight decay, 2019):
    each step subtracts learning rate * weight_decay * p from every parameter p except those that ``no_decay(params)``,
    a tree of bools such as ``Model.no_decay`` gives, marks True. Without ``no_decay``, leaves of one dimension or less
    (biases, as a rule) are spared.
    An optimizer of Optax with a weight decay of its own takes it in its own way and spares the same parameters.
    Raises InputError for an unknown name or option.
    """
    accepted = optimizer_options(name)
    for option in options:
        if option not in accepted:
            raise unknown(f"option of optimizer {name}", option, accepted)
    make, spared = find_optimizer(name), no_decay or vectors

    def mask(params: Params) -> Any:
        return jax.tree.map(operator.not_, spared(params))

    own = inspect.signature(make).parameters
    if "mask" in own:
        make = partial(make, mask=mask)
    if "weight_decay" in own and weight_decay is not None:
        make, weight_decay = partial(make, weight_decay=weight_decay), None
    chain = [] if clip_norm is None else [optax.clip_by_global_norm(clip_norm)]
    if weight_decay is None:
        chain.append(make(learning_rate, **options))
    else:
        chain += [
            make(1.0, **options),
            optax.add_decayed_weights(-weight_decay, mask=mask),
            optax.scale_by_learning_rate(learning_rate, flip_sign=False),
        ]
    return chain[0] if len(chain) == 1 else optax.chain(*chain)
