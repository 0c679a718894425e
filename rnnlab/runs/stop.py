"""Ctrl-C and SIGTERM while a run trains."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Stop:
    """Whether the user asked the run to stop, and by which signal."""

    requested = False
    signal = signal.SIGINT


@contextmanager
def stop_on_signal(stop: Stop) -> Iterator[None]:
    """Ctrl-C and SIGTERM set ``stop``: the run saves and returns. A second one stops it at once."""

    def request(number: int, frame: Any) -> None:
        if stop.requested:
            raise KeyboardInterrupt(number)
        stop.requested, stop.signal = True, signal.Signals(number)

    if threading.current_thread() is not threading.main_thread():  # Python sets handlers in the main thread only
        yield
        return
    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
