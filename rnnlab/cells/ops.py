"""What cells are made of: products that take one-hot ids, activations, zero carries."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnlab.core.errors import choose
from rnnlab.core.types import Array, Key

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
}

GATE_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": jax.nn.sigmoid,
    # Keras's, the default of its recurrent gates until 2.3; jax.nn.hard_sigmoid has another slope (1/6).
    "hard_sigmoid": lambda z: jnp.clip(0.2 * z + 0.5, 0.0, 1.0),
}


def activation(name: str) -> Callable[[Array], Array]:
    """The activation called ``name``: tanh, sigmoid or relu."""
    return ACTIVATIONS[choose("activation", name, ACTIVATIONS)]


def gate_activation(name: str) -> Callable[[Array], Array]:
    """The gate activation called ``name``: sigmoid (logistic) or hard_sigmoid (Keras's)."""
    return GATE_ACTIVATIONS[choose("gate", name, GATE_ACTIVATIONS)]


def dot(x: Array, w: Array) -> Array:
    """``x [..., D] @ w [D, *out] -> [..., *out]``, accumulated in float32 (float64 under x64).

    Integer ``x [...]`` are ids that stand for one-hot rows: the product is then a gather of rows of ``w``.
    """
    if jnp.issubdtype(x.dtype, jnp.integer):
        return w[x].astype(jnp.promote_types(w.dtype, jnp.float32))
    accumulate = jnp.promote_types(w.dtype, jnp.float32)
    return jax.lax.dot_general(
        x.astype(w.dtype), w, (((x.ndim - 1,), (0,)), ((), ())), preferred_element_type=accumulate
    )


def zeros(params: Array, *shape: int) -> Array:
    """Zeros of ``shape`` for a carry: float32 whatever the parameters' dtype (float64 under x64)."""
    return jnp.zeros(shape, jnp.promote_types(params.dtype, jnp.float32))


def per_example_draw(key: Key, t: Array, draw: Callable[[Key], Array]) -> Array:
    """``draw``s ``[H]`` for every batch element, from its own step count ``t [..., 1]``: ``[..., H]``.

    Padding of one element never moves another's draw.
    """

    def of(element: Array, now: Array) -> Array:
        return draw(jax.random.fold_in(jax.random.fold_in(key, now), element))

    drawn = jax.vmap(of)(jnp.arange(t.size), t.reshape(-1).astype(jnp.uint32))
    return drawn.reshape(*t.shape[:-1], drawn.shape[-1])
