"""Values that claims are about, one per run: functions from a group to ``[n]``, NaN for a run that does not count."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from rnnlab import stats
from rnnlab.stats.summary import Group
from rnnlab.training.tasks import TASKS

HELD_OUT = "held out"  # the validation split, or test where a protocol validates on test
HIGHER_IS_BETTER = {metric.name: metric.higher_is_better for task in TASKS.values() for metric in task.metrics}


@dataclass(frozen=True)
class RunValue:
    """A value of every run of a group, in words and as a function.

    ``when_diverged``: "exclude" (NaN, and the number of runs left is reported), "worst" (counts as ``worst``), or
    "outcome" (infinite: beyond every finite value; for tests of ranks and signs alone).
    """

    words: str
    of: Callable[[Group], np.ndarray]  # [n]
    when_diverged: Literal["exclude", "worst", "outcome"] = "exclude"
    worst: float = np.nan

    def __call__(self, group: Group) -> np.ndarray:
        """``[n]`` of the group's runs."""
        stand_in = {"exclude": np.nan, "worst": self.worst, "outcome": np.inf}[self.when_diverged]
        return np.where(group.diverged, stand_in, self.of(group))

    def mean(self, group: Group) -> float:
        """The mean over the runs that count, NaN without any."""
        return stats.mean_interval(self(group)).mean

    def or_worst(self, worst: float) -> "RunValue":
        """The same, where a diverged run counts as ``worst``."""
        return replace(self, when_diverged="worst", worst=worst)

    def or_outcome(self) -> "RunValue":
        """The same, where a diverged run counts as infinite."""
        return replace(self, when_diverged="outcome")

    def __sub__(self, other: "RunValue") -> "RunValue":
        return RunValue(f"{self.words} - {other.words}", lambda group: self(group) - other(group))

    def __mul__(self, factor: float) -> "RunValue":
        return RunValue(f"{factor:g} * {self.words}", lambda group: factor * self(group))


def _curves(group: Group, split: str, metric: str, first: int = 1, until: int = 0) -> np.ndarray:
    """``[n, E]`` over the epochs from ``first`` to ``until`` (0: the last); NaN for a metric that was not recorded."""
    if split == HELD_OUT:
        split = "validation" if ("validation", "loss") in group.values else "test"
    return group.curve(split, metric)[:, (group.epochs >= first) & (group.epochs <= (until or np.inf))]


def _words(split: str, metric: str) -> str:
    return f"{split} {metric}".replace("_", " ")


def last(split: str, metric: str) -> RunValue:
    """The value after the last epoch."""
    return RunValue(_words(split, metric), lambda group: stats.last_epoch(_curves(group, split, metric, 0)))


def at_epoch(split: str, metric: str, epoch: int) -> RunValue:
    """The value after ``epoch``. Epoch 0 is before training, where only probes are recorded."""

    def value(group: Group) -> np.ndarray:
        found = group.curve(split, metric) if split != HELD_OUT else _curves(group, split, metric, 0)
        column = np.flatnonzero(group.epochs == epoch)
        return found[:, column[0]] if len(column) else np.full(len(group.seeds), np.nan)

    return RunValue(f"{_words(split, metric)} after epoch {epoch}", value)


def mean_over(split: str, metric: str, epochs: int = 0) -> RunValue:
    """The mean over the last ``epochs`` epochs; 0: over all epochs from 1 on."""

    def value(group: Group) -> np.ndarray:
        curves = _curves(group, split, metric)[:, -epochs:]
        return curves.mean(axis=1) if curves.shape[1] else np.full(len(curves), np.nan)

    which = f"the last {epochs}" if epochs else "all"
    return RunValue(f"mean {_words(split, metric)} over {which} epochs", value)


def best(split: str, metric: str, *, after: int = 0, until: int = 0) -> RunValue:
    """The best value over the epochs from ``after`` + 1 to ``until`` (0: the last), selected on itself."""
    when = (f" after epoch {after}" if after else "") + (f" by epoch {until}" if until else "")
    return RunValue(
        f"best {_words(split, metric)}{when}",
        lambda group: stats.best_over_epochs(_curves(group, split, metric, after + 1, until), HIGHER_IS_BETTER[metric]),
    )


def at_best_validation(metric: str) -> RunValue:
    """Test ``metric`` at the epoch of the best validation ``metric``: accuracy selects by accuracy, loss by loss.

    Of equal epochs the earlier one. At the last epoch where there is no validation split.
    """
    sign = -1 if HIGHER_IS_BETTER[metric] else 1

    def value(group: Group) -> np.ndarray:
        test = _curves(group, "test", metric)
        if ("validation", metric) not in group.values:
            return stats.last_epoch(test)
        return stats.at_best_validation(sign * _curves(group, "validation", metric), test)

    return RunValue(f"test {metric} at the best validation {metric}".replace("_", " "), value)


def drop_from_best(split: str, metric: str) -> RunValue:
    """The highest value over epochs minus the last; noise makes it positive, never negative.

    A diverged run has dropped further than any other.
    """
    value = best(split, metric) - last(split, metric)
    return replace(value, words=f"drop of {_words(split, metric)} from its best").or_outcome()


def rise_from_lowest(split: str, metric: str) -> RunValue:
    """The last value minus the lowest over epochs; noise makes it positive, never negative."""
    value = last(split, metric) - best(split, metric)
    return replace(value, words=f"rise of {_words(split, metric)} from its lowest")


def slope(split: str, metric: str, first: int = 1, until: int = 0) -> RunValue:
    """The least-squares slope per epoch, from epoch ``first`` to ``until`` (0: the last): a trend or, near 0, none."""

    def value(group: Group) -> np.ndarray:
        curves = _curves(group, split, metric, first, until)
        epochs = np.arange(curves.shape[1]) - (curves.shape[1] - 1) / 2
        return curves @ epochs / (epochs @ epochs) if len(epochs) > 1 else np.full(len(curves), np.nan)

    return RunValue(f"slope of {_words(split, metric)} per epoch from epoch {first}", value)


def fluctuation(split: str, metric: str, first: int = 1) -> RunValue:
    """The mean absolute change from one epoch to the next, from epoch ``first`` on."""

    def value(group: Group) -> np.ndarray:
        steps = np.abs(np.diff(_curves(group, split, metric, first), axis=1))
        return steps.mean(axis=1) if steps.shape[1] else np.full(len(steps), np.nan)

    return RunValue(f"mean change of {_words(split, metric)} between epochs from {first} on", value)


def epochs_to(split: str, metric: str, level: float) -> RunValue:
    """The first epoch at which the metric is at ``level`` or better; infinite (censored) if that is never reached.

    A diverged run never reaches it; without a finite level, such as that of a group that diverged, no value exists.
    For tests of ranks and signs.
    """
    sign = 1 if HIGHER_IS_BETTER[metric] else -1

    def value(group: Group) -> np.ndarray:
        if not np.isfinite(level):
            return np.full(len(group.seeds), np.nan)
        column = stats.first_reached(sign * _curves(group, split, metric, 0), sign * level)
        return (
            np.where(column >= 0, group.epochs[column].astype(float), np.inf) if len(group.epochs) else column + np.inf
        )

    found = RunValue(f"epochs to a {_words(split, metric)} of {level:g}", value)
    return found.or_outcome() if np.isfinite(level) else found
