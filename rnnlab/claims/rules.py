"""Rules: comparisons, joined by "all" and "any", with the evidence for and against the whole.

A claim is true or false. Its rule has two p-values: ``p_holds``, against the claim being false, and ``p_fails``,
against its being true. A verdict by p <= alpha is then wrong with a probability of at most alpha, whatever the truth.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias


class Comparison(NamedTuple):
    """One tested statement: an effect with its 90 % CI, and one-sided p-values for it and against it.

    ``p_holds <= 0.05`` exactly if the interval lies on the claimed side. NaN: no test is possible.
    """

    label: str
    effect: float
    low: float
    high: float
    n: int
    p_holds: float
    p_fails: float
    supports_claim: bool  # what the effect alone says
    seeds: Callable[[float, float], float]  # (level, power) -> number of seeds that decide as the effect says
    proof: bool = False  # a count or an identity rather than a sample: no number of seeds is asked for
    needs: str = ""  # what a test lacks, where it is not seeds


class AllOf(NamedTuple):
    """Holds if all parts do, fails if one does.

    Holding is an intersection-union test: every part at the full level, without correction (Berger, Multiparameter
    hypothesis testing and acceptance sampling, 1982). Failing is one of several: Holm's correction.
    """

    parts: tuple["Rule", ...]


class AnyOf(NamedTuple):
    """Holds if one part does (Holm's correction), fails if all do (no correction)."""

    parts: tuple["Rule", ...]


Rule: TypeAlias = Comparison | AllOf | AnyOf


def all_of(*parts: Rule) -> AllOf:
    """The rule that needs every one of ``parts``."""
    return AllOf(parts)


def any_of(*parts: Rule) -> AnyOf:
    """The rule that needs one of ``parts``."""
    return AnyOf(parts)


def p_holds(rule: Rule) -> float:
    """The p-value against the rule being false; 1 where no test is possible."""
    if isinstance(rule, Comparison):
        return _or_one(rule.p_holds)
    return _largest(map(p_holds, rule.parts)) if isinstance(rule, AllOf) else _adjusted(map(p_holds, rule.parts))


def p_fails(rule: Rule) -> float:
    """The p-value against the rule being true; 1 where no test is possible."""
    if isinstance(rule, Comparison):
        return _or_one(rule.p_fails)
    return _adjusted(map(p_fails, rule.parts)) if isinstance(rule, AllOf) else _largest(map(p_fails, rule.parts))


def outcome(rule: Rule, alpha: float) -> str:
    """``holds``, ``fails`` or ``undecided`` at the level ``alpha``."""
    if p_holds(rule) <= alpha:
        return "holds"
    return "fails" if p_fails(rule) <= alpha else "undecided"


def _or_one(p: float) -> float:
    return 1.0 if math.isnan(p) else p


def _largest(p: Iterator[float]) -> float:
    return max(p, default=1.0)


def _adjusted(p: Iterator[float]) -> float:
    """Holm's smallest adjusted p-value, which decides whether any of the parts is significant."""
    values = list(p)
    return min(1.0, len(values) * min(values, default=1.0))


def comparisons(rule: Rule) -> list[Comparison]:
    """All comparisons of ``rule``, in order."""
    if isinstance(rule, Comparison):
        return [rule]
    return [comparison for part in rule.parts for comparison in comparisons(part)]


def deciding(rule: Rule, alpha: float) -> Comparison:
    """The comparison that decides: the weakest of those that are all needed, the strongest where one is enough."""
    if isinstance(rule, Comparison):
        return rule
    reached, conjunction = outcome(rule, alpha), isinstance(rule, AllOf)
    p = p_fails if reached == "fails" else p_holds
    by_strength = sorted(rule.parts, key=p)
    strongest = (reached == "fails") == conjunction
    return deciding(by_strength[0 if strongest else -1], alpha)


def outlook(rule: Rule, level: float, power: float) -> tuple[bool, float]:
    """Whether the effects support the rule, and the number of seeds that decides it so with ``power``.

    Parts that are all needed share the probability of missing one: each gets a power of 1 - (1 - power) / parts.
    """
    if isinstance(rule, Comparison):
        seeds = rule.seeds(level, power)
        return rule.supports_claim, math.inf if math.isnan(seeds) else seeds
    count, conjunction = len(rule.parts), isinstance(rule, AllOf)
    each = 1 - (1 - power) / count
    together = [outlook(part, level, each) for part in rule.parts]
    if all(supports == conjunction for supports, _ in together):
        return conjunction, max(seeds for _, seeds in together)
    alone = [outlook(part, level / count, power) for part in rule.parts]
    return not conjunction, min(seeds for supports, seeds in alone if supports != conjunction)
