"""Small stand-ins for the cached data sets, a local web server, and the text of an expected InputError."""

import contextlib
import functools
import gzip
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from rnnlab.core.errors import InputError
from rnnlab.data import corpora, imdb, imdb_archive, mnist
from rnnlab.data.files import sha256

POEM = "".join(f"{i} bottles, {i * 7 % 11} gläser;\n" for i in range(200))
REVIEWS = 20  # per folder


def error_of(call, *args, **kwargs) -> str:
    """The one line of the InputError that the call must raise."""
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def isolate(tmp_path: Path, monkeypatch) -> Path:
    """Directs prepared data to a folder of the test and keeps proxies away from a local server; returns the folder."""
    monkeypatch.setenv("RNNLAB_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A local web server for ``folder``; yields its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


class StandIn(NamedTuple):
    """A small data set in the official format, whose hashes are patched in for the official ones."""

    name: str
    folder: Path  # holds the official file names
    file: str  # one of them
    hashes: dict[str, str]


def stand_in(name: str, tmp_path: Path, monkeypatch) -> StandIn:
    folder = tmp_path / "official"
    folder.mkdir()
    if name == "mnist":
        _write_mnist(folder, monkeypatch)
        return StandIn(name, folder, "train-labels-idx1-ubyte.gz", mnist.FILES)
    if name == "imdb":
        monkeypatch.setattr(imdb_archive, "REVIEWS_PER_FOLDER", REVIEWS)
        archive = pack(folder / "aclImdb_v1.tar.gz", review_files())
        monkeypatch.setattr(imdb, "FILES", {archive.name: sha256(archive.read_bytes())})
        return StandIn(name, folder, archive.name, imdb.FILES)
    corpus = corpora.CORPORA[name]._replace(sha256=sha256(POEM.encode()))
    monkeypatch.setitem(corpora.CORPORA, name, corpus)
    (folder / corpus.file).write_bytes(POEM.encode())
    return StandIn(name, folder, corpus.file, {corpus.file: corpus.sha256})


def serve_from(name: str, address: str, monkeypatch) -> None:
    """Downloads of ``name`` go to ``address``."""
    if name in corpora.CORPORA:
        monkeypatch.setitem(corpora.CORPORA, name, corpora.CORPORA[name]._replace(url=address))
    else:
        monkeypatch.setattr({"mnist": mnist, "imdb": imdb}[name], "URL", address)


def mnist_arrays(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of the stand-in: 40 in train, 12 in test."""
    draw = np.random.RandomState(len(split))
    count = {"train": 40, "test": 12}[split]
    return draw.randint(0, 256, (count, 28, 28)).astype(np.uint8), draw.randint(0, 10, count).astype(np.uint8)


def _write_mnist(folder: Path, monkeypatch) -> None:
    unpacked = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = mnist_arrays(split)
        for kind, magic, array in (("images-idx3", 2051, images), ("labels-idx1", 2049, labels)):
            header = b"".join(size.to_bytes(4, "big") for size in (magic, *array.shape))
            unpacked[f"{prefix}-{kind}-ubyte"] = header + array.tobytes()
        monkeypatch.setitem(mnist.CONTENT, split, sha256(images.tobytes(), labels.tobytes()))
    for file, content in unpacked.items():
        (folder / f"{file}.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(mnist, "FILES", {file: sha256((folder / file).read_bytes()) for file in mnist.FILES})
    monkeypatch.setattr(mnist, "UNPACKED", {file: sha256(unpacked[file]) for file in mnist.UNPACKED})
    monkeypatch.setattr(mnist, "VALIDATION_SIZE", 7)


def review_files() -> dict[str, bytes]:
    """80 reviews by archive member; the text of each tells its class, split and number."""
    members = {"aclImdb/README": b"read me", "aclImdb/train/unsup/0_0.txt": b"\xff", "aclImdb/train/urls_pos.txt": b""}
    for folder in imdb_archive.FOLDERS:
        word = "good" if folder.endswith("pos") else "bad"
        for number in range(REVIEWS):
            rating = number % 4 + (7 if word == "good" else 1)
            name = f"aclImdb/{folder}/{number}_{rating}.txt"
            members[name] = f"A {word} film, caf\xe9 {folder.replace('/', '')}{number}!".encode()
    return members


def pack(path: Path, members: dict[str, bytes]) -> Path:
    """A tar.gz archive of ``members`` at ``path``."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def unpack(folder: Path, members: dict[str, bytes]) -> Path:
    """The files of ``members`` below ``folder``."""
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
