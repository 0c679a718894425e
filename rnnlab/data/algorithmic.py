"""Generated algorithmic tasks: parity, addition, and sequences of symbols to repeat, reverse or sort.

Parity, addition and memorization follow Kalchbrenner, Danihelka & Graves 2015, Grid Long Short-Term Memory, sections
4.1 to 4.3. Every loader takes ``examples`` (for training) and ``held_out`` (for validation, and again for test).
Tasks with an answer of several steps take ``teacher_forcing``: the inputs at the answer's steps are then the answer
delayed by one step instead of blanks, T is one less, and ``Dataset.prompt_length`` is set (sequence to sequence).
"""

from collections.abc import Callable

import numpy as np

from rnnlab.core.types import Dataset, Split
from rnnlab.data.generated import MAX_STEPS, Rng, generate, prompt_and_answer
from rnnlab.data.options import check_range

MAX_ALPHABET = 10_000
DELIMITER = 10  # the id after the ten digits


def load_parity(*, length: int = 15, at_once: bool = False, examples: int = 10_000, held_out: int = 1_000) -> Dataset:
    """Inputs ``[N, length, 1]`` float32, one random bit 0 or 1 per step; targets ``[N]`` int32, 1 if the sum is odd.

    ``at_once``: inputs ``[N, 1, length]``, the whole string in a single step, as in the paper, for networks that are
    deep rather than recurrent in time. The strings are the same.

    Departures: without ``at_once``, one bit per step. InputError for a size out of range.
    """
    check_range("length", length, 1, MAX_STEPS)

    def make(rng: Rng, count: int) -> Split:
        bits = rng.randint(0, 2, (count, length), np.int32)
        inputs = bits[:, None] if at_once else bits[..., None]
        return Split(inputs.astype(np.float32), bits.sum(axis=1, dtype=np.int32) % 2)

    options = {"length": length, "at_once": True} if at_once else {"length": length}
    return generate(
        "parity", make, task="classification", input_size=length if at_once else 1, output_size=2, steps=length,
        examples=examples, held_out=held_out, **options,
    )  # fmt: skip


def load_addition(
    *, digits: int = 15, teacher_forcing: bool = False, examples: int = 10_000, held_out: int = 1_000
) -> Dataset:
    """Ids of ``0123456789-``: two integers with a ``-`` after each, then a ``-`` per digit of their sum.

    Inputs, targets and weights ``[N, T]``, T = 3 digits + 3. Both integers have exactly ``digits`` digits, the first of
    them not 0, most significant first. For ``12-34----`` the last 3 targets are ``046``.

    Departures: the sum always has ``digits + 1`` digits, padded with 0 in front, so that all answers are equally long.
    InputError for a size out of range.
    """
    check_range("digits", digits, 1, MAX_STEPS)

    def make(rng: Rng, count: int) -> Split:
        first, second = (
            np.concatenate(
                [rng.randint(1, 10, (count, 1), np.int32), rng.randint(0, 10, (count, digits - 1), np.int32)], axis=1
            )
            for _ in range(2)
        )
        prompt = np.concatenate([first, np.full((count, 1), DELIMITER), second], axis=1)
        return prompt_and_answer(
            prompt, _sum(first, second), blank=DELIMITER, marker=DELIMITER, teacher_forcing=teacher_forcing
        )

    return generate(
        "addition", make, task=_task(teacher_forcing), input_size=11, output_size=11, steps=3 * digits + 3,
        prompt_length=2 * digits + 1 if teacher_forcing else 0, examples=examples, held_out=held_out, digits=digits,
        teacher_forcing=teacher_forcing,
    )  # fmt: skip


def load_memorization(
    *,
    length: int = 20,
    alphabet: int = 64,
    teacher_forcing: bool = False,
    examples: int = 10_000,
    held_out: int = 1_000,
) -> Dataset:
    """Uniform random symbols, a marker, then the same symbols as the answer; see ``_symbols``."""
    return _symbols("memorization", lambda symbols: symbols, length, alphabet, teacher_forcing, examples, held_out)


def load_reversal(
    *,
    length: int = 10,
    alphabet: int = 10,
    teacher_forcing: bool = False,
    examples: int = 10_000,
    held_out: int = 1_000,
) -> Dataset:
    """Uniform random symbols, a marker, then the symbols in reverse order as the answer; see ``_symbols``."""
    return _symbols("reversal", lambda symbols: symbols[:, ::-1], length, alphabet, teacher_forcing, examples, held_out)


def load_sorting(
    *,
    length: int = 10,
    alphabet: int = 10,
    teacher_forcing: bool = False,
    examples: int = 10_000,
    held_out: int = 1_000,
) -> Dataset:
    """Uniform random symbols, a marker, then the symbols in ascending order as the answer; see ``_symbols``."""
    return _symbols(
        "sorting", lambda symbols: np.sort(symbols, axis=1), length, alphabet, teacher_forcing, examples, held_out
    )


def _symbols(
    name: str, answer: Callable[[np.ndarray], np.ndarray], length: int, alphabet: int, teacher_forcing: bool,
    examples: int, held_out: int,
) -> Dataset:  # fmt: skip
    """Ids: symbols 0..alphabet-1, the blank ``alphabet``, the marker ``alphabet + 1``; V = alphabet + 2 in and out.

    Inputs, targets and weights ``[N, T]``, T = 2 length + 1: the symbols, the marker, and a blank per symbol of the
    answer. InputError for a size out of range.
    """
    check_range("length", length, 1, MAX_STEPS)
    check_range("alphabet", alphabet, 2, MAX_ALPHABET)

    def make(rng: Rng, count: int) -> Split:
        symbols = rng.randint(0, alphabet, (count, length), np.int32)
        return prompt_and_answer(
            symbols, answer(symbols), blank=alphabet, marker=alphabet + 1, teacher_forcing=teacher_forcing
        )

    return generate(
        name, make, task=_task(teacher_forcing), input_size=alphabet + 2, output_size=alphabet + 2,
        steps=2 * length + 1, prompt_length=length if teacher_forcing else 0, examples=examples, held_out=held_out,
        length=length, alphabet=alphabet, teacher_forcing=teacher_forcing,
    )  # fmt: skip


def _task(teacher_forcing: bool) -> str:
    return "sequence_to_sequence" if teacher_forcing else "sequence_labeling"


def _sum(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The digits ``[N, D + 1]`` of the sums of numbers given as digits ``[N, D]``, most significant first."""
    count, digits = first.shape
    total, carry = np.zeros((count, digits + 1), np.int32), np.zeros(count, np.int32)
    for place in range(digits, 0, -1):
        carry, total[:, place] = np.divmod(first[:, place - 1] + second[:, place - 1] + carry, 10)
    total[:, 0] = carry
    return total
