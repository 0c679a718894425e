"""Runs that are stopped or killed at a chosen step, and everything that they computed."""

import signal
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pyarrow.parquet as pq

from experiments import quickstart
from rnnlab.config.experiment import Arm
from rnnlab.runs import run
from rnnlab.runs.progress import NoProgressMeter
from rnnlab.runs.validate import abstract_state, validate
from rnnlab.storage import checkpoint

ONE = replace(
    quickstart.CONFIG, arms={"plain": Arm("rnn")}, data="digits", seeds=(0, 5, 1), epochs=2, steps_per_epoch=7,
    batch_size=16, hidden_size=4, learning_rate=(1e-2, 3e-2), keep_params_every=1, checkpoint_interval_s=1e-9,
)  # fmt: skip


class Killed(BaseException):
    """Stands for a kill: after it only ``finally`` blocks run."""


class At(NoProgressMeter):
    """Calls ``act`` at the n-th call of ``begin`` and ``move`` together."""

    def __init__(self, moment: int, act) -> None:
        self.left, self.act = moment, act

    def begin(self, arm, runs, steps, done):
        self.move(done, 0, None, "")

    def move(self, done, epoch, seconds_left, note):
        if self.left == 0:
            self.act()
        self.left -= 1


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def kill() -> None:
    raise Killed


def computed(config, directory: Path) -> dict:
    """Everything that a run computed, exactly: rows, arrays of all checkpoints, positions."""
    experiment = validate(config)
    everything: dict = {"rows": [repr(row) for row in pq.read_table(directory / "metrics.parquet").to_pylist()]}
    for name in config.arms:
        folder = directory / "checkpoints" / name
        abstract = abstract_state(experiment.specs[name], experiment.runs(name))
        leaves = jax.tree.leaves_with_path(checkpoint.load(folder, abstract))
        for epoch in range(1, config.epochs + 1):
            if config.keep_params_every:
                leaves += jax.tree.leaves_with_path(checkpoint.load_epoch(folder, abstract.params, epoch))
        everything[name] = [(jax.tree_util.keystr(path), np.asarray(leaf).tobytes()) for path, leaf in leaves]
        everything[name].append(checkpoint.position(folder)._replace(seconds=0))
    return everything


def whole(config, directory: Path) -> dict:
    assert run.start(validate(config), directory, NoProgressMeter())
    return computed(config, directory)


def expect(reference: dict, config, directory: Path) -> None:
    found = computed(config, directory)
    assert found["rows"] == reference["rows"]
    for name in config.arms:
        # the config's hash tells when it was saved
        mine, other = (part[name][-1]._replace(config="") for part in (found, reference))
        assert mine == other
        assert found[name][:-1] == reference[name][:-1]
        left = [path.name for path in (directory / "checkpoints" / name).iterdir()]
        steps = config.epochs * config.steps_per_epoch
        kept = [f"epoch_{epoch:06d}" for epoch in range(1, config.epochs + 1)] if config.keep_params_every else []
        assert sorted(left) == [*kept, f"step_{steps:08d}"]
