"""Images read pixel by pixel, in their own order or in a random one."""

import numpy as np

from rnnlab.core.errors import InputError
from rnnlab.core.types import Dataset, Split


def check(*, pixels: bool, permuted: bool) -> None:
    """InputError for a random order of what are not pixels."""
    if permuted and not pixels:
        raise InputError("data_options.permuted: true orders pixels; accepted: true with pixels=true")


def order_of(count: int) -> np.ndarray:
    """The random order of ``count`` pixels, the same for ever: at step t comes pixel ``order[t]``."""
    # RandomState: its stream is frozen by numpy's compatibility policy, that of default_rng is not.
    return np.random.RandomState(count).permutation(count)


def as_asked(dataset: Dataset, *, pixels: bool, permuted: bool) -> Dataset:
    """The data set of images ``[N, rows, columns]`` as it is, or with inputs ``[N, rows * columns, 1]``.

    What was done is added to its ``source``. InputError as ``check``.
    """
    check(pixels=pixels, permuted=permuted)
    if not pixels:
        return dataset
    count = dataset.train.inputs[0].size
    order = order_of(count) if permuted else np.arange(count)

    def view(split: Split) -> Split:
        return split._replace(inputs=split.inputs.reshape(-1, count)[:, order, None])

    told = f"pixels in the order RandomState({count}).permutation({count})" if permuted else "pixels, row by row"
    return dataset._replace(
        input_size=1,
        train=view(dataset.train),
        validation=view(dataset.validation),
        test=view(dataset.test),
        source={**dataset.source, "steps": told},
    )
