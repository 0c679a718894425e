"""rnnlab: a lab for recurrent cells, trained from many initial values at once.

>>> import rnnlab
>>> result = rnnlab.train(["rnn", "gru"], "digits", hidden_size=8, seeds=2, epochs=1, progress=False)
>>> result.arms
('rnn', 'gru')

Names are imported when they are first used: ``import rnnlab`` alone starts nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnlab import analysis, cells, claims, stats
    from rnnlab.api.result import Result, load_run
    from rnnlab.api.settings import load_dataset
    from rnnlab.api.training import train
    from rnnlab.cells import CELLS, bidirectional, cerebral, count_parameters, make_cell, stack
    from rnnlab.cells.unroll import unroll
    from rnnlab.config.experiment import Arm, Config
    from rnnlab.core.errors import InputError
    from rnnlab.core.types import Cell
    from rnnlab.data.dataset import Dataset
    from rnnlab.runs.progress import ProgressMeter

__version__ = "0.1.0"

_MODULES = {
    "Arm": "config.experiment", "CELLS": "cells", "Cell": "core.types", "Config": "config.experiment",
    "Dataset": "data.dataset", "InputError": "core.errors", "Result": "api.result", "bidirectional": "cells",
    "cerebral": "cells", "count_parameters": "cells", "load_dataset": "api.settings", "load_run": "api.result",
    "make_cell": "cells", "ProgressMeter": "runs.progress", "stack": "cells", "train": "api.training",
    "unroll": "cells.unroll",
}  # fmt: skip
_PACKAGES = ("analysis", "cells", "claims", "stats")

__all__ = [
    "CELLS", "Arm", "Cell", "Config", "Dataset", "InputError", "ProgressMeter", "Result", "analysis", "bidirectional",
    "cells", "cerebral", "claims", "count_parameters", "load_dataset", "load_run", "make_cell", "stack", "stats",
    "train", "unroll",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"rnnlab.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module 'rnnlab' has no attribute {name!r}")
    value = getattr(import_module(f"rnnlab.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
