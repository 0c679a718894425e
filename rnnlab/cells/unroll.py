"""Runs a cell over time."""

from contextvars import ContextVar
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from rnnlab.cells import lstm_kernel
from rnnlab.cells.ops import step_of
from rnnlab.cells.pieces import RunPiece, recomputed, truncated
from rnnlab.cells.weight_gradients import plain_scan, scan
from rnnlab.config.experiment import BACKWARD
from rnnlab.core.errors import check_count, choose
from rnnlab.core.types import Array, Carry, Cell, Params, Scan


class _Surrounding(NamedTuple):
    """What an ``unroll`` hands on to those of the cells inside of its cell."""

    backward: str = "auto"
    bptt: int | None = None
    remat: bool = False
    resets: Array | None = None  # [T, B]


_NONE = _Surrounding()
_surrounding: ContextVar[_Surrounding] = ContextVar("surrounding", default=_NONE)


def is_fused(cell: Cell, params: Params) -> bool:
    """Whether `unroll` takes the cell's ``fused``, where there are no ``resets``."""
    surrounding = _surrounding.get()
    single = all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
    plain = surrounding.backward == "scan" or surrounding.resets is not None
    return cell.fused is not None and single and not plain and lstm_kernel.pays(cell.hidden_size)


def unroll(
    cell: Cell,
    params: Params,
    xs: Array,
    carry: Carry | None = None,
    *,
    lengths: Array | None = None,
    resets: Array | None = None,
    reverse: bool = False,
    backward: str | None = None,
    bptt: int | None = None,
    remat: bool | None = None,
) -> tuple[Carry, Array]:
    """Run ``cell`` over time-major ``xs [T, B, D]`` (or integer ids ``[T, B]``): ``(carry, hs [T, B, H])``.

    ``lengths [B]`` counts the valid steps of each element: padding, whatever it holds (NaN too), never changes the
    carry or an output of a valid step, nor a gradient; outputs of padding are zero. ``resets [T, B]``, true at the
    first step of each of several sequences that lie end to end in an element: every one starts from the cell's own
    initial carry, step by step also where the cell has a ``scan``. ``reverse`` starts at the last valid step;
    ``hs[t]`` is still the output at ``xs[t]``. The initial carry is the cell's own unless given.

    ``backward="scan"`` differentiates a plain `jax.lax.scan` of ``step``, also in the cells inside of the cell;
    ``"auto"`` has the same derivatives, to rounding, faster: those of the cell's ``scan``, or of
    `weight_gradients.scan`. ``bptt=K`` hands the carry on without a gradient after every K steps, counted from the
    first that is read. ``remat=True`` has the same gradient in the memory of about 2 sqrt(T) steps, for one forward
    pass more. All three also in the cells inside; None: as in the surrounding ``unroll``, else "auto", never, False.
    """
    if carry is None:
        carry = cell.initial_carry(params, xs.shape[1:2])
    if lengths is not None:
        chex.assert_shape(lengths, xs.shape[1:2])
    surrounding = _surrounding.get()
    if any(given is not None for given in (backward, resets, bptt, remat)):
        if backward is not None:
            surrounding = surrounding._replace(backward=choose("backward", backward, BACKWARD))
        if bptt is not None:
            check_count("bptt", bptt)
            surrounding = surrounding._replace(bptt=bptt)
        if remat is not None:
            surrounding = surrounding._replace(remat=remat)
        if resets is not None:
            chex.assert_shape(resets, xs.shape[:2])
            surrounding = surrounding._replace(resets=resets)
        token = _surrounding.set(surrounding)
        try:
            return unroll(cell, params, xs, carry, lengths=lengths, reverse=reverse)
        finally:
            _surrounding.reset(token)
    plain, resets_TB = surrounding.backward == "scan", surrounding.resets
    if cell.scan is not None and cell.step is None:  # its parts are in pieces
        return cell.scan(params, carry, xs, lengths, reverse)
    whole: Scan | None = None
    if cell.scan is not None and not (plain or resets_TB is not None):
        whole = cell.scan
    elif cell.fused is not None and is_fused(cell, params):
        whole = cell.fused
        if lengths is not None:
            xs = _cleaned(xs, jnp.arange(xs.shape[0])[:, None] < lengths)
    if whole is not None and surrounding.bptt is None and not surrounding.remat:
        return whole(params, carry, xs, lengths, reverse)
    if whole is not None:
        return _in_pieces(_over_valid(whole, params, lengths, reverse), carry, xs, surrounding, reverse)
    step, over_time = step_of(cell, "cell"), plain_scan if plain else scan
    if lengths is None and resets_TB is None:

        def plain_steps(carry: Carry, piece: tuple[Array, Array]) -> tuple[Carry, Array]:
            return over_time(step, params, carry, piece[1], reverse=reverse)

        return _in_pieces(plain_steps, carry, xs, surrounding, reverse)

    valid_TB = None if lengths is None else jnp.arange(xs.shape[0])[:, None] < lengths[None, :]
    if valid_TB is not None:
        xs = _cleaned(xs, valid_TB)
    if resets_TB is not None:
        resets_TB = _starts(resets_TB.astype(bool), valid_TB, reverse)

    def masked_step(params: Params, before: Carry, inputs: tuple[Array, Any, Any]) -> tuple[Carry, Array]:
        x, valid_B, starts_B = inputs
        if starts_B is not None:
            before = _chosen(starts_B, cell.initial_carry(params, starts_B.shape), before)
        after, h = step(params, before, x)
        if valid_B is None:
            return after, h
        return _chosen(valid_B, after, before), jnp.where(valid_B[:, None], h, jnp.zeros((), h.dtype))

    def masked_steps(carry: Carry, piece: tuple[Array, Any]) -> tuple[Carry, Array]:
        return over_time(masked_step, params, carry, piece[1], reverse=reverse)

    return _in_pieces(masked_steps, carry, (xs, valid_TB, resets_TB), surrounding, reverse)


def _over_valid(whole: Scan, params: Params, lengths: Array | None, reverse: bool) -> RunPiece:
    """``whole`` over pieces ``(times [n], xs [n, B, ...])``, in each of which it is told how many steps are valid."""

    def run(carry: Carry, piece: tuple[Array, Array]) -> tuple[Carry, Array]:
        times, xs = piece
        valid_B = None if lengths is None else jnp.clip(lengths - times[0], 0, len(times))
        return whole(params, carry, xs, valid_B, reverse)

    return run


def _in_pieces(
    run: RunPiece, carry: Carry, inputs: Any, surrounding: _Surrounding, reverse: bool
) -> tuple[Carry, Array]:
    """``run`` of ``(times [T], inputs)``, truncated and computed again as ``surrounding`` says."""
    piece = jnp.arange(len(jax.tree.leaves(inputs)[0])), inputs
    if surrounding.bptt is None and not surrounding.remat:
        return run(carry, piece)
    if surrounding.remat:
        run = _turned(recomputed(_turned(run, reverse)), reverse)
    if surrounding.bptt is not None:
        run = _turned(truncated(_turned(run, reverse), surrounding.bptt), reverse)
    return run(carry, piece)


def _turned(run: RunPiece, reverse: bool) -> RunPiece:
    """``run`` of inputs and outputs in the opposite order, if ``reverse``."""

    def turned(carry: Carry, piece: Any) -> tuple[Carry, Array]:
        carry, hs = run(carry, jax.tree.map(lambda leaf: leaf[::-1], piece))
        return carry, hs[::-1]

    return turned if reverse else run


def _cleaned(xs: Array, valid_TB: Array) -> Array:
    """``xs`` with zeros for padding: a masked NaN would still reach the weights' gradient as 0 * NaN."""
    return jnp.where(valid_TB.reshape(valid_TB.shape + (1,) * (xs.ndim - 2)), xs, jnp.zeros((), xs.dtype))


def _starts(resets_TB: Array, valid_TB: Array | None, reverse: bool) -> Array:
    """Where a sequence starts in the order of reading: in reverse at its last step, before the next one's first."""
    if valid_TB is not None:
        resets_TB = resets_TB & valid_TB
    return jnp.concatenate([resets_TB[1:], jnp.zeros_like(resets_TB[:1])]) if reverse else resets_TB


def _chosen(which_B: Array, carry: Carry, other: Carry) -> Carry:
    """``carry`` of the elements ``which_B [B]``, of the rest ``other``."""
    return jax.tree.map(lambda one, two: jnp.where(_like(which_B, one), one, two), carry, other)


def last_valid(hs: Array, lengths: Array | None) -> Array:
    """``hs [T, B, H]`` at each element's last valid step: ``[B, H]``. An element of length 0 gives its first step."""
    if lengths is None:
        return hs[-1]
    return jnp.take_along_axis(hs, jnp.maximum(lengths - 1, 0)[None, :, None], axis=0)[0]


def _like(valid_B: Array, leaf: Array) -> Array:
    """``valid_B [B]`` with trailing axes to broadcast against ``leaf [B, ...]``."""
    return valid_B.reshape(valid_B.shape + (1,) * (leaf.ndim - 1))
