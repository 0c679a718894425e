"""What a step does, read from its jaxpr: what needs no time axis, and where weights enter."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from rnnlab.core.types import Array

Variable = Any  # of a jaxpr
Atom = Any  # a variable or a literal
Equation = Any
Environment = dict[Variable, Array]
_CALLS = ("jit", "pjit")


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
    outside: Sequence[Equation]  # of known ones alone, making no weight larger: done once, before the scan
    given: Sequence[Variable]  # what the step needs of ``known`` and of the results of ``outside``
    equations: Sequence[Equation]  # of the step
    carry: Sequence[Variable]
    x: Sequence[Variable]
    after: Sequence[Atom]  # the carry after the step
    out: Sequence[Atom]
    # Equations whose gradient to a given variable waits until after the reverse scan: result -> place of the variable.
    deferred: Mapping[Variable, int]
    of_x: frozenset[Variable]  # what depends on x and given variables alone, not on the carry
    cuts: Mapping[Variable, "Cut"]  # variables that slices cut into pieces
    direct: Sequence[int]  # places in ``given`` of what has other uses too: the reverse scan sums their gradient

    def number(self, result: Variable) -> int:
        """Which of ``deferred`` it is."""
        return list(self.deferred).index(result)


def read_program(closed: ClosedJaxpr, params: int, carries: int) -> Program:
    """The program of a step whose first ``params`` arguments are parameters and the next ``carries`` the carry."""
    jaxpr = closed.jaxpr
    own = [*jaxpr.constvars, *jaxpr.invars[:params]]
    if any(equation.primitive.name in _CALLS for equation in jaxpr.eqns):
        like = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in jaxpr.invars]
        jaxpr = jax.make_jaxpr(_inlined(jaxpr))(closed.consts, *like).jaxpr
        params += len(closed.consts)
        own = jaxpr.invars[:params]
    carry, x = jaxpr.invars[params : params + carries], jaxpr.invars[params + carries :]
    known, of_x = set(own), set(x)
    outside: list[Equation] = []
    inside: list[Equation] = []
    for equation in jaxpr.eqns:
        read = variables(equation.invars)
        drawn = not any(differentiable(v.aval) for v in read)  # from a key: once, whatever its size
        if read and known.issuperset(read) and (drawn or _size(equation.outvars) <= _size(read)):
            known.update(equation.outvars)
            outside.append(equation)
            continue
        inside.append(equation)
        if (known | of_x).issuperset(read):
            of_x.update(equation.outvars)
    ends = variables(jaxpr.outvars)
    given = list(dict.fromkeys(v for v in (*(v for e in inside for v in variables(e.invars)), *ends) if v in known))
    deferred = _deferred(inside, known)
    direct = set(ends)
    for equation in inside:
        waits = deferred.get(result_of(equation))
        direct.update(v for place, v in enumerate(equation.invars) if place != waits and not isinstance(v, Literal))
    places = [n for n, v in enumerate(given) if v in direct and differentiable(v.aval)]
    after, out = jaxpr.outvars[:carries], jaxpr.outvars[carries:]
    return Program(own, outside, given, inside, carry, x, after, out, deferred, frozenset(of_x), _cuts(inside), places)


def _deferred(equations: Sequence[Equation], known: set[Variable]) -> dict[Variable, int]:
    """Products with a weight, rows of a table, products with a vector; and what is added to these, whose gradient is
    the same array."""
    found: dict[Variable, int] = {}
    sums: set[Variable] = set()  # deferred results, and sums of them
    for equation in equations:
        name, result = equation.primitive.name, result_of(equation)
        if name not in ("dot_general", "gather", "mul", "add"):
            continue
        places = [n for n, v in enumerate(equation.invars) if not isinstance(v, Literal) and v in known]
        if len(places) == 1 and differentiable(equation.invars[places[0]].aval):
            (place,) = places
            wanted = {
                "dot_general": True,
                "gather": place == 0,
                "mul": 1 < _size(equation.invars[place:][:1]) < _size([result]),
                "add": name == "add" and equation.invars[1 - place] in sums,
            }
            if wanted[name]:
                found[result] = place
        if result in found or (name == "add" and not sums.isdisjoint(variables(equation.invars))):
            sums.add(result)
    return found


def _cuts(equations: Sequence[Equation]) -> dict[Variable, Cut]:
    slices: dict[Variable, list[Equation]] = {}
    for equation in equations:
        if equation.primitive.name == "slice" and not equation.params["strides"]:
            slices.setdefault(equation.invars[0], []).append(equation)
    found = {}
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
            found[var] = Cut([eqn.outvars[0] for eqn in cutting], axis, ends)
    return found


def is_rows_times_weight(equation: Equation, place: int) -> bool:
    """Whether it is ``[..., K]`` times a weight ``[K, ...]``."""
    if equation.primitive.name != "dot_general" or place != 1:
        return False
    last = len(equation.invars[0].aval.shape) - 1
    contracted, batched = equation.params["dimension_numbers"]
    return tuple(map(tuple, contracted)) == ((last,), (0,)) and not any(batched)


def _inlined(jaxpr: Any) -> Callable[..., list[Array]]:
    """``(consts, *arguments)`` to results, with the equations of jitted functions in place of their calls."""

    def flat(consts: Sequence[Array], *arguments: Array) -> list[Array]:
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))
        for equation in jaxpr.eqns:
            operands = [read(atom, values) for atom in equation.invars]
            if equation.primitive.name in _CALLS:
                inner = equation.params["jaxpr"]
                results = _inlined(inner.jaxpr)(inner.consts, *operands)
            else:
                results = bind(equation, operands)
            values.update(zip(equation.outvars, results, strict=True))
        return [read(atom, values) for atom in jaxpr.outvars]

    return flat


def evaluate(equations: Sequence[Equation], values: Environment) -> None:
    """Add the results of ``equations`` to ``values``."""
    for equation in equations:
        results = bind(equation, [read(atom, values) for atom in equation.invars])
        values.update(zip(equation.outvars, results, strict=True))


def bind(equation: Equation, operands: Sequence[Array]) -> list[Array]:
    """The results of one equation."""
    found = equation.primitive.bind(*operands, **equation.primitive.get_bind_params(equation.params))
    return found if equation.primitive.multiple_results else [found]


def read(atom: Atom, values: Environment) -> Any:
    return atom.val if isinstance(atom, Literal) else values[atom]


def result_of(equation: Equation) -> Variable | None:
    """The first result; None of an equation that is there for its effect."""
    return equation.outvars[0] if equation.outvars else None


def variables(atoms: Sequence[Atom]) -> list[Variable]:
    return [atom for atom in atoms if not isinstance(atom, Literal)]


def differentiable(leaf: Any) -> bool:
    """Whether an array or its description has a gradient."""
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def _size(atoms: Sequence[Variable]) -> int:
    return sum(int(np.prod(v.aval.shape)) for v in atoms)
