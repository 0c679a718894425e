"""The block of a Grid LSTM: an LSTM along every dimension of the grid, including depth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.lstm import LSTMGates
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import dot, gate_activation, leaves_named, zeros
from rnnlab.core.errors import InputError, check_count, choose
from rnnlab.core.types import Array, Key


class GridOptions(NamedTuple):
    """The options that all Grid LSTMs share; see ``grid_lstm``."""

    layers: int = 1
    tied: bool = False
    priority: str = "none"
    depth: str = "lstm"
    variant: str = "standard"
    activation: str = "tanh"
    gate: str = "sigmoid"
    forget_bias: float = 1.0
    w_init: str = "glorot_uniform"
    u_init: str = "orthogonal"


@jax.tree_util.register_static
@dataclass(frozen=True)
class Extents:
    """The number of blocks along each dimension inside a time step. Part of a tree's structure, not a leaf."""

    sizes: tuple[int, ...]


class GridParams(NamedTuple):
    """Gates in the order i, f, c~, o; dimensions in the order time, those inside a step, depth; L is 1 when tied.

    Of N dimensions, M have LSTM memory. ``w [D, 2, H]`` projects the input of a block to h and m of depth, or
    ``[D, 1, H]`` to h when depth is feed-forward, or with ``dims=1`` ``[D, 4, H]`` to the gates.
    ``u [L, N*H, M, 4, H]`` reads the h of all dimensions; ``b [L, M, 4, H]``. ``v [L, N*H, H]`` and ``b_v [L, H]``
    belong to a feed-forward depth, else None.
    """

    w: Array
    u: Array
    v: Array | None
    b: Array
    b_v: Array | None
    extents: Extents | None = None  # None where a step is one block


class GridCarry(NamedTuple):
    """``c [..., L, H]`` (the paper's m) and ``h [..., L, H]`` of one dimension, for each layer.

    A cell's carry is that of time, ``[..., *extents, L, H]`` where a step is a grid of blocks.
    """

    c: Array
    h: Array


class Block(NamedTuple):
    """The layers at one place of a grid. A side is what enters along a dimension other than depth."""

    init: Callable[[Key, int], GridParams]
    # (params, sides, [..., 2, H] of depth) -> (sides, h of depth [..., H], gates [..., L, M, H])
    apply: Callable[[GridParams, Sequence[GridCarry], Array], tuple[list[GridCarry], Array, LSTMGates]]


no_decay = leaves_named("b", "b_v")


def retention(gates: LSTMGates) -> dict[str, Array]:
    """The f of time ``[..., L, M, H]``; NaN along the other dimensions, which end inside a step."""
    is_time = jnp.arange(gates.f.shape[-2])[:, None] == 0
    return {"f": jnp.where(is_time, gates.f, jnp.nan)}


def transformer(options: GridOptions) -> Callable[[Array, Array], tuple[GridCarry, LSTMGates]]:
    """LSTM(H, m) of ``z [..., 4, H]`` = H U + b and ``m [..., H]``."""
    act, squash = make_activation(options.activation), gate_activation(options.gate)
    printed = choose("variant", options.variant, ("standard", "printed")) == "printed"

    def transform(z: Array, m: Array) -> tuple[GridCarry, LSTMGates]:
        i, f, candidate, o = squash(z[..., 0, :]), squash(z[..., 1, :]), act(z[..., 2, :]), squash(z[..., 3, :])
        m = f * m + i * candidate
        return GridCarry(m, act(o * m) if printed else o * act(m)), LSTMGates(i, f, candidate, o)

    return transform


def grid_block(hidden_size: int, sides: int, options: GridOptions) -> Block:
    """The block of a grid that has ``sides`` dimensions besides depth."""
    act, transform = make_activation(options.activation), transformer(options)
    init_w, init_u = get_initializer("w_init", options.w_init), get_initializer("u_init", options.u_init)
    layers, tied = options.layers, options.tied
    check_count("layers", layers)
    if not isinstance(tied, bool):
        raise InputError(f"tied: {tied!r} is not accepted; accepted: True or False")
    depth_sees_new_h = choose("priority", options.priority, ("none", "depth")) == "depth"
    memory = choose("depth", options.depth, ("lstm", "feedforward")) == "lstm"
    blocks, remembering = 1 if tied else layers, sides + memory

    def draw(key: Key, gates: int) -> Array:
        """``[L, N*H, gates, H]``: each block [H, H] is drawn by itself, for each h that it reads."""

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
        b = zeros(w, blocks, remembering, 4, hidden_size).at[..., 1, :].set(options.forget_bias)
        if memory:
            return GridParams(w, u, None, b, None)
        return GridParams(w, u, draw(key_v, 1)[:, :, 0], b, zeros(w, blocks, hidden_size))

    def apply(
        params: GridParams, entering: Sequence[GridCarry], side_of_depth: Array
    ) -> tuple[list[GridCarry], Array, LSTMGates]:
        h_d, m_d = side_of_depth[..., 0, :], side_of_depth[..., -1, :]
        leaving: list[GridCarry] = []
        gates_by_layer: list[LSTMGates] = []
        for layer in range(layers):
            u, b = (leaf[0 if tied else layer] for leaf in (params.u, params.b))
            hs = [side.h[..., layer, :] for side in entering]
            ms = jnp.stack([side.c[..., layer, :] for side in entering], -2)
            after, gates = transform(dot(jnp.concatenate([*hs, h_d], -1), u[:, :sides]) + b[:sides], ms)
            leaving.append(after)
            if depth_sees_new_h:
                hs = [after.h[..., side, :] for side in range(sides)]
            seen = jnp.concatenate([*hs, h_d], -1)
            if params.v is None or params.b_v is None:
                (m_d, h_d), of_depth = transform(dot(seen, u[:, sides]) + b[sides], m_d)
                gates = jax.tree.map(lambda a, d: jnp.concatenate([a, d[..., None, :]], -2), gates, of_depth)
            else:
                h_d = act(dot(seen, params.v[0 if tied else layer]) + params.b_v[0 if tied else layer])
            gates_by_layer.append(gates)
        gates = jax.tree.map(lambda *layers: jnp.stack(layers, -3), *gates_by_layer)
        stacked = jax.tree.map(lambda *states: jnp.stack(states, -2), *leaving)  # [..., sides, L, H]
        return [jax.tree.map(lambda leaf, s=s: leaf[..., s, :, :], stacked) for s in range(sides)], h_d, gates

    return Block(init, apply)


def block_of_time(hidden_size: int, options: GridOptions) -> Block:
    """The block of the grid without depth: x enters its gates."""
    transform = transformer(options)
    init_w, init_u = get_initializer("w_init", options.w_init), get_initializer("u_init", options.u_init)
    for field, value, only in (("layers", options.layers, 1), ("priority", options.priority, "none"),
                               ("depth", options.depth, "lstm")):  # fmt: skip
        if value != only:
            raise InputError(f"{field}: {value!r} needs the dimension of depth; accepted with dims=1: {only!r}")

    def init(key: Key, inputs: int) -> GridParams:
        key_w, key_u = jax.random.split(key)
        w, u = init_w(key_w, (inputs, 4, hidden_size)), init_u(key_u, (hidden_size, 4, hidden_size))
        b = zeros(w, 1, 1, 4, hidden_size).at[..., 1, :].set(options.forget_bias)
        return GridParams(w, u[None, :, None], None, b, None)

    def apply(
        params: GridParams, entering: Sequence[GridCarry], side: Array
    ) -> tuple[list[GridCarry], Array, LSTMGates]:
        c, h = (leaf[..., 0, :] for leaf in entering[0])
        after, gates = transform(side + params.b[0, 0] + dot(h, params.u[0, :, 0]), c)
        gates = jax.tree.map(lambda gate: gate[..., None, None, :], gates)
        return [jax.tree.map(lambda leaf: leaf[..., None, :], after)], after.h, gates

    return Block(init, apply)
