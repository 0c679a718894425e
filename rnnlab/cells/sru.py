"""The simple recurrent unit."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.ops import dot, keeps_f, leaves_named, zeros
from rnnlab.core.types import Array, Cell, Key


class SRUParams(NamedTuple):
    """In the order candidate, f, r: ``w [D, 3, H]``, a fourth for the highway unless D = H; of f, r: ``v``, ``b``
    ``[2, H]``."""

    w: Array
    v: Array
    b: Array


class SRUCarry(NamedTuple):
    """``c [..., H]``."""

    c: Array


class SRUGates(NamedTuple):
    """The gate values of a step, each ``[..., H]``; ``r`` is the share of c in the output."""

    r: Array
    f: Array
    candidate: Array


def sru(hidden_size: int, *, forget_bias: float = 0.0, w_init: str = "glorot_uniform") -> Cell:
    """Simple recurrent unit (Lei, Zhang, Wang, Dai & Artzi, Simple recurrent units for highly parallelizable
    recurrence, 2018, eq. 1-4).

        f = s(x W_f + v_f * c_{t-1} + b_f)      c_t = f * c_{t-1} + (1 - f) * (x W)
        r = s(x W_r + v_r * c_{t-1} + b_r)      h_t = r * c_t + (1 - r) * x

    Where D and H differ, the highway's x is x W_x, as in the authors' code. ``forget_bias`` is the initial bias of f.

    Shapes: x [..., D]; c, h [..., H].
    Departures: no scaling of the highway (the paper's alpha); v starts Glorot-uniform.
    """
    init_w = get_initializer("w_init", w_init)

    def init(key: Key, inputs: int) -> SRUParams:
        key_w, key_v = jax.random.split(key)
        w = init_w(key_w, (inputs, 3 if inputs == hidden_size else 4, hidden_size))
        v = get_initializer("v", "glorot_uniform")(key_v, (1, 2, hidden_size))[0]
        return SRUParams(w, v, zeros(w, 2, hidden_size).at[0].set(forget_bias))

    def initial_carry(params: SRUParams, batch: tuple[int, ...]) -> SRUCarry:
        return SRUCarry(zeros(params.v, *batch, hidden_size))

    def gates_and_highway(params: SRUParams, carry: SRUCarry, x: Array) -> tuple[SRUGates, Array]:
        a = dot(x, params.w)
        f = sigmoid(a[..., 1, :] + params.v[0] * carry.c + params.b[0])
        r = sigmoid(a[..., 2, :] + params.v[1] * carry.c + params.b[1])
        if params.w.shape[1] == 4:
            highway = a[..., 3, :]
        else:
            highway = jax.nn.one_hot(x, hidden_size) if jnp.issubdtype(x.dtype, jnp.integer) else x.astype(a.dtype)
        return SRUGates(r, f, a[..., 0, :]), highway

    def gates(params: SRUParams, carry: SRUCarry, x: Array) -> SRUGates:
        return gates_and_highway(params, carry, x)[0]

    def step(params: SRUParams, carry: SRUCarry, x: Array) -> tuple[SRUCarry, Array]:
        (r, f, candidate), highway = gates_and_highway(params, carry, x)
        c = f * carry.c + (1 - f) * candidate
        return SRUCarry(c), r * c + (1 - r) * highway

    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=keeps_f, no_decay=leaves_named("b"))
