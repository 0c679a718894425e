"""Grid LSTMs whose time step is itself a grid: an image read row by row, each row column by column."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.cells.grid_block import Extents, GridCarry, GridOptions, GridParams, grid_block, no_decay, retention
from rnnlab.cells.lstm import LSTMGates
from rnnlab.cells.ops import dot, takes_options_of, zeros
from rnnlab.core.errors import InputError, check_count
from rnnlab.core.types import Array, Cell, Key


@takes_options_of(GridOptions)
def grid_lstm_2d(hidden_size: int, *, patch: int = 1, **options: Any) -> Cell:
    """Grid LSTM over the rows and columns of an image: three dimensions, row (which is time), column and depth.

        (h_d, m_d) = x_rc W                              the patch at row r, column c enters at the side of depth
        H = [h_r, h_c, h_d]                              in each layer, from the first up
        (h_r', m_r') = LSTM(H, m_r; row)      and likewise column and depth, each with weights of its own

    LSTM and the other options are those of ``grid_lstm``. The row dimension passes (h_r', m_r') to the same column of
    the next row; the column dimension passes (h_c', m_c') to the next column of the same row and starts at zero in
    every row. The D features of a row are D/``patch`` columns. The output of a row is h_d' of the last layer at its
    last column, which after the last row has seen the whole image. ``priority="depth"``: depth sees
    H' = [h_r', h_c', h_d].

    Shapes: x [..., D], c and h [..., D/patch, L, H] of the row dimension, output [..., H].
    Departures: those of ``grid_lstm``; a single scan, from the top left corner.
        ``init`` raises InputError where patch does not divide D.
    """

    def extents(inputs: int) -> tuple[int, ...]:
        if inputs % patch:
            raise InputError(
                f"patch: {patch} does not divide the {inputs} features of a row; accepted: {_divisors(inputs)}"
            )
        return (inputs // patch,)

    check_count("patch", patch)
    return _grid(hidden_size, 1, extents, GridOptions(**options))


@takes_options_of(GridOptions)
def grid_lstm_nd(hidden_size: int, *, shape: str = "", **options: Any) -> Cell:
    """Grid LSTM of N dimensions: time, those of the grid inside a time step, and depth.

        (h_N, m_N) = x_p W                               the features at place p of the step enter at the side of depth
        H = [h_1, ..., h_N]                              in each layer, from the first up
        (h_n', m_n') = LSTM(H, m_n; n)                   for every dimension n, each with weights of its own

    ``shape``, such as "8x8" or "4x4x2", is the size of a step's grid: x is the grid in row-major order, with
    D / (8*8) features at each place. Without it the grid is one row of D places. Time passes (h', m') to the same place
    of the next step; every other dimension passes it to the next place and starts at zero in every step. The output
    is h' of depth in the last layer, at the last place of all dimensions. Other options as in ``grid_lstm_2d``.

    Shapes: x [..., D], c and h [..., *shape, L, H] of time, output [..., H].
    Departures: those of ``grid_lstm_2d``. ``init`` raises InputError where the places of shape do not divide D.
    """
    if not isinstance(shape, str) or (shape and not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", shape)):
        raise InputError(f"shape: {shape!r} is not accepted; accepted: whole numbers from 1 as in 8x8")
    sizes = tuple(map(int, shape.split("x"))) if shape else ()
    places = math.prod(sizes)

    def extents(inputs: int) -> tuple[int, ...]:
        if inputs % places:
            raise InputError(
                f"shape: {shape} has {places} places, which do not divide the {inputs} features of a step; "
                f"accepted: sizes that multiply to {_divisors(inputs)}"
            )
        return sizes or (inputs,)

    return _grid(hidden_size, len(sizes) or 1, extents, GridOptions(**options))


def _divisors(inputs: int) -> str:
    return ", ".join(str(divisor) for divisor in range(1, inputs + 1) if not inputs % divisor)


def _grid(hidden_size: int, inside: int, extents: Callable[[int], tuple[int, ...]], options: GridOptions) -> Cell:
    """The cell whose step is a grid of ``inside`` dimensions with sizes ``extents(D)``."""
    block, layers = grid_block(hidden_size, 1 + inside, options), options.layers

    def init(key: Key, inputs: int) -> GridParams:
        sizes = extents(inputs)
        return block.init(key, inputs // math.prod(sizes))._replace(extents=Extents(sizes))

    def initial_carry(params: GridParams, batch: tuple[int, ...]) -> GridCarry:
        assert params.extents is not None
        shape = *batch, *params.extents.sizes, layers, hidden_size
        return GridCarry(zeros(params.u, *shape), zeros(params.u, *shape))

    def apply(
        params: GridParams, entering: Sequence[GridCarry], depth: Array, inner: int
    ) -> tuple[list[GridCarry], Array, LSTMGates]:
        """``block.apply`` at every place, in order: the first ``inner`` axes of all inputs are those of the grid."""
        if not inner:
            return block.apply(params, entering, depth)

        def place(
            side: GridCarry, here: tuple[list[GridCarry], Array]
        ) -> tuple[GridCarry, tuple[list[GridCarry], Array, LSTMGates]]:
            sides, h, gates = apply(params, [*here[0], side], here[1], inner - 1)
            return sides[-1], (sides[:-1], h, gates)

        start = jax.tree.map(lambda leaf: jnp.zeros_like(leaf[0]), entering[0])
        return jax.lax.scan(place, start, (list(entering), depth))[1]

    @jax.jit  # outside a jit its loops would be recompiled at every call
    def step_and_gates(params: GridParams, carry: GridCarry, x: Array) -> tuple[GridCarry, Array, LSTMGates]:
        """Carry, output, gates ``[..., *extents, L, M, H]``."""
        assert params.extents is not None
        sizes = params.extents.sizes
        if jnp.issubdtype(x.dtype, jnp.integer):  # ids stand for one-hot rows
            x = jax.nn.one_hot(x, math.prod(sizes) * params.w.shape[0], dtype=params.w.dtype)
        batch = x.shape[:-1]
        axes, front = range(len(batch), len(batch) + inside), range(inside)
        side = jnp.moveaxis(dot(x.reshape(*batch, *sizes, -1), params.w), axes, front)
        before = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, axes, front), carry)
        (after,), hs, gates = apply(params, [before], side, inside)
        back = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, front, axes), (after, gates))
        return back[0], hs[(-1,) * inside], back[1]

    def step(params: GridParams, carry: GridCarry, x: Array) -> tuple[GridCarry, Array]:
        after, h, _ = step_and_gates(params, carry, x)
        return after, h

    def gates(params: GridParams, carry: GridCarry, x: Array) -> LSTMGates:
        return step_and_gates(params, carry, x)[2]

    return Cell(init, initial_carry, step, hidden_size, gates=gates, retention=retention, no_decay=no_decay)
