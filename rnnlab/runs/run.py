"""A run directory from its first file to its last: started, or continued where it stopped."""

import fcntl
import json
import os
import shlex
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rnnlab.cells.registry import count_parameters
from rnnlab.config.document import to_json, training_hash
from rnnlab.core import processes
from rnnlab.core.errors import InputError
from rnnlab.core.program import program
from rnnlab.runs.arm_trainer import train_arm
from rnnlab.runs.own_files import check_cells
from rnnlab.runs.progress import ProgressMeter
from rnnlab.runs.validate import Experiment, abstract_state, identity
from rnnlab.stats.summary import summarize
from rnnlab.storage import checkpoint, files
from rnnlab.storage import environment as run_environment
from rnnlab.storage.checkpoint import Position
from rnnlab.storage.metrics import Metrics
from rnnlab.training.state import TrainState
from rnnlab.training.tasks import TASKS


class Stop:
    """Whether the user asked the run to stop, and by which signal."""

    requested = False
    signal = signal.SIGINT


@contextmanager
def stop_on_signal(stop: Stop) -> Iterator[None]:
    """Ctrl-C and SIGTERM set ``stop``: the run saves and returns. A second one stops it at once."""

    def request(number: int, frame: Any) -> None:
        if stop.requested:
            raise KeyboardInterrupt(number)
        stop.requested, stop.signal = True, signal.Signals(number)

    if threading.current_thread() is not threading.main_thread():  # Python sets handlers in the main thread only
        yield
        return
    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_new(directory: Path) -> None:
    """Raise InputError unless ``directory`` is new or empty."""
    if (directory / "config.json").exists():
        raise InputError(
            f"--out: {directory} holds a run; choose another directory, or continue it: "
            f"{program()} resume {shlex.quote(str(directory))}"
        )
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"--out: {directory} is not empty; choose a new or an empty directory")


def create(directory: Path, environment: dict[str, Any], config: str) -> Path:
    """A new run's directory with env.json and config.json; absolute. Raises InputError if it exists."""
    check_new(directory)
    # Written beside it and renamed: after a kill there is no directory, or one that resume accepts.
    directory = directory.resolve()
    draft = directory if directory.exists() else directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    try:
        files.write_json(draft / "env.json", environment)
        files.write_whole(draft / "config.json", config.encode())
        if draft != directory:
            draft.rename(directory)
    finally:
        if draft != directory:
            shutil.rmtree(draft, ignore_errors=True)
    return directory


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

    def load(self) -> TrainState:
        """The state of the last checkpoint, on the host."""
        assert self.checkpoints is not None  # in memory no arm is continued
        return checkpoint.load(self.checkpoints, self.run.abstract[self.name])

    def add(self, which: np.ndarray, position: Position, split: str, values: Mapping[str, np.ndarray]) -> None:
        """Rows of metrics for the runs ``which [R] bool``."""
        hyperparams = {name: column[which] for name, column in self.runs.hyperparams.items()}
        self.run.metrics.add(
            self.name, self.runs.seed[which], hyperparams, position.epoch, position.step, split, values
        )

    def save(self, position: Position, state: TrainState) -> None:
        """Write metrics.parquet, the checkpoint and summary.json."""
        self.run.arms[self.name].seconds = position.seconds
        if self.run.directory is None or self.checkpoints is None:
            self.run.states[self.name] = position, state
            return
        if processes.is_first():
            self.run.metrics.write(self.run.directory / "metrics.parquet")
        checkpoint.save(self.checkpoints, state, position)
        self.run.write_summary(complete=position.done and self.name == list(self.run.experiment.specs)[-1])

    def save_params(self, epoch: int, params: Any) -> None:
        """Keep the parameters of an epoch."""
        if self.checkpoints is None:
            self.run.kept.setdefault(self.name, {})[epoch] = params
        else:
            checkpoint.save_epoch(self.checkpoints, params, epoch)


def start(
    experiment: Experiment, directory: Path, meter: ProgressMeter, stop: Stop | None = None,
    part: Mapping[str, Any] | None = None,
) -> bool:  # fmt: skip
    """Train every arm into a new ``directory``. True when complete, False when interrupted, as ``stop`` then says.

    ``part``: of which sweep this run is a part, for env.json, where `rnnlab.runs.merge` reads it.
    """
    environment = _environment(experiment) | ({"part": dict(part)} if part else {})
    _check_processes(experiment, environment)
    directory = Path(processes.on_first(lambda: str(create(directory, environment, to_json(experiment.config)))))
    return _train(experiment, directory, meter, stop)


def read_environment(directory: Path) -> dict[str, Any]:
    """The run's env.json, which holds the identity of its data as "dataset". Raises InputError."""
    recorded = files.read_json(directory / "env.json")
    if not isinstance(recorded, dict) or not isinstance(recorded.get("dataset"), dict):
        raise InputError(f"{directory / 'env.json'}: not readable: it does not describe the data")
    return recorded


def resume(experiment: Experiment, directory: Path, meter: ProgressMeter, stop: Stop | None = None) -> bool:
    """Continue exactly from the last checkpoints in ``directory``; otherwise as ``start``."""
    recorded = read_environment(directory)
    then = {"imports": {}, **recorded["dataset"]}  # earlier versions recorded no imports
    check_cells(experiment.config, experiment.moved, then, experiment.config.arms)
    now = _environment(experiment)
    _check_processes(experiment, now)
    if then != {**now["dataset"], "imports": then["imports"]}:
        raise InputError(f"{directory}: the data or a cell's file changed since the run started (see env.json)")
    different = [key for key in ("python", "packages", "devices") if recorded.get(key) != now[key]]
    if different:
        meter.line(f"warning: {', '.join(different)} differ from env.json: results will be close, not bit-equal")
    if processes.is_first():
        config = to_json(experiment.config)  # it may have more epochs now
        files.write_whole(directory / "config.json", config.encode())
    return _train(experiment, directory, meter, stop)


def start_in_memory(experiment: Experiment, meter: ProgressMeter, stop: Stop | None = None) -> RunWriter:
    """Train every arm and write nothing. The run so far where it was interrupted, as ``stop`` then says."""
    writer, stop = RunWriter(experiment, None), stop or Stop()
    with stop_on_signal(stop):
        _train_arms(writer, meter, stop)
    return writer


def save(run: RunWriter, directory: Path) -> None:
    """Write a run from memory into a new ``directory``, as `start` would have. Raises InputError if it exists."""
    directory = create(directory, _environment(run.experiment), to_json(run.experiment.config))
    writer = RunWriter(run.experiment, directory)
    writer.metrics, writer.arms = run.metrics, run.arms
    writer.metrics.write(directory / "metrics.parquet")
    for name, (position, state) in run.states.items():
        checkpoint.save(directory / "checkpoints" / name, state, position)
        for epoch, params in run.kept.get(name, {}).items():
            checkpoint.save_epoch(directory / "checkpoints" / name, params, epoch)
    writer.write_summary(complete=run.complete)


def _train(experiment: Experiment, directory: Path, meter: ProgressMeter, stop: Stop | None) -> bool:
    writer, stop = processes.everywhere(lambda: RunWriter(experiment, directory)), stop or Stop()
    processes.check_equal({"checkpoints": str(writer.positions)})  # one folder for all processes
    with _alone(directory), stop_on_signal(stop):
        return _train_arms(writer, meter, stop)


def _train_arms(writer: RunWriter, meter: ProgressMeter, stop: Stop) -> bool:
    experiment = writer.experiment
    for name, spec in experiment.specs.items():
        arm = writer.begin(name)
        if arm.position.done:
            if arm.checkpoints is not None:
                checkpoint.tidy(arm.checkpoints)
        elif not train_arm(spec, arm.runs, experiment.dataset, experiment.config, arm, meter, stop).complete:
            return False
    writer.write_summary(complete=True)
    return True


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """A lock that lets one process at a time write into a run. It ends with the process."""

    def lock() -> int:
        handle = os.open(directory, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise InputError(f"{directory}: another process is training this run") from error
        return handle

    handle = processes.on_first(lock)
    try:
        yield
    finally:
        if processes.is_first():
            os.close(handle)


def _environment(experiment: Experiment) -> dict[str, Any]:
    return run_environment.describe(jax.devices(), identity(experiment)) | (
        {"processes": processes.count()} if processes.count() > 1 else {}
    )


def _check_processes(experiment: Experiment, environment: Mapping[str, Any]) -> None:
    """Raise SharedError unless all processes train the same thing."""
    versions = {"python": environment["python"], **environment["packages"]}
    processes.check_equal(
        {
            "config.json": to_json(experiment.config),
            "data": json.dumps(environment["dataset"], default=str),
            **{name: str(version) for name, version in versions.items()},
        }
    )
