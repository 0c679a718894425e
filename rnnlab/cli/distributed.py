"""One run over several processes: the options, and `jax.distributed` begun and ended for them."""

import argparse
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from rnnlab.core.errors import InputError
from rnnlab.core.terminal import escaped

HAND = ("coordinator", "processes", "process")
BY_HAND = "--coordinator HOST:PORT --processes N --process I"
STOPPED = 130  # the exit code of every process, whichever of them was told to stop, by whichever signal
GONE = ("Gloo", "NCCL", "coordination", "Connection", "UNAVAILABLE", "heartbeat")  # in what JAX says of a lost process


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a run over several processes."""
    add = parser.add_argument
    add("--distributed", action="store_true",
        help="one run over several processes, each started with this same command: under SLURM, Open MPI, Kubernetes "
        f"and on TPU pods JAX finds the others, elsewhere give {BY_HAND}")  # fmt: skip
    add("--coordinator", metavar="HOST:PORT", help="where process 0 listens")
    add("--processes", metavar="N", help="how many processes there are")
    add("--process", metavar="I", help="which of them this is, from 0")
    add("--wait", metavar="SECONDS", help="for the other processes to come (default: 300)")


@contextmanager
def connected(options: argparse.Namespace) -> Iterator[None]:
    """JAX connected to the other processes, if the options say that there are some, and started.

    If this process fails alone it ends at once, without waiting for the others, which notice and end too.
    """
    from rnnlab.cli.devices import check_devices
    from rnnlab.training.run_axis import use_all_cores

    arguments = _arguments(options)
    if arguments is None:
        use_all_cores()
        check_devices()
        yield
        return
    wait = arguments.pop("wait")
    impatient = threading.Timer(wait, _end, [2, f"--distributed: not all processes came within {wait:g} s (--wait)"])
    impatient.daemon = True
    impatient.start()
    _connect(arguments, wait)
    import jax

    from rnnlab.core import processes

    try:
        use_all_cores()
        check_devices()
        impatient.cancel()
        yield
    except processes.SharedError:
        jax.distributed.shutdown()
        raise
    except (InputError, OSError) as error:
        _end(2, f"process {jax.process_index()}: {error}")
    except KeyboardInterrupt:
        _end(STOPPED, "stopped; what was saved before stays valid")
    except Exception as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and any(word in str(error) for word in GONE):
            _end(3, f"another process of this run ended, or cannot be reached: {str(error).splitlines()[0]}; "
                    "what was saved before stays valid: resume DIR --distributed")  # fmt: skip
        traceback.print_exc()
        _end(1, "this process failed, and with it the run; what was saved before stays valid")
    jax.distributed.shutdown()


def _arguments(options: argparse.Namespace) -> dict[str, Any] | None:
    """The arguments of `jax.distributed.initialize` and ``wait``; None for a run of one process."""
    options = argparse.Namespace(**{**dict.fromkeys((*HAND, "distributed", "wait")), **vars(options)})
    by_hand = {name: getattr(options, name) for name in HAND}
    given = [name for name, value in by_hand.items() if value is not None]
    if not options.distributed:
        if stray := [*given, *(["wait"] if options.wait is not None else [])]:
            raise InputError(f"--{stray[0]}: without --distributed; accepted: --distributed {BY_HAND}")
        return None
    wait = _number("wait", options.wait or "300", 1, 86_400)
    if not given:
        return {"wait": wait}
    if missing := [name for name in by_hand if name not in given]:
        raise InputError(
            f"--{missing[0]}: missing; accepted: {BY_HAND}, or none of the three where JAX finds the others"
        )
    host, _, port = options.coordinator.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise InputError(f"--coordinator: {options.coordinator!r} is not accepted; accepted: HOST:PORT")
    count = _number("processes", options.processes, 1, 100_000)
    index = _number("process", options.process, 0, count - 1)
    return {"coordinator_address": options.coordinator, "num_processes": count, "process_id": index, "wait": wait}


def _number(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise InputError(f"--{name}: {text!r} is not accepted; accepted: a whole number from {least} to {most}")
    return int(text)


def _connect(arguments: dict[str, Any], wait: int) -> None:
    if arguments.get("process_id"):
        _await_coordinator(arguments["coordinator_address"], wait)
    from rnnlab.core.processes import connect

    try:
        connect(wait + 60, **arguments)
    except Exception as error:  # of JAX and of the environments that it looks at: no one error
        reason = " ".join(str(error).split()) or type(error).__name__
        where = "no other processes found here" if not arguments else str(arguments["coordinator_address"])
        raise InputError(f"--distributed: {where}: {reason}; accepted: under SLURM, Open MPI, Kubernetes or on a TPU "
                         f"pod, or with {BY_HAND}") from error  # fmt: skip


def _await_coordinator(address: str, wait: int) -> None:
    """Raise InputError if nobody listens; JAX would end the process with a trace of C++."""
    host, _, port = address.rpartition(":")
    until = time.monotonic() + wait
    while True:
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=min(5, wait)):
                return
        except OSError as error:
            if time.monotonic() > until - 1:  # before the timer, which knows less
                raise InputError(f"--coordinator: {address} does not answer within {wait} s: {error}") from error
            time.sleep(0.2)


def _end(code: int, line: str) -> NoReturn:
    """End the process at once: what JAX does at an orderly exit waits for processes that are gone."""
    try:
        print(escaped(f"error: {' '.join(line.split())}"), file=sys.stderr, flush=True)
    finally:
        os._exit(code)
