"""How much memory runs take on a device, known before they are trained, and how much there is."""

import os
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from rnnlab.training.run_axis import RUN

CGROUPS = (  # of a container, version 2 and 1: limit, use, and what of it the kernel gives back, pages of files
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
PROGRAMS = 400_000_000  # bytes that libraries and compilers take of a CPU's memory: measured with states of 34 MB


def tree_bytes(tree: Any) -> int:
    """Bytes of all arrays, or descriptions of arrays, of a tree."""
    return sum(int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(tree))


def state_bytes_per_device(abstract: Any, mesh: Mesh) -> int:
    """Bytes of the states ``abstract [R, ...]`` on the fullest device."""
    runs = len(jax.tree.leaves(abstract)[0])
    return -(-runs // mesh.shape[RUN]) * tree_bytes(abstract) // runs


def available_bytes() -> int | None:
    """Bytes that are free on a device of this process, a CPU's shared among its devices. None if nobody says."""
    devices = jax.local_devices()
    if not shares_memory():
        stats = [found for device in devices if (found := device.memory_stats())]
        return min((found["bytes_limit"] - found["bytes_in_use"] for found in stats), default=None)
    free = _free_of_machine()
    return None if free is None else max(free // 2, free - PROGRAMS) // len(devices)


def shares_memory() -> bool:
    """Whether the devices are the host's CPU, with its memory."""
    return jax.local_devices()[0].platform == "cpu"


def waiting_bytes(directory: Path | None) -> int:
    """Bytes that are free beside those of the devices: on the host, or on the disk of a run's ``directory``."""
    if not shares_memory():
        return _free_of_machine() or 0
    if directory is None:
        return 0
    there = next(folder for folder in (directory, *directory.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(there).free


def _free_of_machine(root: Path = Path("/")) -> int | None:
    found = []
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    except OSError:  # no Linux
        names = getattr(os, "sysconf_names", {})
        if "SC_PHYS_PAGES" in names:
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit, use, stat, given_back in CGROUPS:
        try:
            most, used = ((root / "sys/fs/cgroup" / name).read_text().strip() for name in (limit, use))
            if most != "max":
                found.append(max(0, int(most) - int(used) + _field(root / "sys/fs/cgroup" / stat, given_back)))
        except (OSError, ValueError):
            continue
    return min(found, default=None)


def _field(path: Path, name: str) -> int:
    """A number of a file of names and numbers; 0 if it is not there."""
    try:
        words = path.read_text().split()
        return int(words[words.index(name) + 1])
    except (OSError, ValueError, IndexError):
        return 0


def readable(count: int) -> str:
    """Bytes as text: 3.2 MB, 1.4 TB."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
