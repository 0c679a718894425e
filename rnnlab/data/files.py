"""Where prepared data lives, and what is checked before anything is fetched or written."""

import hashlib
import os
import ssl
import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from rnnlab.core.errors import InputError

PATIENCE = 5.0  # seconds; a dead name server alone can hold the calling thread for far longer


def data_dir() -> Path:
    """The folder of prepared data: the environment variable RNNLAB_DATA, else ~/.cache/rnnlab. Need not exist."""
    return Path(os.environ.get("RNNLAB_DATA") or "~/.cache/rnnlab").expanduser()


def sha256(*parts: bytes | memoryview) -> str:
    """The SHA-256 of the parts one after another, in hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def first_line(error: Exception) -> str:
    """The first line of what ``error`` says, for use inside a message of one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def check_files(name: str, folder: Path, wanted: dict[str, str]) -> None:
    """InputError unless ``folder`` holds every file of ``wanted`` (file name -> SHA-256), whole and unaltered."""
    needs = f"wanted are the {len(wanted)} official files {', '.join(wanted)}"
    if not folder.is_dir():
        raise InputError(f"data: {name}: no such folder: {str(folder)!r}; {needs}")
    missing = [file for file in wanted if not (folder / file).is_file()]
    if missing:
        raise InputError(f"data: {name}: missing in {str(folder)!r}: {', '.join(missing)}; {needs}")
    for file, right in wanted.items():
        found = sha256((folder / file).read_bytes())
        if found != right:
            raise InputError(
                f"data: {name}: {file} in {str(folder)!r} is truncated or altered: SHA-256 {found}, wanted {right}"
            )


def unreachable(url: str) -> str | None:
    """Why ``url`` cannot be fetched, known within ``PATIENCE`` seconds; None where it can.

    One HEAD request through the user's proxies, if any: a proxy that refuses the host counts as no network.
    """
    outcome: list[str | None] = []

    def probe() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=3):
                outcome.append(None)
        except urllib.error.URLError as error:
            # The host answers; TFDS brings certificates of its own, and what it fetches is checked by its hash.
            answers = isinstance(error.reason, ssl.SSLCertVerificationError)
            outcome.append(None if answers else str(error.reason))
        except (OSError, HTTPException, ValueError) as error:
            outcome.append(str(error) or type(error).__name__)

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return outcome[0] if outcome else f"no answer within {PATIENCE:g} s"
