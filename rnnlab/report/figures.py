"""The figures of a run: curves with bands as PNG, and the data behind them."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from rnnlab.stats import mean_interval
from rnnlab.stats.summary import Group
from rnnlab.storage.metrics import DIVERGED_AT

LAG = re.compile(r"(?P<what>.+)_lag_(?P<lag>\d+)")  # a metric that a probe measures at several lags, by its name
OF_TASKS = {
    "loss",
    "accuracy",
    "bits_per_character",
    "solved",
    "gap",
    DIVERGED_AT,
}  # every other metric comes from a probe


def loss_curves(found: Sequence[Group]) -> list[dict[str, Any]]:
    """One record for each group, split and epoch: mean, low, high and n of the task's loss over living runs."""
    points = _curves(found, lambda split, metric: metric == "loss")
    return [{name: value for name, value in point.items() if name != "metric"} for point in points]


def probe_curves(found: Sequence[Group]) -> list[dict[str, Any]]:
    """The same of every metric that a probe measured (rnnlab.train.probes), epoch 0 included; not those of lags."""
    return _curves(found, lambda split, metric: metric not in OF_TASKS and not LAG.fullmatch(metric))


def lag_curves(found: Sequence[Group]) -> list[dict[str, Any]]:
    """A record for each group, metric ``X_lag_K`` and lag K, before training (epoch 0) and after the last epoch."""
    points = []
    for point in _curves(found, lambda split, metric: bool(LAG.fullmatch(metric))):
        name = LAG.fullmatch(point["metric"])
        assert name is not None
        points.append({**point, "metric": name["what"], "lag": int(name["lag"])})
    last: dict[Any, int] = {}
    for point in points:
        line = _line(point, "epoch", "lag")
        last[line] = max(point["epoch"], last.get(line, 0))
    return [point for point in points if point["epoch"] in (0, last[_line(point, "epoch", "lag")])]


def _line(point: Mapping[str, Any], *without: str) -> tuple[Any, ...]:
    """What a point's line is known by: all that it has but its numbers and ``without``."""
    return tuple(value for name, value in point.items() if name not in ("mean", "low", "high", "n", *without))


def _curves(found: Sequence[Group], wanted: Callable[[str, str], bool]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(name for group in found for name in group.hyperparams))
    points = []
    for group in found:
        for (split, metric), values in group.values.items():
            if not wanted(split, metric):
                continue
            for column, epoch in enumerate(group.epochs):
                if np.isnan(values[:, column]).all():  # before training only probes measure
                    continue
                known = {"arm": group.arm, **{name: group.hyperparams.get(name, "") for name in names}}
                interval = mean_interval(values[~group.diverged, column])
                points.append({**known, "split": split, "metric": metric, "epoch": int(epoch), **interval._asdict()})
    return points


def csv_text(points: Sequence[Mapping[str, Any]]) -> str:
    """Records that share their keys, as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, points[0] if points else ["arm"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(points)
    return text.getvalue()


def draw_curves(points: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """A PNG of the training and the validation loss: a pair of panels for each combination of swept numbers."""
    import matplotlib
    from matplotlib.figure import Figure

    fixed = ("arm", "split", "epoch", "mean", "low", "high", "n")
    names = [name for name in (points[0] if points else {}) if name not in fixed]
    names = [name for name in names if len({point[name] for point in points}) > 1]
    sweeps = list(dict.fromkeys(tuple(point[name] for name in names) for point in points)) or [()]
    arms = list(dict.fromkeys(point["arm"] for point in points))
    palette = matplotlib.colormaps["tab10" if len(arms) <= 10 else "tab20"]
    held_out = "validation" if any(point["split"] == "validation" for point in points) else "test"
    splits = ("train", held_out)
    rows, columns = (len(splits), len(sweeps)) if len(sweeps) > 1 else (1, len(splits))
    figure = Figure(figsize=(2.2 + 4.2 * columns, 0.8 + 3.2 * rows), layout="constrained", dpi=110)
    axes = figure.subplots(rows, columns, sharex=True, sharey="row" if len(sweeps) > 1 else True, squeeze=False)
    for panel, (split, hyperparams) in zip(axes.flat, product(splits, sweeps), strict=True):
        for index, arm in enumerate(arms):
            here = [
                point
                for point in points
                if (point["arm"], point["split"], tuple(point[name] for name in names)) == (arm, split, hyperparams)
            ]
            if not here:
                continue
            epochs = [point["epoch"] for point in here]
            panel.plot(
                epochs,
                [point["mean"] for point in here],
                ("-", "--")[index // palette.N % 2],
                color=palette(index % palette.N),
                label=f"{arm} (n={max(point['n'] for point in here)})",
                linewidth=1.6,
                marker="o" if len(epochs) == 1 else None,
            )
            low, high = [point["low"] for point in here], [point["high"] for point in here]
            panel.fill_between(epochs, low, high, color=palette(index % palette.N), alpha=0.2, linewidth=0)
        panel.grid(alpha=0.25)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.set(xlabel="epoch", ylabel=f"{split} loss")
        known = [f"{name}={value:g}" for name, value in zip(names, hyperparams, strict=True) if value != ""]
        panel.set_title(", ".join(known), size=9)
    return finish(figure, title, size=9)


def draw_probes(points: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """A PNG: a panel a metric, a line for each arm and combination of swept numbers, with its band.

    Distances are drawn on a logarithmic scale, where zero lies on the lower edge.
    """
    import matplotlib
    from matplotlib.figure import Figure

    fixed = ("arm", "split", "metric", "epoch", "mean", "low", "high", "n")
    names = [name for name in points[0] if name not in fixed]
    names = [name for name in names if len({point[name] for point in points}) > 1]
    metrics = list(dict.fromkeys(point["metric"] for point in points))
    lines = list(dict.fromkeys((point["arm"], *(point[name] for name in names)) for point in points))
    figure = Figure(figsize=(2.4 + 4.0 * len(metrics), 4.0), layout="constrained", dpi=110)
    palette = matplotlib.colormaps["viridis" if len(lines) > 10 else "tab10"]
    colors = [palette(i / max(1, len(lines) - 1)) if len(lines) > 10 else palette(i) for i in range(len(lines))]
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False).flat, metrics, strict=True):
        here = [point for point in points if point["metric"] == metric]
        for line, color in zip(lines, colors, strict=True):
            mine = [point for point in here if (point["arm"], *(point[name] for name in names)) == line]
            swept = " ".join(f"{n}={v:g}" for n, v in zip(names, line[1:], strict=True) if v != "")
            x, label = [point["epoch"] for point in mine], f"{line[0]} {swept}".strip()
            axes.plot(x, [point["mean"] for point in mine], color=color, label=label, linewidth=1.6)
            low, high = [point["low"] for point in mine], [point["high"] for point in mine]
            axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
        if metric.endswith("distance") and any(point["mean"] > 0 for point in here):
            axes.set_yscale("log", nonpositive="clip")
        axes.set(xlabel="epoch", ylabel=metric.replace("_", " "))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
    return finish(figure, title)


def draw_lags(points: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """A PNG of what was measured by lag: at initial values on the left, after the last epoch on the right.

    A line for each arm and combination of swept numbers, with its band. Metrics called ``log10_X`` are drawn as X on a
    logarithmic scale. The lag is on one too, but for lag 0.
    """
    import matplotlib
    from matplotlib.figure import Figure

    fixed = ("arm", "split", "metric", "epoch", "lag", "mean", "low", "high", "n")
    names = [name for name in points[0] if name not in fixed]
    names = [name for name in names if len({point[name] for point in points}) > 1]
    lines = list(dict.fromkeys((point["arm"], *(point[name] for name in names)) for point in points))
    metrics = list(dict.fromkeys(point["metric"] for point in points))
    stages = {"at initial values": False, "after the last epoch": True}
    stages = {words: late for words, late in stages.items() if any((p["epoch"] > 0) == late for p in points)}
    size = (2.4 + 4.2 * len(stages), 0.6 + 3.6 * len(metrics))
    figure = Figure(figsize=size, layout="constrained", dpi=110)
    palette = matplotlib.colormaps["tab10" if len(lines) <= 10 else "tab20"]
    panels = figure.subplots(len(metrics), len(stages), sharex=True, sharey="row", squeeze=False)
    for axes, (metric, (words, late)) in zip(panels.flat, product(metrics, stages.items()), strict=True):
        axes.set_xscale("symlog", linthresh=1)
        axes.set_yscale("log" if metric.startswith("log10_") else "linear")
        for index, line in enumerate(lines):
            mine = [
                p
                for p in points
                if (p["arm"], *(p[name] for name in names)) == line and (p["metric"], p["epoch"] > 0) == (metric, late)
            ]
            mine.sort(key=lambda point: point["lag"])
            x = [point["lag"] for point in mine]
            mean, low, high = (np.array([point[name] for point in mine]) for name in ("mean", "low", "high"))
            if metric.startswith("log10_"):
                mean, low, high = (10.0**values for values in (mean, low, high))
            swept = " ".join(f"{name}={v:g}" for name, v in zip(names, line[1:], strict=True) if v != "")
            style = ("-", "--")[index // palette.N % 2]
            color = palette(index % palette.N)
            axes.plot(x, mean, style, color=color, label=f"{line[0]} {swept}".strip(), linewidth=1.6)
            axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
        axes.set(xlabel="lag in steps", title=words)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlim(left=0)
        axes.grid(alpha=0.25)
    for row, metric in zip(panels, metrics, strict=True):
        row[0].set_ylabel(metric.removeprefix("log10_").replace("_", " "))
        means = [point["mean"] for point in points if point["metric"] == metric and np.isfinite(point["mean"])]
        if metric.startswith("log10_") and means:  # the band of two or three seeds spans any number of decades
            row[0].set_ylim(10.0 ** (min(means) - 1), 10.0 ** (max(means) + 1))
    return finish(figure, title)


def finish(figure: Any, title: str, size: int = 8) -> bytes:
    """The PNG of ``figure`` under ``title``, with one legend of ``size`` for all its panels beside them, where they
    name anything."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        drawn, labels = axes.get_legend_handles_labels()
        handles |= dict(zip(labels, drawn, strict=True))
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False, fontsize=size)
    figure.suptitle(title, size=11)
    return _png(figure)


def _png(figure: Any) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def draw_seeds(records: Sequence[Mapping[str, Any]], headline: str) -> bytes:
    """A PNG: every live run of ``records`` (of `tables.every_seed`) a dot, a row for each arm and its numbers."""
    from matplotlib.figure import Figure

    fixed = ("arm", "seed", "diverged", headline)
    names = [name for name in records[0] if name not in fixed]
    names = [name for name in names if len({record[name] for record in records}) > 1]
    rows: dict[str, list[float]] = {}
    for record in records:
        swept = [f"{name}={record[name]:g}" for name in names if record[name] != ""]
        rows.setdefault(" ".join([record["arm"], *swept]), []).append(record[headline])
    figure = Figure(figsize=(7.5, 1.1 + 0.34 * len(rows)), layout="constrained", dpi=110)
    axes = figure.subplots()
    for height, values in enumerate(rows.values()):
        axes.plot(values, [height] * len(values), "o", alpha=0.6, markersize=5)
        interval = mean_interval(np.array(values))
        axes.plot([interval.low, interval.high], [height, height], color="black", linewidth=1)
        axes.plot(interval.mean, height, "|", color="black", markersize=14)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel=headline.replace("_", " "))
    axes.grid(alpha=0.25, axis="x")
    return _png(figure)
