"""The figures of runs as data: learning curves, probes, gradients by lag, published curves, final values."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rnnlab.report import published
from rnnlab.report.figures import COLORS, Figure, Line, Panel, Strip, StripFigure, y_limits
from rnnlab.report.published import Curve
from rnnlab.report.tables import (
    Published,
    group_label,
    hyperparams_text,
    interval_text,
    run_rows,
    varying_hyperparams,
)
from rnnlab.stats import mean_interval
from rnnlab.stats.summary import Group, Headline, headline_values
from rnnlab.storage.metrics import DIVERGED_AT
from rnnlab.training.tasks import metric_names

LEAST_FOR_PERCENTILES = 5  # runs
LAG = re.compile(r"(?P<quantity>.+)_lag_(?P<lag>\d+)")  # a metric that a probe measures at several lags


def figures(
    groups: Sequence[Group], headline: Headline, experiment: str, published_values: Published | None = None,
    paper_curves: Sequence[Curve] = (),
) -> dict[str, Figure | StripFigure]:  # fmt: skip
    """Every figure of the groups that has anything to draw, by name. The loss curves are always there."""
    title = f"{experiment}: mean over seeds and 95 % CI"
    built = [
        loss_curves(groups, title), seeds(groups, headline, experiment, published_values), metric_curves(groups, title),
        published_curves(groups, paper_curves, title), probes(groups, title), lags(groups, title),
    ]  # fmt: skip
    return {figure.name: figure for figure in built if figure is not None}


def loss_curves(groups: Sequence[Group], title: str) -> Figure:
    """Training and held-out loss by epoch; the CSV has every split."""
    return curves("loss_curves", title, groups, ["loss"])


def metric_curves(groups: Sequence[Group], title: str) -> Figure | None:
    """The other metrics of the task by epoch; None where nothing else was recorded."""
    known = metric_names() - {"loss"}
    names = [name for name in _metrics(groups) if name in known]
    return curves("metric_curves", title, groups, names) if names else None


def curves(name: str, title: str, groups: Sequence[Group], metrics: Sequence[str]) -> Figure:
    """Each of ``metrics`` in training and held out, by epoch; the CSV has every split."""
    held_out = "validation" if any(("validation", "loss") in group.values for group in groups) else "test"
    facet_groups = facets(groups)
    arms = list(dict.fromkeys(group.arm for group in groups))
    panels, several = [], len(facet_groups) > 1
    for metric in metrics:
        for split in ("train", held_out):
            drawn = [
                curve_lines(facet, split, metric, [arms.index(group.arm) for group in facet] if several else None)
                for _, facet in facet_groups
            ]
            if not any(drawn):
                continue
            limits = y_limits([line for lines in drawn for line in lines])
            for (hyperparams, _), lines in zip(facet_groups, drawn, strict=True):
                label = f"{split} {metric}".replace("_", " ") + (f", {hyperparams}" if hyperparams else "")
                panels.append(Panel(label, "epoch", lines, y_limits=limits))
    rows = _rows(groups, lambda split, other: other in metrics)
    return Figure(name, title, panels, len(facet_groups) if several else max(1, min(2, len(panels))), rows)


def probes(groups: Sequence[Group], title: str) -> Figure | None:
    """What probes measured by epoch, from epoch 0 on. Distances are on a log scale. None without probes."""
    recorded = metric_names() | {DIVERGED_AT}
    names = [name for name in _metrics(groups) if name not in recorded and not LAG.fullmatch(name)]
    panels = [
        Panel(name.replace("_", " "), "epoch", curve_lines(groups, "validation", name),
              y_scale="log" if name.endswith("distance") else "linear")
        for name in names
    ]  # fmt: skip
    rows = _rows(groups, lambda split, metric: metric in names)
    return Figure("probes", title, panels, min(3, len(panels)), rows) if panels else None


def lags(groups: Sequence[Group], title: str) -> Figure | None:
    """What probes measured by lag, at initial values and after the last epoch. ``log10_X`` is labeled as X."""
    quantities: dict[str, dict[int, str]] = {}
    for name in _metrics(groups):
        if match := LAG.fullmatch(name):
            quantities.setdefault(match["quantity"], {})[int(match["lag"])] = name
    panels: list[Panel] = []
    rows: list[dict[str, Any]] = []
    for quantity, names in quantities.items():
        stages = [_lag_lines(groups, quantity, sorted(names.items()), late, rows) for late in (False, True)]
        limits = y_limits([line for lines in stages for line in lines])
        scale = "decades" if quantity.startswith("log10_") else "linear"
        for lines, stage in zip(stages, ("at initial values", "after the last epoch"), strict=True):
            label = f"{quantity.removeprefix('log10_').replace('_', ' ')} {stage}"
            panels.append(Panel(label, "lag in steps", lines, "log1p", scale, limits))
    return Figure("lags", title, panels, 2, rows) if rows else None


def _lag_lines(
    groups: Sequence[Group], quantity: str, names: Sequence[tuple[int, str]], late: bool, rows: list[dict[str, Any]]
) -> list[Line]:
    lines, varying = [], varying_hyperparams(groups)
    for style, group in enumerate(groups):
        columns: list[np.ndarray] = []
        measured_at: list[int] = []
        for lag, name in names:
            values = group.curve("validation", name)[~group.diverged]
            epochs = np.flatnonzero(np.isfinite(values).any(axis=0) & ((group.epochs > 0) == late))
            if len(epochs):
                measured_at.append(lag)
                columns.append(values[:, epochs[-1]])
                where = {"split": "validation", "metric": quantity, "epoch": int(group.epochs[epochs[-1]]), "lag": lag}
                rows.append({**_columns(group, groups), **where, **mean_interval(columns[-1])._asdict()})
        if columns:
            lines.append(line_of(group_label(group, varying), style, np.array(measured_at), np.array(columns).T))
    return lines


def published_curves(groups: Sequence[Group], curves: Sequence[Curve], title: str) -> Figure | None:
    """Published curves and ours, a panel for each split and metric, up to the last epoch of ours; None without any."""
    rows = published.side_by_side(curves, groups)
    if not rows:
        return None
    drawn = [group for group in groups if any(curve.arm == group.arm for curve in curves)]
    panels = []
    for split, metric in dict.fromkeys((curve.split, curve.metric) for curve in curves):
        lines = curve_lines(drawn, split, metric)
        last = max((line.x[-1] for line in lines), default=0)
        for curve in curves:
            points = {epoch: value for epoch, value in sorted(curve.values.items()) if epoch <= last}
            style = next((index for index, group in enumerate(drawn) if group.arm == curve.arm), None)
            if points and style is not None and (curve.split, curve.metric) == (split, metric):
                lines.append(Line(curve.label, style, list(points), list(points.values()), published=True))
        panels.append(Panel(f"{split} {metric}".replace("_", " "), "epoch", lines))
    return Figure("published_curves", title, panels, min(3, len(panels)), rows)


def seeds(
    groups: Sequence[Group], headline: Headline, title: str, published_values: Published | None = None
) -> StripFigure | None:
    """The headline of every run: a strip for each group with its mean, its 95 % CI and the paper's value.

    Intervals are cut off at the ends of the axis, which are those of the runs; the text gives them. None without runs.
    """
    strips, varying = [], varying_hyperparams(groups)
    for style, group in enumerate(groups):
        values = headline_values(group, headline)
        paper = (published_values or {}).get((group.arm, group.hyperparams.get("learning_rate", math.nan)))
        kept, interval, diverged = np.isfinite(values), mean_interval(values), int(group.diverged.sum())
        words = [interval_text(interval._asdict()) if interval.n else "no finite run", f"n {interval.n}"]
        if interval.n >= LEAST_FOR_PERCENTILES:
            spread = " / ".join(f"{value:.4f}" for value in np.percentile(values[kept], (10, 50, 90)))
            words.append(f"10 / 50 / 90 % of runs {spread}")
        words += [f"{diverged} diverged"] * (diverged > 0) + ([] if paper is None else [f"paper {paper:.4f}"])
        label = group_label(group, varying)
        finite_seeds, finite_values = group.seeds[kept].tolist(), values[kept].tolist()
        strips.append(Strip(label, style, finite_seeds, finite_values, interval, paper, ", ".join(words)))
    rows = run_rows(groups, headline)
    return StripFigure("seeds", title, headline.name.replace("_", " "), strips, rows) if rows else None


def facets(groups: Sequence[Group]) -> list[tuple[str, list[Group]]]:
    """The groups of each panel, with its label: all in one, or one panel for each combination of hyperparameters where
    there are more groups than colors and no more combinations than arms."""
    varying = varying_hyperparams(groups)
    by_hyperparams: dict[str, list[Group]] = {}
    for group in groups:
        by_hyperparams.setdefault(hyperparams_text(group, varying, ", "), []).append(group)
    split = len(groups) > len(COLORS) and len(by_hyperparams) <= len({group.arm for group in groups})
    return list(by_hyperparams.items()) if split else [("", list(groups))]


def curve_lines(groups: Sequence[Group], split: str, metric: str, styles: Sequence[int] | None = None) -> list[Line]:
    """A line by epoch for each group that recorded the metric: mean over finite runs, 95 % CI, single runs."""
    varying = varying_hyperparams(groups)
    lines = []
    for style, group in zip(styles or range(len(groups)), groups, strict=True):
        finite = ~group.diverged
        values, seeds = group.curve(split, metric)[finite], group.seeds[finite].tolist()
        lines.append(line_of(group_label(group, varying), style, group.epochs, values, seeds))
    return [line for line in lines if len(line.x)]


def line_of(label: str, style: int, x: np.ndarray, values: np.ndarray, seeds: Sequence[int] = ()) -> Line:
    """The line of ``values [R, X]`` at those ``x [X]`` where any run is finite."""
    kept = np.isfinite(values).any(axis=0)
    intervals = [mean_interval(column) for column in values[:, kept].T]
    mean, low, high = ([getattr(interval, name) for interval in intervals] for name in ("mean", "low", "high"))
    return Line(label, style, x[kept].tolist(), mean, low, high, values[:, kept].tolist(), seeds=seeds)


def _metrics(groups: Sequence[Group]) -> list[str]:
    return list(dict.fromkeys(metric for group in groups for _, metric in group.values))


def _columns(group: Group, groups: Sequence[Group]) -> dict[str, Any]:
    names = dict.fromkeys(name for other in groups for name in other.hyperparams)
    return {"arm": group.arm, **{name: group.hyperparams.get(name, "") for name in names}}


def _rows(groups: Sequence[Group], wanted: Callable[[str, str], bool]) -> list[Mapping[str, Any]]:
    """A row for each group, split, metric and epoch: mean, ends of the 95 % CI and n over finite runs."""
    rows: list[Mapping[str, Any]] = []
    for group in groups:
        columns = _columns(group, groups)
        for (split, metric), values in group.values.items():
            for epoch, column in zip(group.epochs.tolist(), values.T, strict=True) if wanted(split, metric) else ():
                if not np.isnan(column).all():  # before training only probes measure
                    interval = mean_interval(column[~group.diverged])._asdict()
                    rows.append({**columns, "split": split, "metric": metric, "epoch": epoch, **interval})
    return rows
