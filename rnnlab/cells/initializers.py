"""Initial values of weight blocks ``[n_in, G, H]``: G gates that map n_in inputs to H units each."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnlab.core.errors import choose
from rnnlab.core.types import Array, Key

Shape = tuple[int, int, int]


def _uniform(limit: Callable[[int, int, int], float]) -> Callable[[Key, Shape], Array]:
    return lambda key, shape: jax.random.uniform(key, shape, minval=-1.0, maxval=1.0) * limit(*shape)


def _normal(deviation: Callable[[int, int, int], float]) -> Callable[[Key, Shape], Array]:
    return lambda key, shape: jax.random.normal(key, shape) * deviation(*shape)


def _orthogonal(key: Key, shape: Shape) -> Array:
    """Every gate's block orthogonal (Saxe et al. 2014)."""
    n_in, gates, hidden_size = shape
    # lax.map, not vmap: a batched QR waits for the very thread pool that it runs on (BUILD_NOTES, 2026-11-21).
    blocks = jax.lax.map(
        lambda k: jax.nn.initializers.orthogonal()(k, (n_in, hidden_size)), jax.random.split(key, gates)
    )
    return jnp.moveaxis(blocks, 0, 1)


def _keras_orthogonal(key: Key, shape: Shape) -> Array:
    """One semi-orthogonal matrix over all gates together, as Keras draws ``recurrent_kernel [H, G*H]``."""
    n_in, gates, hidden_size = shape
    return jax.nn.initializers.orthogonal()(key, (n_in, gates * hidden_size)).reshape(shape)


INITIALIZERS: dict[str, Callable[[Key, Shape], Array]] = {
    "glorot_uniform": _uniform(lambda n_in, gates, hidden_size: (6.0 / (n_in + hidden_size)) ** 0.5),
    "glorot_normal": _normal(lambda n_in, gates, hidden_size: (2.0 / (n_in + hidden_size)) ** 0.5),
    "lecun_normal": _normal(lambda n_in, gates, hidden_size: n_in**-0.5),
    "orthogonal": _orthogonal,
    # Fans counted over all gates together, as Keras does for its kernel [D, G*H].
    "keras_glorot_uniform": _uniform(lambda n_in, gates, hidden_size: (6.0 / (n_in + gates * hidden_size)) ** 0.5),
    "keras_orthogonal": _keras_orthogonal,
    # TensorFlow 1's xavier_initializer on one [G, n_in, H] tensor: G counts as a receptive field, in both fans.
    "tf1_xavier": _uniform(lambda n_in, gates, hidden_size: (6.0 / (gates * n_in + gates * hidden_size)) ** 0.5),
    # ... and on one [2, G, n_in, H] tensor, of two stacked layers.
    "tf1_xavier_two_layers": _uniform(
        lambda n_in, gates, hidden_size: (3.0 / (gates * n_in + gates * hidden_size)) ** 0.5
    ),
    "torch_uniform": _uniform(lambda n_in, gates, hidden_size: hidden_size**-0.5),
}


def get_initializer(field: str, name: str) -> Callable[[Key, Shape], Array]:
    """The initializer called ``name``: (key, [n_in, G, H]) -> float32 array. ``field`` names it in errors."""
    return INITIALIZERS[choose(field, name, INITIALIZERS)]
