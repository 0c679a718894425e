"""A whole Flax model as an arm: a linen or nnx module from inputs to logits, with dropout and batch statistics."""

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.from_flax import constructor
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Carry, Key, Model

TRAINS, EVALUATES = ("train", "training"), ("deterministic", "use_running_average")  # truths that a call may take
LENGTHS = ("lengths", "seq_lengths")


class FlaxParams(NamedTuple):
    """The values of a Flax model: ``trained`` by gradients, and ``state`` that its calls in training replace."""

    trained: Any
    state: Any


class Sizes(NamedTuple):
    """What a model is made for; its constructor gets those that it names."""

    input_size: int  # D, or V of ids
    hidden_size: int
    output_size: int


def make_flax_model(
    cls: Any, sizes: Sizes, options: Mapping[str, Any], *, per_step: bool, ids: bool, scale: float = 1.0,
    key: Key | None = None,
) -> Model:  # fmt: skip
    """The `Model` of a module class: ``inputs [B, T, D]`` or ids ``[B, T]`` -> logits ``[B, C]``, or ``[B, T, C]``.

    The class is made with those of ``sizes`` that it names, ``options``, and ``rngs`` if it is of nnx. Its call gets
    ``lengths [B]`` if it names them, and a truth of `TRAINS` or `EVALUATES`. ``key``: in a training step, for what is
    random there. Collections of linen and state of nnx that are no parameters ride as ``FlaxParams.state``.
    """
    import flax.linen as nn

    named = constructor(cls)
    arguments = {name: size for name, size in sizes._asdict().items() if name in named} | dict(options)
    takes = inspect.signature(cls.__call__).parameters
    run = _linen(cls, arguments) if issubclass(cls, nn.Module) else _nnx(cls, arguments)

    length_name = next((name for name in LENGTHS if name in takes), None)

    def flags(training: bool) -> dict[str, bool]:
        given = {name: training for name in TRAINS if name in takes}
        return given | {name: not training for name in EVALUATES if name in takes}

    def prepared(inputs: Array) -> Array:
        return inputs if inputs.ndim == 2 and ids else inputs.astype(jnp.float32) * scale

    def init(key: Key) -> FlaxParams:
        inputs = jnp.zeros((1, 2), jnp.int32) if ids else jnp.zeros((1, 2, sizes.input_size))
        given: dict[str, Any] = dict(flags(False))
        found = run.init(key, inputs, given | ({length_name: jnp.array([2])} if length_name else {}))
        if wrong := [leaf.dtype for leaf in jax.tree.leaves(found) if leaf.dtype != jnp.float32]:
            raise InputError(f"cell: {cls.__name__} holds {wrong[0]}; accepted: parameters and state of float32")
        return found

    def apply(
        params: FlaxParams, inputs: Array, lengths: Array | None = None, carry: Carry | None = None
    ) -> tuple[Carry, Array]:
        given: dict[str, Any] = dict(flags(key is not None))
        if length_name is not None:
            given[length_name] = lengths
        elif lengths is not None:
            raise InputError(
                f"cell: the examples of the data end at different steps, and {cls.__name__} takes no lengths; "
                f"accepted: a __call__ with {' or '.join(LENGTHS)} [B]"
            )
        state, logits = run.apply(params, prepared(inputs), given, key)
        wanted = (*inputs.shape[: 2 if per_step else 1], sizes.output_size)
        if getattr(logits, "shape", None) != wanted:
            raise InputError(f"cell: {cls.__name__} gives {getattr(logits, 'shape', type(logits).__name__)}; accepted: "
                             f"logits of shape {wanted}")  # fmt: skip
        return state, logits

    def no_carry(*arguments: Any) -> Carry:
        raise InputError(f"cell: {cls.__name__} is a whole model without a carry; accepted: a cell, shuffled batches")

    def no_decay(params: FlaxParams) -> FlaxParams:
        return FlaxParams(
            jax.tree.map(lambda leaf: leaf.ndim <= 1, params.trained), jax.tree.map(lambda _: True, params.state)
        )

    def with_state(params: FlaxParams, state: Any) -> FlaxParams:
        return params._replace(state=state)

    return Model(init, apply, no_carry, no_carry, no_decay=no_decay, with_state=with_state)


class _linen:  # noqa: N801  # used as a function
    def __init__(self, cls: Any, arguments: Mapping[str, Any]) -> None:
        self.module = cls(**arguments)

    def init(self, key: Key, inputs: Array, given: Mapping[str, Any]) -> FlaxParams:
        variables = dict(self.module.init({"params": key, "dropout": key}, inputs, **given))
        return FlaxParams(variables.pop("params", {}), variables)

    def apply(self, params: FlaxParams, inputs: Array, given: Mapping[str, Any], key: Key | None) -> tuple[Any, Array]:
        variables = {"params": params.trained, **jax.lax.stop_gradient(params.state)}
        if key is None:
            return None, self.module.apply(variables, inputs, **given)
        logits, state = self.module.apply(variables, inputs, rngs={"dropout": key}, mutable=list(params.state), **given)
        return {**params.state, **state}, logits


class _nnx:  # noqa: N801
    def __init__(self, cls: Any, arguments: Mapping[str, Any]) -> None:
        self.cls, self.arguments = cls, arguments

    def split(self, module: Any) -> Any:
        from flax import nnx

        return nnx.split(module, nnx.Param, nnx.RngState, ...)

    def init(self, key: Key, inputs: Array, given: Mapping[str, Any]) -> FlaxParams:
        from flax import nnx

        _, trained, _, state = self.split(self.cls(**self.arguments, rngs=nnx.Rngs(key)))
        return FlaxParams(nnx.to_pure_dict(trained), nnx.to_pure_dict(state))

    def apply(self, params: FlaxParams, inputs: Array, given: Mapping[str, Any], key: Key | None) -> tuple[Any, Array]:
        from flax import nnx

        rngs = nnx.Rngs(jax.random.key(0) if key is None else key)  # its own initial values are dead code
        graph, trained, random, state = self.split(self.cls(**self.arguments, rngs=rngs))
        nnx.replace_by_pure_dict(trained, params.trained)
        nnx.replace_by_pure_dict(state, jax.lax.stop_gradient(params.state))
        module = nnx.merge(graph, trained, random, state)
        module.eval() if key is None else module.train()
        logits = module(inputs, **given)
        return None if key is None else nnx.to_pure_dict(self.split(module)[3]), logits
