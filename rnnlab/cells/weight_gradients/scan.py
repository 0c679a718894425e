"""The scan over time, and the derivation of its gradient.

A step is ``(c_t, y_t) = f(w, c_{t-1}, x_t)``. Wherever it multiplies by a weight, ``z = a w`` with ``a`` made of the
carry or of x, write ``z = a w + e_t`` with ``e_t = 0``. Nothing changes in value, and for any loss L

    dL/dw (by way of this product) = sum_t a_t^T dL/dz_t = sum_t a_t^T dL/de_t

because z is linear in w, and ``e_t`` enters just where ``a_t w`` does. So the reverse scan differentiates f with
respect to ``e``, the carry and x, with w held fixed; it stores ``dL/de_t``, and after it one product ``A^T dL/dE`` over
all steps and examples gives the weight its gradient. The plain scan makes the same sum, a product of B rows and a pass
over the whole ``dL/dw`` at every step. The two differ in the order of the sum alone: rounding.

The same holds for rows that are gathered from a table, for products with a vector, and for what is added to these (a
bias), whose ``e`` is that of the product. Any other use of a weight is differentiated in the scan, as always.
Operations on weights alone are done once, before the scan, if their gradient is linear: then the gradient of the sum
is the sum of the gradients. Where ``a_t`` is made of x alone, its gradient is formed after the scan as well. `program`
sorts the equations of a step so; `products` forms the products.

Only the first derivative in reverse mode is made in this way. Its values, and those of the forward scan, carry the
derivatives of the plain scan (`derivatives`): forward mode, second derivatives and all above are the plain scan's own.
A step in which something cannot be moved without a doubt is scanned plainly: one with effects, callbacks, collectives,
arrays of explicit meshes or of size zero or unknown size, and one that makes no product with a weight.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxprs_in_params

from rnnlab.cells.weight_gradients.derivatives import with_gradient
from rnnlab.cells.weight_gradients.leaves import Leaves, differentiable, floats
from rnnlab.cells.weight_gradients.local_rules import transposed_weights
from rnnlab.cells.weight_gradients.products import add_weight_grads
from rnnlab.cells.weight_gradients.program import Program, evaluate, inline, read_program
from rnnlab.cells.weight_gradients.step_gradient import StepGradient, step_gradient
from rnnlab.cells.weight_gradients.tables import multiply_tables
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Carry, Params

Step = Callable[[Params, Carry, Any], tuple[Carry, Any]]

# Operations that ask for more than values: of the host, or of the other members of an axis.
_FIXED = ("callback", "psum", "pmax", "pmin", "ppermute", "all_gather", "all_to_all", "axis_index", "reduce_scatter")


def plain_scan(step: Step, params: Params, carry: Carry, xs: Any, *, reverse: bool = False) -> tuple[Carry, Any]:
    """``jax.lax.scan`` of ``step``, with JAX's own gradient."""
    return jax.lax.scan(lambda carry, x: step(params, carry, x), carry, xs, reverse=reverse)


def scan(step: Step, params: Params, carry: Carry, xs: Any, *, reverse: bool = False) -> tuple[Carry, Any]:
    """`plain_scan` with a faster gradient: the same values, and the same derivatives to rounding.

    Leaves of ``xs`` are ``[T, ...]``. ``step`` may be any function that `plain_scan` takes. Raises InputError if it
    does not return a carry like its own and an output.
    """
    x = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), xs)
    leaves = jax.tree.leaves((params, carry, xs))
    if not all(_is_simple(leaf) for leaf in leaves):
        return plain_scan(step, params, carry, xs, reverse=reverse)
    closed, shapes = jax.make_jaxpr(step, return_shape=True)(params, carry, x)
    check_step(carry, shapes)
    if closed.effects or _is_fixed(closed) or not all(_is_simple(const) for const in closed.consts):
        return plain_scan(step, params, carry, xs, reverse=reverse)
    closed = multiply_tables(inline(closed), len(jax.tree.leaves(params)), _length(xs))
    program = read_program(closed, *(len(jax.tree.leaves(tree)) for tree in (params, carry)))
    before, after = ([(v.aval.shape, v.aval.dtype) for v in atoms] for atoms in (program.carry, program.after))
    if before != after or not program.deferred:
        return plain_scan(step, params, carry, xs, reverse=reverse)
    values = dict(zip(program.known, [*closed.consts, *jax.tree.leaves(params)], strict=True))
    evaluate(program.outside, values)
    given = [values[var] for var in program.given]
    ends = _scan(program, reverse, given, jax.tree.leaves(carry), jax.tree.leaves(xs))
    structures: list[Any] = [jax.tree.structure(tree) for tree in shapes]
    counts = structures[0].num_leaves
    return jax.tree.unflatten(structures[0], ends[:counts]), jax.tree.unflatten(structures[1], ends[counts:])


def check_step(carry: Carry, result: Any) -> None:
    """Raise InputError unless a step's ``result`` is a pair of a carry, structured as ``carry``, and an output."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise InputError(f"step: returns {_described(result)}; it must return a pair (carry, output)")
    before: Any = jax.tree.structure(carry)
    after: Any = jax.tree.structure(result[0])
    if before != after:
        raise InputError(f"step: returns a carry of another structure, {after}; it was given {before}")


def _length(xs: Any) -> int:
    leaves = jax.tree.leaves(xs)
    return leaves[0].shape[0] if leaves else 1


def _described(result: Any) -> str:
    return f"a tuple of {len(result)}" if isinstance(result, tuple) else f"one {type(result).__name__}"


def _is_simple(leaf: Any) -> bool:
    """Whether an array has a known size above zero, and no axis that a mesh follows while tracing."""
    aval = jax.typeof(leaf)
    if not all(isinstance(size, int) and size > 0 for size in aval.shape):
        return False
    explicit = jax.sharding.AxisType.Explicit in getattr(aval.sharding.mesh, "axis_types", ())
    return not explicit and not getattr(getattr(aval, "manual_axis_type", None), "varying", ())


def _is_fixed(closed: ClosedJaxpr) -> bool:
    def any_in(jaxpr: Any) -> bool:
        return any(
            any(name in equation.primitive.name for name in _FIXED)
            or any(any_in(inner) for inner in jaxprs_in_params(equation.params))
            for equation in jaxpr.eqns
        )

    return any_in(closed.jaxpr)


def _scan(program: Program, reverse: bool, given: Leaves, carry: Leaves, xs: Leaves) -> Leaves:
    """The leaves of the last carry and of the outputs."""
    sizes = len(given), len(carry), len(xs)
    trace_gradient = cache(lambda: step_gradient(program))

    def plain(*primals: Array) -> Leaves:
        given, carry, xs = _parted(primals, sizes)
        after, out = jax.lax.scan(lambda c, x: program.step(given, c, x), carry, xs, reverse=reverse)
        return [*after, *out]

    def fast(*primals: Array) -> Leaves:
        return _forward(trace_gradient(), reverse, *_parted(primals, sizes))

    def gradients(primals: Leaves, kept: Leaves, d: Leaves) -> Leaves:
        given, carry, xs = _parted(primals, sizes)
        return _backward(trace_gradient(), reverse, given, carry, xs, kept, d)

    number = len(program.after) + len(program.out)
    return with_gradient(plain, plain, fast, gradients, number)(*given, *carry, *xs)


def _forward(step: StepGradient, reverse: bool, given: Leaves, carry: Leaves, xs: Leaves) -> Leaves:
    """The leaves of the last carry and the outputs, then what is stored for the gradient ``[T, ...]``."""
    transposed = list(transposed_weights(step.program, given).values())

    def forward(carry: Leaves, x: Leaves) -> tuple[Leaves, tuple[Leaves, Leaves]]:
        after, out, kept = step.forward(given, transposed, carry, x)
        return after, (out, kept)

    after, (out, kept) = jax.lax.scan(forward, carry, xs, reverse=reverse)
    return [*after, *out, *kept]


def _backward(
    step: StepGradient, reverse: bool, given: Leaves, carry: Leaves, xs: Leaves, kept: Leaves, d_ends: Leaves
) -> Leaves:
    """The gradients of the floats among ``given``, ``carry`` and ``xs``."""
    program = step.program
    transposed = list(transposed_weights(program, given).values())
    fixed = step.fixed(given, transposed)
    order: list[int] = []

    def backward(state: tuple[Leaves, Leaves], inputs: tuple[Leaves, Leaves, Leaves]) -> Any:
        nonlocal order
        d_after, summed = state
        d_out, x, kept = inputs
        d_results, d_other, d_carry, d_x = step.backward(given, transposed, fixed, x, kept, d_after, d_out)
        place_of: dict[int, int] = {}  # a sum of deferred results gives all of them one and the same array
        order = [place_of.setdefault(id(leaf), len(place_of)) for leaf in d_results]
        distinct = [d_results[order.index(n)] for n in range(len(place_of))]
        return (d_carry, [jnp.add(*pair) for pair in zip(summed, d_other, strict=True)]), (distinct, d_x)

    d_after, d_out = _parted(d_ends, (len(floats(carry)), len(d_ends) - len(floats(carry))))
    summed = [jnp.zeros_like(given[n]) for n in program.other_uses]
    (d_carry, summed), (distinct, d_x) = jax.lax.scan(
        backward, (d_after, summed), (d_out, xs, kept), reverse=not reverse
    )
    d_given = [jnp.zeros_like(leaf) if differentiable(leaf) else None for leaf in given]
    for place, total in zip(program.other_uses, summed, strict=True):
        d_given[place] = total
    factors = {n: kept[place] for n, place in step.factors.items()}
    d_results = [distinct[n] for n in order]
    d_remade = add_weight_grads(program, given, xs, factors, d_results, d_given)
    return [*(d for d in d_given if d is not None), *d_carry, *map(jnp.add, d_x, d_remade)]


def _parted(leaves: Any, sizes: tuple[int, ...]) -> list[Leaves]:
    rest = iter(leaves)
    return [[next(rest) for _ in range(size)] for size in sizes]
