"""The data sets: ``load_dataset(name, window=T)`` for a row of ``DATASETS`` or ``text:PATH``."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rnnlab.data import digits, mnist, text
from rnnlab.data.store import data_dir
from rnnlab.errors import InputError, unknown
from rnnlab.types import Dataset

__all__ = ["DATASETS", "DataRow", "data_dir", "describe", "load_dataset", "prepare"]

TEXT_FORM = "text:PATH"


class DataRow(NamedTuple):
    """A data set. ``prepare`` and ``is_prepared`` are None where nothing is to be prepared."""

    line: str
    load: Callable[[int], Dataset]
    prepare: Callable[[Path | None], str] | None = None
    is_prepared: Callable[[], bool] | None = None


DATASETS: dict[str, DataRow] = {
    "digits": DataRow("1,797 handwritten digits, 8x8, row by row (scikit-learn)", digits.load),
    "mnist": DataRow("70,000 handwritten digits, 28x28, row by row", mnist.load, mnist.prepare, mnist.is_prepared),
    "pydoc": DataRow("0.5 million characters of English, Python's own reference text", text.load_pydoc),
}


def describe() -> list[tuple[str, str, str]]:
    """``(name, one line, status)`` a row, status "embedded", "prepared" or "not prepared". Reads no data."""
    rows = []
    for name, row in DATASETS.items():
        status = "embedded" if row.is_prepared is None else "prepared" if row.is_prepared() else "not prepared"
        rows.append((name, row.line, status))
    return [*rows, (TEXT_FORM, "any UTF-8 text file, character by character", "prepared")]


def load_dataset(name: str, *, window: int) -> Dataset:
    """The data set of that name, in its three fixed splits; shapes are in the module of each.

    ``window`` is T, the length in characters of the windows of a text; images do not use it. What is to be prepared
    and is not is downloaded. InputError for an unknown name and for data that cannot be had; one line says why.
    """
    if name.startswith("text:"):
        return text.load_file(name, window)
    return _row(name).load(window)


def prepare(name: str, source: Path | None) -> str:
    """Prepares a data set, from the user's folder ``source`` or by download; returns one line that says what was done.

    InputError for an unknown name, for files that are missing or altered, for no network, and for a ``source`` where
    nothing is to be prepared. OSError of the disk passes through.
    """
    row = None if name.startswith("text:") else _row(name)
    if row is not None and row.prepare is not None:
        return row.prepare(source)
    if source is not None:
        able = ", ".join(key for key, other in DATASETS.items() if other.prepare is not None)
        raise InputError(f"from: {name} needs no files and takes none; accepted for: {able}")
    return f"{name}: nothing is to be prepared"


def _row(name: str) -> DataRow:
    if name not in DATASETS:
        raise unknown("data", name, [*DATASETS, TEXT_FORM])
    return DATASETS[name]
