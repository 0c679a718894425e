"""Loads a cell factory from a user's Python file."""

from collections.abc import Callable

from rnnlab.config.cell_name import parse_name
from rnnlab.core.types import Cell
from rnnlab.core.user_file import UserFile, hashes_of_imports, load_function


def load_factory(name: str) -> tuple[UserFile, Callable[..., Cell]]:
    """The file and function of ``path/to/file.py:function``; the file is read again if it or an import changed.

    Raises InputError.
    """
    return load_function(name, "cell")


def imported_hashes(cell: str) -> dict[str, str]:
    """`hashes_of_imports` of the file of a cell, whose name is of a user's file."""
    path = parse_name(cell).file
    assert path is not None
    return hashes_of_imports(path)
