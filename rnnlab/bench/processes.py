"""The worker processes of a system."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rnnlab.bench.peers import PEERS
from rnnlab.bench.worker import MATRIX_PRODUCT
from rnnlab.bench.workloads import Workload

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 600  # for one answer: a compilation or a turn
# For every worker: several share a device, and each must compile its own program.
SETTINGS = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_ENABLE_COMPILATION_CACHE": "false"}


class FailedError(Exception):
    """A worker did not answer; the message says why."""


class Case(NamedTuple):
    """A system, its workload and the number of runs."""

    system: str  # "rnnlab" or a key of PEERS
    workload: Workload
    runs: int
    options: Mapping[str, Any] = {}  # of the function that returns its Trainer


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Worker:
    """A running ``rnnlab.bench.worker``. It ends with ``close``, or with this process."""

    def __init__(self, case: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([str(ROOT), inherited] if inherited else [str(ROOT)])
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in close
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rnnlab.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **SETTINGS, **environment, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        self.send(json.dumps(case))

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has exited; ``answer`` reports why

    def answer(self) -> dict[str, Any]:
        """Its next answer. Raises FailedError."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], LIMIT_SECONDS)  # an answer is one complete line
        if not ready:
            raise FailedError(f"no answer in {LIMIT_SECONDS} s")
        line = self._process.stdout.readline()
        if not line:
            raise FailedError(self._exit_reason())
        answer = json.loads(line)
        if "error" in answer:
            raise FailedError(answer["error"])
        return answer

    def _exit_reason(self) -> str:
        code = self._process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            return f"killed by {name}" + (", probably out of memory" if name == "SIGKILL" else "")
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return lines[-1][:300] if lines else f"ended with code {code}"

    def close(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


def free_address() -> str:
    """Where a process may listen for others of this machine."""
    with socket.create_server(("localhost", 0)) as server:
        return f"localhost:{server.getsockname()[1]}"


class System:
    """The process of a case, its ``processes``, or one per core for such a peer. At once, and the slowest counts."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._workers: list[Worker] = []

    def prepare(self) -> dict[str, Any]:
        """Start it and wait until it is compiled and warm. Raises FailedError."""
        case, answers = self.case, []
        for message in _messages(case):
            self._workers.append(Worker(message, {"OMP_NUM_THREADS": "1"} if "threads" in message["options"] else {}))
            if "process" not in message["options"]:  # such wait for each other; others are not to be prepared at once
                answers.append(self._workers[-1].answer())
        answers = answers or [worker.answer() for worker in self._workers]
        count = len(answers)
        slowest = {name: max(answer[name] for answer in answers) for name in ("compile_s", "seconds")}
        device = answers[0]["device"]
        if "processes" in case.options:
            device += f" of {count} processes"
        elif count > 1:
            device = f"{count} processes, each {device}"
        return {**answers[0], **slowest, "device": device}

    def train_steps(self, steps: int) -> dict[str, Any]:
        """``steps`` training steps of every run: seconds and loss. Raises FailedError."""
        for worker in self._workers:
            worker.send(f"train {steps}")
        answers = [worker.answer() for worker in self._workers]
        return {**answers[0], "seconds": max(answer["seconds"] for answer in answers)}

    def end(self) -> float:
        """End it. Returns the sum of the peak memory of its processes in MB. Raises FailedError."""
        for worker in self._workers:
            worker.send("end")
        return sum(worker.answer()["peak_mb"] for worker in self._workers)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        self._workers = []


def _messages(case: Case) -> list[dict[str, Any]]:
    """What each process of a case is told."""
    peer = PEERS.get(case.system)
    message = {"system": case.system, "workload": case.workload._asdict(), "runs": case.runs, "options": case.options}
    if count := case.options.get("processes", 0):
        together = {**case.options, "coordinator": free_address()}
        return [{**message, "options": {**together, "process": index}} for index in range(count)]
    if peer is None or not peer.processes:
        return [message]
    count, messages = min(cores(), case.runs), []
    for index in range(count):
        first, end = (case.runs * position // count for position in (index, index + 1))
        messages.append({**message, "runs": end - first, "options": {**case.options, "threads": 1, "first": first}})
    return messages


class MatrixProduct:
    """The large matrix product, in a process of its own so that its matrices do not count as rnnlab's memory."""

    def __init__(self, n: int = 0) -> None:
        self._worker = Worker({"system": MATRIX_PRODUCT, "options": {"n": n}}, {})
        try:
            self.about = self._worker.answer()
        except BaseException:
            self._worker.close()
            raise

    def gflops(self) -> float:
        """The rate of one product. Raises FailedError."""
        self._worker.send("train 1")
        return self.about["operations"] / self._worker.answer()["seconds"] / 1e9

    def close(self) -> None:
        self._worker.close()
