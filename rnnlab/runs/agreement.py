"""Whether a run made again agrees with its record, number by number."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from scipy.stats import t as student

from rnnlab.storage.metrics import COLUMNS

OUTSIDE = 0.001  # probability that a value of an unchanged program lies outside of what its record predicts


class Agreement(NamedTuple):
    """How many numbers are equal, agree, and differ; what differs in words."""

    equal: int
    agree: int
    differ: list[str]


def of_summaries(again: Mapping[str, Any], record: Mapping[str, Any]) -> Agreement:
    """Means of two runs of the same configuration: they agree if the 95 % CI of their difference holds 0."""
    new, old = _intervals(again), _intervals(record)
    equal, agree, differ = 0, 0, []
    for key in [key for key in old if key in new]:
        a, b = new[key], old[key]
        half = math.hypot(*(((one["high"] - one["low"]) / 2 if one["n"] > 1 else math.nan) for one in (a, b)))
        if a["mean"] == b["mean"] or (a["n"] == b["n"] == 0):
            equal += 1
        elif abs(a["mean"] - b["mean"]) <= half:
            agree += 1
        else:
            differ.append(f"{' '.join(key)}: {a['mean']:.6g}, recorded {b['mean']:.6g} ± {half:.2g}")
    return Agreement(equal, agree, differ + [f"{' '.join(key)}: missing" for key in old if key not in new])


def of_metrics(again: pa.Table, record: pa.Table) -> Agreement:
    """Each value of some seeds and epochs: it agrees if it lies where the record's seeds predict the next one's."""
    spread: dict[tuple[Any, ...], list[float]] = {}
    same: dict[tuple[Any, ...], float] = {}
    for row in record.to_pylist():
        key = _key(row)
        spread.setdefault(key, []).append(row["value"])
        same[(*key, row["seed"])] = row["value"]
    equal, agree, differ = 0, 0, []
    for row in again.to_pylist():
        key, value = _key(row), row["value"]
        if (*key, row["seed"]) not in same:
            continue
        recorded, seen = same[(*key, row["seed"])], np.array(spread[key])
        reach = student.ppf(1 - OUTSIDE / 2, max(1, len(seen) - 1)) * np.std(seen, ddof=1) if len(seen) > 1 else 0.0
        if value == recorded or (value != value and recorded != recorded):
            equal += 1
        elif abs(value - seen.mean()) <= reach * math.sqrt(1 + 1 / len(seen)):
            agree += 1
        else:
            name = " ".join(str(part) for part in key if part is not None)
            differ.append(f"{name} seed {row['seed']}: {value:.6g}, recorded {recorded:.6g}")
    return Agreement(equal, agree, differ)


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a row is a value of, but for its seed: arm, hyperparameters, epoch, split and metric."""
    swept = [row[name] for name in row if name not in COLUMNS]
    return (row["arm"], *swept, row["epoch"], row["split"], row["metric"])


def _intervals(summary: Mapping[str, Any]) -> dict[tuple[str, ...], Mapping[str, float]]:
    found = {}
    for row in summary["results"]:
        plain = [f"{name}={value:g}" for name, value in row.items() if isinstance(value, float)]
        for metric, interval in row["metrics"].items():
            found[(row["arm"], *plain, metric)] = interval
    return found
