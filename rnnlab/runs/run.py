"""A run directory from its first file to its last: started, or continued where it stopped."""

import fcntl
import json
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from rnnlab.config.document import to_json
from rnnlab.core import processes
from rnnlab.core.errors import InputError
from rnnlab.core.program import program
from rnnlab.runs.arm_trainer import train_arm
from rnnlab.runs.memory import check_memory, waiting_place, waves_of, with_fewer_side_by_side
from rnnlab.runs.own_files import check_cells
from rnnlab.runs.progress import ProgressMeter
from rnnlab.runs.stop import Stop, stop_on_signal
from rnnlab.runs.validate import Experiment, identity
from rnnlab.runs.writer import ArmWriter, RunWriter
from rnnlab.storage import checkpoint, files
from rnnlab.storage import environment as run_environment
from rnnlab.training.arm_spec import ArmSpec
from rnnlab.training.batch_axis import arm_mesh
from rnnlab.training.run_axis import BATCH, RUN, default_runs_per_device


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


def start(
    experiment: Experiment, directory: Path, meter: ProgressMeter, stop: Stop | None = None,
    part: Mapping[str, Any] | None = None,
) -> bool:  # fmt: skip
    """Train every arm into a new ``directory``. True when complete, False when interrupted, as ``stop`` then says.

    ``part``: of which sweep this run is a part, for env.json, where `rnnlab.runs.merge` reads it.
    """
    experiment = experiment._replace(is_part=part is not None)
    environment = _environment(experiment) | ({"part": dict(part)} if part else {})
    _check_processes(experiment, environment)
    check_memory(experiment, directory)
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
    experiment = experiment._replace(is_part="part" in recorded)
    then = {"imports": {}, **recorded["dataset"]}  # earlier versions recorded no imports
    check_cells(experiment.config, experiment.moved, then, experiment.config.arms)
    now = _environment(experiment)
    _check_processes(experiment, now)
    check_memory(experiment, directory)
    if then != {**now["dataset"], "imports": then["imports"]}:
        raise InputError(f"{directory}: the data or a cell's file changed since the run started (see env.json)")
    different = [key for key in ("python", "packages", "devices", "batch_devices") if recorded.get(key) != now.get(key)]
    if different:
        meter.line(f"warning: {', '.join(different)} differ from env.json: results will be close, not bit-equal")
    if processes.is_first():
        config = to_json(experiment.config)  # it may have more epochs now
        files.write_whole(directory / "config.json", config.encode())
    return _train(experiment, directory, meter, stop)


def start_in_memory(experiment: Experiment, meter: ProgressMeter, stop: Stop | None = None) -> RunWriter:
    """Train every arm and write nothing. The run so far where it was interrupted, as ``stop`` then says."""
    check_memory(experiment, None)
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
        checkpoint.save(directory / "checkpoints" / name, [state], position)
        for epoch, params in run.kept.get(name, {}).items():
            checkpoint.save_epoch(directory / "checkpoints" / name, [params], epoch)
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
        elif not _train_arm(writer, arm, spec, meter, stop):
            return False
    writer.write_summary(complete=True)
    return True


def _train_arm(writer: RunWriter, arm: ArmWriter, spec: ArmSpec, meter: ProgressMeter, stop: Stop) -> bool:
    """Whether the arm trained to its end; with fewer runs side by side where all that should do not fit."""
    experiment, count = writer.experiment, len(arm.runs.seed)
    config, data = replace(experiment.config, batch_devices=experiment.batch_devices), experiment.dataset
    mesh = arm_mesh(spec, arm.runs, batch_devices=config.batch_devices)
    waves, place = waves_of(experiment, arm.name, writer.directory), waiting_place(writer.directory)
    if waves > 1:
        meter.line(f"memory: the states of the {count} runs of arm {arm.name} do not fit: trained in {waves} waves")
    in_a_wave = -(-count // (waves * mesh.shape[RUN]))
    most = min(config.runs_per_device or default_runs_per_device(mesh, count), in_a_wave)

    def train(side_by_side: int | None) -> bool:
        if side_by_side is None:
            return train_arm(spec, arm.runs, data, config, arm, meter, stop, waves, place)
        smaller = replace(config, runs_per_device=side_by_side)
        return train_arm(spec, arm.runs, data, smaller, writer.again(arm.name), meter, stop, waves, place)

    return with_fewer_side_by_side(train, arm.name, most, meter.line)


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
    """The document of env.json, with the processes of a run and the devices that share its batches, if several."""
    several: dict[str, Any] = {}
    processes.check_equal({"config.json": to_json(experiment.config)})  # before meshes, on which all must agree
    if processes.count() > 1:
        several["processes"] = processes.count()
    shared = {}
    for name, spec in experiment.specs.items():
        runs = experiment.runs(name)
        if (count := arm_mesh(spec, runs, batch_devices=experiment.batch_devices).shape[BATCH]) > 1:
            shared[name] = count
    if shared:
        several["batch_devices"] = shared
    return run_environment.describe(jax.devices(), identity(experiment)) | several


def _check_processes(experiment: Experiment, environment: Mapping[str, Any]) -> None:
    """Raise SharedError unless all processes train the same thing."""
    versions = {"python": environment["python"], **environment["packages"]}
    processes.check_equal(
        {
            "data": json.dumps(environment["dataset"], default=str),
            **{name: str(version) for name, version in versions.items()},
        }
    )
