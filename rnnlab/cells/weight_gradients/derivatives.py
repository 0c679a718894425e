"""Derivative rules: a fast function with the derivatives of a plain one, and a linear function with a fast transpose.

Both functions here compute the same as a plain one. Whatever JAX asks of them that has no fast implementation is done
by the plain one, so that it is right by construction.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from rnnlab.cells.weight_gradients.leaves import Leaves, floats, merged, with_float0

Function = Callable[..., Leaves]


def jvp_of_floats(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Leaves, Leaves]:
    """``jax.jvp`` over the float leaves of ``primals``: results, and the tangents of the float results.

    ``tangents`` are those of the float leaves.
    """

    def of(*moving: Any) -> tuple[Leaves, Leaves]:
        results = function(*merged(primals, moving))
        return floats(results), results

    _, tangents_out, results = jax.jvp(of, floats(primals), list(tangents), has_aux=True)
    return results, tangents_out


def vjp_of_floats(function: Function, primals: Sequence[Any], cotangents: Sequence[Any]) -> Leaves:
    """The gradients of the float leaves of ``primals``, given the cotangents of the float results."""
    _, pullback = jax.vjp(lambda *moving: floats(function(*merged(primals, moving))), *floats(primals))
    return list(pullback(list(cotangents)))


def with_derivatives_of(plain: Function, fast: Function, count: int) -> Function:
    """``fast(*arguments)``, differentiated as ``plain``.

    ``plain`` takes the first ``count`` arguments, on which alone the results depend; the others are values that are
    known anyway. It returns what ``fast`` returns, or only the first results if the derivatives of the others are
    never used.
    """
    function = jax.custom_jvp(lambda *arguments: fast(*arguments))

    @function.defjvp
    def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Leaves, Leaves]:
        results = function(*primals)
        moved = [t for p, t in zip(primals[:count], tangents[:count], strict=True) if t.dtype != jax.dtypes.float0]
        _, found = jvp_of_floats(plain, primals[:count], moved)
        zeros = [jnp.zeros_like(leaf) for leaf in floats(results)[len(found) :]]
        return results, with_float0([*found, *zeros], results)

    return function


def linear(function: Function, transpose: Function, known: Sequence[Any], tangents: Sequence[Any]) -> Leaves:
    """``function(known, tangents)``, linear in ``tangents``, whose transpose is ``transpose(known, cotangents)``."""
    return _linear_p.bind(*known, *tangents, function=function, transpose=transpose, known=len(known))


_linear_p = Primitive("linear_with_transpose")
_linear_p.multiple_results = True


def _call(*operands: Any, function: Function, transpose: Function, known: int) -> Leaves:
    return function(operands[:known], operands[known:])


@_linear_p.def_abstract_eval
def _shapes(*operands: Any, **rule: Any) -> Sequence[Any]:
    return jax.make_jaxpr(partial(_call, **rule))(*operands).out_avals


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], **rule: Any) -> tuple[Leaves, Leaves]:
    places = [n for n, tangent in enumerate(tangents) if not isinstance(tangent, ad.Zero)]

    def of(*moving: Any) -> Leaves:
        operands = list(primals)
        for place, operand in zip(places, moving, strict=True):
            operands[place] = operand
        return _call(*operands, **rule)

    return jax.jvp(of, [primals[n] for n in places], [tangents[n] for n in places])


def _transpose(cotangents: Any, *operands: Any, transpose: Function, known: int, function: Function) -> Any:
    del function
    filled = [ad.instantiate_zeros(d) for d in cotangents]
    gradients = transpose(operands[:known], filled)
    wanted = [ad.is_undefined_primal(operand) for operand in operands[known:]]
    return [None] * known + [d if want else None for d, want in zip(gradients, wanted, strict=True)]


def _batch(operands: Sequence[Any], axes: Sequence[Any], function: Function, transpose: Function, known: int) -> Any:
    """A batch of both functions; every tangent gets the batch axis, so that the transpose sums over it outside."""
    size = next(operand.shape[axis] for operand, axis in zip(operands, axes, strict=True) if axis is not None)
    tangents = [
        jnp.broadcast_to(moving, (size, *moving.shape)) if axis is None else jnp.moveaxis(moving, axis, 0)
        for moving, axis in zip(operands[known:], axes[known:], strict=True)
    ]
    over = (list(axes[:known]), 0)
    results = linear(
        lambda known, moving: jax.vmap(function, over)(list(known), list(moving)),
        lambda known, moving: jax.vmap(transpose, over)(list(known), list(moving)),
        operands[:known],
        tangents,
    )
    return results, [0] * len(results)


_linear_p.def_impl(_call)
mlir.register_lowering(_linear_p, mlir.lower_fun(_call, multiple_results=True))
ad.primitive_jvps[_linear_p] = _jvp
ad.primitive_transposes[_linear_p] = _transpose
batching.primitive_batchers[_linear_p] = _batch
