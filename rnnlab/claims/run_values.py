"""Values that claims are about, one per run: functions from a group to ``[n]``, NaN for a diverged run."""

from collections.abc import Callable

import numpy as np

from rnnlab import stats
from rnnlab.stats.summary import Group

RunValue = Callable[[Group], np.ndarray]
HELD_OUT = "held out"  # the validation split, or test where a protocol validates on test


def _curves(group: Group, split: str, metric: str) -> np.ndarray:
    """``[n, E]``; NaN for diverged runs, and for a metric that was not recorded."""
    if split == HELD_OUT:
        split = "validation" if ("validation", "loss") in group.values else "test"
    blank = np.full((len(group.seeds), len(group.epochs)), np.nan)
    return np.where(group.diverged[:, None], np.nan, group.values.get((split, metric), blank))


def last(split: str, metric: str) -> RunValue:
    """The value after the last epoch."""
    return lambda group: stats.last_epoch(_curves(group, split, metric))


def at_epoch(split: str, metric: str, epoch: int) -> RunValue:
    """The value after ``epoch``. Epoch 0 is before training, where only probes are recorded."""

    def value(group: Group) -> np.ndarray:
        column = np.flatnonzero(group.epochs == epoch)
        curves = _curves(group, split, metric)
        return curves[:, column[0]] if len(column) else np.full(len(group.seeds), np.nan)

    return value


def mean_over(split: str, metric: str, epochs: int = 0) -> RunValue:
    """The mean over the last ``epochs`` epochs; 0: over all epochs from 1 on."""

    def value(group: Group) -> np.ndarray:
        curves = _curves(group, split, metric)[:, group.epochs > 0][:, -epochs:]
        return curves.mean(axis=1) if curves.shape[1] else np.full(len(curves), np.nan)

    return value


def best(split: str, metric: str, *, higher_is_better: bool = True, after: int = 0, until: int = 0) -> RunValue:
    """The best value over the epochs from ``after`` + 1 to ``until`` (0: the last), selected on itself."""

    def value(group: Group) -> np.ndarray:
        selected = (group.epochs > after) & (group.epochs <= (until or np.inf))
        return stats.best_over_epochs(_curves(group, split, metric)[:, selected], higher_is_better)

    return value


def at_best_validation(metric: str) -> RunValue:
    """Test ``metric`` at the epoch of the lowest validation loss; at the last epoch without a validation split."""

    def value(group: Group) -> np.ndarray:
        test = _curves(group, "test", metric)
        if ("validation", "loss") not in group.values:
            return stats.last_epoch(test)
        return stats.at_best_validation(_curves(group, "validation", "loss"), test)

    return value


def drop_from_best(split: str, metric: str) -> RunValue:
    """The highest value over epochs minus the last; noise makes it positive, never negative."""
    return lambda group: best(split, metric)(group) - last(split, metric)(group)


def rise_from_lowest(split: str, metric: str) -> RunValue:
    """The last value minus the lowest over epochs; noise makes it positive, never negative."""
    return lambda group: last(split, metric)(group) - best(split, metric, higher_is_better=False)(group)
