"""Saturation of the gates of a cell over a batch, and the time scales that its forget gates imply."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.analysis.trajectories import to_numpy, trajectory
from rnnlab.cells.biological_lstm import BiologicalParams
from rnnlab.cells.grid_block import GridParams
from rnnlab.cells.gru import GRUParams
from rnnlab.core.types import Array, Carry, Cell, Params

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

        tau = -1 / mean over valid steps of log(k)      k = f, or z of a GRU (1 - z in its printed form)

    the time constant of the product of the gates over time; infinite where they are 1. A float32 gate rounds to 1 from
    about 1 - 6e-8 on, so time scales above 1.7e7 steps are not resolved. NaN at the gates of a grid that forget along
    other dimensions than time. {} for a cell without such a gate: no f or z; a biological cell, whose f adds to the
    state; and a variant whose state retains nothing (printed Cerebral LSTM; not detected inside a stack).
    """
    if cell.gates is None:
        return {}
    went = trajectory(cell, params, xs, lengths)
    if _keeps_nothing(cell, params, went.before, xs):
        return {}
    found = {}
    for name, values in _by_name(went.gates).items():
        layer, _, letter = name.rpartition(".")
        own = params[int(layer) - 1] if layer else params
        if letter not in ("f", "z") or _has(own, lambda node: isinstance(node, BiologicalParams)):
            continue
        if _has(own, lambda node: isinstance(node, GridParams)):
            values = jnp.where(jnp.arange(values.shape[-2])[:, None] == 0, values, jnp.nan)  # the first is time
        kept = to_numpy(values)[np.asarray(went.valid)]
        if _has(own, lambda node: isinstance(node, GRUParams) and node.b is None):
            kept = 1 - kept
        with np.errstate(divide="ignore"):
            rate = -np.log(kept.reshape(len(kept), -1)).mean(0)
            found[name] = 1 / np.abs(rate)  # -0 where f is 1 at every step
    return found


def _by_name(gates: Any) -> dict[str, Array]:
    """Gate values by name, layers of a stack from 1."""
    if not hasattr(gates, "_asdict"):
        layers = enumerate(gates, 1)
        return {f"{n}.{name}": value for n, layer in layers for name, value in _by_name(layer).items()}
    return {name: value for name, value in gates._asdict().items() if value is not None and name not in NO_GATES}


def _has(params: Params, wanted: Any) -> bool:
    return any(wanted(node) for node in jax.tree.leaves(params, is_leaf=wanted))


@partial(jax.jit, static_argnums=0)
def _keeps_nothing(cell: Cell, params: Params, carries: Carry, xs: Array) -> Array:
    """Whether the next c does not depend on c at all, at the first steps."""
    carry, x = jax.tree.map(lambda leaf: leaf[0], (carries, xs))
    if "c" not in getattr(carry, "_fields", ()):
        return jnp.bool_(False)
    _, change = jax.jvp(lambda c: cell.step(params, carry._replace(c=c), x)[0].c, (carry.c,), (jnp.ones_like(carry.c),))
    return jnp.all(change == 0)
