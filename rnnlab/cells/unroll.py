"""The one place that runs a cell over time."""


import chex
import jax
import jax.numpy as jnp

from rnnlab.cells.weight_gradients import plain_scan, scan
from rnnlab.core.errors import choose
from rnnlab.core.types import Array, Carry, Cell, Params

BACKWARD = ("auto", "scan")  # how the gradient over time is made


def unroll(
    cell: Cell,
    params: Params,
    xs: Array,
    carry: Carry | None = None,
    *,
    lengths: Array | None = None,
    reverse: bool = False,
    backward: str = "auto",
) -> tuple[Carry, Array]:
    """Run ``cell`` over time-major ``xs [T, B, D]`` (or integer ids ``[T, B]``): ``(carry, hs [T, B, H])``.

    ``lengths [B]`` counts the valid steps of each element: padding, whatever it holds (NaN too), never changes the
    carry or an output of a valid step, nor a gradient; outputs of padding are zero. ``reverse`` starts at the last
    valid step; ``hs[t]`` is still the output at ``xs[t]``. The initial carry is the cell's own unless given.

    ``backward="scan"`` differentiates a plain `jax.lax.scan` of ``step``; ``"auto"`` has the same derivatives, to
    rounding, faster: those of the cell's ``sequence``, or of `weight_gradients.scan`.
    """
    if carry is None:
        carry = cell.initial_carry(params, xs.shape[1:2])
    if lengths is not None:
        chex.assert_shape(lengths, xs.shape[1:2])
    if cell.over is not None:
        return cell.over(params, carry, xs, lengths, reverse)
    plain = choose("backward", backward, BACKWARD) == "scan"
    over_time = plain_scan if plain else scan
    if lengths is None and cell.sequence is not None and not plain:
        if not reverse:
            return cell.sequence(params, carry, xs)
        carry, hs_TBH = cell.sequence(params, carry, xs[::-1])
        return carry, hs_TBH[::-1]
    if lengths is None:
        return over_time(cell.step, params, carry, xs, reverse=reverse)

    valid_TB = jnp.arange(xs.shape[0])[:, None] < lengths[None, :]
    # Inputs are cleaned too: a masked NaN would still reach the weights' gradient as 0 * NaN.
    xs = jnp.where(valid_TB.reshape(valid_TB.shape + (1,) * (xs.ndim - 2)), xs, jnp.zeros((), xs.dtype))

    def masked_step(params: Params, before: Carry, inputs: tuple[Array, Array]) -> tuple[Carry, Array]:
        x, valid_B = inputs
        after, h = cell.step(params, before, x)
        after = jax.tree.map(lambda new, old: jnp.where(_like(valid_B, new), new, old), after, before)
        return after, jnp.where(valid_B[:, None], h, jnp.zeros((), h.dtype))

    return over_time(masked_step, params, carry, (xs, valid_TB), reverse=reverse)


def last_valid(hs: Array, lengths: Array | None) -> Array:
    """``hs [T, B, H]`` at each element's last valid step: ``[B, H]``. An element of length 0 gives its first step."""
    if lengths is None:
        return hs[-1]
    return jnp.take_along_axis(hs, jnp.maximum(lengths - 1, 0)[None, :, None], axis=0)[0]


def _like(valid_B: Array, leaf: Array) -> Array:
    """``valid_B [B]`` with trailing axes to broadcast against ``leaf [B, ...]``."""
    return valid_B.reshape(valid_B.shape + (1,) * (leaf.ndim - 1))
