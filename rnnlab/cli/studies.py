"""Finds the studies: the folder ``experiments`` of a checkout, which a wheel installs as ``rnnlab.studies``.

A study of the user's own is a file ``path/to/study.py`` with a ``CONFIG``, and what the lab's have besides: ``QUICK``,
``PROTOCOLS``, ``claims``, ``PUBLISHED``.
"""

import importlib
import pkgutil
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError, choose, unknown
from rnnlab.core.terminal import escaped
from rnnlab.core.user_file import load_file

PYTHON = "python"  # the experiment of a run of `rnnlab.train`


def names() -> list[str]:
    """The names of all studies in alphabetical order."""
    modules = pkgutil.iter_modules(_package().__path__)
    return sorted(module.name for module in modules if not (module.ispkg or module.name.startswith("_")))


def folder() -> Path:
    """Where their files lie."""
    return Path(next(iter(_package().__path__)))


def trained() -> list[str]:
    """The names of the studies that train."""
    return [name for name in names() if hasattr(study(name), "CONFIG")]


def study(name: str) -> ModuleType:
    """The module of a study that the user named: imports a file. Raises InputError for an unknown name."""
    if name.endswith(".py"):
        return _own(Path(name).expanduser().resolve())
    if name not in names():
        raise unknown("experiment", name, [*names(), "path/to/study.py"])
    return importlib.import_module(f"{_package().__name__}.{name}")


def recorded(name: str) -> ModuleType:
    """The module of a run's study. A file outside the current folder that the user did not name is not imported."""
    if name == PYTHON:
        return _without_claims(PYTHON)
    if not name.endswith(".py"):
        return study(name)
    path = Path(name)
    if path not in _named:
        if not path.is_file() or not path.resolve().is_relative_to(Path.cwd().resolve()):
            return _without_claims(name)
        print(escaped(f"imports {path}, the study of the run"), file=sys.stderr)
    return _own(path)


_named: dict[Path, ModuleType] = {}


def _own(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"experiment: no file {str(path)!r}; accepted: path/to/study.py, or a name that `list` shows")
    module = load_file(path, "experiment").module
    config = getattr(module, "CONFIG", None)
    if type(config) is not Config:
        what = "no CONFIG" if config is None else f"CONFIG is of type {type(config).__name__}"
        raise InputError(f"experiment: {path}: {what}; accepted: CONFIG = rnnlab.Config(...)")
    vars(module)["CONFIG"] = replace(config, experiment=str(path))
    _named[path] = module
    return module


def planned(study: ModuleType, protocol: str) -> Config:
    """The study's configuration under ``protocol``. Raises InputError for a protocol that it does not have."""
    protocols = getattr(study, "PROTOCOLS", {})
    return replace(study.CONFIG, protocol=choose("protocol", protocol, protocols), **protocols[protocol])


def _without_claims(name: str) -> ModuleType:
    module = ModuleType(PYTHON)
    vars(module)["CONFIG"] = Config(experiment=name, arms={}, data="")
    return module


@cache
def _package() -> ModuleType:
    checkout = Path(__file__).resolve().parents[2] / "experiments" / "__init__.py"
    return importlib.import_module("experiments" if checkout.exists() else "rnnlab.studies")
