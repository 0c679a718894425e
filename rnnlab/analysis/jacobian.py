"""How a small change of the memory goes on: the Jacobian of a step, and of many steps."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.analysis.trajectories import check_steps, from_vector, to_vector, trajectory, valid_steps
from rnnlab.cells.ops import step_of
from rnnlab.core.types import Array, Carry, Cell, Params
from rnnlab.train.probes import LAGS, log10_norm


def state_map(cell: Cell, params: Params, x: Array, like: Carry) -> Callable[[Array], Array]:
    """F: the memory ``[S]`` after one step from a memory ``[S]``, with the input ``x`` of one example held fixed.

    S counts all floating parts of the carry but its counters: of an LSTM c and h. What a QRNN keeps of past inputs
    (``ahead``) counts too, since the next step reads it.
    """
    step = step_of(cell, "cell")
    return lambda vector: to_vector(step(params, from_vector(vector, like), x)[0])


class Spectrum(NamedTuple):
    """Of the Jacobian of a step, at K steps of each of B examples."""

    steps: np.ndarray  # [K, B] int, counted from 0
    eigenvalues: np.ndarray  # [K, B, S] complex, from the largest absolute value down
    radius: np.ndarray  # [K, B], the largest absolute value
    gain: np.ndarray  # [K, B], the largest singular value


def spectrum(cell: Cell, params: Params, xs: Array, lengths: Array | None = None, positions: int = 8) -> Spectrum:
    """Eigenvalues of dF/ds (``state_map``) along the trajectories of ``xs [T, B, ...]``, examples of length 1 or more.

    ``positions`` steps of each example are taken, evenly spread from its first to its last. The Jacobian is exact, in
    the parameters' dtype; its eigenvalues are computed in float64, so those below about 1e-7 of the largest mean
    nothing in float32. Costs S passes of a step and S^3 operations for each Jacobian.
    """
    went = trajectory(cell, params, xs, lengths)
    valid = np.asarray(went.valid)
    steps = np.rint(np.linspace(0, valid.sum(0) - 1, min(positions, len(valid)))).astype(int)
    matrices = np.asarray(_jacobians(cell, params, xs, went.before, jnp.asarray(steps)), np.float64)
    values: Any = np.linalg.eigvals(matrices)
    order = np.argsort(-np.abs(values), axis=-1, kind="stable")
    values = np.take_along_axis(values, order, axis=-1)
    return Spectrum(steps, values, np.abs(values[..., 0]), np.linalg.norm(matrices, 2, axis=(-2, -1)))


@partial(jax.jit, static_argnums=0)
def _jacobians(cell: Cell, params: Params, xs: Array, before: Carry, steps_KB: Array) -> Array:
    """``[K, B, S, S]``."""

    def one(step: Array, element: Array) -> Array:
        carry, x = jax.tree.map(lambda leaf: leaf[step, element], (before, xs))
        return jax.jacfwd(state_map(cell, params, x, carry))(to_vector(carry))

    return jax.vmap(jax.vmap(one, (0, 0)), (0, None))(steps_KB, jnp.arange(xs.shape[1]))


class GradientByLag(NamedTuple):
    """``log10 [K, B]`` of the norms at ``lags [K]``; NaN where an example is too short."""

    lags: np.ndarray
    log10: np.ndarray


def gradient_by_lag(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> GradientByLag:
    """How much of the gradient is left after a lag: that of the last output with respect to earlier memory.

        log10 |dh_L / ds_{L-k}|      | | the Frobenius norm of [H, S]; L the length of the example

    s_t is all memory after t steps (``state_map``), s_0 what the cell starts from; so k = 1 is one step back. Lags are
    those of the probe ``lags``, and L itself. The probe measures with respect to the inputs, which ids do not have. A
    norm below 1.2e-38 counts as that. Costs a backward pass for each of the H units.
    """
    check_steps(cell)
    steps = xs.shape[0]
    lags = np.array([lag for lag in LAGS if 0 < lag < steps] + [steps])
    ends = np.full(xs.shape[1], steps) if lengths is None else np.asarray(lengths)
    found = np.asarray(_by_lag(cell, params, xs, jnp.asarray(ends), jnp.asarray(lags)), np.float64)
    return GradientByLag(lags, np.where(lags[:, None] <= ends[None, :], found, np.nan))


@partial(jax.jit, static_argnums=0)
def _by_lag(cell: Cell, params: Params, xs: Array, ends: Array, lags: Array) -> Array:
    """``[K, B]``. Every memory is moved by a nudge of its own; the gradient is taken with respect to the nudges."""
    start = cell.initial_carry(params, xs.shape[1:2])
    vector = to_vector(start, 1)
    valid = valid_steps(xs, ends)
    # Padding is cleaned: a masked NaN would still reach the gradient as 0 * NaN.
    xs = jnp.where(valid.reshape(valid.shape + (1,) * (xs.ndim - 2)), xs, jnp.zeros((), xs.dtype))

    def last(nudges_TBS: Array) -> Array:
        def step(state: tuple[Carry, Array], now: tuple[Array, Array, Array]) -> tuple[tuple[Carry, Array], None]:
            carry, h_before = state
            x, ok, nudge = now
            moved = jax.vmap(lambda one, by: from_vector(to_vector(one) + by, one))(carry, nudge)
            after, h = step_of(cell, "cell")(params, moved, x)
            return (after, jnp.where(ok[:, None], h, h_before)), None

        first = jnp.zeros((xs.shape[1], cell.hidden_size), vector.dtype)
        return jax.lax.scan(step, (start, first), (xs, valid, nudges_TBS))[0][1]

    h_BH, pull = jax.vjp(last, jnp.zeros((xs.shape[0], *vector.shape), vector.dtype))
    # elements of the batch do not see each other: one pass gives a unit's gradient in all of them
    width, batch = h_BH.shape[1], jnp.arange(xs.shape[1])
    units = jnp.broadcast_to(jnp.eye(width, dtype=h_BH.dtype)[:, None], (width, *h_BH.shape))
    steps_KB = jnp.maximum(ends[None, :] - lags[:, None], 0)
    return log10_norm(jax.vmap(lambda unit: pull(unit)[0][steps_KB, batch])(units))
