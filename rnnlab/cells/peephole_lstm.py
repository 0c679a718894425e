"""The LSTM with peephole connections."""

from typing import NamedTuple

import jax

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.lstm import LSTMCarry, LSTMGates
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import dot, gate_activation, keeps_f, leaves_named, zeros
from rnnlab.core.errors import choose
from rnnlab.core.types import Array, Cell, Key


class PeepholeParams(NamedTuple):
    """``w [D, 4, H]``, ``u [H, 4, H]``, ``b [4, H]`` in the order i, f, c~, o; peepholes ``p`` of i, f, o:
    ``[H, 3, H]`` (full) or ``[3, H]`` (diagonal)."""

    w: Array
    u: Array
    p: Array
    b: Array


def peephole_lstm(
    hidden_size: int,
    *,
    peephole: str = "diagonal",
    output_peephole: str = "current",
    activation: str = "tanh",
    gate: str = "sigmoid",
    forget_bias: float = 1.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """LSTM with peephole connections from the cell state to the gates (Gers & Schmidhuber 2000).

        i, f = s(x W + h U + c_{t-1} P + b)     c~ = act(x W + h U + b)
        c_t = f * c_{t-1} + i * c~
        o = s(x W + h U + c_* P + b)            h_t = o * act(c_t)

    ``peephole="diagonal"``: c P is elementwise. ``"full"``: a matrix, as Rahman et al. print it.
    ``output_peephole="current"``: o sees c_t. ``"previous"``: c_{t-1}, as Rahman et al. print it.

    Shapes: x [..., D], c and h [..., H].
    Departures: full gradients; peepholes start small (glorot_uniform), not at zero.
    """
    act, squash = make_activation(activation), gate_activation(gate)
    init_w, init_u = get_initializer("w_init", w_init), get_initializer("u_init", u_init)
    full = choose("peephole", peephole, ("diagonal", "full")) == "full"
    current = choose("output_peephole", output_peephole, ("current", "previous")) == "current"

    def init(key: Key, inputs: int) -> PeepholeParams:
        key_w, key_u, key_p = jax.random.split(key, 3)
        w = init_w(key_w, (inputs, 4, hidden_size))
        p = get_initializer("peephole", "glorot_uniform")(key_p, (hidden_size if full else 1, 3, hidden_size))
        b = zeros(w, 4, hidden_size).at[1].set(forget_bias)
        return PeepholeParams(w, init_u(key_u, (hidden_size, 4, hidden_size)), p if full else p[0], b)

    def initial_carry(params: PeepholeParams, batch: tuple[int, ...]) -> LSTMCarry:
        return LSTMCarry(zeros(params.u, *batch, hidden_size), zeros(params.u, *batch, hidden_size))

    def peep(c: Array, p: Array) -> list[Array]:
        """What ``c [..., H]`` adds to each gate of ``p [H, G, H]`` or ``[G, H]``: G times ``[..., H]``."""
        seen = dot(c, p) if full else None
        return [c * p[g] if seen is None else seen[..., g, :] for g in range(p.shape[-2])]

    def gates_and_state(params: PeepholeParams, carry: LSTMCarry, x: Array) -> tuple[LSTMGates, Array]:
        z = dot(x, params.w) + dot(carry.h, params.u) + params.b
        seen = peep(carry.c, params.p[..., :2, :] if current else params.p)
        i, f = squash(z[..., 0, :] + seen[0]), squash(z[..., 1, :] + seen[1])
        candidate = act(z[..., 2, :])
        c = f * carry.c + i * candidate
        o = squash(z[..., 3, :] + (peep(c, params.p[..., 2:, :])[0] if current else seen[2]))
        return LSTMGates(i, f, candidate, o), c

    def gates(params: PeepholeParams, carry: LSTMCarry, x: Array) -> LSTMGates:
        return gates_and_state(params, carry, x)[0]

    def step(params: PeepholeParams, carry: LSTMCarry, x: Array) -> tuple[LSTMCarry, Array]:
        gates, c = gates_and_state(params, carry, x)
        h = gates.o * act(c)
        return LSTMCarry(c, h), h

    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=keeps_f, no_decay=leaves_named("b"))
