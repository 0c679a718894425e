"""Generated tasks with a long lag between the relevant inputs and the answer: copying, adding, temporal order.

From Hochreiter & Schmidhuber 1997, Long Short-Term Memory, experiments 4 and 6a, and Arjovsky, Shah & Bengio 2016,
Unitary Evolution Recurrent Neural Networks (copying). Every loader takes ``examples`` (for training) and ``held_out``
(for validation, and again for test).
"""

import numpy as np

from rnnlab.core.types import Dataset, Split
from rnnlab.data.generated import MAX_STEPS, Rng, generate, prompt_and_answer
from rnnlab.data.options import check_range

COPIED, COPIED_ALPHABET = 10, 8
BLANK, MARKER = 8, 9
X, Y, START, TRIGGER = 4, 5, 6, 7  # ids of temporal order; 0 to 3 are the distractors a, b, c, d


def load_copying(*, lag: int = 100, examples: int = 10_000, held_out: int = 1_000) -> Dataset:
    """Ten uniform random symbols out of eight, ``lag - 1`` blanks, a marker, then the ten symbols as the answer.

    Ids: symbols 0..7, blank 8, marker 9; V = 10 in and out. Inputs, targets and weights ``[N, lag + 20]``.

    Departures: Arjovsky et al. also train on a blank at every step before the answer and average over all steps; here
    these steps have weight 0. Guessing among the eight symbols costs ln 8 = 2.08 nats here, 10 ln 8 / (lag + 20)
    there. InputError for a size out of range.
    """
    check_range("lag", lag, 1, MAX_STEPS)

    def make(rng: Rng, count: int) -> Split:
        symbols = rng.randint(0, COPIED_ALPHABET, (count, COPIED), np.int32)
        prompt = np.concatenate([symbols, np.full((count, lag - 1), BLANK)], axis=1)
        return prompt_and_answer(prompt, symbols, blank=BLANK, marker=MARKER)

    return generate(
        "copying", make, task="sequence_labeling", input_size=10, output_size=10, steps=lag + 20,
        examples=examples, held_out=held_out, lag=lag,
    )  # fmt: skip


def load_adding(*, lag: int = 100, examples: int = 10_000, held_out: int = 1_000) -> Dataset:
    """Inputs ``[N, lag, 2]`` float32: a uniform value in [0, 1] and a mark, which is 1 at two steps and else 0.

    Targets ``[N]`` float32: the sum of the two marked values. As in the paper, one mark is at one of the first ten
    steps and the other at one of the first ``lag / 2 - 1`` unmarked steps, possibly before it. (Below a lag of 20 both
    are in the first half.) The constant answer 1 has a mean squared error of 1/6, the variance of the sum of two
    uniforms.

    Departures: the paper's values lie in [-1, 1], its target is 0.5 + sum / 4, its first and last step are marked -1,
    and its lengths vary from ``lag`` to 1.1 ``lag``; this form is that of later work. An absolute error below 0.04
    counts as solved in both, but the range of our target is twice as large. InputError for a size out of range.
    """
    check_range("lag", lag, 4, MAX_STEPS)

    def make(rng: Rng, count: int) -> Split:
        rows = np.arange(count)
        values = rng.random_sample((count, lag)).astype(np.float32)
        first = rng.randint(0, min(10, lag // 2), count, np.int32)
        second = rng.randint(0, lag // 2 - 1, count, np.int32)
        second += second >= first  # counted among the unmarked steps
        marks = np.zeros((count, lag), np.float32)
        marks[rows, first] = marks[rows, second] = 1
        return Split(np.stack([values, marks], axis=-1), values[rows, first] + values[rows, second])

    return generate(
        "adding", make, task="regression", input_size=2, output_size=1, steps=lag,
        examples=examples, held_out=held_out, lag=lag,
    )  # fmt: skip


def load_temporal_order(*, lag: int = 100, examples: int = 10_000, held_out: int = 1_000) -> Dataset:
    """Ids of ``abcdXYEB``: E, then uniform random a, b, c, d except X or Y at t1 and at t2, and B at the last step.

    Inputs ``[N, lag + lag // 10]``, lengths ``[N]`` uniform from ``lag`` to that; steps past the end hold a. Counted
    from 0, t1 is uniform from lag / 10 to lag / 5 and t2 from lag / 2 to 6 lag / 10, all rounded down. Targets ``[N]``
    int32 for the symbols at t1 and t2: 0 for X X, 1 for X Y, 2 for Y X, 3 for Y Y. A lag of 100 is experiment 6a.

    Departures: cross-entropy and accuracy instead of the paper's criterion, every output unit within 0.3 of its
    target; a fixed set of examples where the paper draws new ones during training. InputError for a size out of range.
    """
    check_range("lag", lag, 10, MAX_STEPS)

    def make(rng: Rng, count: int) -> Split:
        rows = np.arange(count)
        longest = lag + lag // 10
        ids = rng.randint(0, 4, (count, longest), np.int32)
        lengths = rng.randint(lag, longest + 1, count, np.int32)
        t1 = rng.randint(lag // 10, lag // 5 + 1, count, np.int32)
        t2 = rng.randint(lag // 2, 6 * lag // 10 + 1, count, np.int32)
        one, two = rng.randint(0, 2, (2, count), np.int32)
        ids[np.arange(longest) >= lengths[:, None]] = 0
        ids[:, 0], ids[rows, lengths - 1] = START, TRIGGER
        ids[rows, t1], ids[rows, t2] = np.where(one, Y, X), np.where(two, Y, X)
        return Split(ids, 2 * one + two, lengths)

    return generate(
        "temporal_order", make, task="classification", input_size=8, output_size=4, steps=lag + lag // 10,
        examples=examples, held_out=held_out, lag=lag,
    )  # fmt: skip
