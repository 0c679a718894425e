"""Named key streams: every random number of a run is reached by name from its seed, never by order of use."""

import jax
import jax.numpy as jnp

from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Key

STREAMS = {"init": 0, "data": 1, "dropout": 2, "sample": 3, "split": 4}
# What a seed draws, and the words of `Config.seed_source`; dropout and noise belong to the course of training.
SOURCES = {"init": "init", "data": "batches", "dropout": "batches", "split": "split"}


def stream_key(stream: str, seed: Array) -> Key:
    """The key of one stream of one seed: ``fold_in(fold_in(root, stream), seed)``.

    Threefry whatever JAX's default is (under ``rbg`` vmapped keys would all draw from the first), and ``fold_in``
    rather than ``split``: seed 7 alone is seed 7 of 32.
    """
    if stream not in STREAMS:
        raise InputError(f"stream: unknown value {stream!r}; accepted: {', '.join(STREAMS)}")
    root = jax.random.key(0, impl="threefry2x32")
    return jax.random.fold_in(jax.random.fold_in(root, STREAMS[stream]), seed)


def source_key(stream: str, seed: Array, varied: str) -> Key:
    """`stream_key` of the run's seed if ``varied``, a `Config.seed_source`, covers the stream, else of seed 0.

    "all" covers initial values and batches: the division of the data is then the data set's own.
    """
    return stream_key(stream, seed if varied in ("all", SOURCES[stream]) else jnp.zeros_like(seed))
