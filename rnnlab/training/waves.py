"""Runs whose states do not all fit on the devices: trained in waves, of which the others wait on the host."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from rnnlab.core.types import Params, Split
from rnnlab.training.arm_spec import ArmSpec
from rnnlab.training.state import Run, TrainState
from rnnlab.training.sweep import Sweep
from rnnlab.training.tasks import MetricSums


class Waves:
    """A `Sweep` that has the states of R / ``waves`` runs on the devices at a time; ``options`` are those of a Sweep.

    The same methods with the same results. A state lies on the host, NumPy arrays ``[R, ...]``, and each call takes
    wave after wave of it to the devices and back.
    """

    def __init__(self, spec: ArmSpec, runs: Run, splits: Mapping[str, Split], waves: int, **options: Any) -> None:
        count = len(runs.seed)
        size = -(-count // waves)
        self._rows = [slice(first, first + size) for first in range(0, count, size)]
        first = Sweep(spec, _rows(runs, self._rows[0]), splits, **options)
        self.devices, self.batch_devices, self.side_by_side = first.devices, first.batch_devices, first.side_by_side
        first.compile()
        self._sweeps = [first, *(first.for_others(_rows(runs, rows)) for rows in self._rows[1:])]

    def compile(self) -> None:
        """Done: all waves have the programs of the first."""

    def init(self) -> TrainState:
        """The state before the first step."""
        return _joined([sweep.to_host(sweep.init()) for sweep in self._sweeps])

    def batch_indices(self, epoch: int) -> Any:
        """What `train` reads of ``epoch``."""
        return [sweep.batch_indices(epoch) for sweep in self._sweeps]

    def train(self, state: TrainState, indices: Any, start: int, stop: int) -> TrainState:
        """Training steps ``start`` to ``stop`` of an epoch. ``state`` is written over."""
        for sweep, rows, plan in zip(self._sweeps, self._rows, indices, strict=True):
            part = sweep.to_devices(_rows(state, rows))
            _write(state, rows, sweep.to_host(sweep.train(part, plan, start, stop)))
        return state

    def evaluate(self, params: Params, split: str) -> MetricSums:
        """Metric sums of ``split`` for ``params`` as in a state."""
        return self._each(params, lambda sweep, part: sweep.evaluate(part, split))

    def update_best(self, state: TrainState, validation: MetricSums, epoch: int) -> TrainState:
        """The state with its best parameters updated by sums of the validation split. ``state`` is written over."""
        for sweep, rows in zip(self._sweeps, self._rows, strict=True):
            part = sweep.to_devices(_rows(state, rows))
            _write(state, rows, sweep.to_host(sweep.update_best(part, _rows(validation, rows), epoch)))
        return state

    def probe(self, params: Params, split: str) -> dict[str, np.ndarray]:
        """The arm's probes on the first batch of ``split``."""
        return self._each(params, lambda sweep, part: sweep.probe(part, split))

    def to_host(self, tree: Any) -> Any:
        """A copy of a state, or of part of one."""
        return jax.tree.map(np.array, tree)

    def to_devices(self, tree: Any) -> Any:
        """A state from what `to_host` returned."""
        return jax.tree.map(np.array, tree)

    def temporary_bytes(self) -> int:
        """As that of a Sweep."""
        return self._sweeps[0].temporary_bytes()

    def _each(self, params: Params, function: Callable[[Sweep, Params], Any]) -> Any:
        pairs = zip(self._sweeps, self._rows, strict=True)
        return _joined([function(sweep, sweep.to_devices(_rows(params, rows))) for sweep, rows in pairs])


def make_sweep(spec: ArmSpec, runs: Run, splits: Mapping[str, Split], waves: int = 1, **options: Any) -> Sweep | Waves:
    """The programs of an arm whose runs are trained in ``waves``."""
    return Sweep(spec, runs, splits, **options) if waves == 1 else Waves(spec, runs, splits, waves, **options)


def _rows(tree: Any, rows: slice) -> Any:
    return jax.tree.map(lambda leaf: leaf[rows], tree)


def _joined(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)


def _write(state: TrainState, rows: slice, part: TrainState) -> None:
    for whole, new in zip(jax.tree.leaves(state), jax.tree.leaves(part), strict=True):
        whole[rows] = new
