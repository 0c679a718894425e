"""Text from a language model, sampled one token at a time."""

import jax
import jax.numpy as jnp

from rnnlab.core.types import Array, Carry, Key, Model, Params


def generate(
    model: Model, params: Params, prompt_ids: Array, key: Key, length: int, temperature: float = 1.0, top_k: int = 0
) -> Array:
    """Ids ``[length] int32`` that continue ``prompt_ids [N] int32``, N >= 1, by a model with per-step outputs.

    The logits are divided by ``temperature >= 0``; 0 takes the most likely id (the lowest of equals). ``top_k`` above
    0 draws among the k most likely ids only, k <= V. The t-th id is drawn with ``fold_in(key, t)``: equal keys give
    equal texts, and a shorter text is a prefix of a longer one.
    """
    divisor = min(max(temperature, float(jnp.finfo(jnp.float32).tiny)), float(jnp.finfo(jnp.float32).max))

    def draw(key: Key, logits_V: Array) -> Array:
        if temperature == 0:
            return jnp.argmax(logits_V)
        scaled = (logits_V - jnp.max(logits_V)) / divisor  # the largest is 0: no overflow
        if top_k == 0:
            return jax.random.categorical(key, scaled)
        largest, ids = jax.lax.top_k(scaled, top_k)
        return ids[jax.random.categorical(key, largest)]

    def step(state: tuple[Carry, Array], t: Array) -> tuple[tuple[Carry, Array], Array]:
        carry, logits_V = state
        drawn = draw(jax.random.fold_in(key, t), logits_V).astype(jnp.int32)
        return read(carry, drawn[None]), drawn

    def read(carry: Carry | None, ids: Array) -> tuple[Carry, Array]:
        """The carry and the logits ``[V] float32`` after ``ids [n]``."""
        carry, logits_BTV = model.apply(params, ids[None], None, carry)
        return carry, logits_BTV[0, -1].astype(jnp.float32)

    start = read(None, jnp.asarray(prompt_ids, jnp.int32))
    return jax.lax.scan(step, start, jnp.arange(length))[1]
