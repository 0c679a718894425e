"""Reads the labeled IMDB reviews in their official layout, from an archive or an extracted folder, and checks them.

Archives are never extracted: the members of the four folders of reviews are read into memory, all others are skipped.
"""

import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from rnnlab.core.errors import InputError
from rnnlab.data.files import first_line, sha256

REVIEWS_PER_FOLDER = 12_500
FOLDERS = tuple(f"{split}/{label}" for split in ("train", "test") for label in ("neg", "pos"))
MAX_BYTES = 1 << 20  # of a review; the longest official one has about 14,000
ACCEPTED = (
    "accepted: aclImdb_v1.tar.gz, an archive with its layout, the extracted aclImdb, or a folder with one of them"
)
FILE_NAME = re.compile(r"((0|[1-9][0-9]*)_(?:[0-9]|10))\.txt")


class Reviews(NamedTuple):
    """All labeled reviews: official id ("train/neg/0_3") -> text, and the SHA-256 of them all."""

    texts: dict[str, str]
    sha256: str


def digest(texts: dict[str, str]) -> str:
    """The SHA-256 of all ids and texts, sorted by id, each with the length of its text in bytes."""
    parts = []
    for key in sorted(texts):
        raw = texts[key].encode()
        parts += [f"{key} {len(raw)}\n".encode(), raw]
    return sha256(*parts)


def read_reviews(source: Path) -> Reviews:
    """The reviews in ``source``: an archive, ``aclImdb`` itself, its parent, or a folder with one aclImdb*.tar.gz.

    InputError unless each of train/neg, train/pos, test/neg and test/pos holds exactly ``REVIEWS_PER_FOLDER`` files
    ``N_R.txt`` of non-empty UTF-8 text, every N once, and nothing else. Other folders are ignored.
    """
    path = _locate(source)
    texts: dict[str, str] = {}
    numbers: set[tuple[str, str]] = set()
    try:
        for folder, name, raw in _archive(path) if path.is_file() else _extracted(path):
            match = FILE_NAME.fullmatch(name)
            if match is None or raw is None:
                raise _error(path, f"unexpected member {folder}/{name}; accepted in this folder: files N_R.txt")
            key = f"{folder}/{match[1]}"
            if (folder, match[2]) in numbers:
                raise _error(path, f"duplicate review {match[2]} in {folder} ({name})")
            numbers.add((folder, match[2]))
            texts[key] = _decoded(path, key, raw)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise _error(path, f"cannot be read, perhaps truncated ({first_line(error)})") from error
    counts = {folder: sum(key.startswith(f"{folder}/") for key in texts) for folder in FOLDERS}
    if any(count != REVIEWS_PER_FOLDER for count in counts.values()):
        listed = ", ".join(f"{folder} {count:,}" for folder, count in counts.items())
        raise _error(path, f"wrong number of reviews: {listed}; accepted: {REVIEWS_PER_FOLDER:,} in each")
    return Reviews(texts, digest(texts))


def _locate(source: Path) -> Path:
    """The archive, or the folder that contains train and test."""
    if source.is_file():
        return source
    if not source.is_dir():
        raise InputError(f"data: imdb: no such file or folder: {str(source)!r}; {ACCEPTED}")
    for folder in (source, source / "aclImdb"):
        if (folder / "train").is_dir() and (folder / "test").is_dir():
            return folder
    archives = sorted(path for path in source.glob("aclImdb*.tar.gz") if path.is_file())
    if len(archives) > 1:
        names = ", ".join(path.name for path in archives)
        raise InputError(f"data: imdb: several archives in {str(source)!r}: {names}; give the path of one of them")
    if not archives:
        raise InputError(f"data: imdb: no aclImdb*.tar.gz or aclImdb in {str(source)!r}; {ACCEPTED}")
    return archives[0]


def _archive(path: Path) -> Iterator[tuple[str, str, bytes | None]]:
    """``(folder, name, content)`` of all members in the four folders; content None if not a regular file."""
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts
            parts = parts[1:] if parts[:1] == ("aclImdb",) else parts
            folder, rest = "/".join(parts[:2]), "/".join(parts[2:])
            if folder not in FOLDERS or (not rest and member.isdir()):
                continue
            stream = archive.extractfile(member) if member.isreg() and member.size <= MAX_BYTES else None
            yield folder, rest, None if stream is None else stream.read()
        # gzip verifies its checksum and length only at the end of the file, which is past the end of the tar.
        while archive.fileobj is not None and archive.fileobj.read(MAX_BYTES):
            pass


def _extracted(path: Path) -> Iterator[tuple[str, str, bytes | None]]:
    for folder in FOLDERS:
        if (path / folder).is_dir():
            for file in sorted((path / folder).iterdir()):
                valid = file.is_file() and file.stat().st_size <= MAX_BYTES
                yield folder, file.name, file.read_bytes() if valid else None


def _decoded(path: Path, key: str, raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _error(path, f"{key}.txt: invalid UTF-8 at byte {error.start:,}") from error
    if not text.strip():
        raise _error(path, f"{key}.txt is empty")
    return text


def _error(path: Path, reason: str) -> InputError:
    return InputError(f"data: imdb: {str(path)!r}: {reason}")
