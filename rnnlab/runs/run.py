"""A run from its first step to its last: into a new directory, or on from where a kill left one."""

import fcntl
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from rnnlab.storage import checkpoint

from rnnlab.storage import records
from rnnlab.config.experiment import config_hash, to_json
from rnnlab.core.errors import InputError
from rnnlab.runs.loop import Training, stop_on_signal
from rnnlab.runs.prepare import Prepared, identity
from rnnlab.runs.progress import ProgressMeter


def check_new(directory: Path) -> None:
    """Raise InputError unless ``directory`` is new or empty."""
    if (directory / "config.json").exists():
        raise InputError(
            f"--out: {directory} holds a run; accepted: another directory, or go on with it: "
            f"python -m experiments resume {shlex.quote(str(directory))}"
        )
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"--out: {directory} is not empty; accepted: a new or an empty directory")


def start(prepared: Prepared, directory: Path, meter: ProgressMeter) -> bool:
    """Train every arm, from nothing, into a new ``directory``. True when complete, False when interrupted."""
    directory = create(directory, records.environment(jax.devices(), identity(prepared)), to_json(prepared.config))
    return _train(prepared, directory, _metrics(prepared), meter)


def create(directory: Path, environment: dict[str, Any], config: str) -> Path:
    """A new run's directory, absolute, with env.json and config.json in it. Raises InputError unless it is new."""
    check_new(directory)
    # Written beside it and renamed: a kill leaves no directory at all, or one that resume takes.
    directory = directory.resolve()
    draft = directory if directory.exists() else directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    try:
        records.write_json(draft / "env.json", environment)
        records.write_whole(draft / "config.json", config.encode())
        if draft != directory:
            draft.rename(directory)
    finally:
        if draft != directory:
            shutil.rmtree(draft, ignore_errors=True)
    return directory


def resume(prepared: Prepared, directory: Path, meter: ProgressMeter) -> bool:
    """Go on exactly where the last checkpoint of ``directory`` stands. True when complete, False when interrupted."""
    recorded = records.read_json(directory / "env.json")
    now = records.environment(jax.devices(), identity(prepared))
    if not isinstance(recorded, dict) or recorded.get("dataset") != now["dataset"]:
        raise InputError(
            f"{directory}: the data or a cell's file is not the one of the run; accepted: the same (env.json)"
        )
    different = [key for key in ("python", "packages", "devices") if recorded.get(key) != now[key]]
    if different:
        meter.line(f"warning: {', '.join(different)} differ from env.json: results will be close, not bit-equal")
    metrics = _metrics(prepared)
    positions = {name: checkpoint.position(directory / "checkpoints" / name) for name in prepared.config.arms}
    for name, position in positions.items():
        if position is not None and position.config != config_hash(prepared.config):
            raise InputError(
                f"checkpoint: of arm {name} belongs to config {position.config}; accepted: the one in config.json"
            )
    if any(positions.values()):
        metrics.read(directory / "metrics.parquet")
    for name, position in positions.items():
        metrics.forget(name, position.step if position is not None else -1)
    return _train(prepared, directory, metrics, meter)


def _train(prepared: Prepared, directory: Path, metrics: records.Metrics, meter: ProgressMeter) -> bool:
    arms: dict[str, dict[str, Any]] = {}
    with _alone(directory), stop_on_signal() as stop:
        for name in prepared.config.arms:
            training = Training(prepared, name, directory, metrics, arms, meter, stop)
            if not training.finish():
                return False
    return True


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One process at a time may write into a run; the lock goes with the process, however it ends."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise InputError(
            f"{directory}: another process is training it; accepted: a run that no one works on"
        ) from error
    finally:
        os.close(handle)


def _metrics(prepared: Prepared) -> records.Metrics:
    hyperparams = dict.fromkeys(name for plan in prepared.plans.values() for name in plan.hyperparams)
    return records.Metrics(prepared.config.experiment, list(hyperparams))
