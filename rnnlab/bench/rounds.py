"""Systems that take turns, and what their times say."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnlab.bench.processes import Case, FailedError, Product, System
from rnnlab.bench.workloads import step_flops

TURN_SECONDS = 0.3  # that one turn takes at least
SETTLE_SECONDS = 0.1  # between turns: threads that still spin for work would slow the next

Record = dict[str, Any]
Say = Callable[[str], None]


class Measured(NamedTuple):
    """What ``measure`` returns."""

    records: list[Record]  # a case each
    rates: list[float]  # GFLOP/s of the large matrix product, a round each


def in_turn(count: int, number: int) -> list[int]:
    """Who goes when in a round: forward in even rounds, backward in odd ones, so that no one always follows another."""
    return list(range(count)) if number % 2 == 0 else list(range(count))[::-1]


def measure(
    cases: Sequence[Case], rounds: int, product: Product | None, say: Say, turn_seconds: float = TURN_SECONDS
) -> Measured:
    """A record for each case: all are prepared one after another, then go once in each of ``rounds`` rounds.

    ``ms_per_step_per_run``: median over rounds of the time of a training step of one run, ``low`` and ``high`` its
    quartiles, ``rounds_ms`` all of it; ``steps`` of each turn; ``gflops`` and ``of_matrix_product``: arithmetic that
    must be done over that time, and as a part of the rate of the large product in the same rounds; ``ratio``: of the
    time to that of the first case; ``peak_mb``, ``compile_s``, ``parameters``, ``forward_flops``, ``device``,
    ``loss``. A case that fails has the reason as ``error``, and None for its numbers.
    """
    systems = [System(case) for case in cases]
    found: list[Record] = [{"rounds_ms": []} for _ in cases]
    rates: list[float] = []

    def prepare(system: System, record: Record) -> None:
        _prepare(system, record, turn_seconds)
        say(f"{system.case.system}: ready, {record['steps']} steps a turn")

    try:
        for system, record in zip(systems, found, strict=True):
            _attempt(prepare, system, record)
        for number in range(rounds):
            if product is not None:
                rates.append(product.gflops())
            for place in in_turn(len(cases), number):
                system, record = systems[place], found[place]
                _attempt(_go, system, record)
        for system, record in zip(systems, found, strict=True):
            _attempt(_end, system, record)
    finally:
        for system in systems:
            system.close()
    finished = [_record(case, record, rates, found[0]["rounds_ms"]) for case, record in zip(cases, found, strict=True)]
    for case, record in zip(cases, finished, strict=True):
        if record["error"]:
            say(f"{case.system}: fails: {record['error']}")
    return Measured(finished, rates)


def _attempt(act: Callable[[System, Record], None], system: System, record: Record) -> None:
    """Do it, unless the system has failed before; if it fails now, note why and end its processes."""
    if "error" in record:
        return
    try:
        act(system, record)
    except FailedError as error:
        record["error"] = str(error)
        system.close()


def _prepare(system: System, record: Record, turn_seconds: float) -> None:
    ready = system.prepare()
    seconds = ready.pop("seconds")
    steps = max(1, math.ceil(turn_seconds / seconds))
    per_step = system.go(steps)["seconds"] / steps  # not counted: the first turn of a program is slower
    record |= ready | {"steps": max(1, math.ceil(1.1 * turn_seconds / per_step))}


def _go(system: System, record: Record) -> None:
    time.sleep(SETTLE_SECONDS)
    done = system.go(record["steps"])
    record["loss"] = done["loss"]
    record["rounds_ms"].append(1e3 * done["seconds"] / (record["steps"] * system.case.runs))


def _end(system: System, record: Record) -> None:
    record["peak_mb"] = system.end()


HYPERPARAMS = (
    "ms_per_step_per_run", "low", "high", "ratio", "gflops", "of_matrix_product", "peak_mb", "compile_s", "steps",
    "parameters", "forward_flops", "loss", "device",
)  # fmt: skip


def _record(case: Case, record: Record, rates: Sequence[float], first_ms: Sequence[float]) -> Record:
    if "error" in record or not record["rounds_ms"]:
        return dict.fromkeys(HYPERPARAMS) | {"rounds_ms": [], "error": record.get("error", "no rounds")}
    low, median, high = (float(value) for value in np.percentile(record["rounds_ms"], (25, 50, 75)))
    lstm = case.work.cell == "lstm"
    gflops = step_flops(case.work) / median / 1e6 if lstm else None
    hyperparams = {
        **record,
        "ms_per_step_per_run": median,
        "low": low,
        "high": high,
        "ratio": median / float(np.median(first_ms)) if first_ms else None,
        "loss": record["loss"] if math.isfinite(record["loss"]) else None,
        "forward_flops": record["forward_flops"] or None,
        "gflops": gflops,
        "of_matrix_product": gflops / float(np.median(rates)) if rates and gflops else None,
    }
    return {name: hyperparams[name] for name in HYPERPARAMS} | {"rounds_ms": record["rounds_ms"], "error": None}
