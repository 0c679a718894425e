"""scikit-learn's handwritten digits: 1,797 images of 8x8, inside the package, no download."""

import numpy as np

from rnnlab.core.types import Dataset, Split
from rnnlab.data import pixel_sequence as pixel_steps
from rnnlab.data.files import sha256

SEED = 1797
HELD_OUT = 0.15  # of each class, for validation and again for test


def split_indices(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train, validation and test indices, ascending: 70/15/15 % of each class of ``labels [N]``, by ``SEED``."""
    # RandomState: its stream is frozen by numpy's compatibility policy, that of default_rng is not.
    draw = np.random.RandomState(SEED)
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for label in np.unique(labels):
        members = draw.permutation(np.flatnonzero(labels == label))
        held = round(HELD_OUT * len(members))
        for part, some in zip(
            parts, np.split(members[::-1], [len(members) - 2 * held, len(members) - held]), strict=True
        ):
            part.append(some)
    train, validation, test = (np.sort(np.concatenate(part)) for part in parts)
    return train, validation, test


def load(*, pixels: bool = False, permuted: bool = False) -> Dataset:
    """Inputs ``[N, 8, 8]`` uint8 in 0..16, rows of an image as steps; targets ``[N]`` int32.

    ``pixels``: inputs ``[N, 64, 1]``, row by row; ``permuted``: in one random order for all images. InputError for an
    order without pixels.
    """
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
    return pixel_steps.as_asked(dataset, pixels=pixels, permuted=permuted)
