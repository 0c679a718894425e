"""Figures for a page: inline SVG whose colors, dark and light, come from the page's style sheet."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from rnnlab.report.published import Curve
from rnnlab.stats import mean_interval
from rnnlab.stats.summary import Group

COLORS = 8  # .c0 to .c7 of the style sheet
_DASHES = ("", "7 3", "2 2", "9 3 2 3")  # lines are told apart without their colors too


class Line(NamedTuple):
    """A mean with its band over x; ``seeds`` are the single runs behind it."""

    label: str
    style: int
    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    seeds: Sequence[Sequence[float]] = ()
    published: bool = False


def name_of(group: Group, varying: Sequence[str]) -> str:
    """The group's arm with those of its numbers that tell groups apart: ``lstm eps=0.001``."""
    return " ".join([group.arm, *(f"{n}={group.hyperparams[n]:g}" for n in varying if n in group.hyperparams)])


def varying_numbers(found: Sequence[Group]) -> list[str]:
    """The numbers in which groups differ."""
    names = dict.fromkeys(name for group in found for name in group.hyperparams)
    return [name for name in names if len({group.hyperparams.get(name) for group in found}) > 1]


def panes(found: Sequence[Group]) -> list[tuple[str, list[Group]]]:
    """The groups that share a panel, with what the panel is called: all, or where many arms each take a few numbers
    (a grid of cells and learning rates) those of equal numbers."""
    varying = varying_numbers(found)
    kinds: dict[str, list[Group]] = {}
    for group in found:
        name = ", ".join(f"{n}={group.hyperparams[n]:g}" for n in varying if n in group.hyperparams)
        kinds.setdefault(name, []).append(group)
    arms = {group.arm for group in found}
    return list(kinds.items()) if len(found) > COLORS and len(kinds) <= len(arms) else [("", list(found))]


def curve_lines(
    found: Sequence[Group], split: str, metric: str, curves: Sequence[Curve] = (), arms: Sequence[str] = ()
) -> list[Line]:
    """A line for each group that has the metric: mean, 95 % band and single runs by epoch; then the published ones.

    With ``arms`` a line looks as its arm's place among them tells; else every line looks different.
    """
    lines, varying = [], varying_numbers(found)
    styles = [arms.index(group.arm) for group in found] if arms else range(len(found))
    for style, group in zip(styles, found, strict=True):
        values = group.values.get((split, metric))
        if values is None or group.diverged.all():
            continue
        values = values[~group.diverged]
        lines.append(_line(name_of(group, varying), style, group.epochs, values))
    trained = max((line.x[-1] for line in lines if len(line.x)), default=0)
    for curve in curves:
        points = {epoch: value for epoch, value in sorted(curve.values.items()) if epoch <= trained}
        style = next((i for i, group in zip(styles, found, strict=True) if group.arm == curve.arm), -1)
        if points and style >= 0 and (curve.split, curve.metric) == (split, metric):
            lines.append(Line(curve.label, style, list(points), list(points.values()), published=True))
    return [line for line in lines if len(line.x)]


def lag_lines(found: Sequence[Group], metric: str, lags: Mapping[int, str], late: bool) -> list[Line]:
    """The same by lag: ``lags`` has the metric's name at each lag; at epoch 0, or after the last one."""
    lines, varying = [], varying_numbers(found)
    for style, group in enumerate(found):
        columns, at = [], []
        for lag, name in sorted(lags.items()):
            values = group.values.get(("validation", name))
            known = [] if values is None else np.flatnonzero(np.isfinite(values[~group.diverged]).any(axis=0)).tolist()
            known = [column for column in known if (group.epochs[column] > 0) == late]
            if values is not None and known:
                columns.append(values[~group.diverged, known[-1]])
                at.append(lag)
        if at:
            lines.append(_line(name_of(group, varying), style, np.array(at), np.array(columns).T))
    return lines


def _line(name: str, style: int, x: np.ndarray, values: np.ndarray) -> Line:
    known = np.isfinite(values).any(axis=0)
    intervals = [mean_interval(column) for column in values[:, known].T]
    mean, low, high = ([getattr(interval, part) for interval in intervals] for part in ("mean", "low", "high"))
    return Line(name, style, x[known].tolist(), mean, low, high, values[:, known].tolist())


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most ``most`` round numbers (1, 2 or 5 times a power of ten apart) from ``low`` to ``high``."""
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 420, 270, 56, 10, 26, 40


def panel(
    lines: Sequence[Line], title: str, x_label: str, *, by_lag: bool = False, log: bool = False,
    extent: tuple[float, float] | None = None,
) -> str:  # fmt: skip
    """One panel. ``log``: values are decades already, and are labelled as powers of ten.

    Bands end where the single runs do: two or three seeds have an interval that would hide all else.
    """
    reach = extent or extent_of(lines)
    if reach is None:
        return ""
    bottom, top = reach
    place = (lambda v: math.log10(1 + v)) if by_lag else float
    xs = [place(value) for line in lines for value in line.x]
    left, right = (min(xs), max(xs)) if min(xs) < max(xs) else (min(xs) - 0.5, max(xs) + 0.5)

    def at_x(value: float) -> str:
        return f"{LEFT + (place(value) - left) / (right - left) * (WIDTH - LEFT - RIGHT):.1f}"

    def at_y(value: float) -> str:
        value = min(max(value, bottom), top)
        return f"{TOP + (top - value) / (top - bottom) * (HEIGHT - TOP - BOTTOM):.1f}"

    marks = []
    for value in ticks(bottom, top):
        if log and value != int(value):
            continue
        words = f"1e{value:g}" if log else f"{value:g}"
        marks.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at_y(value)}" y2="{at_y(value)}"/>')
        marks.append(f'<text class="right" x="{LEFT - 6}" y="{at_y(value)}" dy=".35em">{words}</text>')
    last = max(value for line in lines for value in line.x)
    along = (
        [0, *(10**k for k in range(12) if 10**k <= last)] if by_lag else [v for v in ticks(left, right) if v % 1 == 0]
    )
    for value in [v for v in along if left <= place(v) <= right]:
        marks.append(f'<text class="middle" x="{at_x(value)}" y="{HEIGHT - BOTTOM + 16}">{value:g}</text>')
    drawn = []
    for line in lines:
        color, dash = f"c{line.style % COLORS}", _dash(line)
        means = [(x, y) for x, y in zip(line.x, line.mean, strict=True) if math.isfinite(y)]
        band = [(x, a, b) for x, a, b in zip(line.x, line.low, line.high, strict=False) if math.isfinite(a + b)]
        if len(band) > 1:
            edge = [(x, b) for x, _, b in band] + [(x, a) for x, a, _ in reversed(band)]
            points = " ".join(f"{at_x(x)},{at_y(y)}" for x, y in edge)
            drawn.append(f'<polygon class="band {color}" points="{points}"/>')
        for values in line.seeds if len(line.seeds) > 1 else ():
            points = " ".join(f"{at_x(x)},{at_y(y)}" for x, y in zip(line.x, values, strict=True) if math.isfinite(y))
            drawn.append(f'<polyline class="seed {color}" points="{points}"/>')
        points = " ".join(f"{at_x(x)},{at_y(y)}" for x, y in means)
        drawn.append(f'<polyline class="mean {color}"{dash} points="{points}"/>')
        if len(means) == 1:
            drawn.append(f'<circle class="{color}" cx="{at_x(means[0][0])}" cy="{at_y(means[0][1])}" r="3"/>')
    told = "; ".join(f"{line.label} ends at {line.mean[-1]:.4g}" for line in lines)
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {HEIGHT}" aria-label="{escape(f"{title} by {x_label}: {told}")}">'
        f'<text class="title" x="{LEFT}" y="14">{escape(title)}</text>{"".join(marks)}{"".join(drawn)}'
        f'<text class="middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}">{escape(x_label)}</text></svg>'
    )


def _dash(line: Line) -> str:
    dash = "1 4" if line.published else _DASHES[(line.style + line.style // COLORS) % len(_DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


def extent_of(lines: Sequence[Line]) -> tuple[float, float] | None:
    """Lowest and highest value of any single run or mean, a little apart; None where there is none."""
    values = [y for line in lines for row in (*line.seeds, line.mean) for y in row if math.isfinite(y)]
    if not values:
        return None
    low, high = min(values), max(values)
    margin = 0.03 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def legend(lines: Sequence[Line]) -> str:
    """The lines by name, each with a piece of it."""
    known = {(line.label, line.style, line.published): line for line in reversed(lines)}
    items = [
        f'<li><svg width="34" height="12" aria-hidden="true"><line class="mean c{line.style % COLORS}"{_dash(line)} '
        f'x1="1" x2="33" y1="6" y2="6"/></svg> {escape(line.label)}{_count(line)}</li>'
        for line in reversed(known.values())
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'


def _count(line: Line) -> str:
    return " (published)" if line.published else f" (n={len(line.seeds)})"
