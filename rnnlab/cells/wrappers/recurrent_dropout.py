"""Dropout masks, and a cell whose recurrent input h is masked."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.cells.ops import step_of
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Carry, Cell, Key, Params


def dropout_mask(key: Key, shape: Sequence[int], rate: Array | float) -> Array:
    """A mask of ``shape``: 0 with probability ``rate`` (0 <= rate < 1, may be traced), else 1 / (1 - rate)."""
    return jax.random.bernoulli(key, 1.0 - rate, tuple(shape)) / jnp.asarray(1.0 - rate, jnp.float32)


def drop_recurrent(cell: Cell, key: Key, rate: Array | float, carry: Carry) -> Cell:
    """``cell`` whose steps read ``h`` through a dropout mask, the same for all time steps, separate for each layer.

    ``carry`` gives the shapes. The memory c is never masked. Raises InputError for a cell whose only memory is h (GRU,
    simple RNN), that does not feed h back (QRNN), or that has no step (bidirectional).

    Paper: Gal & Ghahramani, A theoretically grounded application of dropout in recurrent neural networks, 2016.
    """
    cell_step = step_of(cell, "recurrent_dropout")
    layers: list[Any]
    layers, tree = jax.tree.flatten(carry, is_leaf=_has_memory)
    if not all(_has_memory(layer) for layer in layers):
        raise InputError("recurrent_dropout: the cell's carry has no h and c; accepted: cells of the LSTM family")
    shapes = [jax.tree.leaves(layer.h)[0].shape for layer in layers]  # a complex h is a pair
    drawn = [dropout_mask(jax.random.fold_in(key, index), shape, rate) for index, shape in enumerate(shapes)]
    masks = jax.tree.unflatten(tree, drawn)

    def masked(part: Any, mask: Array) -> Any:
        return part._replace(h=jax.tree.map(lambda h: h * mask, part.h))

    def step(params: Params, carry: Carry, x: Array) -> tuple[Carry, Array]:
        seen = jax.tree.map(masked, carry, masks, is_leaf=_has_memory)
        return cell_step(params, seen, x)

    return cell._replace(step=step, scan=None, fused=None, gates=None)


def _has_memory(node: Any) -> bool:
    return {"c", "h"} <= set(getattr(node, "_fields", ()))
