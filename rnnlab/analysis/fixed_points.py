"""Where a cell would come to rest if its input never changed again."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.analysis.jacobian import state_map
from rnnlab.analysis.trajectories import check_steps, to_vector
from rnnlab.core.types import Array, Carry, Cell, Params

FIXED = 1e-9  # q of a point that counts as fixed
APART = 1e-2  # root mean square over the units at which two points are two
SLOWEST, FASTEST = 1e-7, 1e7  # bounds of the damping


class FixedPoints(NamedTuple):
    """Where the search ended, from N starts; and the K distinct points that count as fixed."""

    ends: np.ndarray  # [N, S]
    q: np.ndarray  # [N]
    floor: np.ndarray  # [N], below which q is rounding
    fixed: np.ndarray  # [N] bool, whether the end counts as fixed
    distinct: np.ndarray  # [K] rows of ends, the smallest q first
    eigenvalues: np.ndarray  # [K, S] complex, of dF/ds there, from the largest absolute value down

    @property
    def stable(self) -> np.ndarray:
        """``[K] bool``: whether all eigenvalues lie inside the unit circle."""
        return np.all(np.abs(self.eigenvalues) < 1, axis=1)


def fixed_points(cell: Cell, params: Params, x: Array, starts: Carry, iterations: int = 300) -> FixedPoints:
    """Fixed points of the memory at a constant input ``x`` (of one example), searched from ``starts``, leaves [N, ...].

        q(s) = 1/2 |F(s) - s|^2       F: ``state_map``

    is minimized by ``iterations`` damped Gauss-Newton steps (Levenberg-Marquardt) from every start, ``visited`` ones
    for example; it finds unstable points as well as stable ones. An end with q <= 1e-9, or below the ``floor``, counts
    as fixed; those within 0.01 of one with a smaller q, root mean square over units, are the same point. An end with a
    larger q is a slow point or none. ``floor`` = 1/2 |2^-23 s|^2, the rounding of float32 in s itself. Points of a line
    attractor come out as many. Costs a Jacobian and a solution of S equations for each start and iteration.

    Paper: Sussillo & Barak, Opening the black box, 2013. Departures: Levenberg-Marquardt, where they use the truncated
        Newton method; starts are states visited, without noise.
    """
    check_steps(cell)
    ends, q = (np.asarray(part, np.float64) for part in _search(cell, params, x, starts, iterations))
    floor = 0.5 * np.sum((np.finfo(np.float32).eps * ends) ** 2, axis=1)
    fixed = q <= np.maximum(FIXED, floor)
    distinct: list[int] = []
    for row in np.argsort(q, kind="stable"):
        if fixed[row] and all(np.sqrt(np.mean((ends[row] - ends[other]) ** 2)) > APART for other in distinct):
            distinct.append(int(row))
    rows = np.array(distinct, int)
    values = np.zeros((0, ends.shape[1]), complex)
    if distinct:
        matrices = _jacobians_at(cell, params, x, starts, jnp.asarray(ends[rows], jnp.float32))
        values = np.linalg.eigvals(np.asarray(matrices, np.float64))
    values = np.take_along_axis(values, np.argsort(-np.abs(values), axis=1, kind="stable"), axis=1)
    return FixedPoints(ends, q, floor, fixed, rows, values)


def visited(carries: Carry, valid: Array, count: int) -> Carry:
    """``count`` of the carries, leaves ``[T, B, ...]``, that are ``valid [T, B]``: evenly spread; leaves [N, ...]."""
    steps, elements = np.nonzero(np.asarray(valid))
    rows = np.unique(np.rint(np.linspace(0, len(steps) - 1, min(count, len(steps)))).astype(int))
    return jax.tree.map(lambda leaf: leaf[steps[rows], elements[rows]], carries)


@partial(jax.jit, static_argnums=(0, 4))
def _search(cell: Cell, params: Params, x: Array, starts: Carry, iterations: int) -> tuple[Array, Array]:
    def search(start: Carry) -> tuple[Array, Array]:
        step = state_map(cell, params, x, start)

        def rest(s: Array) -> Array:
            return step(s) - s

        def improve(_: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            s, q, damping = state
            slope, left = jax.jacfwd(rest)(s), rest(s)
            normal = slope.T @ slope + damping * jnp.eye(len(s), dtype=s.dtype)
            there = s - jnp.linalg.solve(normal, slope.T @ left)
            q_there = 0.5 * jnp.sum(rest(there) ** 2)
            better = q_there < q  # not where it is NaN
            damping = jnp.clip(jnp.where(better, damping / 10, damping * 10), SLOWEST, FASTEST)
            return jnp.where(better, there, s), jnp.where(better, q_there, q), damping

        s = to_vector(start)
        begin = s, 0.5 * jnp.sum(rest(s) ** 2), jnp.asarray(1e-2, s.dtype)
        return jax.lax.fori_loop(0, iterations, improve, begin)[:2]

    return jax.vmap(search)(starts)


@partial(jax.jit, static_argnums=0)
def _jacobians_at(cell: Cell, params: Params, x: Array, starts: Carry, states: Array) -> Array:
    """``[K, S, S]``; what is no memory is as in the first start."""
    like = jax.tree.map(lambda leaf: leaf[0], starts)
    return jax.vmap(jax.jacfwd(state_map(cell, params, x, like)))(states)
