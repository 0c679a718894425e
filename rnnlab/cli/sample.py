"""The command ``sample``: text from a language model, or decoded answers of sequence to sequence."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlab.cli import decode, trust
from rnnlab.cli.devices import check_devices
from rnnlab.cli.selection import (
    ALL,
    LAST_KEY,
    chosen_arms,
    number,
    of_each_arm,
    tell_left_out,
    which,
    whole,
)
from rnnlab.core.errors import InputError
from rnnlab.core.terminal import WIDTH, columns, escaped, escaped_on_terminal

if TYPE_CHECKING:  # importing JAX is slow
    from rnnlab.runs.saved_run import SavedRun

LONGEST = 1_000_000  # characters
NARROWEST = 24  # columns of a text beside others

OPTIONS = (
    ("--arm", "NAME", None, "an arm, or all: side by side, lines wrapped (default: the only one)"),
    ("--seed", "N", None, "one of the run's seeds (default: its first)"),
    (
        "--prompt",
        "TEXT",
        None,
        "start of the text (default: a line break, or else the first character of the vocabulary)",
    ),
    ("--length", "N", "400", "characters to add (default 400)"),
    ("--temperature", "X", "1", "below 1 favors likely characters, 0 takes the most likely (default 1)"),
    ("--top-k", "K", "0", "draw among the K most likely characters only, 0: all (default 0)"),
    (
        "--epoch",
        "EPOCH",
        "best",
        "best (by validation), first (untrained), last, or the number of a kept epoch (default best)",
    ),
    ("--key", "N", "0", "seed of the sampling: equal keys give equal texts (default 0)"),
    ("--questions", "N", "5", "sequence to sequence: the number of test prompts to show (default 5)"),
    ("--beam", "N", None, "sequence to sequence: also decode by a beam search of width N (default: greedy only)"),
)
OF_TEXT = ("prompt", "length", "temperature", "top_k", "key")
OF_ANSWERS = ("questions", "beam")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``show`` to ``parser``."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="the run's directory; the run need not be finished")
    for name, metavar, _, text in OPTIONS:
        parser.add_argument(name, metavar=metavar, help=text)
    text = "the value of a swept hyperparameter, if the run has several, as in learning_rate=1e-3"
    parser.add_argument("--set", metavar="NAME=VALUE", nargs="+", action="extend", default=[], help=text)
    trust.add_arguments(parser)


def show(options: argparse.Namespace) -> int:
    """Print a prompt and its continuation by a trained language model; the data set is not needed.

    For sequence to sequence: test prompts, their answers and the decoded answers.
    """
    from rnnlab.runs.saved_run import load_run

    run = load_run(options.directory, options.cell_file)
    _refuse(options, OF_TEXT if run.dataset.prompt_length else OF_ANSWERS, run.dataset.task)
    for name, _, default, _ in OPTIONS:
        if getattr(options, field := name[2:].replace("-", "_")) is None:
            setattr(options, field, default)
    if run.dataset.prompt_length:
        return decode.show(run, options)
    if run.dataset.task != "language_modeling" or not run.dataset.vocabulary:
        raise InputError(
            f"{options.directory}: its task is {run.dataset.task}; accepted: a run of a language model on text, or of "
            "sequence to sequence"
        )
    arms, left_out = chosen_arms(run, options)
    trust.check_run(run, arms, options)
    check_devices()
    texts = of_each_arm(arms, lambda arm: _text(run, arm, options, arms), all_arms=options.arm == ALL)
    tell_left_out(left_out)
    print(_side_by_side(texts) if options.arm == ALL else escaped_on_terminal(next(iter(texts.values()))))
    return 0


def _refuse(options: argparse.Namespace, fields: tuple[str, ...], task: str) -> None:
    for field in fields:
        if getattr(options, field) is not None:
            raise InputError(f"--{field.replace('_', '-')}: does not apply to a run of {task}")


def _text(run: SavedRun, arm: str, options: argparse.Namespace, arms: list[str]) -> str:
    """The prompt and its continuation by the arm's model."""
    import jax
    import jax.numpy as jnp

    from rnnlab.models.sampling import generate
    from rnnlab.training.keys import stream_key

    letters = list(run.dataset.vocabulary or ())
    hyperparams, seed, epoch = which(run, arm, options, arms)
    length = whole("--length", options.length, 1, LONGEST)
    top_k = whole("--top-k", options.top_k, 0, len(letters))
    temperature = _temperature(options.temperature)
    prompt = _prompt(options.prompt, letters)
    key = jax.random.fold_in(stream_key("sample", jnp.uint32(seed)), whole("--key", options.key, 0, LAST_KEY))
    params = run.params(arm, seed, epoch, **hyperparams)
    ids = jnp.array([letters.index(letter) for letter in prompt])
    model = run.model(arm, **hyperparams)
    sample = jax.jit(lambda params, ids, key: generate(model, params, ids, key, length, temperature, top_k))
    added = sample(params, ids, key)
    return prompt + "".join(letters[i] for i in added.tolist())


def _prompt(text: str | None, letters: list[str]) -> str:
    if text is None:
        return "\n" if "\n" in letters else letters[0]
    if not text:
        raise InputError("--prompt: is empty; accepted: one or more characters of the run's vocabulary")
    if foreign := sorted(set(text) - set(letters)):
        listed, vocabulary = " ".join(map(repr, foreign[:10])), repr("".join(letters[:200]))
        raise InputError(f"--prompt: {listed} not in the run's vocabulary; accepted: characters of {vocabulary}")
    return text


def _temperature(text: str) -> float:
    temperature = number("--temperature", text)
    if not 0 <= temperature < math.inf:
        raise InputError(f"--temperature: {text!r} is not accepted; accepted: a finite number from 0")
    return temperature


def _side_by_side(texts: dict[str, str]) -> str:
    """A column per arm, as in Kumar's Table 3; one after another where columns would be too narrow."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = columns() or max(WIDTH, NARROWEST * len(texts))
    if width < NARROWEST * len(texts):
        return "\n\n".join(f"{arm}:\n{escaped(text)}" for arm, text in texts.items())
    console = Console(highlight=False, width=width)
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for arm in texts:
        table.add_column(arm, overflow="fold", width=console.width // len(texts) - 2)
    table.add_row(*(Text(escaped(text)) for text in texts.values()))
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
