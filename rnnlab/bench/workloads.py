"""The works that are timed: their sizes, their data, and the arithmetic of one training step."""

from typing import NamedTuple

import numpy as np

from rnnlab.core.errors import InputError, choose

BATCH_SAMPLING = 4  # different batches of each run, which the peers go through in turn


class Work(NamedTuple):
    """A model and its training step, float32: (embedding,) one recurrent layer, readout, softmax cross-entropy."""

    name: str
    T: int
    B: int
    D: int  # features, or V where inputs are ids
    H: int
    C: int  # classes, or V where every step answers
    optimizer: str  # of rnnlab.train.optimizers, with its numbers
    embedding_size: int = 0  # 0: features, or ids as one-hot rows
    ids: bool = False
    per_step: bool = False  # logits at every step, else from the last h
    cell: str = "lstm"
    compute_dtype: str = "float32"  # of config.PRODUCTS; peers have float32

    @property
    def sizes(self) -> str:
        """As text, in the letters of ``types``."""
        embedded = f" E{self.embedding_size}" if self.embedding_size else ""
        return f"T{self.T} B{self.B} {'V' if self.ids else 'D'}{self.D}{embedded} H{self.H}, {self.optimizer}"


LEARNING_RATE = 1e-3

WORKS = {
    "mnist": Work("mnist", T=28, B=32, D=28, H=100, C=10, optimizer="rmsprop"),
    # real reviews differ in length; here all have 100 words, so that no system gains or loses by masking
    "imdb": Work("imdb", T=100, B=32, D=2000, H=128, C=2, optimizer="adam", embedding_size=128, ids=True),
    "chars": Work("chars", T=20, B=128, D=89, H=512, C=89, optimizer="adagrad", ids=True, per_step=True),
}


def choose_works(names: str) -> list[Work]:
    """The works called ``names``, with commas between them, or all. Raises InputError."""
    found = [WORKS[choose("--work", name, WORKS)] for name in dict.fromkeys(names.split(",")) if name]
    if not found:
        raise InputError(f"--work: is empty; accepted: {', '.join(WORKS)}")
    return found


def step_flops(work: Work) -> int:
    """Floating-point operations of the matrix products that one training step of one run must do, with an LSTM.

    Of each product: itself, the gradient of its weights and that of its left side, which x without an embedding does
    not need. A one-hot row times W is a gather, and its gradient a scatter: nothing. Elementwise arithmetic is not
    counted, and h_0 = 0 is not made use of.
    """
    gates, outputs = 4 * work.H, work.T if work.per_step else 1
    inputs = (work.embedding_size, 3) if work.embedding_size else (0, 0) if work.ids else (work.D, 2)
    width, times = inputs
    recurrent = 3 * 2 * work.T * work.B * work.H * gates
    readout = 3 * 2 * outputs * work.B * work.H * work.C
    return times * 2 * work.T * work.B * width * gates + recurrent + readout


def random_batches(work: Work, runs: int, count: int = BATCH_SAMPLING, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """``(inputs [R, count, B, T(, D)], targets [R, count, B(, T)])``: features in [0, 1), ids and classes drawn."""
    draw, lead = np.random.default_rng(seed), (runs, count, work.B)
    shape = (*lead, work.T)
    inputs = draw.integers(work.D, size=shape) if work.ids else draw.random((*shape, work.D))
    targets = draw.integers(work.C, size=shape if work.per_step else lead)
    return inputs.astype(np.int32 if work.ids else np.float32), targets.astype(np.int32)
