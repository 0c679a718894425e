"""Images read pixel by pixel, row by row or in a random order."""

import numpy as np

from rnnlab.core.errors import InputError
from rnnlab.core.types import Dataset, Split


def check(*, pixels: bool, permuted: bool) -> None:
    """InputError for ``permuted`` without ``pixels``."""
    if permuted and not pixels:
        raise InputError("data_options.permuted: true requires data_options.pixels=true")


def pixel_order(count: int) -> np.ndarray:
    """The fixed random order of ``count`` pixels: step t reads pixel ``order[t]``."""
    # RandomState: numpy guarantees its stream for ever, unlike that of default_rng.
    return np.random.RandomState(count).permutation(count)


def to_pixels(dataset: Dataset, *, permuted: bool) -> Dataset:
    """Images ``[N, rows, columns]`` as inputs ``[N, rows * columns, 1]``; ``source`` states the order."""
    count = dataset.train.inputs[0].size
    order = pixel_order(count) if permuted else np.arange(count)

    def flatten(split: Split) -> Split:
        return split._replace(inputs=split.inputs.reshape(-1, count)[:, order, None])

    steps = f"pixels in the order RandomState({count}).permutation({count})" if permuted else "pixels, row by row"
    return dataset._replace(
        input_size=1,
        train=flatten(dataset.train),
        validation=flatten(dataset.validation),
        test=flatten(dataset.test),
        source={**dataset.source, "steps": steps},
    )
