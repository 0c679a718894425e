"""Named key streams: every random number of a run is reached by name from its seed, never by order of use."""

import jax
import jax.numpy as jnp

from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Key

STREAMS = {"init": 0, "data": 1, "dropout": 2, "sample": 3}


def stream_key(stream: str, seed: Array) -> Key:
    """The key of one stream of one seed: ``fold_in(fold_in(root, stream), seed)``.

    Threefry whatever JAX's default is (under ``rbg`` vmapped keys would all draw from the first), and ``fold_in``
    rather than ``split``: seed 7 alone is seed 7 of 32.
    """
    if stream not in STREAMS:
        raise InputError(f"stream: unknown value {stream!r}; accepted: {', '.join(STREAMS)}")
    root = jax.random.key(0, impl="threefry2x32")
    return jax.random.fold_in(jax.random.fold_in(root, STREAMS[stream]), seed)


def shuffled_indices(seed: Array, epoch: Array | int, examples: int) -> Array:
    """The order ``[examples] int32`` in which one run sees the training split in one epoch.

    It depends on the seed alone, so that two arms at one seed see the same batches. One sort by 32 random bits, half
    of what ``jax.random.permutation`` takes; of the rare two with equal bits the earlier comes first.
    """
    key = jax.random.fold_in(stream_key("data", seed), epoch)
    return jnp.argsort(jax.random.bits(key, (examples,))).astype(jnp.int32)


def drawn_indices(seed: Array, epoch: Array | int, examples: int, steps: int, batch: int) -> Array:
    """Batches ``[steps, batch] int32``, each drawn anew: no example twice in a batch, whatever the others hold.

    The largest of as many random numbers (of 23 bits; of equals the earlier example) as there are examples: one pass,
    where a permutation sorts them all.
    """
    key = jax.random.fold_in(stream_key("data", seed), epoch)

    def draw(step: Array) -> Array:
        return jax.lax.top_k(jax.random.uniform(jax.random.fold_in(key, step), (examples,)), batch)[1]

    return jax.lax.map(draw, jnp.arange(steps))
