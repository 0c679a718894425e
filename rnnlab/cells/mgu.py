"""The minimal gated unit."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.nn import sigmoid

from rnnlab.cells.gate_params import GateParams, gates_init
from rnnlab.cells.ops import dot, leaves_named, zeros
from rnnlab.cells.rnn import RNNCarry
from rnnlab.core.types import Array, Cell


class MGUGates(NamedTuple):
    """The gate values of a step, each ``[..., H]``; ``f`` is the share of the memory that is replaced."""

    f: Array
    candidate: Array


def mgu(hidden_size: int, *, w_init: str = "glorot_uniform", u_init: str = "orthogonal") -> Cell:
    """Minimal gated unit (Zhou, Wu, Zhang & Zhou, Minimal gated unit for recurrent neural networks, 2016, eq. 9-11).

        f = s(x W_f + h U_f + b_f)
        h~ = tanh(x W_h + (f * h_{t-1}) U_h + b_h)
        h_t = (1 - f) * h_{t-1} + f * h~

    Shapes: x [..., D], h [..., H]. Params are GateParams with gates in the order f, candidate.
    Departures: none.
    """

    init = gates_init(hidden_size, 2, w_init=w_init, u_init=u_init)

    def initial_carry(params: GateParams, batch: tuple[int, ...]) -> RNNCarry:
        return RNNCarry(zeros(params.u, *batch, hidden_size))

    def gates(params: GateParams, carry: RNNCarry, x: Array) -> MGUGates:
        z = dot(x, params.w) + params.b
        f = sigmoid(z[..., 0, :] + dot(carry.h, params.u[:, 0]))
        return MGUGates(f, jnp.tanh(z[..., 1, :] + dot(f * carry.h, params.u[:, 1])))

    def step(params: GateParams, carry: RNNCarry, x: Array) -> tuple[RNNCarry, Array]:
        f, candidate = gates(params, carry, x)
        h = (1 - f) * carry.h + f * candidate
        return RNNCarry(h), h

    def retention(gates: MGUGates) -> dict[str, Array]:
        return {"f": 1 - gates.f}

    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=retention, no_decay=leaves_named("b"))
