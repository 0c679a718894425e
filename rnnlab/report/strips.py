"""Every run at the end: a strip of dots for each arm, as inline SVG."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from rnnlab.report.drawing import COLORS, name_of, ticks, varying_numbers
from rnnlab.report.tables import Published, interval_text
from rnnlab.stats import mean_interval
from rnnlab.stats.summary import Group, headline_values


def strips(found: Sequence[Group], headline: str, published: Published | None = None) -> str:
    """A strip for each group: every live run a dot, a bar for their mean and 95 % interval, a diamond for the paper's.

    The interval may reach beyond the drawing, whose ends are those of the runs; what it is stands beside it in words.
    """
    shown: list[tuple[Group, np.ndarray, float | None]] = []
    for group in found:
        known = (published or {}).get((group.arm, group.hyperparams.get("learning_rate", math.nan)))
        shown.append((group, headline_values(group, headline), known))
    values = [v for _, live, known in shown for v in (*live, known) if v is not None and math.isfinite(v)]
    if not values:
        return ""
    low, high = min(values), max(values)
    margin = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin

    def at(value: float) -> str:
        return f"{4 + 92 * (min(max(value, low), high) - low) / (high - low):.2f}%"

    varying, rows = varying_numbers(found), []
    for style, (group, live, known) in enumerate(shown):
        interval = mean_interval(live)
        color, parts = f"c{style % COLORS}", ['<line class="grid" x1="0" x2="100%" y1="17" y2="17"/>']
        if math.isfinite(interval.low):
            start, end = at(interval.low), at(interval.high)
            parts.append(f'<line class="interval {color}" x1="{start}" x2="{end}" y1="17" y2="17"/>')
        if interval.n:
            parts.append(
                f'<line class="mean {color}" x1="{at(interval.mean)}" x2="{at(interval.mean)}" y1="4" y2="30"/>'
            )
        for rank, index in enumerate(i for i in range(len(live)) if math.isfinite(live[i])):
            dot = f'cx="{at(live[index])}" cy="{(9, 17, 25, 13, 21)[rank % 5]}" r="3.5"'
            parts.append(f'<circle class="dot {color}" {dot}><title>seed {group.seeds[index]}</title></circle>')
        if known is not None:
            parts.append(f'<text class="paper" x="{at(known)}" y="17" dy=".35em">◇</text>')
        words = strip_words(interval._asdict(), group, known)
        name = escape(name_of(group, varying))
        rows.append(
            f'<div class="strip"><div><b>{name}</b> {escape(words)}</div>'
            f'<svg role="img" height="34" aria-label="{name}: {escape(words)}">{"".join(parts)}</svg></div>'
        )
    marks = "".join(f'<text class="middle" x="{at(v)}" y="14">{v:g}</text>' for v in ticks(low, high, 5))
    name = escape(headline.replace("_", " "))
    axis = f'<svg height="20" aria-hidden="true">{marks}</svg><p class="axis">{name}</p>'
    return f'<div class="strips">{"".join(rows)}{axis}</div>'


def strip_words(interval: Mapping[str, Any], group: Group, known: float | None) -> str:
    """``0.9712 ± 0.0021, n 8, 1 dead, paper 0.9700``."""
    diverged = int(group.diverged.sum())
    words = [interval_text(interval) if interval["n"] else "no live run has a number", f"n {interval['n']}"]
    return ", ".join(words + [f"{diverged} dead"] * (diverged > 0) + ([] if known is None else [f"paper {known:.4f}"]))
