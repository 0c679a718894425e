"""Ctrl-C, SIGTERM and SIGCONT while a run trains."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Stop:
    """Whether the user asked the run to stop, by which signal, and how often the process stood and went on."""

    requested = False
    signal = signal.SIGINT
    continued = 0


@contextmanager
def stop_on_signal(stop: Stop) -> Iterator[None]:
    """Ctrl-C and SIGTERM set ``stop``: the run saves and returns. A second one stops it at once.

    SIGCONT, which ends SIGSTOP and Ctrl-Z, is counted: the run does not count the time in between as its own.
    """

    def request(number: int, frame: Any) -> None:
        if stop.requested:
            raise KeyboardInterrupt(number)
        stop.requested, stop.signal = True, signal.Signals(number)

    def went_on(number: int, frame: Any) -> None:
        stop.continued += 1

    if threading.current_thread() is not threading.main_thread():  # Python sets handlers in the main thread only
        yield
        return
    handlers = {signal.SIGINT: request, signal.SIGTERM: request, signal.SIGCONT: went_on}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
