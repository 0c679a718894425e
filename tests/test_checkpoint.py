"""States on disk: the same bits back, the last one only, and nothing that was damaged."""

import contextlib
import shutil
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest

from rnnlab.core.errors import InputError
from rnnlab.storage import checkpoint
from rnnlab.storage.checkpoint import Position


class Part(NamedTuple):
    w: np.ndarray
    step: np.ndarray


def state(seed: int = 0) -> dict:
    draw = np.random.default_rng(seed)
    w = draw.normal(size=(3, 5, 4)).astype(np.float32)
    w[1, 2] = [np.nan, -np.inf, -0.0, 1e-45]
    return {
        "params": Part(w, np.arange(3, dtype=np.int32) + seed),
        "nested": (np.float32([1 / 3, 2, seed]), [np.uint32([2**32 - 1, 0, 7])]),
        "many": draw.normal(size=(3, 700)).astype(np.float32),
    }


def position(step: int = 6, **changes) -> Position:
    return Position(epoch=2, step_in_epoch=step - 5, step=step, seconds=1 / 3, done=False, config="abc")._replace(
        **changes
    )


def abstract(tree) -> dict:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def same(a, b) -> bool:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    pairs = list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    return all(x.dtype == y.dtype and np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs)


def tree(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def load(directory: Path):
    return checkpoint.load(directory, abstract(state()))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved") / "arm"
    checkpoint.save(directory, [state()], position())
    return directory


@pytest.fixture
def arm(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "arm"))


def test_a_state_comes_back_bit_for_bit_and_typed(saved):
    found = load(saved)
    assert same(found, state())
    assert type(found["params"]) is Part
    assert checkpoint.position(saved) == position()


def test_before_the_first_save_there_is_no_position(tmp_path):
    assert checkpoint.position(tmp_path / "arm") is None
    with pytest.raises(InputError, match="none in"):
        load(tmp_path / "arm")


def test_a_directory_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint.save(Path("runs/arm"), [state()], position())
    checkpoint.save_epoch(Path("runs/arm"), [state()], 1)
    assert same(load(Path("runs/arm")), state())
    assert same(checkpoint.load_epoch(Path("runs/arm"), abstract(state()), 1), state())


def test_only_the_last_is_kept_beside_the_kept_epochs(tmp_path):
    for step in range(1, 8):
        checkpoint.save(tmp_path, [state(step)], position(step))
        if step % 3 == 0:
            checkpoint.save_epoch(tmp_path, [state(step)["params"]], step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_000003", "epoch_000006", "step_00000007"]
    assert same(load(tmp_path), state(7))
    assert same(checkpoint.load_epoch(tmp_path, abstract(state()["params"]), 3), state(3)["params"])


def test_leftovers_of_killed_saves_are_removed(tmp_path, monkeypatch):
    from orbax.checkpoint import v1 as ocp

    checkpoint.save(tmp_path, [state(1)], position(1))
    for name in ("step_00000002.orbax-checkpoint-tmp", "epoch_000001.orbax-checkpoint-tmp-17"):
        shutil.copytree(tmp_path / "step_00000001", tmp_path / name)
    assert checkpoint.position(tmp_path).step == 1  # they are no checkpoints
    shutil.copytree(tmp_path / "step_00000001", tmp_path / "step_00000000")  # killed before the old one was deleted
    checkpoint.save(tmp_path, [state(2)], position(2))
    assert [path.name for path in tmp_path.iterdir()] == ["step_00000002"]
    assert ocp.__name__  # the suffix above is orbax's own: what it leaves in fact is tested in test_resume.py


def test_the_last_of_more_than_eight_digits_is_the_last(arm):
    (arm / "step_00000006").rename(arm / "step_99999999")
    checkpoint.save(arm, [state(3)], position(100_000_000))
    assert same(load(arm), state(3))
    assert [path.name for path in arm.iterdir()] == ["step_100000000"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("RESOURCE_EXHAUSTED: full")])
@pytest.mark.parametrize("step", [6, 7])
def test_a_refusing_disk_leaves_the_checkpoint_before(arm, monkeypatch, error, step):
    import orbax.checkpoint.experimental.v1._src.handlers.pytree_handler as handler

    before = tree(arm / "step_00000006")

    def refuse(*args, **kwargs):
        raise error

    monkeypatch.setattr(handler.PyTreeHandler, "save", refuse)
    with contextlib.suppress(OSError):
        checkpoint.save(arm, [state(1)], position(step))  # the same step: a stop right after a save
    monkeypatch.undo()
    assert tree(arm / "step_00000006") == before
    assert same(load(arm), state())
    checkpoint.save(arm, [state(2)], position(8))
    assert [path.name for path in arm.iterdir()] == ["step_00000008"]


@pytest.mark.parametrize(
    "change",
    [
        lambda s: {**s, "many": s["many"][:, :-1]},
        lambda s: {**s, "many": np.pad(s["many"], ((0, 1), (0, 0)))},
        lambda s: {**s, "more": s["many"]},
        lambda s: {"params": s["params"], "nested": s["nested"]},
        lambda s: {**s, "params": s["params"]._replace(w=s["params"].w[0])},
    ],
)
def test_a_state_of_another_shape_is_refused(saved, change):
    with pytest.raises(InputError, match="checkpoint"):
        checkpoint.load(saved, abstract(change(state())))


def refused(directory: Path) -> bool:
    """Whether reading says so; it must not give anything else than what was saved."""
    try:
        assert checkpoint.position(directory) == position()
        assert same(load(directory), state())
    except InputError:
        return True
    return False


def saved_files(directory: Path) -> list[Path]:
    return sorted(path for path in (directory / "step_00000006").rglob("*") if path.is_file())


@pytest.mark.parametrize("part", [None, 0.0, 0.5])
def test_a_missing_or_truncated_file_is_noticed_or_harmless(arm, part):
    noticed = []
    for path in saved_files(arm):
        whole = path.read_bytes()
        if part is None:
            path.unlink()
        else:
            path.write_bytes(whole[: int(part * len(whole))])
        noticed.append(refused(arm))
        path.write_bytes(whole)
    assert sum(noticed) >= 3


def test_an_altered_byte_is_noticed_or_harmless(arm):
    draw = np.random.default_rng(0)
    noticed = []
    for path in saved_files(arm):
        whole = path.read_bytes()
        for index in draw.choice(len(whole), min(len(whole), 12), replace=False):
            path.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
            noticed.append(refused(arm))
        path.write_bytes(whole)
    assert sum(noticed) >= 5


@pytest.mark.parametrize(
    "change", ['"step": 6>"step": 7', '"step_in_epoch": 1>"step_in_epoch": 2', '"epoch": 2>"epoch": 3', "abc>abd"]
)
def test_an_altered_position_is_refused(arm, change):
    path = arm / "step_00000006" / "_CHECKPOINT_METADATA"
    old, _, new = change.partition(">")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert refused(arm)


def test_reading_damage_says_one_line_and_logs_nothing(arm, capfd):
    largest = max(saved_files(arm), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:100])
    (arm / "step_00000006" / "_CHECKPOINT_METADATA").write_text("{")
    for read in (checkpoint.position, load):
        with pytest.raises(InputError) as caught:
            read(arm)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
