"""State tracking: the running product of the elements of a group, read beyond the trained length."""

import itertools
from typing import Literal

import numpy as np

from rnnlab.core.types import Dataset, Split
from rnnlab.data.generated import Rng, generate
from rnnlab.data.options import check_range

GROUPS = {"parity": 2, "s3": 3, "s5": 5}  # permutations of so many things; of two they are the bits of a parity
LONGER = 4  # times as long as in training is the longest test


def load_state_tracking(
    *, group: Literal["parity", "s3", "s5"] = "parity", length: int = 20, examples: int = 10_000, held_out: int = 1_000
) -> Dataset:
    """Ids of random group elements ``[N, T]``; the target at every step is the product of all so far.

    ``group``: "parity" (2 elements), "s3" (6) or "s5" (120, not solvable: no shallow parallel circuit is known). T is
    ``length`` in training and validation and four times that in the test, which is read after ``length`` (a quarter),
    twice and four times as many steps: metrics ``accuracy_quarter``, ``accuracy_half`` and ``accuracy_end``.

    Source: Merrill, Petty & Sabharwal, The illusion of state in state-space models, 2024; Grazzi et al., Unlocking
        state-tracking in linear RNNs through negative eigenvalues, 2025 (trained short, read long).
    InputError for another group, and for a size out of range.
    """
    check_range("length", length, 1, 1_000)
    table = multiplication_table(GROUPS[group])
    steps = LONGER * length

    def make(rng: Rng, count: int) -> Split:
        ids = rng.randint(0, len(table), (count, steps), np.int32)
        products, now = np.empty_like(ids), np.zeros(count, np.int32)  # from the identity
        for step in range(steps):
            products[:, step] = now = table[now, ids[:, step]]
        return Split(ids, products)

    def cut(split: Split) -> Split:
        return Split(split.inputs[:, :length], split.targets[:, :length])

    whole = generate(
        "state_tracking", make, task="state_tracking", input_size=len(table), output_size=len(table), steps=steps,
        examples=examples, held_out=held_out, elements=len(table), length=length,
    )  # fmt: skip
    return whole._replace(train=cut(whole.train), validation=cut(whole.validation))


def multiplication_table(things: int) -> np.ndarray:
    """``[G, G] int32``: the element that is element a followed by element b; 0 is the identity."""
    elements = list(itertools.permutations(range(things)))
    place = {element: index for index, element in enumerate(elements)}
    rows = [[place[tuple(b[a[i]] for i in range(things))] for b in elements] for a in elements]
    return np.array(rows, np.int32)
