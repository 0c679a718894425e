"""What the gates of a cell do over a batch: how often they are shut or open, how long they keep."""

from typing import Any, NamedTuple

import numpy as np

from rnnlab.analysis.trajectories import in_numpy, trajectory
from rnnlab.core.types import Array, Cell, Params

SHUT, OPEN = 0.1, 0.9
NO_GATES = {"candidate"}


class GateUse(NamedTuple):
    """Of one gate: the parts of its values below 0.1 and above 0.9 for each unit ``[U]``, and its mean ``[U]``."""

    shut: np.ndarray
    open: np.ndarray
    mean: np.ndarray


def gate_use(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> dict[str, GateUse]:
    """Saturation of each gate over all valid steps of ``xs [T, B, ...]``, by name; of a stack as ``1.f``.

    A cell without gates gives {}. U counts all units of the gate: those of every path, place and layer of a cell that
    has several. The candidate, which is no gate, is left out.

    Paper: Karpathy, Johnson & Fei-Fei, Visualizing and understanding recurrent networks, 2015, section 4.2: a gate is
        left-saturated below 0.1 and right-saturated above 0.9.
    """
    if cell.gates is None:
        return {}
    went = trajectory(cell, params, xs, lengths)
    found = {}
    for name, values in _by_name(went.gates).items():
        used = in_numpy(values)[np.asarray(went.valid)]  # [N, ...]
        used = used.reshape(len(used), -1)
        found[name] = GateUse((used < SHUT).mean(0), (used > OPEN).mean(0), used.mean(0))
    return found


def time_scales(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> dict[str, np.ndarray]:
    """Steps until a unit's state has decayed to 1/e, as its forget gate implies: ``[U]`` by the gate's name.

        tau = -1 / mean over valid steps of log(k)

    of the factor k that a cell declares (``Cell.retention``): the time constant of the product of the gates over time,
    infinite where they are 1. In float32 a gate is 1 from about 1 - 6e-8, so taus above 1.7e7 steps are not resolved.
    NaN at the gates of a grid along dimensions other than time. {} for a cell that declares no retention.
    """
    layers = cell.layers or (cell,)
    if cell.gates is None or all(layer.retention is None for layer in layers):
        return {}
    went = trajectory(cell, params, xs, lengths)
    found = {}
    for n, (layer, gates) in enumerate(zip(layers, went.gates if cell.layers else (went.gates,), strict=True), 1):
        for letter, values in (layer.retention(gates) if layer.retention else {}).items():
            kept = in_numpy(values)[np.asarray(went.valid)]
            with np.errstate(divide="ignore"):
                rate = -np.log(kept.reshape(len(kept), -1)).mean(0)  # -0 where k is always 1
                found[f"{n}.{letter}" if cell.layers else letter] = 1 / np.abs(rate)
    return found


def _by_name(gates: Any) -> dict[str, Array]:
    """Gate values by name, layers of a stack from 1."""
    if not hasattr(gates, "_asdict"):
        layers = enumerate(gates, 1)
        return {f"{n}.{name}": value for n, layer in layers for name, value in _by_name(layer).items()}
    return {name: value for name, value in gates._asdict().items() if value is not None and name not in NO_GATES}
