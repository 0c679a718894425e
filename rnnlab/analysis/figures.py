"""The figures of an analysis: one description each, drawn from the records of its CSV."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnlab.report.png import finish

Record = Mapping[str, Any]
MAX_COLUMNS = 5  # panels in a row of scatter plots


class Lines(NamedTuple):
    """Mean and 95 % band over seeds, one line per arm; a row of panels per quantity and a column per epoch."""

    title: str
    x: str
    log_x: bool = False


class Training(NamedTuple):
    """Mean and 95 % band over seeds by epoch, one line per arm; a panel per quantity."""

    title: str


class Scatter(NamedTuple):
    """Points of one seed; a panel per arm and ``colors`` field, with a legend for names and a bar for values."""

    title: str
    x: str
    y: str
    colors: Sequence[str]
    unit_circle: bool = False
    unit_square: bool = False  # both axes from 0 to 1


FIGURES: dict[str, Lines | Training | Scatter] = {
    "scalars": Training("over training"),
    "gates": Scatter(
        "fractions of each unit's gate values below 0.1 (left-saturated) and above 0.9 (right-saturated)",
        "left_saturated", "right_saturated", ["gate"], unit_square=True,
    ),
    "state": Lines("state by step", "step"),
    "paths": Lines("distance between the paths by step", "step"),
    "lags": Lines("gradient of the last output with respect to earlier states", "lag", log_x=True),
    "jacobian": Scatter(
        "eigenvalues of the Jacobian of a step, along one example", "real", "imaginary", ["step"], unit_circle=True
    ),
    "lyapunov": Lines("Lyapunov exponents per step, largest first", "number"),
    "fixed_points": Scatter(
        "ends of the search for fixed points of the state at the typical input; slow: q > 1e-9",
        "component_1", "component_2", ["kind"],
    ),
    "components": Scatter(
        "outputs in the plane of their first principal components", "component_1", "component_2", ["step", "class"]
    ),
}  # fmt: skip


def draw(name: str, records: Sequence[Record], seeds: Sequence[int]) -> bytes:
    """The figure ``name`` of FIGURES as PNG."""
    figure = FIGURES[name]
    over_seeds = f"mean and 95 % CI over {len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}"
    if isinstance(figure, Scatter):
        drawn = ", ".join(map(str, _values(records, "seed")))
        return _draw_points(records, figure, f"{figure.title} (seed {drawn}, epoch {records[-1]['epoch']})")
    title = f"{figure.title}: {over_seeds}"
    return _draw_lines(records, figure, title) if isinstance(figure, Lines) else _draw_training(records, title)


def _draw_lines(records: Sequence[Record], lines: Lines, title: str) -> bytes:
    """A quantity named ``log10 X`` is drawn as X on a logarithmic axis."""
    quantities, epochs = _values(records, "what"), _values(records, "epoch")
    size = (2.6 + 3.4 * len(epochs), 0.8 + 2.6 * len(quantities))
    figure, panels = _panels(len(quantities), len(epochs), size, sharex=True, sharey="row")
    for row, what in enumerate(quantities):
        log_y = what.startswith("log10 ")
        for column, epoch in enumerate(epochs):
            axes = panels[row, column]
            selected = [r for r in records if (r["what"], r["epoch"]) == (what, epoch)]
            _draw_arms(axes, selected, [r[lines.x] for r in selected], _values(records, "arm"), power=log_y)
            axes.set(title=f"epoch {epoch}" if row == 0 else "", xlabel=lines.x if row == len(quantities) - 1 else "")
            if log_y:
                axes.set_yscale("log")
            if lines.log_x:
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter("{x:g}")
            axes.grid(alpha=0.25)
        panels[row, 0].set_ylabel(what.removeprefix("log10 "))
    return finish(figure, title)


def _draw_training(records: Sequence[Record], title: str) -> bytes:
    quantities, epochs = list(dict.fromkeys((r["part"], r["what"]) for r in records)), _values(records, "epoch")
    across = min(4, len(quantities))
    down = math.ceil(len(quantities) / across)
    figure, panels = _panels(down, across, (2.4 + 2.9 * across, 0.8 + 2.2 * down), dpi=100)
    for axes, (part, what) in zip(panels.flat, quantities, strict=False):
        selected = [r for r in records if (r["part"], r["what"]) == (part, what)]
        _draw_arms(axes, selected, [epochs.index(r["epoch"]) for r in selected], _values(records, "arm"), marker="o")
        axes.set_xticks(range(len(epochs)), map(str, epochs), fontsize=7)
        axes.set_title(f"{part}: {what}", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.25)
    for axes in panels.flat[len(quantities) :]:
        axes.remove()
    return finish(figure, title)


def _draw_points(records: Sequence[Record], scatter: Scatter, title: str) -> bytes:
    arms = _values(records, "arm")
    colors = [name for name in scatter.colors if len(_values(records, name)) > 1] or [scatter.colors[0]]
    across = min(len(arms), MAX_COLUMNS)
    rows_per_color = math.ceil(len(arms) / across)
    size = (max(7.0, 1.2 + 3.1 * across), 0.8 + 3.0 * len(colors) * rows_per_color)
    figure, panels = _panels(len(colors) * rows_per_color, across, size)
    unused = set(panels.flat)
    for block, color in enumerate(colors):
        for index, arm in enumerate(arms):
            axes = panels.flat[block * rows_per_color * across + index]
            unused.remove(axes)
            _draw_scatter(
                figure, axes, [r for r in records if r["arm"] == arm], scatter, color, _values(records, color)
            )
            axes.set(xlabel=scatter.x.replace("_", " "), ylabel=scatter.y.replace("_", " "))
            axes.set_title(arm, fontsize=9)
            if scatter.unit_square:
                axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
            if scatter.unit_circle:
                angle = np.linspace(0, 2 * np.pi, 200)
                axes.plot(np.cos(angle), np.sin(angle), color="0.6", linewidth=0.8)
                axes.set_aspect("equal", adjustable="datalim")
            axes.grid(alpha=0.25)
    for axes in unused:
        axes.remove()
    return finish(figure, title)


def _panels(down: int, across: int, size: tuple[float, float], dpi: int = 110, **shared: Any) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", dpi=dpi)
    return figure, figure.subplots(down, across, squeeze=False, **shared)


def _draw_scatter(
    figure: Any, axes: Any, records: Sequence[Record], scatter: Scatter, color: str, all_values: list[Any]
) -> None:
    x, y, values = (np.array([r[field] for r in records]) for field in (scatter.x, scatter.y, color))
    discrete = any(isinstance(value, str) for value in all_values) or (color == "class" and len(all_values) <= 20)
    if not discrete:
        image = axes.scatter(x, y, c=values, s=7, cmap="viridis", linewidths=0)
        figure.colorbar(image, ax=axes, label=color)
        return
    palette = _palette(len(all_values))
    for index, value in enumerate(sorted(all_values, key=str)):
        of_value, background = values == value, value == "trajectory"
        axes.scatter(
            x[of_value], y[of_value], s=4 if background else 14, linewidths=0, label=str(value), alpha=0.7,
            zorder=1 if background else 2, color="0.75" if background else palette(index),
        )  # fmt: skip


def _draw_arms(
    axes: Any, records: Sequence[Record], x: Sequence[float], arms: list[Any], *, power: bool = False,
    marker: str | None = None,
) -> None:  # fmt: skip
    """A line with its band for each arm; ``power``: the values are logarithms to base 10."""
    palette = _palette(len(arms))
    for index, arm in enumerate(arms):
        rows = [row for row, record in enumerate(records) if record["arm"] == arm]
        if not rows:
            continue
        mean, low, high = (np.array([records[row][name] for row in rows], float) for name in ("mean", "low", "high"))
        if power:
            mean, low, high = (10.0**values for values in (mean, low, high))
        style, color, at = ("-", "--")[index // palette.N % 2], palette(index % palette.N), [x[row] for row in rows]
        axes.plot(at, mean, style, color=color, label=arm, linewidth=1.5, marker=marker, markersize=3)
        axes.fill_between(at, low, high, color=color, alpha=0.15, linewidth=0)


def _palette(colors: int) -> Any:
    import matplotlib

    return matplotlib.colormaps["tab10" if colors <= 10 else "tab20"]


def _values(records: Sequence[Record], name: str) -> list[Any]:
    return list(dict.fromkeys(r[name] for r in records if r[name] != ""))
