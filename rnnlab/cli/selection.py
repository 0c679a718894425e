"""Parses the options that select an arm, seed, epoch and swept hyperparameters of a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from rnnlab.config.experiment import MOST
from rnnlab.core.errors import InputError, choose, unknown
from rnnlab.core.terminal import escaped

if TYPE_CHECKING:  # importing JAX is slow
    from rnnlab.runs.saved_run import SavedRun

T = TypeVar("T")

ALL = "all"
LAST_KEY = 2**32 - 1


def tell_left_out(arms: list[str]) -> None:
    """Print the arms that ``all`` leaves out."""
    if arms:
        print(f"no checkpoint yet, left out: {', '.join(arms)}", file=sys.stderr)


def chosen_arms(run: SavedRun, options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The selected arms, and those that ``all`` leaves out because they have no checkpoint."""
    names = list(run.config.arms)
    if options.arm == ALL:
        saved = [name for name in names if run.saved(name)]
        if not saved:
            raise InputError(f"checkpoint: none in {options.directory} yet; accepted: a run with a checkpoint")
        return list(of_each_arm(saved, run.check_files, all_arms=True)), [name for name in names if name not in saved]
    if options.arm is None and len(names) > 1:
        raise InputError(f"--arm: the run has several arms; accepted: {', '.join([*names, ALL])}")
    return [names[0] if options.arm is None else choose("--arm", options.arm, [*names, ALL])], []


def of_each_arm(arms: list[str], one: Callable[[str], T], *, all_arms: bool) -> dict[str, T]:
    """``one`` of each arm. With ``all_arms``, those that raise InputError get a note, such as a diverged one.

    Raises InputError if every arm does.
    """
    done, notes, failure = {}, [], None
    for arm in arms:
        try:
            done[arm] = one(arm)
        except InputError as error:
            if not all_arms:
                raise
            failure = failure or error
            notes.append(f"left out: {error}")
    if failure is not None and not done:
        raise failure
    for note in notes:
        print(escaped(note), file=sys.stderr)
    return done


def which(
    run: SavedRun, arm: str, options: argparse.Namespace, arms: list[str]
) -> tuple[dict[str, float], int, str | int]:
    """The selected hyperparameters, seed and epoch."""
    hyperparams = _hyperparams(run, arm, options.set, arms)
    seed = run.config.seeds[0] if options.seed is None else whole("--seed", options.seed, 0, LAST_KEY)
    return hyperparams, seed, whole("--epoch", options.epoch, 0, MOST) if options.epoch.isdecimal() else options.epoch


def _hyperparams(run: SavedRun, arm: str, assignments: list[str], arms: list[str]) -> dict[str, float]:
    """The assigned hyperparameters that the arm has; each must belong to at least one of ``arms``."""
    chosen = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"--set: {assignment!r} is not an assignment; accepted: name=value")
        accepted = sorted({swept for other in arms for swept in run.hyperparams(other)})
        if name not in accepted:
            raise unknown("--set", name, accepted)
        if name in run.hyperparams(arm):
            chosen[name] = number(f"--set {name}", text)
    return chosen


def whole(name: str, text: str, least: int, most: int) -> int:
    """The option's text as a whole number. Raises InputError."""
    try:
        if least <= (number := int(text)) <= most:
            return number
    except ValueError:
        pass  # reported below
    raise InputError(f"{name}: {text!r} is not accepted; accepted: a whole number from {least} to {most}")


def number(name: str, text: str) -> float:
    """The option's text as a number. Raises InputError."""
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{name}: {text!r} is not accepted; accepted: a number") from None
