"""Figures as PNG, through matplotlib."""

import io
from typing import Any

from rnnlab.report.figures import COLORS, LEFT_FROM, Figure, Panel, StripFigure, strip_axis, x_axis, y_axis


def png(figure: Figure | StripFigure) -> bytes:
    """The PNG of a figure."""
    return _png(drawn(figure))


def drawn(figure: Figure | StripFigure) -> Any:
    """The matplotlib Figure of a figure."""
    return _strips(figure) if isinstance(figure, StripFigure) else _panels(figure)


def _panels(figure: Figure) -> Any:
    from matplotlib.figure import Figure as Canvas

    rows = max(1, -(-len(figure.panels) // figure.columns))
    canvas = Canvas(figsize=(2.2 + 4.2 * figure.columns, 0.8 + 3.2 * rows), layout="constrained", dpi=110)
    grid = canvas.subplots(rows, figure.columns, squeeze=False)
    for axes in grid.flat[len(figure.panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, figure.panels, strict=False):
        _panel(axes, panel)
    return _titled(canvas, figure.title, size=9)


def _panel(axes: Any, panel: Panel) -> None:
    y = y_axis(panel)
    if y is None:
        axes.set_axis_off()
        return
    x = x_axis(panel)
    for line in panel.lines:
        color, places = COLORS[line.color], [x.place(value) for value in line.x]
        drawn = axes.plot(
            places, [y.place(value) for value in line.mean], color=color, linewidth=1.6,
            marker="o" if len(line.x) == 1 else None, label=None if panel.labels(line) else line.legend,
        )[0]  # fmt: skip
        if line.dash:
            drawn.set_dashes([length / drawn.get_linewidth() for length in line.dash])
        if len(line.low):
            low, high = ([y.place(value) for value in end] for end in (line.low, line.high))
            axes.fill_between(places, low, high, color=color, alpha=0.18, linewidth=0)
        if panel.labels(line):
            left = x.fraction(line.x[0]) > LEFT_FROM
            axes.annotate(
                line.label, (places[0], y.place(line.mean[0])), (-4 if left else 4, 3), textcoords="offset points",
                ha="right" if left else "left", size=7,
            )  # fmt: skip
    margin = 0.02 * (x.high - x.low)
    axes.set(xlim=(x.low - margin, x.high + margin), ylim=(y.low, y.high), xlabel=panel.x_label)
    axes.set_xticks(*zip(*x.ticks, strict=True) if x.ticks else ([],))
    axes.set_yticks(*zip(*y.ticks, strict=True) if y.ticks else ([],))
    axes.set_title(panel.title, size=10)
    axes.grid(alpha=0.25)


def _strips(figure: StripFigure) -> Any:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(7.5, 1.3 + 0.34 * len(figure.strips)), layout="constrained", dpi=110)
    axes, axis = canvas.subplots(), strip_axis(figure)
    for height, strip in enumerate(figure.strips):
        axes.plot(strip.values, [height] * len(strip.values), "o", color=COLORS[strip.style % len(COLORS)], alpha=0.6)
        axes.plot([strip.interval.low, strip.interval.high], [height, height], color="black", linewidth=1)
        axes.plot(strip.interval.mean, height, "|", color="black", markersize=14)
        if strip.published is not None:
            axes.plot(strip.published, height, "D", color="black", markerfacecolor="none", markersize=8)
    axes.set_yticks(range(len(figure.strips)), [strip.label for strip in figure.strips])
    axes.set(ylim=(len(figure.strips) - 0.5, -0.5), xlabel=figure.x_label)
    if axis is not None:
        axes.set_xlim(axis.low, axis.high)
    axes.grid(alpha=0.25, axis="x")
    return _titled(canvas, figure.title)


def finish(canvas: Any, title: str, size: int = 8) -> bytes:
    """The PNG of a matplotlib figure with a title, and one legend beside all its axes if any line has a label."""
    return _png(_titled(canvas, title, size))


def _titled(canvas: Any, title: str, size: int = 8) -> Any:
    handles: dict[str, Any] = {}
    for axes in canvas.axes:
        drawn, labels = axes.get_legend_handles_labels()
        handles |= dict(zip(labels, drawn, strict=True))
    if handles:
        canvas.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False, fontsize=size)
    canvas.suptitle(title, size=11)
    return canvas


def _png(canvas: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    target = io.BytesIO()
    FigureCanvasAgg(canvas).print_png(target)  # savefig would draw everything twice, once to lay it out
    return target.getvalue()
