"""One system in a process of its own: ``python -m rnnlab.bench.worker``.

Reads lines from standard input and answers each with one line of JSON on standard output: first the case to prepare,
as JSON; then ``train STEPS`` any number of times; then ``end``. The process exits as soon as its input closes.
"""

import json
import os
import queue
import resource
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from rnnlab.bench.workloads import Workload

RNNLAB, MATRIX_PRODUCT = "rnnlab", "matrix product"


def main() -> None:
    """Answer until the input ends or something fails: ``{"error": ...}``."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries goes to standard error

    def answer(**fields: Any) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    lines = _lines()
    case = json.loads(lines.get())
    try:
        train_steps, peak_mb = (_matrix_product if case["system"] == MATRIX_PRODUCT else _system)(case, answer)
        while (line := lines.get()) != "end":
            answer(**train_steps(int(line.removeprefix("train "))))
        answer(peak_mb=peak_mb())
    except BaseException as error:  # any failure is reported in the row of this system
        answer(error=" ".join(f"{type(error).__name__}: {error}".split())[:300])
    os._exit(0)  # a normal exit would wait for the reading thread


def _lines() -> "queue.Queue[str]":
    """The lines of standard input. The process exits when it closes, and thus with its parent."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line.strip())
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return lines


Prepared = tuple[Callable[[int], dict[str, Any]], Callable[[], float]]


def _system(case: dict[str, Any], answer: Callable[..., None]) -> Prepared:
    """A compiled and warm system. ``compile_s``: from after its imports to the end of its first step, less a step."""
    from rnnlab.bench.peers import PEERS

    workload = Workload(**case["workload"])
    if case["system"] == RNNLAB:
        from rnnlab.bench.rnnlab_trainer import rnnlab as make
    else:
        make = PEERS[case["system"]].make
    _import(case["system"])
    began = time.perf_counter()
    trainer = make(workload, case["runs"], **case["options"])
    trainer.train_steps(1)
    first = time.perf_counter() - began
    trainer.train_steps(1)
    began = time.perf_counter()
    trainer.train_steps(1)
    step = time.perf_counter() - began
    answer(
        compile_s=max(0.0, first - step), seconds=step, parameters=trainer.parameters, device=trainer.device,
        forward_flops=trainer.forward_flops,
    )  # fmt: skip

    def train_steps(steps: int) -> dict[str, Any]:
        began = time.perf_counter()
        loss = trainer.train_steps(steps)
        return {"seconds": time.perf_counter() - began, "loss": loss}

    return train_steps, trainer.peak_mb or _process_peak


def _import(system: str) -> None:
    """Import the libraries of the system, so that ``compile_s`` does not include it."""
    import importlib

    os.environ["KERAS_BACKEND"] = "jax"
    for module in {"torch": ["torch"], "torch-processes": ["torch"], "keras": ["keras", "optax"]}.get(
        system, ["flax.linen", "optax", "rnnlab.training.optimizers"]
    ):
        importlib.import_module(module)


def _matrix_product(case: dict[str, Any], answer: Callable[..., None]) -> Prepared:
    from rnnlab.bench.rnnlab_trainer import matrix_product

    multiply, n, operations, device = matrix_product(**case["options"])
    answer(n=n, operations=operations, device=device, seconds=multiply())
    return lambda _: {"seconds": multiply()}, _process_peak


def _process_peak() -> float:
    """Peak resident memory of the process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


if __name__ == "__main__":
    main()
