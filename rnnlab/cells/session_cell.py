"""Cells that are objects of this Python session: a config names them ``python:NAME``."""

import itertools
from collections.abc import Callable, Mapping

from rnnlab.core.errors import InputError
from rnnlab.core.types import Cell

Made = Cell | Callable[..., Cell]  # a cell, or a factory (hidden_size, **options) -> Cell

_PREFIX = "python:"
_made: dict[str, Made] = {}


def session_name(made: Made, name: str) -> str:
    """The name under which a config finds ``made``: with a number where ``name`` already stands for another object."""
    for number in itertools.count(1):
        known = f"{_PREFIX}{name}" if number == 1 else f"{_PREFIX}{name}-{number}"
        if _made.setdefault(known, made) is made:
            return known
    raise AssertionError


def restore(cells: Mapping[str, Made]) -> None:
    """Name objects as the session did that trained with them."""
    _made.update({name if name.startswith(_PREFIX) else f"{_PREFIX}{name}": made for name, made in cells.items()})


def session_factory(name: str) -> Callable[..., Cell]:
    """The factory called ``name``. Raises InputError in a session that did not name it."""
    if name not in _made:
        short = name.removeprefix(_PREFIX)
        raise InputError(
            f"cell: {name} was an object of the Python session that trained it; accepted: there, or in another one "
            f"rnnlab.load_run(DIR, cells={{{short!r}: the object}})"
        )
    made = _made[name]
    return _of_one_size(made) if isinstance(made, Cell) else made


def _of_one_size(cell: Cell) -> Callable[..., Cell]:
    def factory(hidden_size: int) -> Cell:
        if hidden_size != cell.hidden_size:
            raise InputError(f"hidden_size: {hidden_size}; accepted: {cell.hidden_size}, that of the cell")
        return cell

    return factory
