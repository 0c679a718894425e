"""Sequence to sequence: an encoder reads the prompt, a decoder writes the answer, with or without attention."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.ops import leaves_named, no_decay_of
from rnnlab.cells.unroll import unroll
from rnnlab.cells.wrappers.recurrent_dropout import drop_recurrent, dropout_mask
from rnnlab.core.errors import InputError, choose
from rnnlab.core.types import Array, Carry, Cell, Key, Model, Params
from rnnlab.models.attention import ATTENTION, AttentionParams, Memory, attend, init_attention, remember
from rnnlab.models.recurrent_model import EMBEDDING_INITIALIZERS, Dropout


class Seq2SeqParams(NamedTuple):
    """``embedding [V, E]`` or None; of the cells; of attention or None; ``w [H_d, V]`` and ``b [V]`` of the readout."""

    embedding: Array | None
    encoder: Params
    decoder: Params
    attention: AttentionParams | None
    w: Array
    b: Array


def make_seq2seq(
    encoder: Cell,
    decoder: Cell,
    input_size: int,
    output_size: int,
    *,
    prompt_length: int,
    attention: str = "none",
    embedding_size: int = 0,
    embedding_init: str = "glorot_uniform",
    dropout: Dropout | None = None,
    backward: str = "auto",
    bptt: int | None = None,
    remat: bool = False,
) -> Model:
    """A model of ids ``[B, Q + A]``: a prompt of Q = ``prompt_length`` steps, then the answer delayed by one step.

        q_t = decoder's h_t      k_s, h_s = encoder's h_s
        score = q_t . k_s                                   attention="dot"
        score = v . tanh(q_t W_q + k_s W_k)                 attention="additive"
        c_t = sum_s softmax_s(score) h_s                    over the valid steps of the prompt
        logits_t = tanh([c_t, q_t] W) W_out + b             without attention q_t W_out + b

    ``apply`` is teacher forcing: it reads ``inputs[:, Q:]`` regardless of its own predictions. Its logits
    ``[B, Q + A, V]`` are zero over the prompt. ``lengths [B]`` are those of the prompts, padded at the end; the carry
    it takes is the encoder's, the carry it returns the decoder's. ``encode`` and ``decode_step`` do the same step by
    step (``rnnlab.models.decoding``).

    The decoder starts from the encoder's last carry where both carries have the same structure and sizes. Otherwise it
    starts from its own initial carry and sees the prompt through attention alone; without attention that is an
    InputError. The encoder may be any cell; the decoder needs a ``step``. Prompt and answer share one embedding; with
    size 0 they enter the cells as one-hot rows. ``dropout`` as in ``make_model``, with one mask of the inputs for
    prompt and answer.

    Paper: Sutskever, Vinyals & Le, Sequence to sequence learning with neural networks, 2014; the additive score from
        Bahdanau, Cho & Bengio, Neural machine translation by jointly learning to align and translate, 2015; the dot
        score, and attention after the step, from Luong, Pham & Manning, Effective approaches to attention-based
        neural machine translation, 2015, eq. 5-8. Kumar 2020, Fig. 6.
    Departures: one vocabulary for both sides; a bias in the readout; Bahdanau's decoder attends before its step, with
        h_{t-1}, and reads c_t; Luong's h~ is not fed to the next step. So a teacher-forced pass attends for all steps
        of the answer at once.
    Parameters: those of the cells, H_d*V + V, + (H_e + H_d)*H_d with attention, + (H_e + H_d)*H_d + H_d if additive.
    """
    through_time: Any = {"backward": backward, "bptt": bptt, "remat": remat}
    init_table = EMBEDDING_INITIALIZERS[choose("embedding_init", embedding_init, EMBEDDING_INITIALIZERS)]
    glorot = jax.nn.initializers.glorot_uniform()
    choose("attention", attention, ATTENTION)
    before, width = encoder.hidden_size, decoder.hidden_size
    if attention == "dot" and before != width:
        raise InputError(
            f"attention: dot of an encoder's {before} units with a decoder's {width}; accepted: one width, or additive"
        )
    if decoder.step is None:
        raise InputError("decoder: the cell needs the whole sequence and has no step; accepted: cells of one direction")

    def init(key: Key) -> Seq2SeqParams:
        key_embedding, key_encoder, key_decoder, key_attention, key_readout = jax.random.split(key, 5)
        return Seq2SeqParams(
            init_table(key_embedding, (input_size, embedding_size)) if embedding_size else None,
            encoder.init(key_encoder, embedding_size or input_size),
            decoder.init(key_decoder, embedding_size or input_size),
            None if attention == "none" else init_attention(key_attention, attention, before, width),
            glorot(key_readout, (width, output_size)),
            jnp.zeros(output_size),
        )

    def embed(params: Seq2SeqParams, ids: Array) -> Array:
        return ids if params.embedding is None else params.embedding[ids]

    def run_encoder(
        cell: Cell, params: Seq2SeqParams, xs: Array, lengths: Array | None, carry: Carry | None
    ) -> tuple[Memory | None, Carry]:
        carry, hs_QBH = unroll(cell, params.encoder, xs, carry, lengths=lengths, **through_time)
        own = decoder.initial_carry(params.decoder, xs.shape[1:2])
        if _form(carry) != _form(own):
            if attention == "none":
                raise InputError(
                    f"decoder: starts with {_form(own)}, but the encoder ends with {_form(carry)}; "
                    "accepted: cells with the same carry, or attention"
                )
            carry = own
        return None if params.attention is None else remember(params.attention, hs_QBH, lengths), carry

    def answer(params: Seq2SeqParams, memory: Memory | None, hs_ABH: Array) -> Array:
        """The input of the readout, ``[A, B, H_d]``."""
        if params.attention is None or memory is None:
            return hs_ABH
        return attend(params.attention, memory, hs_ABH)

    def initial_carry(params: Seq2SeqParams, batch: int) -> Carry:
        return encoder.initial_carry(params.encoder, (batch,))

    def apply(
        params: Seq2SeqParams, inputs: Array, lengths: Array | None = None, carry: Carry | None = None
    ) -> tuple[Carry, Array]:
        xs, reader, writer = embed(params, jnp.swapaxes(inputs, 0, 1)), encoder, decoder
        if dropout is not None:
            key_inputs, key_reader, key_writer, key_readout = jax.random.split(dropout.key, 4)
        if dropout is not None and dropout.inputs is not None:
            if xs.ndim == 2:
                raise InputError("dropout: input dropout requires an embedding for ids")
            xs = xs * dropout_mask(key_inputs, xs.shape[1:], dropout.inputs)
        if dropout is not None and dropout.recurrent is not None:
            own = decoder.initial_carry(params.decoder, (len(inputs),))
            reader = drop_recurrent(encoder, key_reader, dropout.recurrent, initial_carry(params, len(inputs)))
            writer = drop_recurrent(decoder, key_writer, dropout.recurrent, own)
        memory, carry = run_encoder(reader, params, xs[:prompt_length], lengths, carry)
        carry, hs_ABH = unroll(writer, params.decoder, xs[prompt_length:], carry, **through_time)
        out = answer(params, memory, hs_ABH)
        if dropout is not None and dropout.readout is not None:
            out = out * dropout_mask(key_readout, out.shape, dropout.readout)
        logits = jnp.swapaxes(out @ params.w + params.b, 0, 1)
        return carry, jnp.pad(logits, ((0, 0), (prompt_length, 0), (0, 0)))

    def encode(params: Seq2SeqParams, prompts: Array, lengths: Array | None = None) -> tuple[Memory | None, Carry]:
        return run_encoder(encoder, params, embed(params, jnp.swapaxes(prompts, 0, 1)), lengths, None)

    def decode_step(params: Seq2SeqParams, memory: Memory | None, carry: Carry, ids: Array) -> tuple[Carry, Array]:
        carry, hs_ABH = unroll(decoder, params.decoder, embed(params, ids[None]), carry, **through_time)
        return carry, answer(params, memory, hs_ABH)[0] @ params.w + params.b

    def carry_history(params: Seq2SeqParams, inputs: Array) -> Carry:
        raise InputError("carry_history: sequence to sequence has two cells; accepted: a model of one")

    def no_decay(params: Seq2SeqParams) -> Seq2SeqParams:
        encoded, decoded = no_decay_of(encoder, params.encoder), no_decay_of(decoder, params.decoder)
        # of attention nothing is a bias, the vector v neither
        return leaves_named("b")(params)._replace(encoder=encoded, decoder=decoded)

    return Model(init, apply, initial_carry, carry_history, encode, decode_step, no_decay=no_decay)


def _form(carry: Carry) -> str:
    """The names and widths of a carry's fields, as in ``LSTMCarry(c=[4], h=[4])``."""
    return str(jax.tree.map(lambda leaf: list(leaf.shape[1:]), carry))
