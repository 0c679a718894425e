"""Two texts from the literature, cached through TFDS: Moe's Tavern and tiny Shakespeare."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rnnlab.core.errors import InputError
from rnnlab.core.types import Dataset
from rnnlab.data import cache, text
from rnnlab.data.files import check_files, sha256


class Corpus(NamedTuple):
    """A text in one file."""

    url: str  # of the folder that holds ``file``
    file: str
    sha256: str  # of the file's bytes


CORPORA = {
    "moes_tavern": Corpus(
        # HEAD: whatever the default branch is called; the hash is checked.
        "https://raw.githubusercontent.com/mr-ravin/cerebral-rnn-experimental-results/HEAD/data/",
        "data.txt",
        "6c648f8fa2f1c407bb3b1b977aa8431f680ed31486c8fd2127ed4c9b2a7607ab",
    ),
    "tiny_shakespeare": Corpus(  # as in TFDS's own tiny_shakespeare builder
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",
        "input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
}


def load_moes_tavern(*, sequence_length: int = 20, whole: bool = False) -> Dataset:
    """Lines spoken in Moe's Tavern (The Simpsons), the text of the Cerebral LSTM paper: 305,190 characters, V = 89.

    Shapes and splits as in ``text.from_text``. Downloads if not prepared; InputError if that fails.
    """
    return _load("moes_tavern", sequence_length, whole)


def load_tiny_shakespeare(*, sequence_length: int = 32) -> Dataset:
    """1,115,394 characters of Shakespeare's plays (Karpathy's selection), V = 65; otherwise as ``load_moes_tavern``."""
    return _load("tiny_shakespeare", sequence_length)


def cached(name: str) -> cache.CachedDataset:
    """How the corpus ``name`` is obtained, stored and read. Its content is the bytes of its file."""
    corpus = CORPORA[name]

    def read_source(source: Path) -> bytes:
        if not source.is_file():
            check_files(name, source, {corpus.file: corpus.sha256})
            return (source / corpus.file).read_bytes()
        raw = source.read_bytes()
        if sha256(raw) != corpus.sha256:
            raise InputError(
                f"data: {name}: {str(source)!r} is truncated or altered, or not the official {corpus.file}: "
                f"SHA-256 {sha256(raw)}, expected {corpus.sha256}"
            )
        return raw

    def from_stored(splits: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
        (row,) = splits["train"]
        if sha256(row["text"]) != corpus.sha256:
            raise ValueError("the text is not the official one")
        return row["text"]

    return cache.CachedDataset(
        name=name,
        url=corpus.url,
        files={corpus.file: corpus.sha256},
        source_name="PATH",
        source_help=f"your copy of its file {corpus.file}, or of a folder that holds it, at PATH",
        read_source=read_source,
        to_stored=lambda raw: ({"train": [{"text": raw}]}, {}),
        from_stored=from_stored,
    )


def _load(name: str, sequence_length: int, whole: bool = False) -> Dataset:
    raw: bytes = cache.load(cached(name))
    return text.from_text(name, raw.decode(), sha256(raw), sequence_length, whole=whole)
