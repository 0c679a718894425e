"""What the name of a cell says: combinators round a cell of the table or of the user's own file. No JAX."""

import re
from pathlib import Path
from typing import NamedTuple

from rnnlab.core.errors import InputError


class Name(NamedTuple):
    """``bidirectional(cerebral(gru))`` taken apart: ``("bidirectional", "cerebral")`` and ``"gru"``."""

    combinators: tuple[str, ...]  # the outermost first
    cell: str  # a row of CELLS, or path/to/file.py:function

    @property
    def file(self) -> Path | None:
        """The file of the user's own cell; None for one of the table."""
        return Path(self.cell.rpartition(":")[0]) if is_file_cell(self.cell) else None


def parse_name(text: str) -> Name:
    """The parts of a cell's name. Raises InputError where brackets do not match; whether the parts exist, it does not.

    A path may hold brackets of its own, but cannot end with one: it ends with a function.
    """
    combinators, cell = [], text.strip()
    while match := re.fullmatch(r"\s*(\w*)\s*\((.*)\)\s*", cell, re.DOTALL):
        combinators.append(match[1])
        cell = match[2].strip()
    if not is_file_cell(cell) and set("()") & set(cell):
        raise InputError(f"cell: the brackets of {text!r} do not match; accepted: CELL, or COMBINATOR(CELL)")
    return Name(tuple(combinators), cell)


def write_name(name: Name) -> str:
    """The text that ``parse_name`` takes apart."""
    return "".join(f"{combinator}(" for combinator in name.combinators) + name.cell + ")" * len(name.combinators)


def is_file_cell(text: str) -> bool:
    """Whether the name of a cell, composed or not, ends in ``path/to/file.py:function``."""
    return ".py:" in text


def arm_name(text: str) -> str:
    """What its arm is called: ``cerebral-gru`` of ``cerebral(gru)``, ``mine`` of ``path/to/file.py:mine``."""
    name = parse_name(text)
    return "-".join((*name.combinators, name.cell.rpartition(":")[2]))


def absolute_name(text: str) -> str:
    """The same cell from any folder: the path of the user's own file made absolute."""
    name = parse_name(text)
    path, colon, function = name.cell.rpartition(":")
    if not colon:
        return text
    return write_name(name._replace(cell=f"{Path(path).expanduser().resolve()}:{function}"))
