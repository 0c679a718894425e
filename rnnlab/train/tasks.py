"""Tasks: the loss, and the metrics that are computed from sums over examples.

To add a metric, add a `Metric` to its task here (and a field to `MetricSums` if it needs another sum). Records,
summary.json, tables, figures and pages show every metric that a task declares.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core.types import Array

TOLERANCE = 0.04  # Hochreiter & Schmidhuber 1997, experiment 4: a smaller absolute error counts as correct
GAP = "gap"  # recorded for every task: held-out loss minus training loss


class MetricSums(NamedTuple):
    """Weighted sums over predictions (examples, or steps of per-step tasks). Metrics divide them once."""

    loss: Array  # nats, or squared error
    correct: Array
    count: Array  # type: ignore[assignment]  # a tuple has a method of this name
    solved: Array | None = None  # weights of the sequences with every step correct; None: not summed


class Metric(NamedTuple):
    """A metric: its name in records, and its values from sums; NaN where nothing was counted."""

    name: str
    compute: Callable[[MetricSums], np.ndarray]  # sums [...] -> [...]
    higher_is_better: bool


class Task(NamedTuple):
    """A task. ``metrics`` begins with the loss, which selects epochs and has lower as better."""

    per_step: bool  # the readout predicts at every step, not only at the last valid one
    sums: Callable[[Array, Array, Array], MetricSums]  # (logits, targets, weights) -> sums
    metrics: tuple[Metric, ...]
    primary_metric: str  # the metric of the results table
    success_metric: str | None = None  # the metric, a fraction, of success_threshold

    def compute(self, sums: MetricSums) -> dict[str, np.ndarray]:
        """Every metric by name."""
        return {metric.name: metric.compute(sums) for metric in self.metrics}


def cross_entropy_sums(logits: Array, targets: Array, weights: Array) -> MetricSums:
    """Sums over all leading axes. ``logits [..., C]``, ``targets [...]`` integer, ``weights [...]`` 0 or 1.

    Loss in nats, accumulated in float32 (float64 under x64).
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    log_likelihood = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)[..., 0]
    correct = is_likeliest(logits, targets)
    # where, not a product: a padding row may hold NaN
    nats = -jnp.where(weights > 0, weights * log_likelihood, 0.0)
    return MetricSums(jnp.sum(nats), jnp.sum(weights * correct), jnp.sum(weights))


def labeling_sums(logits: Array, targets: Array, weights: Array) -> MetricSums:
    """`cross_entropy_sums` with ``solved``; ``logits [..., T, C]``, ``targets`` and ``weights [..., T]``."""
    correct = jnp.all(is_likeliest(logits, targets) | (weights == 0), axis=-1)
    return cross_entropy_sums(logits, targets, weights)._replace(solved=jnp.sum(correct * jnp.sum(weights, axis=-1)))


def each_step_sums(logits: Array, targets: Array, weights: Array) -> MetricSums:
    """`cross_entropy_sums` of a class predicted at every step; correct is the last weighted step alone.

    ``logits [..., T, C]``, ``targets`` and ``weights [..., T]``. A sequence counts by the sum of its weights.
    """
    left = jnp.cumsum((weights > 0)[..., ::-1], axis=-1)[..., ::-1]  # weighted steps from this one on
    last = is_likeliest(logits, targets) & (weights > 0) & (left == 1)
    correct = jnp.sum(jnp.any(last, axis=-1) * jnp.sum(weights, axis=-1))
    return cross_entropy_sums(logits, targets, weights)._replace(correct=correct)


def is_likeliest(logits: Array, targets: Array) -> Array:
    """Whether ``targets [...]`` are the argmax of ``logits [..., C]``: the first of equal logits; False with NaN.

    On CPU several times as fast as XLA's argmax, which takes a large part of an evaluation.
    """
    largest = logits == jnp.max(logits, axis=-1, keepdims=True)
    before = jnp.arange(logits.shape[-1]) < targets[..., None]
    own = jnp.take_along_axis(largest, targets[..., None], axis=-1)[..., 0]
    return own & ~jnp.any(largest & before, axis=-1)


def squared_error_sums(logits: Array, targets: Array, weights: Array) -> MetricSums:
    """Sums over all leading axes. ``logits [..., 1]``, ``targets [...]`` real, ``weights [...]`` 0 or 1.

    The loss is the squared error, accumulated in float32 (float64 under x64); correct: absolute error < ``TOLERANCE``.
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    # where, not a product: a padding row may hold NaN
    error = jnp.where(weights > 0, logits[..., 0] - targets, 0.0)
    correct = jnp.abs(error) < TOLERANCE
    return MetricSums(jnp.sum(weights * error**2), jnp.sum(weights * correct), jnp.sum(weights))


def mean_loss(sums: MetricSums) -> np.ndarray:
    """Mean loss per prediction: nats, or squared error."""
    return np.asarray(sums.loss) / _count(sums)


def fraction_correct(sums: MetricSums) -> np.ndarray:
    """Correct predictions as a fraction."""
    return np.asarray(sums.correct) / _count(sums)


def bits(sums: MetricSums) -> np.ndarray:
    """Mean loss per prediction in bits."""
    return mean_loss(sums) / np.log(2.0)


def fraction_solved(sums: MetricSums) -> np.ndarray:
    """Sequences with every step correct, as a fraction; a sequence counts by its number of weighted steps.

    With teacher forcing a step follows a correct prefix, so accuracy is above that of a model that reads its own
    predictions. ``solved`` is not: greedy decoding follows the target as long as every step is correct.
    """
    return np.asarray(sums.solved) / _count(sums)


def _count(sums: MetricSums) -> np.ndarray:
    return np.where(np.asarray(sums.count) > 0, sums.count, np.nan)


LOSS = Metric("loss", mean_loss, higher_is_better=False)
ACCURACY = Metric("accuracy", fraction_correct, higher_is_better=True)
BITS_PER_CHARACTER = Metric("bits_per_character", bits, higher_is_better=False)
SOLVED = Metric("solved", fraction_solved, higher_is_better=True)
WITHIN_TOLERANCE = Metric("solved", fraction_correct, higher_is_better=True)

TASKS: dict[str, Task] = {
    "classification": Task(False, cross_entropy_sums, (LOSS, ACCURACY), "accuracy", "accuracy"),
    "classification_at_each_step": Task(True, each_step_sums, (LOSS, ACCURACY), "accuracy", "accuracy"),
    "language_modeling": Task(True, cross_entropy_sums, (LOSS, ACCURACY, BITS_PER_CHARACTER), "bits_per_character"),
    "sequence_labeling": Task(True, labeling_sums, (LOSS, ACCURACY, SOLVED), "accuracy", "solved"),
    "sequence_to_sequence": Task(True, labeling_sums, (LOSS, ACCURACY, SOLVED), "solved"),
    "regression": Task(False, squared_error_sums, (LOSS, WITHIN_TOLERANCE), "loss", "solved"),
}


def metric_names() -> set[str]:
    """The names of all metrics that training records; the others come from probes."""
    return {metric.name for task in TASKS.values() for metric in task.metrics} | {GAP}
