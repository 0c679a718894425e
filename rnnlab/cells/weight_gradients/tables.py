"""Products of a table's rows with a weight, made once for each row of the table instead of at every step.

An embedded token enters a step as ``E[token] @ W``. This is ``(E @ W)[token]``: where the table has fewer rows than a
sequence batch has tokens, that product is smaller, and so are both of its gradients, which are formed of the gradient
summed by token.
"""

from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr

from rnnlab.cells.weight_gradients.program import (
    Atom,
    Equation,
    Variable,
    bind,
    gathered_tables,
    is_done_once,
    is_in,
    is_rows_times_weight,
    read,
    result_of,
)
from rnnlab.core.types import Array


class Rows(NamedTuple):
    """Rows that were gathered from a table ``[V, K]``."""

    table: Atom
    gather: Equation


def multiply_tables(closed: ClosedJaxpr, params: int, steps: int) -> ClosedJaxpr:
    """``closed`` with ``E[ids] @ W`` written as ``(E @ W)[ids]`` where ``E`` has fewer rows than ``steps`` take of it.

    The first ``params`` arguments are parameters. ``closed`` holds no calls of jitted functions.
    """
    products = _products(closed, params, steps)
    if not products:
        return closed
    like = [jax.ShapeDtypeStruct(v.shape, v.dtype, weak_type=getattr(v, "weak_type", False)) for v in closed.in_avals]
    return jax.make_jaxpr(lambda *arguments: _evaluated(closed, arguments, products))(*like)


def _products(closed: ClosedJaxpr, params: int, steps: int) -> dict[Variable, Rows]:
    """The results of products with rows of a table, where both the table and the weight are known before the scan."""
    jaxpr = closed.jaxpr
    known = {*jaxpr.constvars, *jaxpr.invars[:params]}
    tables = gathered_tables(jaxpr.eqns)
    rows: dict[Variable, Rows] = {}
    products: dict[Variable, Rows] = {}
    for equation in jaxpr.eqns:
        if is_done_once(equation, known, tables):
            known.update(equation.outvars)
        elif equation.primitive.name == "gather" and is_in(equation.invars[0], known) and _takes_rows(equation):
            table = equation.invars[0]
            if table.aval.shape[0] < steps * _count(equation):
                rows[result_of(equation)] = Rows(table, equation)
        elif is_rows_times_weight(equation, 1) and is_in(equation.invars[0], rows) and is_in(equation.invars[1], known):
            products[result_of(equation)] = rows[equation.invars[0]]
    return products


def _takes_rows(gather: Equation) -> bool:
    """Whether it takes whole rows of a matrix, and puts them last."""
    table, out = gather.invars[0].aval, gather.outvars[0].aval
    numbers = gather.params["dimension_numbers"]
    return (
        len(table.shape) == 2
        and tuple(gather.params["slice_sizes"]) == (1, table.shape[1])
        and tuple(numbers.offset_dims) == (len(out.shape) - 1,)
        and tuple(numbers.collapsed_slice_dims) == tuple(numbers.start_index_map) == (0,)
        and not numbers.operand_batching_dims
    )


def _count(gather: Equation) -> int:
    """The rows that it takes."""
    out = gather.outvars[0].aval
    return out.size // out.shape[-1]


def _evaluated(closed: ClosedJaxpr, arguments: Any, products: dict[Variable, Rows]) -> list[Array]:
    jaxpr = closed.jaxpr
    values: dict[Variable, Any] = dict(
        zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *arguments], strict=True)
    )
    for equation in jaxpr.eqns:
        operands = [read(atom, values) for atom in equation.invars]
        found = products.get(result_of(equation))
        if found is None:
            values.update(zip(equation.outvars, bind(equation, operands), strict=True))
        else:
            _, indices = (read(atom, values) for atom in found.gather.invars)
            values[equation.outvars[0]] = _row_of_product(
                equation, found.gather, values[found.table], operands[1], indices
            )
    return [read(atom, values) for atom in jaxpr.outvars]


def _row_of_product(product: Equation, gather: Equation, table: Array, weight: Array, indices: Array) -> Array:
    whole = jax.lax.dot_general(
        table, weight, (((1,), (0,)), ((), ())), precision=product.params["precision"],
        preferred_element_type=product.params["preferred_element_type"],
    )  # fmt: skip
    first = len(gather.outvars[0].aval.shape) - 1
    numbers = gather.params["dimension_numbers"]
    return jax.lax.gather(
        whole, indices, numbers._replace(offset_dims=tuple(range(first, first + whole.ndim - 1))),
        (1, *whole.shape[1:]), mode=gather.params["mode"], fill_value=gather.params["fill_value"],
        unique_indices=gather.params["unique_indices"], indices_are_sorted=gather.params["indices_are_sorted"],
    )  # fmt: skip
