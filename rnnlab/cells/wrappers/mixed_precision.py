"""Products in fewer bits: a cell whose parameters are rounded within a step."""

from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.core.types import Array, Carry, Cell, Params


def narrow(cell: Cell, compute_dtype: str) -> Cell:
    """``cell`` whose parameters are rounded to ``compute_dtype`` (a dtype's name) where they act, not where they are stored.

    With "bfloat16" a cell's products (`functions.dot`) read bfloat16 and are summed in float32; biases and other
    parameters are rounded too, and the gradient of each, once. Carries, activations, stored parameters and what the
    optimizer keeps stay float32. "float32" is the cell itself.
    Shapes: as the cell's.
    """
    if compute_dtype == "float32":
        return cell

    def rounded(params: Params) -> Params:
        return jax.tree.map(lambda leaf: leaf.astype(compute_dtype) if leaf.dtype == jnp.float32 else leaf, params)

    def step(params: Params, carry: Carry, x: Array) -> tuple[Carry, Array]:
        return cell.step(rounded(params), carry, x)

    narrowed: dict[str, Any] = {"step": step}
    if cell.sequence is not None:
        whole = cell.sequence
        narrowed["sequence"] = lambda params, carry, xs: whole(rounded(params), carry, xs)
    if cell.over is not None:
        over = cell.over
        narrowed["over"] = lambda params, *inputs: over(rounded(params), *inputs)
    if cell.gates is not None:
        gates = cell.gates
        narrowed["gates"] = lambda params, carry, x: gates(rounded(params), carry, x)
    return cell._replace(**narrowed)
