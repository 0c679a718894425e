"""Texts through TFDS. Imported late: it imports tensorflow_datasets, never TensorFlow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from rnnlab.data import tfds_files

with tfds.core.registered.skip_registration():

    class TextBuilder(tfds.core.GeneratorBasedBuilder):
        """One text, ``raw``, whose hash has been checked. TFDS calls a folder by the class: a subclass a text."""

        VERSION = tfds.core.Version("1.0.0")
        raw: bytes

        def _info(self) -> Any:
            features = tfds.features.FeaturesDict({"text": tfds.features.Text()})
            return tfds.core.DatasetInfo(builder=self, description="A text as one example.", features=features)

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
            yield 0, {"text": self.raw}

    class RnnlabMoesTavern(TextBuilder):
        """Moe's Tavern."""

    class RnnlabTinyShakespeare(TextBuilder):
        """Tiny Shakespeare."""


BUILDERS = {"moes_tavern": RnnlabMoesTavern, "tiny_shakespeare": RnnlabTinyShakespeare}


def write(name: str, root: Path, raw: bytes, scratch: Path) -> None:
    """Prepares ``raw`` under ``root``; what TFDS wants to keep meanwhile goes to ``scratch``."""
    builder = BUILDERS[name](data_dir=root, file_format="array_record")
    builder.raw = raw
    tfds_files.write(builder, scratch)


def read(name: str, root: Path) -> bytes:
    """The text under ``root``, as UTF-8."""
    (row,) = tfds_files.read(BUILDERS[name](data_dir=root, file_format="array_record"), "train")
    return row["text"]
