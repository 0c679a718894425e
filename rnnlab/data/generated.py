"""Shared by all generated data sets: random streams, three splits, and prompt-and-answer sequences of ids."""

from collections.abc import Callable

import numpy as np

from rnnlab.core.types import Dataset, Split
from rnnlab.data.files import sha256
from rnnlab.data.options import check_range

SEED = 1997
SPLITS = ("train", "validation", "test")
MAX_STEPS = 100_000
MAX_TOTAL_STEPS = 2**28  # of all examples of a split; at 12 bytes each 3 GiB

Rng = np.random.RandomState  # numpy guarantees its stream for ever, unlike that of default_rng


def split_rng(split: str) -> Rng:
    """The random stream of one split, the same for every data set and all options."""
    return Rng([SEED, SPLITS.index(split)])


def generate(
    name: str,
    make: Callable[[Rng, int], Split],
    *,
    task: str,
    input_size: int,
    output_size: int,
    steps: int,
    examples: int,
    held_out: int,
    prompt_length: int = 0,
    **options: int,
) -> Dataset:
    """The data set of ``make(rng, N)`` with ``examples`` for training and ``held_out`` each for validation and test.

    ``steps`` is T, which limits N. Each split has its own stream, so its examples do not depend on the sizes of the
    others; where few different examples exist, some occur in two splits by chance. ``source`` holds the options and
    the SHA-256 of all arrays. InputError for sizes out of range.
    """
    most = MAX_TOTAL_STEPS // steps
    check_range("examples", examples, 1, most)
    check_range("held_out", held_out, 1, most)
    train, validation, test = (
        make(split_rng(split), size) for split, size in zip(SPLITS, (examples, held_out, held_out), strict=True)
    )
    arrays = [np.ascontiguousarray(leaf) for split in (train, validation, test) for leaf in split if leaf is not None]
    return Dataset(
        name=name,
        task=task,
        input_size=input_size,
        output_size=output_size,
        train=train,
        validation=validation,
        test=test,
        source={
            "sha256": sha256(*(leaf.astype(leaf.dtype.newbyteorder("<")).tobytes() for leaf in arrays)),
            "generator": {"examples": examples, "held_out": held_out, **options},
            "split": f"train, validation, test: RandomState([{SEED}, 0]), [{SEED}, 1], [{SEED}, 2]",
        },
        prompt_length=prompt_length,
    )


def prompt_and_answer(
    prompt: np.ndarray, answer: np.ndarray, *, blank: int, marker: int, teacher_forcing: bool = False
) -> Split:
    """Ids: ``prompt [N, Q]``, the marker, then a blank per step of ``answer [N, A]``; T = Q + 1 + A.

    The targets at the blanks are the answer, with weight 1; all other targets are blanks with weight 0. With
    ``teacher_forcing`` the answer delayed by one step replaces the blanks: the prompt, the marker, whose target is the
    first id of the answer, and the answer without its last id; T = Q + A.
    """
    count, answer_length = answer.shape
    markers = np.full((count, 1), marker)
    rest = answer[:, :-1] if teacher_forcing else np.full(answer.shape, blank)
    inputs = np.concatenate([prompt, markers, rest], axis=1)
    unweighted = np.full((count, inputs.shape[1] - answer_length), blank)
    targets = np.concatenate([unweighted, answer], axis=1)
    weights = np.zeros(inputs.shape, np.float32)
    weights[:, -answer_length:] = 1
    return Split(inputs.astype(np.int32), targets.astype(np.int32), weights=weights)
