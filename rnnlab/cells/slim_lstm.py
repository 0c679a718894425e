"""LSTM1 to LSTM5: the LSTM with terms taken out of its three gates, all alike."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import initialize
from rnnlab.cells.lstm import LSTMCarry, LSTMGates
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import dot, gate_activation, zeros
from rnnlab.core.types import Array, Cell, Key


class SlimParams(NamedTuple):
    """Rows in the order i, f, o, c~ (the candidate last, since every variant has it).

    ``w [D, H]`` of the candidate; ``u [H, 4, H]``, or ``[H, 1, H]`` of the candidate only; ``u_gates [3, H]``
    elementwise, or None; ``b [4, H]``, or ``[1, H]`` of the candidate only.
    """

    w: Array
    u: Array
    u_gates: Array | None
    b: Array


def _slim(
    hidden_size: int,
    *,
    matrices: bool,
    vectors: bool,
    biases: bool,
    activation: str,
    gate: str,
    forget_bias: float,
    w_init: str,
    u_init: str,
) -> Cell:
    """The LSTM whose gates see ``h U`` (matrices) or ``u * h`` (vectors) or neither, ``+ b`` (biases) or not."""
    act, squash = make_activation(activation), gate_activation(gate)
    init_w, init_u = initialize("w_init", w_init), initialize("u_init", u_init)

    def init(key: Key, inputs: int) -> SlimParams:
        key_w, key_u, key_g = jax.random.split(key, 3)
        w = init_w(key_w, (inputs, 1, hidden_size))[:, 0]
        u = init_u(key_u, (hidden_size, 4 if matrices else 1, hidden_size))
        u_gates = initialize("u_gates", "glorot_uniform")(key_g, (1, 3, hidden_size))[0] if vectors else None
        b = zeros(w, 4, hidden_size).at[1].set(forget_bias) if biases else zeros(w, 1, hidden_size)
        return SlimParams(w, u, u_gates, b)

    def initial_carry(params: SlimParams, batch: tuple[int, ...]) -> LSTMCarry:
        return LSTMCarry(zeros(params.u, *batch, hidden_size), zeros(params.u, *batch, hidden_size))

    def gates(params: SlimParams, carry: LSTMCarry, x: Array) -> LSTMGates:
        from_h = dot(carry.h, params.u)  # [..., 4 or 1, H]
        z: Any = params.b[:3] if biases else 0.0
        if matrices:
            z = z + from_h[..., :3, :]
        if vectors:
            z = z + params.u_gates * carry.h[..., None, :]
        candidate = act(dot(x, params.w) + from_h[..., -1, :] + params.b[-1])
        i, f, o = (jnp.broadcast_to(squash(z[..., g, :]), candidate.shape) for g in range(3))  # LSTM3's have no B
        return LSTMGates(i, f, o, candidate)

    def step(params: SlimParams, carry: LSTMCarry, x: Array) -> tuple[LSTMCarry, Array]:
        i, f, o, candidate = gates(params, carry, x)
        c = f * carry.c + i * candidate
        h = o * act(c)
        return LSTMCarry(c, h), h

    return Cell(init, initial_carry, step, gates=gates, hidden_size=hidden_size)


def lstm1(
    hidden_size: int,
    *,
    activation: str = "tanh",
    gate: str = "sigmoid",
    forget_bias: float = 1.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """LSTM1: gates without the input.

        i, f, o = s(h U + b)

    and the rest as in the LSTM (see ``lstm``).

    Paper: Akandeh & Salem, Simplified LSTM RNNs, part I, 2017, eq. 4.
    Shapes: x [..., D], c and h [..., H].
    Departures: forget bias 1 by default (Keras's unit_forget_bias, on which the paper was built).
    Parameters: D*H + 4*H*H + 4*H.
    """
    return _slim(
        hidden_size,
        matrices=True,
        vectors=False,
        biases=True,
        activation=activation,
        gate=gate,
        forget_bias=forget_bias,
        w_init=w_init,
        u_init=u_init,
    )


def lstm2(
    hidden_size: int,
    *,
    activation: str = "tanh",
    gate: str = "sigmoid",
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """LSTM2: gates from the state alone.

        i, f, o = s(h U)

    Paper: Akandeh & Salem, Simplified LSTM RNNs, part I, 2017, eq. 5.
    Shapes: x [..., D], c and h [..., H].
    Departures: none.
    Parameters: D*H + 4*H*H + H.
    """
    return _slim(
        hidden_size,
        matrices=True,
        vectors=False,
        biases=False,
        activation=activation,
        gate=gate,
        forget_bias=0.0,
        w_init=w_init,
        u_init=u_init,
    )


def lstm3(
    hidden_size: int,
    *,
    activation: str = "tanh",
    gate: str = "sigmoid",
    forget_bias: float = 1.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """LSTM3: gates from a bias alone, so constant over time.

        i, f, o = s(b)

    Paper: Akandeh & Salem, Simplified LSTM RNNs, part I, 2017, eq. 6.
    Shapes: x [..., D], c and h [..., H].
    Departures: forget bias 1 by default (Keras's unit_forget_bias).
    Parameters: D*H + H*H + 4*H.
    """
    return _slim(
        hidden_size,
        matrices=False,
        vectors=False,
        biases=True,
        activation=activation,
        gate=gate,
        forget_bias=forget_bias,
        w_init=w_init,
        u_init=u_init,
    )


def lstm4(
    hidden_size: int,
    *,
    activation: str = "tanh",
    gate: str = "sigmoid",
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """LSTM4: gates from the state, elementwise.

        i, f, o = s(u * h)

    Paper: Akandeh & Salem, Simplified LSTM RNNs, part I, 2017, eq. 7.
    Shapes: x [..., D], c and h [..., H].
    Departures: none. The paper does not say how u starts: glorot_uniform here.
    Parameters: D*H + H*H + 3*H + H.
    """
    return _slim(
        hidden_size,
        matrices=False,
        vectors=True,
        biases=False,
        activation=activation,
        gate=gate,
        forget_bias=0.0,
        w_init=w_init,
        u_init=u_init,
    )


def lstm5(
    hidden_size: int,
    *,
    activation: str = "tanh",
    gate: str = "sigmoid",
    forget_bias: float = 1.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """LSTM5: gates from the state, elementwise, and a bias.

        i, f, o = s(u * h + b)

    Paper: Akandeh & Salem, Simplified LSTM RNNs, part I, 2017, eq. 8.
    Shapes: x [..., D], c and h [..., H].
    Departures: forget bias 1 by default; u starts at glorot_uniform (the paper does not say).
    Parameters: D*H + H*H + 3*H + 4*H.
    """
    return _slim(
        hidden_size,
        matrices=False,
        vectors=True,
        biases=True,
        activation=activation,
        gate=gate,
        forget_bias=forget_bias,
        w_init=w_init,
        u_init=u_init,
    )
