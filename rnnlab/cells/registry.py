"""The table of cells, and how a cell is made from a name or from a user's own file."""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from rnnlab.cells.biological_lstm import biological_lstm
from rnnlab.cells.cerebral_lstm import cerebral_lstm
from rnnlab.cells.grid_lstm import grid_lstm
from rnnlab.cells.grid_lstm_nd import grid_lstm_2d, grid_lstm_nd
from rnnlab.cells.gru import gru
from rnnlab.cells.hodgkin_huxley import hodgkin_huxley
from rnnlab.cells.lstm import lstm, lstm_1997
from rnnlab.cells.peephole_lstm import peephole_lstm
from rnnlab.cells.qrnn import qrnn
from rnnlab.cells.rnn import rnn
from rnnlab.cells.slim_lstm import lstm1, lstm2, lstm3, lstm4, lstm5
from rnnlab.cells.wrappers.bidirectional import bidirectional
from rnnlab.cells.wrappers.cerebral import cerebral
from rnnlab.cells.wrappers.combinator import combined
from rnnlab.cells.wrappers.stack import stack
from rnnlab.config.cell_name import is_file_cell, parse_name
from rnnlab.core.errors import InputError, unknown
from rnnlab.core.types import Cell, Key, Params

__all__ = [
    "CELLS",
    "COMBINATORS",
    "bidirectional",
    "cell_factory",
    "cerebral",
    "count_parameters",
    "factory_options",
    "make_cell",
    "stack",
]

CELLS: dict[str, Callable[..., Cell]] = {
    "rnn": rnn,
    "lstm": lstm,
    "lstm_1997": lstm_1997,
    "peephole_lstm": peephole_lstm,
    "gru": gru,
    "lstm1": lstm1,
    "lstm2": lstm2,
    "lstm3": lstm3,
    "lstm4": lstm4,
    "lstm5": lstm5,
    "biological_lstm": biological_lstm,
    "cerebral_lstm": cerebral_lstm,
    "hodgkin_huxley": hodgkin_huxley,
    "qrnn": qrnn,
    "grid_lstm": grid_lstm,
    "grid_lstm_2d": grid_lstm_2d,
    "grid_lstm_nd": grid_lstm_nd,
}


COMBINATORS: dict[str, Callable[..., Cell]] = {"bidirectional": bidirectional, "cerebral": cerebral}


def cell_factory(name: str) -> Callable[..., Cell]:
    """The function ``(hidden, **options) -> Cell`` called ``name``.

    A row of CELLS, ``path/to/file.py:function``, or either in combinators: ``bidirectional(cerebral(gru))``.
    """
    combinators, cell = parse_name(name)
    for combinator in combinators:
        if combinator not in COMBINATORS:
            raise unknown("cell: combinator", combinator, COMBINATORS)
    if not is_file_cell(cell) and cell not in CELLS:
        accepted = [*CELLS, "path/to/file.py:function", *(f"{combinator}(CELL)" for combinator in COMBINATORS)]
        raise unknown("cell", cell, accepted)
    factory = _load_from_file(cell) if is_file_cell(cell) else CELLS[cell]
    for combinator in reversed(combinators):
        factory = combined(name, COMBINATORS[combinator], factory)
    return factory


def _load_from_file(name: str) -> Callable[..., Cell]:
    path, _, function = name.rpartition(":")
    if not Path(path).is_file():
        raise InputError(f"cell: no file {path!r} (from {name!r}); accepted: path/to/file.py:function")
    module_name = f"rnnlab_user_cell_{hashlib.sha256(str(Path(path).resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)  # dataclasses look it up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's file raises is theirs to see, in one line
        raise InputError(f"cell: {path} cannot be imported: {_one_line(error)}") from error
    factory = getattr(module, function, None)
    if not callable(factory):
        functions = [n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module_name]
        raise unknown(f"cell: function in {path}", function, functions)
    return factory


def factory_options(factory: Callable[..., Cell]) -> Mapping[str, inspect.Parameter]:
    """The options of a cell factory: its keyword parameters, without ``hidden_size`` and ``key``."""
    parameters = list(inspect.signature(factory).parameters.items())
    return {
        name: parameter
        for name, parameter in parameters[1:]
        if name != "key" and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }


def make_cell(name: str, hidden_size: int, *, key: Key | None = None, **options: Any) -> Cell:
    """The cell called ``name`` with ``hidden_size`` units.

    ``options`` are the factory's keywords; numbers may be traced arrays. ``key`` reaches cells that draw random
    numbers while training (a factory with a ``key`` parameter); None, as in evaluation, silences them.
    Raises InputError for an unknown name or option (naming the closest match) and for hidden < 1.
    """
    factory = cell_factory(name)
    if not isinstance(hidden_size, int) or isinstance(hidden_size, bool) or hidden_size < 1:
        raise InputError(f"hidden_size: {hidden_size!r} is not accepted; accepted: a whole number from 1")
    accepted = factory_options(factory)
    for option in options:
        if option not in accepted:
            raise unknown(f"option of cell {name}", option, accepted)
    if "key" in inspect.signature(factory).parameters:
        options["key"] = key
    try:
        cell = factory(hidden_size, **options)
    except InputError:
        raise
    except Exception as error:
        if not is_file_cell(name):
            raise
        raise InputError(f"cell: {name} fails: {_one_line(error)}") from error
    if not isinstance(cell, Cell):
        raise InputError(f"cell: {name} returned {type(cell).__name__}; accepted: a rnnlab.core.types.Cell")
    if cell.hidden_size < 1:
        raise InputError(f"cell: {name} has hidden_size {cell.hidden_size}; accepted: the width of its h, from 1")
    return cell


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def count_parameters(params: Params) -> int:
    """The number of trainable numbers in a pytree of arrays (or of shapes)."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
