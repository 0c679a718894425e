"""What told the runs that solved a task from those that did not, before they did."""

from collections.abc import Sequence

import numpy as np

from rnnlab import stats
from rnnlab.report.tables import Table, group_label, varying_hyperparams
from rnnlab.stats.summary import Group, steps_to_solve

EARLY = 0.25  # of the training of the earliest run that solved the task


def early_signs(groups: Sequence[Group], metric: str, threshold: float) -> Table:
    """A row for each group with runs that solved the task and others: solved, stuck, diverged, and the best early sign.

    A sign is a metric of a split, or of a probe, at the last epoch within a quarter of the steps of the first run that
    solved, or before training; its strength is the probability that a run that solved has the higher value (0 or 1:
    tells all apart, 0.5: nothing), with its interval. Of many signs the best is shown: some of its strength is chance.
    """
    varying, rows = varying_hyperparams(groups), []
    for group in groups:
        steps = steps_to_solve(group, metric, threshold)
        solved, stuck = np.isfinite(steps), ~np.isfinite(steps) & ~group.diverged
        if not solved.any() or not stuck.any():
            continue
        before = np.flatnonzero(group.steps <= EARLY * steps[solved].min())
        column = int(before[-1]) if len(before) else 0
        strengths = []
        for (split, name), values in group.values.items():
            found = stats.probability_of_improvement(values[solved, column], values[stuck, column])
            if np.isfinite(found.value):
                strengths.append((abs(found.value - 0.5), f"{split} {name}".replace("_", " "), found))
        counts = [str(int(kind.sum())) for kind in (solved, stuck, group.diverged)]
        if not strengths:
            rows.append([group_label(group, varying), *counts, "-", "-", "-"])
            continue
        _, sign, found = max(strengths, key=lambda one: one[0])
        interval = "" if np.isnan(found.low) else f" ({found.low:.2f} to {found.high:.2f})"
        place = [sign, str(group.epochs[column]), f"{found.value:.2f}{interval}"]
        rows.append([group_label(group, varying), *counts, *place])
    header = ["arm", "solved", "stuck", "diverged", "best early sign", "epoch"]
    return Table([*header, "probability of a higher value if solved"], rows)
