"""What a run left behind, read and written as tables, figures and one page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc

from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError
from rnnlab.report import html as page
from rnnlab.report import published, tables
from rnnlab.report.figures import (
    csv_text,
    draw_curves,
    draw_lags,
    draw_probes,
    draw_seeds,
    lag_curves,
    loss_curves,
    probe_curves,
)
from rnnlab.report.published import Curve
from rnnlab.report.sections import Part, notes, section, text
from rnnlab.report.tables import Published, table
from rnnlab.stats.summary import groups
from rnnlab.storage import files
from rnnlab.storage.metrics import COLUMNS, DIVERGED_AT, read_metrics


def read_summary(directory: Path) -> dict[str, Any]:
    """The document of summary.json. Raises InputError if it is missing, cut short or of another version."""
    if not any((directory / name).exists() for name in ("summary.json", "metrics.parquet")):
        raise InputError(
            f"{directory}: no summary.json and no metrics.parquet: it was stopped before the end of an epoch; "
            "accepted: a run that has saved something, or go on with it: resume"
        )
    summary = files.read_json(directory / "summary.json")
    try:
        whole = {"experiment", "complete", "headline", "success_threshold", "arms", "results"} <= set(summary)
        table(summary)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        whole = False
    if not whole:
        raise InputError(f"{directory / 'summary.json'}: altered or of another version; accepted: what run wrote")
    return summary


def read_part(
    directory: Path, hyperparams: Published | None = None, curves: Sequence[Curve] = (),
    verdicts: Sequence[Any] = (), config: Config | None = None,
) -> Part:  # fmt: skip
    """The run in ``directory``. ``hyperparams``, ``curves`` and ``verdicts`` are the paper's and what became of them.

    With its ``config`` an unfinished run says what it lacks. Raises InputError if a file is missing or unreadable.
    """
    summary = read_summary(directory)
    metrics = read_metrics(directory / "metrics.parquet")
    diverged = [
        {"arm": row["arm"], "seed": row["seed"], "step": int(row["value"])}
        | {name: row[name] for name in row if name not in COLUMNS and row[name] is not None}
        for row in metrics.filter(pc.equal(metrics["metric"], DIVERGED_AT)).to_pylist()
    ]
    return Part(summary, groups(metrics), diverged, hyperparams, curves, verdicts, notes(summary, config))


class Report(NamedTuple):
    """What was written, and what a terminal shows of it."""

    summary: Mapping[str, Any]
    text: str
    figures: list[Path]


def write_report(
    directory: Path, hyperparams: Published | None = None, curves: Sequence[Curve] = (),
    verdicts: Sequence[Any] = (), config: Config | None = None,
) -> Report:  # fmt: skip
    """Write figures/ (PNG with the data behind it as CSV) and report.html. Arguments and errors as `read_part`.

    ``verdicts`` go into summary.json too, once the run is complete: until then the file is its training's.
    """
    part = read_part(directory, hyperparams, curves, verdicts, config)
    if verdicts and part.summary["complete"]:
        known = {**part.summary, "claims": [verdict._asdict() for verdict in verdicts]}
        files.write_json(directory / "summary.json", known)
    environment = files.read_json(directory / "env.json")
    settings = files.read_text(directory / "config.json")
    drawn = write_figures(part, directory)
    body = section(part) + page.heading("Command and environment") + page.origin(environment, settings)
    whole = page.page(f"rnnlab: {part.summary['experiment']}", body)
    files.write_whole(directory / "report.html", whole.encode())
    return Report(part.summary, text(part), drawn)


def write_figures(part: Part, directory: Path, suffix: str = "") -> list[Path]:
    """The figures of ``part`` as PNG, each with its CSV, in ``directory``/figures."""
    summary, found = part.summary, part.found
    title = f"{summary['experiment']}: mean over seeds and its 95 % interval"
    points, seeds = loss_curves(found), tables.every_seed(found, summary["headline"])
    pictures = {"loss_curves": (points, draw_curves(points, title))}
    if seeds:
        pictures["seeds"] = (seeds, draw_seeds(seeds, summary["headline"]))
    if probed := probe_curves(found):
        pictures["probes"] = (probed, draw_probes(probed, title))
    if by_lag := lag_curves(found):
        pictures["lags"] = (by_lag, draw_lags(by_lag, title))
    if beside := published.beside(part.curves, found):
        pictures["published_curves"] = (beside, published.draw(beside, title))
    for name, (rows, picture) in pictures.items():
        files.write_whole(directory / "figures" / f"{name}{suffix}.csv", csv_text(rows).encode())
        files.write_whole(directory / "figures" / f"{name}{suffix}.png", picture)
    return [directory / "figures" / f"{name}{suffix}.png" for name in pictures]
