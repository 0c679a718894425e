"""Many runs at once: the run axis, its devices and its chunks. Pure but for placing arrays on devices."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from rnnlab.core.types import Array, MetricSums, Run, Split, TrainState
from rnnlab.train import single_run as train

RUN = "run"


def use_all_cores() -> None:
    """Make every CPU core a device, unless a number is set already (JAX_NUM_CPU_DEVICES). Call it before JAX starts."""
    config: Any = jax.config  # its options have no static types
    if config.jax_num_cpu_devices < 0:
        usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)  # macOS
        config.update("jax_num_cpu_devices", len(usable))


def device_mesh(runs: int, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh whose one axis spans every device of the process (or the given ones), but no more than ``runs``.

    One run on one CPU device may use all cores; padded over two devices it would be trained twice.
    """
    return Mesh(np.array((devices or jax.devices())[:runs]), (RUN,))


def run_grid(seeds: Sequence[int], hyperparams: Mapping[str, Sequence[float]]) -> Run:
    """All runs of an arm on the host: seeds x every combination of numbers, leaves ``[R]``, seeds varying fastest."""
    rows = [(combination, seed) for combination in product(*hyperparams.values()) for seed in seeds]
    columns = zip(*(combination for combination, _ in rows), strict=True) if hyperparams else ()
    return Run(
        np.array([seed for _, seed in rows], np.uint32),
        {name: np.array(column, np.float32) for name, column in zip(hyperparams, columns, strict=True)},
    )


def default_chunk(mesh: Mesh, runs: int) -> int:
    """Runs a device trains side by side: one on a CPU, whose caches hold one run's weights; elsewhere all of them."""
    platform = mesh.devices.flat[0].platform
    return 1 if platform == "cpu" else max(1, -(-runs // mesh.size))


def pad_runs(runs: Any, multiple: int) -> Any:
    """Leaves ``[R, ...]`` with the last run repeated until ``multiple`` divides R. The caller drops the surplus."""
    count = len(jax.tree.leaves(runs)[0])
    rows = np.minimum(np.arange(-(-count // multiple) * multiple), count - 1)
    return jax.tree.map(lambda leaf: leaf[rows], runs)


def map_runs(function: Callable[..., Any], mesh: Mesh, runs_per_device: int) -> Callable[..., Any]:
    """``function(one_run, *shared)`` for all runs: leaves of the first argument have a leading R, sharded over the
    mesh; inside a device ``runs_per_device`` runs are vmapped at a time. There is no communication between devices."""

    def on_one_device(per_run: Any, *shared: Any) -> Any:
        def one(item: Any) -> Any:
            return function(item, *shared)

        count = jax.tree.leaves(per_run)[0].shape[0]
        if runs_per_device == 1:
            return jax.lax.map(one, per_run)
        if runs_per_device >= count:
            return jax.vmap(one)(per_run)
        return jax.lax.map(one, per_run, batch_size=runs_per_device)

    return _on_every_device(on_one_device, mesh, 1)


def map_runs_in_place(function: Callable[..., Any], mesh: Mesh, runs_per_device: int) -> Callable[..., Any]:
    """``map_runs`` of a ``function(state, one_run, *shared)`` that returns a state: ``(states, per_run, *shared)``.

    ``runs_per_device`` divides the runs of a device. A chunk's new states are written over its old ones: no second array of
    all states is made, cleared and filled, which takes a tenth of the time where a state is large and its steps few.
    """

    def on_one_device(states: Any, per_run: Any, *shared: Any) -> Any:
        def update(number: Array, states: Any) -> Any:
            if runs_per_device == 1:
                after = function(*jax.tree.map(lambda leaf: leaf[number], (states, per_run)), *shared)
                return jax.tree.map(lambda leaf, new: leaf.at[number].set(new), states, after)
            start = number * runs_per_device
            rows = jax.tree.map(
                lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, runs_per_device), (states, per_run)
            )
            put = partial(jax.lax.dynamic_update_slice_in_dim, start_index=start, axis=0)
            return jax.tree.map(put, states, several(*rows, *shared))

        several = jax.vmap(function, in_axes=(0, 0, *[None] * len(shared)))
        count = jax.tree.leaves(states)[0].shape[0]
        if runs_per_device == count > 1:
            return several(states, per_run, *shared)
        return jax.lax.fori_loop(0, count // runs_per_device, update, states)

    return _on_every_device(on_one_device, mesh, 2)


def _on_every_device(function: Callable[..., Any], mesh: Mesh, split: int) -> Callable[..., Any]:
    """``function`` on each device, of its own rows of the first ``split`` arguments and of the whole of the others."""

    def all_devices(*arguments: Any) -> Any:
        specs = (*[P(RUN)] * split, *[P()] * (len(arguments) - split))
        # check_vma=False: scans inside start from constant carries, which the check refuses.
        mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=P(RUN), check_vma=False)
        return mapped(*arguments)

    return all_devices


class Sweep(NamedTuple):
    """The compiled programs of one arm. Every state and run leaf has a leading axis R, padded and sharded."""

    runs: Run
    num_runs: int  # runs asked for; rows from here on are padding
    init: Callable[[], TrainState]
    plan: Callable[[int], Array]  # epoch -> [R, S, B]
    train: Callable[[TrainState, Array, Split, int, int], TrainState]  # (state, plan, split, start, stop)
    evaluate: Callable[[TrainState, Split], MetricSums]
    probe: Callable[[TrainState, Split], dict[str, Array]]
    update_best: Callable[[TrainState, MetricSums, int], TrainState]
    compiled_texts: Callable[[Split], dict[str, str]]  # the compiled programs, for those who want to read them


def make_sweep(recipe: train.Recipe, runs: Run, mesh: Mesh, runs_per_device: int, examples: int) -> Sweep:
    """The programs that train all ``runs`` (host, leaves ``[R]``) of one arm on ``examples`` training examples.

    States given to ``train`` and ``update_best`` are donated. ``runs_per_device`` is the number of runs that one device trains
    side by side; equal seeds, chunk, device kind and versions give bit-equal results.
    """
    runs_per_device = min(runs_per_device, -(-len(runs.seed) // mesh.size))
    on_host, by_run = pad_runs(runs, mesh.size * runs_per_device), NamedSharding(mesh, P(RUN))
    padded = jax.device_put(on_host, by_run)
    mapped = partial(map_runs, mesh=mesh, runs_per_device=runs_per_device)

    # Initial values are drawn on one device, one run at a time: they are the same on any machine size, and LAPACK's
    # QR, run on two CPU devices at once, can wait for ever for the thread pool that it occupies (BUILD_NOTES).
    init = jax.jit(lambda runs: jax.lax.map(lambda run: train.init_state(recipe, run), runs))
    plan = jax.jit(mapped(lambda run, epoch: train.batch_indices(recipe, run, epoch, examples)))

    @partial(jax.jit, donate_argnums=0)
    def train_steps(state: TrainState, runs: Run, plan: Array, split: Split, start: Array, stop: Array) -> TrainState:
        left_out: Any = None  # the best parameters: training does not change them, and need not copy them

        def one(state: TrainState, item: tuple[Run, Array], split: Split, start: Array, stop: Array) -> TrainState:
            run, plan = item
            return train.train_steps(recipe, run, state, plan, split, start, stop)

        update = map_runs_in_place(one, mesh, runs_per_device)
        after = update(state._replace(best=left_out), (runs, plan), split, start, stop)
        return after._replace(best=state.best)

    @jax.jit
    def evaluate(state: TrainState, runs: Run, split: Split) -> MetricSums:
        def one(item: tuple[Any, Run], split: Split) -> MetricSums:
            params, run = item
            return train.evaluate(recipe, run, params, split)

        return mapped(one)((state.params, runs), split)

    @jax.jit
    def probe(state: TrainState, runs: Run, split: Split) -> dict[str, Array]:
        def one(item: tuple[Any, Run], split: Split) -> dict[str, Array]:
            params, run = item
            return train.probe(recipe, run, params, split)

        return mapped(one)((state.params, runs), split)

    @partial(jax.jit, donate_argnums=0)
    def update_best(state: TrainState, validation: MetricSums, epoch: Array) -> TrainState:
        def one(item: tuple[TrainState, MetricSums], epoch: Array) -> TrainState:
            state, validation = item
            return train.update_best(state, validation, epoch)

        return mapped(one)((state, validation), epoch)

    def compiled_texts(split: Split) -> dict[str, str]:
        zero = jnp.int32(0)
        state = jax.eval_shape(init, padded)
        state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=by_run), state)
        order, sums = plan(padded, zero), state.sums
        lowered = {
            "plan": plan.lower(padded, zero),
            "train": train_steps.lower(state, padded, order, split, zero, zero),
            "evaluate": evaluate.lower(state, padded, split),
            "probe": probe.lower(state, padded, split),
            "close_epoch": update_best.lower(state, sums, zero),
        }
        return {name: program.compile().as_text() or "" for name, program in lowered.items()}

    return Sweep(
        padded,
        len(runs.seed),
        init=lambda: jax.device_put(init(jax.device_put(on_host, mesh.devices.flat[0])), by_run),
        plan=lambda epoch: plan(padded, jnp.int32(epoch)),
        train=lambda state, order, split, start, stop: train_steps(
            state, padded, order, split, jnp.int32(start), jnp.int32(stop)
        ),
        evaluate=lambda state, split: evaluate(state, padded, split),
        probe=lambda state, split: probe(state, padded, split),
        update_best=lambda state, validation, epoch: update_best(state, validation, jnp.int32(epoch)),
        compiled_texts=compiled_texts,
    )


def replicate(split: Split, mesh: Mesh) -> Split:
    """A split on every device of the mesh, once."""
    return jax.device_put(split, NamedSharding(mesh, P()))
