"""Parameters of ``cerebral_lstm`` as state dictionaries of the author's package cerebral_lstm 1.1.1, and back.

    module.load_state_dict({name: torch.tensor(value) for name, value in to_state_dict(params).items()})
    params = from_state_dict({name: value.numpy() for name, value in module.state_dict().items()})

``CerebralLSTM`` has for each path (u, l) and gate (f, i, c, o) of each layer a matrix ``[H + D, H]`` that multiplies
``[h, x]``, and a bias.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnlab.cells.cerebral_lstm import CerebralParams
from rnnlab.core.errors import InputError
from rnnlab.core.types import Params

PATHS, GATES = "ul", "ifco"  # gates in our order


def to_state_dict(params: Params) -> dict[str, np.ndarray]:
    """``layers.0.W_ui [H + D, H]``, ``layers.0.b_ui [H]``, ... of ``params``, or of a tuple of layers of them.

    Raises InputError for the parameters of other cells, without biases, and for tied paths.
    """
    layers = params if type(params) is tuple else (params,)
    state = {}
    for number, layer in enumerate(layers):
        if not isinstance(layer, CerebralParams) or layer.b is None or layer.b.shape[0] != len(PATHS):
            raise InputError(f"params: {type(layer).__name__}; accepted: of cerebral_lstm with biases and two paths")
        w, u, b = (np.asarray(each, np.float32) for each in (layer.w, layer.u, layer.b))
        for p, path in enumerate(PATHS):
            for g, gate in enumerate(GATES):
                state[f"layers.{number}.W_{path}{gate}"] = np.concatenate([u[:, p, g], w[:, p, g]])
                state[f"layers.{number}.b_{path}{gate}"] = b[p, g]
    return state


def from_state_dict(state: Mapping[str, Any]) -> Params:
    """The parameters in ``state``, arrays by the package's names: a tuple if there are several layers.

    Raises InputError for missing names and for shapes that do not fit together.
    """
    arrays = {name: np.asarray(value, np.float32) for name, value in state.items()}
    layers: list[CerebralParams] = []
    while f"layers.{len(layers)}.W_ui" in arrays:
        layers.append(_layer(arrays, f"layers.{len(layers)}."))
    if not layers or arrays:
        wrong = f"{', '.join(arrays)} cannot be used" if arrays else "layers.0.W_ui is missing"
        raise InputError(f"state: {wrong}; accepted: the state dictionary of cerebral_lstm's CerebralLSTM")
    return tuple(layers) if len(layers) > 1 else layers[0]


def _layer(arrays: dict[str, np.ndarray], prefix: str) -> CerebralParams:
    """Takes what it reads out of ``arrays``."""
    pairs = [f"{path}{gate}" for path in PATHS for gate in GATES]
    names = [[f"{prefix}{kind}_{pair}" for pair in pairs] for kind in "Wb"]
    if missing := [name for each in names for name in each if name not in arrays]:
        raise InputError(f"state: {missing[0]} is missing; accepted: a matrix and a bias of each path and gate")
    matrices, biases = ([arrays.pop(name) for name in each] for each in names)
    hidden_size, rows = len(biases[0]), matrices[0].shape[:1]
    if {each.shape for each in matrices} != {(*rows, hidden_size)} or {each.shape for each in biases} != {
        (hidden_size,)
    }:
        found = f"{prefix}W of {matrices[0].shape} and b of {biases[0].shape}"
        raise InputError(f"state: {found}; accepted: [H + D, H] and [H]")
    whole: Any = np.stack(matrices, axis=1).reshape(-1, len(PATHS), len(GATES), hidden_size)
    bias: Any = np.stack(biases).reshape(len(PATHS), len(GATES), hidden_size)
    return CerebralParams(whole[hidden_size:], whole[:hidden_size], bias)
