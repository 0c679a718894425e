"""Recurrent cells: ``(params, carry, xs) -> (carry, hs)``.

In: a cell's name and options. Out: a ``Cell`` of pure functions, run over time by ``unroll.unroll``. A cell is one file
here and one row of ``registry``; ``wrappers`` makes cells of cells. Imports core and config (names and choices) only.
"""

from rnnlab.cells.biological_lstm import biological_lstm
from rnnlab.cells.brc import brc, nbrc
from rnnlab.cells.budget import hidden_size_for
from rnnlab.cells.cerebral_lstm import cerebral_lstm
from rnnlab.cells.cornn import cornn
from rnnlab.cells.greff_lstm import greff_lstm
from rnnlab.cells.grid_lstm import grid_lstm
from rnnlab.cells.grid_lstm_nd import grid_lstm_2d, grid_lstm_nd
from rnnlab.cells.gru import gru
from rnnlab.cells.hodgkin_huxley import hodgkin_huxley
from rnnlab.cells.indrnn import indrnn
from rnnlab.cells.janet import janet
from rnnlab.cells.layer_norm import layer_norm_gru, layer_norm_lstm
from rnnlab.cells.lem import lem
from rnnlab.cells.lru import lru
from rnnlab.cells.lstm import lstm, lstm_1997
from rnnlab.cells.mgu import mgu
from rnnlab.cells.min_rnn import min_gru, min_lstm
from rnnlab.cells.mlstm import mlstm
from rnnlab.cells.mut import mut1, mut2, mut3
from rnnlab.cells.ops import dot, leaves_named
from rnnlab.cells.peephole_lstm import peephole_lstm
from rnnlab.cells.projected_lstm import projected_lstm
from rnnlab.cells.qrnn import qrnn
from rnnlab.cells.registry import CELLS, COMBINATORS, cell_factory, count_parameters, factory_options, make_cell
from rnnlab.cells.rg_lru import rg_lru
from rnnlab.cells.rnn import rnn
from rnnlab.cells.s5 import s5
from rnnlab.cells.slim_lstm import lstm1, lstm2, lstm3, lstm4, lstm5
from rnnlab.cells.slstm import slstm
from rnnlab.cells.sru import sru
from rnnlab.cells.ugrnn import ugrnn
from rnnlab.cells.unroll import unroll
from rnnlab.cells.wrappers.bidirectional import bidirectional
from rnnlab.cells.wrappers.cerebral import cerebral
from rnnlab.cells.wrappers.stack import stack
from rnnlab.core.types import Cell

__all__ = [
    "CELLS",
    "COMBINATORS",
    "Cell",
    "bidirectional",
    "biological_lstm",
    "brc",
    "cell_factory",
    "cerebral",
    "cerebral_lstm",
    "cornn",
    "count_parameters",
    "dot",
    "factory_options",
    "greff_lstm",
    "grid_lstm",
    "grid_lstm_2d",
    "grid_lstm_nd",
    "gru",
    "hidden_size_for",
    "hodgkin_huxley",
    "indrnn",
    "janet",
    "layer_norm_gru",
    "layer_norm_lstm",
    "leaves_named",
    "lem",
    "lru",
    "lstm",
    "lstm1",
    "lstm2",
    "lstm3",
    "lstm4",
    "lstm5",
    "lstm_1997",
    "make_cell",
    "mgu",
    "min_gru",
    "min_lstm",
    "mlstm",
    "mut1",
    "mut2",
    "mut3",
    "nbrc",
    "peephole_lstm",
    "projected_lstm",
    "qrnn",
    "rg_lru",
    "rnn",
    "s5",
    "slstm",
    "sru",
    "stack",
    "ugrnn",
    "unroll",
]  # fmt: skip
