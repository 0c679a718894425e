"""First derivatives of single operations that store less, or run in another order, than JAX's own."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.cells.weight_gradients.leaves import Leaves
from rnnlab.cells.weight_gradients.program import (
    Cut,
    Equation,
    Program,
    Variable,
    bind,
    is_in,
    is_rows_times_weight,
    result_of,
)
from rnnlab.core.types import Array


def transposed_weights(program: Program, given: Leaves) -> dict[Variable, Array]:
    """``[N, K]`` of the weights ``[K, ...]`` that rows of the carry are multiplied by.

    Made once; XLA would make it in every step of the reverse scan (CPU, jaxlib 0.10).
    """
    weights, transposed = dict(zip(program.given, given, strict=True)), {}
    for equation in program.equations:
        place = program.deferred.get(result_of(equation))
        if place is not None and is_rows_times_weight(equation, place) and not is_in(equation.invars[0], program.of_x):
            transposed[equation.invars[1]] = contiguous_transpose(weights[equation.invars[1]])
    return transposed


def contiguous_transpose(weight: Array) -> Array:
    """``[N, K]`` of ``[K, ...]``, made at once: XLA's CPU products of what is yet to be transposed are slower."""
    return jax.lax.optimization_barrier(weight.reshape(len(weight), -1).T)


def matmul_like(equation: Equation, rows: Array, columns: Array) -> Array:
    """``rows [N, K] @ columns [K, M]``, rounded and summed as ``equation`` does with rows and a weight."""
    rounded, summed = equation.invars[1].aval.dtype, equation.outvars[0].aval.dtype
    return jax.lax.dot(
        rows.astype(rounded),
        columns.astype(rounded),
        precision=equation.params["precision"],
        preferred_element_type=summed,
    )


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def product(equation: Equation, rows: Array, weight: Array, transposed: Array) -> Array:
    """``rows @ weight``. The gradient of rows is a product with ``transposed``; that of the weight comes later."""
    return bind(equation, (rows, weight))[0]


def _product_back(equation: Equation, stored: Any, d: Array) -> tuple[Array, Array, Array]:
    weight, transposed = stored
    rows = equation.invars[0].aval
    d_rows = matmul_like(equation, d.reshape(-1, len(transposed)), transposed)
    return d_rows.reshape(rows.shape).astype(rows.dtype), jnp.zeros_like(weight), jnp.zeros_like(transposed)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def split(cut: Cut, whole: Array) -> Leaves:
    """Slices that are all of ``whole``. Their gradients are written into one array: XLA does that in place, where the
    gradient of slices is a sum of padded arrays, and that of a split a concatenation that is slow on a CPU."""
    return [jax.lax.slice_in_dim(whole, *ends, axis=cut.axis) for ends in pairwise(cut.ends)]


def _split_back(cut: Cut, _: None, d: Leaves) -> tuple[Array]:
    shape = list(d[0].shape)
    shape[cut.axis] = cut.ends[-1]
    whole = jnp.zeros(shape, d[0].dtype)
    for start, piece in zip(cut.ends, d, strict=False):
        whole = jax.lax.dynamic_update_slice_in_dim(whole, piece, start, cut.axis)
    return (whole,)


def _keeping_result(function: Callable[[Array], Array], slope: Callable[[Array], Array]) -> Callable[..., Array]:
    """``function`` whose gradient is made from its result, which is stored anyway."""
    kept = jax.custom_vjp(function)
    kept.defvjp(lambda z: (function(z),) * 2, lambda result, d: (d * slope(result),))
    return kept


ACTIVATIONS = {
    "logistic": _keeping_result(jax.lax.logistic, lambda s: s * (1 - s)),
    "tanh": _keeping_result(jax.lax.tanh, lambda t: 1 - t * t),
}
product.defvjp(
    lambda eqn, rows, weight, transposed: (bind(eqn, (rows, weight))[0], (weight, transposed)), _product_back
)
split.defvjp(lambda cut, whole: (split(cut, whole), None), _split_back)
