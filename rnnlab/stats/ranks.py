"""Rank and sign statistics: the probability that one arm beats another, and exact tests."""

import math
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from rnnlab.stats.intervals import check_probability, finite


class Improvement(NamedTuple):
    """Probability that a run of arm a beats one of arm b, its interval, and the finite runs of each."""

    value: float
    low: float
    high: float
    n_a: int
    n_b: int


def probability_of_improvement(
    a: np.ndarray, b: np.ndarray, higher_is_better: bool = True, level: float = 0.95
) -> Improvement:
    """P(A > B) + P(A = B) / 2 (A < B if lower is better) of the finite ``a [n]`` and ``b [m]``: U / (n m).

    U is Mann and Whitney's. Runs are treated as independent: seeds in common are not used. The interval is the score
    interval, all θ with |P - θ| <= z √V(θ), where with k = (n + m) / 2 - 1

        V(θ) = θ (1 - θ) (1 + k (1 - θ) / (2 - θ) + k θ / (1 + θ)) / (n m)

    Measured coverage of the 95 % interval for n = 4, 8, 16: 90.7 to 96.0, 93.6 to 96.9, 92.8 to 95.5 % (lowest and
    highest of P = 0.5, 0.75, 0.95, each for normals of equal spread, of spreads 1 and 3, and exponentials).
    A bootstrap covers 25 to 96 % there at n = 4, and has no width where every run of one arm beats every run of the
    other.

    NaN without a finite run in each arm; no interval with fewer than two in either.
    Source: Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2,
    2006, method 5; Agarwal et al., Deep RL at the edge of the statistical precipice, 2021, for the use.
    """
    check_probability("level", level)
    sign = 1 if higher_is_better else -1
    a, b = sign * finite(a), sign * finite(b)
    n, m = len(a), len(b)
    if min(n, m) < 1:
        return Improvement(math.nan, math.nan, math.nan, n, m)
    x, y = a[:, None], b[None, :]
    value = float((np.mean(x > y) + np.mean(x >= y)) / 2)
    low = high = math.nan
    if min(n, m) > 1:
        low, high = _score_interval(value, n, m, float(stats.norm.ppf((1 + level) / 2)))
    return Improvement(value, low, high, n, m)


def mann_whitney(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Exact one-sided p-values of Mann and Whitney's test that ``a [n]`` is lower, and higher, than ``b [m]``.

    The distribution of the sum of a's midranks over all ways to choose n of n + m runs, so ties, of censored runs too,
    are exact. NaN where all values are equal or an arm has none.
    Source: Lehmann, Nonparametrics, 1975, section 1.4; the count by the recursion over runs.
    """
    n, pooled = len(a), np.concatenate([a, b])
    if min(n, len(b)) < 1 or len(np.unique(pooled)) < 2:
        return math.nan, math.nan
    doubled = np.rint(2 * stats.rankdata(pooled)).astype(int)  # whole numbers
    ways = np.zeros((n + 1, doubled.sum() + 1))
    ways[0, 0] = 1
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    observed, distribution = doubled[:n].sum(), ways[n] / ways[n].sum()
    return float(distribution[: observed + 1].sum()), float(distribution[observed:].sum())


def seeds_of_sign_test(fraction: float, level: float, power: float, most: int = 1000) -> float:
    """The fewest runs at which the sign test at ``level`` finds with ``power`` that ``fraction`` is above 1/2.

    Infinity if ``most`` are too few.
    """
    for n in range(1, most + 1):
        critical = stats.binom.isf(level, n, 0.5) + 1  # the least count with P(count or more) <= level
        if critical <= n and stats.binom.sf(critical - 1, n, fraction) >= power:
            return n
    return math.inf


def _score_interval(value: float, n: int, m: int, z: float) -> tuple[float, float]:
    k = (n + m) / 2 - 1

    def excess(theta: float) -> float:
        spread = 1 + k * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (value - theta) ** 2 - z**2 * theta * (1 - theta) * spread / (n * m)

    # at 0 and 1 the variance is 0 and value itself is a root: step inside
    tiny = 1e-12
    low = 0.0 if value < 2 * tiny else optimize.brentq(excess, 0, value - tiny)
    high = 1.0 if value > 1 - 2 * tiny else optimize.brentq(excess, value + tiny, 1)
    return low, high
