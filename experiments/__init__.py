"""One file a study. A study's docstring is its record; ``CONFIG`` is what it runs, ``QUICK`` what ``--quick`` changes.

A study may have ``PUBLISHED``, the paper's numbers by (arm, learning rate), which its tables show beside ours, and
``claims(config)``: what the paper says, with the rules that judge it. A study that trains nothing has no CONFIG:
``_untrained`` says what it has instead.
"""

import importlib
import pkgutil
from dataclasses import replace
from types import ModuleType

from rnnlab.config.experiment import Config
from rnnlab.core.errors import choose, unknown


def names() -> list[str]:
    """The studies, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def trained() -> list[str]:
    """The studies that train something."""
    return [name for name in names() if hasattr(study(name), "CONFIG")]


def study(name: str) -> ModuleType:
    """The module of a study. Raises InputError for an unknown name."""
    if name not in names():
        raise unknown("experiment", name, names())
    return importlib.import_module(f"{__name__}.{name}")


def planned(study: ModuleType, protocol: str) -> Config:
    """What the study runs under ``protocol``. Raises InputError for one that it does not have."""
    protocols = getattr(study, "PROTOCOLS", {})
    return replace(study.CONFIG, protocol=choose("protocol", protocol, protocols), **protocols[protocol])
