"""The only file that imports orbax: states of an arm on disk, each written whole or not at all."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax

from rnnlab.errors import InputError


class Position(NamedTuple):
    """Where an arm's training stands, saved beside its state."""

    epoch: int  # counted from 1, the one under way
    start: int  # steps of it that are done
    step: int  # training steps done in all
    seconds: float  # of training so far
    done: bool
    config: str  # the config's hash


def save(directory: Path, state: Any, position: Position) -> None:
    """Write ``state`` and ``position`` as the arm's last checkpoint, then delete the one before.

    ``directory`` is the arm's. Raises OSError if the disk refuses; the checkpoint before is then still there.
    """
    target = directory / f"step_{position.step:08d}"
    _save(target, state, position._asdict())
    for old in _checkpoints(directory):
        if old != target:
            shutil.rmtree(old)


def save_epoch(directory: Path, params: Any, epoch: int) -> None:
    """Keep the parameters at the end of ``epoch`` for later analysis, as ``epoch_000010``. Raises OSError."""
    target = directory / f"epoch_{epoch:06d}"
    if not target.exists():
        _save(target, params, {"epoch": epoch})


def position(directory: Path) -> Position | None:
    """Where the arm's last checkpoint stands; None if there is none yet. Raises InputError if it is unreadable."""
    if not (found := _checkpoints(directory)):
        return None
    from orbax.checkpoint import v1 as ocp

    try:
        return Position(**ocp.metadata(found[-1].absolute()).custom_metadata)
    except Exception as error:  # orbax has no one error for a file that is missing or cut short
        raise _unreadable(found[-1], error) from error


def load(directory: Path, abstract: Any) -> Any:
    """The arm's last state, on the first device, as the pytree of shapes ``abstract`` describes.

    Raises InputError if it is missing, truncated, or of another shape.
    """
    found = _checkpoints(directory)
    if not found:
        raise InputError(f"checkpoint: none in {directory}; accepted: the directory that run wrote")
    return _load(found[-1], abstract)


def load_epoch(directory: Path, abstract: Any, epoch: int) -> Any:
    """Parameters kept at the end of ``epoch``, as ``load``."""
    return _load(directory / f"epoch_{epoch:06d}", abstract)


def _load(path: Path, abstract: Any) -> Any:
    from orbax.checkpoint import v1 as ocp

    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    targets = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), abstract)
    try:
        state = ocp.load(path.absolute(), targets)  # orbax takes no relative paths
    except Exception as error:  # as above
        raise _unreadable(path, error) from error
    for wanted, leaf in zip(jax.tree.leaves(abstract), jax.tree.leaves(state), strict=True):
        if leaf.shape != wanted.shape:  # orbax pads and cuts silently
            raise InputError(
                f"checkpoint: {path} holds shape {leaf.shape}; accepted: {wanted.shape}, as in config.json"
            )
    return state


def _save(target: Path, tree: Any, metadata: dict[str, Any]) -> None:
    from orbax.checkpoint import v1 as ocp

    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob("*orbax-checkpoint-tmp*"):  # of a save that was killed
        shutil.rmtree(leftover)
    try:
        ocp.save(
            target.absolute(), tree, overwrite=True, custom_metadata=metadata
        )  # into a temporary folder, then renamed
    except OSError:
        raise
    except Exception as error:  # tensorstore reports a full disk as ValueError
        raise OSError(f"{target}: {_first_line(error)}") from error


def _checkpoints(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("step_*") if path.name[5:].isdigit())


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"checkpoint: {path} cannot be read ({_first_line(error)}); accepted: what run wrote, unaltered")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
