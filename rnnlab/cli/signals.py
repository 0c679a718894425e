"""Ctrl-C and SIGTERM end a command with one line, wherever it is."""

import os
import signal
import threading
from types import FrameType

LINE = b"stopped; what was saved before stays valid\n"

_ending = threading.Lock()


def end_on_signal() -> None:
    """From now on Ctrl-C and SIGTERM end the process with one line and the exit code 128 + the signal's number.

    At once, from a thread: an exception in the main thread would have to wait for compiled code, and is swallowed or
    turned into other errors where libraries call back or are imported. Files are written whole, so there is nothing
    to tidy. Training, which saves first, has handlers of its own.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _end)
    os.register_at_fork(after_in_child=_leave_to_parent)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()


def _watch(reader: int) -> None:
    while numbers := os.read(reader, 1):
        if signal.getsignal(numbers[0]) is _end:
            _end(numbers[0], None)


def _end(number: int, frame: FrameType | None) -> None:
    if _ending.acquire(blocking=False):  # the thread and the handler both come here
        try:
            os.write(2, LINE)
        finally:
            os._exit(128 + number)


def _leave_to_parent() -> None:
    """A forked child shares the pipe: its signals must not end the parent."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.SIG_DFL)
