"""The tables of a report as text cells, and the same values for other programs."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnlab.core.errors import choose
from rnnlab.core.terminal import terminal_table
from rnnlab.runs.progress import duration
from rnnlab.stats.summary import Group, Headline, headline_values

Published = Mapping[tuple[str, float], float]  # (arm, learning rate) -> the paper's value
EXPORTS = ("csv", "json", "latex")


class Table(NamedTuple):
    """A header and rows of as many text cells."""

    header: list[str]
    rows: list[list[str]]


def row_label(row: Mapping[str, Any]) -> str:
    """The arm of a summary row; in a comparison the run comes first: ``run: arm``."""
    return f"{row['run']}: {row['arm']}" if "run" in row else row["arm"]


def varying_hyperparams(groups: Sequence[Group]) -> list[str]:
    """The hyperparameters in which the groups differ."""
    names = dict.fromkeys(name for group in groups for name in group.hyperparams)
    return [name for name in names if len({group.hyperparams.get(name) for group in groups}) > 1]


def hyperparams_text(group: Group, names: Sequence[str], separator: str = " ") -> str:
    """``learning_rate=0.1 noise_std=0.001``, of ``names`` alone."""
    return separator.join(f"{name}={group.hyperparams[name]:g}" for name in names if name in group.hyperparams)


def group_label(group: Group, varying: Sequence[str]) -> str:
    """The arm with the hyperparameters that tell groups apart: ``lstm noise_std=0.001``."""
    return f"{group.arm} {hyperparams_text(group, varying)}".rstrip()


def headline_of(summary: Mapping[str, Any]) -> Headline:
    """The headline of summary.json."""
    return Headline(**summary["metrics"][summary["headline"]])


def table(summary: Mapping[str, Any], published: Published | None = None) -> Table:
    """The results: a row for each group, mean ± half-width of the 95 % CI of the headline, of the best on test
    and of what the task shows beside them."""
    results, headline = summary["results"], headline_of(summary)
    varying = _varying(results)
    metrics = [headline.name, headline._replace(selection="best").name, *summary.get("beside", [])]
    first = ["run", "arm"] if any("run" in row for row in results) else ["arm"]
    header = [*first, *varying, *(name.replace("_", " ") for name in metrics)]
    header += ["paper"] if published else []
    header += ["solved", "median steps"] if summary["success_threshold"] else []
    header += ["n", "diverged", "parameters", "time"]
    rows = []
    for row in results:
        arm = summary["arms"].get(row_label(row), {})
        cells = [*(row.get(name, "") for name in first), *(_number(row.get(name)) for name in varying)]
        cells += [interval_text(row["metrics"][name]) for name in metrics]
        if published:
            value = published.get((row_label(row), row.get("learning_rate")))
            cells.append("" if value is None else f"{value:.4f}")
        if summary["success_threshold"]:
            median = row["steps_to_solve"]["median"]
            cells += [_proportion_text(row["solved"]), "-" if median is None else f"{median:,.0f}"]
        parameters = f"{arm['parameters']:,}" if "parameters" in arm else ""
        n = row["metrics"][headline.name]["n"]
        rows.append([*cells, str(n), str(row["diverged"]), parameters, duration(arm.get("seconds", 0.0))])
    return Table(header, rows)


def all_metrics(summary: Mapping[str, Any], published: Mapping[str, Published] | None = None) -> Table:
    """Every metric of every split and selection: a row for each, a column for each group.

    ``published``: the paper's values of further metrics by name, a row below each.
    """
    results = summary["results"]
    varying = _varying(results)
    labels = [
        " ".join([row_label(row), *(f"{name}={_number(row[name])}" for name in varying if row.get(name) is not None)])
        for row in results
    ]
    names = [name for name in summary["metrics"] if any(row["metrics"][name]["n"] for row in results)]
    rows = []
    for name in names:
        rows.append([name.replace("_", " "), *(interval_text(row["metrics"][name]) for row in results)])
        if values := (published or {}).get(name):
            found = [values.get((row_label(row), row.get("learning_rate", math.nan))) for row in results]
            rows.append(["the same in the paper", *("" if value is None else f"{value:.4f}" for value in found)])
    return Table(["metric", *labels], rows)


_NOT_HYPERPARAMS = ("run", "arm", "runs", "diverged", "epochs", "metrics", "solved", "steps_to_solve")


def _varying(results: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [name for name in dict.fromkeys(key for row in results for key in row) if name not in _NOT_HYPERPARAMS]
    return [name for name in names if len({row.get(name) for row in results}) > 1]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def interval_text(interval: Mapping[str, float | None]) -> str:
    """``0.9712 ± 0.0021``; ``0.9712 (one run)`` without an interval, ``-`` without a mean.

    Four decimals; three digits of a mean below 0.01, and of one from a million on.
    """
    mean, low = interval["mean"], interval["low"]
    if mean is None or np.isnan(mean):
        return "-"
    decimals = 4 if mean == 0 or abs(mean) >= 0.01 else min(9, 2 - int(np.floor(np.log10(abs(mean)))))
    form = f".{decimals}f" if abs(mean) < 1e6 else ".3g"
    return f"{mean:{form}} (one run)" if low is None or np.isnan(low) else f"{mean:{form}} ± {mean - low:{form}}"


def _proportion_text(solved: Mapping[str, Any]) -> str:
    """``5 of 8 (31-86 %)``, the interval in brackets."""
    return f"{solved['successes']} of {solved['n']} ({100 * solved['low']:.0f}-{100 * solved['high']:.0f} %)"


def threshold_text(summary: Mapping[str, Any]) -> str:
    """A sentence that defines the columns solved and median steps; "" without a success threshold."""
    if not summary["success_threshold"]:
        return ""
    metric, threshold = summary["success_threshold"]["metric"], summary["success_threshold"]["threshold"]
    return (
        f"solved: runs whose validation {metric} reached {threshold:g} after any epoch, with Wilson's 95 % CI; "
        "median steps: training steps until then, over solved runs"
    )


def costs(summary: Mapping[str, Any], groups: Sequence[Group]) -> Table:
    """A row for each arm: what it trained, and the time of all its runs together."""
    header = ["arm", "runs", "epochs", "steps per run", "parameters", "time", "time per run", "ms per step and run"]
    rows = []
    for name in dict.fromkeys(row_label(row) for row in summary["results"]):
        same_arm = [row for row in summary["results"] if row_label(row) == name]
        runs, arm = sum(row["runs"] for row in same_arm), summary["arms"].get(name, {})
        steps = max((int(group.steps[-1]) for group in groups if group.arm == name and len(group.steps)), default=0)
        seconds = arm.get("seconds", 0.0)
        cells = [name, str(runs), str(max(row["epochs"] for row in same_arm)), f"{steps:,}"]
        cells += [f"{arm['parameters']:,}" if "parameters" in arm else "", duration(seconds), duration(seconds / runs)]
        cost = milliseconds_per_step(summary, groups, name)
        rows.append([*cells, "-" if cost is None else f"{cost:.3g}"])
    return Table(header, rows)


def milliseconds_per_step(summary: Mapping[str, Any], groups: Sequence[Group], label: str) -> float | None:
    """Time of training and evaluation for each training step of each run of an arm; None if it is not known."""
    runs = sum(row["runs"] for row in summary["results"] if row_label(row) == label)
    steps = max((int(group.steps[-1]) for group in groups if group.arm == label and len(group.steps)), default=0)
    seconds = summary["arms"].get(label, {}).get("seconds", 0.0)
    return 1000 * seconds / (runs * steps) if steps and seconds else None


def run_rows(groups: Sequence[Group], headline: Headline) -> list[dict[str, Any]]:
    """A row for each run: arm, hyperparameters, seed, whether it diverged, and the headline (NaN if it did)."""
    names = list(dict.fromkeys(name for group in groups for name in group.hyperparams))
    return [
        {"arm": group.arm, **{name: group.hyperparams.get(name, "") for name in names}, "seed": int(seed),
         "diverged": int(diverged), headline.name: float(value)}
        for group in groups
        for seed, diverged, value in zip(group.seeds, group.diverged, headline_values(group, headline), strict=True)
    ]  # fmt: skip


def flat_rows(summary: Mapping[str, Any], published: Published | None = None) -> list[dict[str, Any]]:
    """The rows of summary.json, flat and unrounded: ``X``, ``X_low``, ``X_high`` and ``X_n`` for each metric X."""
    rows = []
    for row in summary["results"]:
        flat = {name: value for name, value in row.items() if name not in ("metrics", "solved", "steps_to_solve")}
        for name, interval in row["metrics"].items():
            flat |= {name: interval["mean"]} | {f"{name}_{key}": interval[key] for key in ("low", "high", "n")}
        if "solved" in row:
            solved = row["solved"]
            flat |= {"solved": solved["proportion"]} | {f"solved_{key}": solved[key] for key in ("low", "high", "n")}
            flat["median_steps"] = row["steps_to_solve"]["median"]
        if published:
            flat["paper"] = published.get((row_label(row), row.get("learning_rate")))
        arm = summary["arms"].get(row_label(row), {})
        rows.append({**flat, "parameters": arm.get("parameters"), "seconds": arm.get("seconds")})
    return rows


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV; the header has every key, in the order of its first row."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["arm"]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def export(kind: str, tables: Sequence[Table], rows: Sequence[Mapping[str, Any]]) -> str:
    """``rows`` as CSV or JSON, unrounded, or ``tables`` as LaTeX tabulars. Raises InputError for another kind."""
    choose("--export", kind, EXPORTS)
    if kind == "latex":
        return "\n".join(latex(shown) for shown in tables)
    return csv_text(rows) if kind == "csv" else json.dumps(rows, indent=2) + "\n"


_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_LATEX |= {character: f"\\{character}" for character in "_%&#${}"}


def latex(shown: Table) -> str:
    """A tabular without packages: names on the left, numbers on the right."""
    head, *lines = [
        " & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in row) + r" \\"
        for row in (shown.header, *shown.rows)
    ]
    names = 2 if shown.header[0] == "run" else 1
    columns = "l" * names + "r" * (len(shown.header) - names)
    return "\n".join([f"\\begin{{tabular}}{{{columns}}}", head, r"\hline", *lines, r"\end{tabular}"]) + "\n"


def results_text(summary: Mapping[str, Any], published: Published | None = None) -> str:
    """The results table for a terminal."""
    header, rows = table(summary, published)
    names = 2 if header[0] == "run" else 1
    note = "mean ± half-width of the 95 % CI over seeds; time: training and evaluation of all runs of the arm"
    return terminal_table(
        header, rows, justify=["left"] * names + ["right"] * (len(header) - names),
        footer="\n".join(filter(None, (note, threshold_text(summary)))),
    )  # fmt: skip
