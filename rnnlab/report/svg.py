"""Figures as SVG inside a page; the page's style sheet gives the colors, dark and light."""

import math
from html import escape

from rnnlab.report.figures import (
    LEFT_FROM,
    Axis,
    Figure,
    Line,
    Panel,
    Strip,
    StripFigure,
    legend_lines,
    strip_axis,
    x_axis,
    y_axis,
)

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 420, 270, 56, 10, 26, 40


def svg(figure: Figure | StripFigure, key: str = "") -> str:
    """The figure as HTML; "" where there is nothing to draw. ``key`` makes its id unique on the page."""
    if isinstance(figure, StripFigure):
        return _strips(figure)
    drawn = "".join(panel_svg(panel) for panel in figure.panels)
    if not drawn:
        return ""
    switch = ""
    if any(len(line.runs) > 1 for panel in figure.panels for line in panel.lines):
        switch = (
            f'<input type="checkbox" class="single" id="{figure.name}{key}"> '
            f'<label for="{figure.name}{key}">one line per seed instead of bands</label>'
        )
    items = "".join(f"<li>{_sample(line)} {escape(line.legend)}</li>" for line in legend_lines(figure.panels))
    return f'<div>{switch}<figure class="panels">{drawn}</figure><ul class="legend">{items}</ul></div>'


def panel_svg(panel: Panel) -> str:
    """One panel; bands are cut off at the ends of the axis. "" where there is nothing to draw."""
    y = y_axis(panel)
    if y is None:
        return ""
    x = x_axis(panel)
    marks = []
    for place, label in y.ticks:
        height = f"{TOP + (y.high - place) / (y.high - y.low) * (HEIGHT - TOP - BOTTOM):.1f}"
        marks.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height}" y2="{height}"/>')
        marks.append(f'<text class="right" x="{LEFT - 6}" y="{height}" dy=".35em">{label}</text>')
    for place, label in x.ticks:
        across = f"{LEFT + (place - x.low) / (x.high - x.low) * (WIDTH - LEFT - RIGHT):.1f}"
        marks.append(f'<text class="middle" x="{across}" y="{HEIGHT - BOTTOM + 16}">{label}</text>')
    ends = "; ".join(f"{line.label} ends at {line.mean[-1]:.4g}" for line in panel.lines)
    description = escape(f"{panel.title} by {panel.x_label}: {ends}")
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {HEIGHT}" aria-label="{description}">'
        f'<text class="title" x="{LEFT}" y="14">{escape(panel.title)}</text>{"".join(marks)}'
        f"{''.join(_line(line, x, y, panel.labels(line)) for line in panel.lines)}"
        f'<text class="middle" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}">{escape(panel.x_label)}</text></svg>'
    )


def _line(line: Line, x: Axis, y: Axis, labelled: bool = False) -> str:
    def point(x_value: float, y_value: float) -> str:
        across = LEFT + x.fraction(x_value) * (WIDTH - LEFT - RIGHT)
        return f"{across:.1f},{TOP + (1 - y.fraction(y_value)) * (HEIGHT - TOP - BOTTOM):.1f}"

    def path(values: list[tuple[float, float]]) -> str:
        return " ".join(point(*pair) for pair in values if math.isfinite(pair[1]))

    color, drawn = f"c{line.color}", []
    band = [(a, b, c) for a, b, c in zip(line.x, line.low, line.high, strict=False) if math.isfinite(b + c)]
    if len(band) > 1:
        edge = [(a, c) for a, _, c in band] + [(a, b) for a, b, _ in reversed(band)]
        drawn.append(f'<polygon class="band {color}" points="{path(edge)}"/>')
    seeds = line.seeds or range(len(line.runs))
    for seed, values in zip(seeds, line.runs, strict=True) if len(line.runs) > 1 else ():
        points = path(list(zip(line.x, values, strict=True)))
        drawn.append(
            f'<polyline class="seed {color}" points="{points}">{_title(line, f"seed {seed}", values[-1])}</polyline>'
        )
    means = path(list(zip(line.x, line.mean, strict=True)))
    titled = _title(line, "mean" if line.runs else "", line.mean[-1])
    drawn.append(f'<polyline class="mean {color}"{_dash(line)} points="{means}">{titled}</polyline>')
    if means and " " not in means:
        across, height = means.split(",")
        drawn.append(f'<circle class="{color}" cx="{across}" cy="{height}" r="3"/>')
        if labelled:
            left = x.fraction(line.x[0]) > LEFT_FROM
            side = f'class="right" x="{float(across) - 5:.1f}"' if left else f'x="{float(across) + 5:.1f}"'
            drawn.append(f'<text {side} y="{height}" dy="-.2em">{escape(line.label)}</text>')
    return "".join(drawn)


def _title(line: Line, which: str, last: float) -> str:
    """What a pointer on a curve shows."""
    return f"<title>{escape(', '.join(filter(None, (line.label, which))))}: ends at {last:.4g}</title>"


def _dash(line: Line) -> str:
    return f' stroke-dasharray="{" ".join(map(str, line.dash))}"' if line.dash else ""


def _sample(line: Line) -> str:
    return (
        f'<svg width="34" height="12" aria-hidden="true"><line class="mean c{line.color}"{_dash(line)} '
        'x1="1" x2="33" y1="6" y2="6"/></svg>'
    )


def _strips(figure: StripFigure) -> str:
    axis = strip_axis(figure)
    if axis is None:
        return ""
    rows = "".join(
        f'<div class="strip"><div><b>{escape(strip.label)}</b> {escape(strip.text)}</div><svg role="img" height="34" '
        f'aria-label="{escape(f"{strip.label}: {strip.text}")}">{_strip(strip, axis)}</svg></div>'
        for strip in figure.strips
    )
    marks = "".join(f'<text class="middle" x="{_across(axis, v)}" y="14">{label}</text>' for v, label in axis.ticks)
    scale = f'<svg height="20" aria-hidden="true">{marks}</svg><p class="axis">{escape(figure.x_label)}</p>'
    return f'<div class="strips">{rows}{scale}</div>'


def _strip(strip: Strip, axis: Axis) -> str:
    color, parts = f"c{strip.style % 8}", ['<line class="grid" x1="0" x2="100%" y1="17" y2="17"/>']
    mean, low, high, n = strip.interval
    if math.isfinite(low):
        start, end = _across(axis, low), _across(axis, high)
        parts.append(f'<line class="interval {color}" x1="{start}" x2="{end}" y1="17" y2="17"/>')
    if n:
        parts.append(
            f'<line class="mean {color}" x1="{_across(axis, mean)}" x2="{_across(axis, mean)}" y1="4" y2="30"/>'
        )
    for index, (seed, value) in enumerate(zip(strip.seeds, strip.values, strict=True)):
        dot = f'cx="{_across(axis, value)}" cy="{(9, 17, 25, 13, 21)[index % 5]}" r="3.5"'
        title = escape(f"{strip.label}, seed {seed}: {value:.4g}")
        parts.append(f'<circle class="dot {color}" {dot}><title>{title}</title></circle>')
    if strip.published is not None:
        parts.append(f'<text class="paper" x="{_across(axis, strip.published)}" y="17" dy=".35em">◇</text>')
    return "".join(parts)


def _across(axis: Axis, value: float) -> str:
    return f"{100 * axis.fraction(value):.2f}%"
