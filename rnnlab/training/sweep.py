"""All runs of an arm at once: the run axis R, its devices, its compiled programs."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property, partial
from itertools import product
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from rnnlab.core.types import Array, Params, Split
from rnnlab.training import single_run
from rnnlab.training.arm_spec import ArmSpec
from rnnlab.training.batch_axis import arm_mesh
from rnnlab.training.batches import batch_indices, division
from rnnlab.training.run_axis import (
    BATCH,
    RUN,
    default_runs_per_device,
    fetch,
    map_runs,
    map_runs_in_place,
    own_rows,
    pad_runs,
    place,
    place_own,
)
from rnnlab.training.state import Run, TrainState
from rnnlab.training.tasks import MetricSums

# Drawing initial values is a long program that runs once: compiling it takes a third of the time at LLVM's level 1.
DRAW_OPTIONS = {"xla_backend_optimization_level": 1}


Grid = Mapping[str, tuple[float, ...]]  # the values of each hyperparameter; the first is learning_rate


def combinations(hyperparams: Mapping[str, Sequence[float]], sweep: str = "grid") -> list[tuple[float, ...]]:
    """Values of the hyperparameters, in the order of their names.

    ``grid``: every combination, the last name varying fastest. ``paired``: the first value of each, the second of
    each, ...; a single value goes with all.
    """
    if sweep == "grid":
        return list(product(*hyperparams.values()))
    count = max(map(len, hyperparams.values()), default=1)
    columns = [[*values] * count if len(values) == 1 else values for values in hyperparams.values()]
    return list(zip(*columns, strict=True)) if columns else [()]


def run_grid(seeds: Sequence[int], hyperparams: Mapping[str, Sequence[float]], sweep: str = "grid") -> Run:
    """All runs of an arm on the host: `combinations` of hyperparameters x seeds, leaves ``[R]``, seeds fastest."""
    rows = [(combination, seed) for combination in combinations(hyperparams, sweep) for seed in seeds]
    columns = zip(*(combination for combination, _ in rows), strict=True) if hyperparams else ()
    return Run(
        np.array([seed for _, seed in rows], np.uint32),
        {name: np.array(column, np.float32) for name, column in zip(hyperparams, columns, strict=True)},
    )


def _pooled(train: Split, validation: Split) -> Split:
    """The examples of both, those of ``train`` first."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), train, validation)


class Sweep:
    """The programs of one arm, each compiled once, for all ``runs`` (host, leaves ``[R]``).

    ``splits`` ("train" and the ones to evaluate) are put on every device once. ``runs_per_device`` runs are trained
    side by side on a device, and ``batch_devices`` devices share the batches of each (default:
    `default_batch_devices`). A state is a `TrainState` on the devices, padded to a multiple of what they hold; results
    (metric sums, probes, `to_host`) are NumPy arrays ``[R, ...]`` without padding. Equal seeds, ``runs_per_device``,
    device kind and versions give bit-equal results on any number of devices.
    """

    def __init__(
        self,
        spec: ArmSpec,
        runs: Run,
        splits: Mapping[str, Split],
        *,
        devices: Sequence[Any] | None = None,
        runs_per_device: int | None = None,
        batch_devices: int | None = None,
    ) -> None:
        self.spec, self.num_runs = spec, len(runs.seed)
        mesh = arm_mesh(spec, runs, devices, batch_devices)
        groups, batch_devices = mesh.shape[RUN], mesh.shape[BATCH]
        most = -(-self.num_runs // groups)
        at_once = min(runs_per_device or default_runs_per_device(mesh, self.num_runs), most)
        self.devices, self.batch_devices, self.side_by_side = mesh.size, batch_devices, at_once
        self._axis = BATCH if batch_devices > 1 else None
        self.mesh, self._by_run = mesh, NamedSharding(mesh, P(RUN))
        self._host_runs = pad_runs(runs, groups * at_once)
        self._runs = place(self._host_runs, self._by_run)
        self._training_examples = splits["train"].targets.shape[0]
        if spec.seed_source == "split":
            splits = {**splits, "train": _pooled(splits["train"], splits["validation"])}
        self._splits = place(dict(splits), NamedSharding(mesh, P()))
        self._map = partial(map_runs, mesh=mesh, runs_per_device=at_once)
        self._map_in_place = partial(map_runs_in_place, mesh=mesh, runs_per_device=at_once)

    def for_others(self, runs: Run) -> "Sweep":
        """The same programs, compiled before, for other runs, of which there are not more."""
        others = copy(self)
        others.num_runs, others._host_runs = len(runs.seed), pad_runs(runs, len(self._host_runs.seed))
        others._runs = place(others._host_runs, self._by_run)
        return others

    def init(self) -> TrainState:
        """The state before the first step."""
        # On one device, one run at a time: equal on any machine, and LAPACK's QR on two CPU devices at once can wait
        # forever for the thread pool that it occupies (BUILD_NOTES).
        draw = partial(single_run.init_state, self.spec)
        init = jax.jit(lambda runs: jax.lax.map(draw, runs), compiler_options=DRAW_OPTIONS)
        rows = own_rows(self.mesh, len(self._host_runs.seed))
        own = jax.tree.map(lambda leaf: leaf[rows], self._host_runs)
        first = next(device for device in self.mesh.devices.flat if device.process_index == jax.process_index())
        return place_own(init(jax.device_put(own, first)), self._by_run)

    def compile(self) -> None:
        """Compile every program now, so that no later call is slower than another."""
        self._programs  # noqa: B018

    def batch_indices(self, epoch: int) -> Any:
        """What `train` reads of ``epoch``: the examples of every step, ``[R, S, B]``, on the devices and padded."""
        return self._programs["batch_indices"](self._runs, np.int32(epoch))

    def train(self, state: TrainState, indices: Any, start: int, stop: int) -> TrainState:
        """Training steps ``start`` to ``stop`` of an epoch; waits for them. ``state`` is donated."""
        after = self._programs["train"](
            state, self._runs, indices, self._splits["train"], np.int32(start), np.int32(stop)
        )
        return jax.block_until_ready(after)

    def evaluate(self, params: Params, split: str) -> MetricSums:
        """Metric sums of ``split`` for ``params`` as in a state, on the host."""
        read = "train" if self.spec.seed_source == "split" and split == "validation" else split
        return self._host(self._programs[f"evaluate {split}"](params, self._runs, self._splits[read]))

    def update_best(self, state: TrainState, validation: MetricSums, epoch: int) -> TrainState:
        """The state with its best parameters updated by host sums of the validation split. ``state`` is donated."""
        return self._programs["update_best"](state, self.to_devices(validation), np.int32(epoch))

    def probe(self, params: Params, split: str) -> dict[str, np.ndarray]:
        """The arm's probes on the first batch of ``split``, on the host."""
        return self._host(self._programs[f"probe {split}"](params, self._runs, self._splits[split]))

    def to_host(self, tree: Any) -> Any:
        """A state, or part of one, as NumPy arrays without padding."""
        return self._host(tree)

    @property
    def pieces(self) -> list[slice]:
        """The runs that a state is saved and loaded by: all together."""
        return [slice(0, self.num_runs)]

    def saved(self, tree: Any) -> list[Any]:
        """A state, or part of one, in ``pieces`` on the host."""
        return [self.to_host(tree)]

    def restored(self, pieces: Iterable[TrainState]) -> TrainState:
        """The state of which `saved` returned the ``pieces``."""
        (state,) = pieces
        return self.to_devices(state)

    def to_devices(self, tree: Any) -> Any:
        """What `to_host` returned, back on the devices."""
        padded = pad_runs(jax.tree.map(np.asarray, tree), len(self._host_runs.seed))
        return place(padded, self._by_run)

    def temporary_bytes(self) -> int:
        """What the compiled program that needs most of it takes on a device beside its arguments and results."""
        analyses = [program.memory_analysis() for program in self._programs.values()]
        return max((found.temp_size_in_bytes for found in analyses if found is not None), default=0)

    def compiled_texts(self) -> dict[str, str]:
        """The compiled programs as text, for tests of what they contain."""
        return {name: program.as_text() or "" for name, program in self._programs.items()}

    def _host(self, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[: self.num_runs], fetch(tree))

    @cached_property
    def _programs(self) -> dict[str, Any]:
        spec, by_run, axis = self.spec, self._by_run, self._axis
        train, held_out = self._splits["train"], {n: s for n, s in self._splits.items() if n != "train"}
        examples, divided = self._training_examples, spec.seed_source == "split"

        train_one = partial(single_run.train_steps, axis=axis)

        def order(run: Run) -> Array:
            return division(run.seed, train.targets.shape[0])

        def abstract(tree: Any) -> Any:
            return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=by_run), tree)

        def train_steps(
            state: TrainState, runs: Run, indices: Array, split: Split, start: Array, stop: Array
        ) -> TrainState:
            left_out: Any = None  # training does not change the best parameters and need not copy them

            def one(state: TrainState, item: tuple[Run, Array], *shared: Any) -> TrainState:
                return train_one(spec, item[0], state, item[1], *shared)

            after = self._map_in_place(one)(state._replace(best=left_out), (runs, indices), split, start, stop)
            return after._replace(best=state.best)

        def evaluate(params: Params, runs: Run, split: Split) -> MetricSums:
            return self._map(lambda item, split: single_run.evaluate(spec, item[1], item[0], split, axis=axis))(
                (params, runs), split
            )

        def evaluate_divided(params: Params, runs: Run, split: Split) -> MetricSums:
            def one(item: tuple[Params, Run], split: Split) -> MetricSums:
                return single_run.evaluate(spec, item[1], item[0], split, order(item[1])[examples:], axis)

            return self._map(one)((params, runs), split)

        def probe(params: Params, runs: Run, split: Split) -> dict[str, Array]:
            return self._map(lambda item, split: single_run.probe(spec, item[1], item[0], split))((params, runs), split)

        def update_best(state: TrainState, sums: MetricSums, epoch: Array) -> TrainState:
            return self._map(lambda item, epoch: single_run.update_best(item[0], item[1], epoch))((state, sums), epoch)

        def indices(runs: Run, epoch: Array) -> Array:
            def one(run: Run, epoch: Array) -> Array:
                rows = batch_indices(spec, run.seed, epoch, examples)
                return order(run)[rows] if divided else rows

            return self._map(one)(runs, epoch)

        def make_state(runs: Run) -> TrainState:
            return jax.vmap(partial(single_run.init_state, spec))(runs)

        state = abstract(jax.eval_shape(make_state, self._runs))
        runs, scalar = self._runs, jax.ShapeDtypeStruct((), np.int32)
        plan = abstract(jax.eval_shape(indices, runs, scalar))
        lowered = {
            "batch_indices": jax.jit(indices).lower(runs, scalar),
            "train": jax.jit(train_steps, donate_argnums=0).lower(state, runs, plan, train, scalar, scalar),
            "update_best": jax.jit(update_best, donate_argnums=0).lower(state, state.sums, scalar),
        }
        for name, split in held_out.items():
            among = divided and name == "validation"
            evaluation = jax.jit(evaluate_divided if among else evaluate)
            lowered[f"evaluate {name}"] = evaluation.lower(state.params, runs, train if among else split)
            if spec.probes:
                lowered[f"probe {name}"] = jax.jit(probe).lower(state.params, runs, split)
        return {name: program.compile() for name, program in lowered.items()}
