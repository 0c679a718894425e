"""The run axis R over devices: which of them, how arrays get there and back, functions mapped over runs."""

import contextlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, Sharding
from jax.sharding import PartitionSpec as P

from rnnlab.core.processes import SharedError
from rnnlab.core.types import Array

RUN, BATCH = "run", "batch"


def use_all_cores() -> None:
    """Make every CPU core a device unless JAX_NUM_CPU_DEVICES is set, or JAX runs already: its devices stay."""
    config: Any = jax.config  # its options have no static types
    if config.jax_num_cpu_devices < 0:
        usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)  # macOS
        with contextlib.suppress(RuntimeError):
            config.update("jax_num_cpu_devices", len(usable))


def device_mesh(runs: int, devices: Sequence[Any] | None = None, batch_devices: int = 1) -> Mesh:
    """A mesh (RUN, BATCH) over every device of all processes (or ``devices``), ``batch_devices`` for each run.

    At most one such group of devices per run: a run padded over two of them would be trained twice. With groups of
    one, each of several processes has as many devices in the mesh. Raises SharedError for fewer runs than processes.
    """
    chosen = list(devices or jax.devices())
    if batch_devices > 1:
        groups = min(runs, len(chosen) // batch_devices)
        left_out = {device.process_index for device in chosen[groups * batch_devices :]}
        if left_out.difference(device.process_index for device in chosen[: groups * batch_devices]):
            raise SharedError(
                f"batch_devices: {batch_devices} for {runs} runs leave a process without work; accepted: "
                f"{len(chosen) // runs}, fewer processes or more runs"
            )
        return Mesh(np.array(chosen[: groups * batch_devices]).reshape(groups, batch_devices), (RUN, BATCH))
    processes = sorted({device.process_index for device in chosen})
    if len(processes) == 1:
        return Mesh(np.array(chosen[:runs]).reshape(-1, 1), (RUN, BATCH))
    if runs < len(processes):
        raise SharedError(f"--distributed: {runs} runs for {len(processes)} processes; accepted: at least one run each")
    of_each = [[device for device in chosen if device.process_index == index] for index in processes]
    count = min(-(-runs // len(processes)), *map(len, of_each))
    return Mesh(np.array([device for own in of_each for device in own[:count]]).reshape(-1, 1), (RUN, BATCH))


def own_rows(mesh: Mesh, rows: int) -> slice:
    """Which of ``rows``, a multiple of the devices, lie on the devices of this process."""
    groups = enumerate(mesh.devices)
    here = [number for number, group in groups if jax.process_index() in {device.process_index for device in group}]
    each = rows // len(mesh.devices)
    return slice(here[0] * each, (here[-1] + 1) * each)


def place(tree: Any, sharding: Sharding) -> Any:
    """Host arrays, equal in every process, on the devices of ``sharding``."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def put(leaf: Any) -> Any:
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(put, tree)


def place_own(tree: Any, sharding: Sharding) -> Any:
    """As `place`, of trees that hold the rows of this process alone."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf)), tree)


def fetch(tree: Any) -> Any:
    """Arrays of devices as NumPy arrays, whole in every process."""

    def whole(leaf: Any) -> np.ndarray:
        if getattr(leaf, "is_fully_addressable", True):
            return np.asarray(leaf)
        return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))

    return jax.tree.map(whole, tree)


def default_runs_per_device(mesh: Mesh, runs: int) -> int:
    """How many runs a device trains at once: one on a CPU, whose caches hold one run's weights; elsewhere all."""
    platform = mesh.devices.flat[0].platform
    return 1 if platform == "cpu" else max(1, -(-runs // mesh.shape[RUN]))


def pad_runs(runs: Any, multiple: int) -> Any:
    """Leaves ``[R, ...]`` with the last run repeated until ``multiple`` divides R."""
    count = len(jax.tree.leaves(runs)[0])
    rows = np.minimum(np.arange(-(-count // multiple) * multiple), count - 1)
    return jax.tree.map(lambda leaf: leaf[rows], runs)


def map_runs(function: Callable[..., Any], mesh: Mesh, runs_per_device: int) -> Callable[..., Any]:
    """``function(one_run, *shared)`` over all runs: leaves of the first argument are ``[R, ...]``, sharded by run.

    A device vmaps ``runs_per_device`` runs at a time. Devices do not communicate.
    """

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
    """``map_runs`` of ``function(state, one_run, *shared) -> state`` that writes new states over the old ones.

    ``runs_per_device`` must divide the number of runs on a device. Without a second array of all states, a tenth of
    the time is saved where states are large and steps few.
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
    """``function`` on each device: its own rows of the first ``split`` arguments, and all of the others."""

    def all_devices(*arguments: Any) -> Any:
        specs = (*[P(RUN)] * split, *[P()] * (len(arguments) - split))
        # check_vma=False: the check rejects scans that start from constant carries
        mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=P(RUN), check_vma=False)
        return mapped(*arguments)

    return all_devices
