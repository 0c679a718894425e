"""What all generated data sets share: three streams of random numbers, three splits, a stream of ids with an answer."""

from collections.abc import Callable

import numpy as np

from rnnlab.core.types import Dataset, Split
from rnnlab.data.files import sha256
from rnnlab.data.options import check_range

SEED = 1997
SPLITS = ("train", "validation", "test")
MOST_STEPS = 100_000
MOST_CELLS = 2**28  # steps of all examples of a split; at 12 bytes each 3 GiB

Draw = np.random.RandomState  # its stream is frozen by numpy's compatibility policy, that of default_rng is not


def stream(split: str) -> Draw:
    """The random numbers that one split is drawn from, the same for every data set and every option."""
    return Draw([SEED, SPLITS.index(split)])


def generate(
    name: str,
    make: Callable[[Draw, int], Split],
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
    """The data set of ``make(draw, N)``: ``examples`` to train on, ``held_out`` for validation, as many again for test.

    ``steps`` is T, which bounds their number; ``prompt_length`` is the data set's.
    Splits have streams of their own, so one's size does not change another's examples; the same example may come up
    twice, by chance, where there are few different ones. ``source`` holds the options and the SHA-256 of all arrays.
    InputError for sizes out of range.
    """
    most = MOST_CELLS // steps
    check_range(examples=(examples, 1, most), held_out=(held_out, 1, most))
    train, validation, test = (
        make(stream(split), size) for split, size in zip(SPLITS, (examples, held_out, held_out), strict=True)
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


def ask(question: np.ndarray, answer: np.ndarray, *, blank: int, marker: int, fed: bool = False) -> Split:
    """One stream of ids: ``question [N, Q]``, the marker, a blank for each step of ``answer [N, A]``, T = Q + 1 + A.

    The answer is asked for at the blanks, where weights are 1; elsewhere the target is a blank that weighs nothing.
    With ``fed`` (teacher forcing) the answer itself, one step late, stands where the blanks are: the question, the
    marker, where the first id is asked for, and all of the answer but its last id, T = Q + A.
    """
    count, asked = answer.shape
    marked = np.full((count, 1), marker)
    inputs = np.concatenate([question, marked, answer[:, :-1] if fed else np.full((count, asked), blank)], axis=1)
    unasked = np.full((count, inputs.shape[1] - asked), blank)
    targets = np.concatenate([unasked, answer], axis=1)
    weights = np.zeros(inputs.shape, np.float32)
    weights[:, -asked:] = 1
    return Split(inputs.astype(np.int32), targets.astype(np.int32), weights=weights)
