"""Every arm against the first: paired differences by seed, corrected for how many there are."""

import math
from collections.abc import Sequence

import numpy as np

from rnnlab import stats
from rnnlab.report.drawing import varying_numbers
from rnnlab.report.tables import Table
from rnnlab.stats.summary import Group, headline_values


def differences(found: Sequence[Group], headline: str) -> Table:
    """A row for each group but the first: its mean difference from the first, paired by seed.

    With its 95 % interval, the seeds that live in both, Holm's p-value over all rows, the chance that a run of it
    has the higher number (0.5: no difference), and the seeds that would tell them apart at 80 % power, were the
    difference what was measured. No rows where there is nothing to compare.
    """
    if len(found) < 2:
        return Table([], [])
    names = varying_numbers(found)
    first, values = found[0], [headline_values(group, headline) for group in found]
    pairs = [
        stats.paired_difference(group.seeds, mine, first.seeds, values[0])
        for group, mine in zip(found[1:], values[1:], strict=True)
    ]
    adjusted = stats.holm([pair.p for pair in pairs])
    rows = []
    for group, mine, pair, p in zip(found[1:], values[1:], pairs, adjusted, strict=True):
        cells = [_name(group, names), f"{pair.mean:+.4g}" if pair.n else "-", _between(pair.low, pair.high, "+.4g")]
        cells += [str(pair.n), "-" if math.isnan(p) else f"{p:.2g}" if p >= 1e-4 else "< 0.0001"]
        rows.append([*cells, _chance(mine, values[0]), _seeds(pair)])
    header = ["arm", f"minus {_name(first, names)}", "95 % interval", "seeds", "p (Holm)", "chance of a higher number"]
    return Table([*header, "seeds needed"], rows)


def _name(group: Group, names: Sequence[str]) -> str:
    return " ".join(
        [group.arm, *(f"{name}={group.hyperparams[name]:g}" for name in names if name in group.hyperparams)]
    )


def _chance(mine: np.ndarray, of_first: np.ndarray) -> str:
    found = stats.probability_of_improvement(mine, of_first)
    if math.isnan(found.value):
        return "-"
    return f"{found.value:.2f}" + ("" if math.isnan(found.low) else f" ({found.low:.2f} to {found.high:.2f})")


def _seeds(pair: stats.Difference) -> str:
    if math.isnan(pair.p):  # no spread to measure against
        return "-"
    seeds = stats.seeds_needed(pair.mean, pair.deviation)
    return f"{seeds:,.0f}" if math.isfinite(seeds) else f"over {stats.MOST_SEEDS:,}"


def _between(low: float, high: float, form: str) -> str:
    """``low to high``; a dash where there is no interval."""
    return "-" if math.isnan(low) else f"{low:{form}} to {high:{form}}"
