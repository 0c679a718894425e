"""The update-gate RNN."""

from typing import NamedTuple

from jax.nn import sigmoid

from rnnlab.cells.gate_params import GateParams, gates_init
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import dot, leaves_named, zeros
from rnnlab.cells.rnn import RNNCarry
from rnnlab.core.types import Array, Cell


class UGRNNGates(NamedTuple):
    """The gate values of a step, each ``[..., H]``; ``z`` is the share of the memory that stays."""

    z: Array
    candidate: Array


def ugrnn(
    hidden_size: int,
    *,
    activation: str = "tanh",
    forget_bias: float = 1.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """Update-gate RNN (Collins, Sohl-Dickstein & Sussillo, Capacity and trainability in recurrent networks, 2017).

        z = s(x W_z + h U_z + b_z)      c~ = act(x W_c + h U_c + b_c)
        h_t = z * h_{t-1} + (1 - z) * c~

    ``forget_bias`` is the initial bias of z, the paper's b_fg.

    Shapes: x [..., D], h [..., H]. Params are GateParams with gates in the order z, candidate.
    Departures: b_fg is learned, as part of b_z.
    """
    act = make_activation(activation)

    init = gates_init(hidden_size, 2, w_init=w_init, u_init=u_init, biases={0: forget_bias})

    def initial_carry(params: GateParams, batch: tuple[int, ...]) -> RNNCarry:
        return RNNCarry(zeros(params.u, *batch, hidden_size))

    def gates(params: GateParams, carry: RNNCarry, x: Array) -> UGRNNGates:
        a = dot(x, params.w) + dot(carry.h, params.u) + params.b
        return UGRNNGates(sigmoid(a[..., 0, :]), act(a[..., 1, :]))

    def step(params: GateParams, carry: RNNCarry, x: Array) -> tuple[RNNCarry, Array]:
        z, candidate = gates(params, carry, x)
        h = z * carry.h + (1 - z) * candidate
        return RNNCarry(h), h

    def retention(gates: UGRNNGates) -> dict[str, Array]:
        return {"z": gates.z}

    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=retention, no_decay=leaves_named("b"))
