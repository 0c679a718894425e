"""The figures of an analysis, from the records that are written beside them."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from rnnlab.report.png import finish

Record = Mapping[str, Any]
WIDEST = 5  # panels in a row of scatters


def draw_lines(points: Sequence[Record], x: str, title: str, *, columns: str = "epoch", log_x: bool = False) -> bytes:
    """A PNG: a row of panels for each ``what``, a column for each value of ``columns``; a line for each arm, mean and
    band over seeds. What is called ``log10 X`` is drawn as X on a logarithmic scale."""
    from matplotlib.figure import Figure

    rows, across, arms = (_values(points, name) for name in ("what", columns, "arm"))
    size = (2.6 + 3.4 * len(across), 0.8 + 2.6 * len(rows))
    figure = Figure(figsize=size, layout="constrained", dpi=110)
    panels = figure.subplots(len(rows), len(across), sharex=True, sharey="row", squeeze=False)
    for row, what in enumerate(rows):
        for column, stage in enumerate(across):
            axes = panels[row, column]
            for arm in arms:
                here = [p for p in points if (p["what"], p[columns], p["arm"]) == (what, stage, arm)]
                if here:
                    _line(axes, [p[x] for p in here], here, arm, arms, power=what.startswith("log10 "))
            axes.set(title=f"{columns} {stage}" if row == 0 else "", xlabel=x if row == len(rows) - 1 else "")
            if what.startswith("log10 "):
                axes.set_yscale("log")
            if log_x:
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter("{x:g}")
            axes.grid(alpha=0.25)
        panels[row, 0].set_ylabel(what.removeprefix("log10 "))
    return finish(figure, title)


def draw_training(points: Sequence[Record], title: str) -> bytes:
    """A PNG: a panel for each number of each part, a line over the epochs for each arm."""
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys((p["part"], p["what"]) for p in points))
    arms, epochs = _values(points, "arm"), _values(points, "epoch")
    across = min(4, len(kinds))
    figure = Figure(figsize=(2.4 + 2.9 * across, 0.8 + 2.2 * -(-len(kinds) // across)), layout="constrained", dpi=100)
    panels = figure.subplots(-(-len(kinds) // across), across, squeeze=False).flatten()
    for axes, kind in zip(panels, kinds, strict=False):
        for arm in arms:
            here = [p for p in points if (p["part"], p["what"], p["arm"]) == (*kind, arm)]
            if here:
                _line(axes, [epochs.index(p["epoch"]) for p in here], here, arm, arms, marker="o")
        axes.set_xticks(range(len(epochs)), map(str, epochs), fontsize=7)
        axes.set_title(f"{kind[0]}: {kind[1]}", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.25)
    for axes in panels[len(kinds) :]:
        axes.remove()
    return finish(figure, title)


class Scatter(NamedTuple):
    """What a scatter shows: its axes, and by which field a point is colored; a panel for each such field."""

    x: str
    y: str
    colors: Sequence[str]
    circle: bool = False  # the unit circle
    unit: bool = False  # both axes from 0 to 1


def draw_points(points: Sequence[Record], kind: Scatter, title: str) -> bytes:
    """A PNG: a panel for each field that colors and each arm; names by legend, numbers by bar."""
    from matplotlib.figure import Figure

    arms = _values(points, "arm")
    colors = [name for name in kind.colors if len(_values(points, name)) > 1] or [kind.colors[0]]
    across, shown = min(len(arms), WIDEST), list(product(colors, arms))
    down = len(colors) * -(-len(arms) // across)
    figure = Figure(figsize=(max(7.0, 1.2 + 3.1 * across), 0.8 + 3.0 * down), layout="constrained", dpi=110)
    panels = figure.subplots(down, across, squeeze=False)
    deep = down // len(colors)  # rows of panels for each field
    places = [row * deep * across + index for row in range(len(colors)) for index in range(len(arms))]
    for place, (name, arm) in zip(places, shown, strict=True):
        axes, here = panels.flat[place], [p for p in points if p["arm"] == arm]
        _scatter(figure, axes, here, kind, name, whole=_values(points, name))
        axes.set(xlabel=kind.x.replace("_", " "), ylabel=kind.y.replace("_", " "))
        axes.set_title(arm, fontsize=9)
        if kind.unit:
            axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        if kind.circle:
            angle = np.linspace(0, 2 * np.pi, 200)
            axes.plot(np.cos(angle), np.sin(angle), color="0.6", linewidth=0.8)
            axes.set_aspect("equal", adjustable="datalim")
        axes.grid(alpha=0.25)
    for place in set(range(panels.size)) - set(places):
        panels.flat[place].remove()
    return finish(figure, title)


def _scatter(figure: Any, axes: Any, here: Sequence[Record], kind: Scatter, name: str, whole: list[Any]) -> None:
    import matplotlib

    values = [p[name] for p in here]
    x, y = ([p[field] for p in here] for field in (kind.x, kind.y))
    discrete = any(isinstance(value, str) for value in whole) or (name == "class" and len(whole) <= 20)
    if not discrete:
        drawn = axes.scatter(x, y, c=values, s=7, cmap="viridis", linewidths=0)
        figure.colorbar(drawn, ax=axes, label=name)
        return
    palette = matplotlib.colormaps["tab10" if len(whole) <= 10 else "tab20"]
    for index, value in enumerate(sorted(whole, key=str)):
        mine = [i for i, found in enumerate(values) if found == value]
        faint = value == "trajectory"
        style: dict[str, Any] = {"color": "0.75"} if faint else {"color": palette(index)}
        axes.scatter([x[i] for i in mine], [y[i] for i in mine], s=4 if faint else 14, linewidths=0, label=str(value),
                     alpha=0.7, zorder=1 if faint else 2, **style)  # fmt: skip


def _line(
    axes: Any, x: Sequence[float], here: Sequence[Record], arm: str, arms: list[Any], *, power: bool = False,
    marker: str | None = None,
) -> None:  # fmt: skip
    import matplotlib

    palette = matplotlib.colormaps["tab10" if len(arms) <= 10 else "tab20"]
    index = arms.index(arm)
    mean, low, high = (np.array([p[name] for p in here], float) for name in ("mean", "low", "high"))
    if power:
        mean, low, high = (10.0**values for values in (mean, low, high))
    style, color = ("-", "--")[index // palette.N % 2], palette(index % palette.N)
    axes.plot(x, mean, style, color=color, label=arm, linewidth=1.5, marker=marker, markersize=3)
    axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)


def _values(points: Sequence[Record], name: str) -> list[Any]:
    return list(dict.fromkeys(p[name] for p in points if p[name] != ""))
