"""What a step does, read from its jaxpr: what needs no time axis, and where weights enter.

The reading only decides which gradients wait; every equation is still computed, and differentiated, by JAX. What is not
known to be safe to move is left where it is, and its gradient is that of the plain scan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal, jaxprs_in_params

from rnnlab.cells.weight_gradients.leaves import differentiable
from rnnlab.core.types import Array

Variable = Any  # of a jaxpr
Atom = Any  # a variable or a literal
Equation = Any
Environment = dict[Variable, Array]
_CALLS = ("jit", "pjit")

# Deterministic operations that vmap does not change, and whose gradients are linear in the cotangent: these may be done
# once for all steps. Custom derivatives are not among them: a clipped gradient is clipped at every step.
_MOVABLE = frozenset([
    "abs", "acos", "acosh", "add", "add_any", "and", "argmax", "argmin", "asin", "asinh", "atan", "atan2",
    "atanh", "bitcast_convert_type", "broadcast_in_dim", "cbrt", "ceil", "cholesky", "clamp", "complex",
    "concatenate", "conj", "convert_element_type", "copy", "cos", "cosh", "cummax", "cummin", "cumprod",
    "cumsum", "div", "dot_general", "dynamic_slice", "eq", "erf", "erf_inv", "erfc", "exp", "exp2",
    "expand_dims", "expm1", "floor", "gather", "ge", "gt", "imag", "integer_pow", "iota", "is_finite", "le",
    "log", "log1p", "logistic", "lt", "lu", "lu_pivots_to_permutation", "max", "min", "mul", "ne", "neg", "not",
    "or", "pad", "pow", "real", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_precision",
    "reduce_prod", "reduce_sum", "rem", "reshape", "rev", "round", "rsqrt", "select_n", "sign", "sin", "sinh",
    "slice", "sort", "split", "sqrt", "square", "squeeze", "stop_gradient", "sub", "tan", "tanh", "transpose",
    "triangular_solve", "xor",
])  # fmt: skip
# A product that widens a vector of the carry more, such as a readout over a vocabulary, would store more than it saves.
MOST_WIDENED = 16
_MOVABLE_WITH_INNER = frozenset({"cond", "custom_linear_solve", "jit", "pjit", "scan", "while"})


@dataclass(frozen=True, eq=False)
class Cut:
    """Slices along one axis that together are the whole of a variable."""

    pieces: Sequence[Variable]  # in their order along the axis
    axis: int
    ends: Sequence[int]  # 0, where each piece but the last ends and the next begins, and the size of the axis


@dataclass(frozen=True, eq=False)
class Program:
    """The equations of a step, sorted by what they depend on."""

    known: Sequence[Variable]  # constants, then leaves of the parameters
    outside: Sequence[Equation]  # of known ones alone, making no weight larger but a table: done once, before the scan
    given: Sequence[Variable]  # what the step needs of ``known`` and of the results of ``outside``
    equations: Sequence[Equation]  # of the step
    carry: Sequence[Variable]
    x: Sequence[Variable]
    after: Sequence[Atom]  # the carry after the step
    out: Sequence[Atom]
    # Equations whose gradient to a given variable waits until after the reverse scan: result -> place of the variable.
    deferred: Mapping[Variable, int]
    of_x: frozenset[Variable]  # what movable operations make of x and given variables alone
    cuts: Mapping[Variable, Cut]  # variables that slices cut into pieces
    other_uses: Sequence[int]  # places in ``given`` of what is also used where nothing waits

    def step(self, given: Sequence[Array], carry: Sequence[Array], x: Sequence[Array]) -> tuple[list, list]:
        """One step, as it was written: the leaves of the carry after it and of its output."""
        values = dict(zip([*self.given, *self.carry, *self.x], [*given, *carry, *x], strict=True))
        evaluate(self.equations, values)
        return [read(atom, values) for atom in self.after], [read(atom, values) for atom in self.out]


def read_program(closed: ClosedJaxpr, params: int, carries: int) -> Program:
    """The program of a step whose first ``params`` arguments are parameters and the next ``carries`` the carry.

    ``closed`` holds no calls of jitted functions: see `inline`.
    """
    jaxpr = closed.jaxpr
    own = [*jaxpr.constvars, *jaxpr.invars[:params]]
    carry, x = jaxpr.invars[params : params + carries], jaxpr.invars[params + carries :]
    known, of_x = set(own), set(x)
    outside: list[Equation] = []
    inside: list[Equation] = []
    tables = gathered_tables(jaxpr.eqns)
    for equation in jaxpr.eqns:
        inputs = variables(equation.invars)
        if is_done_once(equation, known, tables):
            known.update(equation.outvars)
            outside.append(equation)
            continue
        inside.append(equation)
        if (known | of_x).issuperset(inputs) and is_movable(equation, inner=False):
            of_x.update(equation.outvars)
    ends = variables(jaxpr.outvars)
    needed = [*(v for equation in inside for v in variables(equation.invars)), *ends]
    given = list(dict.fromkeys(v for v in needed if v in known))
    deferred = _deferred(inside, known, of_x)
    other_uses = set(ends)
    for equation in inside:
        waits = deferred.get(result_of(equation))
        other_uses.update(v for n, v in enumerate(equation.invars) if n != waits and not isinstance(v, Literal))
    places = [n for n, v in enumerate(given) if v in other_uses and differentiable(v.aval)]
    after, out = jaxpr.outvars[:carries], jaxpr.outvars[carries:]
    return Program(own, outside, given, inside, carry, x, after, out, deferred, frozenset(of_x), _cuts(inside), places)


def is_done_once(equation: Equation, known: set[Variable], tables: set[Variable]) -> bool:
    """Whether it is of ``known`` ones alone and leaves the scan: what is drawn from a key, whatever its size, tables
    whose rows are gathered, and what makes no weight larger."""
    inputs = variables(equation.invars)
    if not inputs or not known.issuperset(inputs):
        return False
    drawn = not any(differentiable(v.aval) for v in inputs)
    small = _size(equation.outvars) <= _size(inputs) or not tables.isdisjoint(equation.outvars)
    return drawn or (small and is_movable(equation, inner=True))


def gathered_tables(equations: Sequence[Equation]) -> set[Variable]:
    """The variables of which rows are gathered."""
    return {v for e in equations if e.primitive.name == "gather" for v in variables(e.invars[:1])}


def is_movable(equation: Equation, *, inner: bool) -> bool:
    """Whether an equation may be done once for all steps; with ``inner`` loops and branches too, if all in them may."""
    name = equation.primitive.name
    if inner and name in _MOVABLE_WITH_INNER:
        return all(is_movable(e, inner=True) for jaxpr in jaxprs_in_params(equation.params) for e in jaxpr.eqns)
    return name in _MOVABLE


def _deferred(equations: Sequence[Equation], known: set[Variable], of_x: set[Variable]) -> dict[Variable, int]:
    """Products with a weight, rows of a table, products with a vector; and what is added to these, whose gradient is
    the same array."""
    waiting: dict[Variable, int] = {}
    sums: set[Variable] = set()  # deferred results, and sums of them
    for equation in equations:
        name, result = equation.primitive.name, result_of(equation)
        if name not in ("dot_general", "gather", "mul", "add"):
            continue
        places = [n for n, v in enumerate(equation.invars) if is_in(v, known)]
        if len(places) == 1 and differentiable(equation.invars[places[0]].aval):
            (place,) = places
            other = equation.invars[1 - place]
            wanted = {
                "dot_general": not (_has_many_rows(other) and _size([result]) > 4 * _size([equation.invars[place]]))
                and (is_in(other, of_x) or _size([result]) <= MOST_WIDENED * _size([other])),
                "gather": place == 0,
                "mul": 1 < _size(equation.invars[place:][:1]) < _size([result]),
                "add": name == "add" and is_in(other, sums),
            }
            if wanted[name]:
                waiting[result] = place
        if result in waiting or (name == "add" and not sums.isdisjoint(variables(equation.invars))):
            sums.add(result)
    return waiting


def _has_many_rows(factor: Atom) -> bool:
    """Whether it is more than a vector an example, as a memory is: its product is large and would be stored."""
    return len(factor.aval.shape) > 2


def _cuts(equations: Sequence[Equation]) -> dict[Variable, Cut]:
    slices: dict[Variable, list[Equation]] = {}
    for equation in equations:
        if equation.primitive.name == "slice" and not equation.params["strides"]:
            slices.setdefault(equation.invars[0], []).append(equation)
    cuts = {}
    for var, cutting in slices.items():
        shape = var.aval.shape
        axes = {n for eqn in cutting for n, size in enumerate(eqn.outvars[0].aval.shape) if size != shape[n]}
        if len(axes) != 1 or not differentiable(var.aval):
            continue
        (axis,) = axes
        cutting.sort(key=lambda eqn: eqn.params["start_indices"])
        starts, limits = ([eqn.params[name][axis] for eqn in cutting] for name in ("start_indices", "limit_indices"))
        ends = [0, *limits]
        if starts == ends[:-1] and ends[-1] == shape[axis]:
            cuts[var] = Cut([eqn.outvars[0] for eqn in cutting], axis, ends)
    return cuts


def is_rows_times_weight(equation: Equation, place: int) -> bool:
    """Whether it is ``[..., K]`` times a weight ``[K, ...]``."""
    if equation.primitive.name != "dot_general" or place != 1:
        return False
    rows, weight = (v.aval for v in equation.invars)
    last = len(rows.shape) - 1
    contracted, batched = equation.params["dimension_numbers"]
    return rows.dtype == weight.dtype and tuple(map(tuple, contracted)) == ((last,), (0,)) and not any(batched)


def inline(closed: ClosedJaxpr) -> ClosedJaxpr:
    """``closed`` with the equations of jitted functions in place of their calls."""
    if not any(equation.primitive.name in _CALLS for equation in closed.eqns):
        return closed
    like = [jax.ShapeDtypeStruct(v.shape, v.dtype, weak_type=getattr(v, "weak_type", False)) for v in closed.in_avals]
    return jax.make_jaxpr(lambda *arguments: _inlined(closed, arguments))(*like)


def _inlined(closed: ClosedJaxpr, arguments: Sequence[Array]) -> list[Array]:
    jaxpr = closed.jaxpr
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *arguments], strict=True))
    for equation in jaxpr.eqns:
        operands = [read(atom, values) for atom in equation.invars]
        is_call = equation.primitive.name in _CALLS
        results = _inlined(equation.params["jaxpr"], operands) if is_call else bind(equation, operands)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom, values) for atom in jaxpr.outvars]


def evaluate(equations: Sequence[Equation], values: Environment) -> None:
    """Add the results of ``equations`` to ``values``."""
    for equation in equations:
        results = bind(equation, [read(atom, values) for atom in equation.invars])
        values.update(zip(equation.outvars, results, strict=True))


def bind(equation: Equation, operands: Sequence[Array]) -> list[Array]:
    """The results of one equation, in the context (of random bits, of devices) in which it was written."""
    with equation.ctx.manager:
        results = equation.primitive.bind(*operands, **equation.primitive.get_bind_params(equation.params))
    return results if equation.primitive.multiple_results else [results]


def read(atom: Atom, values: Environment) -> Any:
    return atom.val if isinstance(atom, Literal) else values[atom]


def result_of(equation: Equation) -> Variable | None:
    """The first result; None of an equation that is there for its effect."""
    return equation.outvars[0] if equation.outvars else None


def variables(atoms: Sequence[Atom]) -> list[Variable]:
    return [atom for atom in atoms if not isinstance(atom, Literal)]


def is_in(atom: Atom, found: Any) -> bool:
    """Whether an atom is a variable of a set or a mapping. Literals cannot be hashed."""
    return not isinstance(atom, Literal) and atom in found


def _size(atoms: Sequence[Variable]) -> int:
    return sum(int(np.prod(v.aval.shape)) for v in atoms)
