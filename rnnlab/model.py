"""Embedding -> cell -> readout."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.types import Array, Cell, Key, Model, Params
from rnnlab.unroll import unroll


class ModelParams(NamedTuple):
    """``embedding [V, E]`` or None; the cell's own; ``w [H, C]`` and ``b [C]`` of the readout."""

    embedding: Array | None
    cell: Params
    w: Array
    b: Array


def make_model(
    cell: Cell, input_size: int, output_size: int, *, every_step: bool, embedding: int = 0, scale: float = 1.0
) -> Model:
    """A model of batch-major inputs: features ``[B, T, D]`` or ids ``[B, T]``.

    It answers with logits ``[B, C]`` from the last valid step, or ``[B, T, C]`` from every step. Ids are embedded in
    ``embedding`` dimensions, or with 0 enter the cell as one-hot rows (a gather, never a product). Features are
    multiplied by ``scale``. The readout starts Glorot-uniform with zero bias, as Keras's Dense does; the embedding
    Glorot-uniform.
    """
    glorot = jax.nn.initializers.glorot_uniform()

    def init(key: Key) -> ModelParams:
        key_embedding, key_cell, key_readout = jax.random.split(key, 3)
        table = glorot(key_embedding, (input_size, embedding)) if embedding else None
        return ModelParams(
            table,
            cell.init(key_cell, embedding or input_size),
            glorot(key_readout, (cell.hidden_size, output_size)),
            jnp.zeros(output_size),
        )

    def apply(params: ModelParams, inputs: Array, lengths: Array | None = None) -> Array:
        xs = jnp.swapaxes(inputs, 0, 1)  # the one transposition: time-major from here
        is_ids = xs.ndim == 2
        if is_ids and params.embedding is not None:
            xs = params.embedding[xs]
        elif not is_ids:
            xs = xs.astype(jnp.promote_types(jnp.float32, params.w.dtype)) * scale
        _, hs_TBH = unroll(cell, params.cell, xs, lengths=lengths)
        if every_step:
            return jnp.swapaxes(hs_TBH @ params.w, 0, 1) + params.b
        if lengths is None:
            last = hs_TBH[-1]
        else:
            last = jnp.take_along_axis(hs_TBH, jnp.maximum(lengths - 1, 0)[None, :, None], axis=0)[0]
        return last @ params.w + params.b

    return Model(init, apply)
