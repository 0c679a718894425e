"""IMDB reviews: what archives and folders are taken, what is prepared, and how it is split; on tiny archives."""

import io
import os
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from test_data import error_of, serving

from rnnlab.data import cache, files, imdb, imdb_archive, word_vocabulary
from rnnlab.data import registry as data
from rnnlab.data.imdb_archive import read_reviews

COUNT = 20
REAL = os.environ.get("RNNLAB_IMDB_ARCHIVE")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Prepared data in a folder of the test's own; no proxy of the machine in the way of a local server."""
    monkeypatch.setenv("RNNLAB_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home"


@pytest.fixture
def tiny(monkeypatch) -> dict[str, bytes]:
    """80 reviews by member name; each names its place, and a word of its class."""
    monkeypatch.setattr(imdb_archive, "REVIEWS", COUNT)
    members = {"aclImdb/README": b"read me", "aclImdb/train/unsup/0_0.txt": b"\xff", "aclImdb/train/urls_pos.txt": b""}
    for folder in imdb_archive.FOLDERS:
        word = "good" if folder.endswith("pos") else "bad"
        for number in range(COUNT):
            rating = number % 4 + (7 if word == "good" else 1)
            name = f"aclImdb/{folder}/{number}_{rating}.txt"
            members[name] = f"A {word} film, caf\xe9 {folder.replace('/', '')}{number}!".encode()
    return members


def pack(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def unpack(path: Path, members: dict[str, bytes]) -> Path:
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


# what is taken


def test_every_form_of_the_same_reviews_is_the_same(tiny, tmp_path):
    archive = pack(tmp_path / "aclImdb_mine.tar.gz", tiny)
    wanted = read_reviews(archive)
    assert len(wanted.texts) == 4 * COUNT
    assert wanted.texts["train/neg/3_4"] == "A bad film, caf\xe9 trainneg3!"
    assert read_reviews(tmp_path) == wanted
    parent = unpack(tmp_path / "out", tiny)
    assert read_reviews(parent).texts == wanted.texts
    assert read_reviews(parent / "aclImdb").sha256 == wanted.sha256
    short = {name.removeprefix("aclImdb/"): content for name, content in reversed(tiny.items())}
    assert read_reviews(pack(tmp_path / "other.tar.gz", short)).sha256 == wanted.sha256
    tiny["aclImdb/train/neg/3_4.txt"] += b"."
    assert read_reviews(pack(archive, tiny)).sha256 != wanted.sha256


def test_folders_in_an_archive_are_no_extra_members(tiny, tmp_path):
    unpack(tmp_path / "out", tiny)
    with tarfile.open(tmp_path / "dirs.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "out" / "aclImdb", "./aclImdb")
    assert len(read_reviews(tmp_path / "dirs.tar.gz").texts) == 4 * COUNT


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("train/pos/20_9.txt", b"one more", "train/neg 20, train/pos 21, test/neg 20, test/pos 20; accepted: 20 in"),
        ("test/neg/3_9.txt", b"twice", "duplicate id: a second review 3 in test/neg (3_9.txt)"),
        ("test/neg/3_4.txt", b"caf\xe9", "test/neg/3_4.txt is no UTF-8 at byte 3"),
        ("test/neg/3_4.txt", b"", "test/neg/3_4.txt is an empty review"),
        ("test/neg/3_4.txt", b" \n", "test/neg/3_4.txt is an empty review"),
        ("train/neg/notes.txt", b"x", "extra member train/neg/notes.txt"),
        ("train/neg/3_11.txt", b"x", "extra member train/neg/3_11.txt"),
        ("train/neg/03_1.txt", b"x", "extra member train/neg/03_1.txt"),
        ("train/neg/._3_1.txt", b"x", "extra member train/neg/._3_1.txt"),
        ("train/neg/more/3_1.txt", b"x", "extra member train/neg/more"),
        ("train/neg/3_4.txt", b"x" * (imdb_archive.LARGEST + 1), "extra member train/neg/3_4.txt"),
    ],
)
def test_reviews_that_are_not_as_they_should_be_are_refused(tiny, tmp_path, home, name, content, says):
    tiny[f"aclImdb/{name}"] = content
    for source in (pack(tmp_path / "a.tar.gz", tiny), unpack(tmp_path / "out", tiny)):
        line = error_of(data.prepare, "imdb", source)
        assert says in line
        assert line.startswith(f"data: imdb: '{source}")
    assert not home.exists()


def test_a_missing_review_or_folder_is_told(tiny, tmp_path, home):
    del tiny["aclImdb/test/pos/5_8.txt"]
    assert "test/pos 19; accepted: 20 in each" in error_of(data.prepare, "imdb", pack(tmp_path / "a.tar.gz", tiny))
    fewer = {name: content for name, content in tiny.items() if "train/neg" not in name}
    assert "train/neg 0," in error_of(data.prepare, "imdb", pack(tmp_path / "a.tar.gz", fewer))
    assert "train/neg 0," in error_of(data.prepare, "imdb", unpack(tmp_path / "out", fewer))
    assert not home.exists()


def test_links_are_refused(tiny, tmp_path):
    unpack(tmp_path / "out", tiny)
    link = tmp_path / "out" / "aclImdb" / "train" / "neg" / "3_4.txt"
    link.unlink()
    link.symlink_to("/etc/hostname")
    with tarfile.open(tmp_path / "links.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "out" / "aclImdb", "aclImdb")
    assert "extra member train/neg/3_4.txt" in error_of(read_reviews, tmp_path / "links.tar.gz")


def test_truncated_and_foreign_files_are_told(tiny, tmp_path, home):
    whole = pack(tmp_path / "a.tar.gz", tiny).read_bytes()
    for content in (
        whole[: len(whole) // 2],
        whole[:-4],
        b"",
        b"not an archive" * 99,
        whole[:200] + b"!" + whole[201:],
    ):
        (tmp_path / "a.tar.gz").write_bytes(content)
        line = error_of(data.prepare, "imdb", tmp_path / "a.tar.gz")
        assert "cannot be read, is it truncated?" in line or "wrong number of reviews" in line
    assert not home.exists()


def test_what_is_not_there_is_told_with_what_is_wanted(tiny, tmp_path):
    assert "no such file or folder" in error_of(data.prepare, "imdb", tmp_path / "none")
    line = error_of(data.prepare, "imdb", tmp_path)
    assert "missing in" in line
    assert "aclImdb_v1.tar.gz" in line
    for name in ("aclImdb_1.tar.gz", "aclImdb_2.tar.gz"):
        pack(tmp_path / name, tiny)
    assert "several archives" in error_of(data.prepare, "imdb", tmp_path)


# prepared


@pytest.fixture
def kept(tiny, tmp_path) -> Path:
    """The tiny reviews, prepared; the archive."""
    archive = pack(tmp_path / "mine.tar.gz", tiny)
    data.prepare("imdb", archive)
    return archive


def test_prepared_without_tensorflow_and_once(tiny, home, tmp_path, monkeypatch, capfd):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    archive = pack(tmp_path / "mine.tar.gz", tiny)
    assert data.prepare("imdb", archive) == f"imdb: prepared in {home}/rnnlab_imdb/1.0.0 from {archive}"
    assert data.prepare("imdb", archive) == f"imdb: already prepared in {home}/rnnlab_imdb/1.0.0"
    loaded = data.load_dataset("imdb", vocabulary="all", length=5)
    assert loaded.source["sha256"] == read_reviews(archive).sha256
    assert loaded.source["official"] is False
    assert capfd.readouterr() == ("", "")
    assert "tensorflow" not in sys.modules
    assert {name: status for name, _, status in data.describe()}["imdb"] == "prepared"
    assert [path.name for path in (home / "rnnlab_imdb").iterdir()] == ["1.0.0"]


def test_other_reviews_take_the_place_of_those_that_are_prepared(tiny, kept, tmp_path):
    tiny["aclImdb/test/pos/0_7.txt"] = b"another one"
    other = pack(tmp_path / "other.tar.gz", tiny)
    assert "imdb: prepared in" in data.prepare("imdb", other)
    assert data.load_dataset("imdb", vocabulary=5).source["sha256"] == read_reviews(other).sha256


def test_damage_is_told_and_mended(kept, home):
    folder = home / "rnnlab_imdb" / "1.0.0"
    (record,) = folder.glob("*train*")
    meta = folder / "metadata.json"
    for damage, path in (
        (lambda path: os.truncate(path, path.stat().st_size // 2), record),
        (Path.unlink, record),
        (Path.unlink, meta),
        (lambda path: path.write_text(path.read_text().replace('"sha256": "', '"sha256": "0')), meta),
    ):
        damage(path)
        line = error_of(data.load_dataset, "imdb")
        assert "is damaged" in line
        assert "python -m experiments data imdb --from PATH" in line
        assert "imdb: prepared" in data.prepare("imdb", kept)
        data.load_dataset("imdb", vocabulary=5)


def test_labels_that_do_not_fit_the_ids_are_damage(tiny, kept, monkeypatch):
    from rnnlab.data import tfds_files

    read = tfds_files.read
    monkeypatch.setattr(tfds_files, "read", lambda *args: [{**row, "label": 1} for row in read(*args)])
    assert "the label or split of review train/neg/" in error_of(data.load_dataset, "imdb")


def test_download_is_checked_by_its_hash(tiny, home, tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    archive = pack(tmp_path / "site" / "aclImdb_v1.tar.gz", tiny)
    with serving(tmp_path / "site") as address:
        monkeypatch.setattr(imdb, "URL", address)
        assert "aclImdb_v1.tar.gz" in error_of(data.load_dataset, "imdb")
        assert "altered" in error_of(data.prepare, "imdb", None)
        assert not (home / "rnnlab_imdb" / "1.0.0").exists()
        monkeypatch.setattr(imdb, "FILES", {"aclImdb_v1.tar.gz": files.sha256(archive.read_bytes())})
        loaded = data.load_dataset("imdb", vocabulary=5)
    assert loaded.source["sha256"] == read_reviews(archive).sha256


def test_no_network_is_told_with_the_way_out(home, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("socket.create_connection", refuse)
    line = error_of(data.load_dataset, "imdb")
    assert "imdb is not prepared" in line
    assert "ai.stanford.edu (Network is unreachable)" in line
    assert "run: python -m experiments data imdb --from PATH" in line
    assert not home.exists()


# splits


def reviews_of(loaded, split) -> list[str]:
    """Which review each row is: the last word names its place."""
    return [loaded.vocabulary[row[-1]] for row in split.inputs]


@pytest.fixture
def whole_vocabulary(monkeypatch):
    """Ids for the words of all parts, so that a test can read every row."""
    encode = word_vocabulary.encode_reviews

    def all_words(train, others, options):
        everything = encode([*train, *(text for part in others for text in part)], [train, *others], options)
        return everything._replace(parts=everything.parts[1:])

    monkeypatch.setattr(word_vocabulary, "encode_reviews", all_words)


def check_classes(loaded, split, folder: str) -> None:
    for place, target in zip(reviews_of(loaded, split), split.targets, strict=True):
        assert place.startswith(f"{folder}{('neg', 'pos')[target]}")


def test_splits_are_disjoint_cover_everything_and_are_mixed(kept, whole_vocabulary):
    loaded = data.load_dataset("imdb", vocabulary="all", length=6)
    parts = [reviews_of(loaded, split) for split in (loaded.train, loaded.validation, loaded.test)]
    assert [len(part) for part in parts] == [36, 4, 40]
    assert sorted(parts[0] + parts[1]) == sorted(f"train{c}{n}" for c in ("neg", "pos") for n in range(COUNT))
    assert sorted(parts[2]) == sorted(f"test{c}{n}" for c in ("neg", "pos") for n in range(COUNT))
    for split, folder in ((loaded.train, "train"), (loaded.validation, "train"), (loaded.test, "test")):
        check_classes(loaded, split, folder)
        assert split.targets.dtype == np.int32
        assert split.targets.sum() * 2 == len(split.targets)
        assert 0 < split.targets[: len(split.targets) // 2].sum() < len(split.targets) // 2
    assert not loaded.validation_is_test
    assert (loaded.output_size, loaded.task, loaded.input_size) == (2, "classification", len(loaded.vocabulary))
    order = np.random.RandomState(2011).permutation(40)  # of neg 0..19, pos 0..19
    assert parts[2] == [f"testneg{n}" if n < 20 else f"testpos{n - 20}" for n in order]


def test_validation_is_the_test_split_where_the_paper_has_it_so(kept, whole_vocabulary):
    loaded = data.load_dataset("imdb", vocabulary="all", length=6, validation="test", padding="masked")
    assert loaded.validation_is_test
    assert loaded.validation is loaded.test
    assert len(loaded.train.targets) == len(loaded.test.targets) == 40
    assert loaded.test.lengths.tolist() == [6] * 40
    assert "validation and test: the official test" in loaded.source["split"]


def test_examples_are_the_first_of_both_splits(kept, whole_vocabulary):
    everything = data.load_dataset("imdb", vocabulary="all", length=6, validation="test")
    some = data.load_dataset("imdb", vocabulary="all", length=6, validation="test", examples=20)
    assert reviews_of(some, some.train) == reviews_of(everything, everything.train)[:20]
    assert reviews_of(some, some.test) == reviews_of(everything, everything.test)[:20]
    held = data.load_dataset("imdb", vocabulary="all", length=6, examples=21)
    first = reviews_of(everything, everything.train)[:21]
    assert sorted(reviews_of(held, held.train) + reviews_of(held, held.validation)) == sorted(first)
    assert sorted(held.validation.targets.tolist()) == [0, 1]
    assert len(data.load_dataset("imdb", vocabulary=5, examples=40).test.targets) == 40
    for examples in (-1, 1, 19, 41):
        line = error_of(data.load_dataset, "imdb", examples=examples)
        assert line == f"data_options.examples: {examples} is out of range; accepted: 20 to 40, or 0 for all"


def test_words_of_validation_and_test_have_no_ids_of_their_own(kept):
    loaded = data.load_dataset("imdb", vocabulary="all", length=6)
    assert set(loaded.vocabulary[3:9]) >= {"a", "film", "caf\xe9", "good", "bad"}
    assert not [word for word in loaded.vocabulary if word.startswith("test")]
    assert len(loaded.vocabulary) == 3 + 5 + 36
    assert set(loaded.validation.inputs[:, -1]) == {word_vocabulary.UNKNOWN}
    assert loaded.source["distinct_words"] == 41
    assert loaded.source["options"]["vocabulary"] == "all"


# the real reviews


@pytest.mark.slow
def test_the_official_reviews(tmp_path, monkeypatch):
    if REAL:
        reviews = read_reviews(Path(REAL))
    else:
        monkeypatch.undo()  # the tests' own folder of prepared data
        if not imdb.is_prepared():
            pytest.skip("RNNLAB_IMDB_ARCHIVE names no archive, and imdb is not prepared")
        reviews = cache.load(imdb._kept())
    assert reviews.sha256 == imdb.OFFICIAL
    found = set()
    for key, text in reviews.texts.items():
        if key.startswith("train/"):
            found.update(word_vocabulary.tokens(text))
    assert len(found) == 88_582  # what Keras's Tokenizer is known to find
