"""Text from a language model: one character after another, each drawn from what the model expects next. Pure."""

import jax
import jax.numpy as jnp

from rnnlab.core.types import Array, Carry, Key, Model, Params


def generate(
    model: Model, params: Params, prompt_ids: Array, key: Key, length: int, temperature: float = 1.0, top_k: int = 0
) -> Array:
    """Ids ``[length] int32`` that follow ``prompt_ids [N] int32``, N >= 1, in a model that answers at every step.

    The logits are divided by ``temperature``, at least 0: below 1 the likely becomes likelier, and 0 takes the
    likeliest id (the lowest of equals). ``top_k`` above 0 draws among the k likeliest ids only, k <= V. The t-th id
    is drawn with ``fold_in(key, t)``, so that equal keys give equal texts and a shorter text begins a longer one.
    """
    softness = min(max(temperature, float(jnp.finfo(jnp.float32).tiny)), float(jnp.finfo(jnp.float32).max))

    def draw(key: Key, logits_V: Array) -> Array:
        if temperature == 0:
            return jnp.argmax(logits_V)
        scaled = (logits_V - jnp.max(logits_V)) / softness  # the largest is 0: nothing overflows upwards
        if top_k == 0:
            return jax.random.categorical(key, scaled)
        largest, ids = jax.lax.top_k(scaled, top_k)
        return ids[jax.random.categorical(key, largest)]

    def step(state: tuple[Carry, Array], t: Array) -> tuple[tuple[Carry, Array], Array]:
        carry, logits_V = state
        drawn = draw(jax.random.fold_in(key, t), logits_V).astype(jnp.int32)
        return read(carry, drawn[None]), drawn

    def read(carry: Carry | None, ids: Array) -> tuple[Carry, Array]:
        """The carry and the logits ``[V] float32`` after more ids ``[n]``."""
        carry, logits_BTV = model.apply(params, ids[None], None, carry)
        return carry, logits_BTV[0, -1].astype(jnp.float32)

    start = read(None, jnp.asarray(prompt_ids, jnp.int32))
    return jax.lax.scan(step, start, jnp.arange(length))[1]
