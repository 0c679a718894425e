"""Texts as rows of word ids: a tokenizer, a vocabulary, and padding. Pure functions."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Literal, NamedTuple

import numpy as np

from rnnlab.core.errors import InputError
from rnnlab.data.options import check_range

PAD, START, UNKNOWN = range(3)
RESERVED = ("<pad>", "<start>", "<unknown>")
MAX_LENGTH = 4_000  # tokens of a row; the longest official review has about 2,500
FILTERED = b'!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'  # as in Keras's Tokenizer; the apostrophe stays
LINE_BREAK = frozenset({b"br"})  # what the tokenizer leaves of "<br />"
_TO_SPACES = bytes.maketrans(FILTERED, b" " * len(FILTERED))


class Options(NamedTuple):
    """How reviews become rows; documented in ``imdb.load``."""

    vocabulary: int | Literal["all"] = 2000
    length: int = 100
    padding: Literal["front", "back", "masked"] = "front"
    keep: Literal["last", "first"] = "last"
    min_count: int = 1
    stop_words: bool = True
    start: bool = True
    unknown: Literal["id", "drop"] = "id"
    line_breaks: bool = True


class Rows(NamedTuple):
    """One part: ``inputs [N, length]`` int32, ``lengths [N]`` int32 (at least 1) or None if padding is read."""

    inputs: np.ndarray
    lengths: np.ndarray | None


class Encoded(NamedTuple):
    """``words``: the V words in the order of their ids; ``distinct``: how many words were eligible for an id."""

    words: tuple[str, ...]
    distinct: int
    parts: tuple[Rows, ...]


def tokens(text: str) -> list[bytes]:
    """The words of ``text`` as UTF-8, as split by Keras's Tokenizer: lower case, ``FILTERED`` replaced by spaces."""
    # Bytes: all filtered characters are ASCII, and str.translate takes ten times as long on other text.
    return [word for word in text.lower().encode().translate(_TO_SPACES).split(b" ") if word]


def encode_reviews(train: Sequence[str], others: Sequence[Sequence[str]], options: Options) -> Encoded:
    """The texts of ``train``, then of each of ``others``, as rows of ids.

    Ids 0, 1, 2 are padding, start and unknown; words of ``train`` follow from 3 on by descending frequency there, ties
    in order of code points. InputError for an option out of range.
    """
    check_range("length", options.length, 1, MAX_LENGTH)
    check_range("min_count", options.min_count, 1)
    stop_words = frozenset() if options.stop_words else _english_stop_words()
    stop_words |= frozenset() if options.line_breaks else LINE_BREAK
    numbers: dict[bytes, int] = {}  # of every distinct word, in order of appearance
    parts = [[_word_numbers(text, numbers, stop_words) for text in texts] for texts in (train, *others)]
    flat = np.fromiter(chain.from_iterable(parts[0]), np.int64)
    counts = np.bincount(flat, minlength=len(numbers))
    if options.min_count > counts.max(initial=0):
        raise InputError(
            f"data_options.min_count: {options.min_count}: no word of the training part is that frequent; "
            f"accepted: 1 to {counts.max(initial=0):,}"
        )
    words = list(numbers)
    eligible = np.flatnonzero(counts >= options.min_count)
    frequent = sorted(eligible, key=lambda number: (-counts[number], words[number]))
    size = len(frequent) + len(RESERVED) if options.vocabulary == "all" else options.vocabulary
    check_range("vocabulary", size, len(RESERVED) + 1, len(RESERVED) + len(frequent), "or 'all'")
    chosen = frequent[: size - len(RESERVED)]
    ids = np.full(len(numbers), UNKNOWN, np.int32)
    ids[chosen] = np.arange(len(RESERVED), size)
    rows = tuple(_rows(part, ids, options) for part in parts)
    return Encoded((*RESERVED, *(words[number].decode() for number in chosen)), len(frequent), rows)


def _word_numbers(text: str, numbers: dict[bytes, int], stop_words: frozenset[bytes]) -> list[int]:
    words: Iterable[bytes] = tokens(text)
    if stop_words:
        words = (word for word in words if word not in stop_words)
    return [numbers.setdefault(word, len(numbers)) for word in words]


def _rows(texts: Sequence[Sequence[int]], ids: np.ndarray, options: Options) -> Rows:
    inputs = np.full((len(texts), options.length), PAD, np.int32)
    lengths = np.ones(len(texts), np.int32)
    head = np.full(int(options.start), START, np.int32)
    for row, text in enumerate(texts):
        tail = ids[np.asarray(text, np.int64)]
        if options.unknown == "drop":
            tail = tail[tail != UNKNOWN]
        review = np.concatenate([head, tail])
        review = review[-options.length :] if options.keep == "last" else review[: options.length]
        if options.padding == "front":
            inputs[row, options.length - len(review) :] = review
        else:
            inputs[row, : len(review)] = review
        lengths[row] = max(1, len(review))
    return Rows(inputs, lengths if options.padding == "masked" else None)


def _english_stop_words() -> frozenset[bytes]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(word.encode() for word in ENGLISH_STOP_WORDS)
