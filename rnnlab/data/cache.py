"""Data sets that are stored once in ``data_dir()``, through TFDS, from the user's own files or by download."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from rnnlab.core.errors import InputError
from rnnlab.core.program import program
from rnnlab.data.files import check_files, data_dir, first_line, unreachable_reason

VERSION = "1.0.0"


class CachedDataset(NamedTuple):
    """How one data set is obtained, stored and read. Its content is any value that compares with ``==``."""

    name: str
    url: str  # of the folder that holds ``files``
    files: Mapping[str, str]  # official file name -> SHA-256
    source_name: str  # placeholder of the --from argument in messages
    source_help: str  # what that argument should be
    read_source: Callable[[Path], Any]  # the user's path or a download folder -> content; InputError if not accepted
    to_stored: Callable[[Any], tuple[Mapping[str, Any], Mapping[str, str]]]  # content -> examples by split, metadata
    from_stored: Callable[[Mapping[str, Any], Mapping[str, str]], Any]  # the inverse; any exception if altered

    @property
    def folder(self) -> Path:
        """Where TFDS stores the prepared files."""
        return data_dir() / f"rnnlab_{self.name}" / VERSION

    @property
    def command(self) -> str:
        """The command that prepares it."""
        return f"{program()} data {self.name}"


def is_prepared(dataset: CachedDataset) -> bool:
    """Whether a preparation has been completed: TFDS moves the finished folder into place as its last step."""
    return (dataset.folder / "dataset_info.json").is_file()


def prepare(dataset: CachedDataset, source: Path | None) -> str:
    """Prepare from the user's ``source``, or by download if None; returns a one-line report.

    InputError for missing or altered files and for an unreachable host, before anything is written.
    OSError (disk full, no permission) passes through and leaves nothing that looks prepared.
    """
    content = None if source is None else dataset.read_source(source)
    if _is_intact(dataset, content):
        return f"{dataset.name}: already prepared in {dataset.folder}"
    if source is None and (reason := unreachable_reason(dataset.url + next(iter(dataset.files)))):
        raise _not_downloadable(dataset, reason)
    dataset.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="incomplete.", dir=dataset.folder.parent) as scratch:
            if source is None:
                content = _download(dataset, Path(scratch))
            _store(dataset, content, Path(scratch))
    except Exception:
        if not _is_intact(dataset, content):  # otherwise another process has prepared it in the meantime
            raise
    for leftover in dataset.folder.parent.glob("incomplete.*"):  # of killed preparations
        shutil.rmtree(leftover, ignore_errors=True)
    return f"{dataset.name}: prepared in {dataset.folder} from {dataset.url if source is None else source}"


def load(dataset: CachedDataset) -> Any:
    """The content, downloaded if not prepared. InputError if the download fails or the stored files are damaged."""
    if not is_prepared(dataset):
        prepare(dataset, None)
    return _read(dataset)


def _not_downloadable(dataset: CachedDataset, reason: str) -> InputError:
    return InputError(
        f"data: {dataset.name} is not prepared in {data_dir()} and cannot be downloaded from "
        f"{urlsplit(dataset.url).hostname} ({reason}); to use {dataset.source_help}, run: "
        f"{dataset.command} --from {dataset.source_name}"
    )


def _read(dataset: CachedDataset) -> Any:
    from rnnlab.data import tfds_store

    try:
        return dataset.from_stored(*tfds_store.read(dataset.folder))
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # array_record, protobuf and TFDS raise different exceptions for a damaged file
        raise InputError(
            f"data: {dataset.name} in {dataset.folder} is damaged ({first_line(error)}); to prepare it again, run: "
            f"{dataset.command}, or {dataset.command} --from {dataset.source_name} with {dataset.source_help}"
        ) from error


def _is_intact(dataset: CachedDataset, content: Any) -> bool:
    """Whether the stored files can be read and hold ``content`` (None: any valid content)."""
    with contextlib.suppress(InputError):
        return is_prepared(dataset) and (_read(dataset) == content or content is None)
    return False


def _download(dataset: CachedDataset, folder: Path) -> Any:
    """Download the official files into ``folder`` and check them; returns the content."""
    from rnnlab.data import tfds_store

    try:
        tfds_store.download(dataset.url, dataset.files, folder)
        check_files(dataset.name, folder, dataset.files)
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # from the disk: exceptions of the network layer have no errno
        raise _not_downloadable(dataset, first_line(error)) from error
    return dataset.read_source(folder)


def _store(dataset: CachedDataset, content: Any, scratch: Path) -> None:
    """Write ``content`` and read it back."""
    from rnnlab.data import tfds_store

    if dataset.folder.exists() and not _is_intact(dataset, content):
        shutil.rmtree(dataset.folder)  # TFDS would take any folder of this name for finished work
    try:
        tfds_store.write(f"rnnlab_{dataset.name}", data_dir(), *dataset.to_stored(content), scratch)
    except RuntimeError as error:  # what array_record raises when the disk is full
        raise OSError(first_line(error)) from error
    if not _is_intact(dataset, content):
        shutil.rmtree(dataset.folder, ignore_errors=True)
        raise OSError(f"the files written to {dataset.folder} cannot be read back; is the disk failing?")
