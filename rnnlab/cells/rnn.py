"""The simple recurrent network."""

from typing import NamedTuple

import jax

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import dot, zeros
from rnnlab.core.types import Array, Cell, Key


class RNNParams(NamedTuple):
    """``w [D, H]``, ``u [H, H]``, ``b [H]``."""

    w: Array
    u: Array
    b: Array


class RNNCarry(NamedTuple):
    """``h [..., H]``."""

    h: Array


def rnn(
    hidden_size: int, *, activation: str = "tanh", w_init: str = "glorot_uniform", u_init: str = "orthogonal"
) -> Cell:
    """Simple recurrent network (Elman 1990; Akandeh & Salem 2017, eq. 1).

        h_t = act(x_t W + h_{t-1} U + b)

    Shapes: x [..., D], h [..., H].
    Departures: Akandeh & Salem allow any bounded function; tanh by default.
    """
    act = make_activation(activation)
    init_w, init_u = get_initializer("w_init", w_init), get_initializer("u_init", u_init)

    def init(key: Key, inputs: int) -> RNNParams:
        key_w, key_u = jax.random.split(key)
        w = init_w(key_w, (inputs, 1, hidden_size))[:, 0]
        return RNNParams(w, init_u(key_u, (hidden_size, 1, hidden_size))[:, 0], zeros(w, hidden_size))

    def initial_carry(params: RNNParams, batch: tuple[int, ...]) -> RNNCarry:
        return RNNCarry(zeros(params.u, *batch, hidden_size))

    def step(params: RNNParams, carry: RNNCarry, x: Array) -> tuple[RNNCarry, Array]:
        h = act(dot(x, params.w) + dot(carry.h, params.u) + params.b)
        return RNNCarry(h), h

    return Cell(init, initial_carry, step, hidden_size)
