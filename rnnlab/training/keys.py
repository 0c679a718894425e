"""Named key streams: every random number of a run is reached by name from its seed, never by order of use."""

import jax

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
