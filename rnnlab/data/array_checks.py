"""What can be wrong with a user's arrays: every check raises InputError with the array, the place and what is taken."""

from typing import Any, NamedTuple

import numpy as np

from rnnlab.core.errors import InputError

INPUTS = "[N, T, D] float or uint8, or [N, T] integer ids"
TARGETS = "[N] or [N, T] integer classes, [N], [N, K] or [N, T, K] floats"
MOST_CLASSES = 1_000_000  # classes, or different ids


class Arrays(NamedTuple):
    """The checked arrays of one split, or of all examples. ``valid [N, T]``: steps before an example's length."""

    inputs: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray | None
    weights: np.ndarray | None
    resets: np.ndarray | None
    valid: np.ndarray | None

    @property
    def per_step(self) -> bool:
        """Whether there is a target at every step."""
        return self.targets.ndim == (2 if is_integer(self.targets) else 3)


def is_integer(array: np.ndarray) -> bool:
    """Whether the elements are integers or booleans."""
    return array.dtype.kind in "biu"


def check_arrays(where: str, prefix: str, inputs: Any, targets: Any, lengths: Any, weights: Any, resets: Any) -> Arrays:
    """The arrays of one split, checked. ``where`` begins every message; ``prefix`` (``"train_"``) the arrays' names."""
    xs = _numbers(f"{where}: {prefix}inputs", inputs, INPUTS)
    features = xs.ndim == 3 and (xs.dtype.kind == "f" or xs.dtype == np.uint8)
    if not features and not (xs.ndim == 2 and is_integer(xs)):
        hint = "; one feature is [N, T, 1]" if xs.ndim == 2 else ""
        raise InputError(f"{where}: {prefix}inputs: {described(xs)}; accepted: {INPUTS}{hint}")
    if not xs.size:
        raise InputError(f"{where}: {prefix}inputs: {described(xs)}; accepted: one example, step and feature or more")
    count, steps = xs.shape[:2]
    ys = _numbers(f"{where}: {prefix}targets", targets, TARGETS)
    if ys.ndim not in ((1, 2) if is_integer(ys) else (1, 2, 3)) or not ys.size:
        raise InputError(f"{where}: {prefix}targets: {described(ys)}; accepted: {TARGETS}")
    if ys.dtype.kind == "f" and ys.ndim == 1:
        ys = ys[:, None]
    per_step = ys.ndim == (2 if is_integer(ys) else 3)
    expected = (count, steps) if per_step else (count,)
    if ys.shape[: len(expected)] != expected:
        raise InputError(
            f"{where}: {prefix}targets: {described(ys)}; accepted: N = {count} examples"
            + (f" with T = {steps} steps each, as in {prefix}inputs" if per_step else f", as in {prefix}inputs")
        )
    ends, valid = _lengths(f"{where}: {prefix}lengths", lengths, count, steps)
    _finite(f"{where}: {prefix}inputs", xs, valid)
    _finite(f"{where}: {prefix}targets", ys, valid if per_step else None)
    marked = _weights(f"{where}: {prefix}weights", weights, expected, valid)
    starts = _resets(f"{where}: {prefix}resets", resets, (count, steps))
    return Arrays(xs, ys, ends, marked, starts, valid)


def check_series(field: str, series: Any) -> np.ndarray:
    """``series [n]`` or ``[n, D]``, checked, as float64 ``[n, D]``."""
    accepted = "[n] or [n, D] numbers"
    values = _numbers(field, series, accepted)
    if values.ndim not in (1, 2) or not values.size:
        raise InputError(f"{field}: {described(values)}; accepted: {accepted}")
    _finite(field, values, None)
    return values.reshape(len(values), -1).astype(np.float64)


def check_range(field: str, array: np.ndarray, valid: np.ndarray | None, most: int | None, what: str) -> None:
    """InputError unless the valid elements of an integer ``array`` are from 0, and below ``most`` if given."""
    below = MOST_CLASSES if most is None else most
    if (place := _first((array < 0) | (array >= below), valid)) is not None:
        raise InputError(f"{field}: {array[place]} at {_at(place)} is out of range; accepted: {what} 0 to {below - 1}")


def _numbers(field: str, value: Any, accepted: str) -> np.ndarray:
    if value is None:
        raise InputError(f"{field}: missing; accepted: {accepted}")
    try:
        array = np.asarray(value)
    except ValueError as error:  # lists of different lengths
        raise InputError(f"{field}: not an array; accepted: {accepted}, padded to one length T") from error
    if array.dtype.kind == "O":
        raise InputError(f"{field}: an array of Python objects; accepted: {accepted}, padded to one length T")
    if array.dtype.kind not in "biuf":
        raise InputError(f"{field}: {described(array)}; accepted: {accepted}")
    return array


def _lengths(field: str, lengths: Any, count: int, steps: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    if lengths is None:
        return None, None
    array = _numbers(field, lengths, "[N] integers")
    if array.shape != (count,) or not is_integer(array):
        raise InputError(f"{field}: {described(array)}; accepted: [{count}] integers, one an example")
    if (place := _first((array < 1) | (array > steps), None)) is not None:
        raise InputError(f"{field}: {array[place]} at {_at(place)} is out of range; accepted: 1 to T = {steps}")
    return array.astype(np.int32), np.arange(steps) < array[:, None]


def _resets(field: str, resets: Any, shape: tuple[int, int]) -> np.ndarray | None:
    if resets is None:
        return None
    array = _numbers(field, resets, "[N, T] booleans")
    if array.shape != shape or not is_integer(array) or not np.isin(array, (0, 1)).all():
        raise InputError(f"{field}: {described(array)}; accepted: {list(shape)} booleans, or 0 and 1")
    return array.astype(bool)


def _weights(field: str, weights: Any, shape: tuple[int, ...], valid: np.ndarray | None) -> np.ndarray | None:
    """Float32 weights ``[N]``, or ``[N, T]`` with a target at every step, 0 where not valid; None: all 1."""
    per_step = len(shape) == 2
    if weights is None:
        return valid.astype(np.float32) if per_step and valid is not None else None
    array = _numbers(field, weights, "[N] floats")
    if array.shape not in (shape, shape[:1]):
        also = f" or {list(shape)}" if per_step else ""
        raise InputError(f"{field}: {described(array)}; accepted: [{shape[0]}]{also} numbers from 0")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if (place := _first(~np.isfinite(array) | (array < 0), None)) is not None:
        raise InputError(f"{field}: {array[place]} at {_at(place)} is not accepted; accepted: finite numbers from 0")
    if per_step:
        array = np.where(True if valid is None else valid, array if array.ndim == 2 else array[:, None], 0)
        array = np.broadcast_to(array, shape).astype(np.float32)
    if (place := _first(array.reshape(shape[0], -1).max(axis=1) == 0, None)) is not None:
        raise InputError(
            f"{field}: example {place[0]} has weight 0; accepted: a positive one, or leave the example out"
        )
    return array


def _finite(field: str, array: np.ndarray, valid: np.ndarray | None) -> None:
    if array.dtype.kind != "f":
        return
    with np.errstate(over="ignore"):
        bad = ~np.isfinite(array.astype(np.float32, copy=False))
    if (place := _first(bad, valid)) is not None:
        raise InputError(f"{field}: {array[place]} at {_at(place)}; accepted: numbers that are finite in float32")


def _first(bad: np.ndarray, valid: np.ndarray | None) -> tuple[int, ...] | None:
    """The index of the first bad element; those at steps that are not ``valid [N, T]`` do not count."""
    if valid is not None:
        bad = bad & valid.reshape(*valid.shape, *[1] * (bad.ndim - 2))
    return tuple(map(int, np.unravel_index(bad.argmax(), bad.shape))) if bad.any() else None


def _at(place: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, place))}]"


def described(array: np.ndarray) -> str:
    """Type and shape in words."""
    return f"{array.dtype} of shape {list(array.shape)}"
