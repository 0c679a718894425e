"""The only host loop: data -> stretches of training -> records -> checkpoints, and on from where a kill left it."""

import hashlib
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from rnnlab import checkpoint, records
from rnnlab.arms import Plan, make_recipe, plan_arms
from rnnlab.cells import count_parameters, is_file_cell
from rnnlab.checkpoint import Position
from rnnlab.config import Config, config_hash, to_json
from rnnlab.data import load_dataset
from rnnlab.errors import InputError
from rnnlab.progress import Watcher
from rnnlab.summary import summarise
from rnnlab.sweep import Sweep, default_chunk, device_mesh, grid, make_sweep, pad_runs, place
from rnnlab.train import Recipe
from rnnlab.types import Dataset, Split, Sums, TrainState

STRETCH_SECONDS = 0.5  # of training between looks at the clock and at Ctrl-C


class Prepared(NamedTuple):
    """An experiment that has been checked as far as can be without training."""

    config: Config
    plans: Mapping[str, Plan]
    recipes: Mapping[str, Recipe]
    dataset: Dataset


def prepare(config: Config) -> Prepared:
    """Load the data and check everything. Raises InputError; nothing has been written then."""
    plans = plan_arms(config)
    dataset = load_dataset(config.data, window=config.window)
    recipes = {name: make_recipe(config, plan, dataset) for name, plan in plans.items()}
    for name, recipe in recipes.items():  # a cell that cannot be traced fails here, not after hours
        try:
            _abstract_state(name, plans[name], recipe, config)
        except InputError:
            raise
        except Exception as error:
            if not is_file_cell(config.arms[name].cell):
                raise
            reason = (str(error).splitlines() or [""])[0][:200]
            raise InputError(
                f"arms.{name}: cell {config.arms[name].cell} fails: {type(error).__name__}: {reason}"
            ) from error
    return Prepared(config, plans, recipes, dataset)


def check_new(directory: Path) -> None:
    """Raise InputError unless ``directory`` is new or empty."""
    if (directory / "config.json").exists():
        raise InputError(
            f"--out: {directory} holds a run; accepted: another directory, or go on with it: "
            f"python -m experiments resume {directory}"
        )
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"--out: {directory} is not empty; accepted: a new or an empty directory")


def start(prepared: Prepared, directory: Path, watcher: Watcher) -> bool:
    """Train every arm, from nothing, into a new ``directory``. True when complete, False when interrupted."""
    check_new(directory)
    environment = records.environment(jax.devices(), _identity(prepared))
    records.write_json(directory / "env.json", environment)
    records.write_whole(directory / "config.json", to_json(prepared.config).encode())  # last: now it is a run
    return _train(prepared, directory, _metrics(prepared), watcher)


def resume(prepared: Prepared, directory: Path, watcher: Watcher) -> bool:
    """Go on exactly where the last checkpoint of ``directory`` stands. True when complete, False when interrupted."""
    recorded = records.read_json(directory / "env.json")
    now = records.environment(jax.devices(), _identity(prepared))
    if not isinstance(recorded, dict) or recorded.get("dataset") != now["dataset"]:
        raise InputError(
            f"{directory}: the data or a cell's file is not the one of the run; accepted: the same (env.json)"
        )
    different = [key for key in ("python", "packages", "devices") if recorded.get(key) != now[key]]
    if different:
        watcher.line(f"warning: {', '.join(different)} differ from env.json: results will be close, not bit-equal")
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
    return _train(prepared, directory, metrics, watcher)


def _train(prepared: Prepared, directory: Path, metrics: records.Metrics, watcher: Watcher) -> bool:
    arms: dict[str, dict[str, Any]] = {}
    with _stop_on_signal() as stop:
        for name in prepared.config.arms:
            training = _Training(prepared, name, directory, metrics, arms, watcher, stop)
            if not training.finish():
                return False
    return True


class _Training:
    """One arm under way. Its files are written in the order metrics, checkpoint: the checkpoint is what counts."""

    def __init__(
        self, prepared: Prepared, name: str, directory: Path, metrics: records.Metrics,
        arms: dict[str, dict[str, Any]], watcher: Watcher, stop: "_Stop",
    ) -> None:  # fmt: skip
        self.config, self.dataset = prepared.config, prepared.dataset
        self.name, self.directory, self.metrics, self.watcher, self.stop = name, directory, metrics, watcher, stop
        self.recipe, plan = prepared.recipes[name], prepared.plans[name]
        self.checkpoints = directory / "checkpoints" / name
        self.runs = grid(self.config.seeds, plan.numbers)
        self.abstract = _abstract_state(name, plan, self.recipe, self.config)
        self.arms = arms
        arms[name] = {
            "cell": plan.arm.cell, "hidden": plan.hidden, "layers": plan.arm.layers,
            "parameters": count_parameters(self.abstract.params) // len(self.runs.seed), "seconds": 0.0,
        }  # fmt: skip
        self.position = checkpoint.position(self.checkpoints) or Position(
            epoch=1, start=0, step=0, seconds=0.0, done=False, config=config_hash(self.config)
        )
        self.saved_at = time.monotonic()

    def finish(self) -> bool:
        """Train to the end: True; or save and return False when asked to stop."""
        total = self.config.epochs * self.recipe.steps
        self.arms[self.name]["seconds"] = self.position.seconds
        if self.position.done:
            self._write_summary()
            return True
        self.watcher.begin(self.name, len(self.runs.seed), total, self.position.step)
        mesh = device_mesh(len(self.runs.seed))
        chunk = self.config.chunk or default_chunk(mesh, len(self.runs.seed))
        sweep = make_sweep(self.recipe, self.runs, mesh, chunk, self.dataset.train.targets.shape[0])
        splits = {name: place(getattr(self.dataset, name), mesh) for name in ("train", "validation", "test")}
        state = self._restore(sweep) if self.position.step else sweep.init()
        while self.position.epoch <= self.config.epochs:
            state, finished = self._epoch(sweep, splits, state)
            if not finished:
                self._save(sweep, state)
                return False
        self.position = self.position._replace(done=True)
        self._save(sweep, state)
        self.watcher.end(self.position.seconds)
        return True

    def _epoch(self, sweep: Sweep, splits: Mapping[str, Split], state: TrainState) -> tuple[TrainState, bool]:
        """The rest of the epoch under way: its steps, its evaluations, its records."""
        steps, stretch, per_step = self.recipe.steps, 1, None
        plan = sweep.plan(self.position.epoch)
        state = sweep.train(state, plan, splits["train"], 0, 0)  # compiles, trains nothing: kept out of the timing
        jax.block_until_ready(state)
        while self.position.start < steps:
            if self.stop.asked:
                return state, False
            began = time.monotonic()
            to = min(steps, self.position.start + stretch)
            state = jax.block_until_ready(sweep.train(state, plan, splits["train"], self.position.start, to))
            seconds = time.monotonic() - began
            per_step = seconds / (to - self.position.start)
            stretch = max(1, min(2 * stretch, int(STRETCH_SECONDS / per_step)))
            done = self.position.step + to - self.position.start
            self.position = self.position._replace(start=to, step=done, seconds=self.position.seconds + seconds)
            left = (self.config.epochs * steps - done) * per_step
            self.watcher.move(done, self.position.epoch, left, self._note)
            if time.monotonic() - self.saved_at > self.config.save_seconds and to < steps:
                self._save(sweep, state)
        began = time.monotonic()
        state = self._close_epoch(sweep, splits, state)
        seconds = self.position.seconds + time.monotonic() - began
        epoch = self.position.epoch
        self.position = self.position._replace(epoch=epoch + 1, start=0, seconds=seconds)
        if self.config.keep_every and epoch % self.config.keep_every == 0:
            checkpoint.save_epoch(self.checkpoints, _first(state.params, sweep.asked), epoch)
        if time.monotonic() - self.saved_at > self.config.save_seconds and epoch < self.config.epochs:
            self._save(sweep, state)
        return state, True

    _note = ""

    def _close_epoch(self, sweep: Sweep, splits: Mapping[str, Split], state: TrainState) -> TrainState:
        sums = {"train": state.sums} | {name: sweep.evaluate(state, splits[name]) for name in ("validation", "test")}
        task, epoch, step = self.recipe.task, self.position.epoch, self.position.step
        died = np.asarray(state.died)[: sweep.asked]
        alive = died < 0
        for split, value in sums.items():
            found = task.metrics(Sums(*(np.asarray(leaf)[: sweep.asked][alive] for leaf in value)))
            numbers = {name: column[alive] for name, column in self.runs.numbers.items()}
            self.metrics.add(self.name, self.runs.seed[alive], numbers, epoch, step, split, found)
            if split == "validation" and alive.any():
                self._note = f"validation loss {np.mean(found['loss']):.4f}"
        now = ~alive & (died >= step - self.recipe.steps)  # in this epoch
        numbers = {name: column[now] for name, column in self.runs.numbers.items()}
        self.metrics.add(self.name, self.runs.seed[now], numbers, epoch, step, "train", {records.DIED: died[now]})
        return sweep.close_epoch(state, sums["validation"], epoch)

    def _save(self, sweep: Sweep, state: TrainState) -> None:
        self.arms[self.name]["seconds"] = self.position.seconds
        self.metrics.write(self.directory / "metrics.parquet")
        checkpoint.save(self.checkpoints, _first(state, sweep.asked), self.position)
        self._write_summary()
        self.saved_at = time.monotonic()

    def _write_summary(self) -> None:
        complete = self.position.done and self.name == list(self.config.arms)[-1]
        document = summarise(
            self.metrics.table, self.recipe.task, self.arms, experiment=self.config.experiment, complete=complete
        )
        records.write_json(self.directory / "summary.json", document)

    def _restore(self, sweep: Sweep) -> TrainState:
        state = checkpoint.load(self.checkpoints, self.abstract)
        padded = pad_runs(jax.tree.map(np.asarray, state), len(sweep.runs.seed))
        return jax.device_put(padded, sweep.runs.seed.sharding)


def _abstract_state(name: str, plan: Plan, recipe: Recipe, config: Config) -> TrainState:
    """Shapes of the arm's whole state, leaves ``[R, ...]``, without computing anything."""
    from rnnlab.train import init_state

    runs = grid(config.seeds, plan.numbers)
    return jax.eval_shape(jax.vmap(lambda run: init_state(recipe, run)), runs)


def _first(tree: Any, count: int) -> Any:
    """On the host, without the padding: a checkpoint does not depend on the number of devices."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:count], tree)


def _metrics(prepared: Prepared) -> records.Metrics:
    numbers = dict.fromkeys(name for plan in prepared.plans.values() for name in plan.numbers)
    return records.Metrics(prepared.config.experiment, list(numbers))


def _identity(prepared: Prepared) -> dict[str, Any]:
    """What identifies the data and the users' cells: a resume with others is refused."""
    data = prepared.dataset
    sizes = {name: len(getattr(data, name).targets) for name in ("train", "validation", "test")}
    cells = sorted({arm.cell for arm in prepared.config.arms.values() if is_file_cell(arm.cell)})
    hashes = {cell: hashlib.sha256(Path(cell.rpartition(":")[0]).read_bytes()).hexdigest() for cell in cells}
    return {"name": data.name, "examples": sizes, "source": dict(data.source), "cells": hashes}


class _Stop:
    asked = False


@contextmanager
def _stop_on_signal() -> Iterator[_Stop]:
    """Ctrl-C and a polite kill set a flag; the loop saves and returns. A second Ctrl-C stops at once."""
    stop = _Stop()

    def ask(number: int, frame: Any) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
