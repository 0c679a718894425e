"""IMDB reviews through TFDS. Imported late: it imports tensorflow_datasets, never TensorFlow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from rnnlab.data import tfds_files
from rnnlab.data.imdb_archive import Reviews, digest

with tfds.core.registered.skip_registration():

    class RnnlabImdb(tfds.core.GeneratorBasedBuilder):
        """The 50,000 labelled IMDB reviews, from ``reviews``, which have been checked.

        TFDS's own builder reads through tf.io.gfile and so cannot prepare without TensorFlow. ``id`` is the official
        place ("train/neg/0_3"), from which a reader restores the order after TFDS has shuffled.
        """

        VERSION = tfds.core.Version("1.0.0")
        reviews: Reviews

        def _info(self) -> Any:
            features = {
                "text": tfds.features.Text(),
                "label": tfds.features.ClassLabel(names=["neg", "pos"]),
                "id": tfds.features.Text(),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                description="Large Movie Review Dataset (Maas et al. 2011), the labelled reviews.",
                features=tfds.features.FeaturesDict(features),
                metadata=tfds.core.MetadataDict(),
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            self.info.metadata["sha256"] = self.reviews.sha256
            return {split: self._generate_examples(split) for split in ("train", "test")}

        def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
            for key, text in self.reviews.texts.items():
                part, label, _ = key.split("/")
                if part == split:
                    yield key, {"text": text, "label": label, "id": key}


def write(root: Path, reviews: Reviews, scratch: Path) -> None:
    """Prepares ``reviews`` under ``root``; what TFDS wants to keep meanwhile goes to ``scratch``."""
    builder = RnnlabImdb(data_dir=root, file_format="array_record")
    builder.reviews = reviews
    tfds_files.write(builder, scratch)


def read(root: Path) -> Reviews:
    """What was written under ``root``; ValueError unless all of it is there unaltered."""
    builder = RnnlabImdb(data_dir=root, file_format="array_record")
    texts = {}
    for split in ("train", "test"):
        for row in tfds_files.read(builder, split):
            key = row["id"].decode()
            if key.split("/")[:2] != [split, ("neg", "pos")[row["label"]]]:
                raise ValueError(f"the label or split of review {key} is altered")
            texts[key] = row["text"].decode()
    found = digest(texts)
    if found != builder.info.metadata["sha256"]:
        raise ValueError("the reviews are not those that were written")
    return Reviews(texts, found)
