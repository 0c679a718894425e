"""Flax cells as cells of the lab: ``flax.linen:GRUCell``, ``flax.nnx:LSTMCell``, or a class in a user's file.

A Flax cell keeps its own initializers. Its step is traced like any other, so that it gets the fast gradient over time.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.core.errors import InputError, unknown
from rnnlab.core.types import Array, Carry, Cell, Key, Params

MODULES = ("flax.linen", "flax.nnx")
_KINDS = (bool, int, float, str)


def flax_class(name: str) -> type:
    """The class called ``flax.linen:NAME`` or ``flax.nnx:NAME``. Raises InputError unless it is a recurrent cell."""
    module, _, wanted = name.partition(":")
    if module == "flax.linen":
        import flax.linen as found
    else:
        import flax.nnx as found  # type: ignore[no-redef]
    cells = {
        key: each for key, each in vars(found).items()
        if inspect.isclass(each) and issubclass(each, found.RNNCellBase) and each is not found.RNNCellBase
    }  # fmt: skip
    if wanted not in cells:
        raise unknown(f"cell: class of {module}", wanted, cells)
    return cells[wanted]


def is_flax_class(made: Any) -> bool:
    """Whether ``made`` is a class of Flax modules."""
    if not inspect.isclass(made):
        return False
    import flax.linen as nn
    from flax import nnx

    return issubclass(made, (nn.Module, nnx.Module))


def constructor(cls: Any) -> Mapping[str, inspect.Parameter]:
    """What it takes to make a module of ``cls``, by name. The class of nnx modules hides it."""
    from flax import nnx

    return inspect.signature(cls.__init__ if issubclass(cls, nnx.Module) else cls).parameters


def is_whole_model(made: Any) -> bool:
    """Whether ``made`` is a class of Flax modules from inputs to logits: one that names its ``output_size``."""
    return is_flax_class(made) and not hasattr(made, "initialize_carry") and "output_size" in constructor(made)


def whole_model_factory(cls: Any) -> Callable[..., Cell]:
    """What stands for a whole model where a cell is wanted: its options, and one line for who wants the cell."""
    accepted = {
        name: option for name, option in _options(cls).items() if name not in ("input_size", "output_size")
    }  # fmt: skip

    def factory(hidden_size: int, **options: Any) -> Cell:
        raise InputError(
            f"cell: {cls.__name__} is a whole model, in which nothing is known of a cell; accepted: a cell"
        )

    positional = inspect.Parameter("hidden_size", inspect.Parameter.POSITIONAL_ONLY)
    accepted.pop("hidden_size", None)
    vars(factory)["__signature__"] = inspect.Signature([positional, *accepted.values()])
    return factory


def flax_factory(cls: Any) -> Callable[..., Cell]:
    """``(hidden_size, **options) -> Cell`` of a class of Flax cells, linen or nnx.

    linen: ``cls(features=hidden_size, **options)``; nnx: ``cls(in_features, hidden_size, rngs=..., **options)``.
    Options are those with a number, a truth or a word as default. Raises InputError for a class without what a
    recurrent cell has, and for state that is neither parameter nor carry.
    """
    import flax.linen as nn

    for attribute in ("initialize_carry", "__call__"):
        own = getattr(cls, attribute, None)
        if not callable(own) or own is getattr(nn.Module, attribute, None):
            raise InputError(
                f"cell: {cls.__name__} has no {attribute}; accepted: a Flax cell, with __call__(carry, inputs) and "
                "initialize_carry(rng, input_shape), or a whole model, which takes output_size"
            )
    linen = issubclass(cls, nn.Module)
    accepted = _options(cls)
    if linen and "features" not in constructor(cls):
        raise InputError(f"cell: {cls.__name__} has no field features; accepted: a linen cell with features, its width")

    def factory(hidden_size: int, **options: Any) -> Cell:
        for option in options:
            if option not in accepted:
                raise unknown(f"option of cell {cls.__name__}", option, accepted)
        return (_linen if linen else _nnx)(cls, hidden_size, options)

    positional = inspect.Parameter("hidden_size", inspect.Parameter.POSITIONAL_ONLY)
    vars(factory)["__signature__"] = inspect.Signature([positional, *accepted.values()])
    return factory


def _options(cls: Any) -> dict[str, inspect.Parameter]:
    return {
        name: parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in constructor(cls).items()
        if isinstance(parameter.default, _KINDS) and name not in ("features", "parent", "name")
    }


def _linen(cls: Any, hidden_size: int, options: Mapping[str, Any]) -> Cell:
    def module() -> Any:
        return cls(features=hidden_size, **options)

    def init(key: Key, inputs: int) -> Params:
        made = module()
        carry = made.initialize_carry(key, (inputs,))
        variables = dict(made.init(key, carry, jnp.zeros((inputs,))))
        params = variables.pop("params", {})
        if variables:
            raise InputError(
                f"cell: {cls.__name__} has state that is no parameter ({', '.join(variables)}); accepted: parameters, "
                "and what changes over time in the carry"
            )
        return params

    def initial_carry(params: Params, batch: tuple[int, ...]) -> Carry:
        return module().initialize_carry(jax.random.key(0), (*batch, 1))

    def step(params: Params, carry: Carry, x: Array) -> tuple[Carry, Array]:
        if jnp.issubdtype(x.dtype, jnp.integer):
            x = jax.nn.one_hot(x, _inputs(params, hidden_size, init))
        return module().apply({"params": params}, carry, x)

    return Cell(init, initial_carry, step, hidden_size)


def _nnx(cls: Any, hidden_size: int, options: Mapping[str, Any]) -> Cell:
    from flax import nnx

    def made(inputs: int, key: Key) -> Any:
        return cls(inputs, hidden_size, rngs=nnx.Rngs(key), **options)

    def split(cell: Any) -> Any:
        return nnx.split(cell, nnx.Param, ...)

    def init(key: Key, inputs: int) -> Params:
        params: Params = nnx.to_pure_dict(split(made(inputs, key))[1])
        return params

    def initial_carry(params: Params, batch: tuple[int, ...]) -> Carry:
        inputs = _inputs(params, hidden_size, init)
        return made(inputs, jax.random.key(0)).initialize_carry((*batch, inputs), rngs=nnx.Rngs(0))

    def step(params: Params, carry: Carry, x: Array) -> tuple[Carry, Array]:
        inputs = _inputs(params, hidden_size, init)
        if jnp.issubdtype(x.dtype, jnp.integer):
            x = jax.nn.one_hot(x, inputs)
        cell = made(inputs, jax.random.key(0))  # its own initial values are dead code
        graph, state, rest = split(cell)
        nnx.replace_by_pure_dict(state, params)
        merged = nnx.merge(graph, state, rest)
        result: tuple[Carry, Array] = merged(carry, x)
        after = split(merged)[2]
        if any(a is not b for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(rest), strict=True)):
            raise InputError(
                f"cell: {cls.__name__} changes state in its step that is not in the carry; accepted: parameters, and "
                "what changes over time in the carry"
            )
        return result

    return Cell(init, initial_carry, step, hidden_size)


def _inputs(params: Params, hidden_size: int, init: Callable[[Key, int], Params]) -> int:
    """D of ``params``: the number of inputs for which ``init`` gives these shapes."""
    wanted = [leaf.shape for leaf in jax.tree.leaves(params)]
    sizes = sorted({size for shape in wanted for size in shape})
    for inputs in sizes:
        abstract = jax.eval_shape(lambda inputs=inputs: init(jax.random.key(0), inputs))
        if [leaf.shape for leaf in jax.tree.leaves(abstract)] == wanted:
            return inputs
    raise InputError(f"cell: its parameters do not tell the number of inputs: {wanted}")
