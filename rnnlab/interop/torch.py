"""Parameters of ``rnn``, ``lstm`` and ``gru`` as state dictionaries of ``torch.nn``, and back.

    module.load_state_dict({name: torch.tensor(value) for name, value in to_state_dict(params).items()})
    params = from_state_dict("gru", {name: value.numpy() for name, value in module.state_dict().items()})

Both pack gates in one order. PyTorch has two biases per gate whose sum acts: ours goes into ``bias_ih``, and zeros into
``bias_hh`` but for the candidate's recurrent bias of the GRU. Layers are `stack`'s, directions `bidirectional`'s.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnlab.cells.gru import GRUParams
from rnnlab.cells.lstm import LSTMParams
from rnnlab.cells.rnn import RNNParams
from rnnlab.cells.wrappers.bidirectional import Bidirectional
from rnnlab.core.errors import InputError, choose
from rnnlab.core.types import Params

GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def to_state_dict(params: Params) -> dict[str, np.ndarray]:
    """``weight_ih_l0 [G*H, D]``, ``weight_hh_l0 [G*H, H]``, ``bias_ih_l0 [G*H]``, ``bias_hh_l0``, ... of ``params``.

    ``params``: of ``rnn``, ``lstm`` or ``gru`` (reset after), of either in both directions, or a tuple of layers of
    these. Raises InputError for the parameters of other cells and for those without biases.
    """
    state: dict[str, np.ndarray] = {}
    for layer, each in enumerate(_layers(params)):
        directions = {"": each.forward, "_reverse": each.backward} if isinstance(each, Bidirectional) else {"": each}
        for suffix, one in directions.items():
            for name, value in _packed(one).items():
                state[f"{name}_l{layer}{suffix}"] = value
    return state


def from_state_dict(cell: str, state: Mapping[str, Any]) -> Params:
    """The parameters of ``cell`` ("rnn", "lstm" or "gru") in ``state``, arrays by PyTorch's names.

    As `to_state_dict` takes them: a tuple if there are several layers, both directions if there are. Raises InputError
    for missing names, for projections and for shapes that do not fit together.
    """
    gates = GATES[choose("cell", cell, GATES)]
    arrays = {name: np.asarray(value, np.float32) for name, value in state.items()}
    layers: list[Params] = []
    while f"weight_ih_l{len(layers)}" in arrays:
        number = len(layers)
        forward = _unpacked(cell, gates, arrays, f"_l{number}")
        both = f"weight_ih_l{number}_reverse" in arrays
        layers.append(
            Bidirectional(forward, _unpacked(cell, gates, arrays, f"_l{number}_reverse")) if both else forward
        )
    if not layers or arrays:
        wrong = f"{', '.join(arrays)} cannot be used" if arrays else "weight_ih_l0 is missing"
        raise InputError(
            f"state: {wrong}; accepted: weight_ih, weight_hh, bias_ih and bias_hh of each layer from _l0 on"
        )
    return tuple(layers) if len(layers) > 1 else layers[0]


def _layers(params: Params) -> tuple[Any, ...]:
    return params if type(params) is tuple else (params,)


def _packed(params: Params) -> dict[str, np.ndarray]:
    if not isinstance(params, (RNNParams, LSTMParams, GRUParams)) or params.b is None:
        raise InputError(
            f"params: {type(params).__name__} has no counterpart; accepted: with biases rnn, lstm, gru with reset=after"
        )
    if isinstance(params, GRUParams) and params.b_n is None:
        raise InputError("params: a GRU with reset=before has no counterpart in PyTorch; accepted: reset=after")
    if isinstance(params, LSTMParams) and (params.b_state is not None or params.w.shape[1] != 4):
        raise InputError(
            "params: state_bias and output_gate=recurrent have no counterpart in PyTorch; accepted: without"
        )
    w, u, b = (np.asarray(each, np.float32) for each in (params.w, params.u, params.b))
    if w.ndim == 2:  # one gate
        w, u, b = w[:, None], u[:, None], b[None]
    hidden = np.zeros_like(b)
    if isinstance(params, GRUParams):
        hidden[2] = params.b_n
    return {
        "weight_ih": w.transpose(1, 2, 0).reshape(-1, w.shape[0]),
        "weight_hh": u.transpose(1, 2, 0).reshape(-1, u.shape[0]),
        "bias_ih": b.reshape(-1),
        "bias_hh": hidden.reshape(-1),
    }


def _unpacked(cell: str, gates: int, arrays: dict[str, np.ndarray], suffix: str) -> Params:
    """Takes what it reads out of ``arrays``."""
    names = [f"{name}{suffix}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    if missing := [name for name in names if name not in arrays]:
        raise InputError(f"state: {missing[0]} is missing; accepted: all of {', '.join(names)}")
    weight_ih, weight_hh, bias_ih, bias_hh = (arrays.pop(name) for name in names)
    hidden_size = weight_hh.shape[-1]
    rows = gates * hidden_size
    found = [each.shape for each in (weight_ih, weight_hh, bias_ih, bias_hh)]
    if weight_ih.ndim != 2 or found != [(rows, weight_ih.shape[1]), (rows, hidden_size), (rows,), (rows,)]:
        raise InputError(
            f"state: {names[0]} to {names[3]} of shapes {found}; accepted: {cell} with [{gates}*H, ...] each"
        )
    w: Any
    u: Any
    b: Any
    b_hidden: Any
    w, u = (each.reshape(gates, hidden_size, -1).transpose(2, 0, 1) for each in (weight_ih, weight_hh))
    b, b_hidden = bias_ih.reshape(gates, hidden_size), bias_hh.reshape(gates, hidden_size)
    if cell == "rnn":
        return RNNParams(w[:, 0], u[:, 0], (b + b_hidden)[0])
    if cell == "lstm":
        return LSTMParams(w, u, b + b_hidden)
    return GRUParams(w, u, b + b_hidden * np.array([[1], [1], [0]], np.float32), b_hidden[2])
