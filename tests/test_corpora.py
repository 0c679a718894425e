"""Moe's Tavern and tiny Shakespeare: prepared from a file, a folder or a download that stand for the official ones."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from test_data import error_of, serving

from rnnlab.data import corpora, files
from rnnlab.data import registry as data

REAL = {"moes_tavern": os.environ.get("RNNLAB_MOES_TAVERN"), "tiny_shakespeare": os.environ.get("RNNLAB_SHAKESPEARE")}
POEM = "".join(f"{i} Flaschen, {i * 7 % 11} Gläser;\n" for i in range(200))
WINDOWS = {"moes_tavern": 20, "tiny_shakespeare": 32}

pytestmark = pytest.mark.parametrize("name", ["moes_tavern", "tiny_shakespeare"])


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Prepared data in a folder of the test's own; no proxy of the machine in the way of a local server."""
    monkeypatch.setenv("RNNLAB_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home"


@pytest.fixture
def file(name, tmp_path, monkeypatch) -> Path:
    """A poem that stands for the official text."""
    corpus = corpora.CORPORA[name]
    (tmp_path / "own").mkdir()
    path = tmp_path / "own" / corpus.file
    path.write_bytes(POEM.encode())
    monkeypatch.setitem(corpora.CORPORA, name, corpus._replace(sha256=files.sha256(path.read_bytes())))
    return path


def test_a_file_and_its_folder_are_prepared_alike(name, file, home, monkeypatch, capfd):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert data.prepare(name, file) == f"{name}: prepared in {home}/rnnlab_{name}/1.0.0 from {file}"
    assert data.prepare(name, file.parent) == f"{name}: already prepared in {home}/rnnlab_{name}/1.0.0"
    loaded = data.load_dataset(name)
    assert capfd.readouterr() == ("", "")
    assert "tensorflow" not in sys.modules
    direct = data.load_dataset(f"text:{file}", sequence_length=WINDOWS[name])
    for split, other in zip(
        (loaded.train, loaded.validation, loaded.test), (direct.train, direct.validation, direct.test), strict=True
    ):
        np.testing.assert_array_equal(split.inputs, other.inputs)
        np.testing.assert_array_equal(split.targets, other.targets)
    assert loaded.vocabulary == "".join(sorted(set(POEM)))
    assert loaded.source == {**direct.source, "sha256": files.sha256(POEM.encode())}
    assert data.load_dataset(name, sequence_length=7).train.inputs.shape[1] == 7
    assert {key: status for key, _, status in data.describe()}[name] == "prepared"


def test_downloads_where_nothing_is_prepared(name, file, home, monkeypatch):
    with serving(file.parent) as address:
        monkeypatch.setitem(corpora.CORPORA, name, corpora.CORPORA[name]._replace(url=address))
        assert data.load_dataset(name).source["characters"] == len(POEM)
    assert [path.name for path in (home / f"rnnlab_{name}").iterdir()] == ["1.0.0"]


def test_a_download_that_is_not_the_official_file_is_refused(name, file, home, monkeypatch):
    file.write_bytes(b"a page that asks you to log in")
    with serving(file.parent) as address:
        monkeypatch.setitem(corpora.CORPORA, name, corpora.CORPORA[name]._replace(url=address))
        assert "altered" in error_of(data.prepare, name, None)
    assert not (home / f"rnnlab_{name}" / "1.0.0").exists()


def test_no_network_is_told_with_the_way_out(name, home, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("socket.create_connection", refuse)
    line = error_of(data.load_dataset, name)
    assert f"data: {name} is not prepared in {home} and cannot be downloaded from raw.githubusercontent.com" in line
    assert f"run: python -m experiments data {name} --from PATH" in line
    assert corpora.CORPORA[name].file in line
    assert not home.exists()


def test_other_files_are_refused_before_anything_is_written(name, file, home):
    assert "no such folder" in error_of(data.prepare, name, file.parent / "none")
    file.write_bytes(file.read_bytes()[:-1])
    for source in (file, file.parent):
        line = error_of(data.prepare, name, source)
        assert "truncated or altered" in line
        assert files.sha256(file.read_bytes()) in line
        assert corpora.CORPORA[name].sha256 in line
    file.unlink()
    assert f"missing in {str(file.parent)!r}: {file.name}" in error_of(data.prepare, name, file.parent)
    assert not home.exists()


def test_damage_is_told_and_mended(name, file, home, monkeypatch):
    data.prepare(name, file)
    (record,) = (home / f"rnnlab_{name}" / "1.0.0").glob("*array_record*")
    for damage in (lambda: os.truncate(record, record.stat().st_size // 2), record.unlink):
        damage()
        line = error_of(data.load_dataset, name)
        assert "is damaged" in line
        assert f"python -m experiments data {name} --from PATH" in line
        assert "prepared in" in data.prepare(name, file)
        data.load_dataset(name)
    monkeypatch.setitem(corpora.CORPORA, name, corpora.CORPORA[name]._replace(sha256="0" * 64))
    assert "the text is not the official one" in error_of(data.load_dataset, name)


def test_windows_that_do_not_fit_are_told(name, file):
    data.prepare(name, file)
    assert "data_options.sequence_length: 0 characters" in error_of(data.load_dataset, name, sequence_length=0)
    assert "are too few for windows of 9,999" in error_of(data.load_dataset, name, sequence_length=9999)
    assert "data_options.sequence_length: '20' is wrong" in error_of(data.load_dataset, name, sequence_length="20")


def test_the_official_text(name, monkeypatch):
    """Sizes as the papers and the source state them."""
    source = REAL[name]
    if source:
        data.prepare(name, Path(source))
    else:
        monkeypatch.undo()  # the tests' own folder of prepared data
        if {key: status for key, _, status in data.describe()}[name] != "prepared":
            pytest.skip("no environment variable names the official file, and it is not prepared")
    loaded = data.load_dataset(name)
    characters, distinct = {"moes_tavern": (305_190, 89), "tiny_shakespeare": (1_115_394, 65)}[name]
    assert loaded.source["characters"] == characters
    assert loaded.input_size == loaded.output_size == len(loaded.vocabulary) == distinct
