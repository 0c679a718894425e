"""What models are asked for: losses and metrics, as sums inside and divided once outside."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core.types import Array, MetricSums, Task

TOLERANCE = 0.04  # Hochreiter & Schmidhuber 1997, experiment 4: a smaller absolute error is a right answer


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
    """As ``cross_entropy_sums``, with ``solved``; ``logits [..., T, C]``, ``targets`` and ``weights [..., T]``."""
    right = jnp.all(is_likeliest(logits, targets) | (weights == 0), axis=-1)
    return cross_entropy_sums(logits, targets, weights)._replace(solved=jnp.sum(right * jnp.sum(weights, axis=-1)))


def is_likeliest(logits: Array, targets: Array) -> Array:
    """Whether ``targets [...]`` are the argmax of ``logits [..., C]``, the first of equals; of NaN they never are.

    XLA's own argmax on a CPU takes several times as long, and a good part of an evaluation.
    """
    largest = logits == jnp.max(logits, axis=-1, keepdims=True)
    before = jnp.arange(logits.shape[-1]) < targets[..., None]
    own = jnp.take_along_axis(largest, targets[..., None], axis=-1)[..., 0]
    return own & ~jnp.any(largest & before, axis=-1)


def squared_error_sums(logits: Array, targets: Array, weights: Array) -> MetricSums:
    """Sums over all leading axes. ``logits [..., 1]``, ``targets [...]`` real, ``weights [...]`` 0 or 1.

    Loss is the squared error, accumulated in float32 (float64 under x64); correct is an absolute error below
    ``TOLERANCE``.
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    # where, not a product: a padding row may hold NaN
    error = jnp.where(weights > 0, logits[..., 0] - targets, 0.0)
    correct = jnp.abs(error) < TOLERANCE
    return MetricSums(jnp.sum(weights * error**2), jnp.sum(weights * correct), jnp.sum(weights))


def classification_metrics(sums: MetricSums) -> dict[str, np.ndarray]:
    """Mean loss in nats per example, and accuracy as a fraction; NaN where nothing was counted."""
    count = np.where(np.asarray(sums.count) > 0, sums.count, np.nan)
    return {"loss": np.asarray(sums.loss) / count, "accuracy": np.asarray(sums.correct) / count}


def language_metrics(sums: MetricSums) -> dict[str, np.ndarray]:
    """As classification, per predicted character, and the loss in bits per character."""
    metrics = classification_metrics(sums)
    return {**metrics, "bits_per_character": metrics["loss"] / np.log(2.0)}


def labeling_metrics(sums: MetricSums) -> dict[str, np.ndarray]:
    """As classification, per asked step; ``solved``: fraction of the examples of which every asked step is right.

    Where examples ask for different numbers of steps, each counts as many times as it asks. Where the answer is fed
    back (teacher forcing), ``accuracy`` is that of one step after a right beginning, higher than that of a model which
    reads its own mistakes; but ``solved`` is the fraction of answers that greedy decoding writes without a mistake: it
    follows the right answer exactly as long as the likeliest id is the right one.
    """
    return {
        **classification_metrics(sums),
        "solved": classification_metrics(sums._replace(correct=sums.solved))["accuracy"],  # type: ignore[arg-type]
    }


def regression_metrics(sums: MetricSums) -> dict[str, np.ndarray]:
    """``loss``: mean squared error; ``solved``: fraction of examples with an absolute error below ``TOLERANCE``."""
    metrics = classification_metrics(sums)
    return {"loss": metrics["loss"], "solved": metrics["accuracy"]}


TASKS: dict[str, Task] = {
    "classification": Task(
        per_step=False,
        sums=cross_entropy_sums,
        metrics=classification_metrics,
        headline="accuracy",
        higher_is_better=True,
        success_metric="accuracy",
    ),
    "language_modeling": Task(
        per_step=True,
        sums=cross_entropy_sums,
        metrics=language_metrics,
        headline="bits_per_character",
        higher_is_better=False,
    ),
    "sequence_labeling": Task(
        per_step=True,
        sums=labeling_sums,
        metrics=labeling_metrics,
        headline="accuracy",
        higher_is_better=True,
        success_metric="solved",
    ),
    "sequence_to_sequence": Task(
        per_step=True,
        sums=labeling_sums,
        metrics=labeling_metrics,
        headline="solved",
        higher_is_better=True,
    ),
    "regression": Task(
        per_step=False,
        sums=squared_error_sums,
        metrics=regression_metrics,
        headline="loss",
        higher_is_better=False,
        success_metric="solved",
    ),
}
