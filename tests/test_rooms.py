"""The house: a package imports only packages above it, imports are acyclic, nothing runs JAX when it is imported."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# In the order in which data flows.
PACKAGES = [
    "core", "config", "data", "cells", "models", "training", "storage", "stats", "runs", "claims", "report", "analysis",
    "bench", "interop", "api", "cli",
]  # fmt: skip


def package_of(path: Path) -> str:
    return path.relative_to(ROOT / "rnnlab").parts[0]


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files() -> list[Path]:
    return sorted(path for path in (ROOT / "rnnlab").rglob("*.py") if path.parent != ROOT / "rnnlab")


def test_every_room_has_its_place():
    assert {package_of(path) for path in files()} == set(PACKAGES)


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_rooms_above_it(path):
    here = package_of(path)
    for module in imported_modules(path):
        parts = module.split(".")
        assert parts[0] not in ("experiments", "tests")
        if parts[0] == "rnnlab" and parts[1] != here:
            assert PACKAGES.index(parts[1]) < PACKAGES.index(here), f"{here} imports {parts[1]}"


def test_orbax_is_imported_by_the_checkpoint_room_alone():
    importers = [path for path in files() if any("orbax" in name for name in imported_modules(path))]
    assert [str(path.relative_to(ROOT)) for path in importers] == ["rnnlab/storage/checkpoint.py"]


def test_importing_every_room_starts_no_device():
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files()]
    modules = [name.removesuffix(".__init__") for name in modules]
    # asks JAX itself: a backend that is up can no longer be told how many devices to have
    code = (
        f"import importlib, jax\nfor name in {modules!r}: importlib.import_module(name)\n"
        "jax.config.update('jax_num_cpu_devices', 3)\nassert len(jax.devices('cpu')) == 3"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)


def test_the_names_of_studies_need_no_jax():
    code = "import sys\nfrom rnnlab.cli import studies\nfor n in studies.names(): studies.study(n)"
    code += "\nassert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
