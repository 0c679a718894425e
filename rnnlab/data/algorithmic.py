"""Generated tasks that ask for an algorithm: parity, addition, and symbols to be reproduced, reversed or sorted.

Parity, addition and memorization after Kalchbrenner, Danihelka & Graves 2015, Grid Long Short-Term Memory, sections 4.1
to 4.3. Every loader takes ``examples`` (to train on) and ``held_out`` (for validation, and again for test). Those that
ask for several steps take ``fed``: the answer's steps then read the answer itself, one step late (teacher forcing, for
sequence to sequence), where else they read blanks: T is one less, and ``Dataset.question`` tells where they begin.
"""

from collections.abc import Callable

import numpy as np

from rnnlab.core.types import Dataset, Split
from rnnlab.data.generated import MOST_STEPS, Draw, ask, generate
from rnnlab.data.options import check_range

MOST_SYMBOLS = 10_000
DELIMITER = 10  # the id after the ten digits


def load_parity(*, length: int = 15, at_once: bool = False, examples: int = 10_000, held_out: int = 1_000) -> Dataset:
    """Inputs ``[N, length, 1]`` float32, a fair bit 0 or 1 a step; targets ``[N]`` int32, 1 where the bits' sum is odd.

    ``at_once``: inputs ``[N, 1, length]``, the whole string in a single step, as the paper gives it, through one
    projection, to a network that is deep and not recurrent in time. The strings are the same.

    Departures: without ``at_once``, bits come one a step. InputError for a size out of range.
    """
    check_range(length=(length, 1, MOST_STEPS))

    def make(draw: Draw, count: int) -> Split:
        bits = draw.randint(0, 2, (count, length), np.int32)
        seen = bits[:, None] if at_once else bits[..., None]
        return Split(seen.astype(np.float32), bits.sum(axis=1, dtype=np.int32) % 2)

    options = {"length": length, "at_once": True} if at_once else {"length": length}
    return generate(
        "parity", make, task="classification", input_size=length if at_once else 1, output_size=2, steps=length,
        examples=examples, held_out=held_out, **options,
    )  # fmt: skip


def load_addition(*, digits: int = 15, fed: bool = False, examples: int = 10_000, held_out: int = 1_000) -> Dataset:
    """Ids of ``0123456789-``: two integers, a ``-`` after each, and ``-`` while the digits of their sum are asked for.

    Inputs, targets and weights ``[N, T]``, T = 3 digits + 3. Both integers have exactly that many digits, the first
    not 0; all three are written from the most significant digit. ``12-34----`` asks for ``046`` at its last 3 steps.

    Departures: the sum is one digit longer than the integers, with a 0 in front where it needs none, so that every
    example asks for as many digits. InputError for a size out of range.
    """
    check_range(digits=(digits, 1, MOST_STEPS))

    def make(draw: Draw, count: int) -> Split:
        first, second = (
            np.concatenate(
                [draw.randint(1, 10, (count, 1), np.int32), draw.randint(0, 10, (count, digits - 1), np.int32)], axis=1
            )
            for _ in range(2)
        )
        question = np.concatenate([first, np.full((count, 1), DELIMITER), second], axis=1)
        return ask(question, _sum(first, second), blank=DELIMITER, marker=DELIMITER, fed=fed)

    return generate(
        "addition", make, task=_task(fed), input_size=11, output_size=11, steps=3 * digits + 3,
        prompt_length=2 * digits + 1 if fed else 0, examples=examples, held_out=held_out, digits=digits, fed=fed,
    )  # fmt: skip


def load_memorization(
    *, length: int = 20, alphabet: int = 64, fed: bool = False, examples: int = 10_000, held_out: int = 1_000
) -> Dataset:
    """Uniform symbols, a marker, and the same symbols asked for in their order; see ``_symbols``."""
    return _symbols("memorization", lambda symbols: symbols, length, alphabet, fed, examples, held_out)


def load_reversal(
    *, length: int = 10, alphabet: int = 10, fed: bool = False, examples: int = 10_000, held_out: int = 1_000
) -> Dataset:
    """Uniform symbols, a marker, and the same symbols asked for from the last to the first; see ``_symbols``."""
    return _symbols("reversal", lambda symbols: symbols[:, ::-1], length, alphabet, fed, examples, held_out)


def load_sorting(
    *, length: int = 10, alphabet: int = 10, fed: bool = False, examples: int = 10_000, held_out: int = 1_000
) -> Dataset:
    """Uniform symbols, a marker, and the same symbols asked for in ascending order; see ``_symbols``."""
    return _symbols("sorting", lambda symbols: np.sort(symbols, axis=1), length, alphabet, fed, examples, held_out)


def _symbols(
    name: str, answer: Callable[[np.ndarray], np.ndarray], length: int, alphabet: int, fed: bool, examples: int,
    held_out: int,
) -> Dataset:  # fmt: skip
    """Ids: symbols 0..alphabet-1, the blank ``alphabet``, the marker ``alphabet + 1``; V = alphabet + 2 in and out.

    Inputs, targets and weights ``[N, T]``, T = 2 length + 1: the symbols, the marker, a blank for each symbol that is
    asked for. InputError for a size out of range.
    """
    check_range(length=(length, 1, MOST_STEPS), alphabet=(alphabet, 2, MOST_SYMBOLS))

    def make(draw: Draw, count: int) -> Split:
        symbols = draw.randint(0, alphabet, (count, length), np.int32)
        return ask(symbols, answer(symbols), blank=alphabet, marker=alphabet + 1, fed=fed)

    return generate(
        name, make, task=_task(fed), input_size=alphabet + 2, output_size=alphabet + 2, steps=2 * length + 1,
        prompt_length=length if fed else 0, examples=examples, held_out=held_out, length=length, alphabet=alphabet, fed=fed,
    )  # fmt: skip


def _task(fed: bool) -> str:
    return "sequence_to_sequence" if fed else "sequence_labeling"


def _sum(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The digits ``[N, D + 1]`` of the sums of numbers given as digits ``[N, D]``, most significant first."""
    count, digits = first.shape
    total, carry = np.zeros((count, digits + 1), np.int32), np.zeros(count, np.int32)
    for place in range(digits, 0, -1):
        carry, total[:, place] = np.divmod(first[:, place - 1] + second[:, place - 1] + carry, 10)
    total[:, 0] = carry
    return total
