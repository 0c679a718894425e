"""Data sets of a user's arrays: splits, standardization, lengths, weights, and a line for every kind of mistake."""

import doctest
import json

import numpy as np
import pytest
from helpers.data import error_of

from rnnlab import data
from rnnlab.data import arrays, series
from rnnlab.data.arrays import from_arrays
from rnnlab.data.dataset import Dataset
from rnnlab.data.standardize import restore_targets, standardize_inputs

N, T, D = 40, 6, 3
DRAW = np.random.default_rng(3)
XS = DRAW.normal(5.0, [1.0, 10.0, 100.0], (N, T, D))
CLASSES = np.arange(N) % 4
VALUES = DRAW.normal(1000.0, 30.0, (N, 2))
LENGTHS = np.arange(N) % T + 1
SPLITS = ("train", "validation", "test")


def splits_of(dataset):
    return [getattr(dataset, split) for split in SPLITS]


@pytest.mark.parametrize(
    ("inputs", "targets", "task", "sizes"),
    [
        (XS, CLASSES, "multiclass_classification", (3, 4)),
        (XS.astype(np.float32), CLASSES > 1, "multiclass_classification", (3, 2)),
        ((XS % 256).astype(np.uint8), VALUES[:, 0], "multivariate_regression", (3, 1)),
        (np.arange(N * T).reshape(N, T) % 9, VALUES, "multivariate_regression", (9, 2)),
        (np.arange(N * T, dtype=np.uint8).reshape(N, T) % 9, XS[..., :2], "regression_at_each_step", (9, 2)),
        (XS.tolist(), np.arange(N * T).reshape(N, T) % 5, "tagging", (3, 5)),
    ],
)
def test_shapes_and_types_choose_the_task_and_every_example_is_in_one_split(inputs, targets, task, sizes):
    marked = np.arange(N) + 1.0  # the weight tells which example it is
    dataset = from_arrays(inputs, targets, weights=marked)
    assert (dataset.task, (dataset.input_size, dataset.output_size)) == (task, sizes)
    rows = [np.asarray(split.weights).reshape(len(split.targets), -1)[:, 0] - 1 for split in splits_of(dataset)]
    assert [len(part) for part in rows] == [28, 6, 6]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(N))
    for part, split in zip(rows, splits_of(dataset), strict=True):
        given, ours = np.asarray(inputs)[part.astype(int)], split.inputs
        read = standardize_inputs(dataset.source, given) if given.dtype.kind == "f" else given
        np.testing.assert_allclose(ours, read, rtol=1e-6)
        answers = np.asarray(targets)[part.astype(int)]
        if np.asarray(targets).dtype.kind == "f":
            answers = answers.reshape(len(part), *answers.shape[1:] or [1])
            np.testing.assert_allclose(restore_targets(dataset.source, split.targets), answers, rtol=1e-4)
        else:
            np.testing.assert_array_equal(split.targets, answers)
    assert json.loads(json.dumps(dataset.source)) == dataset.source


def test_the_split_seed_decides_the_split_and_classes_are_divided_in_proportion():
    rare = (np.arange(200) % 20 == 0).astype(int)  # 5 %
    xs = np.arange(200.0)[:, None, None]
    one, same, other = (from_arrays(xs, rare, split_seed=seed, standardize=False) for seed in (1, 1, 2))
    assert one.source == same.source != other.source
    assert sorted(int(split.targets.sum()) for split in splits_of(one)) == [1, 2, 7]
    assert one.test.inputs.ravel().tolist() != other.test.inputs.ravel().tolist()
    assert from_arrays(xs, rare, test_fraction=0.5).test.inputs.shape[0] == 100


def test_statistics_are_those_of_valid_training_steps_alone_and_what_follows_a_length_is_never_read():
    garbage = np.where(np.arange(T) < LENGTHS[:, None], 0.0, np.nan)[..., None]
    given = {
        "train_inputs": (XS + garbage)[:20], "train_targets": VALUES[:20], "train_lengths": LENGTHS[:20],
        "validation_inputs": 1e6 * XS[20:30], "validation_targets": 1e6 * VALUES[20:30],
        "test_inputs": XS[30:], "test_targets": VALUES[30:],
    }  # fmt: skip
    dataset = from_arrays(**given)
    valid = np.concatenate([x[:length] for x, length in zip(XS[:20], LENGTHS[:20], strict=True)])
    found = dataset.source["standardized"]
    np.testing.assert_allclose(found["inputs"]["mean"], valid.mean(axis=0), rtol=1e-8)
    np.testing.assert_allclose(found["inputs"]["std"], valid.std(axis=0), rtol=1e-8)
    np.testing.assert_allclose(dataset.target_scale, VALUES[:20].std(axis=0), rtol=1e-8)
    assert not dataset.train.inputs[0, 1:].any()
    np.testing.assert_allclose(dataset.train.inputs[0, 0], (XS[0, 0] - valid.mean(0)) / valid.std(0), rtol=1e-5)


def test_a_constant_feature_is_left_at_0_and_standardization_can_be_switched_off():
    constant = np.full((N, T, 1), 0.1)
    assert not from_arrays(constant, CLASSES).train.inputs.any()
    plain = from_arrays(XS, CLASSES, standardize=False)
    assert "standardized" not in plain.source
    np.testing.assert_array_equal(standardize_inputs(plain.source, XS), XS)


def test_lengths_and_weights_become_weights_of_steps():
    tags = np.arange(N * T).reshape(N, T) % 5
    dataset = from_arrays(XS, np.where(np.arange(T) < LENGTHS[:, None], tags, -1), LENGTHS, np.arange(N) + 1.0)
    for split in splits_of(dataset):
        valid = np.arange(T) < split.lengths[:, None]
        np.testing.assert_array_equal(split.weights > 0, valid)
        assert len({row.max() for row in split.weights}) == len(split.weights)
    by_step = from_arrays(XS, tags, weights=np.tile([1.0, 0, 2, 0, 0, 3], (N, 1)))
    assert by_step.train.weights[5].tolist() == [1, 0, 2, 0, 0, 3]


def test_without_a_validation_split_it_is_taken_from_the_training_examples():
    given = {
        "train_inputs": XS[:30],
        "train_targets": CLASSES[:30],
        "test_inputs": XS[30:],
        "test_targets": CLASSES[30:],
    }
    dataset = Dataset.from_arrays(**given, validation_fraction=0.2)
    assert [len(split.targets) for split in splits_of(dataset)] == [24, 6, 10]
    np.testing.assert_array_equal(dataset.test.targets, CLASSES[30:])


@pytest.mark.parametrize("module", [arrays, series])
def test_the_examples_in_docstrings_are_true(module):
    assert doctest.testmod(module) == (0, 1)


def holed(value, place):
    array = XS.copy()
    array[place] = value
    return array


GIVEN = {"train_inputs": XS[:20], "train_targets": CLASSES[:20], "test_inputs": XS[20:], "test_targets": CLASSES[20:]}
OBJECTS = np.array([[1.0], [1.0, 2.0]], dtype=object)
BAD = {  # what is wrong: (arrays, what the line says)
    "inputs of rank 1": ({"inputs": XS[:, 0, 0], "targets": CLASSES}, "inputs: float64 of shape [40]"),
    "inputs of rank 4": ({"inputs": XS[..., None], "targets": CLASSES}, "inputs: float64 of shape [40, 6, 3, 1]"),
    "one feature without its axis": ({"inputs": XS[..., 0], "targets": CLASSES}, "one feature is [N, T, 1]"),
    "integer features": ({"inputs": XS.astype(int), "targets": CLASSES}, "inputs: int64 of shape"),
    "complex inputs": ({"inputs": XS * 1j, "targets": CLASSES}, "inputs: complex128"),
    "words": ({"inputs": XS, "targets": np.array(["a", "b"] * 20)}, "targets: <U1 of shape [40]"),
    "no example": ({"inputs": XS[:0], "targets": CLASSES[:0]}, "inputs: float64 of shape [0, 6, 3]"),
    "objects": ({"inputs": OBJECTS, "targets": CLASSES}, "inputs: an array of Python objects"),
    "nan": ({"inputs": holed(np.nan, (7, 2, 1)), "targets": CLASSES}, "inputs: nan at [7, 2, 1]"),
    "infinity": ({"inputs": holed(-np.inf, (0, 5, 0)), "targets": CLASSES}, "inputs: -inf at [0, 5, 0]"),
    "too large for float32": ({"inputs": holed(1e39, (1, 1, 1)), "targets": CLASSES}, "1e+39 at [1, 1, 1]"),
    "nan in targets": ({"inputs": XS, "targets": np.where(np.arange(N) == 9, np.nan, 1.0)}, "targets: nan at [9, 0]"),
    "a negative class": ({"inputs": XS, "targets": CLASSES - 1}, "targets: -1 at [0]"),
    "a class too many": ({"inputs": XS, "targets": CLASSES, "num_classes": 3}, "targets: 3 at [3] is out of range; "
                         "accepted: classes 0 to 2"),
    "no class": ({"inputs": XS, "targets": CLASSES, "num_classes": 0}, "num_classes: 0"),
    "one class": ({"inputs": XS, "targets": 0 * CLASSES}, "targets: class 0 alone"),
    "a negative id": ({"inputs": -np.ones((N, T), int), "targets": CLASSES}, "inputs: -1 at [0, 0]"),
    "an id too large": ({"inputs": np.full((N, T), 9), "targets": CLASSES, "vocabulary_size": 9}, "ids 0 to 8"),
    "targets of another N": ({"inputs": XS, "targets": CLASSES[:-1]}, "N = 40 examples"),
    "targets of another T": ({"inputs": XS, "targets": np.ones((N, 5), int)}, "T = 6 steps"),
    "targets of rank 0": ({"inputs": XS, "targets": np.array(1.0)}, "targets: float64 of shape []"),
    "a length beyond T": ({"inputs": XS, "targets": CLASSES, "lengths": LENGTHS + 1}, "lengths: 7 at [5]"),
    "a length of 0": ({"inputs": XS, "targets": CLASSES, "lengths": LENGTHS - 1}, "lengths: 0 at [0]"),
    "real lengths": ({"inputs": XS, "targets": CLASSES, "lengths": LENGTHS + 0.5}, "lengths: float64"),
    "a negative weight": ({"inputs": XS, "targets": CLASSES, "weights": -np.ones(N)}, "weights: -1.0 at [0]"),
    "a weight that is nan": ({"inputs": XS, "targets": CLASSES, "weights": np.full(N, np.nan)}, "weights: nan at [0]"),
    "an example of weight 0": ({"inputs": XS, "targets": CLASSES, "weights": 1.0 * CLASSES}, "example 0 has weight 0"),
    "weights of another N": ({"inputs": XS, "targets": CLASSES, "weights": np.ones((N, T))}, "weights: float64"),
    "an unknown array": ({"inputs": XS, "labels": CLASSES}, "unknown value 'labels'"),
    "no inputs": ({"targets": CLASSES}, "inputs: missing"),
    "no targets": ({"inputs": XS}, "targets: missing"),
    "no test split": ({"train_inputs": XS, "train_targets": CLASSES}, "test_inputs: missing"),
    "no training targets": ({**GIVEN, "train_targets": None}, "train_targets: missing"),
    "both ways": ({**GIVEN, "inputs": XS}, "inputs beside given splits"),
    "a split of another width": ({**GIVEN, "test_inputs": XS[20:, :, :2]}, "test_inputs: float64 of shape [20, 6, 2]"),
    "a split of another task": ({**GIVEN, "test_targets": VALUES[20:]}, "test_targets: float64"),
    "nan in one split": ({**GIVEN, "test_inputs": np.full((20, T, D), np.nan)}, "test_inputs: nan at [0, 0, 0]"),
    "an empty split": ({"inputs": XS[:3], "targets": CLASSES[:3]}, "test: 0.15 of 3 examples is none"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_wrong_arrays_are_refused_in_one_line_from_python_and_from_a_file(bad, tmp_path):
    given, said = BAD[bad]
    line = error_of(from_arrays, **given)
    assert said in line
    np.savez(tmp_path / "own.npz", **{name: array for name, array in given.items() if array is not None})
    of_file = error_of(data.load_dataset, f"arrays:{tmp_path}/own.npz")
    if "objects" in bad:
        assert "inputs: an array of Python objects, which is never unpickled" in of_file
    else:
        assert of_file == line.replace("data: arrays:", f"data: arrays:{tmp_path}/own.npz:")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"validation_fraction": 0.0}, "validation_fraction: 0.0 is out of range; accepted: above 0, below 0.85"),
        ({"test_fraction": 1}, "test_fraction: 1 is out of range; accepted: above 0, below 1"),
        ({"test_fraction": 0.5, "validation_fraction": 0.5}, "validation_fraction: 0.5 is out of range"),
        ({"split_seed": -1}, "split_seed: -1"),
        ({"split_seed": 0.5}, "data_options.split_seed: 0.5 is not valid; accepted: an integer"),
        ({"test_fraction": "half"}, "data_options.test_fraction: 'half' is not valid; accepted: a number"),
        ({"standardize": 1}, "data_options.standardize: 1 is not valid; accepted: true or false"),
        ({"horizon": 1}, "'horizon'"),
    ],
)
def test_wrong_options_of_arrays_are_refused(options, said, tmp_path):
    np.savez(tmp_path / "own.npz", inputs=XS, targets=CLASSES)
    assert said in error_of(data.load_dataset, f"arrays:{tmp_path}/own.npz", **options)


def test_what_is_no_npz_file_is_refused(tmp_path):
    np.savez(tmp_path / "whole.npz", inputs=XS, targets=CLASSES)
    whole = (tmp_path / "whole.npz").read_bytes()
    flipped = bytearray(whole)
    flipped[300] ^= 1
    np.save(tmp_path / "single.npy", XS)
    contents = {
        "not an .npz file": [b"", b"hello", b"\x80\x04N.", b"PK\x03\x04", whole[: len(whole) // 2]],
        "a single array": [(tmp_path / "single.npy").read_bytes()],
        "inputs: truncated or altered": [bytes(flipped)],
    }
    for said, files in contents.items():
        for content in files:
            (tmp_path / "bad.npz").write_bytes(content)
            assert said in error_of(data.load_dataset, f"arrays:{tmp_path}/bad.npz")
    assert "no such file" in error_of(data.load_dataset, f"arrays:{tmp_path}/nowhere.npz")
    assert "accepted: arrays:FILE.npz" in error_of(data.load_dataset, "arrays:")


def test_a_file_is_identified_by_its_hash_and_gives_the_arrays_of_python(tmp_path):
    np.savez_compressed(tmp_path / "own.npz", inputs=XS, targets=CLASSES, lengths=LENGTHS)
    of_file = data.load_dataset(f"arrays:{tmp_path}/own.npz", split_seed=5, validation_fraction=0.2)
    of_python = from_arrays(XS, CLASSES, LENGTHS, split_seed=5, validation_fraction=0.2)
    assert of_file.source == {**of_python.source, "file": data.files.sha256((tmp_path / "own.npz").read_bytes())}
    for one, other in zip(splits_of(of_file), splits_of(of_python), strict=True):
        for array, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, same)
