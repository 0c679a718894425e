"""A loader of the user's own: ``path/to/file.py:function``."""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnlab.core.errors import InputError, unknown
from rnnlab.core.types import Dataset, Split
from rnnlab.core.user_file import hashes_of_imports, load_function, one_line, sha256
from rnnlab.data.arrays import SPLITS, digest, from_arrays
from rnnlab.data.options import options_of
from rnnlab.data.series import from_series

ACCEPTED = "a Dataset, or a mapping of the arguments of Dataset.from_arrays or Dataset.from_series"


def own_loader(name: str) -> Callable[..., Dataset]:
    """The function of ``name``, whose parameters are its options, as a loader of a `Dataset`.

    It returns a `Dataset`, or a mapping of the arguments of `from_arrays`, or of `from_series` with a ``series``.
    ``source`` has the SHA-256 of the file ("file"), of the user's files that it imports ("imports") and of the arrays.
    Raises InputError, the loader too, whatever the user's code raises.
    """
    file, function = load_function(name, "data")

    def load(**options: Any) -> Dataset:
        try:
            with file.imports():
                made = function(**options)
            dataset = _dataset(name, made)
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(f"data: {name} fails: {one_line(error)}") from error
        identified = {"file": sha256(file.path), "imports": hashes_of_imports(file.path)}
        return dataset._replace(name=name, source={**dataset.source, **identified})

    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = [each for each in inspect.signature(function).parameters.values() if each.kind in named]
    options = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    load.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    return load


def _dataset(name: str, made: Any) -> Dataset:
    where = f"data: {name}"
    if isinstance(made, Mapping):
        arguments = {**made, "name": name}
        if "series" not in made:
            return from_arrays(**arguments)
        if other := set(arguments) - {"series", *options_of(from_series)}:
            raise unknown(f"{where}: array", min(map(str, other)), ["series", *options_of(from_series)])
        return from_series(**arguments)
    if not isinstance(made, Dataset):
        raise InputError(f"{where}: it returned a {type(made).__name__}; accepted: {ACCEPTED}")
    splits = {split: _split(f"{where}: {split}", getattr(made, split)) for split in SPLITS}
    try:
        source = json.loads(json.dumps({"sha256": digest(splits), **made.source}))
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: source: {one_line(error)}; accepted: a mapping that JSON can hold") from error
    return made._replace(train=splits["train"], validation=splits["validation"], test=splits["test"], source=source)


def _split(where: str, split: Any) -> Split:
    """The split with NumPy arrays; InputError unless they have as many examples, and one or more."""
    if not isinstance(split, Split) or split.inputs is None or split.targets is None:
        raise InputError(f"{where}: {type(split).__name__} without arrays; accepted: a Split with inputs and targets")
    arrays = Split(*(None if array is None else np.asarray(array) for array in split))
    counts = {field: array.shape[:1] for field, array in arrays._asdict().items() if array is not None}
    if len(set(counts.values())) > 1 or counts["inputs"] in ((), (0,)):
        shown = ", ".join(f"{field} {list(count)}" for field, count in counts.items())
        raise InputError(f"{where}: examples of {shown}; accepted: the same number in each array, one or more")
    for field, array in arrays._asdict().items():
        if array is not None and array.dtype not in (np.uint8, np.int32, np.float32):
            raise InputError(f"{where}: {field}: {array.dtype}; accepted: uint8, int32 or float32")
    return arrays
