"""What is said of one arm: a statistic over its runs, and its interval."""

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from rnnlab.core.errors import InputError, choose

Values = np.ndarray | Sequence[np.ndarray]  # [n] over seeds, or a stratum (a task, a data set) a row: [S, n] or ragged
RESAMPLES = 9999


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


class Estimate(NamedTuple):
    """A statistic of ``n`` live runs with its interval. ``low`` and ``high`` are NaN where there is none."""

    value: float
    low: float
    high: float
    n: int


def interquartile_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean of what is left after floor(n / 4) values are cut off at either end; below four values, their mean."""
    return stats.trim_mean(values, 0.25, axis=axis)


STATISTICS: dict[str, Callable[..., np.ndarray]] = {
    "mean": np.mean,
    "median": np.median,
    "interquartile_mean": interquartile_mean,
}
METHODS = ("t", "percentile", "bca")


def estimate(
    values: Values,
    statistic: str = "interquartile_mean",
    method: str = "t",
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """One of STATISTICS over all live runs of an arm, with its interval at ``level``. Equal calls, equal numbers.

    The statistic is that of the strata's live values x pooled, N in S strata; a stratum with n of them weighs n / N.
    The interval by ``method``, θ* being the statistic of strata that were each resampled with replacement:

        t           θ ± t(N - S) se     mean: se² = Σ (n / N)² s² / n, for one stratum Student's interval;
                                        else se = sd(θ*)
        percentile  [q(α), q(1 - α)]    q: quantile of θ*; α = (1 - level) / 2
        bca         [q(β1), q(β2)]      β = Φ(z0 + (z0 + z) / (1 - a (z0 + z))), z = Φ⁻¹(α), Φ⁻¹(1 - α); Φ(z0) the
                                        part of θ* below θ, a a sixth of the jackknife's skewness

    Measured coverage of the 95 % interval in %, over 2000 samples of a normal / of a log-normal with σ = 1 (standard
    error about 0.5, where it is low 1):

        n                                    4            8           16
        mean                t           95.2 / 82.9  94.8 / 83.2  94.5 / 85.8
                            percentile  79.8 / 69.5  88.8 / 77.7  91.7 / 84.2
                            bca         79.0 / 70.4  88.8 / 80.8  91.8 / 85.7
        median              t           96.5 / 96.5  95.5 / 96.3  93.9 / 94.7
                            percentile  87.2 / 87.2  91.1 / 91.1  92.7 / 92.5
                            bca         87.2 / 87.2  91.0 / 90.8  92.8 / 92.5
        interquartile mean  t           96.5 / 95.3  95.7 / 95.5  94.2 / 94.8
                            percentile  87.2 / 86.3  92.8 / 93.2  93.1 / 93.5
                            bca         87.2 / 86.0  92.6 / 93.1  92.7 / 93.2

    So t is what tables should show; it may reach beyond what is possible (an accuracy of 1). The others are what
    papers report: too narrow with few seeds, and never beyond the smallest and the largest value, between which the
    median lies in only 1 - 2^(1 - n) of samples (87.5 % for n = 4). Nothing here mends the mean of skewed values.
    Pooled over three strata of unlike levels (0, 1, 5; σ = 1), the interquartile mean's t covers 89.7, 92.5, 93.5.

    Returns NaN for a stratum without a live run (the others are another quantity), and no interval for a stratum with
    one. Equal values give zero width. Where BCa is undefined (θ outside of all θ*, a jackknife that does not move),
    the percentile interval stands in.

    Source: Agarwal et al., Deep RL at the edge of the statistical precipice, 2021 (interquartile mean, strata);
    Efron and Tibshirani, An introduction to the bootstrap, 1993, chapters 12 (t), 13 (percentile) and 14 (BCa).
    Raises InputError for an unknown statistic or method, and for a level that is not between 0 and 1.
    """
    theta = STATISTICS[choose("statistic", statistic, STATISTICS)]
    choose("method", method, METHODS)
    check_chance("level", level)
    strata = live(values)
    counts = np.array([len(x) for x in strata])
    total = int(counts.sum())
    if counts.min() < 1:
        return Estimate(np.nan, np.nan, np.nan, total)
    value = float(theta(np.concatenate(strata)))
    if counts.min() < 2:
        return Estimate(value, np.nan, np.nan, total)
    if all(np.ptp(x) == 0 for x in strata):
        return Estimate(value, value, value, total)
    a_mean = statistic == "mean" or (statistic == "interquartile_mean" and total < 4)
    if method == "t" and a_mean:
        error = np.sqrt(sum(len(x) * x.var(ddof=1) for x in strata)) / total
    else:
        found = bootstrap(
            strata, lambda *xs, axis: theta(np.concatenate(xs, axis), axis=axis), method, level, resamples, seed
        )
        if method != "t":
            return Estimate(value, found.low, found.high, total)
        error = found.error
    half = float(stats.t.ppf((1 + level) / 2, total - len(strata)) * error)
    return Estimate(value, value - half, value + half, total)


def check_chance(field: str, value: float) -> None:
    """Raise InputError unless ``value`` lies between 0 and 1, and is neither."""
    if not 0 < value < 1:
        raise InputError(f"{field}: {value} is out of range; accepted: above 0 and below 1")


def live(values: Values) -> list[np.ndarray]:
    """The strata of ``values`` in float64, each [n], without what is not finite."""
    rows = [values] if all(np.ndim(row) == 0 for row in values) else values
    found = [np.asarray(row, np.float64).ravel() for row in rows]
    return [row[np.isfinite(row)] for row in found]


class Bootstrap(NamedTuple):
    """An interval of a statistic and its standard error."""

    low: float
    high: float
    error: float


# scipy renamed the keyword in 1.15
_RNG = "rng" if "rng" in inspect.signature(stats.bootstrap).parameters else "random_state"
_AT_ONCE = 2**22  # values held while resampling: 32 MiB


def bootstrap(
    samples: Sequence[np.ndarray],
    statistic: Callable[..., np.ndarray],
    method: str = "bca",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Bootstrap:
    """Interval of ``statistic(*samples, axis)``, every sample of two or more values resampled on its own.

    Percentile, or BCa for ``method`` "bca"; percentile where BCa is undefined. See `estimate`.
    """
    batch = max(1, _AT_ONCE // sum(len(x) for x in samples))
    common: dict[str, Any] = {"vectorized": True, "axis": -1, "confidence_level": level, "batch": batch}
    common[_RNG] = np.random.default_rng(seed)
    found = stats.bootstrap(samples, statistic, n_resamples=resamples, method="percentile", **common)
    low, high = found.confidence_interval
    if method == "bca":
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            bca = stats.bootstrap(samples, statistic, n_resamples=0, bootstrap_result=found, method="BCa", **common)
        if np.isfinite(bca.confidence_interval).all():
            low, high = bca.confidence_interval
    return Bootstrap(float(low), float(high), float(found.standard_error))
