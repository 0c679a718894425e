"""MNIST: 70,000 handwritten digits of 28x28 pixels, cached through TFDS."""

import gzip
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rnnlab.core.types import Dataset, Split
from rnnlab.data import cache, pixel_sequence
from rnnlab.data.files import check_files, sha256

URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"  # as in TFDS's own mnist builder
FILES = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
UNPACKED = {  # the same files decompressed
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
CONTENT = {  # SHA-256 of all pixels and then all labels, as bytes in the official order
    "train": "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b",
    "test": "c3f9adf9c66efb572b1f9326c3a511b45910c7173b97be66ceceeeeaef6b802b",
}
SEED = 28
BLOCK = 1_000
VALIDATION_SIZE = 5_000  # of the 60,000 official training images

Content = dict[str, tuple[bytes, bytes]]  # official split -> pixels and labels, one byte each, in the official order


def load(*, pixels: bool = False, permuted: bool = False, validation: Literal["train", "test"] = "train") -> Dataset:
    """Inputs ``[N, 28, 28]`` uint8, one image row per step; targets ``[N]`` int32.

    Validation is drawn from the official training images and train is the rest; test is the official 10,000. All keep
    the official order. Downloads if not prepared; InputError if that fails or the prepared files are damaged.

    ``pixels``: inputs ``[N, 784, 1]``, row by row. ``permuted``: the same random pixel order for all images, as in Le,
    Jaitly & Hinton 2015, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, with our own order;
    InputError without ``pixels``. ``validation="test"``: train is all 60,000 and validation the test split.
    """
    pixel_sequence.check(pixels=pixels, permuted=permuted)
    content: Content = cache.load(cached())
    images, labels = _arrays(*content["train"])
    # RandomState: numpy guarantees its stream for ever, unlike that of default_rng.
    held_out = np.zeros(len(labels), bool)
    split, test = "train: official; validation and test: the official test", Split(*_arrays(*content["test"]))
    if validation == "train":
        held_out[np.random.RandomState(SEED).permutation(len(labels))[:VALIDATION_SIZE]] = True
        split = f"validation: {VALIDATION_SIZE} of the official train by RandomState({SEED}); test: the official one"
    dataset = Dataset(
        name="mnist",
        task="classification",
        input_size=28,
        output_size=10,
        train=Split(images[~held_out], labels[~held_out]),
        validation=Split(images[held_out], labels[held_out]) if validation == "train" else test,
        test=test,
        source={"sha256": dict(CONTENT), "split": split},
        scale=1 / 255,
        validation_is_test=validation == "test",
    )
    return pixel_sequence.to_pixels(dataset, permuted=permuted) if pixels else dataset


def cached() -> cache.CachedDataset:
    """How MNIST is obtained, stored and read."""
    return cache.CachedDataset(
        name="mnist",
        url=URL,
        files=FILES,
        source_name="DIR",
        source_help=f"your copies of the four official files ({', '.join(FILES)}, or decompressed) in a folder DIR",
        read_source=_read_source,
        to_stored=_to_stored,
        from_stored=_from_stored,
    )


def _arrays(pixels: bytes, labels: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Images ``[N, 28, 28]`` uint8 and labels ``[N]`` int32."""
    images = np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28).copy()  # writable
    return images, np.frombuffer(labels, np.uint8).astype(np.int32)


def _read_source(folder: Path) -> Content:
    """From the official files; any of them may be decompressed."""
    hashes = {}
    for packed, unpacked in zip(FILES, UNPACKED, strict=True):
        if (folder / unpacked).is_file() and not (folder / packed).is_file():
            hashes[unpacked] = UNPACKED[unpacked]
        else:
            hashes[packed] = FILES[packed]
    check_files("mnist", folder, hashes)
    raw = [(folder / file).read_bytes() for file in hashes]
    train_images, train_labels, test_images, test_labels = (
        gzip.decompress(content) if file.endswith(".gz") else content for file, content in zip(hashes, raw, strict=True)
    )
    return {"train": (train_images[16:], train_labels[8:]), "test": (test_images[16:], test_labels[8:])}


def _to_stored(content: Content) -> tuple[dict[str, Any], dict[str, str]]:
    """Blocks of images with their first position, since TFDS shuffles; single images would take 10 s to read."""
    size = math.gcd(BLOCK, *(len(labels) for _, labels in content.values()))
    return {
        split: [
            {"image": images[first : first + size], "label": labels[first : first + size], "index": first}
            for images, labels in [_arrays(*part)]
            for first in range(0, len(labels), size)
        ]
        for split, part in content.items()
    }, {}


def _from_stored(splits: Mapping[str, Any], metadata: Mapping[str, str]) -> Content:
    content = {}
    for split, expected in CONTENT.items():
        rows = sorted(splits[split], key=lambda row: row["index"])
        pixels, labels = (np.array([row[key] for row in rows], np.uint8).tobytes() for key in ("image", "label"))
        if sha256(pixels, labels) != expected:
            raise ValueError(f"the {split} images are not the official ones")
        content[split] = pixels, labels
    return content
