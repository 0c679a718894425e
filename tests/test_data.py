"""The data room: splits, windows, preparation through TFDS, and what a user is told when something is wrong."""

import functools
import gzip
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rnnlab.core.errors import InputError
from rnnlab.data import digits, files, mnist, text
from rnnlab.data import registry as data

REAL = os.environ.get("RNNLAB_TEST_MNIST")
POEM = "".join(f"{i} bottles, {i * 7 % 11} gläser;\n" for i in range(200))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Prepared data in a folder of the test's own; no proxy of the machine in the way of a local server."""
    monkeypatch.setenv("RNNLAB_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home"


@pytest.fixture
def offline(monkeypatch):
    """A machine without a network, as far as Python's own sockets go."""

    def refuse(*args, **kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("socket.create_connection", refuse)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Four files in MNIST's format with 40 + 12 random images, which stand for the official ones."""
    draw = np.random.RandomState(0)
    folder = tmp_path / "official"
    folder.mkdir()
    arrays, contents = {}, {}
    for split, prefix, count in (("train", "train", 40), ("test", "t10k", 12)):
        images = draw.randint(0, 256, (count, 28, 28)).astype(np.uint8)
        labels = draw.randint(0, 10, count).astype(np.uint8)
        header = b"".join(size.to_bytes(4, "big") for size in (2051, count, 28, 28))
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
        header = b"".join(size.to_bytes(4, "big") for size in (2049, count))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(header + labels.tobytes()))
        arrays[split] = images, labels
        contents[split] = files.sha256(images.tobytes(), labels.tobytes())
    monkeypatch.setattr(mnist, "FILES", {file: files.sha256((folder / file).read_bytes()) for file in mnist.FILES})
    monkeypatch.setattr(mnist, "CONTENT", contents)
    monkeypatch.setattr(mnist, "VALIDATION", 7)
    return SimpleNamespace(folder=folder, arrays=arrays)


def error_of(call, *args, **kwargs) -> str:
    """The one line of the InputError that the call must raise."""
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rows(split) -> list[bytes]:
    return [image.tobytes() + bytes([label]) for image, label in zip(split.inputs, split.targets, strict=True)]


# digits


def test_digits_splits_are_disjoint_cover_everything_and_keep_the_classes():
    from sklearn.datasets import load_digits

    labels = load_digits().target
    parts = digits.split_indices(labels)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(1797))
    for part, share in zip(parts, (0.70, 0.15, 0.15), strict=True):
        per_class = np.bincount(labels[part]) / np.bincount(labels)
        np.testing.assert_allclose(per_class, share, atol=0.006)  # rounding: one of at least 174 images


def test_digits_are_the_images_of_their_labels_at_full_scale():
    from sklearn.datasets import load_digits

    bunch, loaded = load_digits(), data.load_dataset("digits")
    known = {image.tobytes(): label for image, label in zip(bunch.images, bunch.target, strict=True)}
    for split in (loaded.train, loaded.validation, loaded.test):
        assert split.inputs.dtype == np.uint8
        assert split.targets.dtype == np.int32
        for image, label in zip(split.inputs, split.targets, strict=True):
            assert known[image.astype(np.float64).tobytes()] == label
    assert loaded.train.inputs.max() * loaded.scale == 1.0
    assert loaded.input_size == loaded.train.inputs.shape[2] == 8


def test_digits_split_is_pinned():
    """Seeds are compared across machines and years: the split must be this one."""
    again = data.load_dataset("digits")
    train, validation, test = digits.split_indices(np.arange(60) % 3)
    assert (len(train), list(validation), list(test)) == (42, PINNED_VALIDATION, PINNED_TEST)
    assert files.sha256(again.test.inputs.tobytes()) == files.sha256(data.load_dataset("digits").test.inputs.tobytes())
    assert json.loads(json.dumps(again.source)) == again.source


PINNED_VALIDATION = [1, 5, 9, 20, 31, 33, 47, 51, 52]
PINNED_TEST = [3, 6, 7, 13, 28, 38, 44, 50, 57]


# texts


def decoded(loaded, ids) -> str:
    return "".join(loaded.vocabulary[i] for i in ids.ravel())


@pytest.mark.parametrize("sequence_length", [1, 7, 50])
def test_windows_lie_end_to_end_and_targets_are_the_next_characters(tmp_path, sequence_length):
    (tmp_path / "poem.txt").write_text(POEM, encoding="utf-8")
    loaded = data.load_dataset(f"text:{tmp_path}/poem.txt", sequence_length=sequence_length)
    held = len(POEM) // 20
    parts = (POEM[: -2 * held], POEM[-2 * held : -held], POEM[-held:])
    for split, part in zip((loaded.train, loaded.validation, loaded.test), parts, strict=True):
        used = len(split.inputs) * sequence_length
        assert decoded(loaded, split.inputs) == part[:used]
        assert decoded(loaded, split.targets) == part[1 : used + 1]
        assert len(part) - used <= sequence_length  # only a tail without a whole window and its target is dropped
        assert split.inputs.dtype == split.targets.dtype == np.int32
    assert loaded.vocabulary == "".join(sorted(set(POEM)))
    assert loaded.input_size == loaded.output_size == len(set(POEM))
    assert loaded.source["sha256"] == files.sha256((tmp_path / "poem.txt").read_bytes())


def test_pydoc_is_the_reference_text_of_this_python():
    from pydoc_data.topics import topics

    loaded = data.load_dataset("pydoc", sequence_length=50)
    whole = "".join(topics[key] for key in sorted(topics))
    assert whole.startswith(decoded(loaded, loaded.train.inputs))
    assert loaded.source["characters"] == len(whole) > 400_000
    assert loaded.source["sha256"] == files.sha256(whole.encode())
    assert json.loads(json.dumps(loaded.source)) == loaded.source


def test_a_byte_order_mark_and_crlf_are_not_part_of_the_text(tmp_path):
    (tmp_path / "dos.txt").write_bytes(b"\xef\xbb\xbf" + POEM.replace("\n", "\r\n").encode())
    (tmp_path / "unix.txt").write_bytes(POEM.encode())
    dos, unix = (data.load_dataset(f"text:{tmp_path}/{name}.txt", sequence_length=5) for name in ("dos", "unix"))
    assert dos.vocabulary == unix.vocabulary
    np.testing.assert_array_equal(dos.train.inputs, unix.train.inputs)


def test_the_shortest_text_has_one_window_in_validation_and_test():
    shortest = ("abc" * 100)[: 20 * (5 + 1)]
    loaded = text.from_text("t", shortest, "", 5)
    assert loaded.validation.inputs.shape == loaded.test.inputs.shape == (1, 5)
    line = error_of(text.from_text, "t", shortest[:-1], "", 5)
    assert "119 characters" in line
    assert "120" in line


@pytest.mark.parametrize(
    ("content", "sequence_length", "says"),
    [
        (b"", 5, "empty"),
        (b"\xef\xbb\xbf", 5, "empty"),
        (b"a" * 999, 5, "one distinct character, 'a'"),
        (b"caf\xe9 " * 99, 5, "not a text file: no UTF-8 at byte 3"),
        (b"abc\0" * 99, 5, "not a text file: it holds NUL bytes"),
        (b"abc " * 99, 0, "sequence_length: 0 "),
        (b"abc " * 99, -4, "sequence_length: -4 "),
    ],
)
def test_what_is_no_text_to_learn_from_is_refused(tmp_path, content, sequence_length, says):
    (tmp_path / "f").write_bytes(content)
    assert says in error_of(data.load_dataset, f"text:{tmp_path}/f", sequence_length=sequence_length)


def test_what_is_no_file_is_refused(tmp_path):
    assert "no such file" in error_of(data.load_dataset, f"text:{tmp_path}/none", sequence_length=5)
    assert "not a regular file" in error_of(data.load_dataset, f"text:{tmp_path}", sequence_length=5)
    assert "text:PATH" in error_of(data.load_dataset, "text:", sequence_length=5)


# names


def test_an_unknown_name_is_told_what_is_accepted():
    for call in (functools.partial(data.load_dataset, sequence_length=5), functools.partial(data.prepare, source=None)):
        line = error_of(call, "minst")
        assert "did you mean 'mnist'" in line
        assert all(name in line for name in [*data.DATASETS, "text:PATH"])


def test_what_is_embedded_needs_no_preparation(tmp_path):
    assert data.prepare("digits", None) == "digits: nothing is to be prepared"
    assert data.prepare("text:x", None) == "text:x: nothing is to be prepared"
    assert "accepted for: imdb, mnist, moes_tavern, tiny_shakespeare" in error_of(data.prepare, "pydoc", tmp_path)


def test_data_dir_is_the_environment_variable_or_the_cache(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("RNNLAB_DATA", "~/kept")
    assert data.data_dir() == Path("/somewhere/kept")
    monkeypatch.setenv("RNNLAB_DATA", "")
    assert data.data_dir() == Path("/somewhere/.cache/rnnlab")


def test_the_list_of_data_sets_is_told_without_heavy_imports():
    code = (
        "import sys; from rnnlab import data; rows = data.describe(); "
        "heavy = {'jax', 'sklearn', 'tensorflow', 'tensorflow_datasets'} & set(sys.modules); "
        "print(sorted(heavy), {name: status for name, _, status in rows})"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.startswith("[] ")
    assert "'mnist': 'not prepared'" in told
    assert "'digits': 'embedded'" in told


# MNIST through TFDS, on stand-ins for the official files


def test_mnist_prepares_and_loads_in_the_official_order_without_tensorflow(tiny, home, monkeypatch, capfd):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    line = data.prepare("mnist", tiny.folder)
    assert str(home) in line
    loaded = data.load_dataset("mnist")
    assert capfd.readouterr() == ("", "")
    assert "tensorflow" not in sys.modules
    images, labels = tiny.arrays["test"]
    np.testing.assert_array_equal(loaded.test.inputs, images)
    np.testing.assert_array_equal(loaded.test.targets, labels)
    assert loaded.test.targets.dtype == np.int32
    official = [image.tobytes() + bytes([label]) for image, label in zip(*tiny.arrays["train"], strict=True)]
    places = [[official.index(row) for row in rows(split)] for split in (loaded.train, loaded.validation)]
    assert [len(place) for place in places] == [33, 7]
    assert sorted(places[0] + places[1]) == list(range(40))
    assert all(place == sorted(place) for place in places)
    assert places[1] == sorted(np.random.RandomState(28).permutation(40)[:7])
    assert {name: status for name, _, status in data.describe()}["mnist"] == "prepared"
    assert "already prepared" in data.prepare("mnist", tiny.folder)
    assert [path.name for path in (home / "rnnlab_mnist").iterdir()] == ["1.0.0"]


def test_mnist_downloads_through_tfds_where_nothing_is_prepared(tiny, home, monkeypatch, capfd):
    with serving(tiny.folder) as address:
        monkeypatch.setattr(mnist, "URL", address)
        loaded = data.load_dataset("mnist")
    np.testing.assert_array_equal(loaded.test.inputs, tiny.arrays["test"][0])
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in (home / "rnnlab_mnist").iterdir()] == ["1.0.0"]


def test_a_download_that_is_not_the_official_file_is_refused(tiny, home, monkeypatch):
    (tiny.folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"a page that asks you to log in")
    with serving(tiny.folder) as address:
        monkeypatch.setattr(mnist, "URL", address)
        line = error_of(data.prepare, "mnist", None)
    assert "t10k-labels-idx1-ubyte.gz" in line
    assert "altered" in line
    assert not (home / "rnnlab_mnist" / "1.0.0").exists()


class serving:  # noqa: N801 (used as a context manager)
    """A web server on this machine that offers a folder; enters as its address."""

    def __init__(self, folder: Path) -> None:
        class NoProgressMeter(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args) -> None:
                pass

        handler = functools.partial(NoProgressMeter, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *error) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_no_network_is_told_at_once_with_the_way_out(home, offline):
    start = time.monotonic()
    for call in (data.load_dataset, functools.partial(data.prepare, source=None)):
        line = error_of(call, "mnist")
        assert "Network is unreachable" in line
        assert "python -m experiments data mnist --from DIR" in line
        assert all(file in line for file in mnist.FILES)
    assert time.monotonic() - start < 10
    assert not home.exists()


def test_a_host_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(files, "PATIENCE", 0.2)

    def hang(*args, **kwargs):
        time.sleep(1.5)
        raise OSError("too late")

    monkeypatch.setattr("socket.create_connection", hang)
    start = time.monotonic()
    assert files.unreachable("http://127.0.0.1:9/") == "no answer within 0.2 s"
    assert time.monotonic() - start < 1


def test_files_that_are_missing_or_altered_are_named_before_anything_is_written(tiny, home):
    assert "no such folder" in error_of(data.prepare, "mnist", tiny.folder / "none")
    victim = tiny.folder / "train-labels-idx1-ubyte.gz"
    whole = victim.read_bytes()
    for content in (whole[:-3], whole[:12] + b"!" + whole[13:], b""):
        victim.write_bytes(content)
        line = error_of(data.prepare, "mnist", tiny.folder)
        assert "train-labels-idx1-ubyte.gz" in line
        assert files.sha256(content) in line
        assert mnist.FILES["train-labels-idx1-ubyte.gz"] in line
    victim.unlink()
    line = error_of(data.prepare, "mnist", tiny.folder)
    assert f"missing in {str(tiny.folder)!r}: train-labels-idx1-ubyte.gz;" in line
    assert all(file in line for file in mnist.FILES)
    assert not home.exists()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def test_damaged_prepared_files_are_told_and_prepared_anew(tiny, home):
    data.prepare("mnist", tiny.folder)
    folder = home / "rnnlab_mnist" / "1.0.0"
    (record,) = folder.glob("*train*")
    info = folder / "dataset_info.json"
    for damage, path in ((truncate, record), (Path.unlink, record), (truncate, info)):
        damage(path)
        line = error_of(data.load_dataset, "mnist")
        assert "damaged" in line
        assert "python -m experiments data mnist --from DIR" in line
        assert "mnist: prepared" in data.prepare("mnist", tiny.folder)
        np.testing.assert_array_equal(data.load_dataset("mnist").test.inputs, tiny.arrays["test"][0])


def test_sound_files_with_other_images_are_told(tiny, monkeypatch):
    data.prepare("mnist", tiny.folder)
    monkeypatch.setitem(mnist.CONTENT, "train", files.sha256(b"the official images"))
    assert "the train images are not the official ones" in error_of(data.load_dataset, "mnist")


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), RuntimeError("write() failed: disk")])
def test_a_disk_that_fails_leaves_nothing_that_looks_prepared(tiny, home, offline, monkeypatch, failure):
    from rnnlab.data.tfds_mnist import RnnlabMnist

    def broken(self, folder, prefix):
        yield 0, {"image": np.zeros((28, 28), np.uint8), "label": 3, "index": 0}
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(RnnlabMnist, "_generate_examples", broken)
        with pytest.raises(OSError, match=r"No space left|write\(\) failed") as caught:
            data.prepare("mnist", tiny.folder)
    if isinstance(failure, OSError):
        assert caught.value is failure
    assert list((home / "rnnlab_mnist").iterdir()) == []
    assert {name: status for name, _, status in data.describe()}["mnist"] == "not prepared"
    (home / "rnnlab_mnist" / "incomplete.ABC_1.0.0").mkdir()  # a preparation that was killed
    (home / "rnnlab_mnist" / "1.0.0").mkdir()  # and a folder that TFDS would take for finished work
    data.prepare("mnist", tiny.folder)
    assert [path.name for path in (home / "rnnlab_mnist").iterdir()] == ["1.0.0"]
    assert len(data.load_dataset("mnist").train.targets) == 33


@pytest.mark.skipif(not REAL, reason="RNNLAB_TEST_MNIST names no folder with the four official MNIST files")
def test_the_official_mnist_files():
    data.prepare("mnist", Path(str(REAL)))
    loaded = data.load_dataset("mnist")
    assert [len(split.targets) for split in (loaded.train, loaded.validation, loaded.test)] == [55_000, 5_000, 10_000]
    # Class counts and first labels as the official files are known to have them.
    train = np.bincount(loaded.train.targets) + np.bincount(loaded.validation.targets)
    assert train.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert loaded.test.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert abs(np.concatenate([loaded.train.inputs, loaded.validation.inputs]).mean() / 255 - 0.1307) < 1e-4
