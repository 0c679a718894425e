"""What a pilot run says about the run that would decide: its seeds and its cost, claim by claim."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rnnlab.claims import rules
from rnnlab.claims.judge import ALPHA, POWER, Claim, Evidence
from rnnlab.config.experiment import Config
from rnnlab.core.terminal import terminal_table
from rnnlab.stats.summary import Group


class Plan(NamedTuple):
    """What decides ``claim`` with a power of 80 %, if the effects are those of the pilot."""

    claim: str
    outlook: str  # the verdict that the pilot's effects point to; "" where nothing was measured, undecided without a
    # feasible number of seeds
    effect: str  # the deciding comparison of the pilot
    seeds: float  # at least the claim's own; infinite: no feasible number, NaN: nothing was measured
    epochs: int
    hours: float  # for the claim's arms, at the pilot's seconds per training step of one run


def plan(
    claims: Sequence[Claim], groups: Sequence[Group], planned: Config, summary: Mapping[str, Any],
    steps: Mapping[str, int], timings: Mapping[str, Sequence[float]] | None = None,
) -> list[Plan]:  # fmt: skip
    """A row for each of ``claims`` under the pilot's protocol whose arms it trained.

    ``planned`` is the study's configuration, ``steps`` an arm's training steps per epoch there. The pilot may have
    fewer epochs, seeds and steps; what it measured at its last epoch stands for the last epoch of the claim.
    """
    trained = {group.arm for group in groups}
    rows = []
    for claim in claims:
        if not set(claim.arms) <= trained or (claim.protocols and planned.protocol not in claim.protocols):
            continue
        try:
            rule = claim.rule(Evidence(groups, summary["arms"], timings or {}))
        except LookupError as error:
            rows.append(Plan(claim.name, "", str(error), math.nan, claim.epochs or planned.epochs, math.nan))
            continue
        deciding, epochs = rules.deciding(rule, ALPHA), claim.epochs or planned.epochs
        supports, seeds = rules.outlook(rule, ALPHA, POWER) if deciding.n else (None, math.nan)
        seeds = max(claim.seeds, seeds)
        hours = seeds * epochs * sum(_seconds_per_run_step(groups, summary, arm) * steps[arm] for arm in claim.arms)
        outlook = "" if supports is None else ("holds" if supports else "fails") if seeds < math.inf else "undecided"
        effect = f"{deciding.label}: {deciding.effect:.3g}" if deciding.n else "not measured"
        rows.append(Plan(claim.name, outlook, effect, seeds, epochs, hours / 3600))
    return rows


def _seconds_per_run_step(groups: Sequence[Group], summary: Mapping[str, Any], arm: str) -> float:
    """Seconds per training step and seed of ``arm``, all of its other hyperparameters together."""
    own = [group for group in groups if group.arm == arm]
    return summary["arms"][arm]["seconds"] / (len(own[0].seeds) * int(own[0].steps[-1]))


def text(rows: Sequence[Plan]) -> str:
    """A table for the terminal, one row per claim."""
    shown = [
        (row.claim, row.outlook, row.effect, _number(row.seeds), f"{row.epochs:,}",
         f"{row.hours:.2g}" if row.hours < 100 else _number(row.hours))
        for row in rows
    ]  # fmt: skip
    header = ("claim", "outlook", "measured in the pilot", "seeds for 80 % power", "epochs", "hours on this machine")
    return terminal_table(header, shown, title="What would decide the claims", justify=(*["left"] * 3, *["right"] * 3))


def _number(value: float) -> str:
    return f"{math.ceil(value):,}" if math.isfinite(value) else ("" if math.isnan(value) else "no feasible number")
