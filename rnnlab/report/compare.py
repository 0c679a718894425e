"""Several runs in one report: their arms side by side, where their numbers may be."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rnnlab.report import html as page
from rnnlab.report import tables
from rnnlab.report import write as report
from rnnlab.report.sections import Part, section, text
from rnnlab.report.tables import Table, label
from rnnlab.storage import files


class Recorded(NamedTuple):
    """A run's directory, opened for comparing."""

    directory: Path
    part: Part
    environment: Any
    config: str


def read(directory: Path, part: Part) -> Recorded:
    """``part`` is what `report.read_part` gives of the directory. Raises InputError for a file that is not readable."""
    environment = files.read_json(directory / "env.json")
    return Recorded(directory, part, environment, files.read_text(directory / "config.json"))


def names(runs: Sequence[Recorded]) -> list[str]:
    """What the runs are called: the last part of their path, or as much of it as tells them apart."""
    paths = [run.directory.resolve().parts for run in runs]
    for depth in range(1, max(map(len, paths), default=1) + 1):
        found = ["/".join(path[-depth:]) for path in paths]
        if len(set(found)) == len(found):
            break
    return found if runs else []


def like(run: Recorded) -> dict[str, Any]:
    """What two runs must share for their numbers to stand side by side: data, headline number and goal."""
    known = run.environment.get("dataset") if isinstance(run.environment, dict) else None
    data = {name: known.get(name) for name in ("name", "source", "task")} if isinstance(known, dict) else None
    data = data or {"name": f"unknown, of {run.directory}"}  # then the run is like no other
    return {
        "data": data,
        "headline number": run.part.summary["headline"],
        "success_threshold": run.part.summary["success_threshold"],
    }


def parts(runs: Sequence[Recorded]) -> list[tuple[list[Recorded], Part]]:
    """The runs in groups that `like` tells, each as one part whose arms are called ``run: arm``. Nothing is pooled."""
    kinds: dict[str, list[tuple[str, Recorded]]] = {}
    for name, run in zip(names(runs), runs, strict=True):
        kinds.setdefault(json.dumps(like(run), sort_keys=True, default=str), []).append((name, run))
    return [([run for _, run in kind], _merged(kind)) for kind in kinds.values()]


def _merged(kind: Sequence[tuple[str, Recorded]]) -> Part:
    def called(name: str, arm: str) -> str:
        return label({"run": name, "arm": arm})

    first = kind[0][1].part.summary
    results = [{"run": name, **row} for name, run in kind for row in run.part.summary["results"]]
    arms = {called(n, arm): known for n, run in kind for arm, known in run.part.summary["arms"].items()}
    merged: Mapping[str, Any] = {
        **first, "complete": all(run.part.summary["complete"] for _, run in kind), "arms": arms, "results": results,
        "experiment": ", ".join(dict.fromkeys(run.part.summary["experiment"] for _, run in kind)),
    }  # fmt: skip
    return Part(
        merged,
        [group._replace(arm=called(name, group.arm)) for name, run in kind for group in run.part.found],
        [{**row, "arm": called(name, row["arm"])} for name, run in kind for row in run.part.diverged],
        {(called(n, a), rate): v for n, run in kind for (a, rate), v in (run.part.published or {}).items()} or None,
        [curve._replace(arm=called(name, curve.arm)) for name, run in kind for curve in run.part.curves],
        (),
        [f"{name}: {note}" for name, run in kind for note in run.part.notes],
    )


def apart(first: Recorded, other: Recorded) -> str:
    """Why the numbers of two runs do not stand side by side, in a sentence."""
    ours, theirs = like(first), like(other)
    said = [
        f"{name} ({_short(theirs[name])}; above: {_short(ours[name])})" for name in ours if ours[name] != theirs[name]
    ]
    return f"Not set beside the runs above, from which they differ in {', '.join(said)}."


def _short(value: Any) -> str:
    if isinstance(value, dict) and "name" in value:
        digest = (value.get("source") or {}).get("sha256", "") if isinstance(value.get("source"), dict) else ""
        return f"{value['name']} {digest[:8]}".strip()
    if isinstance(value, dict):
        return ", ".join(str(item) for item in value.values())
    return "none" if value is None else str(value).replace("_", " ")


def provenance(runs: Sequence[Recorded]) -> Table:
    """A row for each run: where it lies, and on what it ran."""
    keys = ("git", "devices", "python", "packages")
    rows = []
    for name, run in zip(names(runs), runs, strict=True):
        known = run.environment if isinstance(run.environment, dict) else {}
        devices, packages = known.get("devices") or [], known.get("packages") or {}
        jax = packages.get("jax") if isinstance(packages, dict) else None
        rows.append([name, str(run.directory), *(str(known.get(k) or "-")[:12] for k in keys[:1]),
                     ", ".join(f"{devices.count(d)} x {d}" for d in dict.fromkeys(devices)),
                     str(known.get("python") or "-"), str(jax or "-")])  # fmt: skip
    return Table(["run", "directory", "git", "devices", "python", "jax"], rows)


def write(runs: Sequence[Recorded], out: Path) -> str:
    """Write the page and the figures of the comparison into ``out``; what a terminal shows of it."""
    found, shown, body = parts(runs), "", ""
    for index, (kind, part) in enumerate(found):
        why = apart(found[0][0][0], kind[0]) if index else ""
        suffix = f"_{index + 1}" if index else ""
        report.write_figures(part, out, suffix)
        called = ", ".join(dict.fromkeys(row["run"] for row in part.summary["results"]))
        body += page.heading(f"{part.summary['experiment']}: {called}") + (
            page.paragraph(why, note=True) if why else ""
        )
        for name, run in zip(names(runs), runs, strict=True):
            if run.part.verdicts and run.directory in [other.directory for other in kind]:
                body += page.heading(name, 3) + page.claims(run.part.verdicts, 4)
        body += section(part, 3, suffix)
        shown += ("\n" if index else "") + (f"{why}\n" if why else "") + text(part)
    body += page.heading("Commands and environments") + page.table(provenance(runs), "where the runs lie")
    if len({json.dumps(row[2:]) for row in provenance(runs).rows}) > 1:
        body += page.paragraph(
            "Code, devices or versions differ: times, and numbers in their last digits, may too.", True
        )
    for name, run in zip(names(runs), runs, strict=True):
        body += page.heading(name, 3) + page.origin(run.environment, run.config)
    title = "rnnlab: " + ", ".join(dict.fromkeys(part.summary["experiment"] for _, part in found))
    files.write_whole(out / "report.html", page.page(title, body).encode())
    return shown


def exported(kind: str, runs: Sequence[Recorded]) -> str:
    """The results of all runs as CSV, JSON or LaTeX (a tabular for each of `parts`); with several, by run."""
    merged = [part for _, part in parts(runs)] if len(runs) > 1 else [run.part for run in runs]
    shown = [tables.table(part.summary, part.published) for part in merged]
    return tables.export(
        kind, shown, [row for part in merged for row in tables.records_of(part.summary, part.published)]
    )
