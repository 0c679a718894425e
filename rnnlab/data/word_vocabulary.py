"""Texts as sequences of words: a tokeniser, a vocabulary, and rows of equal length. Pure."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np

from rnnlab.core.errors import InputError

PAD, START, UNKNOWN = range(3)
RESERVED = ("<pad>", "<start>", "<unknown>")
LONGEST = 4_000  # tokens of a row; the longest official review has some 2,500
FILTERED = b'!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'  # Keras's Tokenizer; the apostrophe stays
_BLANKED = bytes.maketrans(FILTERED, b" " * len(FILTERED))


class Options(NamedTuple):
    """How reviews become rows; ``imdb.load`` says what each one means."""

    vocabulary: int | Literal["all"] = 2000
    length: int = 100
    padding: Literal["front", "back", "masked"] = "front"
    keep: Literal["last", "first"] = "last"
    min_count: int = 1
    stop_words: bool = True
    start: bool = True
    unknown: Literal["id", "drop"] = "id"


class Rows(NamedTuple):
    """One part: ``inputs [N, length]`` int32, ``lengths [N]`` int32 (at least 1) or None where padding is read."""

    inputs: np.ndarray
    lengths: np.ndarray | None


class Encoded(NamedTuple):
    """``words`` are the V words in the order of their ids, ``distinct`` how many could have had an id."""

    words: tuple[str, ...]
    distinct: int
    parts: tuple[Rows, ...]


def tokens(text: str) -> list[bytes]:
    """The words of ``text`` as UTF-8, as Keras's Tokenizer finds them: lower case, ``FILTERED`` are spaces."""
    # Bytes: all that is filtered is ASCII, and str.translate takes ten times as long on what is not.
    return [word for word in text.lower().encode().translate(_BLANKED).split(b" ") if word]


def encode_reviews(train: Sequence[str], others: Sequence[Sequence[str]], options: Options) -> Encoded:
    """The texts of ``train``, and then of each of ``others``, as rows of ids.

    Ids 0, 1, 2 are padding, start and unknown; words of ``train`` follow from 3 on by descending frequency there, ties
    in alphabetical order (of code points). InputError for an option out of range.
    """
    _check_range("length", options.length, 1, LONGEST)
    _check_range("min_count", options.min_count, 1)
    stop = frozenset() if options.stop_words else _english_stop_words()
    hyperparams: dict[bytes, int] = {}  # of every distinct word, in the order of appearance
    parts = [[_numbered(text, hyperparams, stop) for text in texts] for texts in (train, *others)]
    flat = np.fromiter(chain.from_iterable(parts[0]), np.int64)
    counts = np.bincount(flat, minlength=len(hyperparams))
    if options.min_count > counts.max(initial=0):
        raise InputError(
            f"data_options.min_count: {options.min_count}: no word of the training part occurs as often; "
            f"accepted: 1 to {counts.max(initial=0):,}"
        )
    names = list(hyperparams)
    eligible = np.flatnonzero(counts >= options.min_count)
    frequent = sorted(eligible, key=lambda number: (-counts[number], names[number]))
    size = len(frequent) + len(RESERVED) if options.vocabulary == "all" else options.vocabulary
    _check_range("vocabulary", size, len(RESERVED) + 1, len(RESERVED) + len(frequent), "or 'all'")
    chosen = frequent[: size - len(RESERVED)]
    ids = np.full(len(hyperparams), UNKNOWN, np.int32)
    ids[chosen] = np.arange(len(RESERVED), size)
    rows = tuple(_rows(part, ids, options) for part in parts)
    return Encoded((*RESERVED, *(names[number].decode() for number in chosen)), len(frequent), rows)


def _numbered(text: str, hyperparams: dict[bytes, int], stop: frozenset[bytes]) -> list[int]:
    words: Iterable[bytes] = tokens(text)
    if stop:
        words = (word for word in words if word not in stop)
    return [hyperparams.setdefault(word, len(hyperparams)) for word in words]


def _rows(texts: Sequence[Sequence[int]], ids: np.ndarray, options: Options) -> Rows:
    inputs = np.full((len(texts), options.length), PAD, np.int32)
    lengths = np.ones(len(texts), np.int32)
    head = np.full(int(options.start), START, np.int32)
    for row, text in enumerate(texts):
        found = ids[np.asarray(text, np.int64)]
        if options.unknown == "drop":
            found = found[found != UNKNOWN]
        found = np.concatenate([head, found])
        found = found[-options.length :] if options.keep == "last" else found[: options.length]
        if options.padding == "front":
            inputs[row, options.length - len(found) :] = found
        else:
            inputs[row, : len(found)] = found
        lengths[row] = max(1, len(found))
    return Rows(inputs, lengths if options.padding == "masked" else None)


def _check_range(option: str, value: int, least: int, most: int | None = None, also: str = "") -> None:
    if value < least or (most is not None and value > most):
        accepted = f"{least} or more" if most is None else f"{least:,} to {most:,}"
        raise InputError(f"data_options.{option}: {value} is out of range; accepted: {accepted} {also}".rstrip())


def _english_stop_words() -> frozenset[bytes]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(word.encode() for word in ENGLISH_STOP_WORDS)
