"""The LSTM and the GRU with layer normalization."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from rnnlab.cells.gate_params import gates_init
from rnnlab.cells.gru import GRUGates
from rnnlab.cells.lstm import LSTMCarry, LSTMGates
from rnnlab.cells.ops import dot, keeps_f, leaves_named, zeros
from rnnlab.cells.rnn import RNNCarry
from rnnlab.core.types import Array, Cell, Key

EPSILON = 1e-5  # added to the variance, as in PyTorch and Flax


class LayerNormLSTMParams(NamedTuple):
    """``w [D, 4, H]``, ``u [H, 4, H]``, ``b [4, H]`` in the order i, f, c~, o; of the normalized x W and h U ``scale``
    and ``b_scale`` ``[2, 4, H]``, of c ``scale_c`` and ``b_c`` ``[H]``."""

    w: Array
    u: Array
    b: Array
    scale: Array
    b_scale: Array
    scale_c: Array
    b_c: Array


class LayerNormGRUParams(NamedTuple):
    """``w [D, 3, H]``, ``u [H, 3, H]`` in the order r, z, n; of the normalized x W and h U ``scale`` and ``b_scale``
    ``[2, 3, H]``."""

    w: Array
    u: Array
    scale: Array
    b_scale: Array


def normalize(a: Array, scale: Array, shift: Array) -> Array:
    """``a`` with mean 0 and variance 1 over the axes of ``scale``, its last ones, times ``scale`` plus ``shift``."""
    axes = tuple(range(-scale.ndim, 0))
    centred = a - a.mean(axes, keepdims=True)
    return scale * centred * jax.lax.rsqrt(jnp.square(centred).mean(axes, keepdims=True) + EPSILON) + shift


def layer_norm_lstm(
    hidden_size: int, *, forget_bias: float = 1.0, w_init: str = "glorot_uniform", u_init: str = "orthogonal"
) -> Cell:
    """LSTM with layer normalization (Ba, Kiros & Hinton, Layer normalization, 2016, eq. 20-22).

        i, f, c~, o = LN(x W) + LN(h U) + b     over all four together; then s, s, tanh, s
        c_t = f * c_{t-1} + i * c~              h_t = o * tanh(LN(c_t))

    Shapes: x [..., D], c and h [..., H].
    Departures: none; forget bias 1 by default.
    """

    init_products = gates_init(hidden_size, 4, w_init=w_init, u_init=u_init, biases={1: forget_bias})

    def init(key: Key, inputs: int) -> LayerNormLSTMParams:
        w, u, b = init_products(key, inputs)
        both, of_c = zeros(w, 2, 4, hidden_size), zeros(w, hidden_size)
        return LayerNormLSTMParams(w, u, b, both + 1, both, of_c + 1, of_c)

    def initial_carry(params: LayerNormLSTMParams, batch: tuple[int, ...]) -> LSTMCarry:
        return LSTMCarry(zeros(params.u, *batch, hidden_size), zeros(params.u, *batch, hidden_size))

    def gates(params: LayerNormLSTMParams, carry: LSTMCarry, x: Array) -> LSTMGates:
        a = normalize(dot(x, params.w), params.scale[0], params.b_scale[0])
        a = a + normalize(dot(carry.h, params.u), params.scale[1], params.b_scale[1]) + params.b
        i, f, o = (sigmoid(a[..., g, :]) for g in (0, 1, 3))
        return LSTMGates(i, f, jnp.tanh(a[..., 2, :]), o)

    def step(params: LayerNormLSTMParams, carry: LSTMCarry, x: Array) -> tuple[LSTMCarry, Array]:
        i, f, candidate, o = gates(params, carry, x)
        c = f * carry.c + i * candidate
        h = o * jnp.tanh(normalize(c, params.scale_c, params.b_c))
        return LSTMCarry(c, h), h

    no_decay = leaves_named("b", "scale", "b_scale", "scale_c", "b_c")
    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=keeps_f, no_decay=no_decay)


def layer_norm_gru(hidden_size: int, *, w_init: str = "glorot_uniform", u_init: str = "orthogonal") -> Cell:
    """GRU with layer normalization (Ba, Kiros & Hinton 2016, eq. 26-29).

        r, z = s(LN(x W) + LN(h U))             over both together
        n = tanh(LN(x W_n) + r * LN(h U_n))
        h_t = (1 - z) * h_{t-1} + z * n

    Shapes: x [..., D], h [..., H].
    Departures: none.
    """

    init_products = gates_init(hidden_size, 3, w_init=w_init, u_init=u_init)

    def init(key: Key, inputs: int) -> LayerNormGRUParams:
        w, u, _ = init_products(key, inputs)
        both = zeros(w, 2, 3, hidden_size)
        return LayerNormGRUParams(w, u, both + 1, both)

    def initial_carry(params: LayerNormGRUParams, batch: tuple[int, ...]) -> RNNCarry:
        return RNNCarry(zeros(params.u, *batch, hidden_size))

    def gates(params: LayerNormGRUParams, carry: RNNCarry, x: Array) -> GRUGates:
        sources = zip((dot(x, params.w), dot(carry.h, params.u)), params.scale, params.b_scale, strict=True)
        (gates_x, n_x), (gates_h, n_h) = (
            (normalize(a[..., :2, :], scale[:2], shift[:2]), normalize(a[..., 2, :], scale[2], shift[2]))
            for a, scale, shift in sources
        )
        both = sigmoid(gates_x + gates_h)
        r, z = both[..., 0, :], both[..., 1, :]
        return GRUGates(r, z, jnp.tanh(n_x + r * n_h))

    def step(params: LayerNormGRUParams, carry: RNNCarry, x: Array) -> tuple[RNNCarry, Array]:
        _, z, n = gates(params, carry, x)
        h = (1 - z) * carry.h + z * n
        return RNNCarry(h), h

    def retention(gates: GRUGates) -> dict[str, Array]:
        return {"z": 1 - gates.z}

    no_decay = leaves_named("scale", "b_scale")
    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=retention, no_decay=no_decay)
