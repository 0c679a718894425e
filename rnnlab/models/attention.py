"""What a decoder reads of a prompt: a weighted mean of the encoder's outputs, by additive or dot-product scores.

Paper: additive, Bahdanau, Cho & Bengio, Neural machine translation by jointly learning to align and translate, 2015;
    dot, and attention after the decoder's step, Luong, Pham & Manning, Effective approaches to attention-based neural
    machine translation, 2015, eq. 5-8.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.core.types import Array, Key

ATTENTION = ("none", "additive", "dot")


class AttentionParams(NamedTuple):
    """``w [H_e + H_d, H_d]``; for additive scores ``w_q [H_d, H_d]``, ``w_k [H_e, H_d]``, ``v [H_d]``, else None."""

    w: Array
    w_q: Array | None
    w_k: Array | None
    v: Array | None


class Memory(NamedTuple):
    """What attention reads: values (the encoder's outputs), keys, and which of them are valid."""

    hs: Array  # [B, Q, H_e], zero past the end of a prompt
    keys: Array  # [B, Q, H_d]
    valid: Array  # [B, Q] bool


def init_attention(key: Key, score: str, encoder: int, decoder: int) -> AttentionParams:
    """Glorot-uniform parameters for an encoder and a decoder of so many units; ``score``: "additive" or "dot"."""
    glorot = jax.nn.initializers.glorot_uniform()
    key_w, key_q, key_k, key_v = jax.random.split(key, 4)
    w = glorot(key_w, (encoder + decoder, decoder))
    if score == "dot":
        return AttentionParams(w, None, None, None)
    v = glorot(key_v, (decoder, 1))[:, 0]
    return AttentionParams(w, glorot(key_q, (decoder, decoder)), glorot(key_k, (encoder, decoder)), v)


def remember(params: AttentionParams, hs_QBH: Array, lengths: Array | None) -> Memory:
    """The memory of prompts with the encoder's outputs ``hs_QBH`` and ``lengths [B]``, None: all of Q steps."""
    hs = jnp.swapaxes(hs_QBH, 0, 1)
    steps = jnp.arange(hs.shape[1])[None]
    valid = jnp.ones(hs.shape[:2], bool) if lengths is None else steps < lengths[:, None]
    return Memory(hs, hs if params.w_k is None else hs @ params.w_k, valid)


def attend(params: AttentionParams, memory: Memory, hs_ABH: Array) -> Array:
    """``tanh([c_t, h_t] W)`` at every step of the answer, ``[A, B, H_d]``."""
    if params.w_q is None or params.v is None:
        scores_ABQ = jnp.einsum("abh,bqh->abq", hs_ABH, memory.keys)
    else:
        scores_ABQ = jnp.tanh((hs_ABH @ params.w_q)[:, :, None] + memory.keys) @ params.v
    # The least finite number, not -inf: with a prompt of length 0 the weights must not be NaN.
    scores_ABQ = jnp.where(memory.valid, scores_ABQ, jnp.finfo(scores_ABQ.dtype).min)
    c_ABH = jnp.einsum("abq,bqh->abh", jax.nn.softmax(scores_ABQ), memory.hs)
    return jnp.tanh(jnp.concatenate([c_ABH, hs_ABH], axis=-1) @ params.w)
