"""From a claim and the records of a run to a verdict; never from a quick run, another setting or too few seeds."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from rnnlab import stats
from rnnlab.claims.comparisons import Part
from rnnlab.claims.run_values import best
from rnnlab.config.experiment import Config
from rnnlab.stats.summary import Group

ALPHA = 0.05  # for each claim, the chance of a verdict where there is nothing to find; not shared among claims
LEAST_SEEDS = 4


class Evidence(NamedTuple):
    """What a rule may look at: the groups of the claim's arms up to its last epoch, and what summary.json knows."""

    groups: Sequence[Group]
    arms: Mapping[str, Mapping[str, Any]]
    success_threshold: Mapping[str, Any] | None

    def group(self, arm: str, **hyperparams: float) -> Group:
        """The first group of ``arm`` with ``hyperparams``."""
        return next(
            g for g in self._of(arm) if all(g.hyperparams[name] == value for name, value in hyperparams.items())
        )

    def best_on_validation(self, arm: str) -> Group:
        """The group of ``arm`` whose lowest validation loss is lowest in the mean over runs: its best rate."""
        lowest = best("validation", "loss", higher_is_better=False)
        return min(self._of(arm), key=lambda group: float(np.nanmean(lowest(group))))

    def _of(self, arm: str) -> list[Group]:
        return [group for group in self.groups if group.arm == arm]


class Claim(NamedTuple):
    """A sentence of a paper, and the comparisons that it stands or falls with.

    Each part's p-value is adjusted for the others (Holm) and counts from ALPHA down. All parts on the claim's side:
    it holds; one on the other: it fails. With ``one_is_enough``: one on its side, and all on the other.
    """

    name: str
    sentence: str
    published: str
    arms: Sequence[str]
    rule: Callable[[Evidence], Sequence[Part]]
    protocols: Sequence[str] = ()  # that it is about; none: every one of the study
    seeds: int = LEAST_SEEDS  # live runs of every arm
    epochs: int = 0  # of which it speaks; 0: as many as the study plans
    one_is_enough: bool = False


class Verdict(NamedTuple):
    """``effect``, its 95 % interval and ``n`` are those of the part that decides; NaN and 0 if nothing was judged."""

    name: str
    sentence: str
    published: str
    outcome: str  # holds, fails or undecided
    measured: str
    effect: float
    low: float
    high: float
    n: int
    settles: str  # what would decide it; "" once it is decided


def judge(
    claims: Sequence[Claim], found: Sequence[Group], config: Config, planned: Config, summary: Mapping[str, Any]
) -> list[Verdict]:
    """A verdict for each of ``claims``. ``planned`` is the study's own configuration in the protocol of ``config``.

    Seeds, arms and epochs are the run's to choose; anything else that differs from ``planned`` makes it another
    experiment, of which the claim says nothing. Epochs after the planned last one are not looked at.
    """
    altered = [
        name for name in (field.name for field in fields(Config))
        if name not in _FREE and getattr(config, name) != getattr(planned, name)
    ]  # fmt: skip
    return [_judge(claim, found, config, planned, summary, altered) for claim in claims]


_FREE = (
    "seeds",
    "arms",
    "epochs",
    "probes",
    "eval_batch_size",
    "runs_per_device",
    "keep_params_every",
    "checkpoint_interval_s",
)  # change no result


def _judge(
    claim: Claim, found: Sequence[Group], config: Config, planned: Config, summary: Mapping[str, Any],
    altered: Sequence[str],
) -> Verdict:  # fmt: skip
    epochs = claim.epochs or planned.epochs
    groups = [_until(group, epochs) for group in found if group.arm in claim.arms]
    if lacking := _lacking(claim, groups, config, planned, altered, epochs):
        return Verdict(*claim[:3], "undecided", "", math.nan, math.nan, math.nan, 0, f"needs {lacking}")
    parts = list(claim.rule(Evidence(groups, summary["arms"], summary["success_threshold"])))
    adjusted = stats.holm([part.p for part in parts])
    outcomes = [_outcome(part, p) for part, p in zip(parts, adjusted, strict=True)]
    enough, whole = ("holds", "fails") if claim.one_is_enough else ("fails", "holds")
    outcome = enough if enough in outcomes else whole if set(outcomes) == {whole} else "undecided"
    # of the parts that agree with the verdict: the clearest where one is enough for it, else the weakest
    order = np.argsort(np.where(np.isnan(adjusted), 2, adjusted), kind="stable")
    agreeing = [index for index in order if outcomes[index] == outcome]
    clearest = outcome == enough or (outcome == "undecided" and claim.one_is_enough)
    part = parts[agreeing[0 if clearest else -1]]
    diverged = sum(int(group.diverged.sum()) for group in groups)
    measured = _sentence(part, outcomes) + (f"; {diverged} dead runs left out" if diverged else "")
    settles = "" if outcome != "undecided" else _settles(part, len(parts))
    return Verdict(*claim[:3], outcome, measured, part.effect, part.low, part.high, part.n, settles)


def _until(group: Group, epoch: int) -> Group:
    kept = group.epochs <= epoch
    values = {key: curves[:, kept] for key, curves in group.values.items()}
    return group._replace(epochs=group.epochs[kept], values=values, steps=group.steps[kept])


def _lacking(
    claim: Claim, groups: Sequence[Group], config: Config, planned: Config, altered: Sequence[str], epochs: int
) -> str:
    """What the run lacks to be judged, in words; "" if nothing."""
    found = []
    if altered:
        found.append(f"the study's own {', '.join(altered)}")
    if claim.protocols and config.protocol not in claim.protocols:
        found.append(f"protocol {' or '.join(claim.protocols)}")
    other = [name for name in claim.arms if name in config.arms and config.arms[name] != planned.arms.get(name)]
    if other and not altered:
        found.append(f"the study's own {', '.join(other)}")
    present = {group.arm for group in groups}
    if missing := [name for name in claim.arms if name not in present]:
        found.append(f"{'arm' if len(missing) == 1 else 'arms'} {', '.join(missing)}")
    if groups:
        fewest = min(groups, key=lambda group: int((~group.diverged).sum()))
        if (alive := int((~fewest.diverged).sum())) < claim.seeds:
            found.append(f"{claim.seeds} live runs of every arm ({fewest.arm} has {alive})")
        ends = [(int(group.epochs[-1]) if len(group.epochs) else 0, group.arm) for group in groups]
        if min(ends)[0] < epochs:
            found.append(f"{epochs} epochs ({min(ends)[1]} has {min(ends)[0]})")
    return "; ".join(found)


def _outcome(part: Part, adjusted: float) -> str:
    if not adjusted <= ALPHA:  # NaN: no test
        return "undecided"
    return "holds" if part.right else "fails"


def _sentence(part: Part, outcomes: Sequence[str]) -> str:
    if not part.n:
        return f"{part.words}: not measured"
    interval = f"{part.low:.4g} to {part.high:.4g}, " if math.isfinite(part.low) else ""
    text = f"{part.words}: {part.effect:.4g} ({interval}n = {part.n})"
    if len(outcomes) == 1:
        return text
    several = {"holds": "hold", "fails": "fail", "undecided": "undecided"}
    counted = {name: outcomes.count(name) for name in several if name in outcomes}
    counts = [f"{count} {name if count == 1 else several[name]}" for name, count in counted.items()]
    return f"{text}; of {len(outcomes)} comparisons: {', '.join(counts)}"


def _settles(part: Part, family: int) -> str:
    if math.isnan(part.p):
        return "no spread to measure against" if part.n > 1 else "runs of which this was measured, with seeds in common"
    seeds = part.seeds(1 - ALPHA / family)
    if not math.isfinite(seeds):
        return "no number of seeds that could be planned would tell this apart"
    return f"about {max(math.ceil(seeds), part.n + 1):,} seeds would tell this apart with 80 % power"


def text(verdicts: Sequence[Verdict]) -> str:
    """A table for a terminal, a row a claim; "" for none."""
    from rich.console import Console
    from rich.table import Table

    if not verdicts:
        return ""
    shown = Table(box=None, header_style="bold", title="the paper's claims", title_justify="left", padding=(0, 1))
    for name in ("claim", "verdict"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("measured (95 % interval)")
    for verdict in verdicts:
        shown.add_row(verdict.name, verdict.outcome, "; ".join(filter(None, (verdict.measured, verdict.settles))))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    with console.capture() as captured:
        console.print(shown)
    return captured.get()
