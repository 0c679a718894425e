"""The scan and its gradient.

The gradient of a plain scan adds ``h^T dz`` to a weight's gradient at every step: a product of few rows, and a pass
over the whole gradient each time. Here the reverse scan stores dz, and a weight's gradient is one product over all
steps and examples; a bias, which is added to the product, has one sum. Activations store their values and no slopes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.deferred.program import (
    Equation,
    Program,
    Variable,
    bind,
    differentiable,
    evaluate,
    is_rows_times_weight,
    read,
    read_program,
    result_of,
)
from rnnlab.types import Array, Carry, Params

Step = Callable[[Params, Carry, Any], tuple[Carry, Any]]
Leaves = list[Array]


def scan(step: Step, params: Params, carry: Carry, xs: Any, *, reverse: bool = False) -> tuple[Carry, Any]:
    """``jax.lax.scan(partial(step, params), carry, xs)``, with a faster gradient and no forward-mode derivatives.

    Leaves of ``xs`` are ``[T, ...]``. ``step`` may be any pure function; products with parameters that it makes inside
    of its own loops get their gradient as a plain scan gives it.
    """
    x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), xs)
    closed, shapes = jax.make_jaxpr(step, return_shape=True)(params, carry, x)
    program = read_program(closed, *(len(jax.tree.leaves(tree)) for tree in (params, carry)))
    values = dict(zip(program.known, [*closed.consts, *jax.tree.leaves(params)], strict=True))
    evaluate(program.outside, values)
    given = [values[var] for var in program.given]
    ends = _scan(program, reverse, given, jax.tree.leaves(carry), jax.tree.leaves(xs))
    after, out = (jax.tree.unflatten(jax.tree.structure(s), leaves) for s, leaves in zip(shapes, ends, strict=True))
    return after, out


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _scan(program: Program, reverse: bool, given: Leaves, carry: Leaves, xs: Leaves) -> tuple[Leaves, Leaves]:
    def step(carry: Leaves, x: Leaves) -> tuple[Leaves, Leaves]:
        values = dict(zip([*program.given, *program.carry, *program.x], [*given, *carry, *x], strict=True))
        evaluate(program.equations, values)
        return [read(atom, values) for atom in program.after], [read(atom, values) for atom in program.out]

    return jax.lax.scan(step, carry, xs, reverse=reverse)


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Layout:
    """A step's gradient function: its structure, and where its leaves come from."""

    tree: Any
    places: tuple[tuple[str, int], ...]  # "given", "turned", "x" (of this step) or "kept" (stacked), and which
    factors: tuple[tuple[int, int], ...]  # number of a deferred product -> which of "kept" its factor is


def _forward(program: Program, reverse: bool, given: Leaves, carry: Leaves, xs: Leaves) -> tuple[Any, Any]:
    layout, turned = None, _turned(program, given)

    def step(carry: Leaves, x: Leaves) -> tuple[Leaves, Any]:
        nonlocal layout
        zeros = [jnp.zeros(var.aval.shape, var.aval.dtype) for var in program.deferred]
        moving = (zeros, [given[place] for place in program.direct], _floats(carry), _floats(x))
        run = partial(_differentiated, program, given, turned, carry, x)
        (after, out), gradient, factors = jax.vjp(run, *moving, has_aux=True)
        leaves, tree = jax.tree.flatten(gradient)
        sources = {"given": given, "turned": list(turned.values()), "x": x}
        place_of = {id(leaf): (name, n) for name, found in sources.items() for n, leaf in enumerate(found)}
        stacked: dict[int, int] = {}
        kept: Leaves = []
        needed = [*factors.values(), *(leaf for leaf in leaves if id(leaf) not in place_of)]
        for leaf in needed:
            if id(leaf) not in stacked:
                stacked[id(leaf)] = len(kept)
                kept.append(leaf)
        place_of = {**{leaf: ("kept", n) for leaf, n in stacked.items()}, **place_of}
        places = tuple(place_of[id(leaf)] for leaf in leaves)
        layout = _Layout(tree, places, tuple((n, stacked[id(leaf)]) for n, leaf in factors.items()))
        return after, (out, kept)

    after, (out, kept) = jax.lax.scan(step, carry, xs, reverse=reverse)
    return (after, out), (layout, given, carry, xs, kept)


def _differentiated(
    program: Program, given: Leaves, turned: Mapping[Variable, Array], carry: Leaves, x: Leaves,
    zeros: Leaves, direct: Leaves, floats_of_carry: Leaves, floats_of_x: Leaves,
) -> tuple[Any, Any]:  # fmt: skip
    """The step as a function of the last four: zeros added to deferred results, given leaves with direct uses, the
    floats of carry and of x.

    Also, by the place of a deferred product, the factor that it has from the carry.
    """
    fixed = dict(zip(program.given, given, strict=True))
    values = {**fixed, **dict(zip([program.given[place] for place in program.direct], direct, strict=True))}
    values.update(zip(program.carry, _merged(carry, floats_of_carry), strict=True))
    values.update(zip(program.x, _merged(x, floats_of_x), strict=True))
    added = dict(zip(program.deferred, zeros, strict=True))
    factors = {}
    for equation in program.equations:
        operands = [read(atom, values) for atom in equation.invars]
        result, name = result_of(equation), equation.primitive.name
        if result not in program.deferred:
            results = [_ACTIVATIONS[name](*operands)] if name in _ACTIVATIONS else bind(equation, operands)
            values.update(zip(equation.outvars, results, strict=True))
            continue
        place = program.deferred[result]
        weight, other = equation.invars[place], 1 - place
        operands[place] = fixed[weight]
        if name != "add" and equation.invars[other] in program.of_x:
            operands[other] = jax.lax.stop_gradient(operands[other])
        elif name != "add":
            factors[_number(program, result)] = operands[other]
        if weight in turned and _number(program, result) in factors and is_rows_times_weight(equation, place):
            values[result] = _product(equation, *operands, turned[weight]) + added[result]
        else:
            values[result] = bind(equation, operands)[0] + added[result]
    return ([read(atom, values) for atom in program.after], [read(atom, values) for atom in program.out]), factors


def _backward(program: Program, reverse: bool, stored: Any, cotangents: Any) -> tuple[Leaves, Leaves, Leaves]:
    layout, given, carry, xs, kept = stored
    turned, direct = list(_turned(program, given).values()), [given[place] for place in program.direct]
    order: list[int] = []

    def step(state: tuple[Leaves, Leaves], inputs: Any) -> tuple[Any, Any]:
        nonlocal order
        d_after, summed = state
        d_out, x, kept = inputs
        sources = {"given": given, "turned": turned, "x": x, "kept": kept}
        gradient = jax.tree.unflatten(layout.tree, [sources[name][n] for name, n in layout.places])
        d_zeros, d_direct, d_carry, d_x = gradient((_with_float0(d_after, carry), d_out))
        place_of: dict[int, int] = {}  # a sum of deferred results gives all of them one and the same array
        order = [place_of.setdefault(id(leaf), len(place_of)) for leaf in d_zeros]
        distinct = [d_zeros[order.index(n)] for n in range(len(place_of))]
        return (d_carry, [jnp.add(*pair) for pair in zip(summed, d_direct, strict=True)]), (distinct, d_x)

    d_after, d_out = cotangents
    start = (
        [d for d, leaf in zip(d_after, carry, strict=True) if differentiable(leaf)],
        jax.tree.map(jnp.zeros_like, direct),
    )
    (d_carry, summed), (distinct, d_x) = jax.lax.scan(step, start, (d_out, xs, kept), reverse=not reverse)
    d_given = [jnp.zeros_like(leaf) if differentiable(leaf) else _float0(leaf) for leaf in given]
    for place, total in zip(program.direct, summed, strict=True):
        d_given[place] = total
    factors = {n: kept[place] for n, place in layout.factors}
    d_seen = _gather_up(program, given, xs, factors, [distinct[n] for n in order], d_given)
    d_x = [a + b for a, b in zip(d_x, d_seen, strict=True)]
    return d_given, _with_float0(d_carry, carry), _with_float0(d_x, xs)


def _gather_up(
    program: Program, given: Leaves, xs: Leaves, factors: Mapping[int, Array], d_results: Leaves, d_given: Leaves
) -> Leaves:
    """Add to ``d_given`` what waited, from ``d_results [T, ...]``; what the products give back to floats of ``xs``."""
    equations = {result_of(equation): equation for equation in program.equations}
    from_x = [
        (n, equations[result].invars[1 - place]) for n, (result, place) in enumerate(program.deferred.items())
        if equations[result].primitive.name != "add" and n not in factors
    ]  # fmt: skip
    floating = [n for n, leaf in enumerate(given) if differentiable(leaf)]

    def seen(moving: Leaves, floats: Leaves) -> Leaves:
        """The factors that x gives, at all steps."""
        merged = _merged(given, moving)

        def at_one(x: Leaves) -> Leaves:
            values = dict(zip([*program.given, *program.x], [*merged, *x], strict=True))
            evaluate([e for e in program.equations if result_of(e) in program.of_x], values)
            return [values[var] for _, var in from_x]

        return jax.vmap(at_one)(_merged(xs, floats))

    found, back = jax.vjp(seen, [given[n] for n in floating], _floats(xs))
    factors = {**factors, **{n: factor for (n, _), factor in zip(from_x, found, strict=True)}}
    d_found = {n: _float0(factors[n]) for n, _ in from_x}
    for n, (result, place) in enumerate(program.deferred.items()):
        equation, d = equations[result], d_results[n]
        where = program.given.index(equation.invars[place])
        weight = given[where]
        d_given[where] += _to_weight(equation, place, factors.get(n), weight, d)
        if n in d_found and differentiable(factors[n]):
            d_found[n] = _to_factor(equation, place, factors[n], weight, d)
    d_moving, d_floats = back([d_found[n] for n, _ in from_x])
    for n, more in zip(floating, d_moving, strict=True):
        d_given[n] += more
    return d_floats


def _to_weight(equation: Equation, place: int, factor: Array | None, weight: Array, d: Array) -> Array:
    if factor is None:
        return jax.linear_transpose(lambda leaf: jnp.broadcast_to(leaf, d.shape), weight)(d)[0]
    if is_rows_times_weight(equation, place):  # in this order nothing is transposed but the narrow factor
        rows = factor.reshape(-1, factor.shape[-1]).astype(d.dtype)
        return jnp.reshape(rows.T @ d.reshape(len(rows), -1), weight.shape).astype(weight.dtype)
    return jax.linear_transpose(lambda leaf: _at_all_steps(equation, place, factor, leaf), weight)(d)[0]


def _to_factor(equation: Equation, place: int, factor: Array, weight: Array, d: Array) -> Array:
    if is_rows_times_weight(equation, place):
        turned = _turn(weight)
        return jnp.reshape(d.reshape(-1, len(turned)) @ turned.astype(d.dtype), factor.shape).astype(factor.dtype)
    return jax.linear_transpose(lambda leaf: _at_all_steps(equation, place, leaf, weight), factor)(d)[0]


def _at_all_steps(equation: Equation, place: int, factor: Array, weight: Array) -> Array:
    return jax.vmap(lambda one: bind(equation, (weight, one) if place == 0 else (one, weight))[0])(factor)


def _turned(program: Program, given: Leaves) -> dict[Variable, Array]:
    """``[N, K]`` of the weights ``[K, ...]`` that rows of the carry are multiplied by.

    Made once; XLA would make it in every step of the reverse scan (CPU, jaxlib 0.10).
    """
    weights, found = dict(zip(program.given, given, strict=True)), {}
    for equation in program.equations:
        place = program.deferred.get(result_of(equation))
        if place is not None and is_rows_times_weight(equation, place) and equation.invars[0] not in program.of_x:
            found[equation.invars[1]] = _turn(weights[equation.invars[1]])
    return found


def _turn(weight: Array) -> Array:
    return jax.lax.optimization_barrier(weight.reshape(len(weight), -1).T)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _product(equation: Equation, rows: Array, weight: Array, turned: Array) -> Array:
    """``rows @ weight``, whose gradient to rows is a product with ``turned``; the weight's own is left for later."""
    return bind(equation, (rows, weight))[0]


def _product_back(equation: Equation, stored: Any, d: Array) -> tuple[Array, Array, Array]:
    weight, turned = stored
    rows = equation.invars[0].aval
    found = d.reshape(*rows.shape[:-1], len(turned)) @ turned.astype(d.dtype)
    return found.astype(rows.dtype), jnp.zeros_like(weight), jnp.zeros_like(turned)


def _keeping_result(function: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Callable[..., Array]:
    """``function`` whose gradient is made from its result, which is stored anyway."""
    kept = jax.custom_vjp(function)
    kept.defvjp(lambda z: (function(z),) * 2, lambda result, d: (d * slope(result),))
    return kept


_ACTIVATIONS = {
    "logistic": _keeping_result(jax.lax.logistic, lambda s: s * (1 - s)),
    "tanh": _keeping_result(jax.lax.tanh, lambda t: 1 - t * t),
}
_product.defvjp(lambda eqn, rows, weight, turned: (bind(eqn, (rows, weight))[0], (weight, turned)), _product_back)
_scan.defvjp(_forward, _backward)


def _number(program: Program, result: Variable) -> int:
    return list(program.deferred).index(result)


def _floats(leaves: Sequence[Array]) -> Leaves:
    return [leaf for leaf in leaves if differentiable(leaf)]


def _merged(leaves: Sequence[Array], floats: Sequence[Array]) -> Leaves:
    """``leaves`` with the differentiable ones replaced, in turn, by ``floats``."""
    rest = iter(floats)
    return [next(rest) if differentiable(leaf) else leaf for leaf in leaves]


def _with_float0(floats: Sequence[Array], leaves: Sequence[Array]) -> Leaves:
    """``floats`` at the differentiable ones of ``leaves``, and at the others the gradient that they have: none."""
    rest = iter(floats)
    return [next(rest) if differentiable(leaf) else _float0(leaf) for leaf in leaves]


def _float0(leaf: Array) -> Any:
    return np.zeros(leaf.shape, jax.dtypes.float0)
