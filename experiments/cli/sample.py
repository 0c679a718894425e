"""The command ``sample``: its options checked, its text printed."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.cli import decode as _decode
from experiments.cli.selection import ALL, LAST_KEY, chosen_arms, number, tell_left_out, which, whole
from rnnlab.core.errors import InputError

if TYPE_CHECKING:  # JAX takes its time
    from rnnlab.runs.saved_run import SavedRun

LONGEST = 1_000_000  # characters of a text

OPTIONS = (
    ("--arm", "NAME", None, "an arm, or all: side by side, lines wrapped (default: the only one)"),
    ("--seed", "N", None, "one of the run's seeds (default: its first)"),
    ("--prompt", "TEXT", None, "what the text begins with (default: a line break, or else the first character known)"),
    ("--length", "N", "400", "characters to add (default 400)"),
    ("--temperature", "X", "1", "below 1: likelier characters, 0: always the likeliest (default 1)"),
    ("--top-k", "K", "0", "draw among the K likeliest characters only, 0: all (default 0)"),
    (
        "--epoch",
        "EPOCH",
        "best",
        "best by validation, first (untrained), last, or the number of one that was kept (default best)",
    ),
    ("--key", "N", "0", "another number gives another text, the same one the same (default 0)"),
    ("--questions", "N", "5", "sequence to sequence: how many held-out questions to show (default 5)"),
    ("--beam", "N", None, "sequence to sequence: the best of a beam of width N too, beside greedy decoding"),
)
OF_TEXT = ("prompt", "length", "temperature", "top_k", "key")
OF_ANSWERS = ("questions", "beam")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what ``show`` takes."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="the run's directory; it need not be finished")
    for name, shown, _, told in OPTIONS:
        parser.add_argument(name, metavar=shown, help=told)
    told = "which of the swept numbers, where the run has several, as in learning_rate=1e-3"
    parser.add_argument("--set", metavar="NAME=VALUE", nargs="+", action="extend", default=[], help=told)


def show(options: argparse.Namespace) -> int:
    """Print a prompt and what a trained language model goes on with, character by character. Needs no data set.

    Of a run of sequence to sequence: held-out questions, the right answers, and what is decoded.
    """
    from rnnlab.runs.saved_run import load_run

    run = load_run(options.directory)
    _refuse(options, OF_TEXT if run.dataset.prompt_length else OF_ANSWERS, run.dataset.task)
    for name, _, default, _ in OPTIONS:
        if getattr(options, field := name[2:].replace("-", "_")) is None:
            setattr(options, field, default)
    if run.dataset.prompt_length:
        return _decode.show(run, options)
    if run.dataset.task != "language_modeling" or not run.dataset.vocabulary:
        raise InputError(
            f"{options.directory}: its task is {run.dataset.task}; accepted: a run of a language model (of a text), or "
            "of sequence to sequence"
        )
    arms, left_out = chosen_arms(run, options)
    texts = {arm: _text(run, arm, options, arms) for arm in arms}
    tell_left_out(left_out)
    _print(_side_by_side(texts) if options.arm == ALL else next(iter(texts.values())))
    return 0


def _refuse(options: argparse.Namespace, fields: tuple[str, ...], task: str) -> None:
    for field in fields:
        if getattr(options, field) is not None:
            raise InputError(f"--{field.replace('_', '-')}: means nothing to a run of {task}; accepted: without it")


def _text(run: SavedRun, arm: str, options: argparse.Namespace, arms: list[str]) -> str:
    """The prompt and what the arm's model adds."""
    import jax
    import jax.numpy as jnp

    from rnnlab.models.sampling import generate
    from rnnlab.train.keys import stream_key

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
    write = jax.jit(lambda params, ids, key: generate(model, params, ids, key, length, temperature, top_k))
    added = write(params, ids, key)
    return prompt + "".join(letters[i] for i in added.tolist())


def _prompt(given: str | None, letters: list[str]) -> str:
    if given is None:
        return "\n" if "\n" in letters else letters[0]
    if not given:
        raise InputError("--prompt: is empty; accepted: one character or more of the run's vocabulary")
    if foreign := sorted(set(given) - set(letters)):
        shown, known = " ".join(map(repr, foreign[:10])), repr("".join(letters[:200]))
        raise InputError(f"--prompt: {shown} not in the run's vocabulary; accepted: characters of {known}")
    return given


def _temperature(text: str) -> float:
    found = number("--temperature", text)
    if not 0 <= found < math.inf:
        raise InputError(f"--temperature: {text!r} is not accepted; accepted: a finite number from 0")
    return found


def _side_by_side(texts: dict[str, str]) -> str:
    """A column an arm, as in Kumar's Table 3; wider than the terminal where that is too narrow to read."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.width = max(console.width if console.is_terminal else 160, 24 * len(texts))
    shown = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for arm in texts:
        shown.add_column(arm, overflow="fold", width=console.width // len(texts) - 2)
    shown.add_row(*(Text(text) for text in texts.values()))
    with console.capture() as captured:
        console.print(shown)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _print(text: str) -> None:
    """As the terminal can show it: a character that its encoding lacks becomes a question mark."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))
