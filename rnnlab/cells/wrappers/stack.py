"""Cells on top of each other."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.cells.unroll import unroll
from rnnlab.cells.wrappers.recurrent_dropout import dropout_mask
from rnnlab.config.experiment import CONNECTIONS
from rnnlab.core.errors import InputError, check_number, choose
from rnnlab.core.types import Array, Carry, Cell, Key, Params


def stack(
    cells: Sequence[Cell], *, connections: str = "plain", dropout: Array | float = 0.0, key: Key | None = None
) -> Cell:
    """A cell of L layers, l = 1 ... L, x_0 = x: each reads what the layer below has just made, at the same time step.

        h_l = cell_l(x_{l-1})
        x_l = h_l                      connections="plain"
        x_l = x_{l-1} + h_l, x_1 = h_1 connections="residual", layers of one width
        x_l = [x_{l-1}, h_l]           connections="dense": the input and the outputs of all layers below

    and the output is x_L; of dense connections h_L alone, as in Bradbury et al. ``dropout``, 0 <= rate < 1, is the
    part of every h_l but the last that nothing above it sees, one mask for all time steps; it acts while ``key`` is
    given: training hands over a fresh key every step, evaluation none. Params, carries and gates are tuples with one
    entry a layer. Dense connections cannot hand on one-hot ids: InputError.

    Paper: Graves, Mohamed & Hinton, Speech recognition with deep recurrent neural networks, 2013; Kumar 2020, Fig. 4;
        residual: Wu et al., Google's neural machine translation system, 2016, eq. 6; dense: Huang et al., Densely
        connected convolutional networks, 2016, as Bradbury et al., Quasi-recurrent neural networks, 2016, section 2.1;
        dropout: Gal & Ghahramani, A theoretically grounded application of dropout in recurrent neural networks, 2016.
    Shapes: x [..., D], h [..., H of the last layer].
    Departures: no residual connection round the first layer, whose input is of another kind than an h (and may be ids).
    Parameters: the sum over layers, each above the first with D = H of the layer below; dense: D = the width of x and
        of all h below.
    """
    layers = tuple(cells) if isinstance(cells, Sequence) else ()
    if not layers or not all(isinstance(cell, Cell) for cell in layers):
        raise InputError(f"stack: {cells!r}; accepted: a sequence of one Cell or more")
    heights, top = [cell.hidden_size for cell in layers], len(layers) - 1
    choose("connections", connections, CONNECTIONS)
    check_number("dropout", dropout, below=1)
    dropping = not (isinstance(dropout, (int, float)) and dropout == 0)  # a number that rides the run axis is an array
    if not top and connections != "plain":
        raise InputError(f"connections: {connections} needs layers to connect; accepted: plain, or two layers or more")
    if not top and dropping:
        raise InputError(f"dropout: {dropout} acts between layers and there is one; accepted: 0, or two layers or more")
    if connections == "residual" and len(set(heights)) > 1:
        raise InputError(f"connections: residual, but the layers' widths are {heights}; accepted: layers of one width")

    def init(key: Key, inputs: int) -> tuple[Params, ...]:
        widths = [inputs, *heights]
        if connections == "dense":
            widths = [inputs + sum(heights[:layer]) for layer in range(len(layers))]
        return tuple(cell.init(jax.random.fold_in(key, layer), widths[layer]) for layer, cell in enumerate(layers))

    def initial_carry(params: tuple[Params, ...], batch: tuple[int, ...]) -> tuple[Carry, ...]:
        return tuple(cell.initial_carry(p, batch) for cell, p in zip(layers, params, strict=True))

    def climb(
        run: Callable[[Cell, Params, Carry, Array], tuple[Carry, Array]],
        params: tuple[Params, ...],
        carry: tuple[Carry, ...],
        x: Array,
        mask_axes: int,
    ) -> tuple[tuple[Carry, ...], Array]:
        """Through all layers by ``run``; masks have the axes of h from ``mask_axes`` on."""
        if connections == "dense" and jnp.issubdtype(x.dtype, jnp.integer):
            raise InputError("connections: dense ones cannot hand on one-hot ids; accepted: with an embedding")
        after = []
        for layer, (cell, p, before) in enumerate(zip(layers, params, carry, strict=True)):
            new, h = run(cell, p, before, x)
            after.append(new)
            if dropping and key is not None and layer < top:  # under a gradient JAX draws it once, outside the scan
                h = h * dropout_mask(jax.random.fold_in(key, layer), h.shape[mask_axes:], dropout)
            if connections == "residual" and layer > 0:
                h = x + h
            x = jnp.concatenate([x, h], axis=-1) if connections == "dense" and layer < top else h
        return tuple(after), x

    def step(params: tuple[Params, ...], carry: tuple[Carry, ...], x: Array) -> tuple[tuple[Carry, ...], Array]:
        return climb(lambda cell, p, before, x: cell.step(p, before, x), params, carry, x, 0)

    def gates(params: tuple[Params, ...], carry: tuple[Carry, ...], x: Array) -> tuple[Any, ...]:
        """Those of every layer, from the first up."""
        found = []

        def run(cell: Cell, p: Params, before: Carry, x: Array) -> tuple[Carry, Array]:
            assert cell.gates is not None
            found.append(cell.gates(p, before, x))
            return cell.step(p, before, x)

        climb(run, params, carry, x, 0)
        return tuple(found)

    def over(
        params: tuple[Params, ...], carry: tuple[Carry, ...], xs: Array, lengths: Array | None, reverse: bool
    ) -> tuple[tuple[Carry, ...], Array]:
        def run(cell: Cell, p: Params, before: Carry, xs: Array) -> tuple[Carry, Array]:
            return unroll(cell, p, xs, before, lengths=lengths, reverse=reverse)

        return climb(run, params, carry, xs, 1)

    return Cell(
        init,
        initial_carry,
        step,
        sequence=(lambda p, carry, xs: over(p, carry, xs, None, False)) if all(c.sequence for c in layers) else None,
        gates=gates if all(cell.gates for cell in layers) else None,
        hidden_size=heights[-1],
        over=over if any(cell.over for cell in layers) else None,
        last_output=layers[-1].last_output,
    )
