"""Long expressive memory."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.nn import sigmoid

from rnnlab.cells.gate_params import GateParams, gates_init
from rnnlab.cells.ops import dot, leaves_named, zeros
from rnnlab.core.errors import check_number
from rnnlab.core.types import Array, Cell


class LEMCarry(NamedTuple):
    """``h [..., H]``, the paper's y, and ``z [..., H]``."""

    h: Array
    z: Array


class LEMGates(NamedTuple):
    """The two time steps of a step, each ``[..., H]``: of z and of y."""

    dt_z: Array
    dt_y: Array


def lem(hidden_size: int, *, dt: float = 1.0, w_init: str = "glorot_uniform", u_init: str = "orthogonal") -> Cell:
    """Long expressive memory (Rusch, Mishra, Erichson & Mahoney, Long expressive memory for sequence modeling, 2022,
    eq. 3): two states with time steps that are learned.

        dt_z = dt s(x W_1 + y_{t-1} U_1 + b_1)      z_t = (1 - dt_z) z_{t-1} + dt_z tanh(x W_z + y_{t-1} U_z + b_z)
        dt_y = dt s(x W_2 + y_{t-1} U_2 + b_2)      y_t = (1 - dt_y) y_{t-1} + dt_y tanh(x W_y + z_t U_y + b_y)
        h_t = y_t

    Shapes: x [..., D]; z, h [..., H]. Params are GateParams in the order dt_z, dt_y, z, y; u of y reads z.
    Departures: none.
    """
    check_number("dt", dt)

    init = gates_init(hidden_size, 4, w_init=w_init, u_init=u_init)

    def initial_carry(params: GateParams, batch: tuple[int, ...]) -> LEMCarry:
        return LEMCarry(zeros(params.u, *batch, hidden_size), zeros(params.u, *batch, hidden_size))

    def driven(params: GateParams, carry: LEMCarry, x: Array) -> tuple[Array, Array]:
        """What x gives to all four ``[..., 4, H]``, and x and y together to the first three ``[..., 3, H]``."""
        from_x = dot(x, params.w) + params.b
        return from_x, from_x[..., :3, :] + dot(carry.h, params.u[:, :3])

    def gates(params: GateParams, carry: LEMCarry, x: Array) -> LEMGates:
        _, a = driven(params, carry, x)
        return LEMGates(dt * sigmoid(a[..., 0, :]), dt * sigmoid(a[..., 1, :]))

    def step(params: GateParams, carry: LEMCarry, x: Array) -> tuple[LEMCarry, Array]:
        from_x, a = driven(params, carry, x)
        dt_z, dt_y = dt * sigmoid(a[..., 0, :]), dt * sigmoid(a[..., 1, :])
        z = (1 - dt_z) * carry.z + dt_z * jnp.tanh(a[..., 2, :])
        y = (1 - dt_y) * carry.h + dt_y * jnp.tanh(from_x[..., 3, :] + dot(z, params.u[:, 3]))
        return LEMCarry(y, z), y

    def retention(gates: LEMGates) -> dict[str, Array]:
        return {"z": 1 - gates.dt_z, "y": 1 - gates.dt_y}

    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=retention, no_decay=leaves_named("b"))
