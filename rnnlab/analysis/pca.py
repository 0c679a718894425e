"""Principal components of the outputs of a cell."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from rnnlab.analysis.trajectories import valid_steps
from rnnlab.cells.unroll import unroll
from rnnlab.core.types import Array, Cell, Params


class Components(NamedTuple):
    """Principal components of the outputs h over all valid steps."""

    mean: np.ndarray  # [H]
    directions: np.ndarray  # [K, H], unit vectors; the largest entry of each is positive
    variances: np.ndarray  # [H], descending, with divisor N - 1
    scores: np.ndarray  # [T, B, K]; NaN in padding

    @property
    def explained(self) -> np.ndarray:
        """``[H]``: the fraction of the variance that each component explains."""
        return self.variances / max(self.variances.sum(), np.finfo(float).tiny)

    @property
    def dimension(self) -> float:
        """The participation ratio, (sum of variances)^2 / sum of squared variances: 1 for a line, H if isotropic."""
        return float(self.variances.sum() ** 2 / max((self.variances**2).sum(), np.finfo(float).tiny))


def components(cell: Cell, params: Params, xs: Array, lengths: Array | None = None, count: int = 3) -> Components:
    """The first ``count`` principal components of h over the valid steps of ``xs [T, B, ...]``; at most H.

    Also for bidirectional cells. Computed in float64 from float32 outputs.
    """
    hs = np.asarray(_outputs(cell, params, xs, lengths), np.float64)
    valid = np.asarray(valid_steps(xs, lengths))
    rows = hs[valid]
    mean = rows.mean(0)
    covariance = (rows - mean).T @ (rows - mean) / max(len(rows) - 1, 1)
    variances, vectors = np.linalg.eigh(covariance)
    directions = vectors[:, ::-1].T[:count]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], axis=1)
    directions = directions * np.where(largest < 0, -1, 1)
    scores = np.where(valid[..., None], (hs - mean) @ directions.T, np.nan)
    return Components(mean, directions, np.maximum(variances[::-1], 0), scores)


@partial(jax.jit, static_argnums=0)
def _outputs(cell: Cell, params: Params, xs: Array, lengths: Array | None) -> Array:
    return unroll(cell, params, xs, lengths=lengths)[1]
