"""What the gates of a cell do over a batch: how often they are shut or open, how long they keep."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.analysis.trajectories import in_numpy, trajectory
from rnnlab.cells.biological_lstm import BiologicalParams
from rnnlab.cells.grid_block import GridParams
from rnnlab.cells.gru import GRUParams
from rnnlab.core.types import Array, Carry, Cell, Params

SHUT, OPEN = 0.1, 0.9
NO_GATES = {"candidate"}


class GateUse(NamedTuple):
    """Of one gate: the parts of its values below 0.1 and above 0.9 for each unit ``[U]``, and its mean ``[U]``."""

    shut: np.ndarray
    open: np.ndarray
    mean: np.ndarray


def gate_use(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> dict[str, GateUse]:
    """Saturation of each gate over all valid steps of ``xs [T, B, ...]``, by name; of a stack as ``1.f``.

    A cell without gates gives {}. U counts all units of the gate: those of every path, place and layer of a cell that
    has several. The candidate, which is no gate, is left out.

    Paper: Karpathy, Johnson & Fei-Fei, Visualizing and understanding recurrent networks, 2015, section 4.2: a gate is
        left-saturated below 0.1 and right-saturated above 0.9.
    """
    if cell.gates is None:
        return {}
    went = trajectory(cell, params, xs, lengths)
    found = {}
    for name, values in _by_name(went.gates).items():
        used = in_numpy(values)[np.asarray(went.valid)]  # [N, ...]
        used = used.reshape(len(used), -1)
        found[name] = GateUse((used < SHUT).mean(0), (used > OPEN).mean(0), used.mean(0))
    return found


def time_scales(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> dict[str, np.ndarray]:
    """Steps until a unit's state has decayed to 1/e, as its forget gate implies: ``[U]`` by the gate's name.

        tau = -1 / mean over valid steps of log(k)      k = f, or z of a GRU (1 - z in its printed form)

    the time constant of the product of the gates over time; infinite where they are 1. In float32 a gate is 1 from
    about 1 - 6e-8 on, so that beyond 1.7e7 steps nothing can be told. NaN at the gates of a grid that forget along the
    dimensions of a step or along depth, and not over time. {} for a
    cell without such a gate: no f or z; a biological cell, whose f adds to the state; and a form whose state keeps
    nothing (printed Cerebral LSTM; in a stack that is not seen).
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
        kept = in_numpy(values)[np.asarray(went.valid)]
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
