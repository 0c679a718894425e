"""Loads a cell factory from a user's Python file."""

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from rnnlab.core.errors import InputError, unknown
from rnnlab.core.types import Cell


def load_factory(name: str) -> Callable[..., Cell]:
    """The function ``(hidden_size, **options) -> Cell`` of ``path/to/file.py:function``. Raises InputError."""
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
    except (Exception, SystemExit) as error:  # anything that the user's file raises becomes one line
        raise InputError(f"cell: {path} cannot be imported: {one_line(error)}") from error
    factory = getattr(module, function, None)
    if not callable(factory):
        functions = [n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module_name]
        raise unknown(f"cell: function in {path}", function, functions)
    return factory


def one_line(error: BaseException) -> str:
    """The error's type and message on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
