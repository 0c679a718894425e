"""How far the two paths of a cerebral cell are apart."""

from typing import NamedTuple

import numpy as np

from rnnlab.analysis.trajectories import in_numpy, trajectory
from rnnlab.core.types import Array, Cell, Params


class PathDistance(NamedTuple):
    """Between the upper and the lower path of one layer."""

    parameters: float  # Euclidean norm of the difference
    relative: float  # that, divided by the root mean square of the two norms: 0 equal, about 1.41 unrelated
    state: np.ndarray | None  # [T], root mean square over valid examples and units of the difference in c; None: no c


def path_distances(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> dict[str, PathDistance]:
    """By layer, "1" for a cell that is no stack. {} for a cell without two paths, tied ones among them.

    The probe ``paths`` measures the same after every epoch, and how far the gradients of the two agree.
    """
    stacked = cell.layers is not None
    layers = zip(cell.layers, params, strict=True) if cell.layers is not None else [(cell, params)]
    by_layer = {n: layer.paths(own) for n, (layer, own) in enumerate(layers, 1) if layer.paths is not None}
    by_layer = {n: paths for n, paths in by_layer.items() if len(paths) == 2}
    if not by_layer:
        return {}
    went = trajectory(cell, params, xs, lengths)
    valid = np.asarray(went.valid)
    found = {}
    for n, paths in by_layer.items():
        upper, lower = (np.asarray(path, np.float64) for path in paths)
        parted = float(np.linalg.norm(upper - lower))
        typical = float(np.sqrt((upper @ upper + lower @ lower) / 2))
        carry = went.after[n - 1] if stacked else went.after
        state = None
        if "c" in carry._fields:
            both = in_numpy(carry.c)  # [T, B, 2, ...]
            squares = ((both[:, :, 0] - both[:, :, 1]) ** 2).reshape(*valid.shape, -1).mean(-1)
            rows = zip(squares, valid, strict=True)
            state = np.array([np.sqrt(row[here].mean()) if here.any() else np.nan for row, here in rows])
        found[str(n)] = PathDistance(parted, parted / typical if typical else 0.0, state)
    return found
