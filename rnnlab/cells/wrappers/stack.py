"""Cells on top of each other."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.cells.ops import no_decay_of, step_of
from rnnlab.cells.unroll import unroll
from rnnlab.cells.wrappers.recurrent_dropout import dropout_mask
from rnnlab.config.experiment import CONNECTIONS
from rnnlab.core.errors import InputError, check_number, choose, is_static
from rnnlab.core.types import Array, Carry, Cell, Key, Params


def stack(
    cells: Sequence[Cell], *, connections: str = "plain", dropout: Array | float = 0.0, key: Key | None = None
) -> Cell:
    """A cell of L layers, l = 1 ... L, with x_0 = x: each reads the output of the layer below at the same time step.

        h_l = cell_l(x_{l-1})
        x_l = h_l                      connections="plain"
        x_l = x_{l-1} + h_l, x_1 = h_1 connections="residual", layers of one width
        x_l = [x_{l-1}, h_l]           connections="dense": the input and the outputs of all layers below

    The output is x_L; with dense connections h_L alone, as in Bradbury et al. ``dropout``, 0 <= rate < 1, drops units
    of every h_l but the last, with one mask for all time steps. It applies only when ``key`` is given: training passes
    a new key every step, evaluation passes None. Params, carries and gates are tuples with an entry per layer. Raises
    InputError for dense connections of one-hot ids.

    Paper: Graves, Mohamed & Hinton, Speech recognition with deep recurrent neural networks, 2013; Kumar 2020, Fig. 4;
        residual: Wu et al., Google's neural machine translation system, 2016, eq. 6; dense: Huang et al., Densely
        connected convolutional networks, 2016, as Bradbury et al., Quasi-recurrent neural networks, 2016, section 2.1;
        dropout: Gal & Ghahramani, A theoretically grounded application of dropout in recurrent neural networks, 2016.
    Shapes: x [..., D], h [..., H of the last layer].
    Departures: no residual connection around the first layer, whose input is not an h (and may be ids).
    Parameters: the sum over layers, where D is the width of the layer below, or with dense connections the sum of the
        widths of x and of all layers below.
    """
    layers = tuple(cells) if isinstance(cells, Sequence) else ()
    if not layers or not all(isinstance(cell, Cell) for cell in layers):
        raise InputError(f"stack: {cells!r} is not accepted; accepted: a sequence of one or more Cells")
    widths, top = [cell.hidden_size for cell in layers], len(layers) - 1
    choose("connections", connections, CONNECTIONS)
    check_number("dropout", dropout, below=1)
    dropping = not (is_static(dropout) and dropout == 0)
    if not top and connections != "plain":
        raise InputError(
            f"connections: {connections} connects layers, and there is one; accepted: plain, or two layers or more"
        )
    if not top and dropping:
        raise InputError(f"dropout: {dropout} acts between layers and there is one; accepted: 0, or two layers or more")
    if connections == "residual" and len(set(widths)) > 1:
        raise InputError(f"connections: residual, but the layers' widths are {widths}; accepted: layers of one width")

    def init(key: Key, inputs: int) -> tuple[Params, ...]:
        sizes = [inputs, *widths]
        if connections == "dense":
            sizes = [inputs + sum(widths[:layer]) for layer in range(len(layers))]
        return tuple(cell.init(jax.random.fold_in(key, layer), sizes[layer]) for layer, cell in enumerate(layers))

    def initial_carry(params: tuple[Params, ...], batch: tuple[int, ...]) -> tuple[Carry, ...]:
        return tuple(cell.initial_carry(p, batch) for cell, p in zip(layers, params, strict=True))

    def climb(
        run: Callable[[Cell, Params, Carry, Array], tuple[Carry, Array]],
        params: tuple[Params, ...],
        carry: tuple[Carry, ...],
        x: Array,
        mask_axes: int,
    ) -> tuple[tuple[Carry, ...], Array]:
        """``run`` each layer on the output of those below; masks have the axes of h from ``mask_axes`` on."""
        if connections == "dense" and jnp.issubdtype(x.dtype, jnp.integer):
            raise InputError("connections: dense ones cannot pass on one-hot ids; accepted: with an embedding")
        after = []
        for layer, (cell, p, before) in enumerate(zip(layers, params, carry, strict=True)):
            new, h = run(cell, p, before, x)
            after.append(new)
            if dropping and key is not None and layer < top:  # JAX hoists the draw out of a differentiated scan
                h = h * dropout_mask(jax.random.fold_in(key, layer), h.shape[mask_axes:], dropout)
            if connections == "residual" and layer > 0:
                h = x + h
            x = jnp.concatenate([x, h], axis=-1) if connections == "dense" and layer < top else h
        return tuple(after), x

    def step(params: tuple[Params, ...], carry: tuple[Carry, ...], x: Array) -> tuple[tuple[Carry, ...], Array]:
        return climb(lambda cell, p, before, x: step_of(cell, "stack")(p, before, x), params, carry, x, 0)

    def gates(params: tuple[Params, ...], carry: tuple[Carry, ...], x: Array) -> tuple[Any, ...]:
        """The gates of every layer, from the first up."""
        gates_by_layer = []

        def run(cell: Cell, p: Params, before: Carry, x: Array) -> tuple[Carry, Array]:
            assert cell.gates is not None
            gates_by_layer.append(cell.gates(p, before, x))
            return step_of(cell, "stack")(p, before, x)

        climb(run, params, carry, x, 0)
        return tuple(gates_by_layer)

    def scan(
        params: tuple[Params, ...], carry: tuple[Carry, ...], xs: Array, lengths: Array | None, reverse: bool
    ) -> tuple[tuple[Carry, ...], Array]:
        def run(cell: Cell, p: Params, before: Carry, xs: Array) -> tuple[Carry, Array]:
            return unroll(cell, p, xs, before, lengths=lengths, reverse=reverse)

        return climb(run, params, carry, xs, 1)

    def no_decay(params: tuple[Params, ...]) -> tuple[Any, ...]:
        return tuple(no_decay_of(cell, p) for cell, p in zip(layers, params, strict=True))

    has_step, all_scan = all(cell.step for cell in layers), all(cell.scan for cell in layers)
    return Cell(
        init,
        initial_carry,
        step if has_step else None,
        widths[-1],
        scan=scan if all_scan or not has_step else None,
        gates=gates if all(cell.gates for cell in layers) else None,
        last_output=layers[-1].last_output,
        layers=layers,
        no_decay=no_decay,
    )
