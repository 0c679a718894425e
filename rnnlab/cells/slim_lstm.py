"""LSTM1 to LSTM5 (Akandeh & Salem 2017): the LSTM with the same terms removed from each of its three gates."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.lstm import LSTMCarry, LSTMGates
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import dot, gate_activation, keeps_f, leaves_named, takes_options_of, zeros
from rnnlab.core.types import Array, Cell, Key


class SlimParams(NamedTuple):
    """Gates in the order i, f, c~, o; the candidate c~ is the same in every variant.

    ``w [D, H]`` of the candidate; ``u [H, 4, H]``, or ``[H, 1, H]`` of the candidate alone; ``u_gates [3, H]``
    of i, f, o, elementwise, or None; ``b [4, H]``, or ``[1, H]`` of the candidate alone.
    """

    w: Array
    u: Array
    u_gates: Array | None
    b: Array


def _slim(
    hidden_size: int,
    matrices: bool,
    vectors: bool,
    biases: bool,
    *,
    activation: str = "tanh",
    gate: str = "sigmoid",
    forget_bias: float = 1.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """The LSTM whose gates i, f, o see ``h U`` (matrices) or ``u * h`` (vectors) or neither, ``+ b`` (biases) or not.

        c~ = act(x W + h U + b)
        c_t = f * c_{t-1} + i * c~      h_t = o * act(c_t)

    Shapes: x [..., D], c and h [..., H].
    """
    act, squash = make_activation(activation), gate_activation(gate)
    init_w, init_u = get_initializer("w_init", w_init), get_initializer("u_init", u_init)

    def init(key: Key, inputs: int) -> SlimParams:
        key_w, key_u, key_g = jax.random.split(key, 3)
        w = init_w(key_w, (inputs, 1, hidden_size))[:, 0]
        u = init_u(key_u, (hidden_size, 4 if matrices else 1, hidden_size))
        u_gates = get_initializer("u_gates", "glorot_uniform")(key_g, (1, 3, hidden_size))[0] if vectors else None
        b = zeros(w, 4, hidden_size).at[1].set(forget_bias) if biases else zeros(w, 1, hidden_size)
        return SlimParams(w, u, u_gates, b)

    def initial_carry(params: SlimParams, batch: tuple[int, ...]) -> LSTMCarry:
        return LSTMCarry(zeros(params.u, *batch, hidden_size), zeros(params.u, *batch, hidden_size))

    def gates(params: SlimParams, carry: LSTMCarry, x: Array) -> LSTMGates:
        from_h = dot(carry.h, params.u)  # [..., 4 or 1, H]
        u_candidate, b_candidate = from_h[..., 2 if matrices else 0, :], params.b[2 if biases else 0]
        candidate = act(dot(x, params.w) + u_candidate + b_candidate)

        def opened(gate: int, elementwise: int) -> Array:
            """The gate at one place of ``u`` and ``b``, and at another of ``u_gates``, which has no candidate."""
            z: Any = params.b[gate] if biases else 0.0
            if matrices:
                z = z + from_h[..., gate, :]
            if params.u_gates is not None:
                z = z + params.u_gates[elementwise] * carry.h
            return jnp.broadcast_to(squash(z), candidate.shape)  # LSTM3's have no batch axes

        return LSTMGates(opened(0, 0), opened(1, 1), candidate, opened(3, 2))

    def step(params: SlimParams, carry: LSTMCarry, x: Array) -> tuple[LSTMCarry, Array]:
        i, f, candidate, o = gates(params, carry, x)
        c = f * carry.c + i * candidate
        h = o * act(c)
        return LSTMCarry(c, h), h

    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=keeps_f, no_decay=leaves_named("b"))


@takes_options_of(_slim)
def lstm1(hidden_size: int, **options: Any) -> Cell:
    """LSTM1: gates without the input (eq. 4).

        i, f, o = s(h U + b)

    Departures: forget bias 1 by default (Keras's unit_forget_bias, on which the paper was built).
    """
    return _slim(hidden_size, matrices=True, vectors=False, biases=True, **options)


@takes_options_of(_slim, but=("forget_bias",))
def lstm2(hidden_size: int, **options: Any) -> Cell:
    """LSTM2: gates from the state alone (eq. 5).

        i, f, o = s(h U)

    Departures: none.
    """
    return _slim(hidden_size, matrices=True, vectors=False, biases=False, **options)


@takes_options_of(_slim)
def lstm3(hidden_size: int, **options: Any) -> Cell:
    """LSTM3: gates from a bias alone, so constant over time (eq. 6).

        i, f, o = s(b)

    Departures: forget bias 1 by default (Keras's unit_forget_bias).
    """
    return _slim(hidden_size, matrices=False, vectors=False, biases=True, **options)


@takes_options_of(_slim, but=("forget_bias",))
def lstm4(hidden_size: int, **options: Any) -> Cell:
    """LSTM4: gates from the state, elementwise (eq. 7).

        i, f, o = s(u * h)

    Departures: none. The paper does not give the initial values of u: glorot_uniform here.
    """
    return _slim(hidden_size, matrices=False, vectors=True, biases=False, **options)


@takes_options_of(_slim)
def lstm5(hidden_size: int, **options: Any) -> Cell:
    """LSTM5: gates from the state, elementwise, and a bias (eq. 8).

        i, f, o = s(u * h + b)

    Departures: forget bias 1 by default; u starts at glorot_uniform (the paper does not say).
    """
    return _slim(hidden_size, matrices=False, vectors=True, biases=True, **options)
