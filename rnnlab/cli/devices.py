"""JAX for a command: compiled programs are kept, and mistakes in XLA_FLAGS and JAX_PLATFORMS are told in one line."""

import contextlib
import functools
import hashlib
import os
import platform
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from rnnlab.core.errors import InputError
from rnnlab.data.files import data_dir

PROBE = "import jax; jax.devices()"
SECONDS_WORTH_KEEPING = 0.3  # of compilation


def check_devices() -> None:
    """Start JAX. Raises InputError if it cannot."""
    check_flags()
    import jax

    _keep_programs()
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts that a known platform has its plugin
        reason = " ".join(str(error).split()) or "this installation of JAX cannot use it"
        raise InputError(f"JAX_PLATFORMS: {os.environ.get('JAX_PLATFORMS', '')!r} fails: {reason}") from error


def _keep_programs() -> None:
    """Let JAX keep what it compiles beside the prepared data, unless JAX_COMPILATION_CACHE_DIR names another folder or
    JAX_ENABLE_COMPILATION_CACHE is false."""
    import jax

    options: Any = jax.config
    if options.jax_compilation_cache_dir is None and options.jax_enable_compilation_cache:
        folder = data_dir() / "compiled" / _processor()
        with contextlib.suppress(OSError):  # where nothing can be written, programs are compiled each time
            folder.mkdir(parents=True, exist_ok=True)
            options.update("jax_compilation_cache_dir", str(folder))
            options.update("jax_persistent_cache_min_compile_time_secs", SECONDS_WORTH_KEEPING)
            warnings.filterwarnings("ignore", "Error (reading|writing) persistent")  # it compiles then


def _processor() -> str:
    """A name for this kind of processor: programs for one can be wrong instructions for another."""
    described = f"{platform.machine()} {platform.processor()}"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        described += "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return hashlib.sha256(described.encode()).hexdigest()[:12]


def check_flags() -> None:
    """Raise InputError for XLA_FLAGS that XLA refuses, which it does by ending the process."""
    if flags := os.environ.get("XLA_FLAGS"):
        _check(flags)


@functools.cache
def _check(flags: str) -> None:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}  # the flags are the same on all platforms
    done = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        logged = re.search(r"^[EF]\d{4} .*?\] (.*)", done.stderr, re.MULTILINE)  # as in "F1126 07:02:38 file.cc:2] why"
        reason = logged[1] if logged else f"JAX does not start, exit code {done.returncode}"
        raise InputError(f"XLA_FLAGS: {flags!r} is not accepted: {reason}")
