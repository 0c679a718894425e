"""One step's gradient: what the forward step stores for it, and the reverse step, each traced once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from rnnlab.cells.weight_gradients.leaves import Leaves, floats, merged, with_float0
from rnnlab.cells.weight_gradients.local_rules import ACTIVATIONS, product, split, transposed_weights
from rnnlab.cells.weight_gradients.program import (
    Program,
    Variable,
    bind,
    evaluate,
    is_in,
    is_rows_times_weight,
    read,
    result_of,
    variables,
)
from rnnlab.core.types import Array


@dataclass(frozen=True, eq=False)
class StepGradient:
    """The two halves of a step's gradient, and where the values that pass from one to the other are found."""

    program: Program
    traced: ClosedJaxpr  # (given, transposed, carry, x) -> (after, out, factors, residuals of the gradient)
    pullback: Any  # tree of the gradient function, whose leaves are the residuals
    # Of each residual: ("given" | "transposed" | "fixed" | "x" | "kept", which) or ("constant", its value).
    sources: Sequence[tuple[str, Any]]
    factors: Mapping[int, int]  # number of a deferred product -> which of "kept" its stored factor is
    kept: Sequence[int]  # outputs of ``traced`` that are stored
    of_given: Sequence[Variable]  # residuals that are made of given leaves alone: made again, once

    def forward(self, given: Leaves, transposed: Leaves, carry: Leaves, x: Leaves) -> tuple[Leaves, Leaves, Leaves]:
        """``(after, out, kept)`` of one step."""
        results = jaxpr_as_fun(self.traced)(*given, *transposed, *carry, *x)
        after, out = len(self.program.after), len(self.program.out)
        return results[:after], results[after : after + out], [results[n] for n in self.kept]

    def fixed(self, given: Leaves, transposed: Leaves) -> Leaves:
        """The residuals that are the same at all steps."""
        jaxpr = self.traced.jaxpr
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*self.traced.consts, *given, *transposed], strict=False))
        for equation in jaxpr.eqns if self.of_given else ():
            if all(var in values for var in variables(equation.invars)):
                evaluate([equation], values)
        return [values[var] for var in self.of_given]

    def backward(
        self, given: Leaves, transposed: Leaves, fixed: Leaves, x: Leaves, kept: Leaves, d_after: Leaves, d_out: Leaves
    ) -> tuple[Leaves, Leaves, Leaves, Leaves]:
        """The gradients of deferred results, other uses of given leaves, the carry and x. Only of floats."""
        found = {"given": given, "transposed": transposed, "fixed": fixed, "x": x, "kept": kept}
        residuals = [where if source == "constant" else found[source][where] for source, where in self.sources]
        after, out = ([atom.aval for atom in atoms] for atoms in (self.program.after, self.program.out))
        return jax.tree.unflatten(self.pullback, residuals)((with_float0(d_after, after), with_float0(d_out, out)))


def step_gradient(program: Program) -> StepGradient:
    """Trace a step's gradient. A residual that is an input of the step, or there already, is not stored again."""

    def differentiated(given: Leaves, transposed: Leaves, carry: Leaves, x: Leaves) -> Any:
        zeros = [jnp.zeros(var.aval.shape, var.aval.dtype) for var in program.deferred]
        moving = (zeros, [given[n] for n in program.other_uses], floats(carry), floats(x))
        fixed = (program, given, dict(zip(weights, transposed, strict=True)), carry, x)
        ends, pullback, factors = jax.vjp(lambda *moving: _perturbed_step(*fixed, *moving), *moving, has_aux=True)
        return ends, factors, pullback

    def like(atoms: Sequence[Variable]) -> Leaves:
        return [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in atoms]

    given, carry, x = like(program.given), like(program.carry), like(program.x)
    transposed: dict[Variable, Any] = {}

    def shapes(given: Leaves) -> Leaves:
        transposed.update(transposed_weights(program, given))
        return list(transposed.values())

    shapes_of_transposed = jax.eval_shape(shapes, given)
    weights = list(transposed)
    traced, (_, factors, pullback) = jax.make_jaxpr(differentiated, return_shape=True)(
        given, shapes_of_transposed, carry, x
    )
    jaxpr: Any = traced.jaxpr
    inputs = {"given": given, "transposed": shapes_of_transposed, "carry": carry, "x": x}
    places = [(name, n) for name, leaves in inputs.items() for n in range(len(leaves))]
    source_of: dict[Variable, tuple[str, Any]] = {
        var: place for var, place in zip(jaxpr.invars, places, strict=True) if place[0] != "carry"
    }
    source_of.update({v: ("constant", c) for v, c in zip(jaxpr.constvars, traced.consts, strict=True)})
    kept: list[int] = []
    stored: dict[Variable, int] = {}

    def store(output: int) -> int:
        var = jaxpr.outvars[output]
        if var not in stored:
            stored[var] = len(kept)
            kept.append(output)
        return stored[var]

    first = len(program.after) + len(program.out)
    same_at_all_steps = {var for var, (name, _) in source_of.items() if name != "x"}
    for equation in jaxpr.eqns:
        if same_at_all_steps.issuperset(variables(equation.invars)):
            same_at_all_steps.update(equation.outvars)
    of_given: list[Variable] = []
    stored_factors = {n: store(first + i) for i, n in enumerate(sorted(factors))}
    sources: list[tuple[str, Any]] = []
    for output in range(first + len(factors), len(jaxpr.outvars)):
        var = jaxpr.outvars[output]
        if isinstance(var, Literal):
            sources.append(("constant", jnp.asarray(var.val, var.aval.dtype)))  # type: ignore[attr-defined]
        elif var not in source_of and var in same_at_all_steps:
            source_of[var] = ("fixed", len(of_given))
            of_given.append(var)
            sources.append(source_of[var])
        else:
            sources.append(source_of[var] if var in source_of else ("kept", store(output)))
    return StepGradient(program, traced, jax.tree.structure(pullback), sources, stored_factors, kept, of_given)


def _perturbed_step(
    program: Program, given: Leaves, transposed: Mapping[Variable, Array], carry: Leaves, x: Leaves,
    zeros: Leaves, other_uses: Leaves, floats_of_carry: Leaves, floats_of_x: Leaves,
) -> tuple[Any, Any]:  # fmt: skip
    """The step as a function of the last four: zeros added to deferred results, given leaves with other uses, the
    floats of carry and of x.

    Also, by the number of a deferred product, the factor that is stored for it.
    """
    fixed = dict(zip(program.given, given, strict=True))
    values = {**fixed, **dict(zip([program.given[n] for n in program.other_uses], other_uses, strict=True))}
    values.update(zip(program.carry, merged(carry, floats_of_carry), strict=True))
    values.update(zip(program.x, merged(x, floats_of_x), strict=True))
    numbers = {result: n for n, result in enumerate(program.deferred)}
    factors: dict[int, Array] = {}
    for equation in program.equations:
        result, name = result_of(equation), equation.primitive.name
        if name == "slice" and (cut := program.cuts.get(equation.invars[0])):
            if result not in values:  # all pieces are made with the first
                values.update(zip(cut.pieces, split(cut, read(equation.invars[0], values)), strict=True))
            continue
        if result not in program.deferred:
            if name in ACTIVATIONS and equation.params.get("accuracy") is None:
                values[result] = ACTIVATIONS[name](read(equation.invars[0], values))
            else:
                evaluate([equation], values)
            continue
        operands = [read(atom, values) for atom in equation.invars]
        place, n = program.deferred[result], numbers[result]
        weight, other = equation.invars[place], 1 - place
        operands[place] = fixed[weight]
        if name != "add" and is_in(equation.invars[other], program.of_x):
            operands[other] = jax.lax.stop_gradient(operands[other])
        elif name != "add":
            factors[n] = operands[other]
        if weight in transposed and n in factors and is_rows_times_weight(equation, place):
            values[result] = product(equation, *operands, transposed[weight]) + zeros[n]
        else:
            values[result] = bind(equation, operands)[0] + zeros[n]
    ends = [read(atom, values) for atom in program.after], [read(atom, values) for atom in program.out]
    return ends, factors
