"""How much of the spread between runs comes from initial values, from the order of batches, from the split."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import chi2

from rnnlab.report.tables import Table, group_label
from rnnlab.stats.summary import Group, Headline, headline_values

SOURCES = {"all": "all of them", "init": "initial values", "batches": "order of batches", "split": "split of the data"}


def spread_table(runs: Mapping[str, Sequence[Group]], headline: Headline) -> Table:
    """The standard deviation over seeds of each group that all ``runs`` have, by what their seeds varied.

    ``runs`` by ``Config.seed_source``; with the 95 % interval of a normal distribution's. Source: Bouthillier et al.,
    Accounting for variance in machine learning benchmarks, 2021.
    """
    named = {source: {_name(group): group for group in groups} for source, groups in runs.items()}
    names = [name for name in next(iter(named.values())) if all(name in groups for groups in named.values())]
    rows = [[SOURCES[source], *(_spread(headline_values(groups[name], headline)) for name in names)]
            for source, groups in sorted(named.items(), key=lambda item: list(SOURCES).index(item[0]))]  # fmt: skip
    return Table(["what the seeds vary", *names], rows)


def _name(group: Group) -> str:
    return group_label(group, list(group.hyperparams))


def _spread(values: np.ndarray) -> str:
    """``sd (low to high, n)`` of the finite values."""
    finite = values[np.isfinite(values)]
    n = len(finite)
    if n < 2:
        return "-"
    squares = float(np.sum((finite - finite.mean()) ** 2))
    low, high = (math.sqrt(squares / chi2.ppf(q, n - 1)) for q in (0.975, 0.025))
    return f"{math.sqrt(squares / (n - 1)):.2g} ({low:.2g} to {high:.2g}, n = {n})"
