"""The mLSTM of xLSTM: a matrix memory without a recurrence of h, run by steps or by chunks."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.linear_recurrence import LOG_ZERO, scan_pieces
from rnnlab.cells.ops import dot, keeps_f, leaves_named, zeros
from rnnlab.cells.slstm import get_log_forget, head_width
from rnnlab.core.errors import check_count
from rnnlab.core.types import Array, Cell, Key

CHUNK = 16  # steps of the chunkwise form, the fastest measured on a CPU (BUILD_NOTES)


class MLSTMParams(NamedTuple):
    """``w [D, 4, H]``, ``b [4, H]`` of q, k, v, o; ``w_gates [D, 2, heads]``, ``b_gates [2, heads]`` of i, f."""

    w: Array
    w_gates: Array
    b: Array
    b_gates: Array


class MLSTMCarry(NamedTuple):
    """Memory ``c [..., heads, d, d]`` (keys by values), normalizer ``n [..., heads, d]``, stabilizer
    ``m [..., heads]``; d = H / heads."""

    c: Array
    n: Array
    m: Array


class MLSTMGates(NamedTuple):
    """The stabilized i and f of each head ``[..., heads]``, and o ``[..., H]``."""

    i: Array
    f: Array
    o: Array


class Projected(NamedTuple):
    """What a step reads of x: q, k, v ``[..., heads, d]``; i~ and log f ``[..., heads]``; o ``[..., H]``."""

    q: Array
    k: Array
    v: Array
    i: Array
    log_f: Array
    o: Array


def mlstm(
    hidden_size: int,
    *,
    heads: int = 1,
    forget: str = "sigmoid",
    forget_bias: float = 3.0,
    piece: int = CHUNK,
    w_init: str = "glorot_uniform",
) -> Cell:
    """mLSTM (Beck, Pöppel, Spanring et al., xLSTM, 2024, section 2.3, eq. 19-27; appendix A.3).

        q = x W_q + b      k = (x W_k + b) / sqrt(d)      v = x W_v + b      o = s(x W_o + b)
        i~, f~ = x w + b, a number for each head; log f = log s(f~), or f~ with forget="exp"
        m_t = max(log f + m_{t-1}, i~)      i' = exp(i~ - m_t)      f' = exp(log f + m_{t-1} - m_t)
        C_t = f' C_{t-1} + i' k v^T         n_t = f' n_{t-1} + i' k
        h_t = o * (q C_t) / max(|q n_t|, exp(-m_t))

    A whole sequence is run in chunks of ``piece`` steps: within one, every output is a sum over its earlier steps
    with weights exp(sum of log f + i~ - m_t), beside what C held before the chunk. Both forms have the same m_t.
    ``forget_bias`` is the initial bias of f.

    Shapes: x [..., D], C [..., heads, d, d], h [..., H]; d = H / heads.
    Departures: the cell alone, without the block's projections, convolution, normalization and skip connection. m_0
        is -1e30 (see ``slstm``); exp(-m_t) ends at e^80.
    Parameters: 4*(D*H + H) + 2*heads*(D + 1).
    """
    init_w, log_forget = get_initializer("w_init", w_init), get_log_forget(forget)
    width = head_width(hidden_size, heads)
    check_count("piece", piece)

    def init(key: Key, inputs: int) -> MLSTMParams:
        key_w, key_gates = jax.random.split(key)
        w = init_w(key_w, (inputs, 4, hidden_size))
        b_gates = zeros(w, 2, heads).at[1].set(forget_bias)
        return MLSTMParams(w, init_w(key_gates, (inputs, 2, heads)), zeros(w, 4, hidden_size), b_gates)

    def initial_carry(params: MLSTMParams, batch: tuple[int, ...]) -> MLSTMCarry:
        c, n = zeros(params.w, *batch, heads, width, width), zeros(params.w, *batch, heads, width)
        return MLSTMCarry(c, n, zeros(params.w, *batch, heads) + LOG_ZERO)

    def project(params: MLSTMParams, x: Array) -> Projected:
        a, of_heads = dot(x, params.w) + params.b, dot(x, params.w_gates) + params.b_gates
        q, k, v = (a[..., g, :].reshape(*a.shape[:-2], heads, width) for g in range(3))
        i, log_f = of_heads[..., 0, :], log_forget(of_heads[..., 1, :])
        return Projected(q, k / width**0.5, v, i, log_f, jax.nn.sigmoid(a[..., 3, :]))

    def stabilized(seen: Projected, carry: MLSTMCarry) -> tuple[MLSTMGates, Array]:
        kept = seen.log_f + carry.m
        m = jnp.maximum(kept, seen.i)
        return MLSTMGates(jnp.exp(seen.i - m), jnp.exp(kept - m), seen.o), m

    def gates(params: MLSTMParams, carry: MLSTMCarry, x: Array) -> MLSTMGates:
        return stabilized(project(params, x), carry)[0]

    def step(params: MLSTMParams, carry: MLSTMCarry, x: Array) -> tuple[MLSTMCarry, Array]:
        seen = project(params, x)
        (i, f, o), m = stabilized(seen, carry)
        c = f[..., None, None] * carry.c + (i[..., None] * seen.k)[..., None] * seen.v[..., None, :]
        n = f[..., None] * carry.n + i[..., None] * seen.k
        sums, normal = jnp.sum(seen.q[..., None] * c, -2), jnp.sum(seen.q * n, -1)
        read = sums / _at_least_one(normal, m)[..., None]
        return MLSTMCarry(c, n, m), o * read.reshape(*read.shape[:-2], hidden_size)

    def run(params: MLSTMParams, carry: MLSTMCarry, xs: Array, valid: Array | None) -> tuple[MLSTMCarry, Array]:
        """One chunk. t and s are steps of it, h heads, k and d places of a key and a value."""
        q, k, v, i, log_f, o = project(params, xs)
        if valid is not None:  # kept as it is, and nothing written: less than the logarithm of nothing
            i = jnp.where(valid[..., None], i, 2 * LOG_ZERO)
            log_f = jnp.where(valid[..., None], log_f, 0.0)
        i, log_f = jnp.moveaxis(i, 0, -1), jnp.cumsum(jnp.moveaxis(log_f, 0, -1), -1)  # [..., h, t]
        lags = log_f[..., :, None] - log_f[..., None, :] + i[..., None, :]  # [..., h, t, s]
        lags = jnp.where(jnp.tril(jnp.ones(lags.shape[-2:], bool)), lags, 2 * LOG_ZERO)
        before = log_f + carry.m[..., None]
        m = jnp.maximum(before, jnp.max(lags, -1))
        weights, held = jnp.exp(lags - m[..., None]), jnp.exp(before - m)
        scores = weights * jnp.einsum("t...hk,s...hk->...hts", q, k)
        sums = jnp.einsum("...hts,s...hd->...htd", scores, v)
        sums = sums + held[..., None] * jnp.einsum("t...hk,...hkd->...htd", q, carry.c)
        normal = jnp.sum(scores, -1) + held * jnp.einsum("t...hk,...hk->...ht", q, carry.n)
        read = jnp.moveaxis(sums / _at_least_one(normal, m)[..., None], -2, 0)
        written = jnp.moveaxis(weights[..., -1, :], -1, 0)[..., None] * k  # [s, ..., h, k]
        after = MLSTMCarry(
            held[..., -1, None, None] * carry.c + jnp.einsum("s...hk,s...hd->...hkd", written, v),
            held[..., -1, None] * carry.n + jnp.sum(written, 0),
            m[..., -1],
        )
        return after, o * read.reshape(*read.shape[:-2], hidden_size)

    no_decay = leaves_named("b", "b_gates")
    cell = Cell(init, initial_carry, step, hidden_size, gates=gates, retention=keeps_f, no_decay=no_decay)
    return cell._replace(scan=scan_pieces(run, piece))


def _at_least_one(normal: Array, m: Array) -> Array:
    """max(|q n|, 1) in units of exp(m)."""
    return jnp.maximum(jnp.abs(normal), jnp.exp(jnp.minimum(-m, 80.0)))
