"""The bistable recurrent cell, and the one that is modulated by its neighbours."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.ops import dot, leaves_named, zeros
from rnnlab.cells.rnn import RNNCarry
from rnnlab.core.types import Array, Cell, Key


class BRCParams(NamedTuple):
    """In the order a, c, candidate: ``w [D, 3, H]``; of a and c ``u [2, H]`` (brc) or ``[H, 2, H]`` (nbrc)."""

    w: Array
    u: Array


class BRCGates(NamedTuple):
    """The gate values of a step, each ``[..., H]``: feedback a (above 1: two stable states), the share z of the memory
    that stays (the paper's c), candidate."""

    a: Array
    z: Array
    candidate: Array


def brc(hidden_size: int, *, w_init: str = "glorot_uniform") -> Cell:
    """Bistable recurrent cell (Vecoven, Ernst & Drion, A bio-inspired bistable recurrent cell allows for long-lasting
    memory, 2021, eq. 8-9).

        a = 1 + tanh(x W_a + u_a * h_{t-1})     z = s(x W_z + u_z * h_{t-1})
        h_t = z * h_{t-1} + (1 - z) * tanh(x W + a * h_{t-1})

    Shapes: x [..., D], h [..., H].
    Departures: none; u starts Glorot-uniform.
    """
    init_u = get_initializer("u", "glorot_uniform")
    return _bistable(hidden_size, w_init, lambda key: init_u(key, (1, 2, hidden_size))[0])


def nbrc(hidden_size: int, *, w_init: str = "glorot_uniform", u_init: str = "orthogonal") -> Cell:
    """Recurrently neuromodulated bistable cell (Vecoven, Ernst & Drion 2021, eq. 10): as `brc`, with matrices for u.

        a = 1 + tanh(x W_a + h_{t-1} U_a)       z = s(x W_z + h_{t-1} U_z)

    Shapes: x [..., D], h [..., H].
    Departures: none.
    """
    init_u = get_initializer("u_init", u_init)
    return _bistable(hidden_size, w_init, lambda key: init_u(key, (hidden_size, 2, hidden_size)))


def _bistable(hidden_size: int, w_init: str, draw_u) -> Cell:
    init_w = get_initializer("w_init", w_init)

    def init(key: Key, inputs: int) -> BRCParams:
        key_w, key_u = jax.random.split(key)
        return BRCParams(init_w(key_w, (inputs, 3, hidden_size)), draw_u(key_u))

    def initial_carry(params: BRCParams, batch: tuple[int, ...]) -> RNNCarry:
        return RNNCarry(zeros(params.u, *batch, hidden_size))

    def gates(params: BRCParams, carry: RNNCarry, x: Array) -> BRCGates:
        h, from_x = carry.h, dot(x, params.w)
        from_h = h[..., None, :] * params.u if params.u.ndim == 2 else dot(h, params.u)
        a = 1 + jnp.tanh(from_x[..., 0, :] + from_h[..., 0, :])
        z = sigmoid(from_x[..., 1, :] + from_h[..., 1, :])
        return BRCGates(a, z, jnp.tanh(from_x[..., 2, :] + a * h))

    def step(params: BRCParams, carry: RNNCarry, x: Array) -> tuple[RNNCarry, Array]:
        _, z, candidate = gates(params, carry, x)
        h = z * carry.h + (1 - z) * candidate
        return RNNCarry(h), h

    def retention(gates: BRCGates) -> dict[str, Array]:
        return {"z": gates.z}

    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=retention, no_decay=leaves_named())
