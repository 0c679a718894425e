"""IMDB: 50,000 labeled film reviews (Maas et al. 2011), cached through TFDS, as sequences of words."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from rnnlab.core.types import Dataset, Split
from rnnlab.data import cache, imdb_archive, word_vocabulary
from rnnlab.data.imdb_archive import Reviews
from rnnlab.data.options import check_range

URL = "http://ai.stanford.edu/~amaas/data/sentiment/"  # as in TFDS's own imdb_reviews builder
FILES = {"aclImdb_v1.tar.gz": "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"}
# Of the 50,000 official labeled reviews. Other content is accepted, and ``source["official"]`` is then False.
OFFICIAL = "f99c0d08466b24a7289b35fd86f7b5104d3a040c7a666b52cf8d7d7c219a8c67"
SEED = 2011
# From either class, so that it is 10 % of all training reviews together, none, or half.
HELD_OUT_DIVISORS: dict[str, int | None] = {"train": 20, "test": None, "half": 4}
MIN_EXAMPLES = 20


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
    examples: int | Literal["all"] = "all",
    validation: Literal["train", "test", "half"] = "train",
    line_breaks: bool = True,
    each_step: bool = False,
) -> Dataset:
    """Inputs ``[N, length]`` int32 word ids, targets ``[N]`` int32: 0 negative, 1 positive.

    Words are split as by Keras's Tokenizer. Ids: 0 padding, 1 start, 2 unknown, then the words from 3 on by descending
    frequency in the training part alone, ties in alphabetical order.

    ``vocabulary``: number of ids including the three reserved ones; "all": one per word.
    ``min_count``: words that are rarer in the training part are unknown.
    ``stop_words=False``: removes English stop words first (scikit-learn's list; NLTK's, which the author of the
    Cerebral LSTM used, needs a download). ``start``: every review begins with id 1.
    ``each_step``: the class is the target of every step, and the loss of a review the mean over its steps; accuracy is
    that of the last step. ``line_breaks=False``: removes the word br, which is left of the reviews' HTML line breaks.
    ``unknown="drop"``: removes unknown words. ``keep``: which tokens of a review longer than ``length`` remain.
    ``padding``: "front" and "back" are read as token 0; "masked" is at the end, and ``Split.lengths`` excludes it.

    Splits: each official split is shuffled once and cut to its first ``examples``. A tenth of train, half of it from
    each class, becomes validation; with ``validation="test"`` train stays whole and validation is the test split. With
    ``validation="half"`` half of the official train is for training, and the other half is validation and test.
    Downloads if not prepared. InputError if that fails, if the prepared files are damaged, and for an option out of
    range.
    """
    if examples != "all":
        check_range("examples", examples, MIN_EXAMPLES, 2 * imdb_archive.REVIEWS_PER_FOLDER, "or 'all'")
    options = word_vocabulary.Options(
        vocabulary, length, padding, keep, min_count, stop_words, start, unknown, line_breaks
    )
    reviews: Reviews = cache.load(cached())
    texts, labels = _shuffled(reviews, "train", examples)
    test_texts, test_labels = _shuffled(reviews, "test", examples)
    held_out = _held_out(labels, HELD_OUT_DIVISORS[validation])
    train_texts = [texts[index] for index in np.flatnonzero(~held_out)]
    validation_texts = [texts[index] for index in np.flatnonzero(held_out)]
    encoded = word_vocabulary.encode_reviews(train_texts, [validation_texts, test_texts], options)
    train_rows, validation_rows, test_rows = encoded.parts
    test = Split(test_rows.inputs, test_labels, test_rows.lengths)
    part = Split(validation_rows.inputs, labels[held_out], validation_rows.lengths)
    if validation == "half":
        test = part
    dataset = Dataset(
        name="imdb",
        task="classification",
        input_size=len(encoded.words),
        output_size=2,
        train=Split(train_rows.inputs, labels[~held_out], train_rows.lengths),
        validation=part if validation == "train" else test,
        test=test,
        source={
            "sha256": reviews.sha256,
            "official": reviews.sha256 == OFFICIAL,
            "split": _split_text(validation, int(held_out.sum())),
            "distinct_words": encoded.distinct,
            "options": {**options._asdict(), "examples": examples, "validation": validation},
        },
        vocabulary=encoded.words,
        validation_is_test=validation != "train",
    )
    return _at_each_step(dataset) if each_step else dataset


def _at_each_step(dataset: Dataset) -> Dataset:
    """The data set with a target at every step, weighted so that every review has a weight of 1."""

    def spread(split: Split) -> Split:
        steps = split.inputs.shape[1]
        lengths = np.full(len(split.targets), steps) if split.lengths is None else split.lengths
        weights = (np.arange(steps) < lengths[:, None]) / lengths[:, None]
        return split._replace(
            targets=np.repeat(split.targets[:, None], steps, 1), weights=weights.astype(np.float32)
        )  # fmt: skip

    test = spread(dataset.test)
    return dataset._replace(
        task="classification_at_each_step",
        train=spread(dataset.train),
        validation=test if dataset.validation_is_test else spread(dataset.validation),
        test=test,
        source={**dataset.source, "targets": "at each step"},
    )


def cached() -> cache.CachedDataset:
    """How the reviews are obtained, stored and read. The content is a ``Reviews``."""
    return cache.CachedDataset(
        name="imdb",
        url=URL,
        files=FILES,
        source_name="PATH",
        source_help="your copy of the official archive (aclImdb_v1.tar.gz), or of its folder (aclImdb), at PATH",
        read_source=imdb_archive.read_reviews,
        to_stored=_to_stored,
        from_stored=_from_stored,
    )


def _to_stored(reviews: Reviews) -> tuple[dict[str, Any], dict[str, str]]:
    splits: dict[str, list[dict[str, str]]] = {"train": [], "test": []}
    for key, text in reviews.texts.items():
        splits[key.split("/")[0]].append({"id": key, "text": text})
    return splits, {"sha256": reviews.sha256}


def _from_stored(splits: Mapping[str, Any], metadata: Mapping[str, str]) -> Reviews:
    texts = {row["id"].decode(): row["text"].decode() for rows in splits.values() for row in rows}
    if imdb_archive.digest(texts) != metadata["sha256"]:
        raise ValueError("the reviews have been altered")
    return Reviews(texts, metadata["sha256"])


def _shuffled(reviews: Reviews, split: str, examples: int | Literal["all"]) -> tuple[list[str], np.ndarray]:
    """Texts and labels ``[N]`` int32 of an official split in a fixed random order, the first ``examples`` of them."""
    keys = [key for key in reviews.texts if key.startswith(f"{split}/")]
    keys.sort(key=lambda key: (key.split("/")[1], int(key.split("/")[2].split("_")[0])))  # neg 0, neg 1, ... pos 0
    # RandomState: numpy guarantees its stream for ever, unlike that of default_rng.
    order = np.random.RandomState(SEED).permutation(len(keys))[: None if examples == "all" else examples]
    keys = [keys[index] for index in order]
    return [reviews.texts[key] for key in keys], np.array([key.split("/")[1] == "pos" for key in keys], np.int32)


def _held_out(labels: np.ndarray, divisor: int | None) -> np.ndarray:
    """Which training reviews are held out, ``[N]`` bool: from each class, their number over ``divisor``."""
    rng = np.random.RandomState(SEED)
    held_out = np.zeros(len(labels), bool)
    count = len(labels) // divisor if divisor else 0
    for label in (0, 1):
        held_out[rng.permutation(np.flatnonzero(labels == label))[:count]] = True
    return held_out


def _split_text(validation: str, held_out: int) -> str:
    if validation == "half":
        return f"validation and test: {held_out} of the official train, half from each class, by RandomState({SEED})"
    if validation == "test":
        return f"train: official, shuffled by RandomState({SEED}); validation and test: the official test"
    return f"validation: {held_out} of the official train, half from each class, by RandomState({SEED}); test: official"
