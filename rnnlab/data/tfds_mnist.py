"""MNIST through TFDS. Imported late: it imports tensorflow_datasets, never TensorFlow."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from rnnlab.data import tfds_files

with tfds.core.registered.skip_registration():

    class RnnlabMnist(tfds.core.GeneratorBasedBuilder):
        """MNIST from the four official files in ``manual_dir``, whose hashes have been checked.

        TFDS's own builder reads through tf.io.gfile and so cannot prepare without TensorFlow. ``index`` is the position
        in the official files, from which a reader restores their order after TFDS has shuffled.
        """

        VERSION = tfds.core.Version("1.0.0")
        MANUAL_DOWNLOAD_INSTRUCTIONS = "the four official .gz files"

        def _info(self) -> Any:
            features = {
                "image": tfds.features.Tensor(shape=(28, 28), dtype=np.uint8),
                "label": tfds.features.ClassLabel(num_classes=10),
                "index": tfds.features.Tensor(shape=(), dtype=np.int32),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                description="MNIST handwritten digits (LeCun, Cortes, Burges), with their official positions.",
                features=tfds.features.FeaturesDict(features),
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            folder = Path(dl_manager.manual_dir)
            return {
                "train": self._generate_examples(folder, "train"),
                "test": self._generate_examples(folder, "t10k"),
            }

        def _generate_examples(self, folder: Path, prefix: str) -> Iterator[tuple[int, dict[str, Any]]]:
            pixels = gzip.decompress((folder / f"{prefix}-images-idx3-ubyte.gz").read_bytes())
            classes = gzip.decompress((folder / f"{prefix}-labels-idx1-ubyte.gz").read_bytes())
            images = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)
            labels = np.frombuffer(classes, np.uint8, offset=8)
            for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield index, {"image": image, "label": int(label), "index": index}


def write(root: Path, source: Path, scratch: Path) -> None:
    """Prepares under ``root`` from the files in ``source``; what TFDS wants to keep meanwhile goes to ``scratch``."""
    tfds_files.write(RnnlabMnist(data_dir=root, file_format="array_record"), scratch, source)


def read(root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images ``[N, 28, 28]`` uint8 and labels ``[N]`` uint8 of one split, in the official order."""
    examples = tfds_files.read(RnnlabMnist(data_dir=root, file_format="array_record"), split)
    rows = sorted(examples, key=lambda row: row["index"])
    return np.stack([row["image"] for row in rows]), np.array([row["label"] for row in rows], np.uint8)
