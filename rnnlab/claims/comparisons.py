"""Comparisons that claims consist of: differences, equivalence, orders, ranks and signs, times and counts."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.special
import scipy.stats

from rnnlab import stats
from rnnlab.claims.rules import AllOf, Comparison
from rnnlab.claims.run_values import RunValue, at_epoch, last
from rnnlab.stats import Difference
from rnnlab.stats.summary import Group

LEVEL = 0.9  # of intervals: their ends decide one-sided tests at 0.05
_INFINITE = float(np.iinfo(np.int64).max)  # stands for infinity in ranks


def above(group: Group, value: RunValue, bound: float) -> Comparison:
    """The mean over runs is above ``bound`` (one-sample t-test)."""
    return _one_sided(f"{value.words} of {group.arm} above {bound:g}", _from(group, value, bound), bound, 1)


def below(group: Group, value: RunValue, bound: float) -> Comparison:
    """The mean over runs is below ``bound`` (one-sample t-test)."""
    return _one_sided(f"{value.words} of {group.arm} below {bound:g}", _from(group, value, bound), bound, -1)


def about(group: Group, value: RunValue, target: float, *, within: float) -> Comparison:
    """The mean over runs is within ``target ± within`` (two one-sided t-tests)."""
    label = f"{value.words} of {group.arm} within {target:g} ± {within:g}"
    return _two_one_sided(label, _from(group, value, target), target, within)


def higher(a: Group, b: Group, value: RunValue, *, by: float = 0.0, of_a: RunValue | None = None) -> Comparison:
    """``mean(a - b) > by`` (paired t-test by seed). ``of_a``: the value of ``a``, if it is not ``value``."""
    margin = f" above {by:g}" if by else ""
    label = f"{value.words}: {f'{of_a.words} of ' if of_a else ''}{a.arm} - {b.arm}{margin}"
    return _one_sided(label, _between(a, b, value, by, of_a), by, 1)


def lower(a: Group, b: Group, value: RunValue, *, by: float = 0.0) -> Comparison:
    """``mean(a - b) < -by`` (paired t-test by seed)."""
    margin = f" below {-by:g}" if by else ""
    return _one_sided(f"{value.words}: {a.arm} - {b.arm}{margin}", _between(a, b, value, -by), -by, -1)


def no_worse(a: Group, b: Group, value: RunValue, *, within: float) -> Comparison:
    """``mean(a - b) > -within``, for values of which more is better: one side of `equivalent`."""
    return higher(a, b, value, by=-within)


def equivalent(a: Group, b: Group, value: RunValue, *, within: float) -> Comparison:
    """``|mean(a - b)| < within`` (two one-sided paired t-tests; Schuirmann 1987).

    Fails if the difference is shown to be larger on either side.
    """
    label = f"{value.words}: {a.arm} - {b.arm} within ± {within:g}"
    return _two_one_sided(label, _between(a, b, value, 0.0), 0.0, within)


def ordered(groups: Sequence[Group], value: RunValue) -> AllOf:
    """The mean of each group is above that of the next: a chain of paired differences."""
    return AllOf(tuple(higher(a, b, value) for a, b in pairwise(groups)))


def lower_at_every_epoch(a: Group, b: Group, split: str, metric: str, epochs: Sequence[int]) -> AllOf:
    """``a`` is below ``b`` after each of ``epochs``: all are needed, and one epoch above (Holm) refutes it."""
    return AllOf(tuple(lower(a, b, at_epoch(split, metric, epoch)) for epoch in epochs))


def sooner(a: Group, b: Group, value: RunValue) -> Comparison:
    """The probability that a run of ``a`` has the lower ``value`` is above 1/2 (Mann-Whitney test, exact with ties).

    Infinite values, of runs that never got there, rank last and tie with each other. A log-rank test would wrongly
    reject too often with few runs. The interval is that of `stats.probability_of_improvement`; the number of seeds per
    arm is Noether's (1987), (zα + zβ)² / (6 (P - 1/2)²).
    """
    values_a, values_b = (np.minimum(stats.measured(value(group)), _INFINITE) for group in (a, b))
    chance = stats.probability_of_improvement(values_a, values_b, higher_is_better=False, level=LEVEL)
    p_low, p_high = stats.mann_whitney(values_a, values_b)

    def seeds(level: float, power: float) -> float:
        z = scipy.stats.norm.ppf([1 - level, power]).sum()
        return math.inf if chance.value == 0.5 else math.ceil(z**2 / (6 * (chance.value - 0.5) ** 2))

    reached = (f"{int((values < _INFINITE).sum())} of {len(values)}" for values in (values_a, values_b))
    names = " against ".join(f"{group.arm} ({count} reached it)" for group, count in zip((a, b), reached, strict=True))
    return Comparison(
        f"P(fewer {value.words}), {names}", *chance[:3], min(chance.n_a, chance.n_b), p_low, p_high,
        chance.value > 0.5, seeds,
    )  # fmt: skip


def in_most(group: Group, value: RunValue, *, above: float | None = None, below: float | None = None) -> Comparison:
    """More than half of all runs have a value above ``above`` and below ``below`` (exact sign test).

    Infinite values count as they are, so a drop of a diverged run is above every bound. Five runs are the fewest that
    can decide at 0.05. The interval is Clopper and Pearson's, which agrees with the test.
    """
    values = stats.measured(value(group))
    inside = np.ones(len(values), bool) if above is None else values > above
    inside &= True if below is None else values < below
    n, count = len(values), int(inside.sum())
    bounds = " and ".join(f"{word} {end:g}" for word, end in (("above", above), ("below", below)) if end is not None)
    label = f"fraction of runs of {group.arm} with {value.words} {bounds}"
    if not n:
        return proof(label, math.nan, False)
    low, high = _exact_interval(count, n)
    tests = (scipy.special.bdtrc(count - 1, n, 0.5) if count else 1.0, scipy.special.bdtr(count, n, 0.5))
    return Comparison(
        label, count / n, low, high, n, *tests, count > n / 2,
        lambda level, power: stats.seeds_of_sign_test(max(count, n - count) / n, level, power),
    )  # fmt: skip


def cheaper(timings: Mapping[str, Sequence[float]], a: str, b: str, *, times: float = 1.0) -> Comparison:
    """``a`` takes less time than ``b``, by a factor of ``times``: ``exp(mean(log(a / b))) < 1 / times``.

    The mean is over rounds in which both were timed in turn (t-test).
    """
    seconds = [np.asarray(timings.get(name, ()), np.float64) for name in (a, b)]
    rounds = min(map(len, seconds))
    logs = [np.log(each[:rounds]) for each in seconds]
    bound = -math.log(times)
    difference = stats.paired_difference(range(rounds), logs[0] - bound, range(rounds), logs[1], LEVEL)
    comparison = _one_sided(f"time of {a} / time of {b} below {1 / times:.3g}", difference, bound, -1)
    return comparison._replace(
        effect=math.exp(comparison.effect), low=math.exp(comparison.low), high=math.exp(comparison.high),
        needs="" if rounds else f"times of {a} and {b} in turn: bench --cells, into DIR/bench (NAME/: DIR/bench-NAME)",
    )  # fmt: skip


def fewer_parameters(arms: Mapping[str, Mapping[str, Any]], a: str, b: str) -> Comparison:
    """``a`` has fewer parameters than ``b``: a count, not a test."""
    counts = [arms.get(name, {}).get("parameters", math.nan) for name in (a, b)]
    return proof(f"parameters: {a} {counts[0]:,}, {b} {counts[1]:,}", counts[0] - counts[1], counts[0] < counts[1])


def paths_may_part(group: Group, reference: Group, repeated: Group, tolerance: float = 0.01) -> Comparison:
    """Paths that are equal after the first epoch are no longer equal after the last, in some run.

    Equal: param_distance is at most ``tolerance`` times the mean initial one of ``reference``. One case shows that
    parting may occur, if it is not rounding: so a run of ``repeated``, whose sums are rounded in another way, has to
    part too. A distance of exactly 0 after every epoch proves the opposite: equal parameters with equal gradients.
    """
    distances = [each.curve("validation", "param_distance")[~each.diverged] for each in (group, repeated)]
    threshold = tolerance * float(np.nanmean(at_epoch("validation", "param_distance", 0)(reference)))
    first, end = (at_epoch("validation", "param_distance", 1), last("validation", "param_distance"))
    parted = [int(((first(each) <= threshold) & (end(each) > threshold)).sum()) for each in (group, repeated)]
    n, largest = len(distances[0]), float(np.max(distances[0], initial=0.0))
    if not n or math.isnan(threshold) or np.isnan(distances[0]).any():
        return proof(f"paths of {group.arm}: distance not measured", math.nan, False)
    if largest == 0:
        return proof(f"paths of {group.arm}: distance exactly 0 after every epoch of {n} runs, so identical by "
                     "determinism", 0.0, False)  # fmt: skip
    label = f"paths of {group.arm}: {parted[0]} of {n} runs part, up to a distance of {largest:.3g}"
    if parted[0] and parted[1]:
        return proof(f"{label}; {parted[1]} of {repeated.arm}", parted[0] / n, True)
    low, high = _exact_interval(parted[0], n)
    needs = f"a parting in {repeated.arm} too, else it is rounding" if parted[0] else "distances beyond rounding"
    return Comparison(label, parted[0] / n, low, high, n, math.nan, math.nan, parted[0] > 0,
                      lambda _, __: math.nan, needs=needs)  # fmt: skip


def proof(label: str, effect: float, supports_claim: bool) -> Comparison:
    """A statement that is certain from what is given: a count, or equality to the last bit."""
    known = not math.isnan(effect)
    holds, fails = (float(supports_claim != side) if known else math.nan for side in (True, False))
    return Comparison(
        label, effect, math.nan, math.nan, int(known), holds, fails, supports_claim, lambda _, __: 1.0, proof=True
    )  # fmt: skip


def _exact_interval(count: int, n: int) -> tuple[float, float]:
    """Clopper and Pearson's interval of ``count / n`` at LEVEL."""
    low = scipy.special.betaincinv(count, n - count + 1, (1 - LEVEL) / 2) if count else 0.0
    return float(low), float(scipy.special.betaincinv(count + 1, n - count, (1 + LEVEL) / 2)) if count < n else 1.0


def _from(group: Group, value: RunValue, bound: float) -> Difference:
    values = _averaged(group, value)
    return stats.paired_difference(group.seeds, values, group.seeds, np.full(len(values), bound), LEVEL)


def _between(a: Group, b: Group, value: RunValue, by: float, of_a: RunValue | None = None) -> Difference:
    return stats.paired_difference(a.seeds, _averaged(a, of_a or value) - by, b.seeds, _averaged(b, value), LEVEL)


def _averaged(group: Group, value: RunValue) -> np.ndarray:
    values = value(group)
    assert not np.isinf(values).any(), f"{value.words}: infinite values have no mean; use sooner or in_most"
    return values


def _one_sided(label: str, difference: Difference, boundary: float, sign: int) -> Comparison:
    """A t-test of whether the ``difference`` from ``boundary`` has ``sign``. The effect includes the boundary."""
    effect, low, high = (boundary + value for value in difference[:3])
    p_above, p_below = _sides(difference)
    return Comparison(
        label, effect, low, high, difference.n, *((p_above, p_below) if sign > 0 else (p_below, p_above)),
        sign * difference.mean > 0, lambda level, power: _seeds(difference.mean, difference, level, power),
    )  # fmt: skip


def _two_one_sided(label: str, difference: Difference, target: float, within: float) -> Comparison:
    effect, low, high = (target + value for value in difference[:3])
    inside = abs(difference.mean) < within
    p_above, p_below = zip(*(_sides(_moved(difference, end)) for end in (-within, within)), strict=True)

    def seeds(level: float, power: float) -> float:
        if not inside:
            return _seeds(abs(difference.mean) - within, difference, level / 2, power)
        each = 1 - (1 - power) / 2
        return max(_seeds(within + side * difference.mean, difference, level, each) for side in (-1, 1))

    # above the lower end and below the upper one; or below the lower end or above the upper one
    return Comparison(
        label, effect, low, high, difference.n, max(p_above[0], p_below[1]), min(1, 2 * min(p_below[0], p_above[1])),
        inside, seeds,
    )  # fmt: skip


def _moved(difference: Difference, by: float) -> Difference:
    """The same differences from ``by`` instead of 0."""
    mean = difference.mean - by
    if math.isnan(difference.p):
        return difference._replace(mean=mean)
    t = abs(mean) * math.sqrt(difference.n) / difference.deviation
    return difference._replace(mean=mean, p=float(2 * scipy.special.stdtr(difference.n - 1, -t)))


def _sides(difference: Difference) -> tuple[float, float]:
    """The p-values of the one-sided tests that the mean is above, and below, 0."""
    toward = difference.p / 2
    return (toward, 1 - toward) if difference.mean > 0 else (1 - toward, toward)


def _seeds(effect: float, difference: Difference, level: float, power: float) -> float:
    return stats.seeds_needed(effect, difference.deviation, power, 1 - 2 * level)
