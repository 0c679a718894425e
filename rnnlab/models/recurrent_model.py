"""Embedding -> cell -> readout."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.ops import leaves_named, no_decay_of, step_of
from rnnlab.cells.unroll import is_fused, last_valid, unroll
from rnnlab.cells.wrappers.recurrent_dropout import drop_recurrent, dropout_mask
from rnnlab.core.errors import InputError, choose
from rnnlab.core.types import Array, Carry, Cell, Key, Model, Params

EMBEDDING_INITIALIZERS: dict[str, Callable[[Key, tuple[int, int]], Array]] = {
    "glorot_uniform": jax.nn.initializers.glorot_uniform(),
    "keras_uniform": lambda key, shape: jax.random.uniform(key, shape, minval=-0.05, maxval=0.05),
    "normal": jax.nn.initializers.normal(1.0),  # PyTorch's
}


class ModelParams(NamedTuple):
    """``embedding [V, E]`` or None; the cell's own; ``w [H, C]`` and ``b [C]`` of the readout."""

    embedding: Array | None
    cell: Params
    w: Array
    b: Array


class Dropout(NamedTuple):
    """Dropout rates, 0 <= rate < 1, None for no dropout, and the key of a training step.

    Inputs and recurrence have one mask for all time steps (Gal & Ghahramani 2016), as in Keras's layers.
    """

    key: Key
    inputs: Array | None = None
    recurrent: Array | None = None
    readout: Array | None = None


def make_model(
    cell: Cell,
    input_size: int,
    output_size: int,
    *,
    per_step: bool,
    embedding_size: int = 0,
    embedding_init: str = "glorot_uniform",
    scale: float = 1.0,
    dropout: Dropout | None = None,
    backward: str = "auto",
    bptt: int | None = None,
    remat: bool = False,
) -> Model:
    """A model of batch-major inputs: features ``[B, T, D]`` or ids ``[B, T]``.

    Outputs are logits ``[B, T, C]`` with ``per_step``, else ``[B, C]`` from the last valid step (or the cell's
    ``last_output``). Ids are embedded in ``embedding_size`` dimensions, or with 0 enter the cell as one-hot rows (a
    gather, not a product). Features are multiplied by ``scale``. The readout starts Glorot-uniform with zero bias, as
    in Keras's Dense. ``dropout`` is given in training, not in evaluation. ``backward``, ``bptt``
    and ``remat`` are those of `unroll`.
    """
    init_table = EMBEDDING_INITIALIZERS[choose("embedding_init", embedding_init, EMBEDDING_INITIALIZERS)]
    through_time: Any = {"backward": backward, "bptt": bptt, "remat": remat}
    init_readout = jax.nn.initializers.glorot_uniform()

    def init(key: Key) -> ModelParams:
        key_embedding, key_cell, key_readout = jax.random.split(key, 3)
        return ModelParams(
            init_table(key_embedding, (input_size, embedding_size)) if embedding_size else None,
            cell.init(key_cell, embedding_size or input_size),
            init_readout(key_readout, (cell.hidden_size, output_size)),
            jnp.zeros(output_size),
        )

    def time_major(params: ModelParams, inputs: Array, *, embedded: bool = True) -> Array:
        xs = jnp.swapaxes(inputs, 0, 1)  # time-major from here
        if xs.ndim > 2:
            return xs.astype(jnp.promote_types(jnp.float32, params.w.dtype)) * scale
        return xs if params.embedding is None or not embedded else params.embedding[xs]

    def initial_carry(params: ModelParams, batch: int) -> Carry:
        return cell.initial_carry(params.cell, (batch,))

    def apply(
        params: ModelParams, inputs: Array, lengths: Array | None = None, carry: Carry | None = None,
        *, resets: Array | None = None,
    ) -> tuple[Carry, Array]:  # fmt: skip
        drops_inputs = dropout is not None and dropout.inputs is not None
        # In the step, rows of the table are multiplied by token where that is less: `weight_gradients.tables`.
        in_step = params.embedding is not None and cell.scan is None and not drops_inputs and inputs.ndim == 2
        run_cell, cell_params = cell, params.cell
        if dropout is not None:
            key_inputs, key_recurrent, key_readout = jax.random.split(dropout.key, 3)
        if dropout is not None and dropout.recurrent is not None:
            run_cell = drop_recurrent(cell, key_recurrent, dropout.recurrent, initial_carry(params, inputs.shape[0]))
        in_step = in_step and (resets is not None or not is_fused(run_cell, params.cell))
        xs = time_major(params, inputs, embedded=not in_step)
        if dropout is not None and dropout.inputs is not None:
            if xs.ndim == 2:
                raise InputError("dropout: input dropout requires an embedding for ids")
            xs = xs * dropout_mask(key_inputs, xs.shape[1:], dropout.inputs)
        resets_TB = None if resets is None else jnp.swapaxes(resets, 0, 1)
        if carry is None:
            carry = run_cell.initial_carry(params.cell, (inputs.shape[0],))
        if in_step:
            run_cell, cell_params = _embedding(run_cell), (params.embedding, params.cell)
        carry, hs_TBH = unroll(run_cell, cell_params, xs, carry, lengths=lengths, resets=resets_TB, **through_time)
        out = hs_TBH if per_step else (cell.last_output or last_valid)(hs_TBH, lengths)
        if dropout is not None and dropout.readout is not None:
            out = out * dropout_mask(key_readout, out.shape, dropout.readout)
        logits = out @ params.w
        return carry, (jnp.swapaxes(logits, 0, 1) if per_step else logits) + params.b

    def carry_history(params: ModelParams, inputs: Array) -> Carry:
        cell_step = step_of(cell, "carry_history")

        def step(carry: Carry, x: Array) -> tuple[Carry, Carry]:
            after, _ = cell_step(params.cell, carry, x)
            return after, after

        return jax.lax.scan(step, initial_carry(params, inputs.shape[0]), time_major(params, inputs))[1]

    def no_decay(params: ModelParams) -> ModelParams:
        return leaves_named("b")(params)._replace(cell=no_decay_of(cell, params.cell))

    return Model(init, apply, initial_carry, carry_history, embed=time_major, paths=cell.paths, no_decay=no_decay)


def _embedding(cell: Cell) -> Cell:
    """``cell`` of ids, which it embeds by itself: its parameters are (table ``[V, E]``, those of ``cell``)."""
    step = step_of(cell, "cell")
    return cell._replace(
        fused=None,
        initial_carry=lambda params, batch: cell.initial_carry(params[1], batch),
        step=lambda params, carry, ids: step(params[1], carry, params[0][ids]),
    )
