"""Mixed-precision matmuls: a cell whose parameters are rounded within a step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.core.types import Cell, Params


def mixed_precision(cell: Cell, compute_dtype: str) -> Cell:
    """``cell`` with its parameters rounded to ``compute_dtype`` (the name of a dtype) where they are used.

    With "bfloat16" the cell's products (``ops.dot``) read bfloat16 and accumulate in float32; biases and other
    parameters are rounded too, and each gradient once. Carries, activations, stored parameters and the optimizer's
    state stay float32. "float32" returns the cell itself.
    """
    if compute_dtype == "float32":
        return cell

    def rounded(params: Params) -> Params:
        return jax.tree.map(lambda leaf: leaf.astype(compute_dtype) if leaf.dtype == jnp.float32 else leaf, params)

    def with_rounded(function: Callable[..., Any] | None) -> Any:
        return None if function is None else lambda params, *inputs: function(rounded(params), *inputs)

    step, scan, gates = (with_rounded(function) for function in (cell.step, cell.scan, cell.gates))
    return cell._replace(step=step, scan=scan, gates=gates, fused=None)
