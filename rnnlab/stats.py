"""Intervals, and the numbers that stand for a run. Pure functions of arrays."""

from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean with its interval. ``low`` and ``high`` are NaN for fewer than two values, ``mean`` for none."""

    mean: float
    low: float
    high: float
    n: int


def mean_interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """Mean of the finite ``values [n]`` and its Student-t interval at ``level``."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    n = len(values)
    mean = float(values.mean()) if n else float("nan")
    if n < 2:
        return Interval(mean, float("nan"), float("nan"), n)
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def at_best_validation(validation_loss: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``values [n, E]`` of each run at the epoch of its lowest ``validation_loss [n, E]``; NaN if it has none."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    known = np.where(np.isfinite(validation_loss), validation_loss, np.inf)
    picked = values[np.arange(len(values)), np.argmin(known, axis=1)]
    return np.where(np.isfinite(known).any(axis=1), picked, np.nan)


def best_over_epochs(values: np.ndarray, higher_is_better: bool) -> np.ndarray:
    """The best of ``values [n, E]`` over epochs, selected on themselves; NaN for a run without any."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    worst = -np.inf if higher_is_better else np.inf
    known = np.where(np.isfinite(values), values, worst)
    best = known.max(axis=1) if higher_is_better else known.min(axis=1)
    return np.where(np.isfinite(best), best, np.nan)


def last_epoch(values: np.ndarray) -> np.ndarray:
    """``values [n, E]`` at the last epoch; NaN for a run that did not live to see it."""
    return values[:, -1] if values.shape[1] else np.full(len(values), np.nan)
