"""Digits, texts and the registry: splits, windows, and messages for wrong input. Cached data sets: test_cache.py."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.data import POEM, error_of, isolate

from rnnlab import data
from rnnlab.data import digits, files, text


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    return isolate(tmp_path, monkeypatch)


# digits


def test_digits_splits_are_disjoint_complete_and_stratified():
    from sklearn.datasets import load_digits

    labels = load_digits().target
    parts = digits.split_indices(labels)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(1797))
    for part, share in zip(parts, (0.70, 0.15, 0.15), strict=True):
        per_class = np.bincount(labels[part]) / np.bincount(labels)
        np.testing.assert_allclose(per_class, share, atol=0.006)  # rounding: one of at least 174 images


def test_digits_match_scikit_learn_and_scale_to_one():
    from sklearn.datasets import load_digits

    bunch, loaded = load_digits(), data.load_dataset("digits")
    labels = {image.tobytes(): label for image, label in zip(bunch.images, bunch.target, strict=True)}
    for split in (loaded.train, loaded.validation, loaded.test):
        assert split.inputs.dtype == np.uint8
        assert split.targets.dtype == np.int32
        for image, label in zip(split.inputs, split.targets, strict=True):
            assert labels[image.astype(np.float64).tobytes()] == label
    assert loaded.train.inputs.max() * loaded.scale == 1.0
    assert loaded.input_size == loaded.train.inputs.shape[2] == 8


def test_the_digits_split_is_pinned_so_that_seeds_compare_across_machines_and_years():
    train, validation, test = digits.split_indices(np.arange(60) % 3)
    assert len(train) == 42
    assert validation.tolist() == [1, 5, 9, 20, 31, 33, 47, 51, 52]
    assert test.tolist() == [3, 6, 7, 13, 28, 38, 44, 50, 57]
    source = data.load_dataset("digits").source
    assert json.loads(json.dumps(source)) == source


# texts


def decoded(loaded, ids) -> str:
    return "".join(loaded.vocabulary[i] for i in ids.ravel())


@pytest.mark.parametrize("sequence_length", [1, 7, 50])
def test_windows_are_adjacent_and_targets_are_the_next_characters(tmp_path, sequence_length):
    (tmp_path / "poem.txt").write_text(POEM, encoding="utf-8")
    loaded = data.load_dataset(f"text:{tmp_path}/poem.txt", sequence_length=sequence_length)
    n = len(POEM) // 20
    parts = (POEM[: -2 * n], POEM[-2 * n : -n], POEM[-n:])
    for split, part in zip((loaded.train, loaded.validation, loaded.test), parts, strict=True):
        used = len(split.inputs) * sequence_length
        assert decoded(loaded, split.inputs) == part[:used]
        assert decoded(loaded, split.targets) == part[1 : used + 1]
        assert len(part) - used <= sequence_length  # only an incomplete last window is dropped
        assert split.inputs.dtype == split.targets.dtype == np.int32
    assert loaded.vocabulary == "".join(sorted(set(POEM)))
    assert loaded.input_size == loaded.output_size == len(set(POEM))
    assert loaded.source["sha256"] == files.sha256((tmp_path / "poem.txt").read_bytes())


def test_pydoc_is_the_reference_text_of_this_python():
    from pydoc_data.topics import topics

    loaded = data.load_dataset("pydoc", sequence_length=50)
    text = "".join(topics[key] for key in sorted(topics))
    assert text.startswith(decoded(loaded, loaded.train.inputs))
    assert loaded.source["characters"] == len(text) > 400_000
    assert loaded.source["sha256"] == files.sha256(text.encode())
    assert json.loads(json.dumps(loaded.source)) == loaded.source


def test_a_byte_order_mark_and_crlf_are_not_part_of_the_text(tmp_path):
    (tmp_path / "dos.txt").write_bytes(b"\xef\xbb\xbf" + POEM.replace("\n", "\r\n").encode())
    (tmp_path / "unix.txt").write_bytes(POEM.encode())
    dos, unix = (data.load_dataset(f"text:{tmp_path}/{name}.txt", sequence_length=5) for name in ("dos", "unix"))
    assert dos.vocabulary == unix.vocabulary
    np.testing.assert_array_equal(dos.train.inputs, unix.train.inputs)


def test_a_text_can_be_trained_on_as_a_whole():
    loaded = text.from_text("t", "abcde" * 50, "", 5, whole=True)
    assert len(loaded.train.inputs) == 49
    assert loaded.validation is loaded.test
    assert loaded.validation_is_test


def test_the_shortest_text_has_one_window_in_validation_and_test_and_the_message_names_its_size():
    shortest = ("abc" * 100)[: 20 * (5 + 1)]
    loaded = text.from_text("t", shortest, "", 5)
    assert loaded.validation.inputs.shape == loaded.test.inputs.shape == (1, 5)
    line = error_of(text.from_text, "t", shortest[:-1], "", 5)
    assert "the text has 119 characters, but sequence_length=5 needs at least 120" in line


@pytest.mark.parametrize(
    ("content", "sequence_length", "message"),
    [
        (b"", 5, "the file is empty"),
        (b"\xef\xbb\xbf", 5, "the file is empty"),
        (b"a" * 999, 5, "the only character in this text is 'a'"),
        (b"caf\xe9 " * 99, 5, "not a text file: invalid UTF-8 at byte 3"),
        (b"abc\0" * 99, 5, "not a text file: it contains NUL bytes"),
        (b"abc " * 99, 0, "data_options.sequence_length: 0 is out of range; accepted: 1 or more"),
        (b"abc " * 99, "20", "data_options.sequence_length: '20' is not valid; accepted: an integer"),
        (None, 5, "no such file"),
    ],
)
def test_an_invalid_text_or_sequence_length_is_refused(tmp_path, content, sequence_length, message):
    if content is not None:
        (tmp_path / "f").write_bytes(content)
    assert message in error_of(data.load_dataset, f"text:{tmp_path}/f", sequence_length=sequence_length)


def test_a_text_must_be_a_regular_file(tmp_path):
    assert "not a regular file" in error_of(data.load_dataset, f"text:{tmp_path}")
    assert "accepted: text:PATH" in error_of(data.load_dataset, "text:")


# names


def test_an_unknown_name_gets_the_closest_match_and_all_accepted_names():
    for call in (functools.partial(data.load_dataset, sequence_length=5), functools.partial(data.prepare, source=None)):
        line = error_of(call, "minst")
        assert "did you mean 'mnist'" in line
        assert all(name in line for name in [*data.DATASETS, "text:PATH"])


def test_embedded_data_needs_no_preparation(tmp_path):
    assert data.prepare("digits", None) == "digits: nothing to prepare"
    assert data.prepare("text:x", None) == "text:x: nothing to prepare"
    assert "accepted for: imdb, mnist, moes_tavern, tiny_shakespeare" in error_of(data.prepare, "pydoc", tmp_path)


def test_data_dir_is_the_environment_variable_or_the_cache(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("RNNLAB_DATA", "~/prepared")
    assert data.data_dir() == Path("/somewhere/prepared")
    monkeypatch.setenv("RNNLAB_DATA", "")
    assert data.data_dir() == Path("/somewhere/.cache/rnnlab")


def test_data_sets_are_listed_without_heavy_imports():
    code = (
        "import sys; from rnnlab import data; status = {name: status for name, _, status in data.describe()}; "
        "assert status['mnist'] == 'not prepared' and status['digits'] == 'embedded', status; "
        "assert not {'jax', 'sklearn', 'tensorflow', 'tensorflow_datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
