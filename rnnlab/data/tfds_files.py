"""What all builders share. Imported late: it imports tensorflow_datasets, never TensorFlow."""

import contextlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

tfds.display_progress_bar(False)


def fetch(url: str, files: Iterable[str], target: Path) -> None:
    """Downloads ``url + file`` for every file, to ``target/file``."""
    paths = tfds.download.DownloadManager(download_dir=target).download({file: url + file for file in files})
    for file, path in paths.items():
        Path(path).rename(target / file)


def write(builder: Any, scratch: Path, manual: Path | None = None) -> None:
    """Lets ``builder`` prepare from files in ``manual``; what TFDS wants to keep meanwhile goes to ``scratch``."""
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS prints what it does
        builder.download_and_prepare(
            download_dir=scratch, download_config=tfds.download.DownloadConfig(manual_dir=manual)
        )


def read(builder: Any, split: str) -> list[dict[str, Any]]:
    """All examples of one split, in the order of the files."""
    records = builder.as_data_source(split)
    return list(records.__getitems__(list(range(len(records)))))
