"""The studies, one per file: the docstring is the record, ``CONFIG`` what it runs, ``QUICK`` what ``--quick`` changes.

Optional: ``PROTOCOLS``, named changes to ``CONFIG``; ``PUBLISHED``, the paper's numbers by (arm, learning rate), which
tables show next to ours; ``ALSO_PUBLISHED``, the same of further metrics, by metric; ``published_curves(config)``;
``claims(config)``, the paper's claims and the rules that judge them. A study that trains nothing has no ``CONFIG``; see
``experiments.cli.untrained``.
"""

import importlib
import pkgutil
from dataclasses import replace
from types import ModuleType

from rnnlab.config.experiment import Config
from rnnlab.core.errors import choose, unknown


def names() -> list[str]:
    """The names of all studies in alphabetical order."""
    return sorted(
        module.name for module in pkgutil.iter_modules(__path__) if not (module.ispkg or module.name.startswith("_"))
    )


def trained() -> list[str]:
    """The names of the studies that train."""
    return [name for name in names() if hasattr(study(name), "CONFIG")]


def study(name: str) -> ModuleType:
    """The module of a study. InputError for an unknown name."""
    if name not in names():
        raise unknown("experiment", name, names())
    return importlib.import_module(f"{__name__}.{name}")


def planned(study: ModuleType, protocol: str) -> Config:
    """The study's configuration under ``protocol``. InputError for a protocol that it does not have."""
    protocols = getattr(study, "PROTOCOLS", {})
    return replace(study.CONFIG, protocol=choose("protocol", protocol, protocols), **protocols[protocol])
