"""The weight gradients that waited for the reverse scan: one product over all steps each."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from rnnlab.cells.weight_gradients.leaves import Leaves, differentiable, floats, merged
from rnnlab.cells.weight_gradients.local_rules import contiguous_transpose, matmul_like
from rnnlab.cells.weight_gradients.program import (
    Equation,
    Program,
    bind,
    evaluate,
    is_rows_times_weight,
    result_of,
)
from rnnlab.core.types import Array


def add_weight_grads(
    program: Program, given: Leaves, xs: Leaves, factors: Mapping[int, Array], d_results: Leaves, d_given: Leaves
) -> Leaves:
    """Add to ``d_given``, by place in ``given``, what waited; return what the products give back to floats of ``xs``.

    ``d_results [T, ...]`` are the gradients of the deferred results, ``factors [T, ...]`` the stored other operands by
    the number of the product. A factor that is made of x alone is made again, at all steps at once.
    """
    equations = {result_of(equation): equation for equation in program.equations}
    from_x = [
        (n, equations[result].invars[1 - place]) for n, (result, place) in enumerate(program.deferred.items())
        if equations[result].primitive.name != "add" and n not in factors
    ]  # fmt: skip
    floating = [n for n, leaf in enumerate(given) if differentiable(leaf)]

    def factors_of_x(moving: Leaves, floats: Leaves) -> Leaves:
        whole = merged(given, moving)

        def at_one_step(x: Leaves) -> Leaves:
            values = dict(zip([*program.given, *program.x], [*whole, *x], strict=True))
            evaluate([e for e in program.equations if result_of(e) in program.of_x], values)
            return [values[var] for _, var in from_x]

        return jax.vmap(at_one_step)(merged(xs, floats))

    remade, pullback = jax.vjp(factors_of_x, [given[n] for n in floating], floats(xs))
    factors = {**factors, **{n: factor for (n, _), factor in zip(from_x, remade, strict=True)}}
    d_remade = {n: jnp.zeros(factors[n].shape, jax.dtypes.float0) for n, _ in from_x}
    for n, (result, place) in enumerate(program.deferred.items()):
        equation, d = equations[result], d_results[n]
        where = program.given.index(equation.invars[place])
        weight = given[where]
        d_given[where] += _to_weight(equation, place, factors.get(n), weight, d)
        if n in d_remade and differentiable(factors[n]):
            d_remade[n] = _to_factor(equation, place, factors[n], weight, d)
    d_moving, d_floats = pullback([d_remade[n] for n, _ in from_x])
    for n, more in zip(floating, d_moving, strict=True):
        d_given[n] += more
    return d_floats


def _to_weight(equation: Equation, place: int, factor: Array | None, weight: Array, d: Array) -> Array:
    if factor is None:
        return jax.linear_transpose(lambda leaf: jnp.broadcast_to(leaf, d.shape), weight)(d)[0]
    if is_rows_times_weight(equation, place):  # in this order nothing is transposed but the narrow factor
        rows = factor.reshape(-1, factor.shape[-1])
        product = matmul_like(equation, contiguous_transpose(rows), d.reshape(len(rows), -1))
        return product.reshape(weight.shape).astype(weight.dtype)
    return jax.linear_transpose(lambda leaf: _at_all_steps(equation, place, factor, leaf), weight)(d)[0]


def _to_factor(equation: Equation, place: int, factor: Array, weight: Array, d: Array) -> Array:
    if is_rows_times_weight(equation, place):
        transposed = contiguous_transpose(weight)
        product = matmul_like(equation, d.reshape(-1, len(transposed)), transposed)
        return product.reshape(factor.shape).astype(factor.dtype)
    return jax.linear_transpose(lambda leaf: _at_all_steps(equation, place, leaf, weight), factor)(d)[0]


def _at_all_steps(equation: Equation, place: int, factor: Array, weight: Array) -> Array:
    return jax.vmap(lambda one: bind(equation, (weight, one) if place == 0 else (one, weight))[0])(factor)
