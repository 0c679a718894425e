"""Lyapunov exponents along the trajectories of a batch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.analysis.jacobian import jacobians, state_map
from rnnlab.analysis.trajectories import Trajectory, to_vector, trajectory
from rnnlab.core.types import Array, Cell, Params

MAX_SPECTRUM = 256  # largest state with a whole spectrum: c and h of an LSTM of 128 units
PIECE = 32  # steps whose Jacobians are held at once


def lyapunov(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> np.ndarray:
    """Mean logarithmic growth of small differences of state per step along ``xs [T, B, ...]``: ``[B, K]``, descending.

        J_t Q_{t-1} = Q_t R_t       exponent_k = mean over t of log |R_t[k, k]|

    J_t is the Jacobian of ``state_map`` at step t of the trajectory, input included, Q_0 the identity. Above 0:
    differences grow (chaos); below: they are forgotten, by a factor e in 1 / |exponent| steps. K is the size S of the
    state; for S above 256 it is 1, the growth of one random direction. NaN for an example without steps. Exponents of
    a finite sequence depend on where it starts; those of a few steps are transients.

    Source: Benettin, Galgani, Giorgilli & Strelcyn 1980; for recurrent networks Vogt, Puelma Touzel, Shlizerman &
        Lajoie, On Lyapunov exponents for RNNs, 2022.
    """
    run = trajectory(cell, params, xs, lengths)
    size = to_vector(jax.tree.map(lambda leaf: leaf[0], run.before), 1).shape[-1]
    if size > MAX_SPECTRUM:
        return np.asarray(_largest(cell, params, xs, run), np.float64)[:, None]
    ends = np.asarray(run.valid).sum(0)
    frames, sums = [np.eye(size) for _ in ends], np.zeros((len(ends), size))
    for first in range(0, len(xs), PIECE):
        steps = np.minimum(np.arange(first, first + PIECE), len(xs) - 1)
        along = np.broadcast_to(steps[:, None], (PIECE, len(ends)))
        matrices = np.asarray(jacobians(cell, params, xs, run.before, jnp.asarray(along)), np.float64)
        for b, end in enumerate(ends):
            for step in range(first, min(first + PIECE, end)):
                frames[b], r = np.linalg.qr(matrices[step - first, b] @ frames[b])
                sums[b] += np.log(np.maximum(np.abs(np.diagonal(r)), np.finfo(np.float64).tiny))
    with np.errstate(invalid="ignore"):
        return -np.sort(-sums / ends[:, None], axis=1)


@partial(jax.jit, static_argnums=0)
def _largest(cell: Cell, params: Params, xs: Array, run: Trajectory) -> Array:
    """The growth of one direction, ``[B]``."""

    def of_example(element: Array) -> Array:
        def step(state: tuple[Array, Array], inputs: tuple) -> tuple[tuple[Array, Array], None]:
            direction, grown = state
            carry, x, valid = inputs
            moved = jax.jvp(state_map(cell, params, x, carry), (to_vector(carry),), (direction,))[1]
            norm = jnp.maximum(jnp.linalg.norm(moved), jnp.finfo(moved.dtype).tiny)
            after = (moved / norm, grown + jnp.log(norm))
            return jax.tree.map(lambda new, old: jnp.where(valid, new, old), after, state), None

        steps = jax.tree.map(lambda leaf: leaf[:, element], (run.before, xs, run.valid))
        start = jax.random.normal(jax.random.key(0), to_vector(jax.tree.map(lambda leaf: leaf[0], steps[0])).shape)
        first = (start / jnp.linalg.norm(start), jnp.zeros((), start.dtype))
        return jax.lax.scan(step, first, steps)[0][1] / steps[2].sum()

    return jax.lax.map(of_example, jnp.arange(xs.shape[1]))
