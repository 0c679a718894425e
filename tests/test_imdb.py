"""IMDB reviews: which archives and folders are accepted, and how reviews are split; on tiny archives."""

import tarfile

import numpy as np
import pytest
from helpers.data import REVIEWS, error_of, isolate, pack, review_files, unpack

from rnnlab import data
from rnnlab.data import imdb_archive, word_vocabulary
from rnnlab.data.imdb_archive import read_reviews


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(imdb_archive, "REVIEWS_PER_FOLDER", REVIEWS)
    return isolate(tmp_path, monkeypatch)


@pytest.fixture
def tiny() -> dict[str, bytes]:
    """80 reviews by archive member."""
    return review_files()


@pytest.fixture
def prepared(tiny, tmp_path) -> None:
    data.prepare("imdb", pack(tmp_path / "mine.tar.gz", tiny))


# sources


def test_archives_and_folders_with_the_same_reviews_are_equal(tiny, tmp_path):
    archive = pack(tmp_path / "aclImdb_mine.tar.gz", tiny)
    expected = read_reviews(archive)
    assert len(expected.texts) == 4 * REVIEWS
    assert expected.texts["train/neg/3_4"] == "A bad film, caf\xe9 trainneg3!"
    assert read_reviews(tmp_path) == expected
    parent = unpack(tmp_path / "out", tiny)
    assert read_reviews(parent).texts == expected.texts
    assert read_reviews(parent / "aclImdb").sha256 == expected.sha256
    short = {name.removeprefix("aclImdb/"): content for name, content in reversed(tiny.items())}
    assert read_reviews(pack(tmp_path / "other.tar.gz", short)).sha256 == expected.sha256
    tiny["aclImdb/train/neg/3_4.txt"] += b"."
    assert read_reviews(pack(archive, tiny)).sha256 != expected.sha256


def test_folder_members_of_an_archive_are_ignored(tiny, tmp_path):
    unpack(tmp_path / "out", tiny)
    with tarfile.open(tmp_path / "dirs.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "out" / "aclImdb", "./aclImdb")
    assert len(read_reviews(tmp_path / "dirs.tar.gz").texts) == 4 * REVIEWS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "train/pos/20_9.txt",
            b"one more",
            "train/neg 20, train/pos 21, test/neg 20, test/pos 20; accepted: 20 in each",
        ),
        ("test/pos/5_8.txt", None, "test/pos 19; accepted: 20 in each"),
        ("test/neg/3_9.txt", b"twice", "duplicate review 3 in test/neg (3_9.txt)"),
        ("test/neg/3_4.txt", b"caf\xe9", "test/neg/3_4.txt: invalid UTF-8 at byte 3"),
        ("test/neg/3_4.txt", b" \n", "test/neg/3_4.txt is empty"),
        ("train/neg/notes.txt", b"x", "unexpected member train/neg/notes.txt"),
        ("train/neg/3_11.txt", b"x", "unexpected member train/neg/3_11.txt"),
        ("train/neg/03_1.txt", b"x", "unexpected member train/neg/03_1.txt"),
        ("train/neg/._3_1.txt", b"x", "unexpected member train/neg/._3_1.txt"),
        ("train/neg/more/3_1.txt", b"x", "unexpected member train/neg/more"),
        ("train/neg/3_4.txt", b"x" * (imdb_archive.MAX_BYTES + 1), "unexpected member train/neg/3_4.txt"),
    ],
)
def test_invalid_reviews_are_refused_before_anything_is_written(tiny, tmp_path, home, name, content, message):
    if content is None:
        del tiny[f"aclImdb/{name}"]
    else:
        tiny[f"aclImdb/{name}"] = content
    for source in (pack(tmp_path / "a.tar.gz", tiny), unpack(tmp_path / "out", tiny)):
        line = error_of(data.prepare, "imdb", source)
        assert message in line
        assert line.startswith(f"data: imdb: '{source}")
    assert not home.exists()


def test_a_missing_folder_is_refused(tiny, tmp_path):
    fewer = {name: content for name, content in tiny.items() if "train/neg" not in name}
    for source in (pack(tmp_path / "a.tar.gz", fewer), unpack(tmp_path / "out", fewer)):
        assert "train/neg 0," in error_of(read_reviews, source)


def test_links_in_an_archive_are_refused(tiny, tmp_path):
    unpack(tmp_path / "out", tiny)
    link = tmp_path / "out" / "aclImdb" / "train" / "neg" / "3_4.txt"
    link.unlink()
    link.symlink_to("/etc/hostname")
    with tarfile.open(tmp_path / "links.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "out" / "aclImdb", "aclImdb")
    assert "unexpected member train/neg/3_4.txt" in error_of(read_reviews, tmp_path / "links.tar.gz")


@pytest.mark.parametrize(
    "damage",
    [lambda raw: raw[: len(raw) // 2], lambda raw: raw[:-4], lambda raw: raw[:200] + b"!" + raw[201:],
     lambda raw: b"not an archive" * 99, lambda raw: b""],
    ids=["half", "no checksum", "one byte", "no archive", "empty"],
)  # fmt: skip
def test_a_damaged_archive_is_refused(tiny, tmp_path, home, damage):
    path = pack(tmp_path / "a.tar.gz", tiny)
    path.write_bytes(damage(path.read_bytes()))
    line = error_of(data.prepare, "imdb", path)
    assert "cannot be read, perhaps truncated" in line or "wrong number of reviews" in line
    assert not home.exists()


def test_a_source_without_reviews_is_told_what_is_accepted(tiny, tmp_path):
    assert "no such file or folder" in error_of(data.prepare, "imdb", tmp_path / "none")
    line = error_of(data.prepare, "imdb", tmp_path)
    assert "no aclImdb*.tar.gz or aclImdb in" in line
    assert "accepted: aclImdb_v1.tar.gz" in line
    for name in ("aclImdb_1.tar.gz", "aclImdb_2.tar.gz"):
        pack(tmp_path / name, tiny)
    assert "several archives" in error_of(data.prepare, "imdb", tmp_path)


# prepared


def test_other_reviews_replace_the_prepared_ones(tiny, prepared, tmp_path):
    assert data.load_dataset("imdb", vocabulary=5).source["official"] is False
    tiny["aclImdb/test/pos/0_7.txt"] = b"another one"
    other = pack(tmp_path / "other.tar.gz", tiny)
    assert "imdb: prepared in" in data.prepare("imdb", other)
    assert data.load_dataset("imdb", vocabulary=5).source["sha256"] == read_reviews(other).sha256


# splits


def reviews_of(loaded, split) -> list[str]:
    """The review of each row: its last word, which names split, class and number."""
    return [loaded.vocabulary[row[-1]] for row in split.inputs]


@pytest.fixture
def whole_vocabulary(monkeypatch):
    """The words of all splits get ids, so that a test can identify every row."""
    encode = word_vocabulary.encode_reviews

    def all_words(train, others, options):
        everything = encode([*train, *(text for part in others for text in part)], [train, *others], options)
        return everything._replace(parts=everything.parts[1:])

    monkeypatch.setattr(word_vocabulary, "encode_reviews", all_words)


def check_classes(loaded, split, folder: str) -> None:
    for place, target in zip(reviews_of(loaded, split), split.targets, strict=True):
        assert place.startswith(f"{folder}{('neg', 'pos')[target]}")


def test_splits_are_disjoint_complete_balanced_and_shuffled(prepared, whole_vocabulary):
    loaded = data.load_dataset("imdb", vocabulary="all", length=6)
    parts = [reviews_of(loaded, split) for split in (loaded.train, loaded.validation, loaded.test)]
    assert [len(part) for part in parts] == [36, 4, 40]
    assert sorted(parts[0] + parts[1]) == sorted(f"train{c}{n}" for c in ("neg", "pos") for n in range(REVIEWS))
    assert sorted(parts[2]) == sorted(f"test{c}{n}" for c in ("neg", "pos") for n in range(REVIEWS))
    for split, folder in ((loaded.train, "train"), (loaded.validation, "train"), (loaded.test, "test")):
        check_classes(loaded, split, folder)
        assert split.targets.dtype == np.int32
        assert split.targets.sum() * 2 == len(split.targets)
        assert 0 < split.targets[: len(split.targets) // 2].sum() < len(split.targets) // 2
    assert not loaded.validation_is_test
    assert (loaded.output_size, loaded.task, loaded.input_size) == (2, "classification", len(loaded.vocabulary))
    order = np.random.RandomState(2011).permutation(40)  # of neg 0..19, pos 0..19
    assert parts[2] == [f"testneg{n}" if n < 20 else f"testpos{n - 20}" for n in order]


def test_validation_can_be_the_test_split(prepared, whole_vocabulary):
    loaded = data.load_dataset("imdb", vocabulary="all", length=6, validation="test", padding="masked")
    assert loaded.validation_is_test
    assert loaded.validation is loaded.test
    assert len(loaded.train.targets) == len(loaded.test.targets) == 40
    assert loaded.test.lengths.tolist() == [6] * 40
    assert "validation and test: the official test" in loaded.source["split"]


def test_half_of_the_official_train_can_be_all_that_is_used(prepared, whole_vocabulary):
    loaded = data.load_dataset("imdb", vocabulary="all", length=6, validation="half")
    assert loaded.validation_is_test
    assert loaded.validation is loaded.test
    parts = [reviews_of(loaded, split) for split in (loaded.train, loaded.test)]
    assert [len(part) for part in parts] == [20, 20]
    assert sorted(parts[0] + parts[1]) == sorted(f"train{c}{n}" for c in ("neg", "pos") for n in range(REVIEWS))
    assert loaded.train.targets.sum() == loaded.test.targets.sum() == 10


@pytest.mark.parametrize("padding", ["masked", "front"])
def test_the_class_can_be_the_target_of_every_step_with_equal_weight_of_reviews(prepared, padding):
    plain, spread = (
        data.load_dataset("imdb", vocabulary="all", length=9, start=False, padding=padding, each_step=each)
        for each in (False, True)
    )
    assert spread.task == "classification_at_each_step"
    for before, after in ((plain.train, spread.train), (plain.test, spread.test)):
        np.testing.assert_array_equal(after.targets, np.tile(before.targets[:, None], 9))
        np.testing.assert_allclose(after.weights.sum(1), 1, rtol=1e-6)
        valid = np.full(len(before.targets), 9) if before.lengths is None else before.lengths
        np.testing.assert_array_equal((after.weights > 0).sum(1), valid)


def test_examples_takes_the_first_of_both_shuffled_splits(prepared, whole_vocabulary):
    everything = data.load_dataset("imdb", vocabulary="all", length=6, validation="test")
    some = data.load_dataset("imdb", vocabulary="all", length=6, validation="test", examples=20)
    assert reviews_of(some, some.train) == reviews_of(everything, everything.train)[:20]
    assert reviews_of(some, some.test) == reviews_of(everything, everything.test)[:20]
    held = data.load_dataset("imdb", vocabulary="all", length=6, examples=21)
    first = reviews_of(everything, everything.train)[:21]
    assert sorted(reviews_of(held, held.train) + reviews_of(held, held.validation)) == sorted(first)
    assert sorted(held.validation.targets.tolist()) == [0, 1]
    assert len(data.load_dataset("imdb", vocabulary=5, examples=40).test.targets) == 40
    for examples in (0, 19, 41):
        line = error_of(data.load_dataset, "imdb", examples=examples)
        assert line == f"data_options.examples: {examples} is out of range; accepted: 20 to 40 or 'all'"


def test_only_words_of_the_training_part_have_ids(prepared):
    loaded = data.load_dataset("imdb", vocabulary="all", length=6)
    assert set(loaded.vocabulary[3:9]) >= {"a", "film", "caf\xe9", "good", "bad"}
    assert not [word for word in loaded.vocabulary if word.startswith("test")]
    assert len(loaded.vocabulary) == 3 + 5 + 36
    assert set(loaded.validation.inputs[:, -1]) == {word_vocabulary.UNKNOWN}
    assert loaded.source["distinct_words"] == 41
    assert loaded.source["options"]["vocabulary"] == "all"
