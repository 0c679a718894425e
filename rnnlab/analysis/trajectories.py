"""The carry, gates and outputs of a cell at every step of a batch."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.cells.ops import step_of
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Carry, Cell, Params

COUNTERS = {"t"}  # carry fields that index noise keys; not part of the state


class Trajectory(NamedTuple):
    """Leaves ``[T, B, ...]``; values at padding are meaningless (see ``valid``)."""

    before: Carry  # at the start of the step
    after: Carry
    gates: Any  # of ``Cell.gates``; None if the cell has none
    hs: Array
    valid: Array  # [T, B] bool


def trajectory(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> Trajectory:
    """Run ``cell`` over time-major ``xs [T, B, ...]`` from its initial carry.

    Raises InputError for a cell that processes the whole sequence at once (bidirectional).
    """
    check_steps(cell)
    return _trajectory(cell, params, xs, lengths)


def check_steps(cell: Cell) -> None:
    """Raise InputError for a cell without steps."""
    step_of(cell, "cell")


@partial(jax.jit, static_argnums=0)
def _trajectory(cell: Cell, params: Params, xs: Array, lengths: Array | None) -> Trajectory:
    cell_step = step_of(cell, "cell")

    def step(carry: Carry, x: Array) -> tuple[Carry, tuple[Any, ...]]:
        after, h = cell_step(params, carry, x)
        return after, (carry, after, None if cell.gates is None else cell.gates(params, carry, x), h)

    start = cell.initial_carry(params, xs.shape[1:2])
    before, after, gates, hs = jax.lax.scan(step, start, xs)[1]
    return Trajectory(before, after, gates, hs, valid_steps(xs, lengths))


def valid_steps(xs: Array, lengths: Array | None) -> Array:
    """``[T, B] bool``: False in padding."""
    steps, batch = xs.shape[:2]
    ends = jnp.full(batch, steps) if lengths is None else lengths
    return jnp.arange(steps)[:, None] < ends[None, :]


def state_leaves(carry: Carry) -> dict[str, Array]:
    """The state in a carry by name: floating leaves except counters; in a stack as ``1.c``, layers from 1.

    Raises InputError for a carry without state.
    """
    leaves = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(carry):
        names = [
            str(key.idx + 1 if hasattr(key, "idx") else getattr(key, "name", getattr(key, "key", ""))) for key in path
        ]
        if jnp.issubdtype(leaf.dtype, jnp.floating) and not COUNTERS.intersection(names[-1:]):
            leaves[".".join(names) or "state"] = leaf
    if not leaves:
        raise InputError("cell: its carry has no floating leaf; accepted: cells with a state")
    return leaves


def to_vector(carry: Carry, lead: int = 0) -> Array:
    """``[..., S]``: the state in a carry with ``lead`` leading axes, in the order of ``state_leaves``."""
    leaves = state_leaves(carry).values()
    return jnp.concatenate([leaf.reshape(*leaf.shape[:lead], -1) for leaf in leaves], axis=-1)


def from_vector(vector: Array, like: Carry) -> Carry:
    """The carry with the state ``vector [S]``; counters as in ``like``, which has no leading axes."""
    state, offset, leaves = list(map(id, state_leaves(like).values())), 0, []
    for leaf in jax.tree.leaves(like):
        if id(leaf) in state:
            leaves.append(vector[offset : offset + leaf.size].reshape(leaf.shape))
            offset += leaf.size
        else:
            leaves.append(leaf)
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def to_numpy(tree: Any) -> Any:
    """The leaves as NumPy arrays, floating ones in float64."""
    return jax.tree.map(
        lambda leaf: np.asarray(leaf, np.float64 if jnp.issubdtype(leaf.dtype, jnp.floating) else None), tree
    )


class Drift(NamedTuple):
    """Statistics of one leaf of the carry over units and valid examples."""

    mean: np.ndarray  # [T], after each step
    rms: np.ndarray  # [T]
    low: np.ndarray  # [T], minimum
    high: np.ndarray  # [T], maximum
    largest: float  # maximum absolute value
    per_step: float  # mean over examples and units of (last - initial) / length
    rising: float  # fraction of steps and units in which the value increased


def drift(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> dict[str, Drift]:
    """Range and drift of each leaf of the state, named as in ``state_leaves`` (c, h; 1.c, ... in a stack).

    Steps beyond all examples are NaN.
    """
    run = trajectory(cell, params, xs, lengths)
    valid, steps = np.asarray(run.valid), np.asarray(run.valid).sum(0)
    after, before = to_numpy(state_leaves(run.after)), to_numpy(state_leaves(run.before))
    drifts = {}
    for name, leaf in after.items():
        units = leaf.reshape(*valid.shape, -1)
        started = before[name].reshape(units.shape)
        rows = [units[t, valid[t]] if valid[t].any() else np.full((1, 1), np.nan) for t in range(len(valid))]
        slopes = [(units[steps[b] - 1, b] - started[0, b]) / steps[b] for b in range(len(steps)) if steps[b]]
        drifts[name] = Drift(
            mean=np.array([row.mean() for row in rows]),
            rms=np.array([np.sqrt(np.mean(row**2)) for row in rows]),
            low=np.array([row.min() for row in rows]),
            high=np.array([row.max() for row in rows]),
            largest=float(np.abs(units[valid]).max()),
            per_step=float(np.mean(slopes)),
            rising=float((units > started)[valid].mean()),
        )
    return drifts
