"""A run directory read, and its page and figures written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc

from rnnlab.claims import Verdict
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError
from rnnlab.report import html
from rnnlab.report.figures import Figure, StripFigure
from rnnlab.report.png import png
from rnnlab.report.published import Curve
from rnnlab.report.sections import Results, notes, section, text
from rnnlab.report.tables import Published, csv_text, table
from rnnlab.runs.merge import missing_note
from rnnlab.stats.summary import groups
from rnnlab.storage import files
from rnnlab.storage.metrics import COLUMNS, DIVERGED_AT, read_metrics

_SUMMARY = {"experiment", "complete", "headline", "metrics", "success_threshold", "arms", "results"}


def read_summary(directory: Path) -> dict[str, Any]:
    """The document of summary.json. Raises InputError if it is missing, truncated or of another version."""
    if not any((directory / name).exists() for name in ("summary.json", "metrics.parquet")):
        raise InputError(
            f"{directory}: no summary.json and no metrics.parquet: the run stopped before the end of an epoch; "
            "`resume` continues it"
        )
    summary = files.read_json(directory / "summary.json")
    try:
        complete = set(summary) >= _SUMMARY
        table(summary)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        complete = False
    if not complete:
        raise InputError(f"{directory / 'summary.json'}: altered, or written by another version")
    return summary


def read_results(
    directory: Path, published: Published | None = None, curves: Sequence[Curve] = (),
    verdicts: Sequence[Verdict] = (), config: Config | None = None,
    also_published: Mapping[str, Published] | None = None,
) -> Results:  # fmt: skip
    """The run in ``directory``, with the values and curves of its paper and the verdicts on its claims.

    ``also_published`` has its values of further metrics by name. ``config`` adds the unfinished arms to the caveats.
    Raises InputError if a file is missing or unreadable.
    """
    summary = read_summary(directory)
    metrics = read_metrics(directory / "metrics.parquet")
    diverged = [
        {"arm": row["arm"], "seed": row["seed"], "step": int(row["value"])}
        | {name: row[name] for name in row if name not in COLUMNS and row[name] is not None}
        for row in metrics.filter(pc.equal(metrics["metric"], DIVERGED_AT)).to_pylist()
    ]
    return Results(
        summary, groups(metrics), diverged, published, curves, verdicts, notes(summary, config), also_published
    )


class Report(NamedTuple):
    """A written report: the summary, the text for a terminal, and the paths of the figures."""

    summary: Mapping[str, Any]
    text: str
    figures: list[Path]


def write_report(
    directory: Path, published: Published | None = None, curves: Sequence[Curve] = (),
    verdicts: Sequence[Verdict] = (), config: Config | None = None,
    also_published: Mapping[str, Published] | None = None,
) -> Report:  # fmt: skip
    """Write figures/ (PNG and CSV) and report.html. Arguments and errors as `read_results`.

    The verdicts of a complete run go into summary.json; before that the file belongs to the training process.
    """
    results = read_results(directory, published, curves, verdicts, config, also_published)
    store_verdicts(directory, results.summary, verdicts)
    environment = files.read_json(directory / "env.json")
    settings = files.read_text(directory / "config.json")
    figures = results.figures()
    paths = write_figures(figures, directory)
    note = missing_note(environment)
    noted = html.paragraph(note.capitalize(), note=True) if note else ""
    body = (
        noted
        + section(results, figures)
        + html.heading("Command and environment")
        + html.provenance(environment, settings)
    )
    page = html.page(f"rnnlab: {results.summary['experiment']}", body)
    files.write_whole(directory / "report.html", page.encode())
    return Report(results.summary, text(results) + (f"{note}\n" if note else ""), paths)


def store_verdicts(directory: Path, summary: Mapping[str, Any], verdicts: Sequence[Verdict]) -> None:
    """Add the verdicts to the ``summary`` of a complete run, in its summary.json."""
    if verdicts and summary["complete"]:
        document = {**summary, "claims": [verdict._asdict() for verdict in verdicts]}
        files.write_json(directory / "summary.json", document)


def write_figures(figures: Mapping[str, Figure | StripFigure], directory: Path, suffix: str = "") -> list[Path]:
    """Write each figure as PNG and CSV into ``directory``/figures; the paths of the PNGs."""
    paths = []
    for name, figure in figures.items():
        path = directory / "figures" / f"{name}{suffix}.png"
        files.write_whole(path.with_suffix(".csv"), csv_text(figure.rows).encode())
        files.write_whole(path, png(figure))
        paths.append(path)
    return paths
