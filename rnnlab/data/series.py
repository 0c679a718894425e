"""One series to forecast: windows of it, split in time."""

from pathlib import Path
from typing import Any

import numpy as np

from rnnlab.core.errors import InputError
from rnnlab.core.types import Dataset, Split
from rnnlab.data.array_checks import check_series
from rnnlab.data.arrays import SPLITS, check_fraction, digest
from rnnlab.data.files import sha256
from rnnlab.data.options import check_range
from rnnlab.data.standardize import SOURCE, standardized, statistics

MEMBRANE = "ab795b429201a5bb575c6370d5e17090dfcfc317431aa9382f8e881366f43357"  # SHA-256


def from_series(
    series: Any, *, name: str = "series", sequence_length: int = 32, horizon: int = 1, context: int = 0,
    validation_fraction: float = 0.15, test_fraction: float = 0.15, standardize: bool = True,
) -> Dataset:  # fmt: skip
    """Windows ``[N, T, D]`` of ``series [n]`` or ``[n, D]``, T = ``sequence_length``: at every step the model answers
    with the D values ``horizon`` steps later.

    The first ``context`` steps of a window have weight 0: the model only reads them. Windows begin every T - context
    steps, so that every later target is forecast once. The series is cut in time into train, validation and test, and
    no window or target reaches across a cut. Targets, and with ``standardize`` inputs, get mean 0 and standard
    deviation 1 by statistics of the training part. ``source["persistence_rmse"]``: the error, on the
    same targets, of answering with the present value. Raises InputError.

    >>> from_series(np.sin(np.arange(400.0)), sequence_length=20).train.targets.shape
    (13, 20, 1)
    """
    where = f"data: {name}"
    values = check_series(f"{where}: series", series)
    check_range("sequence_length", sequence_length, 1)
    check_range("horizon", horizon, 1)
    check_range("context", context, 0, sequence_length - 1)
    check_fraction(where, "test_fraction", test_fraction, 1)
    check_fraction(where, "validation_fraction", validation_fraction, 1 - test_fraction)
    held_out = [round(fraction * len(values)) for fraction in (validation_fraction, test_fraction)]
    cuts = [len(values) - sum(held_out), len(values) - held_out[1]]
    parts = dict(zip(SPLITS, np.split(values, cuts), strict=True))
    for split, part in parts.items():
        if len(part) < sequence_length + horizon:
            raise InputError(
                f"{where}: series: {len(values):,} steps leave {len(part):,} for {split}; sequence_length="
                f"{sequence_length} and horizon={horizon} need {sequence_length + horizon:,} or more"
            )
    found = {"targets": statistics(parts["train"], None)}
    if standardize:
        found["inputs"] = found["targets"]

    def rows_of(part: np.ndarray) -> np.ndarray:
        starts = np.arange(0, len(part) - horizon - sequence_length + 1, sequence_length - context)
        return starts[:, None] + np.arange(sequence_length)

    def windows(part: np.ndarray) -> Split:
        rows = rows_of(part)
        inputs = standardized(part, found["inputs"]) if standardize else part.astype(np.float32)
        targets = standardized(part, found["targets"])
        weights = np.broadcast_to(np.arange(sequence_length) >= context, rows.shape).astype(np.float32)
        return Split(inputs[rows], targets[rows + horizon], weights=weights)

    def persistence(part: np.ndarray) -> float:
        rows = rows_of(part)[:, context:].ravel()
        error = part[rows + horizon] - part[rows]
        return float(f"{np.sqrt((error**2).mean(axis=0)).mean():.9g}")

    splits = {split: windows(part) for split, part in parts.items()}
    return Dataset(
        name=name,
        task="forecasting",
        input_size=values.shape[1],
        output_size=values.shape[1],
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        source={
            "sha256": digest(splits),
            "split": f"in time, {' / '.join(f'{len(part)}' for part in parts.values())} steps",
            SOURCE: found,
            "persistence_rmse": {split: persistence(part) for split, part in parts.items()},
        },
    )


def load_membrane(*, sequence_length: int = 100, horizon: int = 10, context: int = 50) -> Dataset:
    """The membrane potential of a spiking neuron in mV, 12,000 steps of 0.5 ms, from Matplotlib's sample data.

    Unit and time step: Matplotlib's example logo.py, which reads the same file. Options as in `from_series`.
    InputError if the installed Matplotlib does not have the file.
    """
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "sample_data" / "membrane.dat"
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"data: membrane: Matplotlib {matplotlib.__version__} has no {path}") from error
    if sha256(raw) != MEMBRANE:
        raise InputError(f"data: membrane: {path} is not the file that Matplotlib 3.9 to 3.11 have")
    volts = np.frombuffer(raw, "<f4").astype(np.float64)
    return from_series(100 * volts, name="membrane", sequence_length=sequence_length, horizon=horizon, context=context)
