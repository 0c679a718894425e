"""From claims and the records of a run to verdicts. Quick runs, other settings and too few seeds are undecided."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from rnnlab.claims import rules
from rnnlab.claims.rules import Comparison, Rule
from rnnlab.claims.run_values import HELD_OUT, HIGHER_IS_BETTER, best
from rnnlab.config.experiment import Config
from rnnlab.core.terminal import terminal_table
from rnnlab.stats.summary import Group

ALPHA = 0.05  # the most that a verdict may be wrong, per claim; not shared among claims
POWER = 0.8
MIN_SEEDS = 4
# Fields of Config that change no result, and those that a claim checks on its own.
FREE_FIELDS = (
    "seeds", "arms", "epochs", "probes", "eval_batch_size", "runs_per_device", "keep_params_every",
    "checkpoint_interval_s",
)  # fmt: skip


@dataclass(frozen=True)
class Evidence:
    """What a rule reads: groups of the claim's arms up to its last epoch, parameters of arms, and times in turn."""

    groups: Sequence[Group]
    arms: Mapping[str, Mapping[str, Any]]  # as in summary.json
    timings: Mapping[str, Sequence[float]] = field(default_factory=dict)  # arm -> seconds, round by round
    used: list[Group] = field(default_factory=list)  # every group that the rule asked for

    def group(self, arm: str, **hyperparams: float) -> Group:
        """The first group of ``arm`` with ``hyperparams``. Raises LookupError without one."""
        for group in self._of(arm):
            if all(group.hyperparams.get(name) == value for name, value in hyperparams.items()):
                return self._use(group)
        raise LookupError(
            f"no runs of {arm} with {', '.join(f'{name} {value:g}' for name, value in hyperparams.items())}"
        )

    def best_on_validation(self, arm: str, metric: str) -> Group:
        """The group of ``arm`` whose runs have the best mean of their best held-out ``metric``: its best learning rate.

        A group with a diverged run comes after all groups with fewer.
        """
        sign, value = -1 if HIGHER_IS_BETTER[metric] else 1, best(HELD_OUT, metric)

        def rank(group: Group) -> tuple[int, float]:
            alive = value(group)[~group.diverged]
            return int(group.diverged.sum()), sign * float(alive.mean()) if len(alive) else math.inf

        return self._use(min(self._of(arm), key=rank))

    def _of(self, arm: str) -> list[Group]:
        return [group for group in self.groups if group.arm == arm]

    def _use(self, group: Group) -> Group:
        """``group``, named with the hyperparameters that its arm sweeps."""
        self.used.append(group)
        others = self._of(group.arm)
        swept = [name for name in group.hyperparams if len({other.hyperparams[name] for other in others}) > 1]
        named = ", ".join(f"{name.replace('_', ' ')} {group.hyperparams[name]:g}" for name in swept)
        return group._replace(arm=f"{group.arm} ({named})") if named else group


class Claim(NamedTuple):
    """A sentence of a paper, and the rule that decides it."""

    name: str
    sentence: str
    published: str
    arms: Sequence[str]
    rule: Callable[[Evidence], Rule]
    source: str = ""  # section, table or figure of the paper
    reading: str = ""  # how the words are read: test, margin and why
    protocols: Sequence[str] = ()  # the protocols it applies to; empty: all of the study
    seeds: int = MIN_SEEDS  # runs that every comparison needs
    epochs: int = 0  # epochs it refers to, also beyond the planned ones; 0: the study's


class Verdict(NamedTuple):
    """``effect``, its 90 % CI and ``n`` belong to the deciding comparison; NaN and 0 if nothing was judged."""

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
    reading: str = ""  # source and reading of the claim
    parts: Sequence[str] = ()  # every comparison, in words


def judge(
    claims: Sequence[Claim], groups: Sequence[Group], config: Config, planned: Config, summary: Mapping[str, Any],
    timings: Mapping[str, Sequence[float]] | None = None,
) -> list[Verdict]:  # fmt: skip
    """A verdict for each of ``claims``. ``planned`` is the study's configuration in the protocol of ``config``.

    Seeds, arms and epochs may differ from ``planned``; any other difference that affects results leaves all claims
    undecided. Epochs after the last one that a claim speaks of are ignored. ``timings``: seconds of arms, in turn.
    """
    altered = _altered(config, planned)
    return [_judge(claim, groups, config, planned, summary, altered, timings or {}) for claim in claims]


def would_judge(claim: Claim, config: Config, planned: Config) -> bool:
    """Whether a finished run of ``config`` would judge ``claim``; ``planned`` as in `judge`."""
    trained = [_Trained(name, len(config.seeds), config.epochs) for name in claim.arms if name in config.arms]
    return not _missing(claim, trained, config, planned, _altered(config, planned))


class _Trained(NamedTuple):
    """What there is of an arm, at one value of its hyperparameters."""

    arm: str
    seeds: int
    epochs: int


def _altered(config: Config, planned: Config) -> list[str]:
    return [
        field.name
        for field in fields(Config)
        if field.name not in FREE_FIELDS and getattr(config, field.name) != getattr(planned, field.name)
    ]


def _judge(
    claim: Claim, all_groups: Sequence[Group], config: Config, planned: Config, summary: Mapping[str, Any],
    altered: Sequence[str], timings: Mapping[str, Sequence[float]],
) -> Verdict:  # fmt: skip
    epochs, reading = claim.epochs or planned.epochs, ". ".join(filter(None, (claim.source, claim.reading)))
    groups = [_until(group, epochs) for group in all_groups if group.arm in claim.arms]
    trained = [_Trained(group.arm, len(group.seeds), int(max(group.epochs, default=0))) for group in groups]
    if missing := _missing(claim, trained, config, planned, altered):
        return Verdict(
            *claim[:3], "undecided", "", math.nan, math.nan, math.nan, 0, f"needs {missing}", reading
        )  # fmt: skip
    evidence = Evidence(groups, summary["arms"], timings)
    rule = _with_enough(claim.rule(evidence), claim.seeds)
    reached, deciding = rules.outcome(rule, ALPHA), rules.deciding(rule, ALPHA)
    parts = rules.comparisons(rule)
    used = {id(group.seeds): group for group in evidence.used}.values()
    diverged = sum(int(group.diverged.sum()) for group in used)
    measured = _measured(deciding) + (f"; {_counts(parts)}" if len(parts) > 1 else "")
    measured += f"; {diverged} of {sum(len(group.seeds) for group in used)} runs diverged" if diverged else ""
    return Verdict(
        *claim[:3], reached, measured, deciding.effect, deciding.low, deciding.high, deciding.n,
        "" if reached != "undecided" else _to_decide(rule, deciding), reading, [_measured(part) for part in parts],
    )  # fmt: skip


def _with_enough(rule: Rule, seeds: int) -> Rule:
    """``rule``, whose comparisons of fewer runs than ``seeds`` decide nothing."""
    if not isinstance(rule, Comparison):
        return type(rule)(tuple(_with_enough(part, seeds) for part in rule.parts))
    if rule.proof or not 0 < rule.n < seeds:
        return rule
    return rule._replace(p_holds=math.nan, p_fails=math.nan, needs=f"{seeds} runs that count (it has {rule.n})")


def _until(group: Group, epoch: int) -> Group:
    kept = group.epochs <= epoch
    values = {key: curves[:, kept] for key, curves in group.values.items()}
    return group._replace(epochs=group.epochs[kept], values=values, steps=group.steps[kept])


def _missing(claim: Claim, trained: Sequence[_Trained], config: Config, planned: Config, altered: Sequence[str]) -> str:
    """What the run lacks for a judgement, in words; "" if nothing."""
    missing, epochs = [], claim.epochs or planned.epochs
    if altered:
        missing.append(f"the study's own {', '.join(altered)}")
    if claim.protocols and config.protocol not in claim.protocols:
        missing.append(f"protocol {' or '.join(claim.protocols)}")
    other = [name for name in claim.arms if name in config.arms and config.arms[name] != planned.arms.get(name)]
    if other and not altered:
        missing.append(f"the study's own {', '.join(other)}")
    present = {each.arm for each in trained}
    if absent := [name for name in claim.arms if name not in present]:
        missing.append(f"{'arm' if len(absent) == 1 else 'arms'} {', '.join(absent)}")
    if trained:
        fewest = min(trained, key=lambda each: each.seeds)
        if fewest.seeds < claim.seeds:
            missing.append(f"{claim.seeds} runs of every arm ({fewest.arm} has {fewest.seeds})")
        shortest = min(trained, key=lambda each: each.epochs)
        if shortest.epochs < epochs:
            missing.append(f"{epochs} epochs ({shortest.arm} has {shortest.epochs})")
    return "; ".join(missing)


def _measured(comparison: Comparison) -> str:
    if not comparison.n:
        return f"{comparison.label}: not measured"
    if comparison.proof:
        return comparison.label
    interval = f"{comparison.low:.4g} to {comparison.high:.4g}, " if math.isfinite(comparison.low) else ""
    return f"{comparison.label}: {comparison.effect:.4g} ({interval}n = {comparison.n})"


def _counts(parts: Sequence[Comparison]) -> str:
    """How many parts hold and fail, each for itself."""
    outcomes = [rules.outcome(part, ALPHA) for part in parts]
    plural = {"holds": "hold", "fails": "fail", "undecided": "undecided"}
    counts = {name: outcomes.count(name) for name in plural if name in outcomes}
    counted = [f"{count} {name if count == 1 else plural[name]}" for name, count in counts.items()]
    return f"of {len(parts)} comparisons: {', '.join(counted)}"


def _to_decide(rule: Rule, deciding: Comparison) -> str:
    if deciding.needs:
        return f"needs {deciding.needs}"
    if math.isnan(deciding.p_holds):
        return "needs a spread between runs" if deciding.n > 1 else "needs measured runs with common seeds"
    _, seeds = rules.outlook(rule, ALPHA, POWER)
    if not math.isfinite(seeds):
        return "no feasible number of seeds would decide it"
    return f"needs about {max(math.ceil(seeds), deciding.n + 1):,} seeds for 80 % power"


def family(verdicts: Sequence[Verdict]) -> str:
    """How many of the judged claims chance alone would decide wrongly; "" if none was judged."""
    judged = [verdict for verdict in verdicts if verdict.n]
    if not judged:
        return ""
    decided = sum(verdict.outcome != "undecided" for verdict in judged)
    return (
        f"{len(judged)} claims were judged, {decided} of them decided. Each verdict is wrong with a probability of at "
        f"most {ALPHA:g}: if every judged claim were at the edge of its rule, chance alone would decide up to "
        f"{ALPHA * len(judged):.2g} of them wrongly."
    )


def text(verdicts: Sequence[Verdict]) -> str:
    """A table for the terminal, one row per claim; "" without verdicts."""
    if not verdicts:
        return ""
    rows = [
        (verdict.name, verdict.outcome, "; ".join(filter(None, (verdict.measured, verdict.to_decide))))
        for verdict in verdicts
    ]
    table = terminal_table(
        ("claim", "verdict", "measured (90 % CI)"), rows, title="Claims of the paper", justify=("left", "left", "left")
    )
    return table + (f"{line}\n" if (line := family(verdicts)) else "")
