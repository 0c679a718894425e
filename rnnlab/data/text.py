"""Texts as sequences of characters: Python's own reference text, and any UTF-8 file."""

from pathlib import Path

import numpy as np

from rnnlab.core.errors import InputError
from rnnlab.core.types import Dataset, Split
from rnnlab.data.files import sha256
from rnnlab.data.options import check_range

HELD_OUT_DIVISOR = 20  # validation and test are one twentieth of the text each


def windows(ids: np.ndarray, sequence_length: int) -> Split:
    """``ids [n]`` cut into windows: inputs and targets ``[(n - 1) // T, T]``, T = ``sequence_length``.

    The target is the next id. Windows do not overlap; an incomplete last one is dropped.
    """
    used = (len(ids) - 1) // sequence_length * sequence_length
    return Split(ids[:used].reshape(-1, sequence_length), ids[1 : used + 1].reshape(-1, sequence_length))


def from_text(name: str, text: str, digest: str, sequence_length: int, *, whole: bool = False) -> Dataset:
    """Inputs and targets ``[N, sequence_length]`` int32: train on the first 90 %, then 5 % validation, then 5 % test.

    The vocabulary is every distinct character of the whole text, sorted. It holds no statistics, and a character that
    occurs only in the test part has an id without costing probability elsewhere. ``whole``: trains on all of the text;
    validation and test are then the last 5 %, which are trained on too. InputError for ``sequence_length``
    below 1, a text of one distinct character, and a text too short for one window in every part.
    """
    check_range("sequence_length", sequence_length, 1)
    required = HELD_OUT_DIVISOR * (sequence_length + 1)
    if len(text) < required:
        raise InputError(
            f"data: {name}: the text has {len(text):,} characters, but sequence_length={sequence_length} needs at "
            f"least {required:,}: {sequence_length + 1:,} each in the validation and test parts (5 % each)"
        )
    characters, ids = np.unique(np.frombuffer(text.encode("utf-32-le"), dtype="<u4"), return_inverse=True)
    if len(characters) < 2:
        raise InputError(f"data: {name}: the only character in this text is {text[0]!r}; at least two are needed")
    ids = ids.astype(np.int32)
    held_out = len(ids) // HELD_OUT_DIVISOR
    test = windows(ids[-held_out:], sequence_length)
    split = "train: the whole text; validation and test: its last 5 %" if whole else "contiguous 90/5/5"
    return Dataset(
        name=name,
        task="language_modeling",
        input_size=len(characters),
        output_size=len(characters),
        train=windows(ids if whole else ids[: -2 * held_out], sequence_length),
        validation=test if whole else windows(ids[-2 * held_out : -held_out], sequence_length),
        test=test,
        source={"sha256": digest, "characters": len(text), "split": split},
        vocabulary="".join(map(chr, characters)),
        validation_is_test=whole,
    )


def load_pydoc(*, sequence_length: int = 32) -> Dataset:
    """The English reference text of ``pydoc_data.topics``, topics in sorted order. It differs by Python version."""
    from pydoc_data.topics import topics

    text = "".join(topics[key] for key in sorted(topics))
    return from_text("pydoc", text, sha256(text.encode()), sequence_length)


def load_file(name: str, *, sequence_length: int = 32) -> Dataset:
    """The text file PATH of ``name``, which is ``text:PATH``. ``source["sha256"]`` is the hash of the file.

    A byte order mark is dropped and CRLF becomes LF. InputError for a file that is missing, empty or not UTF-8 text.
    """
    path = Path(name.removeprefix("text:")).expanduser()
    if name == "text:" or not path.exists():
        raise InputError(f"data: {name}: no such file: {str(path)!r}; accepted: text:PATH with the path of a text file")
    if not path.is_file():
        raise InputError(f"data: {name}: not a regular file: {str(path)!r}")
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise InputError(f"data: {name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"data: {name}: not a text file: invalid UTF-8 at byte {error.start:,}") from error
    if "\0" in text:
        raise InputError(f"data: {name}: not a text file: it contains NUL bytes")
    if not text:
        raise InputError(f"data: {name}: the file is empty")
    return from_text(name, text, sha256(raw), sequence_length)
