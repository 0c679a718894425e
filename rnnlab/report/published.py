"""Curves that a paper published, beside ours: a table by epoch, a figure, the numbers as CSV."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnlab.report.figures import finish
from rnnlab.report.published import Curve
from rnnlab.stats import mean_interval
from rnnlab.stats.summary import Group

ROWS = 12  # of the table in a terminal; the CSV has every epoch


def beside(curves: Sequence[Curve], found: Sequence[Group]) -> list[dict[str, Any]]:
    """A record for each curve and epoch that either side has: published, and ours as mean, low, high and n.

    Of an arm with swept numbers each combination is set beside the curve.
    """
    records: list[dict[str, Any]] = []
    for curve in curves:
        for group in [group for group in found if group.arm == curve.arm]:
            values = group.values.get((curve.split, curve.metric))
            ours = {} if values is None else dict(zip(group.epochs.tolist(), values[~group.diverged].T, strict=True))
            ours = {epoch: column for epoch, column in ours.items() if np.isfinite(column).any()}
            swept = " ".join(f"{name}={number:g}" for name, number in group.hyperparams.items())
            for epoch in sorted(set(ours) | set(curve.values)):
                interval = mean_interval(ours.get(epoch, np.array([])))
                records.append(
                    {
                        "label": curve.label, "arm": group.arm, "hyperparams": swept, "split": curve.split,
                        "metric": curve.metric, "epoch": epoch, "published": curve.values.get(epoch, float("nan")),
                        **interval._asdict(),
                    }
                )  # fmt: skip
    return records


def table(records: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Header and a row an epoch (a dozen of those that we have trained), a pair of columns a curve; else no rows."""
    epochs = sorted({record["epoch"] for record in records if record["n"]})
    if len(epochs) > ROWS:
        epochs = sorted({epochs[round(i)] for i in np.linspace(0, len(epochs) - 1, ROWS)})
    columns = list(dict.fromkeys(_column(record) for record in records))
    cells = {(_column(record), record["epoch"]): record for record in records}
    swept = len({record["hyperparams"] for record in records}) > 1
    header = ["epoch"]
    for label, arm, hyperparams, split, metric in columns:
        header += [f"{label}: {split} {metric}", f"ours, {arm}{f' {hyperparams}' if swept else ''}"]
    rows = []
    for epoch in epochs:
        row = [str(epoch)]
        for column in columns:
            record = cells.get((column, epoch))
            row += [_number(record["published"]) if record else "", _interval(record)]
        rows.append(row)
    return header, rows


def text(records: Sequence[Mapping[str, Any]]) -> str:
    """The table for a terminal; "" where there is none."""
    from rich.console import Console
    from rich.table import Table

    header, rows = table(records)
    if not rows:
        return ""
    shown = Table(box=None, header_style="bold", title="beside the published curves", title_justify="left")
    for name in header:
        shown.add_column(name, justify="right")
    for row in rows:
        shown.add_row(*row)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    with console.capture() as captured:
        console.print(shown)
    return captured.get()


def _column(record: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(record[name] for name in ("label", "arm", "hyperparams", "split", "metric"))


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4f}"


def _interval(record: Mapping[str, Any] | None) -> str:
    if record is None or not record["n"]:
        return ""
    half = record["mean"] - record["low"]
    return _number(record["mean"]) + ("" if np.isnan(half) else f" ± {half:.4f}")


def draw(records: Sequence[Mapping[str, Any]], title: str) -> bytes:
    """A PNG: a panel for each split and metric; ours as mean and 95 % band, the published curve dashed in its color.

    Only epochs that either reached are shown, up to the last of ours.
    """
    import matplotlib
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys((record["split"], record["metric"]) for record in records))
    last = max((record["epoch"] for record in records if record["n"]), default=0)
    figure = Figure(figsize=(2.6 + 4.4 * len(panels), 4.0), layout="constrained", dpi=110)
    palette = matplotlib.colormaps["tab10"]
    arms = list(dict.fromkeys((record["arm"], record["hyperparams"]) for record in records))
    swept = len({hyperparams for _, hyperparams in arms}) > 1
    labels = list(dict.fromkeys(record["label"] for record in records))
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels, strict=True):
        here = [r for r in records if (r["split"], r["metric"]) == panel and r["epoch"] <= last]
        for arm, hyperparams in arms:
            mine = {r["epoch"]: r for r in here if (r["arm"], r["hyperparams"]) == (arm, hyperparams) and r["n"]}
            if not mine:
                continue
            color = palette(arms.index((arm, hyperparams)) % palette.N)
            x = sorted(mine)
            name = f"{arm} {hyperparams}" if swept else arm
            axes.plot(x, [mine[e]["mean"] for e in x], color=color, label=f"ours: {name} (n={mine[x[0]]['n']})")
            axes.fill_between(
                x, [mine[e]["low"] for e in x], [mine[e]["high"] for e in x], color=color, alpha=0.2, linewidth=0
            )
        for label in labels:
            line = {r["epoch"]: r for r in here if r["label"] == label and np.isfinite(r["published"])}
            if line:
                first = next(iter(line.values()))
                color = palette(arms.index((first["arm"], first["hyperparams"])) % palette.N)
                style = ("--", ":", "-.")[labels.index(label) % 3] if len(arms) == 1 else "--"
                x = sorted(line)
                axes.plot(x, [line[e]["published"] for e in x], style, color=color, label=label, linewidth=1.2)
        axes.set(xlabel="epoch", ylabel=f"{panel[0]} {panel[1]}".replace("_", " "))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
    return finish(figure, title, size=9)
