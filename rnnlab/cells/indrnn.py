"""The independently recurrent network."""

import jax

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import dot, leaves_named, zeros
from rnnlab.cells.rnn import RNNCarry, RNNParams
from rnnlab.core.errors import check_number
from rnnlab.core.types import Array, Cell, Key


def indrnn(hidden_size: int, *, activation: str = "relu", u_max: float = 1.0, w_init: str = "glorot_uniform") -> Cell:
    """Independently recurrent network (Li, Li, Cook, Zhu & Gao 2018, eq. 2): every unit sees its own past alone.

        h_t = act(x W + u * h_{t-1} + b)

    ``u`` starts uniform in [0, ``u_max``], as in the paper with relu.

    Shapes: x [..., D], h [..., H]. Params are RNNParams with ``u [H]``.
    Departures: u is not clipped in training.
    """
    act, init_w = make_activation(activation), get_initializer("w_init", w_init)
    check_number("u_max", u_max)

    def init(key: Key, inputs: int) -> RNNParams:
        key_w, key_u = jax.random.split(key)
        w = init_w(key_w, (inputs, 1, hidden_size))[:, 0]
        return RNNParams(w, u_max * jax.random.uniform(key_u, (hidden_size,)), zeros(w, hidden_size))

    def initial_carry(params: RNNParams, batch: tuple[int, ...]) -> RNNCarry:
        return RNNCarry(zeros(params.u, *batch, hidden_size))

    def step(params: RNNParams, carry: RNNCarry, x: Array) -> tuple[RNNCarry, Array]:
        h = act(dot(x, params.w) + params.u * carry.h + params.b)
        return RNNCarry(h), h

    return Cell(init, initial_carry, step, hidden_size, no_decay=leaves_named("b"))
