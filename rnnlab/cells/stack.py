"""Cells on top of each other."""

from collections.abc import Sequence

import jax

from rnnlab.errors import InputError
from rnnlab.types import Array, Carry, Cell, Key, Params


def stack(cells: Sequence[Cell]) -> Cell:
    """A cell of L layers: each layer reads the h that the layer below has just made, at the same time step.

    Params and carries are tuples with one entry a layer.

    Paper: Graves, Mohamed & Hinton, Speech recognition with deep recurrent neural networks, 2013; Kumar 2020, Fig. 4.
    Shapes: x [..., D], h [..., H of the last layer].
    Parameters: the sum over layers, each above the first with D = H of the layer below.
    """
    layers = tuple(cells)
    if not layers or not all(isinstance(cell, Cell) for cell in layers):
        raise InputError(f"stack: {cells!r}; accepted: a sequence of one Cell or more")

    def init(key: Key, inputs: int) -> tuple[Params, ...]:
        widths = [inputs, *(cell.hidden_size for cell in layers)]
        return tuple(cell.init(jax.random.fold_in(key, layer), widths[layer]) for layer, cell in enumerate(layers))

    def initial_carry(params: tuple[Params, ...], batch: tuple[int, ...]) -> tuple[Carry, ...]:
        return tuple(cell.initial_carry(p, batch) for cell, p in zip(layers, params, strict=True))

    def step(params: tuple[Params, ...], carry: tuple[Carry, ...], x: Array) -> tuple[tuple[Carry, ...], Array]:
        after = []
        for cell, p, before in zip(layers, params, carry, strict=True):
            new, x = cell.step(p, before, x)
            after.append(new)
        return tuple(after), x

    return Cell(init, initial_carry, step, hidden_size=layers[-1].hidden_size)
