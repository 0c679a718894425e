"""The gated recurrent unit."""

from typing import NamedTuple

import jax

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import dot, gate_activation, leaves_named, zeros
from rnnlab.cells.rnn import RNNCarry
from rnnlab.core.errors import InputError, choose
from rnnlab.core.types import Array, Cell, Key


class GRUParams(NamedTuple):
    """Gates in the order r, z, n: ``w [D, 3, H]``, ``u [H, 3, H]``, ``b [3, H]``; ``b_n [H]`` is the candidate's
    recurrent bias (``reset="after"``, else None). Printed: ``w [D, 2, H]``, ``u [H, 2, H]``, no biases."""

    w: Array
    u: Array
    b: Array | None
    b_n: Array | None


class GRUGates(NamedTuple):
    """The gate values of a step, each ``[..., H]``: reset, update, candidate."""

    r: Array
    z: Array
    candidate: Array


def gru(
    hidden_size: int,
    *,
    variant: str = "standard",
    reset: str = "after",
    activation: str = "tanh",
    gate: str = "sigmoid",
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """Gated recurrent unit (Cho et al. 2014; Rahman et al. 2016, eq. 9-12).

        r, z = s(x W + h U + b)
        n = act(x W_n + b + r * (h U_n + b_n))      reset="after", as in cuDNN, PyTorch and Keras 3
        n = act(x W_n + b + (r * h) U_n)            reset="before", as in Cho et al.
        h_t = z * h_{t-1} + (1 - z) * n

    ``variant="printed"`` is eq. 9-12 of Rahman et al.: no biases, the candidate reuses the reset gate's weights on
    [r * h, x], and z gates the candidate: ``h_t = (1 - z) * h_{t-1} + z * n``. It requires ``reset="before"``.

    Shapes: x [..., D], h [..., H].
    Departures: none.
    """
    act, squash = make_activation(activation), gate_activation(gate)
    init_w, init_u = get_initializer("w_init", w_init), get_initializer("u_init", u_init)
    printed = choose("variant", variant, ("standard", "printed")) == "printed"
    after = choose("reset", reset, ("after", "before")) == "after"
    if printed and after:
        raise InputError("reset: variant 'printed' resets before the product; accepted: 'before'")
    count = 2 if printed else 3

    def init(key: Key, inputs: int) -> GRUParams:
        key_w, key_u = jax.random.split(key)
        w, u = init_w(key_w, (inputs, count, hidden_size)), init_u(key_u, (hidden_size, count, hidden_size))
        b = None if printed else zeros(w, 3, hidden_size)
        return GRUParams(w, u, b, zeros(w, hidden_size) if after else None)

    def initial_carry(params: GRUParams, batch: tuple[int, ...]) -> RNNCarry:
        return RNNCarry(zeros(params.u, *batch, hidden_size))

    def gates(params: GRUParams, carry: RNNCarry, x: Array) -> GRUGates:
        h = carry.h
        from_x = dot(x, params.w) if params.b is None else dot(x, params.w) + params.b
        from_h = dot(h, params.u if after else params.u[:, :2])
        r, z = (squash(from_x[..., g, :] + from_h[..., g, :]) for g in range(2))
        if params.b_n is not None:
            n = act(from_x[..., 2, :] + r * (from_h[..., 2, :] + params.b_n))
        else:
            candidate = 0 if printed else 2
            n = act(from_x[..., candidate, :] + dot(r * h, params.u[:, candidate]))
        return GRUGates(r, z, n)

    def step(params: GRUParams, carry: RNNCarry, x: Array) -> tuple[RNNCarry, Array]:
        _, z, n = gates(params, carry, x)
        keep = 1 - z if printed else z
        h = keep * carry.h + (1 - keep) * n
        return RNNCarry(h), h

    def retention(gates: GRUGates) -> dict[str, Array]:
        return {"z": 1 - gates.z if printed else gates.z}

    no_decay = leaves_named("b", "b_n")
    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=retention, no_decay=no_decay)
