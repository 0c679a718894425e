"""What a claim is made of: comparisons with a p-value, a side of the claim, and the seeds that would settle them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from rnnlab import stats
from rnnlab.claims.run_values import Number, at_epoch, last
from rnnlab.stats import Difference
from rnnlab.stats.summary import Group


class Part(NamedTuple):
    """One comparison: its effect with a 95 % interval, a two-sided p-value, and on whose side the effect lies."""

    words: str
    effect: float
    low: float
    high: float
    n: int
    p: float  # NaN: no test is possible
    right: bool  # the effect is on the side of the claim
    seeds: Callable[[float], float]  # level -> seeds that would tell it apart at 80 % power


def _part(words: str, found: Difference, boundary: float, right: bool) -> Part:
    """A part of a difference from ``boundary``, shown as what was measured."""
    effect, low, high = (boundary + value for value in found[:3])
    return Part(
        words, effect, low, high, found.n, found.p, right,
        lambda level: stats.seeds_needed(found.mean, found.deviation, level=level),
    )  # fmt: skip


def _against(group: Group, number: Number, boundary: float) -> Difference:
    values = number(group)
    return stats.paired_difference(group.seeds, values, group.seeds, np.full(len(values), boundary))


def above(group: Group, number: Number, least: float, words: str) -> Part:
    """The mean over runs lies above ``least`` (one-sample t-test)."""
    found = _against(group, number, least)
    return _part(f"{group.arm}, {words} above {least:g}", found, least, found.mean > 0)


def below(group: Group, number: Number, most: float, words: str) -> Part:
    """The mean over runs lies below ``most``."""
    found = _against(group, number, most)
    return _part(f"{group.arm}, {words} below {most:g}", found, most, found.mean < 0)


def about(group: Group, number: Number, value: float, words: str, within: float = 0.025) -> list[Part]:
    """The mean over runs lies in ``value ± within``: above one end and below the other."""
    return [above(group, number, value - within, words), below(group, number, value + within, words)]


def higher(a: Group, b: Group, number: Number, words: str, *, by: float = 0.0, of_a: Number | None = None) -> Part:
    """``mean(a - b) > by`` (paired t-test by seed); ``by`` may be negative: not lower by more. ``of_a``: a's number."""
    found = stats.paired_difference(a.seeds, (of_a or number)(a) - by, b.seeds, number(b))
    more = f" more than {by:g}" if by else ""
    return _part(f"{words}, {a.arm} - {b.arm}{more}", found, by, found.mean > 0)


def lower(a: Group, b: Group, number: Number, words: str) -> Part:
    """``mean(a - b) < 0`` (paired t-test by seed)."""
    part = higher(a, b, number, words)
    return part._replace(right=part.effect < 0)


def sooner(a: Group, b: Group, success_threshold: Mapping[str, Any] | None) -> Part:
    """A run of a solves its task sooner than one of b, with a chance above a half (Mann & Whitney).

    A run that never reached the goal, or died, comes after all that did; two of them are a tie. The interval is that
    of `stats.probability_of_improvement`; the seeds of each arm are Noether's (1987), (zα + zβ)² / (6 (P - 1/2)²).
    """
    steps_a, steps_b = _steps(a, success_threshold), _steps(b, success_threshold)
    found = stats.probability_of_improvement(steps_a, steps_b, higher_is_better=False)
    n = min(found.n_a, found.n_b)
    p = math.nan
    if n > 1 and len(np.unique(np.concatenate([steps_a, steps_b]))) > 1:
        p = float(scipy.stats.mannwhitneyu(steps_a, steps_b, alternative="two-sided").pvalue)

    def seeds(level: float) -> float:
        z = scipy.stats.norm.ppf([(1 + level) / 2, 0.8]).sum()
        return math.inf if found.value == 0.5 else math.ceil(z**2 / (6 * (found.value - 0.5) ** 2))

    words = f"chance that {a.arm} ({_solved(steps_a)}) solves it sooner than {b.arm} ({_solved(steps_b)})"
    return Part(words, found.value, found.low, found.high, n, p, found.value > 0.5, seeds)


_NEVER = float(np.iinfo(np.int64).max)


def _steps(group: Group, success_threshold: Mapping[str, Any] | None) -> np.ndarray:
    """``[n]`` steps until a run's validation reached ``success_threshold``, ``_NEVER`` for one that did not or died."""
    values = group.values.get(("validation", success_threshold["metric"])) if success_threshold else None
    if success_threshold is None or values is None:
        return np.full(len(group.seeds), np.nan)
    column = stats.first_reached(values, success_threshold["least"])
    return np.where((column >= 0) & ~group.diverged, group.steps[column].astype(float), _NEVER)


def _solved(steps: np.ndarray) -> str:
    return f"{int((steps < _NEVER).sum())} of {len(steps)}"


def cheaper(arms: Mapping[str, Mapping[str, Any]], pairs: Sequence[tuple[str, str]], words: str) -> Part:
    """The first of each pair of arms takes less time than the second: ``exp(mean(log(a / b)))`` below 1.

    The time of an arm was measured once, for all its runs together: seeds are no repetitions of it, pairs are.
    """
    known = [[arms.get(name, {}).get("seconds") or math.nan for name in pair] for pair in pairs]
    logs = np.log(np.array(known, np.float64))
    found = stats.paired_difference(range(len(pairs)), logs[:, 0], range(len(pairs)), logs[:, 1])
    part = _part(words, found, 0.0, found.mean < 0)
    return part._replace(effect=math.exp(part.effect), low=math.exp(part.low), high=math.exp(part.high))


def parted(group: Group, apart: Group, share: float = 0.01) -> Part:
    """The fraction of runs whose two paths are alike after the first epoch, and no longer after the last.

    Alike: their param_distance is at most ``share`` of the mean one of ``apart`` before training. One run that parts
    shows that it may happen. That none does speaks against it with a chance of 2^-n, were it to happen in half of all
    runs; the interval is Wilson's.
    """
    far = share * float(np.mean(at_epoch("validation", "param_distance", 0)(apart)))
    first = at_epoch("validation", "param_distance", 1)(group)
    end = last("validation", "param_distance")(group)
    known = np.isfinite(first) & np.isfinite(end)
    count, n = int(((first <= far) & (end > far) & known).sum()), int(known.sum())
    found = stats.fraction_interval(count, n)
    largest = float(np.max(end[known], initial=0.0))
    words = f"part of {group.arm} whose paths part (largest distance {largest:.3g}, apart from {far:.3g} on)"
    p = math.nan if not n or math.isnan(far) else 0.0 if count else 0.5**n
    return Part(words, found.fraction, found.low, found.high, n, p, count > 0, lambda level: -math.log2(1 - level))
