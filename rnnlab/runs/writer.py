"""The files of a run while it trains: metrics, checkpoints, summary; or the same in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rnnlab.cells.registry import count_parameters
from rnnlab.config.document import training_hash
from rnnlab.core import processes
from rnnlab.core.errors import InputError
from rnnlab.runs.validate import Experiment, abstract_state
from rnnlab.stats.summary import summarize
from rnnlab.storage import checkpoint, files
from rnnlab.storage.checkpoint import Position
from rnnlab.storage.metrics import Metrics
from rnnlab.training.state import TrainState
from rnnlab.training.tasks import TASKS


@dataclass
class ArmRecord:
    """What summary.json says of an arm beside its metrics."""

    cell: str
    hidden_size: int
    layers: int
    parameters: int
    seconds: float = 0.0


class RunWriter:
    """The files of a run, or without a ``directory`` the same in memory.

    Metrics are written before the checkpoint that they belong to: the checkpoint counts.
    """

    def __init__(self, experiment: Experiment, directory: Path | None) -> None:
        config = experiment.config
        self.experiment, self.directory, self.digest = experiment, directory, training_hash(config)
        self.runs = {name: experiment.runs(name) for name in config.arms}
        self.abstract = {name: abstract_state(spec, self.runs[name]) for name, spec in experiment.specs.items()}
        self.positions: dict[str, Position | None] = dict.fromkeys(config.arms)
        if directory is not None:
            self.positions = {name: checkpoint.position(directory / "checkpoints" / name) for name in config.arms}
        for name, position in self.positions.items():
            if position is not None and position.config != self.digest:
                raise InputError(f"checkpoint: arm {name} belongs to config {position.config}, not to config.json")
        self.metrics = Metrics(config.experiment, list(dict.fromkeys(h for g in experiment.grids.values() for h in g)))
        if directory is not None and any(self.positions.values()):
            self.metrics.read(directory / "metrics.parquet")
        for name, position in self.positions.items():
            self.metrics.drop_after(name, position.step if position is not None and position.step else -1)
        self.arms: dict[str, ArmRecord] = {}
        self.complete = False
        self.states: dict[str, tuple[Position, TrainState]] = {}  # without a directory
        self.kept: dict[str, dict[int, Any]] = {}  # arm -> epoch -> parameters

    def again(self, name: str) -> "ArmWriter":
        """The writer of an arm that failed since its last checkpoint, without what it recorded since."""
        self.positions[name] = None
        self.kept.pop(name, None)
        if self.directory is not None:
            self.positions[name] = checkpoint.position(self.directory / "checkpoints" / name)
        position = self.positions[name]
        self.metrics.drop_after(name, position.step if position is not None and position.step else -1)
        return self.begin(name)

    def begin(self, name: str) -> "ArmWriter":
        """The writer of one arm, which from now on has a place in summary.json."""
        spec, count = self.experiment.specs[name], len(self.runs[name].seed)
        params = self.abstract[name].params
        parameters = count_parameters(getattr(params, "trained", params)) // count  # not the state of a whole model
        arm = ArmWriter(self, name)
        self.arms[name] = ArmRecord(spec.cell, spec.hidden_size, spec.layers, parameters, arm.position.seconds)
        return arm

    def write_summary(self, *, complete: bool) -> None:
        """Write summary.json of everything recorded so far."""
        self.complete = complete
        if self.directory is not None and processes.is_first():
            files.write_json(self.directory / "summary.json", self.summary())

    def summary(self) -> dict[str, Any]:
        """The document of summary.json."""
        config, dataset = self.experiment.config, self.experiment.dataset
        return summarize(
            self.metrics.table,
            TASKS[dataset.task],
            {name: asdict(record) for name, record in self.arms.items()},
            experiment=config.experiment,
            complete=self.complete,
            validation_is_test=dataset.validation_is_test,
            success_threshold=config.success_threshold,
        )


class ArmWriter:
    """The `ArmStore` of one arm of a run."""

    def __init__(self, run: RunWriter, name: str) -> None:
        self.run, self.name, self.runs = run, name, run.runs[name]
        self.checkpoints = None if run.directory is None else run.directory / "checkpoints" / name
        start = Position(epoch=1, step_in_epoch=0, step=0, seconds=0.0, done=False, config=run.digest)
        position = run.positions[name] or start
        self.position = position._replace(done=position.epoch > run.experiment.config.epochs)

    def load(self, pieces: Sequence[slice]) -> Iterator[TrainState]:
        """The state of the last checkpoint, on the host, in ``pieces`` of the runs."""
        assert self.checkpoints is not None  # in memory no arm is continued
        return checkpoint.load_pieces(self.checkpoints, self.run.abstract[self.name], pieces)

    def add(self, which: np.ndarray, position: Position, split: str, values: Mapping[str, np.ndarray]) -> None:
        """Rows of metrics for the runs ``which [R] bool``."""
        hyperparams = {name: column[which] for name, column in self.runs.hyperparams.items()}
        self.run.metrics.add(
            self.name, self.runs.seed[which], hyperparams, position.epoch, position.step, split, values
        )

    def save(self, position: Position, pieces: Sequence[TrainState]) -> None:
        """Write metrics.parquet, the checkpoint and summary.json."""
        self.run.arms[self.name].seconds = position.seconds
        if self.run.directory is None or self.checkpoints is None:
            self.run.states[self.name] = position, _joined(pieces)
            return
        if processes.is_first():
            self.run.metrics.write(self.run.directory / "metrics.parquet")
        checkpoint.save(self.checkpoints, pieces, position)
        self.run.write_summary(complete=position.done and self.name == list(self.run.experiment.specs)[-1])

    def save_params(self, epoch: int, pieces: Sequence[Any]) -> None:
        """Keep the parameters of an epoch."""
        if self.checkpoints is None:
            self.run.kept.setdefault(self.name, {})[epoch] = _joined(pieces)
        else:
            checkpoint.save_epoch(self.checkpoints, pieces, epoch)


def _joined(pieces: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *pieces)
