"""Texts as sequences of characters: the reference text inside Python, and any UTF-8 file."""

import os
from pathlib import Path

import numpy as np

from rnnlab.core.errors import InputError
from rnnlab.core.types import Dataset, Split
from rnnlab.data.files import sha256

HELD_OUT = 20  # one character in twenty at the end for test, as many before them for validation


def windows(ids: np.ndarray, sequence_length: int) -> Split:
    """``ids [n]`` cut end to end: inputs and targets ``[(n - 1) // window, window]``, a target the next id.

    Windows start ``sequence_length`` characters apart and do not overlap; the ragged tail is dropped.
    """
    used = (len(ids) - 1) // sequence_length * sequence_length
    return Split(ids[:used].reshape(-1, sequence_length), ids[1 : used + 1].reshape(-1, sequence_length))


def from_text(name: str, text: str, digest: str, sequence_length: int) -> Dataset:
    """The first 90 % of ``text`` to train on, the next 5 % for validation, the last 5 % for test, each in windows.

    The vocabulary is every distinct character of the whole text, sorted: an alphabet, known before any reading and
    free of statistics, so a character that occurs in the test part alone has an id and no probability is lost on it.
    InputError for a window below 1, a text of one distinct character, and one too short for a window in every part.
    """
    if sequence_length < 1:
        raise InputError(f"data_options.sequence_length: {sequence_length} characters; accepted: 1 or more")
    needed = HELD_OUT * (sequence_length + 1)
    if len(text) < needed:
        raise InputError(
            f"data: {name}: {len(text):,} characters are too few for windows of {sequence_length:,}: its validation "
            f"and test parts (5 % each) need {sequence_length + 1:,} characters, so the text {needed:,}"
        )
    points, ids = np.unique(np.frombuffer(text.encode("utf-32-le"), dtype="<u4"), return_inverse=True)
    if len(points) < 2:
        raise InputError(f"data: {name}: only one distinct character, {text[0]!r}; accepted: a text of two or more")
    ids = ids.astype(np.int32)
    held = len(ids) // HELD_OUT
    return Dataset(
        name=name,
        task="language_modeling",
        input_size=len(points),
        output_size=len(points),
        train=windows(ids[: -2 * held], sequence_length),
        validation=windows(ids[-2 * held : -held], sequence_length),
        test=windows(ids[-held:], sequence_length),
        source={"sha256": digest, "characters": len(text), "split": "contiguous 90/5/5"},
        vocabulary="".join(map(chr, points)),
    )


def load_pydoc(*, sequence_length: int = 32) -> Dataset:
    """The English reference text of ``pydoc_data.topics``, topics in sorted order. It differs by Python version."""
    from pydoc_data.topics import topics

    text = "".join(topics[key] for key in sorted(topics))
    return from_text("pydoc", text, sha256(text.encode()), sequence_length)


def load_file(name: str, *, sequence_length: int = 32) -> Dataset:
    """The text file of ``name``, which is ``text:PATH``. ``source["sha256"]`` is of the file's bytes.

    A byte order mark is dropped and CRLF becomes LF. InputError for a file that is missing, empty or not UTF-8 text.
    """
    path = Path(os.path.expanduser(name.removeprefix("text:")))
    if name == "text:" or not path.exists():
        raise InputError(f"data: {name}: no such file: {str(path)!r}; accepted: text:PATH with the path of a text file")
    if not path.is_file():
        raise InputError(f"data: {name}: not a regular file: {str(path)!r}; accepted: the path of a text file")
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise InputError(f"data: {name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"data: {name}: not a text file: no UTF-8 at byte {error.start:,}") from error
    if "\0" in text:
        raise InputError(f"data: {name}: not a text file: it holds NUL bytes")
    if not text:
        raise InputError(f"data: {name}: the file is empty; accepted: a text file")
    return from_text(name, text, sha256(raw), sequence_length)
