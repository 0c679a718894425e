"""Confidence intervals of means and proportions."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from rnnlab.core.errors import InputError


class Interval(NamedTuple):
    """A mean of ``n`` values with its confidence interval. The ends are NaN for n < 2, the mean for n = 0."""

    mean: float
    low: float
    high: float
    n: int


def finite(values: np.ndarray) -> np.ndarray:
    """The finite ``values [n]``, in float64."""
    values = np.asarray(values, np.float64)
    return values[np.isfinite(values)]


def measured(values: np.ndarray) -> np.ndarray:
    """The ``values [n]`` that are not NaN, in float64; infinite ones (censored) stay."""
    values = np.asarray(values, np.float64)
    return values[~np.isnan(values)]


def mean_interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """Mean of the finite ``values [n]`` and its Student t interval at ``level``.

    Measured coverage of the 95 % interval for n = 4, 8, 16: 95.2, 94.8, 94.5 % for normal values; 82.9, 83.2, 85.8 %
    for log-normal values with σ = 1.
    """
    values = finite(values)
    n = len(values)
    mean = float(values.mean()) if n else float("nan")
    if n < 2:
        return Interval(mean, float("nan"), float("nan"), n)
    half = float(_t_quantile(level, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


@lru_cache(maxsize=256)
def _t_quantile(level: float, degrees: int) -> np.float64:
    return stats.t.ppf((1 + level) / 2, degrees)


class Proportion(NamedTuple):
    """A proportion with its confidence interval; all three NaN for n = 0."""

    proportion: float
    low: float
    high: float
    successes: int
    n: int


def proportion_interval(successes: int, n: int, level: float = 0.95) -> Proportion:
    """``successes / n`` and its Wilson score interval at ``level``.

    Its coverage averages about ``level`` over all proportions. The exact interval of Clopper & Pearson never covers
    less, and is a fifth wider at n = 8 (Brown, Cai & DasGupta 2001).
    """
    if not n:
        return Proportion(float("nan"), float("nan"), float("nan"), 0, 0)
    interval = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    return Proportion(successes / n, float(interval.low), float(interval.high), successes, n)


def check_probability(field: str, value: float) -> None:
    """Raise InputError unless 0 < ``value`` < 1."""
    if not 0 < value < 1:
        raise InputError(f"{field}: {value} is out of range; accepted: above 0 and below 1")
