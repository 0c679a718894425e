"""Distance between the two paths of a cerebral cell."""

from typing import NamedTuple

import numpy as np

from rnnlab.analysis.trajectories import to_numpy, trajectory
from rnnlab.cells.cerebral_lstm import CerebralParams
from rnnlab.cells.wrappers.cerebral import PathParams
from rnnlab.core.types import Array, Cell, Params
from rnnlab.train.probes import by_path


class PathDistance(NamedTuple):
    """Between the upper and the lower path of one layer."""

    parameters: float  # Euclidean norm of the difference of the parameters
    relative: float  # divided by the root mean square of the two norms: 0 equal, about 1.41 unrelated
    state: np.ndarray | None  # [T], RMS difference of c over valid examples and units; None without c


def path_distances(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> dict[str, PathDistance]:
    """Distances by layer ("1" outside a stack). {} for a cell without two paths, and for tied ones.

    The probe ``paths`` records the same after every epoch, and the similarity of the gradients.
    """
    stacked = isinstance(params, tuple) and not hasattr(params, "_fields")
    layers = dict(enumerate(params if stacked else (params,), 1))
    layers = {
        n: layer
        for n, layer in layers.items()
        if isinstance(layer, (CerebralParams, PathParams)) and len(by_path(layer)) == 2
    }
    if not layers:
        return {}
    run = trajectory(cell, params, xs, lengths)
    valid = np.asarray(run.valid)
    distances = {}
    for n, layer in layers.items():
        upper, lower = (np.asarray(path, np.float64) for path in by_path(layer))
        distance = float(np.linalg.norm(upper - lower))
        typical = float(np.sqrt((upper @ upper + lower @ lower) / 2))
        carry = run.after[n - 1] if stacked else run.after
        state = None
        if "c" in carry._fields:
            both = to_numpy(carry.c)  # [T, B, 2, ...]
            squares = ((both[:, :, 0] - both[:, :, 1]) ** 2).reshape(*valid.shape, -1).mean(-1)
            rows = zip(squares, valid, strict=True)
            state = np.array([np.sqrt(row[ok].mean()) if ok.any() else np.nan for row, ok in rows])
        distances[str(n)] = PathDistance(distance, distance / typical if typical else 0.0, state)
    return distances
