"""The LSTM whose output is a projection of its cells."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.lstm import LSTMCarry, LSTMGates
from rnnlab.cells.ops import dot, keeps_f, leaves_named, zeros
from rnnlab.core.errors import check_count
from rnnlab.core.types import Array, Cell, Key


class ProjectedLSTMParams(NamedTuple):
    """``w [D, 4, N]``, ``u [H, 4, N]``, ``b [4, N]`` in the order i, f, c~, o; the projection ``p [N, H]``."""

    w: Array
    u: Array
    b: Array
    p: Array


def projected_lstm(
    hidden_size: int,
    *,
    state_size: int = 0,
    forget_bias: float = 1.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """LSTM with a recurrent projection (Sak, Senior & Beaufays, Long short-term memory recurrent neural network
    architectures for large scale acoustic modeling, 2014, eq. 1-7).

        i, f, o = s(x W + h U + b)              c~ = tanh(x W + h U + b)
        c_t = f * c_{t-1} + i * c~              h_t = (o * tanh(c_t)) P

    There are N = ``state_size`` memory cells, with 0 twice ``hidden_size``, the width of h (PyTorch: ``hidden_size``
    and ``proj_size``).

    Shapes: x [..., D], c [..., N], h [..., H].
    Departures: no peepholes and no second, non-recurrent projection, as in PyTorch.
    """
    init_w, init_u = get_initializer("w_init", w_init), get_initializer("u_init", u_init)
    cells = state_size or 2 * hidden_size
    check_count("state_size", cells)

    def init(key: Key, inputs: int) -> ProjectedLSTMParams:
        key_w, key_u, key_p = jax.random.split(key, 3)
        w, u = init_w(key_w, (inputs, 4, cells)), init_u(key_u, (hidden_size, 4, cells))
        b = zeros(w, 4, cells).at[1].set(forget_bias)
        return ProjectedLSTMParams(w, u, b, init_w(key_p, (cells, 1, hidden_size))[:, 0])

    def initial_carry(params: ProjectedLSTMParams, batch: tuple[int, ...]) -> LSTMCarry:
        return LSTMCarry(zeros(params.u, *batch, cells), zeros(params.u, *batch, hidden_size))

    def gates(params: ProjectedLSTMParams, carry: LSTMCarry, x: Array) -> LSTMGates:
        z = dot(x, params.w) + dot(carry.h, params.u) + params.b
        i, f, o = (sigmoid(z[..., g, :]) for g in (0, 1, 3))
        return LSTMGates(i, f, jnp.tanh(z[..., 2, :]), o)

    def step(params: ProjectedLSTMParams, carry: LSTMCarry, x: Array) -> tuple[LSTMCarry, Array]:
        i, f, candidate, o = gates(params, carry, x)
        c = f * carry.c + i * candidate
        h = dot(o * jnp.tanh(c), params.p)
        return LSTMCarry(c, h), h

    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=keeps_f, no_decay=leaves_named("b"))
