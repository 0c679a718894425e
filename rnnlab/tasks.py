"""What models are asked for: losses and metrics, as sums inside and divided once outside."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.types import Array, Sums, Task


def cross_entropy_sums(logits: Array, targets: Array, weights: Array) -> Sums:
    """Sums over all leading axes. ``logits [..., C]``, ``targets [...]`` integer, ``weights [...]`` 0 or 1.

    Loss in nats, accumulated in float32 (float64 under x64).
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    log_likelihood = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)[..., 0]
    correct = jnp.argmax(logits, axis=-1) == targets
    # where, not a product: a padding row may hold NaN
    nats = -jnp.where(weights > 0, weights * log_likelihood, 0.0)
    return Sums(jnp.sum(nats), jnp.sum(weights * correct), jnp.sum(weights))


def classification_metrics(sums: Sums) -> dict[str, np.ndarray]:
    """Mean loss in nats per example, and accuracy as a fraction; NaN where nothing was counted."""
    count = np.where(np.asarray(sums.count) > 0, sums.count, np.nan)
    return {"loss": np.asarray(sums.loss) / count, "accuracy": np.asarray(sums.correct) / count}


def language_metrics(sums: Sums) -> dict[str, np.ndarray]:
    """As classification, per predicted character, and the loss in bits per character."""
    metrics = classification_metrics(sums)
    return {**metrics, "bits_per_character": metrics["loss"] / np.log(2.0)}


TASKS: dict[str, Task] = {
    "classification": Task(
        every_step=False,
        sums=cross_entropy_sums,
        metrics=classification_metrics,
        headline="accuracy",
        higher_is_better=True,
    ),
    "language_modelling": Task(
        every_step=True,
        sums=cross_entropy_sums,
        metrics=language_metrics,
        headline="bits_per_character",
        higher_is_better=False,
    ),
}
