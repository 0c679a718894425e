"""The data sets: ``load_dataset(name, **options)`` for a row of ``DATASETS`` or ``text:PATH``."""

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rnnlab.core.errors import InputError, unknown
from rnnlab.core.types import Dataset
from rnnlab.data import algorithmic, corpora, digits, imdb, long_lag, mnist, text
from rnnlab.data.files import data_dir
from rnnlab.data.options import check_options, options_of

__all__ = ["DATASETS", "DataRow", "data_dir", "dataset_options", "describe", "load_dataset", "prepare"]

TEXT_FORM = "text:PATH"


class DataRow(NamedTuple):
    """A data set. ``prepare`` and ``is_prepared`` are None where nothing is to be prepared."""

    line: str
    load: Callable[..., Dataset]  # its keyword-only parameters are the options
    prepare: Callable[[Path | None], str] | None = None
    is_prepared: Callable[[], bool] | None = None


DATASETS: dict[str, DataRow] = {
    "adding": DataRow("two marked values among many, their sum at the end (generated)", long_lag.load_adding),
    "addition": DataRow("two integers digit by digit, then their sum (generated)", algorithmic.load_addition),
    "copying": DataRow("ten symbols to be reproduced after a lag (generated)", long_lag.load_copying),
    "digits": DataRow("1,797 handwritten digits, 8x8, row by row (scikit-learn)", digits.load),
    "imdb": DataRow(
        "50,000 film reviews, positive or negative, word by word", imdb.load, imdb.prepare, imdb.is_prepared
    ),
    "memorization": DataRow("symbols to be reproduced (generated)", algorithmic.load_memorization),
    "mnist": DataRow("70,000 handwritten digits, 28x28, row by row", mnist.load, mnist.prepare, mnist.is_prepared),
    "moes_tavern": DataRow(
        "0.3 million characters spoken in Moe's Tavern",
        corpora.load_moes_tavern,
        corpora.preparer("moes_tavern"),
        corpora.asker("moes_tavern"),
    ),
    "parity": DataRow("bits one by one, whether their sum is odd (generated)", algorithmic.load_parity),
    "pydoc": DataRow("0.5 million characters of English, Python's own reference text", text.load_pydoc),
    "reversal": DataRow("symbols to be reproduced backwards (generated)", algorithmic.load_reversal),
    "sorting": DataRow("symbols to be sorted (generated)", algorithmic.load_sorting),
    "temporal_order": DataRow("which of X and Y came first and which second (generated)", long_lag.load_temporal_order),
    "tiny_shakespeare": DataRow(
        "1.1 million characters of Shakespeare's plays",
        corpora.load_tiny_shakespeare,
        corpora.preparer("tiny_shakespeare"),
        corpora.asker("tiny_shakespeare"),
    ),
}


def describe() -> list[tuple[str, str, str]]:
    """``(name, one line, status)`` a row, status "embedded", "prepared" or "not prepared". Reads no data."""
    rows = []
    for name, row in DATASETS.items():
        status = "embedded" if row.is_prepared is None else "prepared" if row.is_prepared() else "not prepared"
        rows.append((name, row.line, status))
    return [*rows, (TEXT_FORM, "any UTF-8 text file, character by character", "prepared")]


def dataset_options(name: str) -> Mapping[str, inspect.Parameter]:
    """The options of that data set, with their defaults: what its loader documents. InputError for an unknown name."""
    return options_of(_loader(name))


def load_dataset(name: str, **options: Any) -> Dataset:
    """The data set of that name, in its three fixed splits; shapes and options are in the module of each.

    What is to be prepared and is not is downloaded. InputError for an unknown name or option, a value of the wrong kind
    or out of range, and for data that cannot be had; one line says why.
    """
    load = _loader(name)
    check_options(name, load, options)
    return load(**options)


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


def _loader(name: str) -> Callable[..., Dataset]:
    return functools.partial(text.load_file, name) if name.startswith("text:") else _row(name).load


def _row(name: str) -> DataRow:
    if name not in DATASETS:
        raise unknown("data", name, [*DATASETS, TEXT_FORM])
    return DATASETS[name]
