"""Optimizers as optax chains. Hyperparameters may be traced arrays, one value per run."""

import inspect
import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from rnnlab.cells.ops import vectors
from rnnlab.core.errors import check_number, choose, unknown
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


def optimizer_options(name: str) -> Mapping[str, inspect.Parameter]:
    """The options of an optimizer: its keyword parameters except the learning rate."""
    parameters = inspect.signature(OPTIMIZERS[choose("optimizer", name, OPTIMIZERS)]).parameters
    return {option: parameter for option, parameter in parameters.items() if option != "learning_rate"}


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
    Raises InputError for an unknown name or option.
    """
    accepted = optimizer_options(name)
    for option in options:
        if option not in accepted:
            raise unknown(f"option of optimizer {name}", option, accepted)
    chain = [] if clip_norm is None else [optax.clip_by_global_norm(clip_norm)]
    if weight_decay is None:
        chain.append(OPTIMIZERS[name](learning_rate, **options))
    else:
        spared = no_decay or vectors
        chain += [
            OPTIMIZERS[name](1.0, **options),
            optax.add_decayed_weights(-weight_decay, mask=lambda params: jax.tree.map(operator.not_, spared(params))),
            optax.scale_by_learning_rate(learning_rate, flip_sign=False),
        ]
    return chain[0] if len(chain) == 1 else optax.chain(*chain)
