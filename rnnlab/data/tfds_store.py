"""Examples written and read by TFDS. Imported late: it imports tensorflow_datasets, but never TensorFlow."""

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

Examples = Sequence[Mapping[str, Any]]

tfds.display_progress_bar(False)


with tfds.core.registered.skip_registration():

    class _Builder(tfds.core.GeneratorBasedBuilder):
        """Stores given examples. TFDS's own builders read through tf.io.gfile and need TensorFlow to prepare."""

        VERSION = tfds.core.Version("1.0.0")

        def __init__(self, name: str, root: Path, splits: Mapping[str, Examples], metadata: Mapping[str, str]) -> None:
            self.name = name
            self._splits, self._metadata = splits, metadata
            super().__init__(data_dir=root, file_format="array_record")

        def _info(self) -> Any:
            (first, *_), *_ = self._splits.values()
            return tfds.core.DatasetInfo(
                builder=self,
                description="Stored by rnnlab.",
                features=tfds.features.FeaturesDict({key: _feature(value) for key, value in first.items()}),
                metadata=tfds.core.MetadataDict(self._metadata),
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {split: enumerate(examples) for split, examples in self._splits.items()}

        def _generate_examples(self) -> Any:
            raise NotImplementedError  # abstract in TFDS; the splits are generated above


def _feature(value: Any) -> Any:
    if isinstance(value, str | bytes):
        return tfds.features.Text()
    array = np.asarray(value)
    return tfds.features.Tensor(shape=array.shape, dtype=array.dtype)


def write(name: str, root: Path, splits: Mapping[str, Examples], metadata: Mapping[str, str], scratch: Path) -> None:
    """Store ``splits`` in ``root/name/1.0.0``; features follow from the first example. Temporary files: ``scratch``."""
    builder = _Builder(name, root, splits, metadata)
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS reports progress on stdout
        builder.download_and_prepare(download_dir=scratch)


def read(folder: Path) -> tuple[dict[str, Examples], Mapping[str, str]]:
    """The stored splits and metadata; TFDS shuffles, so the order within a split is not the order of writing."""
    builder = tfds.builder_from_directory(folder)
    splits: dict[str, Examples] = {}
    for split in builder.info.splits:
        records = builder.as_data_source(split)
        splits[split] = list(records.__getitems__(list(range(len(records)))))
    return splits, builder.info.metadata or {}


def download(url: str, files: Iterable[str], folder: Path) -> None:
    """Download ``url + file`` to ``folder/file`` for every file."""
    paths = tfds.download.DownloadManager(download_dir=folder).download({file: url + file for file in files})
    for file, path in paths.items():
        Path(path).rename(folder / file)
