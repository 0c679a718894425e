"""Cached data sets: preparation, downloads, damage and failures, the same for all, on small stand-ins."""

import functools
import gzip
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.data import POEM, error_of, isolate, mnist_arrays, serve_from, serving, stand_in

from rnnlab import data
from rnnlab.data import corpora, files, imdb, imdb_archive, mnist, registry, word_vocabulary

NAMES = ["imdb", "mnist", "moes_tavern", "tiny_shakespeare"]
ARGUMENT = {"mnist": "DIR"}  # of --from, else PATH
OPTIONS = {"imdb": {"vocabulary": 5, "length": 5}}
OFFICIAL = {"imdb": "RNNLAB_IMDB_ARCHIVE", "mnist": "RNNLAB_TEST_MNIST", "moes_tavern": "RNNLAB_MOES_TAVERN",
            "tiny_shakespeare": "RNNLAB_SHAKESPEARE"}  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    return isolate(tmp_path, monkeypatch)


@pytest.fixture
def tiny(name, tmp_path, monkeypatch):
    return stand_in(name, tmp_path, monkeypatch)


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("socket.create_connection", refuse)


def load(name):
    return data.load_dataset(name, **OPTIONS.get(name, {}))


def status_of(name) -> str:
    return {row[0]: row[2] for row in data.describe()}[name]


def entries(home, name) -> list[str]:
    return [path.name for path in (home / f"rnnlab_{name}").iterdir()]


@pytest.mark.parametrize("name", NAMES)
def test_own_files_are_prepared_once_without_tensorflow_and_without_output(name, tiny, home, monkeypatch, capfd):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert data.prepare(name, tiny.folder) == f"{name}: prepared in {home}/rnnlab_{name}/1.0.0 from {tiny.folder}"
    assert data.prepare(name, tiny.folder) == f"{name}: already prepared in {home}/rnnlab_{name}/1.0.0"
    load(name)
    assert capfd.readouterr() == ("", "")
    assert "tensorflow" not in sys.modules
    assert status_of(name) == "prepared"
    assert entries(home, name) == ["1.0.0"]


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set_that_is_not_prepared_is_downloaded(name, tiny, home, monkeypatch, capfd):
    with serving(tiny.folder) as address:
        serve_from(name, address, monkeypatch)
        downloaded = load(name)
    assert capfd.readouterr() == ("", "")
    assert entries(home, name) == ["1.0.0"]
    monkeypatch.setenv("RNNLAB_DATA", str(home / "other"))
    data.prepare(name, tiny.folder)
    assert load(name).source == downloaded.source


@pytest.mark.parametrize("name", NAMES)
def test_a_download_with_another_hash_is_refused(name, tiny, home, monkeypatch):
    (tiny.folder / tiny.file).write_bytes(b"a page that requires a login")
    with serving(tiny.folder) as address:
        serve_from(name, address, monkeypatch)
        line = error_of(data.prepare, name, None)
    assert tiny.file in line
    assert "altered" in line
    assert entries(home, name) == []


@pytest.mark.parametrize("name", NAMES)
def test_without_a_network_one_line_within_seconds_tells_how_to_use_own_files(name, home, offline):
    start = time.monotonic()
    for call in (data.load_dataset, functools.partial(data.prepare, source=None)):
        line = error_of(call, name)
        assert f"data: {name} is not prepared in {home} and cannot be downloaded from " in line
        assert "(Network is unreachable)" in line
        assert f"python -m experiments data {name} --from {ARGUMENT.get(name, 'PATH')}" in line
        assert all(file in line for file in registry.DATASETS[name].cached().files)
    assert time.monotonic() - start < 10
    assert not home.exists()


def test_a_host_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(files, "PROBE_TIMEOUT_S", 0.2)

    def hang(*args, **kwargs):
        time.sleep(1.5)
        raise OSError("too late")

    monkeypatch.setattr("socket.create_connection", hang)
    start = time.monotonic()
    assert files.unreachable_reason("http://127.0.0.1:9/") == "no answer within 0.2 s"
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("name", NAMES[1:])
def test_missing_or_altered_files_are_named_before_anything_is_written(name, tiny, home):
    assert "no such folder" in error_of(data.prepare, name, tiny.folder / "none")
    altered = tiny.folder / tiny.file
    original = altered.read_bytes()
    for content in (original[:-3], original[:12] + b"!" + original[13:], b""):
        altered.write_bytes(content)
        for source in (tiny.folder, *([altered] if name in corpora.CORPORA else [])):
            line = error_of(data.prepare, name, source)
            assert "truncated or altered" in line
            assert tiny.file in line
            assert files.sha256(content) in line
            assert tiny.hashes[tiny.file] in line
    altered.unlink()
    line = error_of(data.prepare, name, tiny.folder)
    assert f"missing in {str(tiny.folder)!r}: {tiny.file};" in line
    assert all(file in line for file in tiny.hashes)
    assert not home.exists()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def change_hash(path: Path) -> None:
    path.write_text(path.read_text().replace('"sha256": "', '"sha256": "0'))


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_reported_in_one_line_and_can_be_prepared_again(name, tiny, home):
    data.prepare(name, tiny.folder)
    folder = home / f"rnnlab_{name}" / "1.0.0"
    damages = [(truncate, "*train*"), (Path.unlink, "*train*"), (truncate, "dataset_info.json")]
    if name == "imdb":
        damages += [(Path.unlink, "metadata.json"), (change_hash, "metadata.json")]
    for damage, pattern in damages:
        (path,) = folder.glob(pattern)
        damage(path)
        line = error_of(load, name)
        assert "is damaged" in line
        assert f"python -m experiments data {name} --from {ARGUMENT.get(name, 'PATH')}" in line
        assert f"{name}: prepared" in data.prepare(name, tiny.folder)
        load(name)


@pytest.mark.parametrize("name", NAMES[1:])
def test_intact_files_with_other_content_are_refused(name, tiny, monkeypatch):
    data.prepare(name, tiny.folder)
    monkeypatch.setitem(mnist.CONTENT, "train", "0" * 64)
    if name in corpora.CORPORA:
        monkeypatch.setitem(corpora.CORPORA, name, corpora.CORPORA[name]._replace(sha256="0" * 64))
    assert "not the official one" in error_of(load, name)


@pytest.mark.parametrize("name", ["mnist"])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), RuntimeError("write() failed: disk")])
def test_a_failing_disk_leaves_nothing_that_looks_prepared(name, tiny, home, offline, monkeypatch, failure):
    from rnnlab.data import tfds_store

    def failing_examples(self, dl_manager):
        def examples():
            yield 0, {"image": np.zeros((4, 28, 28), np.uint8), "label": np.full(4, 3, np.int32), "index": 0}
            raise failure

        return {"train": examples()}

    with monkeypatch.context() as patch:
        patch.setattr(tfds_store._Builder, "_split_generators", failing_examples)
        with pytest.raises(OSError, match=r"No space left|write\(\) failed") as caught:
            data.prepare(name, tiny.folder)
    if isinstance(failure, OSError):
        assert caught.value is failure
    assert entries(home, name) == []
    assert status_of(name) == "not prepared"
    (home / f"rnnlab_{name}" / "incomplete.ABC_1.0.0").mkdir()  # left by a killed preparation
    (home / f"rnnlab_{name}" / "1.0.0").mkdir()  # TFDS would take it for finished work
    data.prepare(name, tiny.folder)
    assert entries(home, name) == ["1.0.0"]
    load(name)


# each data set


@pytest.mark.parametrize("name", ["mnist"])
def test_mnist_can_train_on_all_images_and_validate_on_test(tiny):
    data.prepare("mnist", tiny.folder)
    loaded = data.load_dataset("mnist", validation="test")
    np.testing.assert_array_equal(loaded.train.inputs, mnist_arrays("train")[0])
    assert loaded.validation_is_test
    assert loaded.validation is loaded.test


@pytest.mark.parametrize("name", ["mnist"])
def test_mnist_keeps_the_official_order_and_draws_validation_from_train(tiny):
    data.prepare("mnist", tiny.folder)
    loaded = data.load_dataset("mnist")
    images, labels = mnist_arrays("test")
    np.testing.assert_array_equal(loaded.test.inputs, images)
    np.testing.assert_array_equal(loaded.test.targets, labels)
    assert loaded.test.targets.dtype == np.int32
    official = [image.tobytes() + bytes([label]) for image, label in zip(*mnist_arrays("train"), strict=True)]
    train, validation = (
        [
            official.index(image.tobytes() + bytes([label]))
            for image, label in zip(part.inputs, part.targets, strict=True)
        ]
        for part in (loaded.train, loaded.validation)
    )
    assert train == sorted(train)
    assert validation == sorted(np.random.RandomState(28).permutation(40)[:7])
    assert sorted(train + validation) == list(range(40))


@pytest.mark.parametrize("name", ["mnist"])
@pytest.mark.parametrize("count", [1, 4])
def test_mnist_files_may_be_decompressed(tiny, count):
    for file in list(mnist.UNPACKED)[:count]:
        packed = tiny.folder / f"{file}.gz"
        (tiny.folder / file).write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    data.prepare("mnist", tiny.folder)
    np.testing.assert_array_equal(data.load_dataset("mnist").test.inputs, mnist_arrays("test")[0])
    altered = tiny.folder / "train-images-idx3-ubyte"
    altered.write_bytes(altered.read_bytes()[:-1] + b"!")
    line = error_of(data.prepare, "mnist", tiny.folder)
    assert f"train-images-idx3-ubyte in {str(tiny.folder)!r} is truncated or altered" in line
    assert mnist.UNPACKED["train-images-idx3-ubyte"] in line


@pytest.mark.parametrize(("name", "sequence_length"), [("moes_tavern", 20), ("tiny_shakespeare", 32)])
def test_a_corpus_is_the_text_of_its_file(name, tiny, sequence_length):
    file = tiny.folder / tiny.file
    data.prepare(name, file)
    loaded, direct = data.load_dataset(name), data.load_dataset(f"text:{file}", sequence_length=sequence_length)
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(loaded, part).inputs, getattr(direct, part).inputs)
        np.testing.assert_array_equal(getattr(loaded, part).targets, getattr(direct, part).targets)
    assert loaded.vocabulary == direct.vocabulary == "".join(sorted(set(POEM)))
    assert loaded.source == direct.source
    assert data.load_dataset(name, sequence_length=7).train.inputs.shape[1] == 7


# the official files


@pytest.fixture
def official(name, monkeypatch):
    """The official data set ``name`` is prepared, from an environment variable or in the folder of prepared data."""
    if source := os.environ.get(OFFICIAL[name]):
        data.prepare(name, Path(source))
        return
    monkeypatch.undo()
    if status_of(name) != "prepared":
        pytest.skip(f"{OFFICIAL[name]} is not set and {name} is not prepared")


@pytest.mark.parametrize("name", ["mnist"])
def test_official_mnist_has_its_published_counts(official):
    loaded = data.load_dataset("mnist")
    assert [len(split.targets) for split in (loaded.train, loaded.validation, loaded.test)] == [55_000, 5_000, 10_000]
    train = np.bincount(loaded.train.targets) + np.bincount(loaded.validation.targets)
    assert train.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert loaded.test.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert abs(np.concatenate([loaded.train.inputs, loaded.validation.inputs]).mean() / 255 - 0.1307) < 1e-4


@pytest.mark.parametrize(
    ("name", "characters", "distinct"), [("moes_tavern", 305_190, 89), ("tiny_shakespeare", 1_115_394, 65)]
)
def test_official_texts_have_their_published_sizes(name, official, characters, distinct):
    loaded = data.load_dataset(name)
    assert loaded.source["characters"] == characters
    assert loaded.input_size == loaded.output_size == len(loaded.vocabulary) == distinct


@pytest.mark.slow
@pytest.mark.parametrize("name", ["imdb"])
def test_official_imdb_has_as_many_words_as_keras_finds(official):
    source = os.environ.get(OFFICIAL["imdb"])
    reviews = imdb_archive.read_reviews(Path(source)) if source else registry.cache.load(imdb.cached())
    assert reviews.sha256 == imdb.OFFICIAL
    words = {
        word for key, text in reviews.texts.items() if key.startswith("train/") for word in word_vocabulary.tokens(text)
    }
    assert len(words) == 88_582
