"""Dropout: masks, and a cell that sees its own h through one."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Carry, Cell, Key, Params


def dropout_mask(key: Key, shape: Sequence[int], rate: Array) -> Array:
    """A mask ``shape``: 0 with probability ``rate`` (0 <= rate < 1, may be traced), else 1 / (1 - rate)."""
    return jax.random.bernoulli(key, 1.0 - rate, tuple(shape)) / jnp.asarray(1.0 - rate, jnp.float32)


def drop_recurrent(cell: Cell, key: Key, rate: Array, carry: Carry) -> Cell:
    """``cell`` whose steps see ``h`` through a mask, one for all time steps and one for each layer.

    ``carry`` gives the shapes. The memory c is never masked, so a cell whose h is its only memory (GRU, simple RNN),
    that feeds no h back (QRNN) or that runs over the sequence by itself (bidirectional) cannot have this: InputError.

    Paper: Gal & Ghahramani, A theoretically grounded application of dropout in recurrent neural networks, 2016.
    """
    if cell.over is not None:
        raise InputError("recurrent_dropout: a bidirectional cell's steps are its own; accepted: one direction")
    layers: list[Any]
    layers, tree = jax.tree.flatten(carry, is_leaf=_has_memory)
    if not all(_has_memory(layer) for layer in layers):
        raise InputError("recurrent_dropout: the cell does not carry an h and a c; accepted: cells of the LSTM family")
    drawn = [dropout_mask(jax.random.fold_in(key, index), layer.h.shape, rate) for index, layer in enumerate(layers)]
    masks = jax.tree.unflatten(tree, drawn)

    def step(params: Params, carry: Carry, x: Array) -> tuple[Carry, Array]:
        seen = jax.tree.map(lambda part, mask: part._replace(h=part.h * mask), carry, masks, is_leaf=_has_memory)
        return cell.step(params, seen, x)

    return cell._replace(step=step, sequence=None, gates=None)


def _has_memory(node: Any) -> bool:
    return {"c", "h"} <= set(getattr(node, "_fields", ()))
