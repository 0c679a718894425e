"""Studies that train nothing.

Such a study has no ``CONFIG`` but ``SETTINGS``, a frozen dataclass with the field ``experiment`` (its name) and a
method ``check()`` that raises InputError; ``QUICK``; and ``measure(settings) -> Findings``.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from rnnlab.cli.devices import check_devices
from rnnlab.config.document import to_json
from rnnlab.config.overrides import override
from rnnlab.core.errors import InputError

if TYPE_CHECKING:
    from rnnlab.report.figures import Figure

TRAINING_OPTIONS = ("seeds", "part", "arms", "epochs", "data", "cell")


class Findings(NamedTuple):
    """The results of a study: fields of summary.json, a table of text cells, and figures."""

    summary: Mapping[str, Any]
    header: list[str]
    rows: list[list[str]]
    figures: Sequence["Figure"]


def settings(study: ModuleType, options: argparse.Namespace) -> Any:
    """The study's settings with the options of the command. Raises InputError for options of training."""
    for name in TRAINING_OPTIONS:
        if getattr(options, name) not in (None, []):
            raise InputError(f"--{name}: {options.name} trains nothing; accepted: --out, --quick, --set")
    changed = replace(study.SETTINGS, **study.QUICK) if options.quick else study.SETTINGS
    for assignment in options.set:
        changed = override(changed, assignment)
    changed.check()
    return changed


def start(study: ModuleType, chosen: Any, directory: Path) -> int:
    """Measure, and write everything into a new directory."""
    check_devices()
    import jax

    from rnnlab.runs import run
    from rnnlab.storage import environment as run_environment

    run.create(directory, run_environment.describe(jax.devices(), {}), to_json(chosen))
    return write(study, chosen, directory)


def write(study: ModuleType, chosen: Any, directory: Path) -> int:
    """Measure again (seconds, always with the same result); write figures, page and summary; print the table."""
    from rnnlab.core.terminal import listing, terminal_table
    from rnnlab.report import html
    from rnnlab.report.svg import svg
    from rnnlab.report.tables import Table
    from rnnlab.report.write import write_figures
    from rnnlab.storage import files

    chosen.check()
    environment = files.read_json(directory / "env.json")
    findings: Findings = study.measure(chosen)
    paths = write_figures({figure.name: figure for figure in findings.figures}, directory)
    body = html.table(Table(findings.header, findings.rows), "results")
    for figure in findings.figures:
        body += html.heading(figure.title) + svg(figure) + html.paragraph(f"figures/{figure.name}.csv.")
    body += html.heading("Command and environment") + html.provenance(environment, to_json(chosen))
    files.write_whole(directory / "report.html", html.page(f"rnnlab: {chosen.experiment}", body).encode())
    summary = {"experiment": chosen.experiment, "complete": True, **findings.summary}
    files.write_json(directory / "summary.json", summary)
    print(terminal_table(findings.header, findings.rows, justify=["left"] * len(findings.header)), end="")
    print(listing([f"report: {directory / 'report.html'}", *(f"figure: {path}" for path in paths)]))
    return 0
