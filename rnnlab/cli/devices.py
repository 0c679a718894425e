"""Whether JAX can start here: mistakes in XLA_FLAGS and JAX_PLATFORMS in one line."""

import functools
import os
import re
import subprocess
import sys

from rnnlab.core.errors import InputError

PROBE = "import jax; jax.devices()"


def check_devices() -> None:
    """Start JAX. Raises InputError if it cannot."""
    check_flags()
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts that a known platform has its plugin
        reason = " ".join(str(error).split()) or "this installation of JAX cannot use it"
        raise InputError(f"JAX_PLATFORMS: {os.environ.get('JAX_PLATFORMS', '')!r} fails: {reason}") from error


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
