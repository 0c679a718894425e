"""Training of one arm on the host: stretches of steps, evaluations, records, checkpoints."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from signal import Signals
from typing import Any, Protocol

import jax
import numpy as np

from rnnlab.config.experiment import Config
from rnnlab.core import processes
from rnnlab.core.types import Dataset
from rnnlab.runs.progress import ProgressMeter
from rnnlab.storage.checkpoint import Position
from rnnlab.storage.metrics import DIVERGED_AT
from rnnlab.training.arm_spec import ArmSpec
from rnnlab.training.state import Run, TrainState
from rnnlab.training.sweep import Sweep
from rnnlab.training.tasks import GAP, TASKS
from rnnlab.training.waves import Waves, make_sweep

STRETCH_SECONDS = 0.5  # of training between checks of time and signals
WAVE_SECONDS = 5.0  # the same for each of several waves, whose states must be brought and taken


class ArmStore(Protocol):
    """Where the results of an arm go: a directory (`rnnlab.runs.run`), or memory."""

    name: str
    position: Position  # where training starts; step 0: from initial values

    def load(self, pieces: Sequence[slice]) -> Iterator[TrainState]:
        """The host state at ``position``, in ``pieces`` of the runs."""

    def add(self, which: np.ndarray, position: Position, split: str, values: Mapping[str, np.ndarray]) -> None:
        """Record the values ``[n]`` of each metric for the n runs ``which [R] bool``."""

    def save(self, position: Position, pieces: Sequence[TrainState]) -> None:
        """Save everything recorded so far and the host state, which is given in pieces along the run axis."""

    def save_params(self, epoch: int, pieces: Sequence[Any]) -> None:
        """Keep the host parameters at the end of ``epoch``."""


class StopRequest(Protocol):
    """Whether someone asked to stop, by which signal, and how often the process stood (Ctrl-Z) and went on."""

    requested: bool
    signal: Signals
    continued: int


def train_arm(
    spec: ArmSpec, runs: Run, dataset: Dataset, config: Config, store: ArmStore, meter: ProgressMeter,
    stop: StopRequest, waves: int = 1, place: Path | None = None,
) -> bool:  # fmt: skip
    """Train all ``runs`` (host, leaves ``[R]``) from the store's position to the last epoch of ``config``.

    When asked to stop it saves and returns False. Of ``config`` only the fields that change no result are read: epochs,
    runs_per_device, batch_devices, keep_params_every and checkpoint_interval_s; ``waves``, ``place``: see `Waves`.
    """
    return _ArmTrainer(spec, runs, dataset, config, store, meter, stop, waves, place).run()


class _ArmTrainer:
    def __init__(
        self, spec: ArmSpec, runs: Run, dataset: Dataset, config: Config, store: ArmStore, meter: ProgressMeter,
        stop: StopRequest, waves: int, place: Path | None,
    ) -> None:  # fmt: skip
        self.spec, self.runs, self.config, self.store, self.meter, self.stop = spec, runs, config, store, meter, stop
        self.position, self.waves, self.place = store.position, waves, place
        self.stretch_seconds = STRETCH_SECONDS if waves == 1 else waves * WAVE_SECONDS
        self.total_steps = config.epochs * spec.steps_per_epoch
        self.held_out = ("test",) if dataset.validation_is_test else ("validation", "test")
        names = ("train", *self.held_out, *(["validation"] if spec.probes else []))
        self.splits = {name: getattr(dataset, name) for name in names}
        self.saved_at = time.monotonic()
        self.stretch = 1  # steps between checks of time and signals
        self.note = ""  # shown beside the progress
        self.usual: dict[str, float] = {}  # seconds of a step and of the end of an epoch

    def run(self) -> bool:
        self.meter.begin(self.store.name, len(self.runs.seed), self.total_steps, self.position.step)
        sweep = make_sweep(
            self.spec,
            self.runs,
            self.splits,
            self.waves,
            self.place,
            runs_per_device=self.config.runs_per_device,
            batch_devices=self.config.batch_devices,
        )
        state = sweep.restored(self.store.load(sweep.pieces)) if self.position.step else sweep.init()
        sweep.compile()
        if not self.position.step:
            self._probe(sweep, state, epoch=0)
        while self.position.epoch <= self.config.epochs:
            state, finished = self._epoch(sweep, state)
            if not finished:
                self._save(sweep, state)
                return False
        self.position = self.position._replace(done=True)
        self._save(sweep, state)
        self.meter.end(self.position.seconds)
        return True

    def _epoch(self, sweep: Sweep | Waves, state: TrainState) -> tuple[TrainState, bool]:
        """The rest of the current epoch: steps, evaluations, records. False when asked to stop."""
        steps, epoch = self.spec.steps_per_epoch, self.position.epoch
        indices = sweep.batch_indices(epoch)
        while self.position.step_in_epoch < steps:
            if self._must_stop():
                return state, False
            began, first = self._now(), self.position.step_in_epoch
            until = min(steps, first + self.stretch)
            state = sweep.train(state, indices, first, until)
            seconds = self._seconds_since(began, "step", until - first)
            self.stretch = max(1, min(2 * self.stretch, int(self.stretch_seconds * (until - first) / seconds)))
            done = self.position.step + until - first
            self.position = self.position._replace(
                step_in_epoch=until, step=done, seconds=self.position.seconds + seconds
            )
            left = (self.total_steps - done) * self.position.seconds / done
            self.meter.move(done, epoch, left, self.note)
            if self._is_due() and until < steps:
                self._save(sweep, state)
        began = self._now()
        state = self._finish_epoch(sweep, state)
        seconds = self.position.seconds + self._seconds_since(began, "end of epoch")
        self.position = self.position._replace(epoch=epoch + 1, step_in_epoch=0, seconds=seconds)
        if self.config.keep_params_every is not None and epoch % self.config.keep_params_every == 0:
            self.store.save_params(epoch, sweep.saved(state.params))
        if self._is_due() and epoch < self.config.epochs:
            self._save(sweep, state)
        return state, True

    def _finish_epoch(self, sweep: Sweep | Waves, state: TrainState) -> TrainState:
        epoch, step = self.position.epoch, self.position.step
        sums = {"train": sweep.to_host(state.sums)}
        sums |= {split: sweep.evaluate(state.params, split) for split in self.held_out}
        diverged_at = sweep.to_host(state.diverged_at)
        finite = diverged_at < 0
        task, scale = TASKS[self.spec.data.task], self.spec.data.target_scale
        metrics = {split: task.compute(_rows(value, finite), scale) for split, value in sums.items()}
        validation = metrics[self.held_out[0]]
        validation[GAP] = validation["loss"] - metrics["train"]["loss"]
        for split, values in metrics.items():
            self.store.add(finite, self.position, split, values)
        self._report(epoch, finite, metrics)
        if finite.any():
            self.note = f"{self.held_out[0]} loss {np.mean(validation['loss']):.4f}"
        self._probe(sweep, state, epoch)
        this_epoch = ~finite & (diverged_at >= step - self.spec.steps_per_epoch)
        self.store.add(this_epoch, self.position, "train", {DIVERGED_AT: diverged_at[this_epoch]})
        return sweep.update_best(state, sums[self.held_out[0]], epoch)

    def _report(self, epoch: int, finite: np.ndarray, metrics: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        """Tell the meter; the values ``[n]`` are those of the runs that are ``finite [R]``."""
        names = ("seed", *self.runs.hyperparams)
        columns = (self.runs.seed.tolist(), *(column.tolist() for column in self.runs.hyperparams.values()))
        whole = {f"{split}/{name}": np.full(len(finite), np.nan) for split in metrics for name in metrics[split]}
        for split, values in metrics.items():
            for name, value in values.items():
                whole[f"{split}/{name}"][finite] = value
        runs = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        self.meter.record(self.store.name, epoch, runs, whole)

    def _probe(self, sweep: Sweep | Waves, state: TrainState, epoch: int) -> None:
        """Record the probes on a fixed batch of the validation split; before training as epoch 0."""
        if self.spec.probes:
            finite = sweep.to_host(state.diverged_at) < 0
            measured = {name: value[finite] for name, value in sweep.probe(state.params, "validation").items()}
            self.store.add(finite, self.position._replace(epoch=epoch), "validation", measured)

    def _must_stop(self) -> bool:
        """Whether a process was asked to stop. Sets the length of the next stretch, which the first one measured."""
        own = self.stop.signal if self.stop.requested else 0
        told = processes.gather((own, self.stretch))
        self.stretch = int(told[0, 1])
        if not told[:, 0].any():
            return False
        if not own:
            self.stop.requested, self.stop.signal = True, Signals(int(told[:, 0].max()))
        return True

    def _now(self) -> tuple[float, int]:
        return time.monotonic(), self.stop.continued

    def _seconds_since(self, began: tuple[float, int], work: str, times: int = 1) -> float:
        """Seconds since ``began``; those that the work took before, if the process stood in between."""
        seconds = time.monotonic() - began[0]
        if self.stop.continued == began[1]:
            self.usual[work] = seconds / times
            return seconds
        return times * self.usual.get(work, seconds / times)

    def _is_due(self) -> bool:
        return processes.first_says(time.monotonic() - self.saved_at > self.config.checkpoint_interval_s)

    def _save(self, sweep: Sweep | Waves, state: TrainState) -> None:
        self.store.save(self.position, sweep.saved(state))
        self.saved_at = time.monotonic()


def _rows(tree: Any, which: np.ndarray) -> Any:
    return jax.tree.map(lambda leaf: leaf[which], tree)
