"""Several runs in one report: arms side by side where their results are comparable."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rnnlab.claims import family
from rnnlab.report import html, tables
from rnnlab.report import write as report
from rnnlab.report.sections import Results, section, text
from rnnlab.report.tables import Table, row_label
from rnnlab.storage import files


class OpenedRun(NamedTuple):
    """A run directory with its results, environment and configuration."""

    directory: Path
    results: Results
    environment: Any
    config: str


def read(directory: Path, results: Results) -> OpenedRun:
    """The run in ``directory`` with its `report.read_results`. Raises InputError for an unreadable file."""
    environment = files.read_json(directory / "env.json")
    return OpenedRun(directory, results, environment, files.read_text(directory / "config.json"))


def names(runs: Sequence[OpenedRun]) -> list[str]:
    """A name for each run: the last part of its path, or as many parts as make the names different."""
    paths = [run.directory.resolve().parts for run in runs]
    shortest: list[str] = []
    for depth in range(1, max(map(len, paths), default=0) + 1):
        shortest = ["/".join(path[-depth:]) for path in paths]
        if len(set(shortest)) == len(shortest):
            break
    return shortest


def comparison_key(run: OpenedRun) -> dict[str, Any]:
    """What comparable runs share: data, headline metric and success threshold."""
    dataset = run.environment.get("dataset") if isinstance(run.environment, dict) else None
    data = {name: dataset.get(name) for name in ("name", "source", "task")} if isinstance(dataset, dict) else None
    data = data or {"name": f"unknown, of {run.directory}"}  # comparable with no other run
    summary = run.results.summary
    return {"data": data, "headline": summary["headline"], "success threshold": summary["success_threshold"]}


def comparable(runs: Sequence[OpenedRun]) -> list[tuple[list[OpenedRun], Results]]:
    """The runs by `comparison_key`, each kind as one `Results` whose arms are named ``run: arm``. Nothing is pooled."""
    kinds: dict[str, list[tuple[str, OpenedRun]]] = {}
    for name, run in zip(names(runs), runs, strict=True):
        kinds.setdefault(json.dumps(comparison_key(run), sort_keys=True, default=str), []).append((name, run))
    return [([run for _, run in kind], _merged(kind)) for kind in kinds.values()]


def _merged(kind: Sequence[tuple[str, OpenedRun]]) -> Results:
    def label(name: str, arm: str) -> str:
        return row_label({"run": name, "arm": arm})

    named = [(name, run.results) for name, run in kind]
    summaries = [results.summary for _, results in named]
    merged: Mapping[str, Any] = {
        **summaries[0],
        "experiment": ", ".join(dict.fromkeys(summary["experiment"] for summary in summaries)),
        "complete": all(summary["complete"] for summary in summaries),
        "arms": {label(name, arm): d for name, results in named for arm, d in results.summary["arms"].items()},
        "results": [{"run": name, **row} for name, results in named for row in results.summary["results"]],
    }
    return Results(
        merged,
        [group._replace(arm=label(name, group.arm)) for name, results in named for group in results.groups],
        [{**row, "arm": label(name, row["arm"])} for name, results in named for row in results.diverged],
        {(label(n, a), rate): v for n, results in named for (a, rate), v in (results.published or {}).items()} or None,
        [curve._replace(arm=label(name, curve.arm)) for name, results in named for curve in results.curves],
        (),
        [f"{name}: {note}" for name, results in named for note in results.notes],
    )


def difference_text(first: OpenedRun, other: OpenedRun) -> str:
    """Why two runs are not comparable, in a sentence."""
    ours, theirs = comparison_key(first), comparison_key(other)
    reasons = [f"{k} ({_short(theirs[k])}; above: {_short(ours[k])})" for k in ours if ours[k] != theirs[k]]
    return f"Not comparable with the runs above: different {', '.join(reasons)}."


def _short(value: Any) -> str:
    if isinstance(value, dict) and "name" in value:
        digest = (value.get("source") or {}).get("sha256", "") if isinstance(value.get("source"), dict) else ""
        return f"{value['name']} {digest[:8]}".strip()
    if isinstance(value, dict):
        return ", ".join(str(item) for item in value.values())
    return "none" if value is None else str(value).replace("_", " ")


def environments(runs: Sequence[OpenedRun]) -> Table:
    """A row for each run: its directory, code version, devices, Python and JAX."""
    rows = []
    for name, run in zip(names(runs), runs, strict=True):
        recorded = run.environment if isinstance(run.environment, dict) else {}
        devices, packages = recorded.get("devices") or [], recorded.get("packages") or {}
        jax = packages.get("jax") if isinstance(packages, dict) else None
        counted = ", ".join(f"{devices.count(device)} x {device}" for device in dict.fromkeys(devices))
        git, python = (str(recorded.get(key) or "-") for key in ("git", "python"))
        rows.append([name, str(run.directory), git[:12], counted, python, str(jax or "-")])
    return Table(["run", "directory", "git", "devices", "python", "jax"], rows)


def write(runs: Sequence[OpenedRun], out: Path) -> str:
    """Write the page and the figures of the comparison into ``out``; the text for a terminal."""
    kinds, shown, body = comparable(runs), "", ""
    for index, (kind, results) in enumerate(kinds):
        reason = difference_text(kinds[0][0][0], kind[0]) if index else ""
        suffix = f"_{index + 1}" if index else ""
        figures = results.figures()
        report.write_figures(figures, out, suffix)
        run_names = ", ".join(dict.fromkeys(row["run"] for row in results.summary["results"]))
        body += html.heading(f"{results.summary['experiment']}: {run_names}")
        body += html.paragraph(reason, note=True) if reason else ""
        for name, run in zip(names(runs), runs, strict=True):
            if run.results.verdicts and run.directory in [other.directory for other in kind]:
                body += html.heading(name, 3) + html.claims(run.results.verdicts, 4)
        body += section(results, figures, 3, suffix)
        shown += ("\n" if index else "") + (f"{reason}\n" if reason else "") + text(results)
    if chance := family([verdict for run in runs for verdict in run.results.verdicts]):
        body += html.heading("Claims of all runs") + html.paragraph(chance)
    shown_environments = environments(runs)
    body += html.heading("Commands and environments") + html.table(shown_environments, "environments of the runs")
    if len({json.dumps(row[2:]) for row in shown_environments.rows}) > 1:
        body += html.paragraph("Code, devices or versions differ, so times and last digits may differ.", note=True)
    for name, run in zip(names(runs), runs, strict=True):
        body += html.heading(name, 3) + html.provenance(run.environment, run.config)
    title = "rnnlab: " + ", ".join(dict.fromkeys(results.summary["experiment"] for _, results in kinds))
    files.write_whole(out / "report.html", html.page(title, body).encode())
    return shown


def exported(kind: str, runs: Sequence[OpenedRun]) -> str:
    """The results of all runs as CSV, JSON or LaTeX (a tabular for each of `comparable`)."""
    merged = [results for _, results in comparable(runs)] if len(runs) > 1 else [run.results for run in runs]
    shown = [tables.table(results.summary, results.published) for results in merged]
    rows = [row for results in merged for row in tables.flat_rows(results.summary, results.published)]
    return tables.export(kind, shown, rows)
