"""The Grid LSTM over time and depth: LSTM memory along depth as well as along time."""

from collections.abc import Callable, Sequence

import jax

from rnnlab.cells.grid_block import Block, GridCarry, GridParams, grid_block, transformer
from rnnlab.cells.initializers import initialize
from rnnlab.cells.lstm import LSTMGates
from rnnlab.cells.ops import dot, zeros
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Cell, Key


def grid_lstm(
    hidden_size: int,
    *,
    layers: int = 1,
    dims: int = 2,
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
    """Grid LSTM of two dimensions, time and depth, each with its own h and memory m in every block.

        (h_d, m_d) = x_t W                                              the input enters at the side of depth
        H = [h_t, h_d]                                                  in each layer, from the first up
        (h_t', m_t') = LSTM(H, m_t; time)      (h_d', m_d') = LSTM(H, m_d; depth)
        LSTM(H, m):  i, f, o = s(H U + b)      c~ = act(H U + b)
                     m' = f * m + i * c~       h' = o * act(m')         variant="printed": h' = act(o * m')

    Time hands (h_t', m_t') to the same layer's next step, depth hands (h_d', m_d') to the next layer of the same step;
    the output is h_d' of the last layer. ``priority="depth"``: depth sees H' = [h_t', h_d] (section 3.2).
    ``depth="feedforward"``: h_d' = act(H V + b), no memory along depth (section 3.3). ``tied``: all layers share their
    weights. ``dims=1`` is the grid of time alone, one layer: x joins H, and it is the LSTM. Grids over the rows and
    columns of an image are ``grid_lstm_2d``.

    Paper: Kalchbrenner, Danihelka & Graves, Grid long short-term memory, 2015, section 3.
    Shapes: x [..., D], c and h [..., L, H], output [..., H].
    Departures: h' = o * act(m') unless ``form="printed"``; biases. The paper's own grid of one dimension is along
        depth, without time.
    Parameters: 2*D*H + 8*L*(2*H*H + H), L = layers, 1 when tied; feed-forward D*H + 5*L*(2*H*H + H); dims=1
        4*(D*H + H*H + H).
    """
    block = grid_block(
        hidden_size, 1, layers=layers, tied=tied, priority=priority, depth=depth, variant=variant, activation=activation,
        gate=gate, forget_bias=forget_bias, w_init=w_init, u_init=u_init,
    )  # fmt: skip
    if isinstance(dims, bool) or dims not in (1, 2):
        raise InputError(f"dims: {dims!r} is not accepted; accepted: 1 or 2")
    if dims == 1:
        for field, value, only in (("layers", layers, 1), ("priority", priority, "none"), ("depth", depth, "lstm")):
            if value != only:
                raise InputError(f"{field}: {value!r} needs the dimension of depth; accepted with dims=1: {only!r}")
        block = _block_of_time(hidden_size, transformer(activation, gate, variant), forget_bias, w_init, u_init)

    def initial_carry(params: GridParams, batch: tuple[int, ...]) -> GridCarry:
        return GridCarry(zeros(params.u, *batch, layers, hidden_size), zeros(params.u, *batch, layers, hidden_size))

    def gates(params: GridParams, carry: GridCarry, x: Array) -> LSTMGates:
        return block.through(params, [carry], dot(x, params.w))[2]

    def step(params: GridParams, carry: GridCarry, x: Array) -> tuple[GridCarry, Array]:
        (after,), h, _ = block.through(params, [carry], dot(x, params.w))
        return after, h

    return Cell(block.init, initial_carry, step, gates=gates, hidden_size=hidden_size)


def _block_of_time(
    hidden_size: int,
    transform: Callable[[Array, Array], tuple[GridCarry, LSTMGates]],
    forget_bias: float,
    w_init: str,
    u_init: str,
) -> Block:
    """The block of the grid without depth, into whose gates x enters."""
    init_w, init_u = initialize("w_init", w_init), initialize("u_init", u_init)

    def init(key: Key, inputs: int) -> GridParams:
        key_w, key_u = jax.random.split(key)
        w, u = init_w(key_w, (inputs, 4, hidden_size)), init_u(key_u, (hidden_size, 4, hidden_size))
        return GridParams(
            w, u[None, :, None], None, zeros(w, 1, 1, 4, hidden_size).at[..., 1, :].set(forget_bias), None
        )

    def through(
        params: GridParams, entering: Sequence[GridCarry], side: Array
    ) -> tuple[list[GridCarry], Array, LSTMGates]:
        c, h = (leaf[..., 0, :] for leaf in entering[0])
        after, decided = transform(side + params.b[0, 0] + dot(h, params.u[0, :, 0]), c)
        gates = jax.tree.map(lambda gate: gate[..., None, None, :], decided)
        return [jax.tree.map(lambda leaf: leaf[..., None, :], after)], after.h, gates

    return Block(init, through)
