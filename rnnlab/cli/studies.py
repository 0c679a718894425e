"""Finds the studies: the folder ``experiments`` of a checkout, which a wheel installs as ``rnnlab.studies``."""

import importlib
import pkgutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

from rnnlab.config.experiment import Config
from rnnlab.core.errors import choose, unknown


def names() -> list[str]:
    """The names of all studies in alphabetical order."""
    modules = pkgutil.iter_modules(_package().__path__)
    return sorted(module.name for module in modules if not (module.ispkg or module.name.startswith("_")))


def trained() -> list[str]:
    """The names of the studies that train."""
    return [name for name in names() if hasattr(study(name), "CONFIG")]


def study(name: str) -> ModuleType:
    """The module of a study. Raises InputError for an unknown name."""
    if name == "python":  # a run of `rnnlab.train`
        return _python()
    if name not in names():
        raise unknown("experiment", name, names())
    return importlib.import_module(f"{_package().__name__}.{name}")


def planned(study: ModuleType, protocol: str) -> Config:
    """The study's configuration under ``protocol``. Raises InputError for a protocol that it does not have."""
    protocols = getattr(study, "PROTOCOLS", {})
    return replace(study.CONFIG, protocol=choose("protocol", protocol, protocols), **protocols[protocol])


@cache
def _python() -> ModuleType:
    module = ModuleType("python")
    module.CONFIG = Config(experiment="python", arms={}, data="")  # type: ignore[attr-defined]
    return module


@cache
def _package() -> ModuleType:
    checkout = Path(__file__).resolve().parents[2] / "experiments" / "__init__.py"
    return importlib.import_module("experiments" if checkout.exists() else "rnnlab.studies")
