"""From the metrics table to groups of runs, and to summary.json."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from rnnlab.stats.epoch_selection import at_best_validation, best_over_epochs, first_reached, last_epoch
from rnnlab.stats.intervals import mean_interval, proportion_interval
from rnnlab.storage.metrics import COLUMNS, DIVERGED_AT
from rnnlab.training.tasks import Task


class Group(NamedTuple):
    """The runs of one arm with equal hyperparameters: means are over these, that is over seeds."""

    arm: str
    hyperparams: dict[str, float]
    seeds: np.ndarray  # [R]
    epochs: np.ndarray  # [E]
    values: dict[tuple[str, str], np.ndarray]  # (split, metric) -> [R, E], NaN where not recorded
    diverged: np.ndarray  # [R] bool
    steps: np.ndarray  # [E] training steps at the end of each epoch

    def curve(self, split: str, metric: str) -> np.ndarray:
        """``[R, E]`` of a metric; all NaN if it was not recorded."""
        return self.values.get((split, metric), np.full((len(self.seeds), len(self.epochs)), np.nan))


def groups(table: pa.Table) -> list[Group]:
    """The groups of the metrics table, in the order of their first rows."""
    names = [name for name in table.schema.names if name not in COLUMNS]
    texts = {name: table[name].cast(pa.string()).combine_chunks().dictionary_encode() for name in _TEXTS}
    codes = {name: column.indices.to_numpy() for name, column in texts.items()}
    words = {name: column.dictionary.to_pylist() for name, column in texts.items()}
    columns = {name: table[name].to_numpy() for name in ("seed", "epoch", "step", "value")}
    numbers = {name: np.asarray(table[name].to_numpy(), np.float64) for name in names}  # null -> NaN: not in this arm
    group_of = codes["arm"].astype(np.int64)
    for number in numbers.values():
        group_of = _combined(group_of, np.unique(number, return_inverse=True)[1])
    _, first, group_of = np.unique(group_of, return_index=True, return_inverse=True)
    rows_by_group = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])
    result = []
    for index in np.argsort(first):
        rows, row = rows_by_group[index], first[index]
        seeds, seed_index = np.unique(columns["seed"][rows], return_inverse=True)
        is_metric = np.array([word != DIVERGED_AT for word in words["metric"]])[codes["metric"][rows]]
        diverged = np.zeros(len(seeds), bool)
        diverged[seed_index[~is_metric]] = True
        rows, seed_index = rows[is_metric], seed_index[is_metric]
        epochs, epoch_index = np.unique(columns["epoch"][rows], return_inverse=True)
        keys, key_index = _pairs(codes["split"][rows], codes["metric"][rows])
        values = np.full((len(keys), len(seeds), len(epochs)), np.nan)
        values[key_index, seed_index, epoch_index] = columns["value"][rows]
        steps = np.zeros(len(epochs), np.int64)
        steps[epoch_index] = columns["step"][rows]
        by_key = {(words["split"][s], words["metric"][m]): v for (s, m), v in zip(keys, values, strict=True)}
        hyperparams = {name: float(number[row]) for name, number in numbers.items() if not np.isnan(number[row])}
        arm = words["arm"][codes["arm"][row]]
        result.append(Group(arm, hyperparams, seeds, epochs, by_key, diverged, steps))
    return result


_TEXTS = ("arm", "split", "metric")


def _combined(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """One code ``[N]``, dense, for each pair of codes of ``a [N]`` and ``b [N]``."""
    return np.unique(a * (b.max(initial=0) + 1) + b, return_inverse=True)[1]


def _pairs(a: np.ndarray, b: np.ndarray) -> tuple[list[tuple[int, int]], np.ndarray]:
    """The distinct pairs in the order of their first rows, and the place ``[N]`` of every row's pair."""
    _, first, code = np.unique(_combined(a.astype(np.int64), b), return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return [(int(a[row]), int(b[row])) for row in first[order]], place[code]


class Headline(NamedTuple):
    """One value per run: a metric of a split, at an epoch that is selected."""

    split: str
    metric: str
    selection: str  # "best_validation": lowest validation loss; "last": last epoch; "best": best of the metric itself
    higher_is_better: bool

    @property
    def name(self) -> str:
        """Its name in summary.json and in tables; "best" names the split that it was selected on."""
        if self.selection == "best_validation":
            return f"{self.split}_{self.metric}_at_best_validation"
        if self.selection == "last":
            return f"last_{self.split}_{self.metric}"
        return f"best_{self.split}_{self.metric}_over_epochs"


def headlines(task: Task, *, validation_is_test: bool = False) -> list[Headline]:
    """Every value per run of ``task``; the first one stands for a run, the second is the best on test.

    The first is the primary metric on test at the best validation loss. A protocol that validates on test has no
    best validation: the last epoch, which nothing selects, takes its place.
    """
    splits = ("test", "train") if validation_is_test else ("test", "validation", "train")
    selections = ("last", "best") if validation_is_test else ("best_validation", "best", "last")
    ordered = sorted(task.metrics, key=lambda metric: metric.name != task.primary_metric)
    return [
        Headline(split, metric.name, selection, metric.higher_is_better)
        for metric in ordered
        for split in splits
        for selection in selections
    ]


def headline_values(group: Group, headline: Headline) -> np.ndarray:
    """The value of ``headline`` for each run ``[R]``; NaN for diverged runs."""
    values = group.curve(headline.split, headline.metric)
    if headline.selection == "best_validation":
        selected = at_best_validation(group.curve("validation", "loss"), values)
    elif headline.selection == "last":
        selected = last_epoch(values)
    else:
        selected = best_over_epochs(values, headline.higher_is_better)
    return np.where(group.diverged, np.nan, selected)


def steps_to_solve(group: Group, metric: str, threshold: float) -> np.ndarray:
    """``[R]`` training steps at the end of the first epoch whose validation ``metric`` reached ``threshold``.

    NaN for runs that never did and for diverged runs. A run that reached it and lost it again counts as solved.
    """
    column = first_reached(group.curve("validation", metric), threshold)
    if not len(group.epochs):
        return np.full(len(group.seeds), np.nan)
    return np.where((column >= 0) & ~group.diverged, group.steps[column], np.nan)


def _solved(group: Group, metric: str, threshold: float) -> dict[str, Any]:
    """The proportion of all runs that reached ``threshold``, and the median steps of those that did."""
    steps = steps_to_solve(group, metric, threshold)
    steps = steps[np.isfinite(steps)]
    median = float(np.median(steps)) if len(steps) else float("nan")
    return {
        "solved": proportion_interval(len(steps), len(group.seeds))._asdict(),
        "steps_to_solve": {"median": median, "n": len(steps)},
    }


def summarize(
    table: pa.Table, task: Task, arms: Mapping[str, Mapping[str, Any]], *, experiment: str, complete: bool,
    validation_is_test: bool = False, success_threshold: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The document of summary.json: a row for each group with the interval of every `headlines` of ``task``.

    "beside" names those that the results table shows beside the headline, if the task has any.
    ``arms`` describes each arm (parameters, seconds). With a ``success_threshold`` each row has ``solved`` and
    ``steps_to_solve``.
    """
    described = headlines(task, validation_is_test=validation_is_test)
    beside = [described[0]._replace(metric=metric).name for metric in task.beside]
    threshold = {"metric": task.success_metric, "threshold": success_threshold} if success_threshold else None
    return {
        "experiment": experiment,
        "complete": complete,
        "headline": described[0].name,
        "metrics": {headline.name: headline._asdict() for headline in described},
        **({"beside": beside} if beside else {}),
        "success_threshold": threshold,
        "arms": {name: dict(description) for name, description in arms.items()},
        "results": [_row(group, described, threshold) for group in groups(table)],
    }


def _row(group: Group, described: Sequence[Headline], threshold: Mapping[str, Any] | None) -> dict[str, Any]:
    intervals = {headline.name: mean_interval(headline_values(group, headline)) for headline in described}
    return {
        "arm": group.arm,
        **group.hyperparams,
        "runs": len(group.seeds),
        "diverged": int(group.diverged.sum()),
        "epochs": int(group.epochs[-1]) if len(group.epochs) else 0,
        "metrics": {name: interval._asdict() for name, interval in intervals.items()},
        **(_solved(group, threshold["metric"], threshold["threshold"]) if threshold else {}),
    }
