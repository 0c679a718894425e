"""Saturation of the gates of a cell over a batch, and the time scales that its forget gates imply."""

from typing import Any, NamedTuple

import numpy as np

from rnnlab.analysis.trajectories import to_numpy, trajectory
from rnnlab.core.types import Array, Cell, Params

LEFT, RIGHT = 0.1, 0.9
NO_GATES = {"candidate"}


class GateSaturation(NamedTuple):
    """Of one gate, per unit ``[U]``: the fractions of its values below 0.1 and above 0.9, and its mean."""

    left_saturated: np.ndarray
    right_saturated: np.ndarray
    mean: np.ndarray


def gate_saturation(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> dict[str, GateSaturation]:
    """Saturation of each gate over all valid steps of ``xs [T, B, ...]``, by name; in a stack as ``1.f``.

    {} for a cell without gates. U counts the units of all paths, grid positions and layers inside the cell. The
    candidate is not a gate and is excluded.

    Paper: Karpathy, Johnson & Fei-Fei, Visualizing and understanding recurrent networks, 2015, section 4.2: a gate is
        left-saturated below 0.1 and right-saturated above 0.9.
    """
    if cell.gates is None:
        return {}
    run = trajectory(cell, params, xs, lengths)
    saturation = {}
    for name, values in _by_name(run.gates).items():
        valid = to_numpy(values)[np.asarray(run.valid)]  # [N, ...]
        valid = valid.reshape(len(valid), -1)
        saturation[name] = GateSaturation((valid < LEFT).mean(0), (valid > RIGHT).mean(0), valid.mean(0))
    return saturation


def time_scales(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> dict[str, np.ndarray]:
    """Steps until a unit's state decays to 1/e according to its forget gate: ``[U]`` by gate name.

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
            kept = to_numpy(values)[np.asarray(went.valid)]
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
