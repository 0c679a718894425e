"""Every group against the first: paired differences by seed, with p-values adjusted for their number."""

import math
from collections.abc import Sequence

import numpy as np

from rnnlab import stats
from rnnlab.report.tables import Table, group_label, varying_hyperparams
from rnnlab.stats.summary import Group, Headline, headline_values


def differences(groups: Sequence[Group], headline: Headline) -> Table:
    """A row for each group but the first: its mean difference from the first, paired by seed.

    With its 95 % CI, the seeds finite in both, the p-value adjusted by Holm over all rows, the correlation within pairs
    (above 0: pairing by seed narrows the interval), the probability that a run
    of it has the higher value (0.5: no difference), and the seeds needed for 80 % power if the true difference were
    the measured one. No rows for fewer than two groups.
    """
    if len(groups) < 2:
        return Table([], [])
    varying = varying_hyperparams(groups)
    first, *others = [headline_values(group, headline) for group in groups]
    pairs = [
        stats.paired_difference(group.seeds, values, groups[0].seeds, first)
        for group, values in zip(groups[1:], others, strict=True)
    ]
    adjusted = stats.holm([pair.p for pair in pairs])
    rows = []
    for group, values, pair, p in zip(groups[1:], others, pairs, adjusted, strict=True):
        cells = [group_label(group, varying), f"{pair.mean:+.4g}" if pair.n else "-", _interval(pair)]
        cells += [str(pair.n), "-" if math.isnan(p) else f"{p:.2g}" if p >= 1e-4 else "< 0.0001"]
        cells.append(_correlation(group.seeds, values, groups[0].seeds, first))
        rows.append([*cells, _probability(values, first), _seeds(pair)])
    header = ["arm", f"minus {group_label(groups[0], varying)}", "95 % CI", "seeds", "p (Holm)", "correlation"]
    return Table([*header, "probability of a higher value", "seeds needed"], rows)


def _correlation(seeds: np.ndarray, values: np.ndarray, other_seeds: np.ndarray, others: np.ndarray) -> str:
    r = stats.correlation_by_seed(seeds, values, other_seeds, others)
    return "-" if math.isnan(r) else f"{r:+.2f}"


def _probability(values: np.ndarray, of_first: np.ndarray) -> str:
    improvement = stats.probability_of_improvement(values, of_first)
    if math.isnan(improvement.value):
        return "-"
    interval = "" if math.isnan(improvement.low) else f" ({improvement.low:.2f} to {improvement.high:.2f})"
    return f"{improvement.value:.2f}{interval}"


def _seeds(pair: stats.Difference) -> str:
    if math.isnan(pair.p):  # no spread
        return "-"
    seeds = stats.seeds_needed(pair.mean, pair.deviation)
    return f"{seeds:,.0f}" if math.isfinite(seeds) else f"over {stats.MOST_SEEDS:,}"


def _interval(pair: stats.Difference) -> str:
    return "-" if math.isnan(pair.low) else f"{pair.low:+.4g} to {pair.high:+.4g}"
