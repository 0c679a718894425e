"""A data set of the user's own arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnlab.core.errors import InputError, check_count, unknown
from rnnlab.core.types import Dataset, Split
from rnnlab.data.array_checks import Arrays, check_arrays, check_range, described, is_integer
from rnnlab.data.files import sha256
from rnnlab.data.standardize import SOURCE, standardized, statistics

SPLITS = ("train", "validation", "test")
FIELDS = ("inputs", "targets", "lengths", "weights", "resets")
SPLIT_ARRAYS = tuple(f"{split}_{field}" for split in SPLITS for field in FIELDS)
ARRAYS = (*FIELDS, *SPLIT_ARRAYS)  # the names of arrays in a file
SIZES = ("num_classes", "vocabulary_size")


def from_arrays(
    inputs: Any = None, targets: Any = None, lengths: Any = None, weights: Any = None, resets: Any = None, *,
    name: str = "arrays", num_classes: int | None = None, vocabulary_size: int | None = None,
    validation_fraction: float = 0.15, test_fraction: float = 0.15, split_seed: int = 0, standardize: bool = True,
    **splits: Any,
) -> Dataset:  # fmt: skip
    """The data set of ``inputs [N, T, D]`` (float, or uint8, divided by 255), or ``[N, T]`` integer ids, and targets.

    ``targets``: classes ``[N]``, or ``[N, T]``, one at every step; real values ``[N]``, ``[N, K]`` or ``[N, T, K]``.
    ``lengths [N]``: valid steps; what follows is not looked at. ``weights [N]``, or ``[N, T]`` with a target at every
    step: of each target in loss and metrics. ``resets [N, T]``: true where one of several sequences, packed into a row,
    starts afresh. ``num_classes`` and ``vocabulary_size``: classes and different ids, by
    default the largest plus one.

    The examples are divided at random by ``split_seed``, classes ``[N]`` in proportion; or given as ``train_inputs``,
    ``train_targets``, ..., ``test_resets``. Without ``validation_inputs`` the fraction is taken from the training
    examples. Float inputs (``standardize``) and real targets get mean 0 and standard deviation 1 by statistics of the
    training split, recorded as ``source["standardized"]``. Raises InputError.

    Examples:
        >>> from_arrays(np.ones((20, 5, 3)), np.arange(20) % 2).task
        'multiclass_classification'
    """
    where = f"data: {name}"
    whole = dict(zip(FIELDS, (inputs, targets, lengths, weights, resets), strict=True))
    num_classes, vocabulary_size = (
        _count(f"{where}: {size}", value) for size, value in zip(SIZES, (num_classes, vocabulary_size), strict=True)
    )
    for array in splits:
        if array not in SPLIT_ARRAYS:
            raise unknown(f"{where}: array", array, [*ARRAYS, *SIZES])
    given = {split: _given(split, splits) for split in SPLITS}
    if not any(given.values()):
        checked = {"": (everything := check_arrays(where, "", **whole))}
        check_fraction(where, "test_fraction", test_fraction, 1)
        check_fraction(where, "validation_fraction", validation_fraction, 1 - test_fraction)
        rows = _divided(where, everything, (validation_fraction, test_fraction), split_seed)
        parts = {split: _rows(everything, rows[split]) for split in SPLITS}
        how = f"at random by split_seed={split_seed}, validation {validation_fraction:g}, test {test_fraction:g}"
    else:
        if also := [field for field, value in whole.items() if value is not None]:
            raise InputError(f"{where}: {also[0]} beside given splits; accepted: train_{also[0]} alone")
        if missing := [f"{split}_inputs" for split in ("train", "test") if not given[split]]:
            raise InputError(f"{where}: {missing[0]}: missing; accepted: the arrays of train and test, also validation")
        parts = {split: check_arrays(where, f"{split}_", **given[split]) for split in SPLITS if given[split]}
        _check_alike(where, parts)
        checked, how = {f"{split}_": arrays for split, arrays in parts.items()}, "given"
        if not given["validation"]:
            check_fraction(where, "validation_fraction", validation_fraction, 1)
            rows = _divided(where, parts["train"], (validation_fraction, 0), split_seed)
            parts |= {split: _rows(parts["train"], rows[split]) for split in ("validation", "train")}
            how = f"given, validation {validation_fraction:g} of train at random by split_seed={split_seed}"
    train = parts["train"]
    ids, classes = train.inputs.ndim == 2, is_integer(train.targets)
    input_size = _size(where, "inputs", "ids", checked, vocabulary_size) if ids else train.inputs.shape[-1]
    output_size = _size(where, "targets", "classes", checked, num_classes) if classes else train.targets.shape[-1]
    if classes and output_size < 2:
        raise InputError(f"{where}: targets: class 0 alone; accepted: two classes or more, or floats")
    found = {}
    if standardize and train.inputs.dtype.kind == "f":
        found["inputs"] = statistics(train.inputs, train.valid)
    if not classes:
        found["targets"] = statistics(train.targets, train.valid if train.per_step else None)
    made = {split: _split(parts[split], found) for split in SPLITS}
    return Dataset(
        name=name,
        task=_TASKS[classes, train.per_step],
        input_size=input_size,
        output_size=output_size,
        train=made["train"],
        validation=made["validation"],
        test=made["test"],
        source={"sha256": digest(made), "split": how, **({SOURCE: found} if found else {})},
        scale=1 / 255 if train.inputs.dtype == np.uint8 and not ids else 1.0,
    )


_TASKS = {  # (classes, at every step)
    (True, False): "multiclass_classification",
    (True, True): "tagging",
    (False, False): "multivariate_regression",
    (False, True): "regression_at_each_step",
}


def digest(splits: Mapping[str, Split]) -> str:
    """SHA-256 of all arrays of the splits."""
    arrays = [np.ascontiguousarray(array) for split in SPLITS for array in splits[split] if array is not None]
    return sha256(*(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in arrays))


def _count(field: str, value: Any) -> int | None:
    if value is None:
        return None
    number = np.asarray(value).tolist()  # a NumPy integer is not an int
    check_count(field, number)
    return number


def _given(split: str, splits: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of one split by field, None where not given; {} if none is given."""
    arrays = {field: splits.get(f"{split}_{field}") for field in FIELDS}
    return arrays if any(value is not None for value in arrays.values()) else {}


def check_fraction(where: str, field: str, value: float, below: float) -> None:
    """InputError unless ``0 < value < below``."""
    if not 0 < value < below:
        raise InputError(f"{where}: {field}: {value} is out of range; accepted: above 0, below {below:g}")


def _divided(where: str, arrays: Arrays, fractions: tuple[float, float], seed: int) -> dict[str, np.ndarray]:
    """The indices of each split, ascending. Classes ``[N]`` are divided in proportion, up to one example."""
    if not 0 <= seed < 2**32:
        raise InputError(f"{where}: split_seed: {seed} is out of range; accepted: 0 to {2**32 - 1}")
    count = len(arrays.inputs)
    # RandomState: numpy guarantees its stream for ever, unlike that of default_rng.
    order = np.random.RandomState(seed).permutation(count)
    if is_integer(arrays.targets) and not arrays.per_step:
        order = order[np.argsort(arrays.targets[order], kind="stable")]
    validation, test = fractions
    in_test = _evenly(count, test)
    rest = order[~in_test]
    in_validation = _evenly(len(rest), validation / (1 - test))
    rows = {"train": rest[~in_validation], "validation": rest[in_validation], "test": order[in_test]}
    for split, fraction in zip(SPLITS, (1 - validation - test, *fractions), strict=True):
        if fraction and not len(rows[split]):
            raise InputError(
                f"{where}: {split}: {fraction:.3g} of {count} examples is none; accepted: larger fractions, more "
                "examples or given splits"
            )
    return {split: np.sort(part) for split, part in rows.items()}


def _evenly(count: int, fraction: float) -> np.ndarray:
    """``fraction`` of ``count`` places, spread evenly; bool ``[count]``."""
    return np.diff(np.floor(np.arange(count + 1) * fraction + 0.5)) > 0


def _rows(arrays: Arrays, rows: np.ndarray) -> Arrays:
    chosen: Any = (None if array is None else array[rows] for array in arrays)
    return Arrays(*chosen)


def _check_alike(where: str, parts: Mapping[str, Arrays]) -> None:
    """InputError unless all splits have inputs and targets of one kind and width; T may differ."""
    for field in ("inputs", "targets"):
        kinds = {}
        for split, arrays in parts.items():
            array = getattr(arrays, field)
            width = array.shape[-1] if array.dtype.kind == "f" or array.ndim == 3 else None
            kinds[split] = (array.ndim, "integer" if is_integer(array) else "float", width)
        for split in kinds:
            if kinds[split] != kinds["train"]:
                one, other = (getattr(parts[each], field) for each in (split, "train"))
                raise InputError(
                    f"{where}: {split}_{field}: {described(one)}; accepted: as train_{field}, {described(other)}"
                )


def _size(where: str, field: str, what: str, checked: Mapping[str, Arrays], size: int | None) -> int:
    """``size``, or the largest id or class plus one; InputError for one that is negative or too large."""
    largest = 0
    for prefix, arrays in checked.items():
        array = getattr(arrays, field)
        valid = arrays.valid if array.ndim == 2 else None
        check_range(f"{where}: {prefix}{field}", array, valid, size, what)
        largest = max(largest, int(array.max() if valid is None else array[valid].max()))
    return largest + 1 if size is None else size


def _split(arrays: Arrays, found: Mapping[str, Any]) -> Split:
    """The arrays as training takes them: standardized, in 32 bits, and 0 after an example's last valid step."""
    inputs, targets, per_step = arrays.inputs, arrays.targets, arrays.per_step
    if inputs.dtype.kind == "f":
        inputs = standardized(inputs, found["inputs"]) if "inputs" in found else inputs.astype(np.float32)
    elif inputs.ndim == 2:
        inputs = inputs.astype(np.int32)
    weights = arrays.weights
    if is_integer(targets):
        targets = targets.astype(np.int32)
    else:
        targets = standardized(targets, found["targets"])
        weights = np.ones(targets.shape[:-1], np.float32) if weights is None else weights
    if arrays.valid is not None:
        inputs = _cut(inputs, arrays.valid)
        targets = _cut(targets, arrays.valid) if per_step else targets
    return Split(inputs, targets, arrays.lengths, weights, arrays.resets)


def _cut(array: np.ndarray, valid: np.ndarray) -> np.ndarray:
    return np.where(valid.reshape(*valid.shape, *[1] * (array.ndim - 2)), array, np.zeros((), array.dtype))
