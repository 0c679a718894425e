"""The sLSTM of xLSTM: exponential gates, kept finite by a normalizer and a stabilizer."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.linear_recurrence import LOG_ZERO
from rnnlab.cells.lstm import LSTMGates
from rnnlab.cells.ops import dot, keeps_f, leaves_named, zeros
from rnnlab.core.errors import InputError, check_count, choose
from rnnlab.core.types import Array, Cell, Key

FORGET = ("sigmoid", "exp")


class SLSTMParams(NamedTuple):
    """Gates in the order i, f, z, o: ``w [D, 4, H]``, ``u [heads, H/heads, 4, H/heads]``, ``b [4, H]``."""

    w: Array
    u: Array
    b: Array


class SLSTMCarry(NamedTuple):
    """Cell state c, normalizer n, stabilizer m and h, each ``[..., H]``."""

    c: Array
    n: Array
    m: Array
    h: Array


def slstm(
    hidden_size: int,
    *,
    heads: int = 1,
    forget: str = "sigmoid",
    forget_bias: float = 1.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """sLSTM (Beck, Pöppel, Spanring et al., xLSTM, 2024, section 2.2, eq. 8-17; appendix A.2).

        z = tanh(x W + h R + b)      o = s(.)      i~, f~ = x W + h R + b
        log f = log s(f~)                          forget="sigmoid"; f~ with forget="exp"
        m_t = max(log f + m_{t-1}, i~)             i' = exp(i~ - m_t)      f' = exp(log f + m_{t-1} - m_t)
        c_t = f' * c_{t-1} + i' * z                n_t = f' * n_{t-1} + i'
        h_t = o * c_t / n_t

    R is block-diagonal, a block for each of ``heads``, which must divide ``hidden_size``. ``forget_bias`` is the
    initial bias of f. ``gates`` are i' and f'.

    Shapes: x [..., D]; c, n, m, h [..., H].
    Departures: the cell alone, without the block's normalization, convolution and projections. m_0 is -1e30, the
        logarithm of nothing, where the paper names no value: n_t is then 1 or more, so that no quotient overflows.
    Parameters: 4*(D*H + H*H/heads + H).
    """
    init_w, init_u = get_initializer("w_init", w_init), get_initializer("u_init", u_init)
    log_forget = get_log_forget(forget)
    width = head_width(hidden_size, heads)

    def init(key: Key, inputs: int) -> SLSTMParams:
        key_w, key_u = jax.random.split(key)
        w = init_w(key_w, (inputs, 4, hidden_size))
        u = jnp.stack([init_u(k, (width, 4, width)) for k in jax.random.split(key_u, heads)])
        return SLSTMParams(w, u, zeros(w, 4, hidden_size).at[1].set(forget_bias))

    def initial_carry(params: SLSTMParams, batch: tuple[int, ...]) -> SLSTMCarry:
        nothing = zeros(params.u, *batch, hidden_size)
        return SLSTMCarry(nothing, nothing, nothing + LOG_ZERO, nothing)

    def by_heads(h: Array, u: Array) -> Array:
        """``h [..., H]`` through its blocks: ``[..., 4, H]``."""
        if heads == 1:
            return dot(h, u[0])
        sums = jax.vmap(dot, (-2, 0), -3)(h.reshape(*h.shape[:-1], heads, width), u)  # [..., heads, 4, width]
        return sums.swapaxes(-3, -2).reshape(*h.shape[:-1], 4, hidden_size)

    def stabilized(params: SLSTMParams, carry: SLSTMCarry, x: Array) -> tuple[LSTMGates, Array]:
        a = dot(x, params.w) + by_heads(carry.h, params.u) + params.b
        i, f = a[..., 0, :], log_forget(a[..., 1, :]) + carry.m
        m = jnp.maximum(f, i)
        return LSTMGates(jnp.exp(i - m), jnp.exp(f - m), jnp.tanh(a[..., 2, :]), jax.nn.sigmoid(a[..., 3, :])), m

    def gates(params: SLSTMParams, carry: SLSTMCarry, x: Array) -> LSTMGates:
        return stabilized(params, carry, x)[0]

    def step(params: SLSTMParams, carry: SLSTMCarry, x: Array) -> tuple[SLSTMCarry, Array]:
        (i, f, z, o), m = stabilized(params, carry, x)
        c, n = f * carry.c + i * z, f * carry.n + i
        h = o * c / n
        return SLSTMCarry(c, n, m, h), h

    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=keeps_f, no_decay=leaves_named("b"))


def get_log_forget(forget: str):
    """log f of a pre-activation, by the name of the forget gate's function."""
    return jax.nn.log_sigmoid if choose("forget", forget, FORGET) == "sigmoid" else lambda a: a


def head_width(hidden_size: int, heads: int) -> int:
    """Units of a head. Raises InputError unless ``heads`` divides ``hidden_size``."""
    check_count("heads", heads)
    if hidden_size % heads:
        raise InputError(f"heads: {heads} do not divide {hidden_size} units; accepted: a divisor of hidden_size")
    return hidden_size // heads
