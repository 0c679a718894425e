"""Which files with users' cells a run's directory may have imported, and that it is said."""

import argparse
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

from rnnlab.config.cell_name import parse_name
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError
from rnnlab.core.terminal import escaped


def add_argument(parser: argparse.ArgumentParser) -> None:
    """The option ``--trust``."""
    parser.add_argument(
        "--trust", action="store_true",
        help="import the files of own cells that config.json names, even if they are not below the current folder",
    )  # fmt: skip


def check_cell_files(directory: Path, config: Config, arms: Iterable[str], *, trusted: bool) -> None:
    """Print the files that the cells of ``arms`` import. Importing runs whatever they contain.

    Raises InputError for a file that is not the recorded one, and for one outside the current folder if not
    ``trusted``.
    """
    cells = dict.fromkeys(cell for arm in arms for cell in config.arms[arm].cells)
    paths = {cell: path for cell in cells if (path := parse_name(cell).file) is not None}
    if not paths:
        return
    recorded = _recorded_hashes(directory)
    for cell, path in paths.items():
        if not path.is_file():
            raise InputError(f"cell: no file {str(path)!r} (from {directory / 'config.json'})")
        if hashlib.sha256(path.read_bytes()).hexdigest() != recorded.get(cell):
            raise InputError(f"cell: {path} changed since the run started: its hash is not that of env.json")
        if not trusted and not path.resolve().is_relative_to(Path.cwd().resolve()):
            raise InputError(
                f"cell: {directory / 'config.json'} names {path}, which is not below the current folder and would be "
                "imported; if you trust that file, add --trust"
            )
    for path in dict.fromkeys(paths.values()):
        print(escaped(f"imports {path}, named by {directory / 'config.json'}"), file=sys.stderr)


def _recorded_hashes(directory: Path) -> dict[str, str]:
    from rnnlab.storage import files

    environment = files.read_json(directory / "env.json")
    try:
        return dict(environment["dataset"]["cells"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{directory / 'env.json'}: not readable ({type(error).__name__}: {error})") from error
