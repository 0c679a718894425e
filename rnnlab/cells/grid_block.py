"""The block of a Grid LSTM: an LSTM along every dimension of the grid, depth included."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import initialize
from rnnlab.cells.lstm import LSTMGates
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import dot, gate_activation, zeros
from rnnlab.core.errors import InputError, choose
from rnnlab.core.types import Array, Key


@jax.tree_util.register_static
@dataclass(frozen=True)
class Extents:
    """How many blocks stand along each dimension inside a time step. Part of a tree's structure, no leaf of it."""

    sizes: tuple[int, ...]


class GridParams(NamedTuple):
    """Gates in the order i, f, c~, o; dimensions in the order time, those inside a step, depth; L 1 when tied.

    Of N dimensions, M have LSTM memory. ``w [D, 2, H]`` projects what enters a block to h and m of depth, feed-forward
    ``[D, 1, H]`` to h, with ``dims=1`` ``[D, 4, H]`` to the gates. ``u [L, N*H, M, 4, H]`` reads the h of all
    dimensions; ``b [L, M, 4, H]``. ``v [L, N*H, H]`` and ``b_v [L, H]`` are the feed-forward depth's, else None.
    """

    w: Array
    u: Array
    v: Array | None
    b: Array
    b_v: Array | None
    extents: Extents | None = None  # None where a step is one block


class GridCarry(NamedTuple):
    """``c [..., L, H]`` (the paper's m) and ``h [..., L, H]`` of a dimension, for each layer.

    As a cell's carry: of time, ``[..., *extents, L, H]`` where a step is a grid of blocks.
    """

    c: Array
    h: Array


class Block(NamedTuple):
    """The layers at one place of a grid. A side is what enters along a dimension other than depth."""

    init: Callable[[Key, int], GridParams]
    # (params, sides, [..., 2, H] of depth) -> (sides, h of depth [..., H], gates [..., L, M, H])
    through: Callable[[GridParams, Sequence[GridCarry], Array], tuple[list[GridCarry], Array, LSTMGates]]


def transformer(activation: str, gate: str, variant: str) -> Callable[[Array, Array], tuple[GridCarry, LSTMGates]]:
    """LSTM(H, m) of ``z [..., 4, H]`` = H U + b and ``m [..., H]``."""
    act, squash = make_activation(activation), gate_activation(gate)
    printed = choose("variant", variant, ("standard", "printed")) == "printed"

    def transform(z: Array, m: Array) -> tuple[GridCarry, LSTMGates]:
        i, f, o, candidate = squash(z[..., 0, :]), squash(z[..., 1, :]), squash(z[..., 3, :]), act(z[..., 2, :])
        m = f * m + i * candidate
        return GridCarry(m, act(o * m) if printed else o * act(m)), LSTMGates(i, f, o, candidate)

    return transform


def grid_block(
    hidden_size: int,
    sides: int,
    *,
    layers: int,
    tied: bool,
    priority: str,
    depth: str,
    variant: str,
    activation: str,
    gate: str,
    forget_bias: float,
    w_init: str,
    u_init: str,
) -> Block:
    """The block of a grid that has ``sides`` dimensions beside depth, with the options of ``grid_lstm``."""
    act, transform = make_activation(activation), transformer(activation, gate, variant)
    init_w, init_u = initialize("w_init", w_init), initialize("u_init", u_init)
    if not isinstance(layers, int) or isinstance(layers, bool) or layers < 1:
        raise InputError(f"layers: {layers!r} is not accepted; accepted: a whole number from 1")
    if not isinstance(tied, bool):
        raise InputError(f"tied: {tied!r} is not accepted; accepted: True or False")
    first = choose("priority", priority, ("none", "depth")) == "depth"
    memory = choose("depth", depth, ("lstm", "feedforward")) == "lstm"
    blocks, remembering = 1 if tied else layers, sides + memory

    def draw(key: Key, gates: int) -> Array:
        """``[L, N*H, gates, H]``: each block [H, H] drawn by itself, whichever h it reads."""

        def one(layer: int) -> Array:
            block = init_u(jax.random.fold_in(key, layer), (hidden_size, (sides + 1) * gates, hidden_size))
            return jnp.moveaxis(block.reshape(hidden_size, sides + 1, gates, hidden_size), 1, 0).reshape(
                -1, gates, hidden_size
            )

        return jnp.stack([one(layer) for layer in range(blocks)])

    def init(key: Key, inputs: int) -> GridParams:
        key_w, key_u, key_v = jax.random.split(key, 3)
        w = init_w(key_w, (inputs, 1 + memory, hidden_size))
        u = draw(key_u, 4 * remembering).reshape(blocks, -1, remembering, 4, hidden_size)
        b = zeros(w, blocks, remembering, 4, hidden_size).at[..., 1, :].set(forget_bias)
        if memory:
            return GridParams(w, u, None, b, None)
        return GridParams(w, u, draw(key_v, 1)[:, :, 0], b, zeros(w, blocks, hidden_size))

    def through(
        params: GridParams, entering: Sequence[GridCarry], side_of_depth: Array
    ) -> tuple[list[GridCarry], Array, LSTMGates]:
        h_d, m_d = side_of_depth[..., 0, :], side_of_depth[..., -1, :]
        left: list[GridCarry] = []
        every: list[LSTMGates] = []
        for layer in range(layers):
            u, b = (leaf[0 if tied else layer] for leaf in (params.u, params.b))
            hs = [side.h[..., layer, :] for side in entering]
            ms = jnp.stack([side.c[..., layer, :] for side in entering], -2)
            after, decided = transform(dot(jnp.concatenate([*hs, h_d], -1), u[:, :sides]) + b[:sides], ms)
            left.append(after)
            if first:
                hs = [after.h[..., side, :] for side in range(sides)]
            seen = jnp.concatenate([*hs, h_d], -1)
            if params.v is None or params.b_v is None:
                (m_d, h_d), of_depth = transform(dot(seen, u[:, sides]) + b[sides], m_d)
                decided = jax.tree.map(lambda a, d: jnp.concatenate([a, d[..., None, :]], -2), decided, of_depth)
            else:
                h_d = act(dot(seen, params.v[0 if tied else layer]) + params.b_v[0 if tied else layer])
            every.append(decided)
        gates = jax.tree.map(lambda *gates: jnp.stack(gates, -3), *every)
        stacked = jax.tree.map(lambda *states: jnp.stack(states, -2), *left)  # [..., sides, L, H]
        return [jax.tree.map(lambda leaf, s=s: leaf[..., s, :, :], stacked) for s in range(sides)], h_d, gates

    return Block(init, through)
