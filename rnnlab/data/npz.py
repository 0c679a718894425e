"""A user's arrays and series in .npz files."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from rnnlab.config.data_name import KINDS, own_data
from rnnlab.core.errors import InputError, unknown
from rnnlab.core.types import Dataset
from rnnlab.data.arrays import ARRAYS, SIZES, from_arrays
from rnnlab.data.files import first_line, sha256
from rnnlab.data.series import from_series

UNREADABLE = (ValueError, OSError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error)


def load_arrays(
    name: str, *, validation_fraction: float = 0.15, test_fraction: float = 0.15, split_seed: int = 0,
    standardize: bool = True,
) -> Dataset:  # fmt: skip
    """The arrays of ``arrays:FILE.npz``, named as the arguments of `from_arrays`, which describes them and the options.

    ``source["file"]`` is the SHA-256 of the file. Raises InputError.
    """
    arrays, digest = _read(name, (*ARRAYS, *SIZES))
    values: dict[str, Any] = {key: array.tolist() if key in SIZES else array for key, array in arrays.items()}
    dataset = from_arrays(
        name=name, validation_fraction=validation_fraction, test_fraction=test_fraction, split_seed=split_seed,
        standardize=standardize, **values,
    )  # fmt: skip
    return dataset._replace(source={**dataset.source, "file": digest})


def load_series(
    name: str, *, sequence_length: int = 32, horizon: int = 1, context: int = 0, validation_fraction: float = 0.15,
    test_fraction: float = 0.15, standardize: bool = True,
) -> Dataset:  # fmt: skip
    """The array ``series`` of ``series:FILE.npz``; see `from_series` for its shape and the options.

    ``source["file"]`` is the SHA-256 of the file. Raises InputError.
    """
    arrays, digest = _read(name, ("series",))
    dataset = from_series(
        arrays.get("series"), name=name, sequence_length=sequence_length, horizon=horizon, context=context,
        validation_fraction=validation_fraction, test_fraction=test_fraction, standardize=standardize,
    )  # fmt: skip
    return dataset._replace(source={**dataset.source, "file": digest})


def _read(name: str, accepted: tuple[str, ...]) -> tuple[dict[str, np.ndarray], str]:
    """All arrays of the file, none of them unpickled, and its SHA-256."""
    own = own_data(name)
    assert own is not None
    path, form = Path(own.path).expanduser(), KINDS[own.kind][0]
    if not own.path or not path.is_file():
        raise InputError(f"data: {name}: no such file: {own.path!r}; accepted: {form}")
    try:
        digest = sha256(path.read_bytes())
    except OSError as error:
        raise InputError(f"data: {name}: cannot be read: {error.strerror}") from error
    try:
        file = np.load(path, allow_pickle=False)
        members = list(getattr(file, "files", []))
    except UNREADABLE as error:
        raise InputError(f"data: {name}: not an .npz file; accepted: a file that numpy.savez wrote") from error
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise InputError(f"data: {name}: a single array, not an .npz file; accepted: a file that numpy.savez wrote")
    with file:
        for member in members:
            if member not in accepted:
                raise unknown(f"data: {name}: array", member, accepted)
        return {member: _member(name, file, member) for member in members}, digest


def _member(name: str, file: Any, member: str) -> np.ndarray:
    try:
        return file[member]
    except UNREADABLE as error:
        if "allow_pickle" in str(error):
            raise InputError(
                f"data: {name}: {member}: an array of Python objects, which is never unpickled; accepted: numbers"
            ) from error
        raise InputError(f"data: {name}: {member}: truncated or altered ({first_line(error)})") from error
