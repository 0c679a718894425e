"""Files written whole or not at all, and read back with clear errors."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnnlab.core.errors import InputError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a kill leaves either the old or the new one. Raises OSError and then keeps the old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """``document`` as indented JSON, written whole. NaN becomes null."""
    write_whole(path, (json.dumps(_without_nan(document), indent=2, allow_nan=False) + "\n").encode())


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def read_json(path: Path) -> Any:
    """The document in a JSON file. Raises InputError if it is missing or not JSON."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: truncated or altered ({error})") from error


def read_text(path: Path) -> str:
    """The text of a file of a run. Raises InputError if it is missing or not text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: truncated or altered ({error})") from error
