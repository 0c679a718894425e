"""The name under which the command line was called, for messages that name a command."""

import sys
from pathlib import Path


def program() -> str:
    """``rnnlab``, ``python -m rnnlab`` or, from a checkout, ``python -m experiments``."""
    called = Path(sys.argv[0])
    if called.stem == "rnnlab":
        return "rnnlab"
    if called.name == "__main__.py" and called.parent.name == "rnnlab":
        return "python -m rnnlab"
    return "python -m experiments"
