"""The LSTM with a forget gate, and the 1997 LSTM without one."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.lstm_kernel import recurrence
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import dot, gate_activation, keeps_f, leaves_named, zeros
from rnnlab.core.errors import choose
from rnnlab.core.types import Array, Cell, Key


class LSTMParams(NamedTuple):
    """Gates in the order i, f, c~, o: ``w [D, 4, H]``, ``u [H, 4, H]``, ``b [4, H]`` or None.

    With ``output_gate="recurrent"``, ``w`` and ``b`` have the first three gates only. ``b_state [2, H]`` are the biases
    of c and h, or None without ``state_bias``.
    """

    w: Array
    u: Array
    b: Array | None
    b_state: Array | None = None


class LSTMCarry(NamedTuple):
    """``c [..., H]``, ``h [..., H]``."""

    c: Array
    h: Array


class LSTMGates(NamedTuple):
    """The gate values of a step, each ``[..., H]``."""

    i: Array
    f: Array
    candidate: Array
    o: Array


class LSTM1997Gates(NamedTuple):
    """As ``LSTMGates``, without a forget gate."""

    i: Array
    candidate: Array
    o: Array


def lstm(
    hidden_size: int,
    *,
    activation: str = "tanh",
    gate: str = "sigmoid",
    forget_bias: float = 1.0,
    input_bias: float = 0.0,
    bias: bool = True,
    state_bias: bool = False,
    output_gate: str = "standard",
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """Long short-term memory with a forget gate (Gers, Schmidhuber & Cummins 2000; Akandeh & Salem 2017, eq. 2).

        i, f, o = s(x W + h U + b)      c~ = act(x W + h U + b)
        c_t = f * c_{t-1} + i * c~      h_t = o * act(c_t)

    ``output_gate="recurrent"`` is ``o_t = s(h_{t-1} W_o)`` as Owusu et al. print it, without input or bias.
    ``bias=False`` removes the biases of gates and candidate. ``forget_bias`` and ``input_bias`` are the initial biases
    of f and i. ``state_bias`` adds a learned vector to c_t and one to h_t, both initially zero (charlm_cerebral,
    protocol tf1).

    Shapes: x [..., D], c and h [..., H].
    Departures: forget bias 1 by default (Gers et al.; Keras's unit_forget_bias), which the papers do not print.
    """
    act, squash = make_activation(activation), gate_activation(gate)
    init_w, init_u = get_initializer("w_init", w_init), get_initializer("u_init", u_init)
    recurrent = choose("output_gate", output_gate, ("standard", "recurrent")) == "recurrent"
    driven = 3 if recurrent else 4  # gates that see x and have a bias

    def init(key: Key, inputs: int) -> LSTMParams:
        key_w, key_u = jax.random.split(key)
        w, u = init_w(key_w, (inputs, driven, hidden_size)), init_u(key_u, (hidden_size, 4, hidden_size))
        b = zeros(w, driven, hidden_size).at[1].set(forget_bias).at[0].set(input_bias) if bias else None
        return LSTMParams(w, u, b, zeros(w, 2, hidden_size) if state_bias else None)

    def initial_carry(params: LSTMParams, batch: tuple[int, ...]) -> LSTMCarry:
        return LSTMCarry(zeros(params.u, *batch, hidden_size), zeros(params.u, *batch, hidden_size))

    def gates(params: LSTMParams, carry: LSTMCarry, x: Array) -> LSTMGates:
        z = dot(x, params.w) if params.b is None else dot(x, params.w) + params.b
        if recurrent:
            z = jnp.concatenate([z, jnp.zeros_like(z[..., :1, :])], axis=-2)
        z = z + dot(carry.h, params.u)
        return LSTMGates(squash(z[..., 0, :]), squash(z[..., 1, :]), act(z[..., 2, :]), squash(z[..., 3, :]))

    def step(params: LSTMParams, carry: LSTMCarry, x: Array) -> tuple[LSTMCarry, Array]:
        i, f, candidate, o = gates(params, carry, x)
        c = f * carry.c + i * candidate
        if params.b_state is not None:
            c = c + params.b_state[0]
        h = o * act(c)
        if params.b_state is not None:
            h = h + params.b_state[1]
        return LSTMCarry(c, h), h

    fused = _fused if (activation, gate, recurrent, state_bias) == ("tanh", "sigmoid", False, False) else None
    no_decay = leaves_named("b", "b_state")
    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=keeps_f, no_decay=no_decay, fused=fused)


def _fused(
    params: LSTMParams, carry: LSTMCarry, xs: Array, lengths: Array | None, reverse: bool
) -> tuple[LSTMCarry, Array]:
    zx = dot(xs, params.w) if params.b is None else dot(xs, params.w) + params.b
    c, h, hs = recurrence(zx, params.u, carry.c, carry.h, lengths, reverse=reverse)
    return LSTMCarry(c, h), hs


def lstm_1997(
    hidden_size: int,
    *,
    activation: str = "tanh",
    gate: str = "sigmoid",
    input_bias: float = 0.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """The 1997 LSTM: input and output gates around a constant error carousel, no forget gate.

        i, o = s(x W + h U + b)         c~ = act(x W + h U + b)
        c_t = c_{t-1} + i * c~          h_t = o * act(c_t)

    ``input_bias`` is the initial bias of i: the paper uses negative values to keep c from drifting early in training.

    Shapes: x [..., D], c and h [..., H]. Params are LSTMParams with gates in the order i, c~, o.
    Departures: full gradients and tanh; the paper truncates the gradient and scales the squashing functions.
    """
    act, squash = make_activation(activation), gate_activation(gate)
    init_w, init_u = get_initializer("w_init", w_init), get_initializer("u_init", u_init)

    def init(key: Key, inputs: int) -> LSTMParams:
        key_w, key_u = jax.random.split(key)
        w = init_w(key_w, (inputs, 3, hidden_size))
        return LSTMParams(
            w, init_u(key_u, (hidden_size, 3, hidden_size)), zeros(w, 3, hidden_size).at[0].set(input_bias)
        )

    def initial_carry(params: LSTMParams, batch: tuple[int, ...]) -> LSTMCarry:
        return LSTMCarry(zeros(params.u, *batch, hidden_size), zeros(params.u, *batch, hidden_size))

    def gates(params: LSTMParams, carry: LSTMCarry, x: Array) -> LSTM1997Gates:
        assert params.b is not None
        z = dot(x, params.w) + dot(carry.h, params.u) + params.b
        return LSTM1997Gates(squash(z[..., 0, :]), act(z[..., 1, :]), squash(z[..., 2, :]))

    def step(params: LSTMParams, carry: LSTMCarry, x: Array) -> tuple[LSTMCarry, Array]:
        i, candidate, o = gates(params, carry, x)
        c = carry.c + i * candidate
        h = o * act(c)
        return LSTMCarry(c, h), h

    return Cell(init, initial_carry, step, hidden_size, gates=gates, no_decay=leaves_named("b"))
