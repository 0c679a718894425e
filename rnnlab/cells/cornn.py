"""The coupled oscillatory network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.ops import dot, leaves_named, zeros
from rnnlab.cells.rnn import RNNParams
from rnnlab.core.errors import check_number
from rnnlab.core.types import Array, Cell, Key


class CoRNNCarry(NamedTuple):
    """Positions ``h [..., H]``, the paper's y, and velocities ``z [..., H]``."""

    h: Array
    z: Array


def cornn(
    hidden_size: int,
    *,
    dt: float = 0.042,
    gamma: float = 2.7,
    epsilon: float = 4.7,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """Coupled oscillatory network (Rusch & Mishra, Coupled oscillatory recurrent neural network, 2021, eq. 3).

        z_t = z_{t-1} + dt (tanh(x W + y_{t-1} U_y + z_{t-1} U_z + b) - gamma y_{t-1} - epsilon z_{t-1})
        y_t = y_{t-1} + dt z_t          h_t = y_t

    The defaults are the paper's for sequential MNIST; ``gamma`` is a frequency, ``epsilon`` a damping.

    Shapes: x [..., D]; z, h [..., H]. Params are RNNParams with ``u [H, 2, H]``, of y and z.
    Departures: none. The damping is explicit (the paper allows either), as in the authors' code.
    """
    init_w, init_u = get_initializer("w_init", w_init), get_initializer("u_init", u_init)
    for name, value in (("dt", dt), ("gamma", gamma), ("epsilon", epsilon)):
        check_number(name, value)

    def init(key: Key, inputs: int) -> RNNParams:
        key_w, key_u = jax.random.split(key)
        w = init_w(key_w, (inputs, 1, hidden_size))[:, 0]
        return RNNParams(w, init_u(key_u, (hidden_size, 2, hidden_size)), zeros(w, hidden_size))

    def initial_carry(params: RNNParams, batch: tuple[int, ...]) -> CoRNNCarry:
        return CoRNNCarry(zeros(params.u, *batch, hidden_size), zeros(params.u, *batch, hidden_size))

    def step(params: RNNParams, carry: CoRNNCarry, x: Array) -> tuple[CoRNNCarry, Array]:
        y, z = carry
        force = jnp.tanh(dot(x, params.w) + dot(y, params.u[:, 0]) + dot(z, params.u[:, 1]) + params.b)
        z = z + dt * (force - gamma * y - epsilon * z)
        y = y + dt * z
        return CoRNNCarry(y, z), y

    return Cell(init, initial_carry, step, hidden_size, no_decay=leaves_named("b"))
