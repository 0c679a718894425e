"""The tables of a report: what they say, as text; and the same numbers for other programs."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnlab.core.errors import choose
from rnnlab.runs.progress import duration
from rnnlab.stats.summary import Group, headline_values

Published = Mapping[tuple[str, float], float]  # (arm, learning rate) -> the paper's number
EXPORTS = ("csv", "json", "latex")


class Table(NamedTuple):
    """A header and rows of as many cells, all text."""

    header: list[str]
    rows: list[list[str]]


def label(row: Mapping[str, Any]) -> str:
    """What a row's arm is called in a figure: where several runs are compared, its run comes first."""
    return f"{row['run']}: {row['arm']}" if "run" in row else row["arm"]


def table(summary: Mapping[str, Any], published: Published | None = None) -> Table:
    """Header and rows of the results: an interval is ``mean ± half width`` (95 %, Student t, over seeds)."""
    results = summary["results"]
    varying = _varying(results)
    metrics = [name for name in (results[0]["metrics"] if results else ()) if name.split("_")[-1] != "loss"]
    first = ["run", "arm"] if any("run" in row for row in results) else ["arm"]
    header = [*first, *varying, *(name.replace("_", " ") for name in metrics), "n", "diverged", "parameters", "time"]
    if published:
        header.insert(len(first) + len(varying) + len(metrics), "paper")
    if summary["success_threshold"]:
        header[-4:-4] = ["solved", "median steps"]
    rows = []
    for row in results:
        arm = summary["arms"].get(label(row), {})
        cells = [*(row.get(name, "") for name in first), *(_number(row.get(name)) for name in varying)]
        cells += [interval_text(row["metrics"][name]) for name in metrics]
        if published:
            known = published.get((label(row), row.get("learning_rate")))
            cells.append("" if known is None else f"{known:.4f}")
        if summary["success_threshold"]:
            median = row["steps_to_solve"]["median"]
            cells += [_fraction_text(row["solved"]), "-" if median is None else f"{median:,.0f}"]
        counted = row["metrics"][summary["headline"]]["n"]
        parameters = f"{arm['parameters']:,}" if "parameters" in arm else ""
        rows.append([*cells, str(counted), str(row["diverged"]), parameters, duration(arm.get("seconds", 0.0))])
    return Table(header, rows)


_NOT_NUMBERS = ("run", "arm", "runs", "diverged", "epochs", "metrics", "solved", "steps_to_solve")


def _varying(results: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [name for name in dict.fromkeys(key for row in results for key in row) if name not in _NOT_NUMBERS]
    return [name for name in names if len({row.get(name) for row in results}) > 1]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def interval_text(interval: Mapping[str, float | None]) -> str:
    """``0.9712 ± 0.0021``; without an interval where there are fewer than two runs, ``-`` where there is none.

    Four decimals; three digits of a mean below 0.01, and of one from a million on.
    """
    mean, low = interval["mean"], interval["low"]
    if mean is None or np.isnan(mean):
        return "-"
    decimals = 4 if mean == 0 or abs(mean) >= 0.01 else min(9, 2 - int(np.floor(np.log10(abs(mean)))))
    form = f".{decimals}f" if abs(mean) < 1e6 else ".3g"
    return f"{mean:{form}} (one run)" if low is None or np.isnan(low) else f"{mean:{form}} ± {mean - low:{form}}"


def _fraction_text(solved: Mapping[str, Any]) -> str:
    """``5 of 8 (31-86 %)``, the interval in brackets."""
    return f"{solved['successes']} of {solved['n']} ({100 * solved['low']:.0f}-{100 * solved['high']:.0f} %)"


def goal_text(summary: Mapping[str, Any]) -> str:
    """What ``solved`` and ``median steps`` mean, in a sentence; "" without a goal."""
    if not summary["success_threshold"]:
        return ""
    metric, least = summary["success_threshold"]["metric"], summary["success_threshold"]["least"]
    return (
        f"solved: runs whose validation {metric} was {least:g} or more after some epoch, with Wilson's 95 % interval; "
        "median steps: what they needed"
    )


def costs(summary: Mapping[str, Any], found: Sequence[Group]) -> Table:
    """A row for each arm: what it trained, and the time of all its runs together."""
    header = ["arm", "runs", "epochs", "steps a run", "parameters", "time", "time a run", "ms a step and run"]
    rows = []
    for name in dict.fromkeys(label(row) for row in summary["results"]):
        mine = [row for row in summary["results"] if label(row) == name]
        runs, arm = sum(row["runs"] for row in mine), summary["arms"].get(name, {})
        steps = max((int(group.steps[-1]) for group in found if group.arm == name and len(group.steps)), default=0)
        seconds = arm.get("seconds", 0.0)
        cells = [name, str(runs), str(max(row["epochs"] for row in mine)), f"{steps:,}"]
        cells += [f"{arm['parameters']:,}" if "parameters" in arm else "", duration(seconds), duration(seconds / runs)]
        rows.append([*cells, f"{1000 * seconds / (runs * steps):.3g}" if steps and seconds else "-"])
    return Table(header, rows)


def every_seed(found: Sequence[Group], headline: str) -> list[dict[str, Any]]:
    """A record for each run: arm, its numbers, seed, whether it died, and the headline number (NaN where it did)."""
    names = list(dict.fromkeys(name for group in found for name in group.hyperparams))
    return [
        {"arm": group.arm, **{name: group.hyperparams.get(name, "") for name in names}, "seed": int(seed),
         "diverged": int(diverged), headline: float(value)}
        for group in found
        for seed, diverged, value in zip(group.seeds, group.diverged, headline_values(group, headline), strict=True)
    ]  # fmt: skip


def records_of(summary: Mapping[str, Any], published: Published | None = None) -> list[dict[str, Any]]:
    """The rows of summary.json, flat and unrounded: ``X``, ``X_low``, ``X_high`` and ``X_n`` for each metric X."""
    found = []
    for row in summary["results"]:
        flat = {name: value for name, value in row.items() if name not in ("metrics", "solved", "steps_to_solve")}
        for name, interval in row["metrics"].items():
            flat |= {name: interval["mean"]} | {f"{name}_{key}": interval[key] for key in ("low", "high", "n")}
        if "solved" in row:
            solved = row["solved"]
            flat |= {"solved": solved["fraction"]} | {f"solved_{key}": solved[key] for key in ("low", "high", "n")}
            flat["median_steps"] = row["steps_to_solve"]["median"]
        if published:
            flat["paper"] = published.get((label(row), row.get("learning_rate")))
        arm = summary["arms"].get(label(row), {})
        found.append({**flat, "parameters": arm.get("parameters"), "seconds": arm.get("seconds")})
    return found


def export(kind: str, tables: Sequence[Table], records: Sequence[Mapping[str, Any]]) -> str:
    """``records`` as CSV or JSON, all digits, or ``tables`` as LaTeX's plain tabular. InputError for another kind."""
    choose("--export", kind, EXPORTS)
    if kind == "latex":
        return "\n".join(latex(shown) for shown in tables)
    if kind == "json":
        return json.dumps(records, indent=2) + "\n"
    text = io.StringIO()
    names = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_LATEX |= {character: f"\\{character}" for character in "_%&#${}"}


def latex(shown: Table) -> str:
    """A tabular that needs no package: runs and arms on the left, numbers on the right."""
    lines = [" & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in row) + r" \\" for row in shown.rows]
    (head,) = [" & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in shown.header) + r" \\"]
    names = 2 if shown.header[0] == "run" else 1
    columns = "l" * names + "r" * (len(shown.header) - names)
    return "\n".join([f"\\begin{{tabular}}{{{columns}}}", head, r"\hline", *lines, r"\end{tabular}"]) + "\n"


def text_table(summary: Mapping[str, Any], published: Published | None = None) -> str:
    """The results as text that fits the terminal (160 columns for a file or a pipe)."""
    from rich.console import Console
    from rich.table import Table as Shown

    header, rows = table(summary, published)
    shown = Shown(title=None, box=None, header_style="bold")
    words = 2 if header[0] == "run" else 1
    for index, name in enumerate(header):
        shown.add_column(name, justify="left" if index < words else "right", no_wrap=index < words)
    for row in rows:
        shown.add_row(*row)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160
    with console.capture() as captured:
        console.print(shown)
        console.print(
            "mean ± half of the 95 % interval over seeds; time: training and evaluation of all runs of the arm"
        )
        if summary["success_threshold"]:
            console.print(goal_text(summary))
    return captured.get()
