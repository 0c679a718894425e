"""The user's files that a run's config names, its cells' files and its data: moved ones, and whether any changed."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rnnlab.config.cell_name import is_file_cell, parse_name, write_name
from rnnlab.config.data_name import own_data
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError, unknown
from rnnlab.core.user_file import sha256

OPTION = "--cell-file"
Moved = Mapping[str, str]  # the path of a file as config.json names it -> its path now
NONE: Moved = MappingProxyType({})


def parse_moved(assignments: Iterable[str], config: Config) -> Moved:
    """The moved files of ``OLD=NEW``, where OLD is a path of ``config``, or a file name if it is the only one.

    Raises InputError for a file that the config does not name, and for a new path without a file.
    """
    named = _named(config)
    moved = {}
    for assignment in assignments:
        old, _, new = assignment.partition("=")
        matches = [path for path in named if path in (old, str(Path(old).expanduser().resolve()))]
        matches = matches or [path for path in named if Path(path).name == old]
        if len(matches) != 1:
            raise unknown(f"{OPTION} OLD=NEW: OLD", old, named)
        if not new or not (path := Path(new).expanduser().resolve()).is_file():
            raise InputError(f"{OPTION}: no file {new!r}; accepted: OLD=NEW with the present path of OLD")
        moved[matches[0]] = str(path)
    return moved


def relocated(config: Config, moved: Moved) -> Config:
    """``config`` with the present paths of its files."""
    if not moved:
        return config

    def now(cell: str) -> str:
        name = parse_name(cell)
        if name.file is None:
            return cell
        path, _, function = name.cell.rpartition(":")
        return write_name(name._replace(cell=f"{moved.get(path, path)}:{function}"))

    own = own_data(config.data)
    return replace(
        config,
        data=own._replace(path=moved.get(own.path, own.path)).name if own else config.data,
        arms={
            name: replace(arm, cell=now(arm.cell), decoder=arm.decoder and now(arm.decoder))
            for name, arm in config.arms.items()
        },
    )


def check_cells(config: Config, moved: Moved, dataset: Mapping[str, Any], arms: Iterable[str]) -> None:
    """Raise InputError if a file of the arms' cells, or one that it imports, is gone or changed since the run started.

    ``dataset``: what env.json records (`rnnlab.runs.validate.identity`). Runs none of the files.
    """
    recorded, imports = dataset.get("cells"), dataset.get("imports", {})  # earlier versions recorded no imports
    if not isinstance(recorded, dict) or not isinstance(imports, dict):
        raise InputError("env.json: not readable: it does not list the files of the cells")
    for cell in (cell for arm in arms for cell in config.arms[arm].cells if is_file_cell(cell)):
        old = parse_name(cell).file
        path = Path(moved.get(str(old), str(old)))
        _check(path, recorded.get(cell), f"if it was moved, {OPTION} {old}=NEW")
        for relative, digest in imports.get(cell, {}).items():
            _check(path.parent / relative, digest, f"the file that {path.name} imported then")


def check_data(config: Config, moved: Moved, dataset: Mapping[str, Any]) -> None:
    """Raise InputError if the file of the user's data is gone or changed since the run started.

    ``dataset``: what env.json records. A text is compared when it is loaded. Runs none of the files.
    """
    if (own := own_data(config.data)) is None:
        return
    path = Path(moved.get(own.path, own.path))
    accepted = f"if it was moved, {OPTION} {own.path}=NEW"
    if not path.exists():
        raise InputError(f"data: no file {own.path}; accepted: {accepted}")
    if own.kind != "text":
        source = dataset.get("source")
        if not isinstance(source, dict) or not isinstance(source.get("imports", {}), dict):
            raise InputError("env.json: not readable: it does not list the files of the data")
        _check(path, source.get("file"), accepted, "data")
        for relative, digest in source.get("imports", {}).items():
            _check(path.parent / relative, digest, f"the file that {path.name} imported then", "data")


def _check(file: Path, digest: str | None, accepted: str, field: str = "cell") -> None:
    now = sha256(file)
    if now is None:
        raise InputError(f"{field}: no file {file}; accepted: {accepted}")
    if now != digest:
        raise InputError(f"{field}: {file} changed since the run started; accepted: the file as it was then")


def _named(config: Config) -> list[str]:
    files = [str(parse_name(cell).file) for arm in config.arms.values() for cell in arm.cells if is_file_cell(cell)]
    own = own_data(config.data)
    return list(dict.fromkeys([*files, *([own.path] if own else [])]))
