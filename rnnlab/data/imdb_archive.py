"""The labelled IMDB reviews in their official layout: an archive or an extracted folder, read and checked as a whole.

Nothing is ever extracted: members of an archive are read into memory, and only those of the four folders of reviews.
"""

import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from rnnlab.core.errors import InputError
from rnnlab.data.files import first_line, sha256

REVIEWS = 12_500  # in each of the four folders
FOLDERS = tuple(f"{split}/{label}" for split in ("train", "test") for label in ("neg", "pos"))
LARGEST = 1 << 20  # bytes of a review; the longest official one has some 14,000
WANTED = "wanted is aclImdb_v1.tar.gz, an archive of its layout, or a folder that holds one of them or is extracted"
FILE = re.compile(r"((0|[1-9][0-9]*)_(?:[0-9]|10))\.txt")


class Reviews(NamedTuple):
    """All labelled reviews: official id ("train/neg/0_3") -> text, and the SHA-256 of them all."""

    texts: dict[str, str]
    sha256: str


def digest(texts: dict[str, str]) -> str:
    """The SHA-256 over all ids and texts, sorted by id, each text with its length in bytes before it."""
    parts = []
    for key in sorted(texts):
        raw = texts[key].encode()
        parts += [f"{key} {len(raw)}\n".encode(), raw]
    return sha256(*parts)


def read_reviews(source: Path) -> Reviews:
    """The reviews in ``source``: an archive, ``aclImdb`` itself, its parent, or a folder with one aclImdb*.tar.gz.

    Accepted is exactly ``REVIEWS`` files ``N_R.txt`` of non-empty UTF-8 text in each of train/neg, train/pos, test/neg
    and test/pos, no N twice in a folder, and nothing else in there; other folders are ignored. Otherwise InputError.
    """
    found = _locate(source)
    texts: dict[str, str] = {}
    hyperparams: set[tuple[str, str]] = set()
    try:
        for folder, name, raw in _archive(found) if found.is_file() else _extracted(found):
            match = FILE.fullmatch(name)
            if match is None or raw is None:
                raise _refused(found, f"extra member {folder}/{name}; accepted in there: files N_R.txt")
            key = f"{folder}/{match[1]}"
            if (folder, match[2]) in hyperparams:
                raise _refused(found, f"duplicate id: a second review {match[2]} in {folder} ({name})")
            hyperparams.add((folder, match[2]))
            texts[key] = _decoded(found, key, raw)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise _refused(found, f"cannot be read, is it truncated? ({first_line(error)})") from error
    counts = {folder: sum(key.startswith(f"{folder}/") for key in texts) for folder in FOLDERS}
    if any(count != REVIEWS for count in counts.values()):
        said = ", ".join(f"{folder} {count:,}" for folder, count in counts.items())
        raise _refused(found, f"wrong number of reviews: {said}; accepted: {REVIEWS:,} in each")
    return Reviews(texts, digest(texts))


def _locate(source: Path) -> Path:
    """The archive, or the folder with train and test in it."""
    if source.is_file():
        return source
    if not source.is_dir():
        raise InputError(f"data: imdb: no such file or folder: {str(source)!r}; {WANTED}")
    for folder in (source, source / "aclImdb"):
        if (folder / "train").is_dir() and (folder / "test").is_dir():
            return folder
    archives = sorted(path for path in source.glob("aclImdb*.tar.gz") if path.is_file())
    if len(archives) > 1:
        raise InputError(
            f"data: imdb: several archives in {str(source)!r}: {', '.join(path.name for path in archives)}; "
            "accepted: a folder with one, or the path of one"
        )
    if not archives:
        raise InputError(f"data: imdb: missing in {str(source)!r}: aclImdb*.tar.gz or aclImdb/; {WANTED}")
    return archives[0]


def _archive(path: Path) -> Iterator[tuple[str, str, bytes | None]]:
    """``(folder, name, content)`` of all members in the four folders; content None for what is no file."""
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts
            parts = parts[1:] if parts[:1] == ("aclImdb",) else parts
            folder, rest = "/".join(parts[:2]), "/".join(parts[2:])
            if folder not in FOLDERS or (not rest and member.isdir()):
                continue
            stream = archive.extractfile(member) if member.isreg() and member.size <= LARGEST else None
            yield folder, rest, None if stream is None else stream.read()
        # The end of a tar comes before the end of its file: only there are gzip's checksum and length compared.
        while archive.fileobj is not None and archive.fileobj.read(LARGEST):
            pass


def _extracted(path: Path) -> Iterator[tuple[str, str, bytes | None]]:
    for folder in FOLDERS:
        if (path / folder).is_dir():
            for file in sorted((path / folder).iterdir()):
                fits = file.is_file() and file.stat().st_size <= LARGEST
                yield folder, file.name, file.read_bytes() if fits else None


def _decoded(found: Path, key: str, raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _refused(found, f"{key}.txt is no UTF-8 at byte {error.start:,}") from error
    if not text.strip():
        raise _refused(found, f"{key}.txt is an empty review")
    return text


def _refused(found: Path, why: str) -> InputError:
    return InputError(f"data: imdb: {str(found)!r}: {why}")
