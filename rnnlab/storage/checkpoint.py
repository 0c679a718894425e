"""States of an arm on disk, written whole or not at all. The only module that imports Orbax.

A state that does not fit into memory is written and read in pieces along the run axis, each an Orbax checkpoint in a
folder ``runs_000012``, named by its first run; one piece is the checkpoint itself.
"""

import hashlib
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from rnnlab.core import processes
from rnnlab.core.errors import InputError
from rnnlab.storage import files

DIGEST = "SHA256"


class Position(NamedTuple):
    """How far an arm is trained, saved with its state."""

    epoch: int  # the current one, counted from 1
    step_in_epoch: int  # training steps done in it
    step: int  # training steps done in total
    seconds: float  # of training so far
    done: bool  # trained to the last epoch
    config: str  # `training_hash` of the config


def save(directory: Path, pieces: Sequence[Any], position: Position) -> None:
    """Write a state, the ``pieces`` in order, as the last checkpoint in ``directory``; then delete the previous one.

    Raises OSError if the disk refuses; the previous checkpoint is then still there.
    """
    target = directory / f"step_{position.step:08d}"
    _save(target, pieces, position._asdict())
    tidy(directory)


def tidy(directory: Path) -> None:
    """Delete everything but the arm's last checkpoint and the kept epochs, leftovers of killed saves included."""
    if not processes.is_first():
        return
    last = _checkpoints(directory)[-1]
    for old in directory.iterdir():
        if old != last and not (old.name.startswith("epoch_") and old.name[6:].isdigit()):
            shutil.rmtree(old)


def save_epoch(directory: Path, pieces: Sequence[Any], epoch: int) -> None:
    """Keep the parameters at the end of ``epoch`` for later analysis, as ``epoch_000010``; else as `save`."""
    target = directory / f"epoch_{epoch:06d}"
    _save(target, pieces, {"epoch": epoch})


def position(directory: Path) -> Position | None:
    """The position of the arm's last checkpoint; None if there is none. Raises InputError if it is unreadable."""
    if not (found := _checkpoints(directory)):
        return None
    _verify(found[-1])
    try:
        return Position(**_orbax().metadata(_pieces(found[-1])[0].absolute()).custom_metadata)
    except Exception as error:  # orbax has no one error for what it cannot read
        raise _unreadable(found[-1], _first_line(error)) from error


def load(directory: Path, abstract: Any) -> Any:
    """The arm's last state on the first device, with the structure and shapes of ``abstract``.

    Raises InputError if it is missing, truncated, altered, or has other shapes.
    """
    return _load(_last(directory), abstract)


def load_pieces(directory: Path, abstract: Any, pieces: Sequence[slice]) -> Iterator[Any]:
    """The arm's last state, one after another of ``pieces`` of its runs; errors as in ``load``."""
    path = _last(directory)
    _verify(path)
    return (_joined(path, abstract, piece) for piece in pieces)


def load_epoch(directory: Path, abstract: Any, epoch: int) -> Any:
    """The parameters kept at the end of ``epoch``; errors as in ``load``."""
    return _load(directory / f"epoch_{epoch:06d}", abstract)


def kept_epochs(directory: Path) -> list[int]:
    """The epochs that ``load_epoch`` can load, in order."""
    return sorted(int(p.name[6:]) for p in directory.glob("epoch_*") if p.name[6:].isdigit())


def _last(directory: Path) -> Path:
    found = _checkpoints(directory)
    if not found:
        raise InputError(f"checkpoint: none in {directory}")
    return found[-1]


def _pieces(path: Path) -> dict[int, Path]:
    """The Orbax checkpoints of a state by their first run."""
    return dict(sorted((int(piece.name[5:]), piece) for piece in path.glob("runs_*"))) or {0: path}


def _load(path: Path, abstract: Any) -> Any:
    _verify(path)
    return _joined(path, abstract, slice(None))


def _joined(path: Path, abstract: Any, runs: slice) -> Any:
    """The state of some ``runs``, from the pieces that have them."""
    pieces = _pieces(path)
    if len(pieces) == 1 and runs == slice(None):
        return _load_piece(path, abstract)
    count = len(jax.tree.leaves(abstract)[0])
    first, last, _ = runs.indices(count)
    found = []
    for begin, end in zip(pieces, [*pieces, count][1:], strict=True):
        if begin < last and first < end:
            shapes = jax.tree.map(
                lambda leaf, n=end - begin: jax.ShapeDtypeStruct((n, *leaf.shape[1:]), leaf.dtype), abstract
            )
            part = slice(max(first - begin, 0), min(last, end) - begin)
            found.append(jax.tree.map(lambda leaf, part=part: leaf[part], _load_piece(pieces[begin], shapes)))
    return found[0] if len(found) == 1 else jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)


def _load_piece(path: Path, abstract: Any) -> Any:
    place = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    targets = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), abstract)
    try:
        state = _orbax().load(path.absolute(), targets)  # orbax takes no relative paths
    except Exception as error:  # as above
        raise _unreadable(path, _first_line(error)) from error
    for wanted, leaf in zip(jax.tree.leaves(abstract), jax.tree.leaves(state), strict=True):
        if leaf.shape != wanted.shape:  # orbax pads and cuts silently
            raise _unreadable(path, f"a shape {leaf.shape} where config.json says {wanted.shape}")
    return state


def _save(target: Path, pieces: Sequence[Any], metadata: dict[str, Any]) -> None:
    """Write ``pieces``, equal in every process, which all call this together: the first writes."""

    def is_new() -> bool:
        if target.exists():  # stopped right after a save; overwriting would first delete the only checkpoint
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_drafts(target.parent)  # left by a killed save
        return True

    if not processes.on_first(is_new):
        return
    draft = target.with_name(f"{target.name}.tmp")
    try:
        first = 0
        for piece in pieces:
            folder = draft if len(pieces) == 1 else draft / f"runs_{first:06d}"
            _orbax().save(folder.absolute(), piece, custom_metadata=metadata)
            first += len(jax.tree.leaves(piece)[0]) if len(pieces) > 1 else 0
        if processes.is_first():
            files.write_whole(draft / DIGEST, _digest(draft).encode())
            draft.rename(target)
    except OSError:
        raise
    except Exception as error:  # tensorstore reports a full disk as ValueError
        raise OSError(f"{target}: {_first_line(error)}") from error
    finally:
        if processes.is_first():
            _clear_drafts(target.parent)


def _clear_drafts(directory: Path) -> None:
    for draft in directory.glob("*.tmp*"):
        shutil.rmtree(draft, ignore_errors=True)


def _orbax() -> Any:
    """Orbax, imported late, with the logging of errors that we report ourselves silenced."""
    from orbax.checkpoint import v1 as ocp

    for name in ("absl", "asyncio", "concurrent.futures"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return ocp


def _checkpoints(directory: Path) -> list[Path]:
    """From oldest to newest."""
    return sorted((p for p in directory.glob("step_*") if p.name[5:].isdigit()), key=lambda p: int(p.name[5:]))


def _digest(path: Path) -> str:
    """SHA-256 over the names and contents of a checkpoint's files; Orbax does not notice flipped bits."""
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file() and p.name != DIGEST):
        with file.open("rb") as content:
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _verify(path: Path) -> None:
    try:
        intact = (path / DIGEST).read_bytes() == _digest(path).encode()
    except OSError as error:
        raise _unreadable(path, _first_line(error)) from error
    if not intact:
        raise _unreadable(path, "its files do not have the recorded SHA-256")


def _unreadable(path: Path, reason: str) -> InputError:
    return InputError(f"checkpoint: {path} is missing, truncated or altered: {reason}")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
