"""Names of data: a row of the registry, or the user's own, whose name holds the path of a file. No JAX."""

from pathlib import Path
from typing import NamedTuple

KINDS = {  # prefix -> what it names, and its description
    "text": ("text:PATH", "any UTF-8 text file, character by character"),
    "arrays": ("arrays:FILE.npz", "inputs and targets of your own, an example each"),
    "series": ("series:FILE.npz", "a series of your own to forecast"),
    "": ("FILE.py:FUNCTION", "a function of your own that returns arrays"),
}


class OwnData(NamedTuple):
    """The parts of a name: ``("text", "a.txt", "")`` of ``text:a.txt``, ``("", "b.py", "load")`` of ``b.py:load``."""

    kind: str  # a key of KINDS; "" for a loader of the user's
    path: str
    function: str = ""

    @property
    def name(self) -> str:
        """The text that ``own_data`` parses."""
        return f"{self.kind}:{self.path}" if self.kind else f"{self.path}:{self.function}"


def own_data(name: str) -> OwnData | None:
    """The parts of the name of a user's data, whose file need not exist; None for a row of the registry."""
    kind, colon, path = name.partition(":")
    if colon and kind and kind in KINDS:
        return OwnData(kind, path)
    path, colon, function = name.rpartition(":")
    return OwnData("", path, function) if colon and path.endswith(".py") else None


def absolute_data(name: str) -> str:
    """The same name with the path of a user's file made absolute."""
    own = own_data(name)
    return own._replace(path=str(Path(own.path).expanduser().resolve())).name if own and own.path else name
