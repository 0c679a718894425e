"""IMDB: 50,000 labelled film reviews (Maas et al. 2011), prepared once through TFDS, read as word_vocabulary."""

from pathlib import Path
from typing import Literal

import numpy as np

from rnnlab.core.errors import InputError
from rnnlab.core.types import Dataset, Split
from rnnlab.data import cache, imdb_archive, word_vocabulary
from rnnlab.data.files import data_dir
from rnnlab.data.imdb_archive import Reviews

URL = "http://ai.stanford.edu/~amaas/data/sentiment/"  # the address in TFDS's own imdb_reviews builder
FILES = {"aclImdb_v1.tar.gz": "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"}
# Of the 50,000 labelled reviews in the official layout. Another content is accepted and recorded as what it is.
OFFICIAL = "f99c0d08466b24a7289b35fd86f7b5104d3a040c7a666b52cf8d7d7c219a8c67"
SEED = 2011
SHARE = 20  # one training review in twenty of each class validates: 10 % together
FEWEST = 20  # examples


def is_prepared() -> bool:
    """Whether it can be loaded without a download."""
    return cache.is_prepared(_kept())


def prepare(source: Path | None) -> str:
    """Prepares from ``source`` (see ``imdb_archive.read_reviews``), or downloads; see ``cache.prepare``."""
    return cache.prepare(_kept(), source)


def load(
    *,
    vocabulary: int | Literal["all"] = 2000,
    length: int = 100,
    padding: Literal["front", "back", "masked"] = "front",
    keep: Literal["last", "first"] = "last",
    min_count: int = 1,
    stop_words: bool = True,
    start: bool = True,
    unknown: Literal["id", "drop"] = "id",
    examples: int = 0,
    validation: Literal["train", "test"] = "train",
) -> Dataset:
    """Inputs ``[N, length]`` int32 ids of words, targets ``[N]`` int32: 0 negative, 1 positive.

    Words are found as Keras's Tokenizer does. Ids: 0 padding, 1 start, 2 unknown, from 3 on words by descending
    frequency in the training part alone, ties in alphabetical order.

    ``vocabulary``: how many ids there are, the reserved three among them; "all": one for every word.
    ``min_count``: words that the training part has less often are unknown.
    ``stop_words=False``: English stop words go before anything else is done (scikit-learn's list; that of NLTK, which
    the author of the Cerebral LSTM took, needs a download). ``start``: id 1 in front of every review.
    ``unknown="drop"``: unknown words leave the text. Then ``keep``: which tokens of a review longer than ``length``.
    ``padding``: "front" and "back" are read as token 0; "masked" is behind and ``Split.lengths`` says where it begins.

    Splits: every official split is shuffled once, and with ``examples`` cut to its first so many. Then a tenth of
    training, half of it of each class, validates; with ``validation="test"`` nothing is taken out, and what
    validates is the test split itself. Downloads where nothing is cache. InputError where that fails, where what is
    prepared is damaged, and for an option out of range.
    """
    most = 2 * imdb_archive.REVIEWS
    if examples != 0 and not FEWEST <= examples <= most:
        raise InputError(
            f"data_options.examples: {examples} is out of range; accepted: {FEWEST} to {most:,}, or 0 for all"
        )
    options = word_vocabulary.Options(vocabulary, length, padding, keep, min_count, stop_words, start, unknown)
    reviews: Reviews = cache.load(_kept())
    texts, labels = _shuffled(reviews, "train", examples)
    test_texts, test_labels = _shuffled(reviews, "test", examples)
    chosen = _held_out(labels) if validation == "train" else np.zeros(len(labels), bool)
    training = [texts[index] for index in np.flatnonzero(~chosen)]
    held = [texts[index] for index in np.flatnonzero(chosen)]
    encoded = word_vocabulary.encode_reviews(training, [held, test_texts], options)
    first, second, third = encoded.parts
    test = Split(third.inputs, test_labels, third.lengths)
    return Dataset(
        name="imdb",
        task="classification",
        input_size=len(encoded.words),
        output_size=2,
        train=Split(first.inputs, labels[~chosen], first.lengths),
        validation=Split(second.inputs, labels[chosen], second.lengths) if validation == "train" else test,
        test=test,
        source={
            "sha256": reviews.sha256,
            "official": reviews.sha256 == OFFICIAL,
            "split": _told(validation, int(chosen.sum())),
            "distinct_words": encoded.distinct,
            "options": {**options._asdict(), "examples": examples, "validation": validation},
        },
        vocabulary=encoded.words,
        validation_is_test=validation == "test",
    )


def _shuffled(reviews: Reviews, split: str, examples: int) -> tuple[list[str], np.ndarray]:
    """Texts and labels ``[N]`` int32 of an official split in the fixed order, the first ``examples`` (0: all)."""
    keys = [key for key in reviews.texts if key.startswith(f"{split}/")]
    keys.sort(key=lambda key: (key.split("/")[1], int(key.split("/")[2].split("_")[0])))  # neg 0, neg 1, ... pos 0
    # RandomState: its stream is frozen by numpy's compatibility policy, that of default_rng is not.
    order = np.random.RandomState(SEED).permutation(len(keys))[: examples or None]
    keys = [keys[index] for index in order]
    return [reviews.texts[key] for key in keys], np.array([key.split("/")[1] == "pos" for key in keys], np.int32)


def _held_out(labels: np.ndarray) -> np.ndarray:
    """Which of the training reviews validate, ``[N]`` bool: one in ``SHARE`` from each class."""
    draw = np.random.RandomState(SEED)
    chosen = np.zeros(len(labels), bool)
    for label in (0, 1):
        chosen[draw.permutation(np.flatnonzero(labels == label))[: len(labels) // SHARE]] = True
    return chosen


def _told(validation: str, held: int) -> str:
    if validation == "test":
        return f"train: the official one, shuffled by RandomState({SEED}); validation and test: the official test"
    return f"validation: {held} of the official train, half of each class, by RandomState({SEED}); test: the official"


def _kept() -> cache.Kept:
    return cache.Kept(
        name="imdb",
        url=URL,
        files=FILES,
        needs="its official archive (aclImdb_v1.tar.gz), or the folder extracted from it (aclImdb), as PATH",
        place="PATH",
        check=imdb_archive.read_reviews,
        write=_write,
        read=_read,
        same=lambda content, checked: content.sha256 == checked.sha256,
    )


def _write(reviews: Reviews, scratch: Path) -> None:
    from rnnlab.data import tfds_imdb

    tfds_imdb.write(data_dir(), reviews, scratch)


def _read() -> Reviews:
    from rnnlab.data import tfds_imdb

    return tfds_imdb.read(data_dir())
