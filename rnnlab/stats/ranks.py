"""Rank statistics: the probability that one arm beats another."""

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
