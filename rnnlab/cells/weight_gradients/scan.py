"""The scan and its gradient.

The gradient of a plain scan adds ``h^T dz`` to a weight's gradient at every step: a product of few rows, and a pass
over the whole gradient each time. Here the reverse scan stores dz, and a weight's gradient is one product over all
steps and examples; a bias, which is added to the product, has one sum. Activations store their values and no slopes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.cells.weight_gradients.later import gather_up
from rnnlab.cells.weight_gradients.leaves import Leaves, float0, floats, merged, with_float0
from rnnlab.cells.weight_gradients.own_gradients import ACTIVATIONS, pieces_of, product, turned_weights
from rnnlab.cells.weight_gradients.program import (
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
from rnnlab.core.types import Array, Carry, Params

Step = Callable[[Params, Carry, Any], tuple[Carry, Any]]


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
    layout, turned = None, turned_weights(program, given)

    def step(carry: Leaves, x: Leaves) -> tuple[Leaves, Any]:
        nonlocal layout
        zeros = [jnp.zeros(var.aval.shape, var.aval.dtype) for var in program.deferred]
        moving = (zeros, [given[place] for place in program.direct], floats(carry), floats(x))
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
    values.update(zip(program.carry, merged(carry, floats_of_carry), strict=True))
    values.update(zip(program.x, merged(x, floats_of_x), strict=True))
    added = dict(zip(program.deferred, zeros, strict=True))
    factors = {}
    for equation in program.equations:
        operands = [read(atom, values) for atom in equation.invars]
        result, name = result_of(equation), equation.primitive.name
        if name == "slice" and (cut := program.cuts.get(equation.invars[0])):
            if result not in values:  # all pieces are made with the first
                values.update(zip(cut.pieces, pieces_of(cut, operands[0]), strict=True))
            continue
        if result not in program.deferred:
            results = [ACTIVATIONS[name](*operands)] if name in ACTIVATIONS else bind(equation, operands)
            values.update(zip(equation.outvars, results, strict=True))
            continue
        place = program.deferred[result]
        weight, other = equation.invars[place], 1 - place
        operands[place] = fixed[weight]
        if name != "add" and equation.invars[other] in program.of_x:
            operands[other] = jax.lax.stop_gradient(operands[other])
        elif name != "add":
            factors[program.number(result)] = operands[other]
        if weight in turned and program.number(result) in factors and is_rows_times_weight(equation, place):
            values[result] = product(equation, *operands, turned[weight]) + added[result]
        else:
            values[result] = bind(equation, operands)[0] + added[result]
    return ([read(atom, values) for atom in program.after], [read(atom, values) for atom in program.out]), factors


def _backward(program: Program, reverse: bool, stored: Any, cotangents: Any) -> tuple[Leaves, Leaves, Leaves]:
    layout, given, carry, xs, kept = stored
    turned, direct = list(turned_weights(program, given).values()), [given[place] for place in program.direct]
    order: list[int] = []

    def step(state: tuple[Leaves, Leaves], inputs: Any) -> tuple[Any, Any]:
        nonlocal order
        d_after, summed = state
        d_out, x, kept = inputs
        sources = {"given": given, "turned": turned, "x": x, "kept": kept}
        gradient = jax.tree.unflatten(layout.tree, [sources[name][n] for name, n in layout.places])
        d_zeros, d_direct, d_carry, d_x = gradient((with_float0(d_after, carry), d_out))
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
    d_given = [jnp.zeros_like(leaf) if differentiable(leaf) else float0(leaf) for leaf in given]
    for place, total in zip(program.direct, summed, strict=True):
        d_given[place] = total
    factors = {n: kept[place] for n, place in layout.factors}
    d_seen = gather_up(program, given, xs, factors, [distinct[n] for n in order], d_given)
    d_x = [a + b for a, b in zip(d_x, d_seen, strict=True)]
    return d_given, with_float0(d_carry, carry), with_float0(d_x, xs)


_scan.defvjp(_forward, _backward)
