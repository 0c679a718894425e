"""What a result depends on beside its config: versions, git revision, devices, data."""

import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("rnnlab", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def describe(devices: list[Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
    """The document of env.json: command, versions, git revision, devices and the identity of the data."""
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
    except PackageNotFoundError:  # a checkout that is not installed
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
