"""Greedy and beam-search decoding of answers."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Carry, Model, Params


class Decoded(NamedTuple):
    """Answers ``[B, A]`` and ``[B]``; of a beam of width W, the most likely first, ``[B, W, A]`` and ``[B, W]``."""

    ids: Array  # int32
    log_probability: Array  # of the whole answer, in nats


def greedy(
    model: Model,
    params: Params,
    prompts: Array,
    start: int,
    length: int,
    *,
    lengths: Array | None = None,
    stop: int | None = None,
) -> Decoded:
    """The most likely id at every step (the lowest of equals), given the ids before it; A = ``length``.

    ``prompts [B, Q]`` are ids, of which ``lengths [B]`` are valid; ``start`` is the decoder's first input. ``stop`` is
    the id that ends an answer; the rest of the answer repeats it at no cost. A language model (without ``encode``)
    continues the prompt in the same way. Raises InputError for a length below 1.
    """
    _at_least_1(length=length)
    batch, end = prompts.shape[0], -1 if stop is None else stop
    memory, carry = _encode(model, params, prompts, lengths)

    def step(state: tuple[Carry, Array, Array, Array], _: None) -> tuple[tuple[Carry, Array, Array, Array], Array]:
        carry, last, total, ended = state
        carry, log_p = _next_log_p(model, params, memory, carry, last)
        log_p = _ended(log_p, ended, end)
        last = jnp.argmax(log_p, axis=-1).astype(jnp.int32)
        return (carry, last, total + jnp.max(log_p, axis=-1), ended | (last == end)), last

    first = carry, jnp.full(batch, start, jnp.int32), jnp.zeros(batch), jnp.zeros(batch, bool)
    (_, _, total, _), ids_AB = jax.lax.scan(step, first, length=length)
    return Decoded(ids_AB.T, total)


def beam(
    model: Model,
    params: Params,
    prompts: Array,
    start: int,
    length: int,
    width: int,
    *,
    lengths: Array | None = None,
    stop: int | None = None,
) -> Decoded:
    """The W = ``width`` most likely answers by beam search, which keeps the W most likely prefixes at every step.

    Arguments as in ``greedy``, which is a beam of width 1. With W >= V ** (A - 1) the search is exact. Where there are
    fewer than W answers, the others have log-probability -inf. Scores are not normalized by length, so ``stop`` favors
    short answers. Raises InputError for a length or width below 1.
    """
    _at_least_1(length=length, width=width)
    batch, end = prompts.shape[0], -1 if stop is None else stop
    # Rows are prefixes, [B * W, ...]; the memory is the same for all prefixes of a prompt and is never reordered.
    memory, carry = jax.tree.map(lambda leaf: jnp.repeat(leaf, width, axis=0), _encode(model, params, prompts, lengths))

    def step(state: tuple[Carry, Array, Array, Array], _: None) -> tuple[Any, tuple[Array, Array]]:
        carry, last_BW, scores_BW, ended_BW = state
        carry, log_p = _next_log_p(model, params, memory, carry, last_BW.reshape(-1))
        log_p_BWV = _ended(log_p.reshape(batch, width, -1), ended_BW, end)
        size = log_p_BWV.shape[-1]
        totals = (scores_BW[..., None] + log_p_BWV).reshape(batch, -1)
        scores_BW, chosen_BW = jax.lax.top_k(totals, width)
        parents_BW, last_BW = chosen_BW // size, (chosen_BW % size).astype(jnp.int32)
        rows = (jnp.arange(batch)[:, None] * width + parents_BW).reshape(-1)
        carry = jax.tree.map(lambda leaf: leaf[rows], carry)
        ended_BW = jnp.take_along_axis(ended_BW, parents_BW, axis=1) | (last_BW == end)
        return (carry, last_BW, scores_BW, ended_BW), (last_BW, parents_BW)

    def back(rows_BW: Array, chosen: tuple[Array, Array]) -> tuple[Array, Array]:
        last_BW, parents_BW = chosen
        return jnp.take_along_axis(parents_BW, rows_BW, axis=1), jnp.take_along_axis(last_BW, rows_BW, axis=1)

    shape = batch, width
    first_only = jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf)  # at first all prefixes are the same, empty one
    first = carry, jnp.full(shape, start, jnp.int32), jnp.broadcast_to(first_only, shape), jnp.zeros(shape, bool)
    (_, _, scores_BW, _), chosen = jax.lax.scan(step, first, length=length)
    _, ids_ABW = jax.lax.scan(back, jnp.broadcast_to(jnp.arange(width), shape), chosen, reverse=True)
    return Decoded(jnp.moveaxis(ids_ABW, 0, -1), scores_BW)


def _encode(model: Model, params: Params, prompts: Array, lengths: Array | None) -> tuple[Any, Carry]:
    if model.encode is not None:
        return model.encode(params, prompts, lengths)
    return None, model.apply(params, prompts, lengths, None)[
        0
    ]  # a language model remembers the prompt by its carry alone


def _next_log_p(model: Model, params: Params, memory: Any, carry: Carry, ids: Array) -> tuple[Carry, Array]:
    """The carry and the log-probabilities ``[B, V]`` of the next id after ``ids [B]``."""
    if model.decode_step is not None:
        carry, logits = model.decode_step(params, memory, carry, ids)
    else:
        carry, logits_BTV = model.apply(params, ids[:, None], None, carry)
        logits = logits_BTV[:, 0]
    return carry, jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))


def _ended(log_p: Array, ended: Array, end: int) -> Array:
    """``log_p [..., V]``; where the answer has ``ended [...]``, 0 for ``end`` and -inf for other ids."""
    only = jnp.where(jnp.arange(log_p.shape[-1]) == end, 0.0, -jnp.inf)
    return jnp.where(ended[..., None], only, log_p)


def _at_least_1(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name}: {size} is out of range; accepted: 1 or more")
