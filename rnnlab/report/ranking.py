"""All arms of a run against each other: ranks, every pair, and what the score costs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

from rnnlab import stats
from rnnlab.report.figures import LEFT_FROM, Figure, Line, Panel
from rnnlab.report.tables import Table, group_label, interval_text, milliseconds_per_step, varying_hyperparams
from rnnlab.stats.epoch_selection import best_over_epochs
from rnnlab.stats.summary import Group, Headline, headline_values

FEWEST_ARMS, MOST_ARMS = 3, 60
ALPHA = 0.05


class Ranked(NamedTuple):
    """The arms of a run, each at its best hyperparameters, from the best mean rank to the worst."""

    groups: Sequence[Group]
    values: np.ndarray  # [A, R] the headline by arm and seed, NaN where a run diverged
    ranks: np.ndarray  # [A, R], 1 for the best arm of a seed; diverged runs share the last place
    better: np.ndarray  # [A, A] probability that a run of the row's arm is better than one of the column's
    p: np.ndarray  # [A, A] paired t-tests, adjusted by Holm over all pairs; NaN on the diagonal


def ranked(groups: Sequence[Group], headline: Headline) -> Ranked | None:
    """None for fewer than three arms, more than 60, or arms without common seeds."""
    chosen = at_best(groups)
    if not FEWEST_ARMS <= len(chosen) <= MOST_ARMS:
        return None
    seeds = sorted(set.intersection(*(set(group.seeds.tolist()) for group in chosen)))
    if not seeds:
        return None
    of_seeds = [np.searchsorted(group.seeds, seeds) for group in chosen]
    values = np.array([headline_values(group, headline)[rows] for group, rows in zip(chosen, of_seeds, strict=True)])
    sign = -1 if headline.higher_is_better else 1
    ranks = rankdata(np.where(np.isnan(values), np.inf, sign * values), axis=0)
    order = np.argsort(ranks.mean(axis=1), kind="stable")
    chosen, values, ranks = [chosen[i] for i in order], values[order], ranks[order]
    better, p = np.full((2, len(chosen), len(chosen)), np.nan)
    pairs = [(a, b) for a in range(len(chosen)) for b in range(a)]
    tests = []
    for a, b in pairs:
        better[a, b] = stats.probability_of_improvement(values[a], values[b], headline.higher_is_better).value
        better[b, a] = 1 - better[a, b]
        tests.append(stats.paired_difference(seeds, values[a], seeds, values[b]).p)
    for (a, b), adjusted in zip(pairs, stats.holm(tests), strict=True):
        p[a, b] = p[b, a] = adjusted
    return Ranked(chosen, values, ranks, better, p)


def at_best(groups: Sequence[Group]) -> list[Group]:
    """A group for each arm, in order: that with the best hyperparameters.

    These are the ones with the fewest diverged runs, then the lowest mean over runs of their best validation loss; the
    headline, on test, does not choose.
    """

    def order(group: Group) -> tuple[int, float]:
        losses = group.curve("validation", "loss")[~group.diverged]
        lowest = best_over_epochs(losses, higher_is_better=False)
        known = lowest[np.isfinite(lowest)]
        return int(group.diverged.sum()), float(known.mean()) if len(known) else math.inf

    return [min((g for g in groups if g.arm == arm), key=order) for arm in dict.fromkeys(g.arm for g in groups)]


def ranks_table(found: Ranked, summary: Mapping[str, Any], headline: Headline) -> Table:
    """A row for each arm: mean rank and score with 95 % CI, the arms that it is surely better and worse than, cost."""
    varying = varying_hyperparams(found.groups)
    rows = []
    for place, group in enumerate(found.groups):
        rank, score = (stats.mean_interval(v[place]) for v in (found.ranks, found.values))
        sure = found.p[place] < ALPHA
        better, worse = (int((sure & side).sum()) for side in (found.better[place] > 0.5, found.better[place] < 0.5))
        arm = summary["arms"].get(group.arm, {})
        cost = milliseconds_per_step(summary, found.groups, group.arm)
        cells = [group_label(group, varying), _short(rank), interval_text(score._asdict()), str(better), str(worse)]
        rows.append([*cells, f"{arm['parameters']:,}" if "parameters" in arm else "", "-" if cost is None else
                     f"{cost:.3g}"])  # fmt: skip
    name = headline.name.replace("_", " ")
    return Table(["arm", "mean rank", name, "better than", "worse than", "parameters", "ms per step and run"], rows)


def pairs_table(found: Ranked) -> Table:
    """Probability, in per cent, that a run of the row's arm is better than one of the column's; * where p < 0.05."""
    names = [group.arm for group in found.groups]
    rows = []
    for a, name in enumerate(names):
        chances = [(found.better[a, b], found.p[a, b] < ALPHA) for b in range(len(names))]
        rows.append([name, *("" if math.isnan(of) else f"{100 * of:.0f}{'*' * bool(sure)}" for of, sure in chances)])
    return Table(["better than:", *names], rows)


def cost_figure(found: Ranked, summary: Mapping[str, Any], headline: Headline, title: str) -> Figure | None:
    """Score by time per step and run, a point for each arm, and the line of arms that no cheaper one equals."""
    points = []
    for place, group in enumerate(found.groups):
        cost, score = milliseconds_per_step(summary, found.groups, group.arm), stats.mean_interval(found.values[place])
        if cost is not None and math.isfinite(score.mean):
            points.append((cost, score.mean, group.arm))
    if len(points) < FEWEST_ARMS:
        return None
    sign, frontier = 1 if headline.higher_is_better else -1, list[tuple[float, float]]()
    for cost, value, _ in sorted(points):
        if not frontier or sign * value > sign * frontier[-1][1]:
            frontier.append((cost, value))
    costs, scores = zip(*frontier, strict=True)
    lines = [Line("no cheaper arm is as good", 7, costs, scores)] if len(frontier) > 1 else []
    named = _apart([*(point for point in sorted(points) if point[:2] in frontier), *sorted(points)])
    lines += [Line(name if name in named else "", index % 7, [cost], [value])
              for index, (cost, value, name) in enumerate(sorted(points))]  # fmt: skip
    name = headline.name.replace("_", " ")
    unnamed = "; unnamed points: see the table" if len(named) < len(points) else ""
    panel = Panel(name, f"ms per step and run{unnamed}", lines, x_scale="linear", labelled=True)
    rows = [{"arm": arm, "ms_per_step_and_run": cost, headline.name: score} for cost, score, arm in points]
    return Figure("cost", title, [panel], 1, rows)


LABEL_WIDTH, LABEL_HEIGHT = 0.2, 0.045  # of the axes


def _apart(points: Sequence[tuple[float, float, str]]) -> set[str]:
    """The names of those points, the first ones first, whose labels do not lie on each other."""
    costs, scores, _ = zip(*points, strict=True)
    width, height = (max(1e-12, max(axis) - min(axis)) for axis in (costs, scores))
    kept: dict[str, tuple[float, float]] = {}
    for cost, score, name in points:
        x, y = (cost - min(costs)) / width, score / height
        start = x - LABEL_WIDTH if x > LEFT_FROM else x
        if all(abs(start - other) > LABEL_WIDTH or abs(y - above) > LABEL_HEIGHT for other, above in kept.values()):
            kept[name] = start, y
    return set(kept)


def _short(interval: stats.Interval) -> str:
    half = "" if math.isnan(interval.low) else f" ± {interval.mean - interval.low:.1f}"
    return f"{interval.mean:.1f}{half}"
