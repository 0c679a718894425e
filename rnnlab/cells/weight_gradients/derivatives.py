"""Derivative rules: a fast function with the derivatives of a plain one, and a linear function with a fast transpose.

Both functions here compute the same as a plain one. Whatever JAX asks of them that has no fast implementation is done
by the plain one, so that it is right by construction.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from rnnlab.cells.weight_gradients.leaves import Leaves, differentiable, floats, merged, with_float0
from rnnlab.core.types import Array

Function = Callable[..., Leaves]
Places = Sequence[int]  # of the arguments that a derivative is taken of


def moving(tangents: Sequence[Any]) -> Places:
    """The places of tangents that are not zero by construction, as those of integers and of constants are."""
    return [n for n, t in enumerate(tangents) if not isinstance(t, SymbolicZero) and t.dtype != jax.dtypes.float0]


def jvp_at(function: Function, primals: Sequence[Any], places: Places, tangents: Sequence[Any]) -> Leaves:
    """The tangents of the float results, given those of the arguments at ``places``."""
    of = lambda *moved: floats(function(*_replaced(primals, places, moved)))  # noqa: E731
    return jax.jvp(of, [primals[n] for n in places], list(tangents))[1]


def vjp_at(function: Function, primals: Sequence[Any], places: Places) -> tuple[Leaves, Callable[[Leaves], Leaves]]:
    """All results, and the function from the cotangents of the float ones to the gradients at ``places``."""

    def of(*moved: Any) -> tuple[Leaves, Leaves]:
        results = function(*_replaced(primals, places, moved))
        return floats(results), results

    values, pullback, results = jax.vjp(of, *[primals[n] for n in places], has_aux=True)
    return merged(results, values), lambda d: list(pullback(list(d)))


def with_derivatives_of(plain: Function, fast: Function, count: int) -> Function:
    """``fast(*arguments)``, differentiated as ``plain``.

    ``plain`` takes the first ``count`` arguments, on which alone the results depend; the others follow from these. It
    returns what ``fast`` returns, or only the first results if the derivatives of the others are never used.
    """
    function = jax.custom_jvp(lambda *arguments: fast(*arguments))

    def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Leaves, Leaves]:
        results, places = function(*primals), moving(tangents[:count])
        found = jvp_at(plain, primals[:count], places, [tangents[n] for n in places]) if places else []
        zeros = [jnp.zeros_like(leaf) for leaf in floats(results)[len(found) :]]
        return results, with_float0([*found, *zeros], results)

    function.defjvp(rule, symbolic_zeros=True)
    return function


def with_gradient(
    plain: Function, values: Function, forward: Function, gradients: Callable[[Leaves, Leaves, Leaves], Leaves],
    number: int,
) -> Function:  # fmt: skip
    """``plain``, whose first derivative in reverse mode is made by ``forward`` and ``gradients``; others are its own.

    ``values`` computes what ``plain`` does, ``number`` arrays, where nothing is differentiated; ``forward`` these and
    what it keeps; ``gradients(primals, kept, d)`` the gradients of all float primals from those of the float results.
    """

    @jax.custom_jvp
    def function(*primals: Array) -> Leaves:
        return values(*primals)

    def rule(primals: Leaves, tangents: Leaves) -> tuple[Leaves, Leaves]:
        places, count = moving(tangents), len(primals)
        floating = [n for n, leaf in enumerate(primals) if differentiable(leaf)]

        def tangents_at_places(known: Leaves, moved: Leaves) -> Leaves:
            return jvp_at(plain, known[:count], places, moved)

        def gradients_at_places(known: Leaves, d: Leaves) -> Leaves:
            def plain_gradient(*operands: Array) -> Leaves:
                return vjp_at(plain, operands[:count], places)[1](list(operands[count:]))

            def fast_gradient(*operands: Array) -> Leaves:
                end = count + len(d)
                found = gradients(list(operands[:count]), list(operands[end:]), list(operands[count:end]))
                return [found[floating.index(n)] for n in places]

            gradient = with_derivatives_of(plain_gradient, fast_gradient, count + len(d))
            return gradient(*known[:count], *d, *known[count:])

        # What is differentiated further is the values as the first differentiation made them.
        made = with_derivatives_of(lambda *primals: vjp_at(plain, list(primals), places)[0], forward, count)(*primals)
        ends, kept = made[:number], made[number:]
        moved = [tangents[n] for n in places]
        tangents_out = linear(tangents_at_places, gradients_at_places, [*primals, *kept], moved)
        return ends, with_float0(tangents_out, ends)

    function.defjvp(rule, symbolic_zeros=True)
    return function


def _replaced(leaves: Sequence[Any], places: Places, values: Sequence[Any]) -> Leaves:
    replaced = list(leaves)
    for place, value in zip(places, values, strict=True):
        replaced[place] = value
    return replaced


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

    def of(*moved: Any) -> Leaves:
        return _call(*_replaced(primals, places, moved), **rule)

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
        jnp.broadcast_to(tangent, (size, *tangent.shape)) if axis is None else jnp.moveaxis(tangent, axis, 0)
        for tangent, axis in zip(operands[known:], axes[known:], strict=True)
    ]
    over = (list(axes[:known]), 0)
    results = linear(
        lambda known, moved: jax.vmap(function, over)(list(known), list(moved)),
        lambda known, d: jax.vmap(transpose, over)(list(known), list(d)),
        operands[:known],
        tangents,
    )
    return results, [0] * len(results)


_linear_p.def_impl(_call)
mlir.register_lowering(_linear_p, mlir.lower_fun(_call, multiple_results=True))
ad.primitive_jvps[_linear_p] = _jvp
ad.primitive_transposes[_linear_p] = _transpose
batching.primitive_batchers[_linear_p] = _batch
