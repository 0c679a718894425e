"""Which files with users' cells and data a run's directory may have imported, and that it is said."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlab.config.cell_name import parse_name
from rnnlab.config.data_name import own_data
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError
from rnnlab.core.terminal import escaped

if TYPE_CHECKING:  # importing JAX is slow
    from rnnlab.runs.saved_run import SavedRun


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options ``--cell-file`` and ``--trust``."""
    text = "a cell's file, or that of the data, that was moved since the run started; its contents must be the same"
    parser.add_argument("--cell-file", metavar="OLD=NEW", action="append", default=[], help=text)
    parser.add_argument(
        "--trust", action="store_true",
        help="import the files of own cells and data that config.json names, even if not below the current folder",
    )  # fmt: skip


def check_run(run: SavedRun, arms: Iterable[str], options: argparse.Namespace) -> None:
    """Raise InputError where a file of the arms' cells is gone, altered or not trusted; say which are imported."""
    for arm in (arms := list(arms)):
        run.check_files(arm)
    check_trust(run.directory, run.config, arms, options)


def check_trust(directory: Path, config: Config, arms: Iterable[str], options: argparse.Namespace) -> None:
    """Print the files that the cells of ``arms`` and the data import. Importing runs whatever they contain.

    ``config`` has their present paths. Raises InputError for a file outside the current folder that is named neither
    by ``--cell-file`` nor trusted by ``--trust``.
    """
    cells = (cell for arm in arms for cell in config.arms[arm].cells)
    own = own_data(config.data)
    files = {path: "cell" for cell in cells if (path := parse_name(cell).file) is not None}
    files |= {Path(own.path): "data"} if own is not None and not own.kind else {}
    named = [Path(assignment.partition("=")[2]).expanduser().resolve() for assignment in options.cell_file]
    for path, field in files.items():
        known = path.resolve() in named or path.resolve().is_relative_to(Path.cwd().resolve())
        if not options.trust and not known:
            raise InputError(
                f"{field}: {directory / 'config.json'} names {path}, which is not below the current folder and would "
                "be imported; if you trust that file, add --trust"
            )
        print(escaped(f"imports {path}, named by {directory / 'config.json'}"), file=sys.stderr)
