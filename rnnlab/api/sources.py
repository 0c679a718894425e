"""Where a result reads from: a run in memory, or a directory."""

import shutil
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError
from rnnlab.core.types import Dataset, Params
from rnnlab.report.write import read_summary
from rnnlab.runs import run as runs
from rnnlab.runs.saved_run import SavedRun
from rnnlab.runs.validate import abstract_state
from rnnlab.runs.writer import RunWriter
from rnnlab.storage import checkpoint
from rnnlab.storage.metrics import read_metrics
from rnnlab.training.arm_spec import ArmSpec
from rnnlab.training.state import Run, TrainState


class Source(Protocol):
    """What is known of trained arms. States are those of the last save, leaves ``[R, ...]``."""

    @property
    def config(self) -> Config: ...
    @property
    def dataset(self) -> Dataset: ...  # perhaps without examples
    @property
    def directory(self) -> Path | None: ...

    def spec(self, arm: str) -> ArmSpec: ...
    def runs(self, arm: str) -> Run: ...
    def state(self, arm: str) -> TrainState: ...
    def kept(self, arm: str, epoch: int | str) -> Params: ...
    def table(self) -> pa.Table: ...
    def summary(self) -> dict[str, Any]: ...
    def save(self, directory: Path) -> None: ...


def _not_kept(epoch: int | str, arm: str, kept: list[int]) -> InputError:
    accepted = ", ".join(["best", "last", "first", *map(str, kept)])
    return InputError(f"epoch: {epoch} of arm {arm} was not kept (see keep_params_every); accepted: {accepted}")


class MemorySource:
    """A run that was not written."""

    directory = None

    def __init__(self, run: RunWriter) -> None:
        self._run = run
        self.config, self.dataset = run.experiment.config, run.experiment.dataset

    def spec(self, arm: str) -> ArmSpec:
        return self._run.experiment.specs[arm]

    def runs(self, arm: str) -> Run:
        return self._run.runs[arm]

    def state(self, arm: str) -> TrainState:
        if arm not in self._run.states:
            raise InputError(f"arm: {arm} was not trained yet; accepted: {', '.join(self._run.states) or '(none)'}")
        return self._run.states[arm][1]

    def kept(self, arm: str, epoch: int | str) -> Params:
        kept = self._run.kept.get(arm, {})
        if epoch not in kept:
            raise _not_kept(epoch, arm, sorted(kept))
        return kept[int(epoch)]

    def table(self) -> pa.Table:
        return self._run.metrics.table

    def summary(self) -> dict[str, Any]:
        return self._run.summary()

    def save(self, directory: Path) -> None:
        runs.save(self._run, directory)


class DirectorySource:
    """A run's directory. Nothing is cached: every call reads."""

    def __init__(self, saved: SavedRun, dataset: Dataset | None) -> None:
        self._saved, self.directory = saved, saved.directory
        self.config, self.dataset = saved.config, dataset or saved.dataset

    def spec(self, arm: str) -> ArmSpec:
        return self._saved.spec(arm)

    def runs(self, arm: str) -> Run:
        return self._saved.runs(arm)

    def state(self, arm: str) -> TrainState:
        if not self._saved.saved(arm):
            raise InputError(f"checkpoint: arm {arm} of {self.directory} has none yet")
        state: TrainState = checkpoint.load(self._checkpoints(arm), self._abstract(arm))
        return state

    def kept(self, arm: str, epoch: int | str) -> Params:
        if epoch not in (kept := self._saved.kept(arm)):
            raise _not_kept(epoch, arm, kept)
        return checkpoint.load_epoch(self._checkpoints(arm), self._abstract(arm).params, int(epoch))

    def table(self) -> pa.Table:
        return read_metrics(self.directory / "metrics.parquet")

    def summary(self) -> dict[str, Any]:
        return read_summary(self.directory)

    def save(self, directory: Path) -> None:
        runs.check_new(directory)
        shutil.copytree(self.directory, directory, dirs_exist_ok=True)

    def _abstract(self, arm: str) -> TrainState:
        return abstract_state(self.spec(arm), self.runs(arm))

    def _checkpoints(self, arm: str) -> Path:
        return self.directory / "checkpoints" / arm
