"""Floating-point operations of the matrix products in a jaxpr."""

import math
from collections.abc import Iterator
from typing import Any


def program_flops(jaxpr: Any) -> int:
    """Two operations per multiply-add of every ``dot_general``, times the length of the scans around it.

    A ``cond`` counts its most expensive branch; a ``while``, whose number of steps is unknown, counts one step.
    """
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval.shape
            total += 2 * math.prod(left[axis] for axis in contracted) * math.prod(equation.outvars[0].aval.shape)
            continue
        inner = [program_flops(program) for value in equation.params.values() for program in _programs(value)]
        if inner:
            branches = equation.primitive.name == "cond"
            total += equation.params.get("length", 1) * (max(inner) if branches else sum(inner))
    return total


def _programs(value: Any) -> Iterator[Any]:
    for item in value if isinstance(value, (tuple, list)) else (value,):
        program = getattr(item, "jaxpr", item)
        if hasattr(program, "eqns"):
            yield program
