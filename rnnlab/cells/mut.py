"""MUT1, MUT2 and MUT3: the best cells of an evolutionary search."""

from collections.abc import Callable

import jax.numpy as jnp
from jax.nn import sigmoid

from rnnlab.cells.gate_params import GateParams, gates_init
from rnnlab.cells.gru import GRUGates
from rnnlab.cells.ops import dot, leaves_named, zeros
from rnnlab.cells.rnn import RNNCarry
from rnnlab.core.types import Array, Cell


def mut1(hidden_size: int, *, w_init: str = "glorot_uniform", u_init: str = "orthogonal") -> Cell:
    """MUT1 (Jozefowicz, Zaremba & Sutskever, An empirical exploration of recurrent network architectures, 2015).

        r = s(x W_r + h U_r + b_r)      z = s(x W_z + b_z)
        n = tanh((r * h_{t-1}) U_n + tanh(x W_n) + b_n)
        h_t = z * n + (1 - z) * h_{t-1}

    Shapes: x [..., D], h [..., H]. Params are GateParams with gates in the order r, n, z, of which z sees no h.
    Departures: the paper prints tanh(x), for inputs as wide as h.
    """
    return _mutation(hidden_size, w_init, u_init, recurrent=2, squash_x=jnp.tanh, seen_by_z=None)


def mut2(hidden_size: int, *, w_init: str = "glorot_uniform", u_init: str = "orthogonal") -> Cell:
    """MUT2 (Jozefowicz, Zaremba & Sutskever 2015).

        r = s(x W_r + h U_r + b_r)      z = s(x W_z + h U_z + b_z)
        n = tanh((r * h_{t-1}) U_n + x W_n + b_n)
        h_t = z * n + (1 - z) * h_{t-1}

    Shapes: x [..., D], h [..., H]. Params are GateParams with gates in the order r, n, z.
    Departures: the paper prints r = s(x + ...), for inputs as wide as h.
    """
    return _mutation(hidden_size, w_init, u_init, recurrent=3, squash_x=lambda a: a, seen_by_z=lambda h: h)


def mut3(hidden_size: int, *, w_init: str = "glorot_uniform", u_init: str = "orthogonal") -> Cell:
    """MUT3 (Jozefowicz, Zaremba & Sutskever 2015): MUT2, but z sees tanh(h).

        z = s(x W_z + tanh(h) U_z + b_z)

    Shapes: x [..., D], h [..., H]. Params are GateParams with gates in the order r, n, z.
    Departures: none.
    """
    return _mutation(hidden_size, w_init, u_init, recurrent=3, squash_x=lambda a: a, seen_by_z=jnp.tanh)


def _mutation(
    hidden_size: int,
    w_init: str,
    u_init: str,
    *,
    recurrent: int,
    squash_x: Callable[[Array], Array],
    seen_by_z: Callable[[Array], Array] | None,
) -> Cell:
    init = gates_init(hidden_size, 3, w_init=w_init, u_init=u_init, recurrent=recurrent)

    def initial_carry(params: GateParams, batch: tuple[int, ...]) -> RNNCarry:
        return RNNCarry(zeros(params.u, *batch, hidden_size))

    def gates(params: GateParams, carry: RNNCarry, x: Array) -> GRUGates:
        h, from_x = carry.h, dot(x, params.w)
        r = sigmoid(from_x[..., 0, :] + dot(h, params.u[:, 0]) + params.b[0])
        z = from_x[..., 2, :] + params.b[2]
        z = sigmoid(z if seen_by_z is None else z + dot(seen_by_z(h), params.u[:, 2]))
        return GRUGates(r, z, jnp.tanh(dot(r * h, params.u[:, 1]) + squash_x(from_x[..., 1, :]) + params.b[1]))

    def step(params: GateParams, carry: RNNCarry, x: Array) -> tuple[RNNCarry, Array]:
        _, z, n = gates(params, carry, x)
        h = z * n + (1 - z) * carry.h
        return RNNCarry(h), h

    def retention(gates: GRUGates) -> dict[str, Array]:
        return {"z": 1 - gates.z}

    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=retention, no_decay=leaves_named("b"))
