"""What a system is to a worker."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Trainer(NamedTuple):
    """One system, ready to train all its runs."""

    # steps of every run, done when it returns: the mean loss in nats, of the last batch or of all so far
    train: Callable[[int], float]
    parameters: int  # of one run
    device: str
    peak_mb: Callable[[], float] | None = None  # of an accelerator; None: the process's own
    forward_flops: int = 0  # of the matrix products in the program of a forward pass, where it can be read


def jax_device(devices: list[Any]) -> str:
    """The devices as text: ``2 x cpu``."""
    return f"{len(devices)} x {devices[0].device_kind.lower()}"


def jax_peak(devices: list[Any]) -> Callable[[], float] | None:
    """What reads the peak memory of accelerators in MB; None on a CPU, whose memory is the process's."""
    if devices[0].platform == "cpu":
        return None
    return lambda: sum(device.memory_stats()["peak_bytes_in_use"] for device in devices) / 1e6
