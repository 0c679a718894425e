"""Data sets that TFDS prepares once into ``data_dir()``: from the user's own files, or by download."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from rnnlab.core.errors import InputError
from rnnlab.data.files import check_files, data_dir, first_line, unreachable

VERSION = "1.0.0"


class Kept(NamedTuple):
    """What tells one such data set from another. ``check`` answers before anything is written, with InputError."""

    name: str
    url: str  # of the folder that holds ``files``
    files: Mapping[str, str]  # official file name -> SHA-256
    needs: str  # what a user gives as ``place``, in words
    place: str  # the word for it after --from
    check: Callable[[Path], Any]  # the user's path, or the folder of a download -> what ``write`` takes
    write: Callable[[Any, Path], None]  # (what ``check`` gave, a scratch folder)
    read: Callable[[], Any]  # the content; any exception where it is not what was written
    same: Callable[[Any, Any], bool] = lambda content, checked: True  # (of ``read``, of ``check``)

    @property
    def folder(self) -> Path:
        """Where TFDS keeps the prepared files."""
        return data_dir() / f"rnnlab_{self.name}" / VERSION

    @property
    def command(self) -> str:
        """What a user types to prepare it."""
        return f"python -m experiments data {self.name}"


def is_prepared(kept: Kept) -> bool:
    """Whether a preparation has come to its end here; TFDS moves a whole folder into place as its last act."""
    return (kept.folder / "dataset_info.json").is_file()


def prepare(kept: Kept, source: Path | None) -> str:
    """Prepares from the user's ``source``, or downloads; returns a line that says what was done.

    InputError for files that are missing or altered and for a host that cannot be reached, before anything is written.
    OSError (a full disk, no permission) passes through; nothing that looks prepared is left behind.
    """
    checked = None if source is None else kept.check(source)
    if _is_sound(kept, checked):
        return f"{kept.name}: already prepared in {kept.folder}"
    if source is None and (reason := unreachable(kept.url + next(iter(kept.files)))):
        raise _no_download(kept, reason)
    kept.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="incomplete.", dir=kept.folder.parent) as scratch:
            if source is None:
                checked = _download(kept, Path(scratch))
            _build(kept, checked, Path(scratch))
    except Exception:
        if not _is_sound(kept, checked):  # else another process has done the same meanwhile, and its work stays
            raise
    for left in kept.folder.parent.glob("incomplete.*"):  # of preparations that were killed
        shutil.rmtree(left, ignore_errors=True)
    return f"{kept.name}: prepared in {kept.folder} from {kept.url if source is None else source}"


def load(kept: Kept) -> Any:
    """The content as ``kept.read`` gives it; downloads where nothing is prepared.

    InputError where that fails or what is prepared is damaged.
    """
    if not is_prepared(kept):
        prepare(kept, None)
    return _read(kept)


def _no_download(kept: Kept, reason: str) -> InputError:
    return InputError(
        f"data: {kept.name} is not prepared in {data_dir()} and cannot be downloaded from "
        f"{urlsplit(kept.url).hostname} ({reason}); with {kept.needs}, run: {kept.command} --from {kept.place}"
    )


def _read(kept: Kept) -> Any:
    try:
        return kept.read()
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # array_record, protobuf and TFDS each raise their own kinds for a damaged file
        raise InputError(
            f"data: {kept.name} in {kept.folder} is damaged ({first_line(error)}); prepare it anew: {kept.command}, "
            f"or {kept.command} --from {kept.place} with {kept.needs}"
        ) from error


def _is_sound(kept: Kept, checked: Any) -> bool:
    """Whether what is prepared can be read, and is what ``kept.check`` gave (None: whatever it is)."""
    with contextlib.suppress(InputError):
        if is_prepared(kept):
            content = _read(kept)
            return checked is None or kept.same(content, checked)
    return False


def _download(kept: Kept, target: Path) -> Any:
    """Fetches the official files into ``target``; returns what ``kept.check`` makes of them."""
    from rnnlab.data import tfds_files

    try:
        tfds_files.fetch(kept.url, kept.files, target)
        check_files(kept.name, target, dict(kept.files))
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's: what the network layer raises carries no errno
        raise _no_download(kept, first_line(error)) from error
    return kept.check(target)


def _build(kept: Kept, checked: Any, scratch: Path) -> None:
    """Writes what has been checked, and reads back what was written."""
    if kept.folder.exists() and not _is_sound(kept, checked):
        shutil.rmtree(kept.folder)  # TFDS would take any folder of this name for its own finished work
    try:
        kept.write(checked, scratch)
    except RuntimeError as error:  # array_record's word for a full disk
        raise OSError(first_line(error)) from error
    if not _is_sound(kept, checked):
        shutil.rmtree(kept.folder, ignore_errors=True)
        raise OSError(f"what was written to {kept.folder} cannot be read back; is the disk failing?")
