"""Runs that do not fit into memory: told before anything is written, or made to fit while they train."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import jax

from rnnlab.core.errors import InputError
from rnnlab.core.processes import count
from rnnlab.runs.validate import Experiment, abstract_state
from rnnlab.training.batch_axis import arm_mesh
from rnnlab.training.memory import available_bytes, host_bytes, readable, state_bytes_per_device, tree_bytes
from rnnlab.training.run_axis import RUN

T = TypeVar("T")
SMALLER = "a smaller hidden_size, batch_size or sequence_length, or remat=true"


def data_bytes(experiment: Experiment) -> int:
    """Bytes of the data on a device, which holds all of it."""
    return tree_bytes([experiment.dataset.train, experiment.dataset.validation, experiment.dataset.test])


def check_memory(experiment: Experiment) -> None:
    """Raise InputError for an arm that does not fit, as `waves_of`."""
    for name in experiment.specs:
        waves_of(experiment, name)


def waves_of(experiment: Experiment, name: str, available: int | None = None, host: int | None = None) -> int:
    """In how many `Waves` the runs of an arm are trained: 1 where the states of all fit on the devices.

    ``available`` bytes of a device, and of the ``host`` beside the devices, are measured. Raises InputError where data,
    state and gradient of one run exceed a device, or where the states of all runs fit neither there nor on the host.
    What else a step needs is known when it is compiled: see `run --dry-run`, and `with_fewer_side_by_side`.
    """
    available = available_bytes() if available is None else available
    if available is None:
        return 1
    data, spec, runs = data_bytes(experiment), experiment.specs[name], experiment.runs(name)
    number, abstract = len(runs.seed), abstract_state(spec, runs)
    one = (tree_bytes(abstract) + tree_bytes(abstract.params)) // number  # with a gradient
    if data + one > available:
        raise InputError(
            f"memory: a run of arm {name} needs {readable(one)} for its state and gradient beside {readable(data)} "
            f"of data, and a device has {readable(available)}; accepted: {SMALLER}"
        )
    mesh = arm_mesh(spec, runs, batch_devices=experiment.config.batch_devices)
    states = state_bytes_per_device(abstract, mesh)
    room = available - data - one
    if states <= room:
        return 1
    host = host_bytes() if host is None else host
    if 2 * tree_bytes(abstract) <= host and count() == 1:  # they and the copy that is saved
        each = max(1, room * number // (2 * tree_bytes(abstract)))  # half of the room is left to a step's temporaries
        return -(-number // (each * mesh.shape[RUN]))
    parts = -(-states // max(1, room))
    raise InputError(
        f"memory: the states of the {number} runs of arm {name} need {readable(states)} on a device that has "
        f"{readable(room)} left for them; accepted: fewer seeds or hyperparameters at once (--part I/{parts} "
        f"for each I, then merge), more devices, or {SMALLER}"
    )


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether a device or the host had no room for an array."""
    lacking = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    return lacking or isinstance(error, MemoryError)


@contextmanager
def explained(name: str, more: str = "") -> Iterator[None]:
    """Lack of memory while arm ``name`` trains, as InputError."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not is_lack_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200] or "no memory left"
        raise InputError(f"memory: arm {name}{more}: {reason}; accepted: {SMALLER}") from error


def with_fewer_side_by_side(train: Callable[[int | None], T], name: str, most: int, tell: Callable[[str], None]) -> T:
    """``train(runs_per_device)`` with None, and for lack of memory again with half of ``most``, a quarter, ..., 1.

    ``train`` starts from what is saved. Raises InputError where one run at a time does not fit.
    """
    side_by_side: int | None = None
    while True:
        try:
            return train(side_by_side)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            now = most if side_by_side is None else side_by_side
            if now == 1 or count() > 1 or not is_lack_of_memory(error):
                with explained(name, " (what was saved before stays valid)"):
                    raise
        side_by_side = now // 2
        tell(f"memory: {now} runs of arm {name} side by side on a device do not fit: goes on with {side_by_side}")
