"""The biological LSTM: its gates increment the cell state."""

from typing import NamedTuple

import jax

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import dot, gate_activation, leaves_named, per_example_draw, zeros
from rnnlab.core.errors import check_number, is_static
from rnnlab.core.types import Array, Cell, Key


class BiologicalParams(NamedTuple):
    """Gates in the order i, f, o: ``w [D, 3, H]``, ``u [H, 3, H]``, peepholes ``p [H, 3, H]``, ``b [3, H]``;
    ``b_c [H]`` of the cell state."""

    w: Array
    u: Array
    p: Array
    b: Array
    b_c: Array


class BiologicalCarry(NamedTuple):
    """``c [..., H]``, ``h [..., H]``; ``t [..., 1]`` counts steps, to key the noise (None without noise)."""

    c: Array
    h: Array
    t: Array | None


class BiologicalGates(NamedTuple):
    """The gate values of a step, each ``[..., H]``."""

    i: Array
    f: Array
    o: Array


def biological_lstm(
    hidden_size: int,
    *,
    delta: float = 1e-3,
    noise: float = 0.0,
    key: Key | None = None,
    activation: str = "tanh",
    gate: str = "sigmoid",
    forget_bias: float = 0.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """LSTM whose gates increment the cell state, without a candidate (Rahman, Mohammed & Azad 2016, eq. 17-21).

        i, f, o = s(x W + h U + c_{t-1} P + b)                              (17, 18, 20)
        c_t = c_{t-1} + delta * (i + f + b_c) [+ noise * N(0, 1)]           (19)
        h_t = o * act(c_t)                                                  (21)

    ``noise`` is the standard deviation of Gaussian noise on c, which the paper proposes as future work. It applies
    only when ``key`` is given: training passes a new key every step, evaluation passes None.

    Shapes: x [..., D], c and h [..., H].
    Departures: none; with delta > 0 and b_c >= 0 the state can only grow, as printed.
    """
    act, squash = make_activation(activation), gate_activation(gate)
    check_number("noise", noise)
    init_w, init_u = get_initializer("w_init", w_init), get_initializer("u_init", u_init)
    noisy = not (is_static(noise) and noise == 0)

    def init(rng: Key, inputs: int) -> BiologicalParams:
        key_w, key_u, key_p = jax.random.split(rng, 3)
        w = init_w(key_w, (inputs, 3, hidden_size))
        p = get_initializer("peephole", "glorot_uniform")(key_p, (hidden_size, 3, hidden_size))
        b = zeros(w, 3, hidden_size).at[1].set(forget_bias)
        return BiologicalParams(w, init_u(key_u, (hidden_size, 3, hidden_size)), p, b, zeros(w, hidden_size))

    def initial_carry(params: BiologicalParams, batch: tuple[int, ...]) -> BiologicalCarry:
        c, h = zeros(params.u, *batch, hidden_size), zeros(params.u, *batch, hidden_size)
        return BiologicalCarry(c, h, zeros(params.u, *batch, 1) if noisy else None)

    def gates(params: BiologicalParams, carry: BiologicalCarry, x: Array) -> BiologicalGates:
        z = dot(x, params.w) + dot(carry.h, params.u) + dot(carry.c, params.p) + params.b
        return BiologicalGates(squash(z[..., 0, :]), squash(z[..., 1, :]), squash(z[..., 2, :]))

    def step(params: BiologicalParams, carry: BiologicalCarry, x: Array) -> tuple[BiologicalCarry, Array]:
        i, f, o = gates(params, carry, x)
        c = carry.c + delta * (i + f + params.b_c)
        if carry.t is not None and key is not None:
            c = c + noise * per_example_draw(key, carry.t, lambda rng: jax.random.normal(rng, (hidden_size,), c.dtype))
        t = None if carry.t is None else carry.t + 1
        h = o * act(c)
        return BiologicalCarry(c, h, t), h

    return Cell(init, initial_carry, step, hidden_size, gates=gates, no_decay=leaves_named("b", "b_c"))
