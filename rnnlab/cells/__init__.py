"""Recurrent cells: ``(params, carry, xs) -> (carry, hs)``.

In: a cell's name and options. Out: a ``Cell`` of pure functions, run over time by ``unroll.unroll``. A cell is one file
here and one row of ``registry``; ``wrappers`` makes cells of cells. Imports core and config (names and choices) only.
"""

from rnnlab.cells.ops import dot, leaves_named
from rnnlab.cells.registry import CELLS, COMBINATORS, cell_factory, count_parameters, factory_options, make_cell
from rnnlab.cells.wrappers.bidirectional import bidirectional
from rnnlab.cells.wrappers.cerebral import cerebral
from rnnlab.cells.wrappers.stack import stack
from rnnlab.core.types import Cell

__all__ = [
    "CELLS",
    "COMBINATORS",
    "Cell",
    "bidirectional",
    "cell_factory",
    "cerebral",
    "count_parameters",
    "dot",
    "factory_options",
    "leaves_named",
    "make_cell",
    "stack",
]
