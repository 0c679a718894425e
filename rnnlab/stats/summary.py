"""From the long table of metrics to one row for each arm and combination of numbers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from rnnlab import stats
from rnnlab.core.types import Task
from rnnlab.storage.metrics import COLUMNS, DIVERGED_AT


class Group(NamedTuple):
    """The runs of one arm that share their numbers: what is averaged, over seeds."""

    arm: str
    hyperparams: dict[str, float]
    seeds: np.ndarray  # [n]
    epochs: np.ndarray  # [E]
    values: dict[tuple[str, str], np.ndarray]  # (split, metric) -> [n, E], NaN where there is none
    diverged: np.ndarray  # [n] bool
    steps: np.ndarray  # [E] training steps that each epoch ended with


def groups(table: pa.Table) -> list[Group]:
    """Groups in the order of the table's arms, then of their numbers as they first appear."""
    names = [name for name in table.schema.names if name not in COLUMNS]
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in (*names, "seed", "epoch", "step", "value")}
    words = {name: np.asarray(table[name].to_pylist(), object) for name in ("arm", "split", "metric")}
    keys = list(zip(words["arm"], *(columns[name] for name in names), strict=True))
    # None and NaN both mean that the arm has no such number
    keys = [(arm, *(None if v is None or v != v else float(v) for v in rest)) for arm, *rest in keys]
    rows_of: dict[tuple, list[int]] = {}
    for row, key in enumerate(keys):
        rows_of.setdefault(key, []).append(row)
    found = []
    for (arm, *hyperparams), rows_list in rows_of.items():
        rows = np.array(rows_list)
        seeds, seed_index = np.unique(columns["seed"][rows], return_inverse=True)
        lived = words["metric"][rows] != DIVERGED_AT
        epochs = np.unique(columns["epoch"][rows][lived])
        values: dict[tuple[str, str], np.ndarray] = {}
        diverged = np.zeros(len(seeds), bool)
        diverged[seed_index[~lived]] = True
        for row, who in zip(rows[lived], seed_index[lived], strict=True):
            key = (words["split"][row], words["metric"][row])
            grid = values.setdefault(key, np.full((len(seeds), len(epochs)), np.nan))
            grid[who, np.searchsorted(epochs, columns["epoch"][row])] = columns["value"][row]
        present = {name: value for name, value in zip(names, hyperparams, strict=True) if value is not None}
        steps = np.zeros(len(epochs), np.int64)
        steps[np.searchsorted(epochs, columns["epoch"][rows][lived])] = columns["step"][rows][lived]
        found.append(Group(arm, present, seeds, epochs, values, diverged, steps))
    return found


def final_values(group: Group, task: Task, *, validation_is_test: bool = False) -> dict[str, np.ndarray]:
    """What stands for each run ``[n]`` at the end; NaN for a run that died, which is counted, not averaged.

    ``test_X_at_best_validation`` is the honest number; ``best_test_X_over_epochs`` is selected on the test split, as
    several papers report it, and says so in its name. A protocol that validates on test has no best validation:
    there ``last_test_X``, which nothing has selected, takes its place.
    """
    metric = task.headline
    blank = np.full((len(group.seeds), len(group.epochs)), np.nan)
    test, train = group.values.get(("test", metric), blank), group.values.get(("train", "loss"), blank)
    validation_loss = group.values.get(("validation", "loss"), blank)
    best_test = {f"best_test_{metric}_over_epochs": stats.best_over_epochs(test, task.higher_is_better)}
    if validation_is_test:
        values = {headline(task, validation_is_test=True): stats.last_epoch(test)} | best_test
    else:
        honest = stats.at_best_validation(validation_loss, test)
        values = {headline(task, validation_is_test=False): honest} | best_test
        values["best_validation_loss"] = stats.best_over_epochs(validation_loss, higher_is_better=False)
    values["last_train_loss"] = stats.last_epoch(train)
    return {name: np.where(group.diverged, np.nan, value) for name, value in values.items()}


def headline_values(group: Group, name: str) -> np.ndarray:
    """The number that ``headline`` names, of each run ``[n]``; NaN for one that died."""
    last = name.startswith("last_test_")
    metric = name.removeprefix("last_test_") if last else name.removeprefix("test_").removesuffix("_at_best_validation")
    blank = np.full((len(group.seeds), len(group.epochs)), np.nan)
    test, loss = group.values.get(("test", metric), blank), group.values.get(("validation", "loss"), blank)
    return np.where(group.diverged, np.nan, stats.last_epoch(test) if last else stats.at_best_validation(loss, test))


def steps_to_solve(group: Group, task: Task, success_threshold: float) -> np.ndarray:
    """``[n]`` training steps at the end of the first epoch in which each run's validation reached ``success_threshold``.

    NaN for a run that never did, and for one that died, whatever it did before. A run that reached it and lost it
    again has solved its task.
    """
    reached = group.values.get(("validation", task.success_metric))
    if reached is None:
        return np.full(len(group.seeds), np.nan)
    column = stats.first_reached(reached, success_threshold)
    return np.where((column >= 0) & ~group.diverged, group.steps[column], np.nan)


def _solved(group: Group, task: Task, success_threshold: float) -> dict[str, Any]:
    """What a row says of ``success_threshold``: the fraction of all runs, and the median number of steps of those that solved it."""
    steps = steps_to_solve(group, task, success_threshold)
    steps = steps[np.isfinite(steps)]
    median = float(np.median(steps)) if len(steps) else float("nan")
    return {
        "solved": stats.fraction_interval(len(steps), len(group.seeds))._asdict(),
        "steps_to_solve": {"median": median, "n": len(steps)},
    }


def headline(task: Task, *, validation_is_test: bool) -> str:
    """The name of the number that stands for a run: the honest one of the protocol."""
    return f"last_test_{task.headline}" if validation_is_test else f"test_{task.headline}_at_best_validation"


def summarize(
    table: pa.Table,
    task: Task,
    arms: Mapping[str, Mapping[str, Any]],
    *,
    experiment: str,
    complete: bool,
    validation_is_test: bool = False,
    success_threshold: float | None = None,
) -> dict[str, Any]:
    """The document of summary.json. ``arms`` has what is known of each arm beside its metrics (parameters, seconds).

    With a ``success_threshold`` each row has ``solved`` and ``steps_to_solve`` too.
    """
    rows = []
    for group in groups(table):
        final = final_values(group, task, validation_is_test=validation_is_test)
        intervals = {name: stats.mean_interval(value) for name, value in final.items()}
        rows.append(
            {
                "arm": group.arm,
                **group.hyperparams,
                "runs": len(group.seeds),
                "diverged": int(group.diverged.sum()),
                "epochs": int(group.epochs[-1]) if len(group.epochs) else 0,
                "metrics": {name: interval._asdict() for name, interval in intervals.items()},
                **(_solved(group, task, success_threshold) if success_threshold else {}),
            }
        )
    return {
        "experiment": experiment,
        "complete": complete,
        "headline": headline(task, validation_is_test=validation_is_test),
        "success_threshold": {"metric": task.success_metric, "least": success_threshold} if success_threshold else None,
        "arms": {name: dict(known) for name, known in arms.items()},
        "results": rows,
    }
