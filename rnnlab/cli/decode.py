"""The command ``sample`` for sequence to sequence: test prompts and the decoded answers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from rnnlab.cli import trust
from rnnlab.cli.devices import check_devices
from rnnlab.cli.selection import ALL, chosen_arms, of_each_arm, tell_left_out, which, whole
from rnnlab.core.terminal import entry

if TYPE_CHECKING:  # importing JAX is slow
    from rnnlab.core.types import Split
    from rnnlab.runs.saved_run import SavedRun

MAX_PROMPTS = 100
MAX_WIDTH = 100


def show(run: SavedRun, options: argparse.Namespace) -> int:
    """Print test prompts, their answers, and what each arm decodes: greedily, and the best of a beam."""
    arms, left_out = chosen_arms(run, options)
    trust.check_run(run, arms, options)
    check_devices()
    count = whole("--questions", options.questions, 1, MAX_PROMPTS)
    width = None if options.beam is None else whole("--beam", options.beam, 1, MAX_WIDTH)
    split = run.examples("test", count)
    of_arms = of_each_arm(
        arms, lambda arm: _decoded(run, arm, options, arms, split, width), all_arms=options.arm == ALL
    )
    decoded = {label: answers for of_arm in of_arms.values() for label, answers in of_arm.items()}
    tell_left_out(left_out)
    length = run.dataset.prompt_length
    column = max(map(len, ["question", *decoded])) + 1
    for row, (inputs, targets) in enumerate(zip(split.inputs, split.targets, strict=True)):
        print(entry("question", _text(inputs[:length]), column))
        print(entry("answer", _text(targets[length:]), column))
        for label, answers in decoded.items():
            wrong = "" if answers[row].tolist() == targets[length:].tolist() else "  wrong"
            print(entry(label, f"{_text(answers[row])}{wrong}", column))
        print()
    for label, answers in decoded.items():
        right = int((answers == split.targets[:, length:]).all(axis=1).sum())
        print(entry(label, f"{right} of {len(answers)} right", column))
    return 0


def _decoded(
    run: SavedRun, arm: str, options: argparse.Namespace, arms: list[str], split: Split, width: int | None
) -> dict[str, Any]:
    """The arm's answers, ids ``[N, A]`` by label: greedy, and with ``width`` by beam search."""
    import jax
    import numpy as np

    from rnnlab.models.decoding import beam, greedy

    hyperparams, seed, epoch = which(run, arm, options, arms)
    params, model = run.params(arm, seed, epoch, **hyperparams), run.model(arm, **hyperparams)
    prompt_length = run.dataset.prompt_length
    length, start = split.inputs.shape[1] - prompt_length, int(split.inputs[0, prompt_length])

    def decode(params: Any, prompts: Any) -> dict[str, Any]:
        answers = {arm: greedy(model, params, prompts, start, length).ids}
        if width is not None:
            answers[f"{arm}, beam {width}"] = beam(model, params, prompts, start, length, width).ids[:, 0]
        return answers

    return jax.tree.map(np.asarray, jax.jit(decode)(params, split.inputs[:, :prompt_length]))


def _text(ids: Any) -> str:
    return " ".join(map(str, ids.tolist()))
