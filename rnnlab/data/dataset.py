"""The public `Dataset`: the type of rnnlab.core with constructors from arrays."""

from typing import Any

from rnnlab.core import types


class Dataset(types.Dataset):
    """Three fixed splits and what identifies them; made from a user's arrays by the class methods."""

    __slots__ = ()

    @classmethod
    def from_arrays(cls, inputs: Any = None, targets: Any = None, lengths: Any = None, weights: Any = None,
                    **options: Any) -> types.Dataset:  # fmt: skip
        """The data set of these arrays; see `rnnlab.data.arrays.from_arrays` for shapes, options and errors."""
        from rnnlab.data.arrays import from_arrays

        return from_arrays(inputs, targets, lengths, weights, **options)

    @classmethod
    def from_series(cls, series: Any, **options: Any) -> types.Dataset:
        """Windows of one series to forecast; see `rnnlab.data.series.from_series` for shapes, options and errors."""
        from rnnlab.data.series import from_series

        return from_series(series, **options)
