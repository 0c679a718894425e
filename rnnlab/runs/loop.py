"""The host loop of one arm: stretches of training, evaluations, records, checkpoints."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rnnlab.storage import checkpoint

from rnnlab.storage import records
from rnnlab.cells.registry import count_parameters
from rnnlab.storage.checkpoint import Position
from rnnlab.config.experiment import config_hash
from rnnlab.runs.prepare import Prepared, abstract_state
from rnnlab.runs.progress import ProgressMeter
from rnnlab.stats.summary import summarize
from rnnlab.train.sweep import Sweep, default_chunk, device_mesh, run_grid, make_sweep, pad_runs, replicate
from rnnlab.core.types import Split, TrainState

STRETCH_SECONDS = 0.5  # of training between looks at the clock and at Ctrl-C


class Stop:
    """Whether someone asked the run to stop."""

    asked = False


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Ctrl-C and a polite kill set a flag; the loop saves and returns. A second Ctrl-C stops at once."""
    stop = Stop()

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


class Training:
    """One arm under way. Its files are written in the order metrics, checkpoint: the checkpoint is what counts."""

    def __init__(
        self, prepared: Prepared, name: str, directory: Path, metrics: records.Metrics,
        arms: dict[str, dict[str, Any]], meter: ProgressMeter, stop: Stop,
    ) -> None:  # fmt: skip
        self.config, self.dataset = prepared.config, prepared.dataset
        self.name, self.directory, self.metrics, self.meter, self.stop = name, directory, metrics, meter, stop
        self.recipe, plan = prepared.recipes[name], prepared.plans[name]
        self.checkpoints = directory / "checkpoints" / name
        self.runs = run_grid(self.config.seeds, plan.hyperparams)
        self.abstract = abstract_state(plan, self.recipe, self.config)
        self.arms = arms
        arms[name] = {
            "cell": plan.arm.cell, "hidden_size": plan.hidden_size, "layers": plan.arm.layers,
            "parameters": count_parameters(self.abstract.params) // len(self.runs.seed), "seconds": 0.0,
        }  # fmt: skip
        self.position = checkpoint.position(self.checkpoints) or Position(
            epoch=1, step_in_epoch=0, step=0, seconds=0.0, done=False, config=config_hash(self.config)
        )
        self.saved_at = time.monotonic()
        self._stretch = 1  # steps between looks at the clock
        self._note = ""  # shown beside the progress

    def finish(self) -> bool:
        """Train to the end: True; or save and return False when asked to stop."""
        total = self.config.epochs * self.recipe.steps
        self.arms[self.name]["seconds"] = self.position.seconds
        if self.position.done:
            checkpoint.tidy(self.checkpoints)
            if self.name == list(self.config.arms)[-1]:
                self._write_summary()
            return True
        self.meter.begin(self.name, len(self.runs.seed), total, self.position.step)
        mesh = device_mesh(len(self.runs.seed))
        runs_per_device = self.config.runs_per_device or default_chunk(mesh, len(self.runs.seed))
        sweep = make_sweep(self.recipe, self.runs, mesh, runs_per_device, self.dataset.train.targets.shape[0])
        splits = {name: replicate(getattr(self.dataset, name), mesh) for name in ("train", "validation", "test")}
        state = self._restore(sweep) if self.position.step else sweep.init()
        if not self.position.step:
            self.metrics.forget(self.name, -1)  # those of a run that was stopped before its first step
            self._probe(sweep, splits, state, epoch=0)
        while self.position.epoch <= self.config.epochs:
            state, finished = self._epoch(sweep, splits, state)
            if not finished:
                self._save(sweep, state)
                return False
        self.position = self.position._replace(done=True)
        self._save(sweep, state)
        self.meter.end(self.position.seconds)
        return True

    def _epoch(self, sweep: Sweep, splits: Mapping[str, Split], state: TrainState) -> tuple[TrainState, bool]:
        """The rest of the epoch under way: its steps, its evaluations, its records."""
        steps = self.recipe.steps
        plan = sweep.plan(self.position.epoch)
        state = sweep.train(state, plan, splits["train"], 0, 0)  # compiles, trains nothing: kept out of the timing
        jax.block_until_ready(state)
        while self.position.step_in_epoch < steps:
            if self.stop.asked:
                return state, False
            began = time.monotonic()
            to = min(steps, self.position.step_in_epoch + self._stretch)
            state = jax.block_until_ready(sweep.train(state, plan, splits["train"], self.position.step_in_epoch, to))
            seconds = time.monotonic() - began
            per_step = seconds / (to - self.position.step_in_epoch)
            self._stretch = max(1, min(2 * self._stretch, int(STRETCH_SECONDS / per_step)))
            done = self.position.step + to - self.position.step_in_epoch
            self.position = self.position._replace(step_in_epoch=to, step=done, seconds=self.position.seconds + seconds)
            left = (self.config.epochs * steps - done) * self.position.seconds / done
            self.meter.move(done, self.position.epoch, left, self._note)
            if time.monotonic() - self.saved_at > self.config.checkpoint_interval_s and to < steps:
                self._save(sweep, state)
        began = time.monotonic()
        state = self._finish_epoch(sweep, splits, state)
        seconds = self.position.seconds + time.monotonic() - began
        epoch = self.position.epoch
        self.position = self.position._replace(epoch=epoch + 1, step_in_epoch=0, seconds=seconds)
        if self.config.keep_params_every and epoch % self.config.keep_params_every == 0:
            checkpoint.save_epoch(self.checkpoints, _first(state.params, sweep.num_runs), epoch)
        if time.monotonic() - self.saved_at > self.config.checkpoint_interval_s and epoch < self.config.epochs:
            self._save(sweep, state)
        return state, True

    def _finish_epoch(self, sweep: Sweep, splits: Mapping[str, Split], state: TrainState) -> TrainState:
        held_out = ("test",) if self.dataset.validation_is_test else ("validation", "test")
        sums = {"train": state.sums} | {name: sweep.evaluate(state, splits[name]) for name in held_out}
        epoch, step = self.position.epoch, self.position.step
        diverged_at = np.asarray(state.diverged_at)[: sweep.num_runs]
        alive = diverged_at < 0
        found = {
            split: self.recipe.task.metrics(jax.tree.map(lambda leaf: np.asarray(leaf)[: sweep.num_runs][alive], value))
            for split, value in sums.items()
        }
        found[held_out[0]]["gap"] = found[held_out[0]]["loss"] - found["train"]["loss"]
        for split, values in found.items():
            self._add(alive, epoch, split, values)
        if alive.any():
            self._note = f"{held_out[0]} loss {np.mean(found[held_out[0]]['loss']):.4f}"
        self._probe(sweep, splits, state, epoch)
        now = ~alive & (diverged_at >= step - self.recipe.steps)  # in this epoch
        self._add(now, epoch, "train", {records.DIVERGED_AT: diverged_at[now]})
        return sweep.update_best(state, sums[held_out[0]], epoch)

    def _probe(self, sweep: Sweep, splits: Mapping[str, Split], state: TrainState, epoch: int) -> None:
        """What the probes measure on a fixed batch of the validation split, before training (epoch 0) too."""
        if self.recipe.probes:
            alive = np.asarray(state.diverged_at)[: sweep.num_runs] < 0
            found = sweep.probe(state, splits["validation"])
            values = {name: np.asarray(leaf)[: sweep.num_runs][alive] for name, leaf in found.items()}
            self._add(alive, epoch, "validation", values)

    def _add(self, which: np.ndarray, epoch: int, split: str, values: Mapping[str, np.ndarray]) -> None:
        """Rows for the runs ``which [R] bool``."""
        hyperparams = {name: column[which] for name, column in self.runs.hyperparams.items()}
        self.metrics.add(self.name, self.runs.seed[which], hyperparams, epoch, self.position.step, split, values)

    def _save(self, sweep: Sweep, state: TrainState) -> None:
        self.arms[self.name]["seconds"] = self.position.seconds
        self.metrics.write(self.directory / "metrics.parquet")
        checkpoint.save(self.checkpoints, _first(state, sweep.num_runs), self.position)
        self._write_summary()
        self.saved_at = time.monotonic()

    def _write_summary(self) -> None:
        complete = self.position.done and self.name == list(self.config.arms)[-1]
        document = summarize(
            self.metrics.table,
            self.recipe.task,
            self.arms,
            experiment=self.config.experiment,
            complete=complete,
            validation_is_test=self.dataset.validation_is_test,
            success_threshold=self.config.success_threshold,
        )
        records.write_json(self.directory / "summary.json", document)

    def _restore(self, sweep: Sweep) -> TrainState:
        state = checkpoint.load(self.checkpoints, self.abstract)
        padded = pad_runs(jax.tree.map(np.asarray, state), len(sweep.runs.seed))
        return jax.device_put(padded, sweep.runs.seed.sharding)


def _first(tree: Any, count: int) -> Any:
    """On the host, without the padding: a checkpoint does not depend on the number of devices."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:count], tree)
