"""The batch axis: devices that share the batches of a run, where there are more devices than runs."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from rnnlab.cells.registry import cell_factory
from rnnlab.cells.user_cell import whole_model
from rnnlab.core.errors import InputError
from rnnlab.training.arm_spec import DROPOUT, LAYER_DROPOUT, ZONEOUT, ArmSpec
from rnnlab.training.run_axis import device_mesh
from rnnlab.training.state import Run

# Batch size x hidden size^2 between which two CPU devices are faster than one (BUILD_NOTES): below they wait for each
# other, above one device keeps all cores busy with its matrix products.
PAYS_ON_CPU = range(200_000, 10_000_000)


def check_batch_devices(spec: ArmSpec, hyperparams: Iterable[str], batch_devices: int, devices: int) -> None:
    """Raise InputError unless so many of ``devices`` devices can share the arm's batches."""
    why = f"there are {devices} devices" if batch_devices > devices else _why_not(spec, hyperparams, batch_devices)
    if why:
        raise InputError(f"batch_devices: {batch_devices}, but {why}; accepted: 1, or none")


def default_batch_devices(spec: ArmSpec, hyperparams: Iterable[str], runs: int, devices: Sequence[Any]) -> int:
    """How many devices share the batches of each run: all that runs leave idle, where that can be and is faster.

    One on accelerators and between processes, where that was not measured.
    """
    measured = devices[0].platform == "cpu" and len({device.process_index for device in devices}) == 1
    if not measured or spec.batch_size * spec.hidden_size**2 not in PAYS_ON_CPU:
        return 1
    names = list(hyperparams)
    shares = range(len(devices) // runs, 1, -1)
    return next((count for count in shares if not _why_not(spec, names, count)), 1)


def arm_mesh(spec: ArmSpec, runs: Run, devices: Sequence[Any] | None = None, batch_devices: int | None = None) -> Mesh:
    """The `device_mesh` of an arm, with `default_batch_devices` unless ``batch_devices`` are given.

    With ``batch_devices`` 1 a run alone is trained on two devices, padded, where there are two: XLA may round a program
    for one device otherwise (BUILD_NOTES), and so its bits are those of a sweep.
    """
    count, devices = len(runs.seed), devices or jax.devices()
    if batch_devices is None:
        batch_devices = default_batch_devices(spec, runs.hyperparams, count, devices)
    elif batch_devices == 1 and jax.process_count() == 1:
        count = max(count, 2)
    return device_mesh(count, devices, batch_devices)


def _why_not(spec: ArmSpec, hyperparams: Iterable[str], batch_devices: int) -> str:
    if spec.batch_size % batch_devices:
        return f"it does not divide batch_size {spec.batch_size}"
    if spec.batch_sampling == "contiguous":
        return "contiguous batches carry their state on"
    if whole_model(spec.cell) is not None:
        return f"{spec.cell} is a whole model, which may look at the whole batch"
    masks = {*DROPOUT, LAYER_DROPOUT, ZONEOUT}.intersection(hyperparams)
    if masks:
        return f"{min(masks)} draws a mask for the whole batch"
    for name in filter(None, (spec.cell, spec.decoder)):
        if "key" in inspect.signature(cell_factory(name)).parameters:
            return f"{name} draws random numbers for the whole batch"
    return ""
