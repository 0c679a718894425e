"""One system in a process of its own: ``python -m rnnlab.bench.worker``.

Reads lines on standard input and answers each with one line of JSON on standard output: first what to prepare, as
JSON; then ``go STEPS`` any number of times; then ``end``. The process ends with its input, whatever it is doing.
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

from rnnlab.bench.workloads import Work

OURS, PRODUCT = "rnnlab", "matrix product"


def main() -> None:
    """Answer until the input ends, or something fails: ``{"error": ...}``."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer

    def answer(**fields: Any) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    lines = _lines()
    asked = json.loads(lines.get())
    try:
        go, peak_mb = (_product if asked["system"] == PRODUCT else _system)(asked, answer)
        while (line := lines.get()) != "end":
            answer(**go(int(line.removeprefix("go "))))
        answer(peak_mb=peak_mb())
    except BaseException as error:  # whatever it is, it costs this system its column, and is said there
        answer(error=" ".join(f"{type(error).__name__}: {error}".split())[:300])
    os._exit(0)  # an ordinary exit would wait for the thread that reads


def _lines() -> "queue.Queue[str]":
    """The lines of standard input. The process ends with it: no parent, no worker."""
    found: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            found.put(line.strip())
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return found


Prepared = tuple[Callable[[int], dict[str, Any]], Callable[[], float]]


def _system(asked: dict[str, Any], answer: Callable[..., None]) -> Prepared:
    """A system made, compiled and warm. ``compile_s``: from its imports to the end of its first step, less a step."""
    from rnnlab.bench.peers import PEERS

    work = Work(**asked["work"])
    if asked["system"] == OURS:
        from rnnlab.bench.rnnlab_trainer import rnnlab as make
    else:
        make = PEERS[asked["system"]].train
    _import(asked["system"])
    began = time.perf_counter()
    trainer = make(work, asked["runs"], **asked["options"])
    trainer.train(1)
    first = time.perf_counter() - began
    trainer.train(1)
    began = time.perf_counter()
    trainer.train(1)
    step = time.perf_counter() - began
    answer(
        compile_s=max(0.0, first - step), seconds=step, parameters=trainer.parameters, device=trainer.device,
        forward_flops=trainer.forward_flops,
    )  # fmt: skip

    def go(steps: int) -> dict[str, Any]:
        began = time.perf_counter()
        loss = trainer.train(steps)
        return {"seconds": time.perf_counter() - began, "loss": loss}

    return go, trainer.peak_mb or _process_peak


def _import(system: str) -> None:
    """Import what the system needs, so that its preparation does not have to."""
    import importlib

    os.environ["KERAS_BACKEND"] = "jax"
    for module in {"torch": ["torch"], "torch-processes": ["torch"], "keras": ["keras", "optax"]}.get(
        system, ["flax.linen", "optax", "rnnlab.train.optimizers"]
    ):
        importlib.import_module(module)


def _product(asked: dict[str, Any], answer: Callable[..., None]) -> Prepared:
    from rnnlab.bench.rnnlab_trainer import matrix_product

    multiply, n, operations, device = matrix_product(**asked["options"])
    answer(n=n, operations=operations, device=device, seconds=multiply())
    return lambda _: {"seconds": multiply()}, _process_peak


def _process_peak() -> float:
    """The most memory that the process had at once, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


if __name__ == "__main__":
    main()
