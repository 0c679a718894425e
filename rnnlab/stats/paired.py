"""Paired comparisons of two arms by seed: differences, t-tests, Holm's correction, power."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from rnnlab.core.errors import InputError, check_number
from rnnlab.stats.intervals import check_probability, finite, mean_interval

_ROUNDING = float(np.finfo(np.float32).eps)  # relative: runs are measured in float32


class Difference(NamedTuple):
    """Mean difference of two arms over the ``n`` seeds that are finite in both, its interval and p-value."""

    mean: float
    low: float
    high: float
    n: int
    deviation: float  # standard deviation of the difference of one seed
    p: float


def differences_by_seed(
    seeds_a: Sequence[int] | np.ndarray, a: np.ndarray, seeds_b: Sequence[int] | np.ndarray, b: np.ndarray
) -> np.ndarray:
    """``a - b [n]`` in ascending order of the seeds with a finite value in both arms.

    Raises InputError for a repeated seed, and for an arm whose numbers of seeds and values differ.
    """
    a, b = _paired(seeds_a, a, seeds_b, b)
    return a - b


def correlation_by_seed(
    seeds_a: Sequence[int] | np.ndarray, a: np.ndarray, seeds_b: Sequence[int] | np.ndarray, b: np.ndarray
) -> float:
    """Pearson's correlation over the seeds with a finite value in both; NaN with fewer than three, or no spread."""
    a, b = _paired(seeds_a, a, seeds_b, b)
    if len(a) < 3 or min(a.std(), b.std()) <= _ROUNDING * np.max(np.abs([a, b])):
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def _paired(
    seeds_a: Sequence[int] | np.ndarray, a: np.ndarray, seeds_b: Sequence[int] | np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The values of both arms in ascending order of the seeds that are finite in both."""
    pairs = []
    for seeds, values in ((seeds_a, a), (seeds_b, b)):
        seeds, values = np.asarray(seeds), np.asarray(values, np.float64)
        if len(seeds) != len(values) or len(np.unique(seeds)) < len(seeds):
            raise InputError(
                f"seeds: {seeds.tolist()} for {len(values)} values; accepted: one value per seed, no seed twice"
            )
        kept = np.isfinite(values)
        pairs.append((seeds[kept], values[kept]))
    (seeds_a, a), (seeds_b, b) = pairs
    _, in_a, in_b = np.intersect1d(seeds_a, seeds_b, assume_unique=True, return_indices=True)
    return a[in_a], b[in_b]


def paired_difference(
    seeds_a: Sequence[int] | np.ndarray,
    a: np.ndarray,
    seeds_b: Sequence[int] | np.ndarray,
    b: np.ndarray,
    level: float = 0.95,
) -> Difference:
    """Paired Student t interval and two-sided p-value of mean(d), d = a - b by seed:

        mean(d) ± t(n - 1) s / √n,    p = 2 P(T > |mean(d)| √n / s),    T ~ t(n - 1)

    Pairing removes the effect of a seed (initial values, order of the data) that both arms share; where there is none
    it costs n - 1 of 2n - 2 degrees of freedom. Differences that are equal to float32 rounding give p = NaN: they have
    no spread. A seed that diverged in either arm is left out; if hard seeds diverge, the rest flatters both arms.
    """
    check_probability("level", level)
    d = differences_by_seed(seeds_a, a, seeds_b, b)
    mean, low, high, n = mean_interval(d, level)
    deviation = float(d.std(ddof=1)) if n > 1 else math.nan
    p = math.nan
    if n > 1 and deviation > _ROUNDING * np.max(np.abs(np.concatenate([finite(a), finite(b)]))):
        p = float(2 * special.stdtr(n - 1, -abs(mean) * math.sqrt(n) / deviation))
    return Difference(mean, low, high, n, deviation, p)


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Adjusted p-values of the family ``p [m]``: rejecting those of at most α keeps the family-wise error below α.

        adjusted(k) = max over j <= k of min(1, (m - j + 1) p(j)),    p(1) <= ... <= p(m)

    Valid for any dependence. NaN (no test was possible) stays NaN and still counts in m: the family is what was
    planned. Source: Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p)  # NaN comes last
    steps = np.minimum(1, np.arange(len(p), 0, -1) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted


def paired_power(n: int, effect: float, level: float = 0.95) -> float:
    """Power of the paired t-test with ``n`` seeds at an ``effect`` in standard deviations of one difference.

    P(|T| > t(n - 1)),    T ~ noncentral t(n - 1) at √n effect,    n >= 2, normal differences
    """
    edge = stats.t.ppf((1 + level) / 2, n - 1)
    shift = math.sqrt(n) * abs(effect)
    return float(stats.nct.sf(edge, n - 1, shift) + stats.nct.cdf(-edge, n - 1, shift))


MOST_SEEDS = 10**6


def seeds_needed(difference: float, deviation: float, power: float = 0.8, level: float = 0.95) -> float:
    """The smallest number of seeds (2 or more) for which the paired t-test has the ``power`` to find ``difference``.

    ``deviation`` is that of `Difference`. Infinity if MOST_SEEDS are too few, 2 for a deviation of 0, NaN if either is
    NaN. A rough plan: the deviation of four seeds is known to within 0.57 to 3.73 times (95 %, normal), hence the
    number of seeds to within 0.3 to 14 times. ``difference`` should be one that matters, not one that was measured.
    """
    check_probability("power", power)
    check_probability("level", level)
    if math.isnan(difference) or math.isnan(deviation):
        return math.nan
    check_number("deviation", deviation)
    if deviation == 0:
        return 2 if difference else math.inf
    effect = difference / deviation
    few, many = 1, 2
    while paired_power(many, effect, level) < power:
        if many >= MOST_SEEDS:
            return math.inf
        few, many = many, min(2 * many, MOST_SEEDS)
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if paired_power(middle, effect, level) >= power else (middle, many)
    return many
