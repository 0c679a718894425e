"""From claims and the records of a run to verdicts. Quick runs, other settings and too few seeds are undecided."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from rnnlab import stats
from rnnlab.claims.comparisons import Comparison
from rnnlab.claims.run_values import best
from rnnlab.config.experiment import Config
from rnnlab.core.terminal import terminal_table
from rnnlab.stats.summary import Group

ALPHA = 0.05  # probability of a verdict without an effect, per claim; not shared among claims
MIN_SEEDS = 4
# Fields of Config that change no result, and those that a claim checks on its own.
FREE_FIELDS = (
    "seeds", "arms", "epochs", "probes", "eval_batch_size", "runs_per_device", "keep_params_every",
    "checkpoint_interval_s",
)  # fmt: skip


class Evidence(NamedTuple):
    """What a rule reads: groups of the claim's arms up to its last epoch, and arms and threshold of summary.json."""

    groups: Sequence[Group]
    arms: Mapping[str, Mapping[str, Any]]
    success_threshold: Mapping[str, Any] | None

    def group(self, arm: str, **hyperparams: float) -> Group:
        """The first group of ``arm`` with ``hyperparams``."""
        return next(
            group
            for group in self._of(arm)
            if all(group.hyperparams[name] == value for name, value in hyperparams.items())
        )

    def best_on_validation(self, arm: str) -> Group:
        """The group of ``arm`` with the lowest mean of the lowest validation loss: its best learning rate."""
        lowest = best("validation", "loss", higher_is_better=False)
        return min(self._of(arm), key=lambda group: float(np.nanmean(lowest(group))))

    def _of(self, arm: str) -> list[Group]:
        return [group for group in self.groups if group.arm == arm]


class Claim(NamedTuple):
    """A sentence of a paper, and the comparisons that decide it.

    The p-values of a claim's comparisons are adjusted as one family (Holm) and are significant up to ALPHA. The claim
    holds if all comparisons support it, and fails if one contradicts it. With ``one_is_enough`` it holds if one
    supports it, and fails if all contradict it.
    """

    name: str
    sentence: str
    published: str
    arms: Sequence[str]
    rule: Callable[[Evidence], Sequence[Comparison]]
    protocols: Sequence[str] = ()  # the protocols it applies to; empty: all of the study
    seeds: int = MIN_SEEDS  # finite runs that every arm needs
    epochs: int = 0  # epochs it refers to; 0: the study's
    one_is_enough: bool = False


class Verdict(NamedTuple):
    """``effect``, its 95 % CI and ``n`` belong to the deciding comparison; NaN and 0 if nothing was judged."""

    name: str
    sentence: str
    published: str
    outcome: str  # holds, fails or undecided
    measured: str
    effect: float
    low: float
    high: float
    n: int
    to_decide: str  # what is needed for a decision; "" once it is decided


def judge(
    claims: Sequence[Claim], groups: Sequence[Group], config: Config, planned: Config, summary: Mapping[str, Any]
) -> list[Verdict]:
    """A verdict for each of ``claims``. ``planned`` is the study's configuration in the protocol of ``config``.

    Seeds, arms and epochs may differ from ``planned``; any other difference that affects results leaves all claims
    undecided. Epochs after the planned last one are ignored.
    """
    altered = [
        field.name
        for field in fields(Config)
        if field.name not in FREE_FIELDS and getattr(config, field.name) != getattr(planned, field.name)
    ]
    return [_judge(claim, groups, config, planned, summary, altered) for claim in claims]


def _judge(
    claim: Claim, all_groups: Sequence[Group], config: Config, planned: Config, summary: Mapping[str, Any],
    altered: Sequence[str],
) -> Verdict:  # fmt: skip
    epochs = claim.epochs or planned.epochs
    groups = [_until(group, epochs) for group in all_groups if group.arm in claim.arms]
    if missing := _missing(claim, groups, config, planned, altered, epochs):
        return Verdict(*claim[:3], "undecided", "", math.nan, math.nan, math.nan, 0, f"needs {missing}")
    comparisons = list(claim.rule(Evidence(groups, summary["arms"], summary["success_threshold"])))
    adjusted = stats.holm([comparison.p for comparison in comparisons])
    outcomes = [_outcome(comparison, p) for comparison, p in zip(comparisons, adjusted, strict=True)]
    if_any, if_all = ("holds", "fails") if claim.one_is_enough else ("fails", "holds")
    outcome = if_any if if_any in outcomes else if_all if set(outcomes) == {if_all} else "undecided"
    # The deciding comparison: among those with the verdict's outcome, the strongest if one is enough, else the weakest.
    order = np.argsort(np.where(np.isnan(adjusted), 2, adjusted), kind="stable")
    agreeing = [index for index in order if outcomes[index] == outcome]
    strongest = outcome == if_any or (outcome == "undecided" and claim.one_is_enough)
    deciding = comparisons[agreeing[0 if strongest else -1]]
    diverged = sum(int(group.diverged.sum()) for group in groups)
    measured = _measured(deciding, outcomes) + (f"; {diverged} diverged runs excluded" if diverged else "")
    to_decide = "" if outcome != "undecided" else _to_decide(deciding, len(comparisons))
    return Verdict(
        *claim[:3], outcome, measured, deciding.effect, deciding.low, deciding.high, deciding.n, to_decide
    )  # fmt: skip


def _until(group: Group, epoch: int) -> Group:
    kept = group.epochs <= epoch
    values = {key: curves[:, kept] for key, curves in group.values.items()}
    return group._replace(epochs=group.epochs[kept], values=values, steps=group.steps[kept])


def _missing(
    claim: Claim, groups: Sequence[Group], config: Config, planned: Config, altered: Sequence[str], epochs: int
) -> str:
    """What the run lacks for a judgement, in words; "" if nothing."""
    missing = []
    if altered:
        missing.append(f"the study's own {', '.join(altered)}")
    if claim.protocols and config.protocol not in claim.protocols:
        missing.append(f"protocol {' or '.join(claim.protocols)}")
    other = [name for name in claim.arms if name in config.arms and config.arms[name] != planned.arms.get(name)]
    if other and not altered:
        missing.append(f"the study's own {', '.join(other)}")
    present = {group.arm for group in groups}
    if absent := [name for name in claim.arms if name not in present]:
        missing.append(f"{'arm' if len(absent) == 1 else 'arms'} {', '.join(absent)}")
    if groups:
        fewest = min(groups, key=lambda group: int((~group.diverged).sum()))
        if (finite := int((~fewest.diverged).sum())) < claim.seeds:
            missing.append(f"{claim.seeds} finite runs of every arm ({fewest.arm} has {finite})")
        ends = [(int(group.epochs[-1]) if len(group.epochs) else 0, group.arm) for group in groups]
        if min(ends)[0] < epochs:
            missing.append(f"{epochs} epochs ({min(ends)[1]} has {min(ends)[0]})")
    return "; ".join(missing)


def _outcome(comparison: Comparison, adjusted_p: float) -> str:
    if not adjusted_p <= ALPHA:  # also NaN: no test
        return "undecided"
    return "holds" if comparison.supports_claim else "fails"


def _measured(comparison: Comparison, outcomes: Sequence[str]) -> str:
    if not comparison.n:
        return f"{comparison.label}: not measured"
    interval = f"{comparison.low:.4g} to {comparison.high:.4g}, " if math.isfinite(comparison.low) else ""
    measured = f"{comparison.label}: {comparison.effect:.4g} ({interval}n = {comparison.n})"
    if len(outcomes) == 1:
        return measured
    plural = {"holds": "hold", "fails": "fail", "undecided": "undecided"}
    counts = {name: outcomes.count(name) for name in plural if name in outcomes}
    counted = [f"{count} {name if count == 1 else plural[name]}" for name, count in counts.items()]
    return f"{measured}; of {len(outcomes)} comparisons: {', '.join(counted)}"


def _to_decide(comparison: Comparison, family_size: int) -> str:
    if math.isnan(comparison.p):
        return "needs a spread between runs" if comparison.n > 1 else "needs measured runs with common seeds"
    seeds = comparison.seeds(1 - ALPHA / family_size)
    if not math.isfinite(seeds):
        return "no feasible number of seeds would decide it"
    return f"needs about {max(math.ceil(seeds), comparison.n + 1):,} seeds for 80 % power"


def text(verdicts: Sequence[Verdict]) -> str:
    """A table for the terminal, one row per claim; "" without verdicts."""
    if not verdicts:
        return ""
    rows = [
        (verdict.name, verdict.outcome, "; ".join(filter(None, (verdict.measured, verdict.to_decide))))
        for verdict in verdicts
    ]
    return terminal_table(
        ("claim", "verdict", "measured (95 % CI)"), rows, title="Claims of the paper", justify=("left", "left", "left")
    )
