"""Runs that do not fit into memory: told before anything is written, or made to fit while they train."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import jax

from rnnlab.core.errors import InputError
from rnnlab.core.processes import count, least
from rnnlab.runs.validate import Experiment, abstract_state
from rnnlab.training.batch_axis import arm_mesh
from rnnlab.training.memory import (
    available_bytes,
    readable,
    shares_memory,
    state_bytes_per_device,
    tree_bytes,
    waiting_bytes,
)
from rnnlab.training.run_axis import RUN

T = TypeVar("T")
COPIES = 3  # of a state that is saved: from the devices, and Orbax's two; where it waits: itself, and files old and new
SMALLER = "a smaller hidden_size, batch_size or sequence_length, or remat=true"


def data_bytes(experiment: Experiment) -> int:
    """Bytes of the data on a device, which holds all of it."""
    return tree_bytes([experiment.dataset.train, experiment.dataset.validation, experiment.dataset.test])


def check_memory(experiment: Experiment, directory: Path | None) -> None:
    """Raise InputError for an arm that does not fit, as `waves_of`."""
    for name in experiment.specs:
        waves_of(experiment, name, directory)


def waiting_place(directory: Path | None) -> Path | None:
    """Where `Waves` wait: in the run's ``directory`` if devices and host share one memory, else (None) on the host."""
    return directory if shares_memory() else None


def waves_of(
    experiment: Experiment, name: str, directory: Path | None, available: int | None = None, room: int | None = None
) -> int:
    """In how many `Waves` the runs of an arm are trained: 1 where the states of all fit on the devices.

    ``available`` bytes of a device, and the ``room`` where states wait, on the host or on the disk of the run's
    ``directory``, are measured. Raises InputError where data, state and gradient of one run exceed a device, or where
    the states of all runs fit neither there nor where they would wait. What else a step needs is known when it is
    compiled: see `run --dry-run`, and `with_fewer_side_by_side`.
    """
    available = least(available_bytes()) if available is None else available
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
    mesh = arm_mesh(spec, runs, batch_devices=experiment.batch_devices)
    states = state_bytes_per_device(abstract, mesh) * (1 + (COPIES if shares_memory() else 0))
    left = available - data - one
    if states <= left:
        return 1
    room = least(waiting_bytes(directory)) or 0 if room is None else room
    if COPIES * tree_bytes(abstract) <= room:
        each = max(1, left * number // (2 * tree_bytes(abstract)))  # half is left to a step's temporaries, or a save
        return max(2, -(-number // (each * mesh.shape[RUN])))
    parts = -(-states // max(1, left))
    raise InputError(
        f"memory: the states of the {number} runs of arm {name} need {readable(states)} on a device that has "
        f"{readable(left)} left for them; accepted: fewer seeds or hyperparameters at once (--part I/{parts} "
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
