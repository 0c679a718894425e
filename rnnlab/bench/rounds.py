"""Systems that take turns, and the records of their times."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnlab.bench.processes import Case, FailedError, MatrixProduct, System
from rnnlab.bench.workloads import step_flops

TURN_SECONDS = 0.3  # minimum of one turn
SETTLE_SECONDS = 0.1  # between turns, until the threads of the previous system stop spinning

Record = dict[str, Any]
Log = Callable[[str], None]


class Measurement(NamedTuple):
    """What ``measure`` returns."""

    records: list[Record]  # one per case
    rates: list[float]  # GFLOP/s of the large matrix product, one per round


def in_turn(count: int, number: int) -> list[int]:
    """The order of a round: forward in even rounds, backward in odd ones, so that no case always follows another."""
    return list(range(count)) if number % 2 == 0 else list(range(count))[::-1]


def measure(
    cases: Sequence[Case], rounds: int, product: MatrixProduct | None, log: Log, turn_seconds: float = TURN_SECONDS
) -> Measurement:
    """A record for each case. All are prepared one after another, then take one turn in each of ``rounds`` rounds.

    ``ms_per_step_per_run``: median over rounds of the time of a training step of one run, ``low`` and ``high`` its
    quartiles, ``rounds_ms`` all values; ``steps`` per turn; ``gflops``: required operations (``step_flops``) over the
    median, and ``of_matrix_product`` its fraction of the rate of the large product in the same rounds; ``ratio``: the
    median over that of the first case, ``rounds_ratio`` the same
    round by round; ``peak_mb``, ``compile_s``, ``parameters``, ``forward_flops``, ``device``,
    ``loss``. A failed case has an ``error``, and None for all other fields.
    """
    systems = [System(case) for case in cases]
    raw: list[Record] = [{"rounds_ms": []} for _ in cases]
    rates: list[float] = []

    def prepare(system: System, record: Record) -> None:
        _prepare(system, record, turn_seconds)
        log(f"{system.case.system}: ready, {record['steps']} steps per turn")

    try:
        for system, record in zip(systems, raw, strict=True):
            _attempt(prepare, system, record)
        for number in range(rounds):
            if product is not None:
                rates.append(product.gflops())
            for index in in_turn(len(cases), number):
                _attempt(_take_turn, systems[index], raw[index])
        for system, record in zip(systems, raw, strict=True):
            _attempt(_end, system, record)
    finally:
        for system in systems:
            system.close()
    finished = [_record(case, record, rates, raw[0]["rounds_ms"]) for case, record in zip(cases, raw, strict=True)]
    for case, record in zip(cases, finished, strict=True):
        if record["error"]:
            log(f"{case.system} failed: {record['error']}")
    return Measurement(finished, rates)


def _attempt(act: Callable[[System, Record], None], system: System, record: Record) -> None:
    """Call ``act`` unless the system has failed; if it fails now, record why and end its processes."""
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
    per_step = system.train_steps(steps)["seconds"] / steps  # discarded: the first turn is slower
    record |= ready | {"steps": max(1, math.ceil(1.1 * turn_seconds / per_step))}


def _take_turn(system: System, record: Record) -> None:
    time.sleep(SETTLE_SECONDS)
    turn = system.train_steps(record["steps"])
    record["loss"] = turn["loss"]
    record["rounds_ms"].append(1e3 * turn["seconds"] / (record["steps"] * system.case.runs))


def _end(system: System, record: Record) -> None:
    record["peak_mb"] = system.end()


FIELDS = (
    "ms_per_step_per_run", "low", "high", "ratio", "gflops", "of_matrix_product", "peak_mb", "compile_s", "steps",
    "parameters", "forward_flops", "loss", "device",
)  # fmt: skip


def _record(case: Case, record: Record, rates: Sequence[float], first_ms: Sequence[float]) -> Record:
    if "error" in record or not record["rounds_ms"]:
        return dict.fromkeys(FIELDS) | {"rounds_ms": [], "rounds_ratio": [], "error": record.get("error", "no rounds")}
    low, median, high = (float(value) for value in np.percentile(record["rounds_ms"], (25, 50, 75)))
    lstm = case.workload.cell == "lstm"
    gflops = step_flops(case.workload) / median / 1e6 if lstm else None
    fields = {
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
    ratios = [own / first for own, first in zip(record["rounds_ms"], first_ms, strict=False)]
    rounds = {"rounds_ms": record["rounds_ms"], "rounds_ratio": ratios}
    return {name: fields[name] for name in FIELDS} | rounds | {"error": None}
