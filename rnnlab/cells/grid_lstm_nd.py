"""Grid LSTMs whose time step is itself a grid: an image read row by row, every row column by column."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.cells.grid_block import Extents, GridCarry, GridParams, grid_block
from rnnlab.cells.lstm import LSTMGates
from rnnlab.cells.ops import dot, zeros
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Cell, Key


def grid_lstm_2d(
    hidden_size: int,
    *,
    patch: int = 1,
    layers: int = 1,
    tied: bool = False,
    priority: str = "none",
    depth: str = "lstm",
    variant: str = "standard",
    activation: str = "tanh",
    gate: str = "sigmoid",
    forget_bias: float = 1.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """Grid LSTM over the rows and columns of an image: three dimensions, row (that is time), column and depth.

        (h_d, m_d) = x_rc W                              the patch at row r, column c enters at the side of depth
        H = [h_r, h_c, h_d]                              in each layer, from the first up
        (h_r', m_r') = LSTM(H, m_r; row)      and so column and depth, each with weights of its own

    LSTM, and the options not named here, are those of ``grid_lstm``. The row dimension hands (h_r', m_r') to the same
    column of the next row, the column dimension (h_c', m_c') to the next column of the same row, where it starts at
    zero in every row. The D features of a row are D/``patch`` columns. The output of a row is h_d' of the last layer
    at its last column, which after the last row has seen the whole image. ``priority="depth"``: depth sees
    H' = [h_r', h_c', h_d].

    Paper: Kalchbrenner, Danihelka & Graves, Grid long short-term memory, 2015, section 3.
    Shapes: x [..., D], c and h [..., D/patch, L, H] of the row dimension, output [..., H].
    Departures: those of ``grid_lstm``; one scan from the top left corner, no others beside it.
        InputError from ``init`` where patch does not divide D.
    Parameters: 2*P*H + 12*L*(3*H*H + H), P = patch, L = layers, 1 when tied; feed-forward P*H + 9*L*(3*H*H + H).
    """

    def extents(inputs: int) -> tuple[int, ...]:
        if inputs % patch:
            raise InputError(f"patch: {patch} does not divide the {inputs} features of a row; accepted: {_of(inputs)}")
        return (inputs // patch,)

    if not isinstance(patch, int) or isinstance(patch, bool) or patch < 1:
        raise InputError(f"patch: {patch!r} is not accepted; accepted: a whole number from 1")
    return _grid(
        hidden_size, 1, extents, layers=layers, tied=tied, priority=priority, depth=depth, variant=variant,
        activation=activation, gate=gate, forget_bias=forget_bias, w_init=w_init, u_init=u_init,
    )  # fmt: skip


def grid_lstm_nd(
    hidden_size: int,
    *,
    shape: str = "",
    layers: int = 1,
    tied: bool = False,
    priority: str = "none",
    depth: str = "lstm",
    variant: str = "standard",
    activation: str = "tanh",
    gate: str = "sigmoid",
    forget_bias: float = 1.0,
    w_init: str = "glorot_uniform",
    u_init: str = "orthogonal",
) -> Cell:
    """Grid LSTM of N dimensions: time, those of the grid that a time step is, and depth.

        (h_N, m_N) = x_p W                               the features at place p of the step enter at the side of depth
        H = [h_1, ..., h_N]                              in each layer, from the first up
        (h_n', m_n') = LSTM(H, m_n; n)                   for every dimension n, each with weights of its own

    ``shape``, such as "8x8" or "4x4x2", are the sizes of a step's grid: x is the grid in row-major order, with
    D / (8*8) features at each place. Without it the grid is one row of D places. Time hands (h', m') to the same place
    of the next step, every other dimension to the next place along it, and starts at zero in every step. The output
    is h' of depth in the last layer, at the place where all dimensions end. Options as ``grid_lstm_2d``.

    Paper: Kalchbrenner, Danihelka & Graves, Grid long short-term memory, 2015, section 3.
    Shapes: x [..., D], c and h [..., *shape, L, H] of time, output [..., H].
    Departures: those of ``grid_lstm_2d``. InputError from ``init`` where the places of shape do not divide D.
    Parameters: 2*P*H + 4*N*L*(N*H*H + H), P = D / places, N = sizes in shape + 2, L = layers, 1 when tied;
        feed-forward P*H + (4*N - 3)*L*(N*H*H + H).
    """
    if not isinstance(shape, str) or (shape and not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", shape)):
        raise InputError(f"shape: {shape!r} is not accepted; accepted: whole numbers from 1 as in 8x8")
    sizes = tuple(map(int, shape.split("x"))) if shape else ()
    places = math.prod(sizes)

    def extents(inputs: int) -> tuple[int, ...]:
        if inputs % places:
            raise InputError(
                f"shape: {shape} has {places} places, which do not divide the {inputs} features of a step; "
                f"accepted: sizes that multiply to {_of(inputs)}"
            )
        return sizes or (inputs,)

    return _grid(
        hidden_size, len(sizes) or 1, extents, layers=layers, tied=tied, priority=priority, depth=depth, variant=variant,
        activation=activation, gate=gate, forget_bias=forget_bias, w_init=w_init, u_init=u_init,
    )  # fmt: skip


def _of(inputs: int) -> str:
    return ", ".join(str(divisor) for divisor in range(1, inputs + 1) if not inputs % divisor)


def _grid(hidden_size: int, inside: int, extents: Callable[[int], tuple[int, ...]], **options: Any) -> Cell:
    """The cell whose step is a grid of ``inside`` dimensions; ``extents`` of D gives their sizes."""
    block, layers = grid_block(hidden_size, 1 + inside, **options), options["layers"]

    def init(key: Key, inputs: int) -> GridParams:
        sizes = extents(inputs)
        return block.init(key, inputs // math.prod(sizes))._replace(extents=Extents(sizes))

    def initial_carry(params: GridParams, batch: tuple[int, ...]) -> GridCarry:
        assert params.extents is not None
        shape = *batch, *params.extents.sizes, layers, hidden_size
        return GridCarry(zeros(params.u, *shape), zeros(params.u, *shape))

    def through(
        params: GridParams, entering: Sequence[GridCarry], depth: Array, inner: int
    ) -> tuple[list[GridCarry], Array, LSTMGates]:
        """``block.through`` at every place, in order: the first ``inner`` axes of all that enters are of the grid."""
        if not inner:
            return block.through(params, entering, depth)

        def place(
            side: GridCarry, here: tuple[list[GridCarry], Array]
        ) -> tuple[GridCarry, tuple[list[GridCarry], Array, LSTMGates]]:
            sides, h, gates = through(params, [*here[0], side], here[1], inner - 1)
            return sides[-1], (sides[:-1], h, gates)

        start = jax.tree.map(lambda leaf: jnp.zeros_like(leaf[0]), entering[0])
        return jax.lax.scan(place, start, (list(entering), depth))[1]

    @jax.jit  # outside a jit its loops would be compiled anew at every call
    def over(params: GridParams, carry: GridCarry, x: Array) -> tuple[GridCarry, Array, LSTMGates]:
        """The step: carry, output, gates ``[..., *extents, L, M, H]``."""
        assert params.extents is not None
        sizes = params.extents.sizes
        if jnp.issubdtype(x.dtype, jnp.integer):  # ids stand for one-hot rows
            x = jax.nn.one_hot(x, math.prod(sizes) * params.w.shape[0], dtype=params.w.dtype)
        batch = x.shape[:-1]
        axes, front = range(len(batch), len(batch) + inside), range(inside)
        side = jnp.moveaxis(dot(x.reshape(*batch, *sizes, -1), params.w), axes, front)
        before = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, axes, front), carry)
        (after,), hs, gates = through(params, [before], side, inside)
        back = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, front, axes), (after, gates))
        return back[0], hs[(-1,) * inside], back[1]

    def step(params: GridParams, carry: GridCarry, x: Array) -> tuple[GridCarry, Array]:
        after, h, _ = over(params, carry, x)
        return after, h

    def gates(params: GridParams, carry: GridCarry, x: Array) -> LSTMGates:
        return over(params, carry, x)[2]

    return Cell(init, initial_carry, step, gates=gates, hidden_size=hidden_size)
