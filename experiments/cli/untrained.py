"""Studies that train nothing. Such a study has no CONFIG but ``SETTINGS``, a frozen dataclass whose ``experiment`` is
its name and whose ``check()`` refuses, ``QUICK``, and ``measure(settings) -> Findings``."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from rnnlab.config.experiment import to_json
from rnnlab.config.overrides import override
from rnnlab.core.errors import InputError

OF_TRAINING = ("seeds", "arms", "epochs", "data", "cell")


class Findings(NamedTuple):
    """What a study found: ``summary`` for summary.json, a table, and by name ``(records, PNG, what it shows)``."""

    summary: Mapping[str, Any]
    header: list[str]
    rows: list[list[str]]
    pictures: Mapping[str, tuple[Sequence[Mapping[str, Any]], bytes, str]]


def settings(study: ModuleType, options: argparse.Namespace) -> Any:
    """The study's settings with the command's changes. Raises InputError for options that only training has."""
    for name in OF_TRAINING:
        if getattr(options, name) not in (None, []):
            raise InputError(f"--{name}: {options.name} trains nothing; accepted: --out, --quick, --set")
    changed = replace(study.SETTINGS, **study.QUICK) if options.quick else study.SETTINGS
    for assignment in options.set:
        changed = override(changed, assignment)
    changed.check()
    return changed


def start(study: ModuleType, chosen: Any, directory: Path) -> int:
    """Measure, and write all into a new directory."""
    import jax

    from rnnlab.runs import run
    from rnnlab.storage import environment as run_environment

    run.create(directory, run_environment.describe(jax.devices(), {}), to_json(chosen))
    return write(study, chosen, directory)


def write(study: ModuleType, chosen: Any, directory: Path) -> int:
    """Measure anew (it takes seconds, and always finds the same), write figures, page and summary, print the table."""
    from rnnlab.report import html as page
    from rnnlab.report.figures import csv_text
    from rnnlab.report.tables import Table
    from rnnlab.storage import files

    chosen.check()
    environment = files.read_json(directory / "env.json")
    found: Findings = study.measure(chosen)
    for name, (rows, picture, _) in found.pictures.items():
        files.write_whole(directory / "figures" / f"{name}.csv", csv_text(rows).encode())
        files.write_whole(directory / "figures" / f"{name}.png", picture)
    shown = {f"{words}; the numbers are in figures/{name}.csv": png for name, (_, png, words) in found.pictures.items()}
    title = f"rnnlab: {chosen.experiment}"
    body = page.table(Table(found.header, found.rows), "results") + page.images(shown)
    body += page.heading("Command and environment") + page.origin(environment, to_json(chosen))
    files.write_whole(directory / "report.html", page.page(title, body).encode())
    summary = {"experiment": chosen.experiment, "complete": True, **found.summary}
    files.write_json(directory / "summary.json", summary)
    widths = [max(map(len, column)) for column in zip(found.header, *found.rows, strict=True)]
    for row in (found.header, *found.rows):
        print("  ".join(map(str.ljust, row, widths)).rstrip())
    figures = "   ".join(f"figure: {directory / 'figures' / name}.png" for name in found.pictures)
    print(f"report: {directory / 'report.html'}   {figures}")
    return 0
