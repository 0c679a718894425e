"""Tasks: the loss, and the metrics that are computed from sums over examples.

To add a metric, add a `Metric` to its task here (and a field to `MetricSums` if it needs another sum). Records,
summary.json, tables, figures and pages show every metric that a task declares.
"""

from collections.abc import Callable, Sequence
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
    # None where the task does not sum them:
    solved: Array | None = None  # weights of the sequences with every step correct
    by_class: Array | None = None  # [3, C]: correct predictions of each class, predictions of it, targets
    at_parts: Array | None = None  # [2, 3]: correct predictions at a quarter, half and end of sequences; predictions
    by_output: Array | None = None  # [4, K]: of each output squared and absolute error, target and its square


class Metric(NamedTuple):
    """A metric: its name in records, and its values from sums; NaN where nothing was counted."""

    name: str
    compute: Callable[[MetricSums], np.ndarray]  # sums [...] -> [...]
    higher_is_better: bool


class Task(NamedTuple):
    """A task. ``metrics`` begins with the loss, which selects epochs and has lower as better."""

    per_step: bool  # the readout predicts at every step, not only at the last valid one
    # logits [..., C]; targets [...], or [..., C] with vector_targets; weights [...]
    sums: Callable[[Array, Array, Array], MetricSums]  # (logits, targets, weights) -> sums
    metrics: tuple[Metric, ...]
    primary_metric: str  # the metric of the results table
    success_metric: str | None = None  # the metric, a fraction, of success_threshold
    vector_targets: bool = False  # a target is K real values, not one value or class
    beside: tuple[str, ...] = ()  # further metrics of the results table

    def compute(self, sums: MetricSums, target_scale: Sequence[float] = ()) -> dict[str, np.ndarray]:
        """Every metric by name. ``target_scale [K]``: what the targets were divided by; rmse and mae are undone."""
        if target_scale and sums.by_output is not None:
            scale = np.asarray(target_scale)
            units = np.stack([scale**2, scale, scale, scale**2])
            sums = sums._replace(by_output=np.asarray(sums.by_output) * units)
        return {metric.name: metric.compute(sums) for metric in self.metrics}


def cross_entropy_sums(logits: Array, targets: Array, weights: Array) -> MetricSums:
    """Sums over all leading axes. ``logits [..., C]``, ``targets [...]`` integer, ``weights [...]`` 0 or 1.

    Loss in nats, accumulated in float32 (float64 under x64).
    """
    # flat: XLA sums over the classes of a transposed array in another order, and how many devices there are decides
    # whether it transposes
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32)).reshape(-1, logits.shape[-1])
    targets, weights = targets.reshape(-1), weights.reshape(-1)
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


def tracking_sums(logits: Array, targets: Array, weights: Array) -> MetricSums:
    """`cross_entropy_sums` with ``at_parts``; ``logits [..., T, C]``, ``targets`` and ``weights [..., T]``."""
    steps = targets.shape[-1]
    parts = jnp.array([max(1, steps // 4) - 1, max(1, steps // 2) - 1, steps - 1])
    kept = weights[..., parts]
    correct = kept * is_likeliest(logits[..., parts, :], targets[..., parts])
    lead = tuple(range(kept.ndim - 1))
    at_parts = jnp.stack([jnp.sum(correct, axis=lead), jnp.sum(kept, axis=lead)])
    return cross_entropy_sums(logits, targets, weights)._replace(at_parts=at_parts)


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


def class_sums(logits: Array, targets: Array, weights: Array) -> MetricSums:
    """`cross_entropy_sums` with ``by_class``; any weights from 0."""
    largest = logits == jnp.max(logits, axis=-1, keepdims=True)
    predicted = largest & (jnp.cumsum(largest, axis=-1) == 1)  # the first of equal logits, as in is_likeliest
    actual = targets[..., None] == jnp.arange(logits.shape[-1])
    lead = tuple(range(weights.ndim))
    counts = [jnp.sum(weights[..., None] * hits, axis=lead) for hits in (predicted & actual, predicted, actual)]
    return cross_entropy_sums(logits, targets, weights)._replace(by_class=jnp.stack(counts))


def value_sums(logits: Array, targets: Array, weights: Array) -> MetricSums:
    """Sums over all leading axes, with ``by_output``. ``logits``, ``targets [..., K]`` real, ``weights [...]`` from 0.

    The loss is the squared error, the mean over the K outputs, accumulated in float32 (float64 under x64). ``correct``
    is 0.
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    weighted = weights[..., None]
    # where, not a product: a padding row may hold NaN
    error = jnp.where(weighted > 0, logits - targets, 0.0)
    terms = (error**2, jnp.abs(error), targets, targets**2)
    by_output = jnp.stack([jnp.sum(weighted * term, axis=tuple(range(weights.ndim))) for term in terms])
    return MetricSums(jnp.mean(by_output[0]), jnp.zeros_like(by_output[0, 0]), jnp.sum(weights), by_output=by_output)


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


def balanced_accuracy(sums: MetricSums) -> np.ndarray:
    """The mean over classes of the fraction of their targets that is predicted right; classes without one do not count.

    Brodersen et al., The balanced accuracy and its posterior distribution, 2010; chance is 1 / C.
    """
    correct, _, actual = _by(sums.by_class)
    return _class_mean(correct, actual)


def macro_f1(sums: MetricSums) -> np.ndarray:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN); classes neither predicted nor a target do not count."""
    correct, predicted, actual = _by(sums.by_class)
    return _class_mean(2 * correct, predicted + actual)


def rmse(sums: MetricSums) -> np.ndarray:
    """Root mean squared error in the targets' unit, the mean over outputs."""
    return np.sqrt(_by(sums.by_output)[0] / _count(sums)[..., None]).mean(axis=-1)


def mae(sums: MetricSums) -> np.ndarray:
    """Mean absolute error in the targets' unit, the mean over outputs."""
    return (_by(sums.by_output)[1] / _count(sums)[..., None]).mean(axis=-1)


def r2(sums: MetricSums) -> np.ndarray:
    """1 - squared error / squared deviation of the split's targets from their mean; the mean over outputs.

    0 is the error of the split's own mean; NaN where the targets of an output do not vary.
    """
    squared, _, target, target_squared = _by(sums.by_output)
    deviation = target_squared - target**2 / _count(sums)[..., None]
    varies = deviation > 1e-6 * target_squared  # below it the difference is rounding
    return (1 - squared / np.where(varies, deviation, np.nan)).mean(axis=-1)


def accuracy_at(part: int) -> Callable[[MetricSums], np.ndarray]:
    """Correct predictions at a quarter (0), half (1) or the end (2) of the sequences, as a fraction."""

    def fraction(sums: MetricSums) -> np.ndarray:
        correct, count = _by(sums.at_parts)
        return correct[..., part] / np.where(count[..., part] > 0, count[..., part], np.nan)

    return fraction


def _by(sums: Array | None) -> np.ndarray:
    """``[..., n, K]`` as ``[n, ..., K]`` in float64."""
    return np.moveaxis(np.asarray(sums, np.float64), -2, 0)


def _class_mean(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    present = denominator > 0
    ratios = numerator / np.where(present, denominator, 1)
    count = present.sum(axis=-1)
    return np.where(count > 0, ratios.sum(axis=-1, where=present) / np.maximum(count, 1), np.nan)


def _count(sums: MetricSums) -> np.ndarray:
    return np.where(np.asarray(sums.count) > 0, sums.count, np.nan)


LOSS = Metric("loss", mean_loss, higher_is_better=False)
ACCURACY = Metric("accuracy", fraction_correct, higher_is_better=True)
BITS_PER_CHARACTER = Metric("bits_per_character", bits, higher_is_better=False)
SOLVED = Metric("solved", fraction_solved, higher_is_better=True)
WITHIN_TOLERANCE = Metric("solved", fraction_correct, higher_is_better=True)
BALANCED_ACCURACY = Metric("balanced_accuracy", balanced_accuracy, higher_is_better=True)
MACRO_F1 = Metric("macro_f1", macro_f1, higher_is_better=True)
RMSE = Metric("rmse", rmse, higher_is_better=False)
MAE = Metric("mae", mae, higher_is_better=False)
R2 = Metric("r2", r2, higher_is_better=True)


ACCURACY_AT = tuple(
    Metric(f"accuracy_{name}", accuracy_at(part), higher_is_better=True)
    for part, name in enumerate(("quarter", "half", "end"))
)


def _of_classes(*, per_step: bool) -> Task:
    metrics, beside = (LOSS, ACCURACY, BALANCED_ACCURACY, MACRO_F1), ("balanced_accuracy", "macro_f1")
    return Task(per_step, class_sums, metrics, "accuracy", "accuracy", beside=beside)


def _of_values(*, per_step: bool) -> Task:
    return Task(per_step, value_sums, (LOSS, RMSE, MAE, R2), "rmse", vector_targets=True, beside=("mae", "r2"))


TASKS: dict[str, Task] = {
    "classification": Task(False, cross_entropy_sums, (LOSS, ACCURACY), "accuracy", "accuracy"),
    "classification_at_each_step": Task(True, each_step_sums, (LOSS, ACCURACY), "accuracy", "accuracy"),
    "language_modeling": Task(True, cross_entropy_sums, (LOSS, ACCURACY, BITS_PER_CHARACTER), "bits_per_character"),
    "sequence_labeling": Task(True, labeling_sums, (LOSS, ACCURACY, SOLVED), "accuracy", "solved"),
    "sequence_to_sequence": Task(True, labeling_sums, (LOSS, ACCURACY, SOLVED), "solved"),
    "state_tracking": Task(
        True,
        tracking_sums,
        (LOSS, ACCURACY, *ACCURACY_AT),
        "accuracy_end",
        "accuracy_end",
        beside=("accuracy_quarter", "accuracy_half"),
    ),
    "regression": Task(False, squared_error_sums, (LOSS, WITHIN_TOLERANCE), "loss", "solved"),
    # Of a user's arrays (rnnlab.data.arrays) and series:
    "multiclass_classification": _of_classes(per_step=False),
    "tagging": _of_classes(per_step=True),
    "multivariate_regression": _of_values(per_step=False),
    "regression_at_each_step": _of_values(per_step=True),
    "forecasting": _of_values(per_step=True),
}


def metric_names() -> set[str]:
    """The names of all metrics that training records; the others come from probes."""
    return {metric.name for task in TASKS.values() for metric in task.metrics} | {GAP}
