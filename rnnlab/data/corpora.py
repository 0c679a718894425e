"""Two texts of the literature, prepared once through TFDS: Moe's Tavern and tiny Shakespeare."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rnnlab.core.errors import InputError
from rnnlab.core.types import Dataset
from rnnlab.data import cache, text
from rnnlab.data.files import check_files, data_dir, sha256


class Corpus(NamedTuple):
    """A text of one file."""

    url: str  # of the folder that holds ``file``
    file: str
    sha256: str  # of the file's bytes


CORPORA = {
    "moes_tavern": Corpus(
        # HEAD: whatever the branch is called; the hash decides.
        "https://raw.githubusercontent.com/mr-ravin/cerebral-rnn-experimental-results/HEAD/data/",
        "data.txt",
        "6c648f8fa2f1c407bb3b1b977aa8431f680ed31486c8fd2127ed4c9b2a7607ab",
    ),
    "tiny_shakespeare": Corpus(  # the address in TFDS's own tiny_shakespeare builder
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",
        "input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
}


def load_moes_tavern(*, sequence_length: int = 20) -> Dataset:
    """Lines spoken in Moe's Tavern (The Simpsons), the text of the Cerebral LSTM paper: 305,190 characters, V = 89.

    See ``text.from_text`` for shapes and splits. Downloads where nothing is prepared; InputError where that fails.
    """
    return _load("moes_tavern", sequence_length)


def load_tiny_shakespeare(*, sequence_length: int = 32) -> Dataset:
    """1,115,394 characters of Shakespeare's plays (Karpathy's selection), V = 65; otherwise as ``load_moes_tavern``."""
    return _load("tiny_shakespeare", sequence_length)


def preparer(name: str) -> Callable[[Path | None], str]:
    """How corpus ``name`` is prepared: from its file or a folder that holds it, or by download (None)."""
    return lambda source: cache.prepare(_kept(name), source)


def asker(name: str) -> Callable[[], bool]:
    """What tells whether corpus ``name`` can be loaded without a download."""
    return lambda: cache.is_prepared(_kept(name))


def _load(name: str, sequence_length: int) -> Dataset:
    raw: bytes = cache.load(_kept(name))
    return text.from_text(name, raw.decode(), sha256(raw), sequence_length)


def _kept(name: str) -> cache.Kept:
    corpus = CORPORA[name]

    def check(source: Path) -> bytes:
        if source.is_file():
            raw = source.read_bytes()
            if sha256(raw) != corpus.sha256:
                raise InputError(
                    f"data: {name}: {str(source)!r} is not the official {corpus.file}, or truncated or altered: "
                    f"SHA-256 {sha256(raw)}, wanted {corpus.sha256}"
                )
            return raw
        check_files(name, source, {corpus.file: corpus.sha256})
        return (source / corpus.file).read_bytes()

    def write(raw: bytes, scratch: Path) -> None:
        from rnnlab.data import tfds_corpora

        tfds_corpora.write(name, data_dir(), raw, scratch)

    def read() -> bytes:
        from rnnlab.data import tfds_corpora

        raw = tfds_corpora.read(name, data_dir())
        if sha256(raw) != corpus.sha256:
            raise ValueError("the text is not the official one")
        return raw

    return cache.Kept(
        name=name,
        url=corpus.url,
        files={corpus.file: corpus.sha256},
        needs=f"its file {corpus.file}, or a folder that holds it, as PATH",
        place="PATH",
        check=check,
        write=write,
        read=read,
    )
