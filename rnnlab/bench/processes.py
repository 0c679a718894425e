"""The processes of a system: started, asked, ended."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rnnlab.bench.peers import PEERS
from rnnlab.bench.worker import PRODUCT
from rnnlab.bench.workloads import Work

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 600  # for one answer: compilation, or a turn
# Of every worker: several share a device, and each is to pay for its own compilation.
SETTINGS = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "JAX_ENABLE_COMPILATION_CACHE": "false"}


class FailedError(Exception):
    """A worker did not answer; the message says why."""


class Case(NamedTuple):
    """What one system is timed on."""

    system: str  # "rnnlab" or a row of PEERS
    work: Work
    runs: int
    options: Mapping[str, Any] = {}  # of what makes its Trainer


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Worker:
    """A running ``rnnlab.bench.worker``. It ends with this object's ``close``, and with this process in any case."""

    def __init__(self, asked: Mapping[str, Any], environment: Mapping[str, str]) -> None:
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
        self.ask(json.dumps(asked))

    def ask(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it is dead: ``answer`` finds out why

    def answer(self) -> dict[str, Any]:
        """What it says next. Raises FailedError."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], LIMIT_SECONDS)  # an answer is a line, and whole
        if not ready:
            raise FailedError(f"no answer in {LIMIT_SECONDS} s")
        line = self._process.stdout.readline()
        if not line:
            raise FailedError(self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise FailedError(answer["error"])
        return answer

    def _last_words(self) -> str:
        code = self._process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            return f"killed by {name}" + (", as a system short of memory does" if name == "SIGKILL" else "")
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return lines[-1][:300] if lines else f"ended with code {code}"

    def close(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


class System:
    """The process of a case; of a peer with a process a core, all of them. They go at once, and the slowest counts."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._workers: list[Worker] = []

    def prepare(self) -> dict[str, Any]:
        """Start it, and wait until it is compiled and warm. Raises FailedError."""
        case, answers = self.case, []
        peer = PEERS.get(case.system)
        count = min(cores(), case.runs) if peer is not None and peer.processes else 1
        for index in range(count):
            first, end = (case.runs * place // count for place in (index, index + 1))
            options = dict(case.options)
            if count > 1 or (peer is not None and peer.processes):
                options |= {"threads": 1, "first": first}
            asked = {"system": case.system, "work": case.work._asdict(), "runs": end - first, "options": options}
            self._workers.append(Worker(asked, {"OMP_NUM_THREADS": "1"} if "threads" in options else {}))
            answers.append(self._workers[-1].answer())
        slowest = {name: max(answer[name] for answer in answers) for name in ("compile_s", "seconds")}
        several = f"{count} processes, each " if count > 1 else ""
        return {**answers[0], **slowest, "device": several + answers[0]["device"]}

    def go(self, steps: int) -> dict[str, Any]:
        """``steps`` training steps of every run: seconds and loss. Raises FailedError."""
        for worker in self._workers:
            worker.ask(f"go {steps}")
        answers = [worker.answer() for worker in self._workers]
        return {**answers[0], "seconds": max(answer["seconds"] for answer in answers)}

    def end(self) -> float:
        """The most memory that its processes had, in MB, together. Raises FailedError."""
        for worker in self._workers:
            worker.ask("end")
        return sum(worker.answer()["peak_mb"] for worker in self._workers)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        self._workers = []


class Product:
    """The large matrix product, in a process of its own: its matrices are no part of our peak memory."""

    def __init__(self, n: int = 0) -> None:
        self._worker = Worker({"system": PRODUCT, "options": {"n": n}}, {})
        try:
            self.about = self._worker.answer()
        except BaseException:
            self._worker.close()
            raise

    def gflops(self) -> float:
        """The rate of one product. Raises FailedError."""
        self._worker.ask("go 1")
        return self.about["operations"] / self._worker.answer()["seconds"] / 1e9

    def close(self) -> None:
        self._worker.close()
