"""The real-gated linear recurrent unit."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.linear_recurrence import REAL, Element, linear_cell
from rnnlab.cells.ops import dot, keeps_f, leaves_named, zeros
from rnnlab.cells.rnn import RNNCarry
from rnnlab.core.errors import check_number
from rnnlab.core.types import Array, Cell, Key


class RGLRUParams(NamedTuple):
    """``w [D, H]`` and ``b_x [H]`` of the input; ``w_gates [H, 2, H]`` and ``b [2, H]`` of r, i; ``decay [H]``, the
    paper's Lambda."""

    w: Array
    w_gates: Array
    decay: Array
    b_x: Array
    b: Array


class RGLRUGates(NamedTuple):
    """The gate values of a step, each ``[..., H]``; ``f`` is a_t, the factor of h."""

    r: Array
    i: Array
    f: Array


def rg_lru(
    hidden_size: int,
    *,
    c: float = 8.0,
    a_min: float = 0.9,
    a_max: float = 0.999,
    scan: str = "auto",
    piece: int | None = None,
    w_init: str = "glorot_uniform",
) -> Cell:
    """Real-gated linear recurrent unit (De, Smith, Fernando et al., Griffin, 2024, section 2.4, eq. 1-4).

        u_t = x_t W + b_x
        r_t = s(u_t W_a + b_a)                                          (1)
        i_t = s(u_t W_x + b_i)                                          (2)
        a_t = a^(c r_t), a = s(Lambda)                                  (3)
        h_t = a_t * h_{t-1} + sqrt(1 - a_t^2) * (i_t * u_t)             (4)

    a^c is uniform between ``a_min`` and ``a_max`` at the start.

    Shapes: x [..., D], h [..., H].
    Departures: the unit of the paper reads u of its own width, behind a linear layer and a convolution of four steps;
        the linear layer is part of the cell, the convolution and the gated branch beside it are not. The matrices of
        the gates are full (the paper's are block-diagonal to train on several devices).
    Parameters: D*H + 2*H*H + 4*H.
    """
    init_w = get_initializer("w_init", w_init)
    check_number("c", c)
    for name, value in (("a_min", a_min), ("a_max", a_max)):
        check_number(name, value, below=1)

    def init(key: Key, inputs: int) -> RGLRUParams:
        key_w, key_gates, key_decay = jax.random.split(key, 3)
        w = init_w(key_w, (inputs, 1, hidden_size))[:, 0]
        power = a_min + jax.random.uniform(key_decay, (hidden_size,)) * (a_max - a_min)
        log_a = jnp.log(jnp.maximum(power, 1e-6)) / c
        decay = log_a - jnp.log(-jnp.expm1(log_a))  # the inverse of the logistic function
        gates = init_w(key_gates, (hidden_size, 2, hidden_size))
        return RGLRUParams(w, gates, decay, zeros(w, hidden_size), zeros(w, 2, hidden_size))

    def initial_carry(params: RGLRUParams, batch: tuple[int, ...]) -> RNNCarry:
        return RNNCarry(zeros(params.w, *batch, hidden_size))

    def decide(params: RGLRUParams, x: Array) -> tuple[RGLRUGates, Array, Array]:
        """The gates, log a_t and u_t."""
        u = dot(x, params.w) + params.b_x
        sums = dot(u, params.w_gates) + params.b
        r, i = jax.nn.sigmoid(sums[..., 0, :]), jax.nn.sigmoid(sums[..., 1, :])
        log_a = -c * r * jax.nn.softplus(-params.decay.astype(u.dtype))
        return RGLRUGates(r, i, jnp.exp(log_a)), log_a, u

    def gates(params: RGLRUParams, carry: RNNCarry, x: Array) -> RGLRUGates:
        return decide(params, x)[0]

    def elements(params: RGLRUParams, x: Array) -> Element:
        decided, log_a, u = decide(params, x)
        return decided.f, jnp.sqrt(-jnp.expm1(2 * log_a)) * decided.i * u

    no_decay = leaves_named("decay", "b", "b_x")
    cell = Cell(init, initial_carry, None, hidden_size, gates=gates, retention=keeps_f, no_decay=no_decay)
    return linear_cell(cell, REAL, elements, lambda params, carry, x: carry.h, scan, piece)
