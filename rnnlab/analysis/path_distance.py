"""Distance between the two paths of a cerebral cell."""

from typing import NamedTuple

import numpy as np

from rnnlab.analysis.trajectories import to_numpy, trajectory
from rnnlab.core.types import Array, Cell, Params


class PathDistance(NamedTuple):
    """Between the upper and the lower path of one layer."""

    parameters: float  # Euclidean norm of the difference of the parameters
    relative: float  # divided by the root mean square of the two norms: 0 equal, about 1.41 unrelated
    state: np.ndarray | None  # [T], RMS difference of c over valid examples and units; None without one per path


def path_distances(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> dict[str, PathDistance]:
    """Distances by layer ("1" outside a stack). {} for a cell without two paths, and for tied ones.

    The probe ``paths`` records the same after every epoch, and the similarity of the gradients.
    """
    stacked = cell.layers is not None
    layers = zip(cell.layers, params, strict=True) if cell.layers is not None else [(cell, params)]
    by_layer = {n: layer.paths(own) for n, (layer, own) in enumerate(layers, 1) if layer.paths is not None}
    by_layer = {n: paths for n, paths in by_layer.items() if len(paths) == 2}
    if not by_layer:
        return {}
    run = trajectory(cell, params, xs, lengths)
    valid = np.asarray(run.valid)
    distances = {}
    for n, paths in by_layer.items():
        upper, lower = (np.asarray(path, np.float64) for path in paths)
        distance = float(np.linalg.norm(upper - lower))
        typical = float(np.sqrt((upper @ upper + lower @ lower) / 2))
        c = getattr(run.after[n - 1] if stacked else run.after, "c", None)
        state = None
        if c is not None and c.ndim > 3 and c.shape[2] == 2:  # [T, B, 2, ...]
            both = to_numpy(c)
            squares = ((both[:, :, 0] - both[:, :, 1]) ** 2).reshape(*valid.shape, -1).mean(-1)
            rows = zip(squares, valid, strict=True)
            state = np.array([np.sqrt(row[ok].mean()) if ok.any() else np.nan for row, ok in rows])
        distances[str(n)] = PathDistance(distance, distance / typical if typical else 0.0, state)
    return distances
