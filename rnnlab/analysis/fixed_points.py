"""Fixed points of a cell at a constant input."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.analysis.jacobian import state_map
from rnnlab.analysis.trajectories import check_steps, to_vector
from rnnlab.core.types import Array, Carry, Cell, Params

FIXED = 1e-9  # largest q of a fixed point
DISTINCT = 1e-2  # RMS distance over units above which two points are distinct
MIN_DAMPING, MAX_DAMPING = 1e-7, 1e7


class FixedPoints(NamedTuple):
    """The ends of the search from N initial states, and the K distinct fixed points among them."""

    ends: np.ndarray  # [N, S]
    q: np.ndarray  # [N]
    floor: np.ndarray  # [N], rounding error of q
    fixed: np.ndarray  # [N] bool
    distinct: np.ndarray  # [K] rows of ends, by ascending q
    eigenvalues: np.ndarray  # [K, S] complex, of dF/ds there, by descending absolute value

    @property
    def stable(self) -> np.ndarray:
        """``[K] bool``: whether all eigenvalues lie inside the unit circle."""
        return np.all(np.abs(self.eigenvalues) < 1, axis=1)


def fixed_points(cell: Cell, params: Params, x: Array, starts: Carry, iterations: int = 300) -> FixedPoints:
    """Fixed points of the state at a constant input ``x`` of one example, from initial states ``starts [N, ...]``.

        q(s) = 1/2 |F(s) - s|^2       F: ``state_map``

    is minimized by ``iterations`` damped Gauss-Newton steps (Levenberg-Marquardt) from every start (for example
    ``sample_states``), which finds stable and unstable points. Ends with q <= 1e-9 or q <= ``floor`` are fixed points;
    those within an RMS distance of 0.01 of one with a smaller q are the same point. An end with a larger q is a slow
    point, or none. ``floor`` = 1/2 |2^-23 s|^2 is the rounding of s in float32. A line attractor yields many points.
    Costs a Jacobian and the solution of S linear equations for each start and iteration.

    Paper: Sussillo & Barak, Opening the black box, 2013. Departures: Levenberg-Marquardt instead of the
        truncated Newton method; starts are states of trajectories, without added noise.
    """
    check_steps(cell)
    ends, q = (np.asarray(array, np.float64) for array in _search(cell, params, x, starts, iterations))
    floor = 0.5 * np.sum((np.finfo(np.float32).eps * ends) ** 2, axis=1)
    fixed = q <= np.maximum(FIXED, floor)
    distinct: list[int] = []
    for row in np.argsort(q, kind="stable"):
        if fixed[row] and all(np.sqrt(np.mean((ends[row] - ends[other]) ** 2)) > DISTINCT for other in distinct):
            distinct.append(int(row))
    rows = np.array(distinct, int)
    values = np.zeros((0, ends.shape[1]), complex)
    if distinct:
        matrices = _jacobians_at(cell, params, x, starts, jnp.asarray(ends[rows], jnp.float32))
        values = np.linalg.eigvals(np.asarray(matrices, np.float64))
    values = np.take_along_axis(values, np.argsort(-np.abs(values), axis=1, kind="stable"), axis=1)
    return FixedPoints(ends, q, floor, fixed, rows, values)


def sample_states(carries: Carry, valid: Array, count: int) -> Carry:
    """``count`` evenly spaced carries, leaves ``[N, ...]``, among ``carries [T, B, ...]`` where ``valid [T, B]``."""
    steps, elements = np.nonzero(np.asarray(valid))
    rows = np.unique(np.rint(np.linspace(0, len(steps) - 1, min(count, len(steps)))).astype(int))
    return jax.tree.map(lambda leaf: leaf[steps[rows], elements[rows]], carries)


@partial(jax.jit, static_argnums=(0, 4))
def _search(cell: Cell, params: Params, x: Array, starts: Carry, iterations: int) -> tuple[Array, Array]:
    def search(start: Carry) -> tuple[Array, Array]:
        step = state_map(cell, params, x, start)

        def residual(s: Array) -> Array:
            return step(s) - s

        def improve(_: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            s, q, damping = state
            jacobian, r = jax.jacfwd(residual)(s), residual(s)
            normal = jacobian.T @ jacobian + damping * jnp.eye(len(s), dtype=s.dtype)
            new = s - jnp.linalg.solve(normal, jacobian.T @ r)
            q_new = 0.5 * jnp.sum(residual(new) ** 2)
            better = q_new < q  # False for NaN
            damping = jnp.clip(jnp.where(better, damping / 10, damping * 10), MIN_DAMPING, MAX_DAMPING)
            return jnp.where(better, new, s), jnp.where(better, q_new, q), damping

        s = to_vector(start)
        initial = s, 0.5 * jnp.sum(residual(s) ** 2), jnp.asarray(1e-2, s.dtype)
        return jax.lax.fori_loop(0, iterations, improve, initial)[:2]

    return jax.vmap(search)(starts)


@partial(jax.jit, static_argnums=0)
def _jacobians_at(cell: Cell, params: Params, x: Array, starts: Carry, states: Array) -> Array:
    """``[K, S, S]``; counters as in the first start."""
    like = jax.tree.map(lambda leaf: leaf[0], starts)
    return jax.vmap(jax.jacfwd(state_map(cell, params, x, like)))(states)
