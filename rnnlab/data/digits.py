"""scikit-learn's handwritten digits: 1,797 images of 8x8 pixels, part of the package, no download."""

import numpy as np

from rnnlab.core.types import Dataset, Split
from rnnlab.data import pixel_sequence
from rnnlab.data.files import sha256

SEED = 1797
HELD_OUT_FRACTION = 0.15  # of each class, for validation and again for test


def split_indices(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train, validation and test indices, ascending: 70/15/15 % of each class of ``labels [N]``, by ``SEED``."""
    # RandomState: numpy guarantees its stream for ever, unlike that of default_rng.
    rng = np.random.RandomState(SEED)
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held_out = round(HELD_OUT_FRACTION * len(members))
        cuts = [len(members) - 2 * held_out, len(members) - held_out]
        for part, indices in zip(parts, np.split(members[::-1], cuts), strict=True):
            part.append(indices)
    train, validation, test = (np.sort(np.concatenate(part)) for part in parts)
    return train, validation, test


def load(*, pixels: bool = False, permuted: bool = False) -> Dataset:
    """Inputs ``[N, 8, 8]`` uint8 in 0..16, one image row per step; targets ``[N]`` int32.

    ``pixels``: inputs ``[N, 64, 1]``, row by row. ``permuted``: the same random pixel order for all images; InputError
    without ``pixels``.
    """
    pixel_sequence.check(pixels=pixels, permuted=permuted)
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = bunch.images.astype(np.uint8)
    labels = bunch.target.astype(np.int32)
    train, validation, test = (Split(images[part], labels[part]) for part in split_indices(labels))
    dataset = Dataset(
        name="digits",
        task="classification",
        input_size=8,
        output_size=10,
        train=train,
        validation=validation,
        test=test,
        source={
            "sha256": sha256(images.tobytes(), labels.astype("<i4").tobytes()),
            "split": f"70/15/15 % of each class, RandomState({SEED})",
        },
        scale=1 / 16,
    )
    return pixel_sequence.to_pixels(dataset, permuted=permuted) if pixels else dataset
