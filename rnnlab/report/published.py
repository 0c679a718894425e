"""Curves that a paper published, next to ours by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnlab.core.terminal import terminal_table
from rnnlab.report.tables import Table, hyperparams_text, interval_text
from rnnlab.stats import mean_interval
from rnnlab.stats.summary import Group

ROWS = 12  # of the table; the CSV has every epoch


class Curve(NamedTuple):
    """A published curve of one arm."""

    label: str
    arm: str  # our arm that it is compared with
    split: str
    metric: str
    values: Mapping[int, float]  # by epoch, from 1


def side_by_side(curves: Sequence[Curve], groups: Sequence[Group]) -> list[dict[str, Any]]:
    """A row for each curve, group of its arm and epoch of either: the published value, and ours as mean, CI and n."""
    rows: list[dict[str, Any]] = []
    for curve in curves:
        for group in [group for group in groups if group.arm == curve.arm]:
            values = group.curve(curve.split, curve.metric)[~group.diverged]
            ours = dict(zip(group.epochs.tolist(), values.T, strict=True))
            ours = {epoch: column for epoch, column in ours.items() if np.isfinite(column).any()}
            columns = {
                "label": curve.label, "arm": group.arm, "hyperparams": hyperparams_text(group, list(group.hyperparams)),
                "split": curve.split, "metric": curve.metric,
            }  # fmt: skip
            for epoch in sorted(set(ours) | set(curve.values)):
                interval = mean_interval(ours.get(epoch, np.array([])))
                value = curve.values.get(epoch, float("nan"))
                rows.append({**columns, "epoch": epoch, "published": value, **interval._asdict()})
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each of a dozen epochs that we trained, two columns for each curve; no rows if there is none."""
    epochs = sorted({row["epoch"] for row in rows if row["n"]})
    if len(epochs) > ROWS:
        epochs = sorted({epochs[round(i)] for i in np.linspace(0, len(epochs) - 1, ROWS)})
    columns = list(dict.fromkeys(_column(row) for row in rows))
    by_cell = {(_column(row), row["epoch"]): row for row in rows}
    several = len({row["hyperparams"] for row in rows}) > 1
    header = ["epoch"]
    for label, arm, hyperparams, split, metric in columns:
        header += [f"{label}: {split} {metric}", f"ours, {arm}{f' {hyperparams}' if several else ''}"]
    cells = [[cell for column in columns for cell in _cells(by_cell.get((column, epoch)))] for epoch in epochs]
    return Table(header, [[str(epoch), *row] for epoch, row in zip(epochs, cells, strict=True)])


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table for a terminal; "" without rows."""
    header, cells = table(rows)
    return terminal_table(header, cells, title="published curves and ours", justify=["right"] * len(header))


def _column(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("label", "arm", "hyperparams", "split", "metric"))


def _cells(row: Mapping[str, Any] | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    value = "" if np.isnan(row["published"]) else f"{row['published']:.4f}"
    return value, interval_text(row) if row["n"] else ""
