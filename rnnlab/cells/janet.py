"""JANET: a forget gate and nothing else."""

import jax.numpy as jnp
from jax.nn import sigmoid

from rnnlab.cells.gate_params import GateParams, gates_init
from rnnlab.cells.mgu import MGUGates
from rnnlab.cells.ops import dot, keeps_f, leaves_named, zeros
from rnnlab.cells.rnn import RNNCarry
from rnnlab.core.types import Array, Cell


def janet(
    hidden_size: int,
    *,
    beta: float = 1.0,
    forget_bias: float = 1.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """JANET (van der Westhuizen & Lasenby, The unreasonable effectiveness of the forget gate, 2018, eq. 8-11).

        s = x W_f + h U_f + b_f         c~ = tanh(x W_c + h U_c + b_c)
        h_t = s(s) * h_{t-1} + (1 - s(s - beta)) * c~

    ``beta`` lets more in than is forgotten. The gates are f = s(s) and the candidate.

    Shapes: x [..., D], h [..., H]. Params are GateParams with gates in the order f, candidate.
    Departures: a constant initial bias ``forget_bias``; the paper draws chrono values from the longest dependency.
    """

    init = gates_init(hidden_size, 2, w_init=w_init, u_init=u_init, biases={0: forget_bias})

    def initial_carry(params: GateParams, batch: tuple[int, ...]) -> RNNCarry:
        return RNNCarry(zeros(params.u, *batch, hidden_size))

    def driven(params: GateParams, carry: RNNCarry, x: Array) -> tuple[Array, Array]:
        z = dot(x, params.w) + dot(carry.h, params.u) + params.b
        return z[..., 0, :], jnp.tanh(z[..., 1, :])

    def gates(params: GateParams, carry: RNNCarry, x: Array) -> MGUGates:
        s, candidate = driven(params, carry, x)
        return MGUGates(sigmoid(s), candidate)

    def step(params: GateParams, carry: RNNCarry, x: Array) -> tuple[RNNCarry, Array]:
        s, candidate = driven(params, carry, x)
        h = sigmoid(s) * carry.h + sigmoid(beta - s) * candidate
        return RNNCarry(h), h

    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=keeps_f, no_decay=leaves_named("b"))
