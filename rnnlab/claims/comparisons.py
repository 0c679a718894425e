"""Comparisons that claims consist of: effect, p-value, whether it supports the claim, and seeds needed to decide."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from rnnlab import stats
from rnnlab.claims.run_values import RunValue, at_epoch, last
from rnnlab.stats import Difference
from rnnlab.stats.summary import Group


class Comparison(NamedTuple):
    """One comparison: an effect with its 95 % CI and a two-sided p-value."""

    label: str
    effect: float
    low: float
    high: float
    n: int
    p: float  # NaN: no test is possible
    supports_claim: bool  # the sign of the effect is the claimed one
    seeds: Callable[[float], float]  # significance level -> number of seeds for 80 % power


def _comparison(label: str, difference: Difference, boundary: float, supports_claim: bool) -> Comparison:
    """A tested difference from ``boundary``, with the boundary added back to the effect and its interval."""
    effect, low, high = (boundary + value for value in difference[:3])
    return Comparison(
        label, effect, low, high, difference.n, difference.p, supports_claim,
        lambda level: stats.seeds_needed(difference.mean, difference.deviation, level=level),
    )  # fmt: skip


def _difference_from(group: Group, value: RunValue, boundary: float) -> Difference:
    values = value(group)
    return stats.paired_difference(group.seeds, values, group.seeds, np.full(len(values), boundary))


def above(group: Group, value: RunValue, minimum: float, label: str) -> Comparison:
    """The mean over runs is above ``minimum`` (one-sample t-test)."""
    difference = _difference_from(group, value, minimum)
    return _comparison(f"{group.arm}, {label} above {minimum:g}", difference, minimum, difference.mean > 0)


def below(group: Group, value: RunValue, maximum: float, label: str) -> Comparison:
    """The mean over runs is below ``maximum`` (one-sample t-test)."""
    difference = _difference_from(group, value, maximum)
    return _comparison(f"{group.arm}, {label} below {maximum:g}", difference, maximum, difference.mean < 0)


def about(group: Group, value: RunValue, target: float, label: str, within: float = 0.025) -> list[Comparison]:
    """The mean over runs is within ``target ± within``: above the lower end and below the upper end."""
    return [above(group, value, target - within, label), below(group, value, target + within, label)]


def higher(
    a: Group, b: Group, value: RunValue, label: str, *, by: float = 0.0, of_a: RunValue | None = None
) -> Comparison:
    """``mean(a - b) > by`` (paired t-test by seed). A negative ``by`` tests non-inferiority.

    ``of_a``: the value of ``a``, if it is not ``value``.
    """
    difference = stats.paired_difference(a.seeds, (of_a or value)(a) - by, b.seeds, value(b))
    margin = f" more than {by:g}" if by else ""
    return _comparison(f"{label}, {a.arm} - {b.arm}{margin}", difference, by, difference.mean > 0)


def lower(a: Group, b: Group, value: RunValue, label: str) -> Comparison:
    """``mean(a - b) < 0`` (paired t-test by seed)."""
    comparison = higher(a, b, value, label)
    return comparison._replace(supports_claim=comparison.effect < 0)


def sooner(a: Group, b: Group, success_threshold: Mapping[str, Any] | None) -> Comparison:
    """The probability that a run of ``a`` solves its task in fewer steps than one of ``b`` is above 1/2.

    Mann-Whitney test. Runs that never reached the threshold, and diverged runs, rank last and tie with each other. The
    interval is that of `stats.probability_of_improvement`; the number of seeds per arm is Noether's (1987),
    (zα + zβ)² / (6 (P - 1/2)²).
    """
    steps_a, steps_b = _steps(a, success_threshold), _steps(b, success_threshold)
    improvement = stats.probability_of_improvement(steps_a, steps_b, higher_is_better=False)
    n = min(improvement.n_a, improvement.n_b)
    p = math.nan
    if n > 1 and len(np.unique(np.concatenate([steps_a, steps_b]))) > 1:
        p = float(scipy.stats.mannwhitneyu(steps_a, steps_b, alternative="two-sided").pvalue)

    def seeds(level: float) -> float:
        z = scipy.stats.norm.ppf([(1 + level) / 2, 0.8]).sum()
        return math.inf if improvement.value == 0.5 else math.ceil(z**2 / (6 * (improvement.value - 0.5) ** 2))

    solved_a, solved_b = (f"{int((steps < _NEVER).sum())} of {len(steps)} solved" for steps in (steps_a, steps_b))
    label = f"P({a.arm} ({solved_a}) solves the task in fewer steps than {b.arm} ({solved_b}))"
    return Comparison(
        label, improvement.value, improvement.low, improvement.high, n, p, improvement.value > 0.5, seeds
    )  # fmt: skip


_NEVER = float(np.iinfo(np.int64).max)


def _steps(group: Group, success_threshold: Mapping[str, Any] | None) -> np.ndarray:
    """``[n]`` steps until the validation metric reached the threshold; ``_NEVER`` for unsolved and diverged runs."""
    values = group.values.get(("validation", success_threshold["metric"])) if success_threshold else None
    if success_threshold is None or values is None:
        return np.full(len(group.seeds), np.nan)
    column = stats.first_reached(values, success_threshold["threshold"])
    return np.where((column >= 0) & ~group.diverged, group.steps[column].astype(float), _NEVER)


def cheaper(arms: Mapping[str, Mapping[str, Any]], pairs: Sequence[tuple[str, str]], label: str) -> Comparison:
    """The first arm of each pair takes less time than the second: ``exp(mean(log(a / b))) < 1``.

    All runs of an arm are timed together, so the replicates are the pairs, not the seeds.
    """
    seconds = [[arms.get(name, {}).get("seconds") or math.nan for name in pair] for pair in pairs]
    logs = np.log(np.array(seconds, np.float64))
    difference = stats.paired_difference(range(len(pairs)), logs[:, 0], range(len(pairs)), logs[:, 1])
    comparison = _comparison(label, difference, 0.0, difference.mean < 0)
    return comparison._replace(
        effect=math.exp(comparison.effect), low=math.exp(comparison.low), high=math.exp(comparison.high)
    )


def paths_diverged(group: Group, reference: Group, tolerance: float = 0.01) -> Comparison:
    """The fraction of runs whose two paths are equal after the first epoch and no longer equal after the last.

    Equal: param_distance is at most ``tolerance`` times the mean initial one of ``reference``. A single such run shows
    that it happens. If it happened in half of all runs, observing none in n would have probability 2^-n, which is the
    p-value against the claim. The interval is Wilson's.
    """
    threshold = tolerance * float(np.mean(at_epoch("validation", "param_distance", 0)(reference)))
    first = at_epoch("validation", "param_distance", 1)(group)
    end = last("validation", "param_distance")(group)
    measured = np.isfinite(first) & np.isfinite(end)
    count, n = int(((first <= threshold) & (end > threshold) & measured).sum()), int(measured.sum())
    proportion = stats.proportion_interval(count, n)
    largest = float(np.max(end[measured], initial=0.0))
    label = f"fraction of {group.arm} whose paths diverge (largest distance {largest:.3g}, threshold {threshold:.3g})"
    p = math.nan if not n or math.isnan(threshold) else 0.0 if count else 0.5**n
    return Comparison(
        label, proportion.proportion, proportion.low, proportion.high, n, p, count > 0,
        lambda level: -math.log2(1 - level),
    )  # fmt: skip
