"""MNIST: 70,000 handwritten digits of 28x28, prepared once through TFDS and read without TensorFlow."""

from pathlib import Path

import numpy as np

from rnnlab.core.types import Dataset, Split
from rnnlab.data import cache
from rnnlab.data import pixel_sequence as pixel_steps
from rnnlab.data.files import check_files, data_dir, sha256

URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"  # the address in TFDS's own mnist builder
FILES = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
CONTENT = {  # SHA-256 of all pixels and then all labels, as bytes in the official order
    "train": "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b",
    "test": "c3f9adf9c66efb572b1f9326c3a511b45910c7173b97be66ceceeeeaef6b802b",
}
SEED = 28
VALIDATION = 5_000  # of the 60,000 official training images


def is_prepared() -> bool:
    """Whether it can be loaded without a download."""
    return cache.is_prepared(_kept())


def prepare(source: Path | None) -> str:
    """Prepares from the four official files in the folder ``source``, or downloads them; see ``cache.prepare``."""
    return cache.prepare(_kept(), source)


def load(*, pixels: bool = False, permuted: bool = False) -> Dataset:
    """Inputs ``[N, 28, 28]`` uint8, the rows of an image as steps; targets ``[N]`` int32.

    Validation is drawn from the official training images, train is the rest of them, test the official 10,000; each in
    the official order. Downloads where nothing is cache. InputError where that fails or what is prepared is damaged.

    ``pixels``: inputs ``[N, 784, 1]``, row by row; ``permuted``: in one random order for all images, as in Le, Jaitly &
    Hinton 2015, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, with an order of our own.
    InputError for an order without pixels.
    """
    pixel_steps.check(pixels=pixels, permuted=permuted)
    parts = cache.load(_kept())
    images, labels = parts["train"]
    # RandomState: its stream is frozen by numpy's compatibility policy, that of default_rng is not.
    chosen = np.zeros(len(labels), bool)
    chosen[np.random.RandomState(SEED).permutation(len(labels))[:VALIDATION]] = True
    split = f"validation: {VALIDATION} of the official train by RandomState({SEED}); test: the official one"
    dataset = Dataset(
        name="mnist",
        task="classification",
        input_size=28,
        output_size=10,
        train=Split(images[~chosen], labels[~chosen]),
        validation=Split(images[chosen], labels[chosen]),
        test=Split(*parts["test"]),
        source={"sha256": dict(CONTENT), "split": split},
        scale=1 / 255,
    )
    return pixel_steps.as_asked(dataset, pixels=pixels, permuted=permuted)


def _kept() -> cache.Kept:
    return cache.Kept(
        name="mnist",
        url=URL,
        files=FILES,
        needs=f"its four official files ({', '.join(FILES)}) in a folder DIR",
        place="DIR",
        check=_check,
        write=_write,
        read=_read,
    )


def _check(source: Path) -> Path:
    check_files("mnist", source, FILES)
    return source


def _write(source: Path, scratch: Path) -> None:
    from rnnlab.data import tfds_mnist

    tfds_mnist.write(data_dir(), source, scratch)


def _read() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images ``[N, 28, 28]`` uint8 and labels ``[N]`` int32 by official split and in official order."""
    from rnnlab.data import tfds_mnist

    parts = {}
    for split, wanted in CONTENT.items():
        images, labels = tfds_mnist.read(data_dir(), split)
        if sha256(images.tobytes(), labels.tobytes()) != wanted:
            raise ValueError(f"the {split} images are not the official ones")
        parts[split] = images, labels.astype(np.int32)
    return parts
