"""The Grid LSTM: LSTM memory along depth as well as along time."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.functions import activation as make_activation
from rnnlab.cells.functions import dot, gate_activation, zeros
from rnnlab.cells.initialisers import initialise
from rnnlab.cells.lstm import LSTMGates
from rnnlab.errors import InputError, choose
from rnnlab.types import Array, Cell, Key


class GridParams(NamedTuple):
    """Gates in the order i, f, c~, o; dimensions in the order time, depth, N of them with LSTM memory; L 1 when tied.

    ``w [D, 2, H]`` projects x to h and m of depth, feed-forward ``[D, 1, H]`` to h, with ``dims=1`` ``[D, 4, H]`` to
    the gates. ``u [L, dims*H, N, 4, H]`` reads h of time, then h of depth; ``b [L, N, 4, H]``. ``v [L, 2*H, H]`` and
    ``b_v [L, H]`` are the feed-forward depth's, else None.
    """

    w: Array
    u: Array
    v: Array | None
    b: Array
    b_v: Array | None


class GridCarry(NamedTuple):
    """``c [..., L, H]`` (the paper's m) and ``h [..., L, H]`` of the time dimension, for each layer."""

    c: Array
    h: Array


def grid_lstm(
    hidden: int,
    *,
    layers: int = 1,
    dims: int = 2,
    tied: bool = False,
    priority: str = "none",
    depth: str = "lstm",
    form: str = "standard",
    activation: str = "tanh",
    gate: str = "sigmoid",
    forget_bias: float = 1.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """Grid LSTM of two dimensions, time and depth, each with its own h and memory m in every block.

        (h_d, m_d) = x_t W                                              the input enters at the side of depth
        H = [h_t, h_d]                                                  in each layer, from the first up
        (h_t', m_t') = LSTM(H, m_t; time)      (h_d', m_d') = LSTM(H, m_d; depth)
        LSTM(H, m):  i, f, o = s(H U + b)      c~ = act(H U + b)
                     m' = f * m + i * c~       h' = o * act(m')         form="printed": h' = act(o * m')

    Time hands (h_t', m_t') to the same layer's next step, depth hands (h_d', m_d') to the next layer of the same step;
    the output is h_d' of the last layer. ``priority="depth"``: depth sees H' = [h_t', h_d] (section 3.2).
    ``depth="feedforward"``: h_d' = act(H V + b), no memory along depth (section 3.3). ``tied``: all layers share their
    weights (section 3.5). ``dims=1`` is the grid of time alone, one layer: x joins H, and it is the LSTM.

    Paper: Kalchbrenner, Danihelka & Graves, Grid long short-term memory, 2015, section 3.
    Shapes: x [..., D], c and h [..., L, H], output [..., H].
    Departures: h' = o * act(m') unless ``form="printed"``; biases. No grids over rows and columns of an image;
        the paper's own grid of one dimension is along depth, without time.
    Parameters: 2*D*H + 8*L*(2*H*H + H), L = layers, 1 when tied; feed-forward D*H + 5*L*(2*H*H + H); dims=1
        4*(D*H + H*H + H).
    """
    act, squash = make_activation(activation), gate_activation(gate)
    init_w, init_u = initialise("w_init", w_init), initialise("u_init", u_init)
    if not isinstance(layers, int) or isinstance(layers, bool) or layers < 1:
        raise InputError(f"layers: {layers!r} is not accepted; accepted: a whole number from 1")
    if isinstance(dims, bool) or dims not in (1, 2):
        raise InputError(f"dims: {dims!r} is not accepted; accepted: 1 or 2")
    if not isinstance(tied, bool):
        raise InputError(f"tied: {tied!r} is not accepted; accepted: True or False")
    first = choose("priority", priority, ("none", "depth")) == "depth"
    memory = choose("depth", depth, ("lstm", "feedforward")) == "lstm"
    printed = choose("form", form, ("standard", "printed")) == "printed"
    if dims == 1:
        for field, value, only in (("layers", layers, 1), ("priority", priority, "none"), ("depth", depth, "lstm")):
            if value != only:
                raise InputError(f"{field}: {value!r} needs the dimension of depth; accepted with dims=1: {only!r}")
    blocks = 1 if tied else layers
    remembering = 2 if dims == 2 and memory else 1  # dimensions with LSTM memory

    def draw(key: Key, gates: int) -> Array:
        """``[L, dims*H, gates, H]``: each block [H, H] drawn by itself, whichever h it reads."""

        def one(layer: int) -> Array:
            block = init_u(jax.random.fold_in(key, layer), (hidden, dims * gates, hidden))
            return jnp.moveaxis(block.reshape(hidden, dims, gates, hidden), 1, 0).reshape(-1, gates, hidden)

        return jnp.stack([one(layer) for layer in range(blocks)])

    def init(key: Key, inputs: int) -> GridParams:
        key_w, key_u, key_v = jax.random.split(key, 3)
        w = init_w(key_w, (inputs, 4 if dims == 1 else remembering, hidden))
        u = draw(key_u, 4 * remembering).reshape(blocks, dims * hidden, remembering, 4, hidden)
        b = zeros(w, blocks, remembering, 4, hidden).at[..., 1, :].set(forget_bias)
        if memory:
            return GridParams(w, u, None, b, None)
        return GridParams(w, u, draw(key_v, 1)[:, :, 0], b, zeros(w, blocks, hidden))

    def initial_carry(params: GridParams, batch: tuple[int, ...]) -> GridCarry:
        return GridCarry(zeros(params.u, *batch, layers, hidden), zeros(params.u, *batch, layers, hidden))

    def transform(z: Array, m: Array) -> tuple[Array, Array, LSTMGates]:
        """``z [..., 4, H]``, ``m [..., H]`` -> new m, new h, gates."""
        i, f, o, candidate = squash(z[..., 0, :]), squash(z[..., 1, :]), squash(z[..., 3, :]), act(z[..., 2, :])
        m = f * m + i * candidate
        return m, act(o * m) if printed else o * act(m), LSTMGates(i, f, o, candidate)

    def through(params: GridParams, carry: GridCarry, x: Array) -> tuple[GridCarry, Array, LSTMGates]:
        """Through all layers: carry, output, gates ``[..., L, N, H]``."""
        side = dot(x, params.w)
        if dims == 1:
            z = side + params.b[0, 0] + dot(carry.h[..., 0, :], params.u[0, :, 0])
            m, h, decided = transform(z, carry.c[..., 0, :])
            gates = jax.tree.map(lambda gate: gate[..., None, None, :], decided)
            return GridCarry(m[..., None, :], h[..., None, :]), h, gates
        h_d, m_d = side[..., 0, :], side[..., -1, :]
        ms: list[Array] = []
        hs: list[Array] = []
        every: list[LSTMGates] = []
        for layer in range(layers):
            u, b = (leaf[0 if tied else layer] for leaf in (params.u, params.b))
            h_t = carry.h[..., layer, :]
            m, h, decided = transform(dot(jnp.concatenate([h_t, h_d], -1), u[:, 0]) + b[0], carry.c[..., layer, :])
            ms.append(m)
            hs.append(h)
            in_layer = [decided]
            seen = jnp.concatenate([h if first else h_t, h_d], -1)
            if params.v is None or params.b_v is None:
                m_d, h_d, decided = transform(dot(seen, u[:, 1]) + b[1], m_d)
                in_layer.append(decided)
            else:
                h_d = act(dot(seen, params.v[0 if tied else layer]) + params.b_v[0 if tied else layer])
            every.append(jax.tree.map(lambda *gates: jnp.stack(gates, -2), *in_layer))
        gates = jax.tree.map(lambda *gates: jnp.stack(gates, -3), *every)
        return GridCarry(jnp.stack(ms, -2), jnp.stack(hs, -2)), h_d, gates

    def gates(params: GridParams, carry: GridCarry, x: Array) -> LSTMGates:
        return through(params, carry, x)[2]

    def step(params: GridParams, carry: GridCarry, x: Array) -> tuple[GridCarry, Array]:
        after, h, _ = through(params, carry, x)
        return after, h

    return Cell(init, initial_carry, step, gates=gates, hidden_size=hidden)
