"""The command ``sample`` on a run whose data set feeds the answer back: held-out questions and what is decoded."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from experiments.cli.selection import chosen_arms, tell_left_out, which, whole

if TYPE_CHECKING:  # JAX takes its time
    from rnnlab.core.types import Split
    from rnnlab.runs.saved_run import SavedRun

MOST_QUESTIONS = 100
WIDEST = 100


def show(run: SavedRun, options: argparse.Namespace) -> int:
    """Print held-out questions, the right answers, and what each arm writes: greedy, and the best of a beam."""
    arms, left_out = chosen_arms(run, options)
    questions = whole("--questions", options.questions, 1, MOST_QUESTIONS)
    width = None if options.beam is None else whole("--beam", options.beam, 1, WIDEST)
    split = run.examples("test", questions)
    told = {arm: _decoded(run, arm, options, arms, split, width) for arm in arms}
    tell_left_out(left_out)
    asked = run.dataset.prompt_length
    column = max(map(len, ["prompt_length", *(label for found in told.values() for label in found)]))
    for row, (inputs, targets) in enumerate(zip(split.inputs, split.targets, strict=True)):
        print(f"{'question':{column}}  {_ids(inputs[:asked])}")
        print(f"{'answer':{column}}  {_ids(targets[asked:])}")
        for found in told.values():
            for label, answers in found.items():
                wrong = "" if answers[row].tolist() == targets[asked:].tolist() else "  wrong"
                print(f"{label:{column}}  {_ids(answers[row])}{wrong}")
        print()
    for found in told.values():
        for label, answers in found.items():
            right = int((answers == split.targets[:, asked:]).all(axis=1).sum())
            print(f"{label:{column}}  {right} of {len(answers)} right")
    return 0


def _decoded(
    run: SavedRun, arm: str, options: argparse.Namespace, arms: list[str], split: Split, width: int | None
) -> dict[str, Any]:
    """What the arm writes, ids ``[N, A]`` by label."""
    import jax
    import numpy as np

    from rnnlab.models.decoding import beam, greedy

    hyperparams, seed, epoch = which(run, arm, options, arms)
    params, model = run.params(arm, seed, epoch, **hyperparams), run.model(arm, **hyperparams)
    asked = run.dataset.prompt_length
    length, start = split.inputs.shape[1] - asked, int(split.inputs[0, asked])

    def write(params: Any, questions: Any) -> dict[str, Any]:
        found = {arm: greedy(model, params, questions, start, length).ids}
        if width is not None:
            found[f"{arm}, beam {width}"] = beam(model, params, questions, start, length, width).ids[:, 0]
        return found

    return jax.tree.map(np.asarray, jax.jit(write)(params, split.inputs[:, :asked]))


def _ids(ids: Any) -> str:
    return " ".join(map(str, ids.tolist()))
