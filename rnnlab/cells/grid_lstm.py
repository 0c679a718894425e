"""The Grid LSTM over time and depth: LSTM memory along depth as well as along time."""

from typing import Any

from rnnlab.cells.grid_block import (
    GridCarry,
    GridOptions,
    GridParams,
    block_of_time,
    grid_block,
    no_decay,
    retention,
)
from rnnlab.cells.lstm import LSTMGates
from rnnlab.cells.ops import dot, takes_options_of, zeros
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Cell


@takes_options_of(GridOptions)
def grid_lstm(hidden_size: int, *, dims: int = 2, **options: Any) -> Cell:
    """Grid LSTM of two dimensions, time and depth, each with its own h and memory m (Kalchbrenner et al. 2015, sec. 3).

        (h_d, m_d) = x_t W                                              the input enters at the side of depth
        H = [h_t, h_d]                                                  in each layer, from the first up
        (h_t', m_t') = LSTM(H, m_t; time)      (h_d', m_d') = LSTM(H, m_d; depth)
        LSTM(H, m):  i, f, o = s(H U + b)      c~ = act(H U + b)
                     m' = f * m + i * c~       h' = o * act(m')         variant="printed": h' = act(o * m')

    Time passes (h_t', m_t') to the same layer's next step, depth passes (h_d', m_d') to the next layer of the same
    step; the output is h_d' of the last layer. ``priority="depth"``: depth sees H' = [h_t', h_d] (section 3.2).
    ``depth="feedforward"``: h_d' = act(H V + b), no memory along depth (section 3.3). ``tied``: all layers share their
    weights. ``dims=1`` is the grid of time alone, one layer: x joins H, and it is the LSTM. Grids over the rows and
    columns of an image are ``grid_lstm_2d``.

    Shapes: x [..., D], c and h [..., L, H], output [..., H].
    Departures: h' = o * act(m') unless ``variant="printed"``; biases. The paper's own grid of one dimension is along
        depth, without time.
    """
    settings = GridOptions(**options)
    block = grid_block(hidden_size, 1, settings)
    if isinstance(dims, bool) or dims not in (1, 2):
        raise InputError(f"dims: {dims!r} is not accepted; accepted: 1 or 2")
    if dims == 1:
        block = block_of_time(hidden_size, settings)

    def initial_carry(params: GridParams, batch: tuple[int, ...]) -> GridCarry:
        shape = *batch, settings.layers, hidden_size
        return GridCarry(zeros(params.u, *shape), zeros(params.u, *shape))

    def gates(params: GridParams, carry: GridCarry, x: Array) -> LSTMGates:
        return block.apply(params, [carry], dot(x, params.w))[2]

    def step(params: GridParams, carry: GridCarry, x: Array) -> tuple[GridCarry, Array]:
        (after,), h, _ = block.apply(params, [carry], dot(x, params.w))
        return after, h

    return Cell(block.init, initial_carry, step, hidden_size, gates=gates, retention=retention, no_decay=no_decay)
