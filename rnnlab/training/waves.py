"""Runs whose states do not all fit on the devices: trained in waves, of which the others wait on host or disk."""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
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

    The same methods with the same results. A state is NumPy arrays ``[R, ...]``, and each call takes wave after wave of
    it to the devices and back. It lies in the host's memory, or in files without a name in the folder ``place``, which
    end with the process.
    """

    def __init__(
        self,
        spec: ArmSpec,
        runs: Run,
        splits: Mapping[str, Split],
        waves: int,
        place: Path | None = None,
        **options: Any,
    ) -> None:
        self._place, self.num_runs = place, len(runs.seed)
        size = -(-self.num_runs // waves)
        self.pieces = [slice(first, first + size) for first in range(0, self.num_runs, size)]
        first = Sweep(spec, _rows(runs, self.pieces[0]), splits, **options)
        self.devices, self.batch_devices, self.side_by_side = first.devices, first.batch_devices, first.side_by_side
        first.compile()
        self._sweeps = [first, *(first.for_others(_rows(runs, rows)) for rows in self.pieces[1:])]

    def compile(self) -> None:
        """Done: all waves have the programs of the first."""

    def init(self) -> TrainState:
        """The state before the first step."""
        return self.restored(sweep.to_host(sweep.init()) for sweep in self._sweeps)

    def batch_indices(self, epoch: int) -> Any:
        """What `train` reads of ``epoch``."""
        return [sweep.batch_indices(epoch) for sweep in self._sweeps]

    def train(self, state: TrainState, indices: Any, start: int, stop: int) -> TrainState:
        """Training steps ``start`` to ``stop`` of an epoch. ``state`` is written over."""
        for sweep, rows, plan in zip(self._sweeps, self.pieces, indices, strict=True):
            part = sweep.to_devices(_rows(state, rows))
            _write(state, rows, sweep.to_host(sweep.train(part, plan, start, stop)))
        return state

    def evaluate(self, params: Params, split: str) -> MetricSums:
        """Metric sums of ``split`` for ``params`` as in a state."""
        return self._each(params, lambda sweep, part: sweep.evaluate(part, split))

    def update_best(self, state: TrainState, validation: MetricSums, epoch: int) -> TrainState:
        """The state with its best parameters updated by sums of the validation split. ``state`` is written over."""
        for sweep, rows in zip(self._sweeps, self.pieces, strict=True):
            part = sweep.to_devices(_rows(state, rows))
            _write(state, rows, sweep.to_host(sweep.update_best(part, _rows(validation, rows), epoch)))
        return state

    def probe(self, params: Params, split: str) -> dict[str, np.ndarray]:
        """The arm's probes on the first batch of ``split``."""
        return self._each(params, lambda sweep, part: sweep.probe(part, split))

    def to_host(self, tree: Any) -> Any:
        """A state, or part of one, which is there."""
        return tree

    def saved(self, tree: Any) -> list[Any]:
        """A state, or part of one, by waves: views, which the next training step writes over."""
        return [_rows(tree, rows) for rows in self.pieces]

    def restored(self, pieces: Iterable[TrainState]) -> TrainState:
        """The state of which `saved` returned the ``pieces``."""
        state: Any = None
        for piece, rows in zip(pieces, self.pieces, strict=True):
            state = jax.tree.map(self._empty, piece) if state is None else state
            _write(state, rows, piece)
        return state

    def temporary_bytes(self) -> int:
        """As that of a Sweep."""
        return self._sweeps[0].temporary_bytes()

    def _each(self, params: Params, function: Callable[[Sweep, Params], Any]) -> Any:
        pairs = zip(self._sweeps, self.pieces, strict=True)
        found = [function(sweep, sweep.to_devices(_rows(params, rows))) for sweep, rows in pairs]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)

    def _empty(self, leaf: Any) -> np.ndarray:
        """Room for all runs' values of a ``leaf`` of some of them."""
        shape = (self.num_runs, *leaf.shape[1:])
        if self._place is None or 0 in shape:
            return np.empty(shape, leaf.dtype)
        with tempfile.TemporaryFile(dir=self._place) as file:
            return np.memmap(file, leaf.dtype, "w+", shape=shape)


def make_sweep(
    spec: ArmSpec, runs: Run, splits: Mapping[str, Split], waves: int = 1, place: Path | None = None, **options: Any
) -> Sweep | Waves:
    """The programs of an arm whose runs are trained in ``waves``, which wait in ``place``: see `Waves`."""
    return Sweep(spec, runs, splits, **options) if waves == 1 else Waves(spec, runs, splits, waves, place, **options)


def _rows(tree: Any, rows: slice) -> Any:
    return jax.tree.map(lambda leaf: leaf[rows], tree)


def _write(state: TrainState, rows: slice, part: TrainState) -> None:
    for whole, new in zip(jax.tree.leaves(state), jax.tree.leaves(part), strict=True):
        whole[rows] = new
