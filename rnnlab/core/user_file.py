"""Loads a function from a user's Python file, and tracks the user's other modules that the file imports.

Imports find the neighbors of the file first, from any current folder. Each file has its own copies of the modules, so
two files in different folders may have neighbors of one name.
"""

import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from rnnlab.core.errors import InputError, unknown

LONGEST_REASON = 400  # characters of an error's message that are shown
_OWN_MODULE = "rnnlab_user_file_"
_LAB = Path(__file__).resolve().parents[2]
_NOT_USERS = tuple(f"{folder}{os.sep}" for folder in (Path(os.__file__).parent, _LAB / "rnnlab", _LAB / "experiments"))


@dataclass
class UserFile:
    """A user's file that was imported, and what it imports of the user's."""

    path: Path
    module: ModuleType
    imported: dict[str, ModuleType]  # by name; in sys.modules only while the file's code runs
    hashes: dict[Path, str]  # SHA-256 of the file itself and of each imported one

    @contextmanager
    def imports(self) -> Iterator[None]:
        """Imports find the file's neighbors first, and no module of the user's that others imported."""
        if _running and _running[-1] is self:
            yield
            return
        others = _user_modules()
        for name in others:
            del sys.modules[name]
        sys.modules.update(self.imported)
        sys.path.insert(0, folder := str(self.path.parent))
        # Bytecode is looked up by size and second of the last change: an edit within a second could go unnoticed.
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        _running.append(self)
        try:
            yield
        finally:
            _running.pop()
            sys.dont_write_bytecode = before
            if folder in sys.path:
                sys.path.remove(folder)
            self.imported = _user_modules()
            for name, module in self.imported.items():
                del sys.modules[name]
                file = Path(vars(module)["__file__"]).resolve()
                self.hashes.setdefault(file, sha256(file) or "")
            sys.modules.update(others)


_loaded: dict[Path, UserFile] = {}
_running: list[UserFile] = []  # the files whose code runs now, the innermost last


def load_function(name: str, field: str) -> tuple[UserFile, Callable[..., Any]]:
    """The file and function of ``path/to/file.py:function``; the file is read again if it or an import changed.

    Raises InputError, whose message begins with ``field``.
    """
    path, _, function = name.rpartition(":")
    if not Path(path).is_file():
        raise InputError(f"{field}: no file {path!r} (from {name!r}); accepted: path/to/file.py:function")
    loaded = load_file(Path(path), field)
    found = getattr(loaded.module, function, None)
    if not callable(found):
        members = vars(loaded.module).items()
        functions = [n for n, v in members if inspect.isfunction(v) and v.__module__ == loaded.module.__name__]
        raise unknown(f"{field}: function in {path}", function, functions)
    return loaded, found


def load_file(path: Path, field: str) -> UserFile:
    """The file at ``path``, imported; read again if it or an import changed. Raises InputError as `load_function`."""
    try:
        return _load(path.resolve())
    except (Exception, SystemExit) as error:  # anything that the user's file raises becomes one line
        raise InputError(f"{field}: {path} cannot be imported: {one_line(error)}") from error


def hashes_of_imports(file: Path) -> dict[str, str]:
    """SHA-256 of the user's files that ``file`` imports, by path: relative to its folder, or absolute elsewhere."""
    loaded = _load(file.resolve())
    folder = loaded.path.parent
    return {
        path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path): digest
        for path, digest in sorted(loaded.hashes.items())
        if path != loaded.path
    }


def sha256(file: Path) -> str | None:
    """SHA-256 of a file's bytes; None if it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None


def one_line(error: BaseException) -> str:
    """The error's type and message on one line, without JAX's hints on where to read more and its private names."""
    message = re.sub(r"\b(DynamicJaxpr|JVP|Batch|Linearize)Tracer\b", "jax.Array", " ".join(str(error).split()))
    for end in (" See https://", " --------"):
        message = message.partition(end)[0]
    shortened = message if len(message) <= LONGEST_REASON else message[: LONGEST_REASON - 3] + "..."
    return f"{type(error).__name__}: {shortened}"


def _load(path: Path) -> UserFile:
    loaded = _loaded.get(path)
    if loaded is None or any(sha256(file) != digest for file, digest in loaded.hashes.items()):
        name = _OWN_MODULE + hashlib.sha256(str(path).encode()).hexdigest()[:12]
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look it up there
        loaded = UserFile(path, module, {}, {path: sha256(path) or ""})
        importlib.invalidate_caches()
        with loaded.imports():
            spec.loader.exec_module(module)
        _loaded[path] = loaded
    if _running:  # a file that makes a cell of another file
        _running[-1].hashes.update(loaded.hashes)
    return loaded


def _user_modules() -> dict[str, ModuleType]:
    """The modules in sys.modules that are neither Python's, nor installed, nor of this package."""
    kept = ("__main__", "__mp_main__")
    return {
        name: module
        for name, module in sys.modules.copy().items()  # whole: other threads import
        if name not in kept and not name.startswith(_OWN_MODULE) and _is_users(_file_of(module))
    }


def _file_of(module: Any) -> str | None:
    file = getattr(module, "__dict__", {}).get("__file__")  # an attribute of a lazy module would import it
    return file if isinstance(file, str) else None


@cache
def _is_users(file: str | None) -> bool:
    if file is None or not os.path.exists(file):
        return False
    path = Path(file).resolve()
    return not {"site-packages", "dist-packages"} & set(path.parts) and not str(path).startswith(_NOT_USERS)
