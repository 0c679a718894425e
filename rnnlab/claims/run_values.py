"""The number of each run that a claim is about: functions from a group to ``[n]``, NaN for a run that died."""

from collections.abc import Callable

import numpy as np

from rnnlab import stats
from rnnlab.stats.summary import Group

Number = Callable[[Group], np.ndarray]
HELD_OUT = "held out"  # the split that validates: validation, or test where a protocol validates on it


def _curves(group: Group, split: str, metric: str) -> np.ndarray:
    """``[n, E]`` by epoch; NaN for dead runs, and everywhere for a metric that was not measured."""
    if split == HELD_OUT:
        split = "validation" if ("validation", "loss") in group.values else "test"
    blank = np.full((len(group.seeds), len(group.epochs)), np.nan)
    return np.where(group.diverged[:, None], np.nan, group.values.get((split, metric), blank))


def last(split: str, metric: str) -> Number:
    """After the last epoch."""
    return lambda group: stats.last_epoch(_curves(group, split, metric))


def at_epoch(split: str, metric: str, epoch: int) -> Number:
    """After ``epoch``; 0 is before training, which probes alone measure."""

    def number(group: Group) -> np.ndarray:
        column = np.flatnonzero(group.epochs == epoch)
        curves = _curves(group, split, metric)
        return curves[:, column[0]] if len(column) else np.full(len(group.seeds), np.nan)

    return number


def mean_over(split: str, metric: str, epochs: int = 0) -> Number:
    """Mean over the last ``epochs`` epochs, 0: over all of them from 1 on."""

    def number(group: Group) -> np.ndarray:
        curves = _curves(group, split, metric)[:, group.epochs > 0][:, -epochs:]
        return curves.mean(axis=1) if curves.shape[1] else np.full(len(curves), np.nan)

    return number


def best(split: str, metric: str, *, higher_is_better: bool = True, after: int = 0, until: int = 0) -> Number:
    """The best over epochs, selected on itself: over those after ``after``, up to ``until`` (0: to the last)."""

    def number(group: Group) -> np.ndarray:
        asked = (group.epochs > after) & (group.epochs <= (until or np.inf))
        return stats.best_over_epochs(_curves(group, split, metric)[:, asked], higher_is_better)

    return number


def at_best_validation(metric: str) -> Number:
    """Test ``metric`` at the epoch of the lowest validation loss; after the last where nothing validates but test."""

    def number(group: Group) -> np.ndarray:
        test = _curves(group, "test", metric)
        if ("validation", "loss") not in group.values:
            return stats.last_epoch(test)
        return stats.at_best_validation(_curves(group, "validation", "loss"), test)

    return number


def fall(split: str, metric: str) -> Number:
    """From the highest over epochs down to the last: 0 or more, whatever the noise."""
    return lambda group: best(split, metric)(group) - last(split, metric)(group)


def rise(split: str, metric: str) -> Number:
    """From the lowest over epochs up to the last: 0 or more, whatever the noise."""
    return lambda group: last(split, metric)(group) - best(split, metric, higher_is_better=False)(group)
