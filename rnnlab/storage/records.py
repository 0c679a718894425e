"""What a run writes and reads: config, environment, metrics, summary. Every file is written whole or not at all."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from rnnlab.core.errors import InputError

PACKAGES = ("rnnlab", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a kill leaves the old one or the new one. Raises OSError; the old file is then intact."""
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
        raise InputError(f"{path}: truncated or altered ({error}); accepted: the file that run wrote") from error


def read_text(path: Path) -> str:
    """The text of a file of a run. Raises InputError if it is missing or not text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing; accepted: a directory that run wrote, with all its files") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: truncated or altered ({error}); accepted: the file that run wrote") from error


def environment(devices: list[Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Versions, git revision, devices and data: what a result depends on beside its config; and the command."""
    return {
        "command": ["python", *sys.orig_argv[1:]],
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git": _git_revision(),
        "machine": platform.machine(),
        "devices": [f"{device.platform}:{device.device_kind}" for device in devices],
        "dataset": dict(dataset),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return None


def _git_revision() -> str | None:
    command = [
        "git",
        "--no-optional-locks",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
