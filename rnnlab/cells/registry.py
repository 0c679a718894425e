"""The table of cells, and how a cell is made from its name."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from rnnlab.cells.biological_lstm import biological_lstm
from rnnlab.cells.brc import brc, nbrc
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
from rnnlab.cells.peephole_lstm import peephole_lstm
from rnnlab.cells.projected_lstm import projected_lstm
from rnnlab.cells.qrnn import qrnn
from rnnlab.cells.rg_lru import rg_lru
from rnnlab.cells.rnn import rnn
from rnnlab.cells.s5 import s5
from rnnlab.cells.slim_lstm import lstm1, lstm2, lstm3, lstm4, lstm5
from rnnlab.cells.slstm import slstm
from rnnlab.cells.sru import sru
from rnnlab.cells.ugrnn import ugrnn
from rnnlab.cells.user_cell import user_factory
from rnnlab.cells.wrappers.bidirectional import bidirectional
from rnnlab.cells.wrappers.cerebral import cerebral
from rnnlab.cells.wrappers.combinator import combined
from rnnlab.config.cell_name import is_own_cell, parse_name
from rnnlab.core.errors import InputError, check_count, unknown
from rnnlab.core.types import Cell, Key, Params


class CellEntry(NamedTuple):
    """A cell, or a combinator of cells, and its source."""

    factory: Callable[..., Cell]  # (hidden_size, **options); of a combinator (cell, **options)
    paper: str
    formula: str  # the number of parameters for D inputs and H units
    oracle: str = ""  # implementations that tests compare it with, besides the NumPy transcription of every cell


AKANDEH = "Akandeh & Salem, Simplified LSTM RNNs, part I, 2017"
RAHMAN = "Rahman, Mohammed & Azad, A new LSTM model by introducing biological cell state, 2016"
BA = "Ba, Kiros & Hinton, Layer normalization, 2016"
JOZEFOWICZ = "Jozefowicz, Zaremba & Sutskever, An empirical exploration of recurrent network architectures, 2015"
VECOVEN = "Vecoven, Ernst & Drion, A bio-inspired bistable recurrent cell allows for long-lasting memory, 2021"
FENG = "Feng, Tung, Ahmed, Bengio & Hajimirsadeghi, Were RNNs all we needed?, 2024"
XLSTM = "Beck, Pöppel, Spanring et al., xLSTM: extended long short-term memory, 2024"
GRID = "Kalchbrenner, Danihelka & Graves, Grid long short-term memory, 2015, section 3"

CELLS: dict[str, CellEntry] = {
    "rnn": CellEntry(
        rnn, f"Elman, Finding structure in time, 1990; {AKANDEH}, eq. 1", "D*H + H*H + H", oracle="Flax, PyTorch"
    ),
    "lstm": CellEntry(
        lstm,
        f"Gers, Schmidhuber & Cummins, Learning to forget, 2000; {AKANDEH}, eq. 2 (act in both places); "
        "Owusu, Sturtz & Chittam, LSTM method discussion report, section III",
        "4*(D*H + H*H + H); 3*(D*H + H) + 4*H*H with the recurrent output gate; + 2*H with state_bias",
        oracle="Flax, PyTorch",
    ),
    "lstm_1997": CellEntry(
        lstm_1997,
        "Hochreiter & Schmidhuber, Long short-term memory, 1997; Owusu, Sturtz & Chittam, section I",
        "3*(D*H + H*H + H)",
    ),
    "peephole_lstm": CellEntry(
        peephole_lstm,
        "Gers & Schmidhuber, Recurrent nets that time and count, 2000; "
        f'{RAHMAN}, eq. 1-5 and 6-8 (``peephole="full", output_peephole="previous"``)',
        "4*(D*H + H*H + H) + 3*H diagonal, + 3*H*H full",
    ),
    "gru": CellEntry(
        gru,
        f"Cho et al., Learning phrase representations using RNN encoder-decoder, 2014; {RAHMAN}, eq. 9-12",
        '3*(D*H + H*H + H), + H with reset="after"; printed 2*(D*H + H*H)',
        oracle="Flax, PyTorch",
    ),
    "lstm1": CellEntry(lstm1, f"{AKANDEH}, eq. 4", "D*H + 4*H*H + 4*H"),
    "lstm2": CellEntry(lstm2, f"{AKANDEH}, eq. 5", "D*H + 4*H*H + H"),
    "lstm3": CellEntry(lstm3, f"{AKANDEH}, eq. 6", "D*H + H*H + 4*H"),
    "lstm4": CellEntry(lstm4, f"{AKANDEH}, eq. 7", "D*H + H*H + 3*H + H"),
    "lstm5": CellEntry(lstm5, f"{AKANDEH}, eq. 8", "D*H + H*H + 3*H + 4*H"),
    "biological_lstm": CellEntry(biological_lstm, f"{RAHMAN}, eq. 17-21", "3*(D*H + 2*H*H + H) + H"),
    "cerebral_lstm": CellEntry(
        cerebral_lstm,
        "Kumar, Cerebral LSTM, 2020, section 4; package cerebral_lstm 1.1.1",
        "8*(D*H + H*H + H), half of it tied",
        oracle="cerebral_lstm 1.1.1",
    ),
    "hodgkin_huxley": CellEntry(
        hodgkin_huxley,
        f"{RAHMAN}, eq. 13-16; rates of Hodgkin & Huxley, A quantitative description of membrane current, 1952",
        "D*H",
    ),
    "qrnn": CellEntry(
        qrnn,
        "Bradbury, Merity, Xiong & Socher, Quasi-recurrent neural networks, 2016, section 2",
        'G*(K*D*H + H), K = window, G = 2 for "f", 3 for "fo", 4 for "ifo"',
    ),
    "grid_lstm": CellEntry(
        grid_lstm,
        GRID,
        "2*D*H + 8*L*(2*H*H + H), L = layers, 1 when tied; feed-forward D*H + 5*L*(2*H*H + H); "
        "dims=1 4*(D*H + H*H + H)",
    ),
    "grid_lstm_2d": CellEntry(
        grid_lstm_2d,
        GRID,
        "2*P*H + 12*L*(3*H*H + H), P = patch, L = layers, 1 when tied; feed-forward P*H + 9*L*(3*H*H + H)",
    ),
    "grid_lstm_nd": CellEntry(
        grid_lstm_nd,
        GRID,
        "2*P*H + 4*N*L*(N*H*H + H), P = D / places, N = sizes in shape + 2, L = layers, 1 when tied; "
        "feed-forward P*H + (4*N - 3)*L*(N*H*H + H)",
    ),
    "layer_norm_lstm": CellEntry(layer_norm_lstm, f"{BA}, eq. 20-22", "4*(D*H + H*H + H) + 18*H"),
    "layer_norm_gru": CellEntry(layer_norm_gru, f"{BA}, eq. 26-29", "3*(D*H + H*H) + 12*H"),
    "projected_lstm": CellEntry(
        projected_lstm,
        "Sak, Senior & Beaufays, LSTM recurrent neural network architectures for large scale acoustic modeling, 2014",
        "4*(D*N + H*N + N) + N*H, N = state_size or 2*H",
        oracle="PyTorch",
    ),
    "greff_lstm": CellEntry(
        greff_lstm,
        "Greff, Srivastava, Koutník, Steunebrink & Schmidhuber, LSTM: a search space odyssey, 2015",
        "4*(D*H + H*H + H) + 3*H; NIG, NFG, NOG, CIFG 3*(D*H + H*H + H) + 2*H; NP - 3*H; FGR + 9*H*H",
    ),
    "mgu": CellEntry(
        mgu,
        "Zhou, Wu, Zhang & Zhou, Minimal gated unit for recurrent neural networks, 2016, eq. 9-11",
        "2*(D*H + H*H + H)",
        oracle="torchrecurrent",
    ),
    "janet": CellEntry(
        janet,
        "van der Westhuizen & Lasenby, The unreasonable effectiveness of the forget gate, 2018, eq. 8-11",
        "2*(D*H + H*H + H)",
        oracle="torchrecurrent",
    ),
    "ugrnn": CellEntry(
        ugrnn,
        "Collins, Sohl-Dickstein & Sussillo, Capacity and trainability in recurrent neural networks, 2017",
        "2*(D*H + H*H + H)",
        oracle="torchrecurrent",
    ),
    "mut1": CellEntry(mut1, JOZEFOWICZ, "3*(D*H + H) + 2*H*H", oracle="torchrecurrent"),
    "mut2": CellEntry(mut2, JOZEFOWICZ, "3*(D*H + H*H + H)", oracle="torchrecurrent"),
    "mut3": CellEntry(mut3, JOZEFOWICZ, "3*(D*H + H*H + H)", oracle="torchrecurrent"),
    "indrnn": CellEntry(
        indrnn,
        "Li, Li, Cook, Zhu & Gao, Independently recurrent neural network (IndRNN), 2018, eq. 2",
        "D*H + 2*H",
        oracle="torchrecurrent",
    ),
    "sru": CellEntry(
        sru,
        "Lei, Zhang, Wang, Dai & Artzi, Simple recurrent units for highly parallelizable recurrence, 2018, eq. 1-4",
        "4*D*H + 4*H, - D*H where D = H",
    ),
    "brc": CellEntry(brc, f"{VECOVEN}, eq. 8-9", "3*D*H + 2*H", oracle="torchrecurrent"),
    "nbrc": CellEntry(nbrc, f"{VECOVEN}, eq. 10", "3*D*H + 2*H*H", oracle="torchrecurrent"),
    "cornn": CellEntry(
        cornn,
        "Rusch & Mishra, Coupled oscillatory recurrent neural network, 2021, eq. 3",
        "D*H + 2*H*H + H",
        oracle="torchrecurrent",
    ),
    "lem": CellEntry(
        lem,
        "Rusch, Mishra, Erichson & Mahoney, Long expressive memory for sequence modeling, 2022, eq. 3",
        "4*(D*H + H*H + H)",
    ),
    "min_gru": CellEntry(min_gru, f"{FENG}, section 3.1, appendix B", "2*(D*H + H)"),
    "min_lstm": CellEntry(min_lstm, f"{FENG}, section 3.2, appendix B", "3*(D*H + H)"),
    "lru": CellEntry(
        lru,
        "Orvieto, Smith, Gu et al., Resurrecting recurrent neural networks for long sequences, 2023, section 3",
        "3*N + 2*D*N + 2*N*H + D*H, N = state_size or H; + H*H + H gated",
    ),
    "s5": CellEntry(
        s5,
        "Smith, Warrington & Linderman, Simplified state space layers for sequence modeling, 2023, section 3",
        "3*N + 2*D*N + 2*N*H + D*H + H*H + H, N = state_size or H; - H*H - H with the linear output",
    ),
    "rg_lru": CellEntry(
        rg_lru,
        "De, Smith, Fernando et al., Griffin: mixing gated linear recurrences with local attention, 2024, eq. 1-4",
        "D*H + 2*H*H + 4*H",
    ),
    "slstm": CellEntry(slstm, f"{XLSTM}, eq. 8-17", "4*(D*H + H*H/heads + H)"),
    "mlstm": CellEntry(mlstm, f"{XLSTM}, eq. 19-27", "4*(D*H + H) + 2*heads*(D + 1)"),
}

COMBINATORS: dict[str, CellEntry] = {
    "bidirectional": CellEntry(
        bidirectional,
        "Schuster & Paliwal, Bidirectional recurrent neural networks, 1997; Kumar 2020, Fig. 5",
        "twice the cell's",
        oracle="PyTorch",
    ),
    "cerebral": CellEntry(
        cerebral,
        "Kumar, Cerebral LSTM, 2020, sections 4, 4.1 and 6 (peepholes, GRUs)",
        "twice the cell's; tied, the cell's",
    ),
}


def cell_factory(name: str) -> Callable[..., Cell]:
    """The function ``(hidden_size, **options) -> Cell`` called ``name``.

    A row of CELLS, ``path/to/file.py:function``, ``flax.linen:CLASS``, or one of these in combinators:
    ``bidirectional(cerebral(gru))``.
    """
    combinators, cell = parse_name(name)
    for combinator in combinators:
        if combinator not in COMBINATORS:
            raise unknown("cell: combinator", combinator, COMBINATORS)
    if not is_own_cell(cell) and cell not in CELLS:
        raise unknown(
            "cell",
            cell,
            [
                *CELLS,
                "path/to/file.py:function",
                "flax.linen:CLASS",
                "flax.nnx:CLASS",
                *(f"{combinator}(CELL)" for combinator in COMBINATORS),
            ],
        )
    factory = user_factory(cell) if is_own_cell(cell) else CELLS[cell].factory
    for combinator in reversed(combinators):
        factory = combined(name, COMBINATORS[combinator].factory, factory)
    return factory


def factory_options(factory: Callable[..., Cell]) -> Mapping[str, inspect.Parameter]:
    """The options of a cell factory: its keyword parameters except ``hidden_size`` and ``key``."""
    parameters = list(inspect.signature(factory).parameters.items())
    return {
        name: parameter
        for name, parameter in parameters[1:]
        if name != "key" and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }


def make_cell(name: str, hidden_size: int, *, key: Key | None = None, **options: Any) -> Cell:
    """The cell called ``name`` with ``hidden_size`` units.

    ``options`` are the factory's keywords; numbers may be traced arrays. ``key`` is passed to cells that draw random
    numbers in training (a factory with a ``key`` parameter); with None, as in evaluation, they draw none.
    Raises InputError for an unknown name or option (naming the closest match) and for hidden_size < 1.
    """
    factory = cell_factory(name)
    check_count("hidden_size", hidden_size)
    accepted = factory_options(factory)
    for option in options:
        if option not in accepted:
            raise unknown(f"option of cell {name}", option, accepted)
    if "key" in inspect.signature(factory).parameters:
        options["key"] = key
    cell = factory(hidden_size, **options)
    if not isinstance(cell, Cell):
        raise InputError(f"cell: {name} returned {type(cell).__name__}; accepted: an rnnlab Cell")
    if cell.hidden_size < 1:
        raise InputError(f"cell: {name} has hidden_size {cell.hidden_size}; accepted: the width of its h, from 1")
    return cell


def count_parameters(params: Params) -> int:
    """The number of parameters in a pytree of arrays (or shapes)."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
