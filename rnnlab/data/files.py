"""The folder of prepared data, file hashes, and a quick check that a host can be reached."""

import hashlib
import os
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

from rnnlab.core.errors import InputError

PROBE_TIMEOUT_S = 5.0  # a dead name server alone can block the calling thread for far longer


def data_dir() -> Path:
    """The folder of prepared data: the environment variable RNNLAB_DATA, else ~/.cache/rnnlab. It may not exist yet."""
    return Path(os.environ.get("RNNLAB_DATA") or "~/.cache/rnnlab").expanduser()


def sha256(*parts: bytes | memoryview) -> str:
    """The hexadecimal SHA-256 of the concatenated parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """The first line of the error's message, or its class if there is none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_files(name: str, folder: Path, hashes: Mapping[str, str]) -> None:
    """InputError unless ``folder`` holds every file of ``hashes`` (file name -> SHA-256) unaltered."""
    required = f"required: the official {', '.join(hashes)}"
    if not folder.is_dir():
        raise InputError(f"data: {name}: no such folder: {str(folder)!r}; {required}")
    missing = [file for file in hashes if not (folder / file).is_file()]
    if missing:
        raise InputError(f"data: {name}: missing in {str(folder)!r}: {', '.join(missing)}; {required}")
    for file, expected in hashes.items():
        actual = sha256((folder / file).read_bytes())
        if actual != expected:
            raise InputError(
                f"data: {name}: {file} in {str(folder)!r} is truncated or altered: SHA-256 {actual}, "
                f"expected {expected}"
            )


def unreachable_reason(url: str) -> str | None:
    """Why ``url`` cannot be fetched, or None if it can; decided within ``PROBE_TIMEOUT_S`` seconds.

    Sends one HEAD request through the user's proxies, if any: a proxy that refuses the host counts as no network.
    """
    outcome: list[str | None] = []

    def probe() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=3):
                outcome.append(None)
        except urllib.error.URLError as error:
            # A certificate error still means that the host answers: TFDS brings its own certificates.
            answers = isinstance(error.reason, ssl.SSLCertVerificationError)
            outcome.append(None if answers else str(error.reason))
        except (OSError, HTTPException, ValueError) as error:
            outcome.append(str(error) or type(error).__name__)

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PROBE_TIMEOUT_S)
    return outcome[0] if outcome else f"no answer within {PROBE_TIMEOUT_S:g} s"
