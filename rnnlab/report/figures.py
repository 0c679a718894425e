"""A figure as data: panels of lines, or strips of dots, which `report.png`, `report.svg` and a CSV render."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rnnlab.stats import Interval

COLORS = ("#0069a8", "#c44e00", "#00805c", "#a83a80", "#806000", "#6a45c0", "#2b8aa8", "#444444")
DASHES = ((), (7, 3), (2, 2), (9, 3, 2, 3))  # so that lines differ without color too
PUBLISHED_DASH = (1, 4)
LEFT_FROM = 0.75  # of the axis of x: labels of points beyond stand to their left, and end inside the panel


class Line(NamedTuple):
    """Means over runs by x, with the ends of their intervals and the runs behind them."""

    label: str
    style: int  # selects color and dashes
    x: Sequence[float]  # [X]
    mean: Sequence[float]  # [X]
    low: Sequence[float] = ()  # [X], or none
    high: Sequence[float] = ()
    runs: Sequence[Sequence[float]] = ()  # [R][X]
    published: bool = False
    seeds: Sequence[int] = ()  # [R] of the runs, or none

    @property
    def color(self) -> int:
        """Index into COLORS."""
        return self.style % len(COLORS)

    @property
    def dash(self) -> tuple[int, ...]:
        """Lengths of dashes and gaps; empty: solid."""
        return PUBLISHED_DASH if self.published else DASHES[(self.style + self.style // len(COLORS)) % len(DASHES)]

    @property
    def legend(self) -> str:
        """The label with the number of runs."""
        return (
            f"{self.label} (published)" if self.published else self.label + f" (n={len(self.runs)})" * bool(self.runs)
        )


class Panel(NamedTuple):
    """Lines on common axes.

    Scales: ``linear``; ``integer`` (linear, ticks at whole numbers); ``log1p`` (log10(1 + x), ticks at 0 and powers of
    ten); ``log`` (zero lies on the lower edge); ``decades`` (values are log10 already).
    """

    title: str
    x_label: str
    lines: Sequence[Line]
    x_scale: str = "integer"
    y_scale: str = "linear"
    y_limits: tuple[float, float] | None = None  # in units of the axis; None: those of the lines
    labelled: bool = False  # lines of one point have their label beside it, and no place in the legend

    def labels(self, line: Line) -> bool:
        """Whether the label of ``line`` stands beside its point."""
        return self.labelled and len(line.x) == 1


class Figure(NamedTuple):
    """Panels in rows of ``columns``, and the ``rows`` of its CSV."""

    name: str  # of its files
    title: str
    panels: Sequence[Panel]
    columns: int
    rows: Sequence[Mapping[str, Any]]


class Strip(NamedTuple):
    """The finite values of one group, a dot each."""

    label: str
    style: int
    seeds: Sequence[int]
    values: Sequence[float]
    interval: Interval
    published: float | None
    text: str  # the interval and the counts, in words


class StripFigure(NamedTuple):
    """A strip for each group on a common axis, and the ``rows`` of its CSV."""

    name: str
    title: str
    x_label: str
    strips: Sequence[Strip]
    rows: Sequence[Mapping[str, Any]]


class Axis(NamedTuple):
    """An axis from ``low`` to ``high`` in its own units, with ticks ``(place, label)``."""

    scale: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    smallest: float = 1.0  # the smallest positive value, where zero is drawn on a log scale

    def place(self, value: float) -> float:
        """``value`` in the units of the axis."""
        if self.scale == "log1p":
            return math.log10(1 + value)
        return math.log10(max(value, self.smallest)) if self.scale == "log" else value

    def fraction(self, value: float) -> float:
        """Where ``value`` lies between ``low`` (0) and ``high`` (1); values beyond lie on the ends."""
        return min(max((self.place(value) - self.low) / (self.high - self.low), 0.0), 1.0)


def x_axis(panel: Panel) -> Axis:
    """The axis of x, from the first to the last x of any line."""
    axis = Axis(panel.x_scale, 0.0, 1.0, ())
    xs = [x for line in panel.lines for x in line.x]
    low, high = axis.place(min(xs)), axis.place(max(xs))
    low, high = (low, high) if low < high else (low - 0.5, high + 0.5)
    if panel.x_scale == "log1p":
        candidates: list[float] = [0, *(10**k for k in range(12))]
    else:
        candidates = [x for x in round_ticks(low, high) if panel.x_scale == "linear" or x % 1 == 0]
    ticks = [(axis.place(x), f"{x:g}") for x in candidates if low <= axis.place(x) <= high]
    return axis._replace(low=low, high=high, ticks=ticks)


def y_axis(panel: Panel) -> Axis | None:
    """The axis of y; None where there is nothing to draw.

    It ends where single runs and means do: the intervals of two or three seeds would hide everything else.
    """
    values = _values(panel.lines)
    if not values:
        return None
    positive = [y for y in values if y > 0]
    scale = panel.y_scale if panel.y_scale != "log" or positive else "linear"
    axis = Axis(scale, 0.0, 1.0, (), min(positive, default=1.0))
    low, high = panel.y_limits or limits_of([axis.place(y) for y in values]) or (0.0, 1.0)
    places = round_ticks(low, high)
    whole = [place for place in places if place == int(place)]
    if scale in ("log", "decades"):
        ticks = [(p, f"1e{p:g}") for p in whole] if len(whole) > 1 else [(p, f"{10**p:.2g}") for p in places]
    else:
        ticks = [(place, f"{place:g}") for place in places]
    return axis._replace(low=low, high=high, ticks=ticks)


def strip_axis(figure: StripFigure) -> Axis | None:
    """The common axis of the strips, from the lowest to the highest value or published value."""
    values = [v for strip in figure.strips for v in (*strip.values, strip.published) if v is not None]
    limits = limits_of(values, 0.06)
    return Axis("linear", *limits, [(place, f"{place:g}") for place in round_ticks(*limits, 5)]) if limits else None


def y_limits(lines: Sequence[Line]) -> tuple[float, float] | None:
    """Lowest and highest value of any single run or mean, with a margin; None without finite values."""
    return limits_of(_values(lines))


def _values(lines: Sequence[Line]) -> list[float]:
    return [y for line in lines for row in (*line.runs, line.mean) for y in row if math.isfinite(y)]


def limits_of(values: Sequence[float], margin: float = 0.03) -> tuple[float, float] | None:
    """Lowest and highest of ``values``, with a margin as a fraction of their range; None without values."""
    if not values:
        return None
    low, high = min(values), max(values)
    space = margin * (high - low) or 0.05 * abs(high) or 1.0
    return low - space, high + space


def round_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most about ``most`` numbers from ``low`` to ``high``, 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def legend_lines(panels: Sequence[Panel]) -> list[Line]:
    """One line for each entry of the legend, in the order of the panels."""
    lines = {
        (line.legend, line.style, line.published): line
        for panel in reversed(panels)
        for line in panel.lines[::-1]
        if not panel.labels(line)
    }
    return list(lines.values())[::-1]
