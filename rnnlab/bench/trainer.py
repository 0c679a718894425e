"""The interface between a system and its worker."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Trainer(NamedTuple):
    """A system that is ready to train all its runs."""

    # number of steps of every run -> mean loss in nats, of the last batch or of all so far; returns when they are done
    train_steps: Callable[[int], float]
    parameters: int  # of one run
    device: str
    peak_mb: Callable[[], float] | None = None  # of an accelerator; None: use that of the process
    forward_flops: int = 0  # of the matrix products of a forward pass; 0: unknown


def jax_device(devices: list[Any]) -> str:
    """The devices in words: ``2 x cpu``."""
    return f"{len(devices)} x {devices[0].device_kind.lower()}"


def jax_peak(devices: list[Any]) -> Callable[[], float] | None:
    """Returns the peak memory of accelerators in MB; None on a CPU, whose memory is that of the process."""
    if devices[0].platform == "cpu":
        return None
    return lambda: sum(device.memory_stats()["peak_bytes_in_use"] for device in devices) / 1e6
