"""The LSTM of a large ablation study, and its eight variants."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.lstm import LSTMGates
from rnnlab.cells.ops import dot, keeps_f, leaves_named, zeros
from rnnlab.core.errors import choose
from rnnlab.core.types import Array, Cell, Key

VARIANTS = ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR")
ABSENT = {"NIG": "i", "NFG": "f", "NOG": "o", "CIFG": "f"}  # the gate that a variant does not compute


class GreffParams(NamedTuple):
    """G blocks in the order i, f, c~, o, without the one that is absent: ``w [D, G, H]``, ``u [H, G, H]``,
    ``b [G, H]``; peepholes ``p`` of the gates, ``[2 or 3, H]``, None in NP; ``u_gates [3, H, 3, H]`` from the gates of
    the step before, in FGR alone."""

    w: Array
    u: Array
    b: Array
    p: Array | None
    u_gates: Array | None


class GreffCarry(NamedTuple):
    """``c``, ``h``, and in FGR the gates of the step before, each ``[..., H]``."""

    c: Array
    h: Array
    i: Array | None = None
    f: Array | None = None
    o: Array | None = None


def greff_lstm(
    hidden_size: int,
    *,
    variant: str = "V",
    forget_bias: float = 1.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """LSTM with peepholes and its variants (Greff, Srivastava, Koutník, Steunebrink & Schmidhuber, LSTM: a search
    space odyssey, 2015, sections II and III-C).

        i, f = s(x W + h U + p * c_{t-1} + b)       c~ = tanh(x W + h U + b)
        c_t = f * c_{t-1} + i * c~                  o = s(x W + h U + p * c_t + b)
        h_t = o * tanh(c_t)

    ``variant``: "V" as above; "NIG", "NFG", "NOG" without input, forget or output gate (it is 1); "NIAF", "NOAF"
    without the first or second tanh; "NP" without peepholes; "CIFG" f = 1 - i; "FGR" with full gate recurrence: all
    three gates see all three gates of the step before.

    Shapes: x [..., D], c and h [..., H]. An absent gate is 1 in ``gates``.
    Departures: full gradients, as theirs; forget bias 1 by default (where there is a forget gate).
    """
    init_w, init_u = get_initializer("w_init", w_init), get_initializer("u_init", u_init)
    absent = ABSENT.get(choose("variant", variant, VARIANTS))
    blocks = [name for name in ("i", "f", "candidate", "o") if name != absent]
    peeping = [name for name in ("i", "f", "o") if name != absent] if variant != "NP" else []

    def init(key: Key, inputs: int) -> GreffParams:
        key_w, key_u, key_p, key_gates = jax.random.split(key, 4)
        w = init_w(key_w, (inputs, len(blocks), hidden_size))
        u = init_u(key_u, (hidden_size, len(blocks), hidden_size))
        b = zeros(w, len(blocks), hidden_size)
        if "f" in blocks:
            b = b.at[blocks.index("f")].set(forget_bias)
        p = get_initializer("peephole", "glorot_uniform")(key_p, (1, len(peeping), hidden_size))[0] if peeping else None
        if variant != "FGR":
            return GreffParams(w, u, b, p, None)
        u_gates = init_u(key_gates, (hidden_size, 9, hidden_size)).reshape(hidden_size, 3, 3, hidden_size)
        u_gates = jnp.moveaxis(u_gates, 1, 0)
        return GreffParams(w, u, b, p, u_gates)

    def initial_carry(params: GreffParams, batch: tuple[int, ...]) -> GreffCarry:
        nothing = zeros(params.u, *batch, hidden_size)
        return GreffCarry(*[nothing] * (5 if variant == "FGR" else 2))

    def gates_and_state(params: GreffParams, carry: GreffCarry, x: Array) -> tuple[LSTMGates, Array]:
        a = dot(x, params.w) + dot(carry.h, params.u) + params.b
        driven = {name: a[..., place, :] for place, name in enumerate(blocks)}
        if params.u_gates is not None:
            before = jnp.concatenate([gate for gate in (carry.i, carry.f, carry.o) if gate is not None], -1)
            from_gates = dot(before, params.u_gates.reshape(-1, 3, hidden_size))
            for place, name in enumerate("ifo"):
                driven[name] = driven[name] + from_gates[..., place, :]

        def gate(name: str, c: Array) -> Array:
            if name not in driven:
                return jnp.ones_like(c)
            seen = driven[name]
            return sigmoid(seen if params.p is None else seen + params.p[peeping.index(name)] * c)

        i = gate("i", carry.c)
        f = 1 - i if variant == "CIFG" else gate("f", carry.c)
        candidate = driven["candidate"] if variant == "NIAF" else jnp.tanh(driven["candidate"])
        c = f * carry.c + i * candidate
        return LSTMGates(i, f, candidate, gate("o", c)), c

    def gates(params: GreffParams, carry: GreffCarry, x: Array) -> LSTMGates:
        return gates_and_state(params, carry, x)[0]

    def step(params: GreffParams, carry: GreffCarry, x: Array) -> tuple[GreffCarry, Array]:
        (i, f, _, o), c = gates_and_state(params, carry, x)
        h = o * (c if variant == "NOAF" else jnp.tanh(c))
        return GreffCarry(c, h, *((i, f, o) if variant == "FGR" else ())), h

    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=keeps_f, no_decay=leaves_named("b"))
