"""Names of cells: wrappers around a cell of the table or of a user's file. No JAX."""

import re
from pathlib import Path
from typing import NamedTuple

from rnnlab.core.errors import InputError


class Name(NamedTuple):
    """``bidirectional(cerebral(gru))`` parsed: ``("bidirectional", "cerebral")`` and ``"gru"``."""

    combinators: tuple[str, ...]  # the outermost first
    cell: str  # a row of CELLS, path/to/file.py:function, flax.linen:CLASS, flax.nnx:CLASS, or python:NAME

    @property
    def file(self) -> Path | None:
        """The user's file; None for a cell of the table."""
        return Path(self.cell.rpartition(":")[0]) if is_file_cell(self.cell) else None


def parse_name(text: str) -> Name:
    """The parts of a cell's name, which need not exist. Raises InputError for unbalanced parentheses.

    A path may contain parentheses, since it ends with a function's name.
    """
    combinators, cell = [], text.strip()
    while match := re.fullmatch(r"\s*(\w*)\s*\((.*)\)\s*", cell, re.DOTALL):
        combinators.append(match[1])
        cell = match[2].strip()
    if not is_own_cell(cell) and set("()") & set(cell):
        raise InputError(f"cell: unbalanced parentheses in {text!r}; accepted: CELL, or COMBINATOR(CELL)")
    return Name(tuple(combinators), cell)


def write_name(name: Name) -> str:
    """The text that ``parse_name`` parses."""
    return "".join(f"{combinator}(" for combinator in name.combinators) + name.cell + ")" * len(name.combinators)


def is_file_cell(text: str) -> bool:
    """Whether the name of a cell, wrapped or not, is of the form ``path/to/file.py:function``."""
    return ".py:" in text


def is_own_cell(text: str) -> bool:
    """Whether the name of a cell, wrapped or not, is none of the table: in a file, of a Python session, or Flax's."""
    return is_file_cell(text) or "python:" in text or "flax." in text


def arm_name(text: str) -> str:
    """The name of its arm: ``cerebral-gru`` for ``cerebral(gru)``, ``mine`` for ``path/to/file.py:mine``."""
    name = parse_name(text)
    return "-".join((*name.combinators, name.cell.rpartition(":")[2]))


def absolute_name(text: str) -> str:
    """The same name with the path of a user's file made absolute."""
    name = parse_name(text)
    path, _, function = name.cell.rpartition(":")
    if not is_file_cell(name.cell):
        return text
    return write_name(name._replace(cell=f"{Path(path).expanduser().resolve()}:{function}"))
