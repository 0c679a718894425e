"""Jacobians of one step and of many steps with respect to the state."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.analysis.trajectories import check_steps, from_vector, to_vector, trajectory, valid_steps
from rnnlab.cells.ops import step_of
from rnnlab.core.types import Array, Carry, Cell, Params
from rnnlab.training.probes import LAGS, log10_norm


def state_map(cell: Cell, params: Params, x: Array, like: Carry) -> Callable[[Array], Array]:
    """F: the state ``[S]`` after one step from a state ``[S]``, for the fixed input ``x`` of one example.

    S counts all floating leaves of the carry except counters: c and h for an LSTM. The past inputs in a QRNN's carry
    (``ahead``) count too, since the next step reads them.
    """
    step = step_of(cell, "cell")
    return lambda vector: to_vector(step(params, from_vector(vector, like), x)[0])


class Spectrum(NamedTuple):
    """Spectrum of the Jacobian of a step, at K steps of each of B examples."""

    steps: np.ndarray  # [K, B] int, counted from 0
    eigenvalues: np.ndarray  # [K, B, S] complex, by descending absolute value
    radius: np.ndarray  # [K, B], the largest absolute eigenvalue
    gain: np.ndarray  # [K, B], the largest singular value


def spectrum(cell: Cell, params: Params, xs: Array, lengths: Array | None = None, positions: int = 8) -> Spectrum:
    """Eigenvalues of dF/ds (``state_map``) along the trajectories of ``xs [T, B, ...]``; lengths of at least 1.

    Evaluated at ``positions`` evenly spaced steps from the first to the last of each example. The Jacobian is exact in
    the dtype of the parameters and its eigenvalues are computed in float64: with float32 parameters, eigenvalues below
    about 1e-7 of the largest are rounding errors. Costs S forward derivatives and S^3 operations per Jacobian.
    """
    run = trajectory(cell, params, xs, lengths)
    valid = np.asarray(run.valid)
    steps = np.rint(np.linspace(0, valid.sum(0) - 1, min(positions, len(valid)))).astype(int)
    matrices = np.asarray(jacobians(cell, params, xs, run.before, jnp.asarray(steps)), np.float64)
    values: Any = np.linalg.eigvals(matrices)
    order = np.argsort(-np.abs(values), axis=-1, kind="stable")
    values = np.take_along_axis(values, order, axis=-1)
    return Spectrum(steps, values, np.abs(values[..., 0]), np.linalg.norm(matrices, 2, axis=(-2, -1)))


@partial(jax.jit, static_argnums=0)
def jacobians(cell: Cell, params: Params, xs: Array, before: Carry, steps_KB: Array) -> Array:
    """dF/ds (`state_map`) at the steps ``steps_KB`` of each example, ``[K, B, S, S]``."""

    def one(step: Array, element: Array) -> Array:
        carry, x = jax.tree.map(lambda leaf: leaf[step, element], (before, xs))
        return jax.jacfwd(state_map(cell, params, x, carry))(to_vector(carry))

    return jax.vmap(jax.vmap(one, (0, 0)), (0, None))(steps_KB, jnp.arange(xs.shape[1]))


class GradientByLag(NamedTuple):
    """``log10 [K, B]`` of the norms at ``lags [K]``; NaN where an example is too short."""

    lags: np.ndarray
    log10: np.ndarray


def gradient_by_lag(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> GradientByLag:
    """The norm of the gradient of the last output with respect to earlier states, by lag.

        log10 |dh_L / ds_{L-k}|      | | the Frobenius norm of [H, S]; L the length of the example

    s_t is the state after t steps (``state_map``), s_0 the initial one; so k = 1 is one step back. Lags are those of
    the probe ``lags``, and L itself. The probe differentiates with respect to the inputs, which is undefined for token
    ids. Norms are clipped below at 1.2e-38. Costs one backward pass for each of the H units.
    """
    check_steps(cell)
    steps = xs.shape[0]
    lags = np.array([lag for lag in LAGS if 0 < lag < steps] + [steps])
    ends = np.full(xs.shape[1], steps) if lengths is None else np.asarray(lengths)
    log10 = np.asarray(_by_lag(cell, params, xs, jnp.asarray(ends), jnp.asarray(lags)), np.float64)
    return GradientByLag(lags, np.where(lags[:, None] <= ends[None, :], log10, np.nan))


@partial(jax.jit, static_argnums=0)
def _by_lag(cell: Cell, params: Params, xs: Array, ends: Array, lags: Array) -> Array:
    """``[K, B]``. The gradient is taken with respect to zero perturbations that are added to every state."""
    start = cell.initial_carry(params, xs.shape[1:2])
    vector = to_vector(start, 1)
    valid = valid_steps(xs, ends)
    # Padding is zeroed: a masked NaN would still reach the gradient as 0 * NaN.
    xs = jnp.where(valid.reshape(valid.shape + (1,) * (xs.ndim - 2)), xs, jnp.zeros((), xs.dtype))

    def last(offsets_TBS: Array) -> Array:
        def step(state: tuple[Carry, Array], inputs: tuple[Array, Array, Array]) -> tuple[tuple[Carry, Array], None]:
            carry, h_before = state
            x, ok, offset = inputs
            moved = jax.vmap(lambda one, added: from_vector(to_vector(one) + added, one))(carry, offset)
            after, h = step_of(cell, "cell")(params, moved, x)
            return (after, jnp.where(ok[:, None], h, h_before)), None

        first = jnp.zeros((xs.shape[1], cell.hidden_size), vector.dtype)
        return jax.lax.scan(step, (start, first), (xs, valid, offsets_TBS))[0][1]

    h_BH, pull = jax.vjp(last, jnp.zeros((xs.shape[0], *vector.shape), vector.dtype))
    # Examples are independent: one backward pass gives the gradient of a unit for the whole batch.
    width, batch = h_BH.shape[1], jnp.arange(xs.shape[1])
    units = jnp.broadcast_to(jnp.eye(width, dtype=h_BH.dtype)[:, None], (width, *h_BH.shape))
    steps_KB = jnp.maximum(ends[None, :] - lags[:, None], 0)
    return log10_norm(jax.vmap(lambda unit: pull(unit)[0][steps_KB, batch])(units))
