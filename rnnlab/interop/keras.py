"""Parameters of ``lstm`` and ``gru`` as the weight lists of ``keras.layers.LSTM`` and ``GRU``, and back.

    layer.set_weights(to_weights(params))        params = from_weights("lstm", layer.get_weights())

Keras packs the gates of an LSTM as ours, i, f, c~, o, and those of a GRU as z, r, n (ours r, z, n). Its GRU with
``reset_after=True`` has two rows of biases, of which the second acts on h: ours goes into the first, but for the
candidate's recurrent bias.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnlab.cells.gru import GRUParams
from rnnlab.cells.lstm import LSTMParams
from rnnlab.core.errors import InputError, choose
from rnnlab.core.types import Params

_KERAS = [1, 0, 2]  # of ours to Keras's order of a GRU, and back


def to_weights(params: Params) -> list[np.ndarray]:
    """``[kernel [D, G*H], recurrent_kernel [H, G*H], bias]``; the bias of a GRU is ``[2, 3*H]``.

    Raises InputError for parameters of other cells than ``lstm`` with biases and ``gru`` with reset=after.
    """
    if isinstance(params, LSTMParams) and params.b is not None and params.b_state is None and params.w.shape[1] == 4:
        w, u, b = (np.asarray(each, np.float32) for each in params[:3])
        return [w.reshape(len(w), -1), u.reshape(len(u), -1), b.reshape(-1)]
    if isinstance(params, GRUParams) and params.b is not None and params.b_n is not None:
        w, u, b = (np.asarray(each, np.float32)[..., _KERAS, :] for each in params[:3])
        hidden = np.zeros_like(b)
        hidden[2] = params.b_n
        return [w.reshape(len(w), -1), u.reshape(len(u), -1), np.stack([b.reshape(-1), hidden.reshape(-1)])]
    raise InputError(
        f"params: {type(params).__name__} has no counterpart; accepted: lstm with biases, gru with reset=after"
    )


def from_weights(cell: str, weights: Sequence[Any]) -> Params:
    """The parameters of ``cell`` ("lstm" or "gru") in the list of a Keras layer. Raises InputError for other shapes."""
    gates = {"lstm": 4, "gru": 3}[choose("cell", cell, ("lstm", "gru"))]
    arrays = [np.asarray(each, np.float32) for each in weights]
    shapes, hidden_size = [each.shape for each in arrays], arrays[1].shape[0] if len(arrays) == 3 else 0
    width = gates * hidden_size
    bias = (width,) if cell == "lstm" else (2, width)
    if len(arrays) != 3 or arrays[0].ndim != 2 or shapes != [(shapes[0][0], width), (hidden_size, width), bias]:
        more = " of reset_after=True" if cell == "gru" else ""
        raise InputError(
            f"weights: shapes {shapes}; accepted: kernel, recurrent kernel and bias of one {cell} layer{more}"
        )
    w: Any
    u: Any
    b: Any
    hidden: Any
    w, u = (each.reshape(len(each), gates, hidden_size) for each in arrays[:2])
    if cell == "lstm":
        b = arrays[2].reshape(gates, hidden_size)
        return LSTMParams(w, u, b)
    w, u, (b, hidden) = w[:, _KERAS], u[:, _KERAS], arrays[2].reshape(2, gates, hidden_size)[:, _KERAS]
    return GRUParams(w, u, b + hidden * np.array([[1], [1], [0]], np.float32), hidden[2])
