"""Which examples a training step sees: index plans of an epoch, and batches gathered by them."""

import jax
import jax.numpy as jnp

from rnnlab.core.types import Array, Key, Split
from rnnlab.training.arm_spec import ArmSpec
from rnnlab.training.keys import source_key

BATCH_SAMPLING = ("shuffled", "drawn", "contiguous")


def batch_indices(spec: ArmSpec, seed: Array, epoch: Array | int, examples: int) -> Array:
    """The examples of each step of an epoch, ``[S, B] int32``.

    "shuffled": every example at most once; the incomplete last batch is dropped. "drawn": each batch is sampled
    without replacement, independently of the others. "contiguous": the examples lie end to end in a text and are read
    as B parallel streams: row s + 1 continues where row s ended.
    """
    if spec.batch_sampling == "drawn":
        key = _epoch_key(spec.seed_source, seed, epoch)
        return drawn_indices(key, examples, spec.steps_per_epoch, spec.batch_size)
    if spec.batch_sampling == "contiguous":
        return jnp.arange(spec.steps_per_epoch)[:, None] + jnp.arange(spec.batch_size) * (examples // spec.batch_size)
    order = shuffled_indices(_epoch_key(spec.seed_source, seed, epoch), examples)
    return order[: spec.steps_per_epoch * spec.batch_size].reshape(spec.steps_per_epoch, spec.batch_size)


def division(seed: Array, examples: int) -> Array:
    """The order ``[examples] int32`` of all examples of train and validation together under ``seed_source=split``.

    The first are trained on, the others are the run's validation.
    """
    return shuffled_indices(source_key("split", seed, "split"), examples)


def _epoch_key(varied: str, seed: Array, epoch: Array | int) -> Key:
    """By seed and epoch alone: two arms with one seed see the same batches."""
    return jax.random.fold_in(source_key("data", seed, varied), epoch)


def shuffled_indices(key: Key, examples: int) -> Array:
    """A random order of ``examples``, ``[examples] int32``.

    One sort by 32 random bits takes half the time of ``jax.random.permutation``; ties, which are rare, keep their
    order.
    """
    return jnp.argsort(jax.random.bits(key, (examples,))).astype(jnp.int32)


def drawn_indices(key: Key, examples: int, steps: int, batch: int) -> Array:
    """Batches ``[steps, batch] int32``, each sampled without replacement, independently of the others.

    A batch is the indices of the largest of ``examples`` random numbers: one pass, where a permutation sorts them all.
    """

    def draw(step: Array) -> Array:
        return jax.lax.top_k(jax.random.uniform(jax.random.fold_in(key, step), (examples,)), batch)[1]

    return jax.lax.map(draw, jnp.arange(steps))


def take(split: Split, rows: Array) -> Split:
    """The examples ``rows`` of every array of ``split``."""
    return jax.tree.map(lambda leaf: leaf[rows], split)


def resets_of(batch: Split) -> dict[str, Array]:
    """The argument of a model's ``apply`` for a batch in which sequences are packed, else none."""
    return {} if batch.resets is None else {"resets": batch.resets}


def target_weights(batch: Split) -> Array:
    """The weight of each target, float32 in the shape of ``batch.targets``; 1 unless the batch says otherwise.

    Data sets whose targets are vectors ``[..., K]`` have weights ``[...]``.
    """
    return jnp.ones(batch.targets.shape, jnp.float32) if batch.weights is None else batch.weights
