"""The workloads that are timed: sizes, data, and the operations of one training step."""

from typing import NamedTuple

import numpy as np

from rnnlab.core.errors import InputError, choose

BATCHES = 4  # distinct batches of each run, which the peers repeat


class Workload(NamedTuple):
    """A model and its training step, float32: (embedding,) one recurrent layer, readout, softmax cross-entropy."""

    name: str
    T: int
    B: int
    D: int  # features, or V if inputs are ids
    H: int
    C: int  # classes, or V if per_step
    optimizer: str  # of rnnlab.training.optimizers, with its defaults
    embedding_size: int = 0  # 0: no embedding, ids are one-hot rows
    ids: bool = False
    per_step: bool = False  # logits at every step, else only from the last h
    cell: str = "lstm"
    compute_dtype: str = "float32"  # of rnnlab; peers use float32
    inference: bool = False  # of rnnlab: a forward pass of a batch instead of a training step

    @property
    def sizes(self) -> str:
        """In words, with the axis names of ``core.types``."""
        embedded = f" E{self.embedding_size}" if self.embedding_size else ""
        return f"T{self.T} B{self.B} {'V' if self.ids else 'D'}{self.D}{embedded} H{self.H}, {self.optimizer}"


LEARNING_RATE = 1e-3

WORKLOADS = {
    "mnist": Workload("mnist", T=28, B=32, D=28, H=100, C=10, optimizer="rmsprop"),
    # All sequences have 100 words, unlike real reviews, so that masking does not favor any system.
    "imdb": Workload("imdb", T=100, B=32, D=2000, H=128, C=2, optimizer="adam", embedding_size=128, ids=True),
    "chars": Workload("chars", T=20, B=128, D=89, H=512, C=89, optimizer="adagrad", ids=True, per_step=True),
}


def choose_workloads(names: str) -> list[Workload]:
    """The workloads with the comma-separated ``names``. Raises InputError."""
    chosen = [WORKLOADS[choose("--work", name, WORKLOADS)] for name in dict.fromkeys(names.split(",")) if name]
    if not chosen:
        raise InputError(f"--work: is empty; accepted: {', '.join(WORKLOADS)}")
    return chosen


def resized(workload: Workload, sizes: str) -> Workload:
    """``workload`` with other ``sizes``, as in ``T=512,B=8``, and a name that says so. Raises InputError."""
    accepted = "T, B or H and a whole number from 1, as in T=512,B=8"
    changed: dict[str, int] = {}
    for part in sizes.split(","):
        name, _, number = part.partition("=")
        if name not in ("T", "B", "H") or name in changed or not number.isdecimal() or not 1 <= int(number) <= 10**5:
            raise InputError(f"--sizes: {part!r} of {sizes!r}; accepted: {accepted}")
        changed[name] = int(number)
    name = " ".join([workload.name, *(f"{size}={number}" for size, number in changed.items())])
    return Workload(**{**workload._asdict(), **changed, "name": name})


def step_flops(workload: Workload) -> int:
    """Floating-point operations of the matrix products that one training step of one run must do, with an LSTM.

    Each product counts three times: forward, gradient of the weights, gradient of the inputs (not needed for x without
    an embedding). A one-hot row times W is a gather and costs nothing. Elementwise operations are not counted; h_0 = 0
    is not exploited.
    """
    gates, outputs = 4 * workload.H, workload.T if workload.per_step else 1
    inputs = (workload.embedding_size, 3) if workload.embedding_size else (0, 0) if workload.ids else (workload.D, 2)
    width, times = inputs
    recurrent = 3 * 2 * workload.T * workload.B * workload.H * gates
    readout = 3 * 2 * outputs * workload.B * workload.H * workload.C
    return times * 2 * workload.T * workload.B * width * gates + recurrent + readout


def random_batches(workload: Workload, runs: int, count: int = BATCHES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """``(inputs [R, count, B, T(, D)], targets [R, count, B(, T)])``: random features in [0, 1), ids and classes."""
    draw, lead = np.random.default_rng(seed), (runs, count, workload.B)
    shape = (*lead, workload.T)
    inputs = draw.integers(workload.D, size=shape) if workload.ids else draw.random((*shape, workload.D))
    targets = draw.integers(workload.C, size=shape if workload.per_step else lead)
    return inputs.astype(np.int32 if workload.ids else np.float32), targets.astype(np.int32)
