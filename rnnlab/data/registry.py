"""The data sets: ``load_dataset(name, **options)`` for a row of ``DATASETS`` or data of the user's own."""

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rnnlab.config.data_name import KINDS, own_data
from rnnlab.core.errors import InputError, unknown
from rnnlab.core.types import Dataset
from rnnlab.data import algorithmic, cache, corpora, digits, imdb, long_lag, mnist, npz, series, state_tracking, text
from rnnlab.data.options import check_options, options_of
from rnnlab.data.own_loader import own_loader

OWN: dict[str, Callable[..., Dataset]] = {  # kind -> the loader of a name
    "text": text.load_file,
    "arrays": npz.load_arrays,
    "series": npz.load_series,
}  # own_loader for the others


class DatasetEntry(NamedTuple):
    """A data set. ``cached`` is None if it is generated or comes with a package, so that nothing has to be prepared."""

    description: str
    load: Callable[..., Dataset]  # its keyword-only parameters are the options
    cached: Callable[[], cache.CachedDataset] | None = None


DATASETS: dict[str, DatasetEntry] = {
    "adding": DatasetEntry("two marked values among many, then their sum (generated)", long_lag.load_adding),
    "addition": DatasetEntry("two integers digit by digit, then their sum (generated)", algorithmic.load_addition),
    "copying": DatasetEntry("ten symbols to repeat after a lag (generated)", long_lag.load_copying),
    "digits": DatasetEntry("1,797 handwritten digits, 8x8, row by row (scikit-learn)", digits.load),
    "imdb": DatasetEntry("50,000 film reviews, positive or negative, word by word", imdb.load, imdb.cached),
    "membrane": DatasetEntry(
        "a neuron's membrane potential to forecast, 12,000 steps (Matplotlib)", series.load_membrane
    ),
    "memorization": DatasetEntry("symbols to repeat (generated)", algorithmic.load_memorization),
    "mnist": DatasetEntry("70,000 handwritten digits, 28x28, row by row", mnist.load, mnist.cached),
    "moes_tavern": DatasetEntry(
        "0.3 million characters spoken in Moe's Tavern",
        corpora.load_moes_tavern,
        functools.partial(corpora.cached, "moes_tavern"),
    ),
    "parity": DatasetEntry("whether the number of ones in a bit string is odd (generated)", algorithmic.load_parity),
    "pydoc": DatasetEntry("0.5 million characters of English, Python's own reference text", text.load_pydoc),
    "reversal": DatasetEntry("symbols to repeat in reverse order (generated)", algorithmic.load_reversal),
    "sorting": DatasetEntry("symbols to sort (generated)", algorithmic.load_sorting),
    "state_tracking": DatasetEntry(
        "products of permutations, read beyond the trained length (generated)", state_tracking.load_state_tracking
    ),
    "temporal_order": DatasetEntry(
        "in which order two symbols X or Y appeared (generated)", long_lag.load_temporal_order
    ),
    "tiny_shakespeare": DatasetEntry(
        "1.1 million characters of Shakespeare's plays",
        corpora.load_tiny_shakespeare,
        functools.partial(corpora.cached, "tiny_shakespeare"),
    ),
}


def describe() -> list[tuple[str, str, str]]:
    """``(name, description, status)`` per data set; status "embedded", "prepared" or "not prepared". Loads no data."""
    rows = []
    for name, entry in DATASETS.items():
        if entry.cached is None:
            status = "embedded"
        else:
            status = "prepared" if cache.is_prepared(entry.cached()) else "not prepared"
        rows.append((name, entry.description, status))
    return [*rows, *((form, description, "prepared") for form, description in KINDS.values())]


def dataset_options(name: str) -> Mapping[str, inspect.Parameter]:
    """The options of that data set with their defaults; its loader documents them. InputError for an unknown name."""
    return options_of(_loader(name))


def load_dataset(name: str, **options: Any) -> Dataset:
    """The data set of that name in its three fixed splits; its loader documents shapes and options.

    Downloads if not prepared. InputError for an unknown name or option, a value of the wrong type or out of range, and
    data that cannot be obtained.
    """
    load = _loader(name)
    check_options(name, load, options)
    return load(**options)


def prepare(name: str, source: Path | None) -> str:
    """Prepare a data set from the user's files at ``source``, or by download if None; returns a one-line report.

    InputError for an unknown name, missing or altered files, no network, and for a ``source`` that the data set does
    not need. OSError of the disk passes through.
    """
    entry = None if own_data(name) else _entry(name)
    if entry is not None and entry.cached is not None:
        return cache.prepare(entry.cached(), source)
    if source is not None:
        cached = ", ".join(key for key, other in DATASETS.items() if other.cached is not None)
        raise InputError(f"from: {name} needs no files; accepted for: {cached}")
    return f"{name}: nothing to prepare"


def _loader(name: str) -> Callable[..., Dataset]:
    own = own_data(name)
    if own is None:
        return _entry(name).load
    return functools.partial(OWN[own.kind], name) if own.kind else own_loader(name)


def _entry(name: str) -> DatasetEntry:
    if name.startswith("python:"):
        raise InputError(
            f"data: {name} was an object of the Python session that trained on it; accepted: "
            "rnnlab.train(..., resume=True) with that object"
        )
    if name not in DATASETS:
        raise unknown("data", name, [*DATASETS, *(form for form, _ in KINDS.values())])
    return DATASETS[name]
