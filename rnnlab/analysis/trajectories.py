"""What a cell goes through while it reads: its carry, its gates and its outputs at every step."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.cells.ops import step_of
from rnnlab.core.types import Array, Carry, Cell, Params

COUNTERS = {"t"}  # fields of a carry that number the noise: no memory


class Trajectory(NamedTuple):
    """Leaves ``[T, B, ...]``. What is at a step of padding is not to be read: ``valid [T, B]`` says where."""

    before: Carry  # what the step started from
    after: Carry
    gates: Any  # what ``Cell.gates`` gives, None without
    hs: Array
    valid: Array


def trajectory(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> Trajectory:
    """Run ``cell`` over time-major ``xs [T, B, ...]`` from its own initial carry.

    Raises InputError for a cell that goes over the whole sequence at once and so has no steps (bidirectional).
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
    """The memory in a carry by name: floating leaves without counters; of a stack as ``1.c``, layers from 1."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(carry):
        names = [str(part.idx + 1) if hasattr(part, "idx") else str(getattr(part, "name", part)) for part in path]
        if jnp.issubdtype(leaf.dtype, jnp.floating) and not COUNTERS.intersection(names[-1:]):
            found[".".join(names) or "state"] = leaf
    return found


def to_vector(carry: Carry, lead: int = 0) -> Array:
    """``[..., S]``: all memory of a carry with ``lead`` leading axes, in the order of ``state_leaves``."""
    leaves = state_leaves(carry).values()
    return jnp.concatenate([leaf.reshape(*leaf.shape[:lead], -1) for leaf in leaves], axis=-1)


def from_vector(vector: Array, like: Carry) -> Carry:
    """The carry whose memory is ``vector [S]``; the rest of it as in ``like``, which has no leading axes."""
    memory, taken, made = list(map(id, state_leaves(like).values())), 0, []
    for leaf in jax.tree.leaves(like):
        if id(leaf) in memory:
            made.append(vector[taken : taken + leaf.size].reshape(leaf.shape))
            taken += leaf.size
        else:
            made.append(leaf)
    return jax.tree.unflatten(jax.tree.structure(like), made)


def in_numpy(tree: Any) -> Any:
    """Every leaf on the host, in float64 where it is floating."""
    return jax.tree.map(
        lambda leaf: np.asarray(leaf, np.float64 if jnp.issubdtype(leaf.dtype, jnp.floating) else None), tree
    )


class Drift(NamedTuple):
    """Of one part of the carry, over units, and over the examples that are still valid."""

    mean: np.ndarray  # [T], after each step
    rms: np.ndarray  # [T]
    low: np.ndarray  # [T], the least value
    high: np.ndarray  # [T]
    largest: float  # absolute value, of all
    per_step: float  # mean over examples and units of (last - initial) / length
    rising: float  # part of steps and units in which the value grew


def drift(cell: Cell, params: Params, xs: Array, lengths: Array | None = None) -> dict[str, Drift]:
    """How far each part of the memory goes, by its name as in ``state_leaves`` (c, h; 1.c, ... of a stack).

    Steps that no example reaches are NaN.
    """
    went = trajectory(cell, params, xs, lengths)
    valid, steps = np.asarray(went.valid), np.asarray(went.valid).sum(0)
    after, before = in_numpy(state_leaves(went.after)), in_numpy(state_leaves(went.before))
    found = {}
    for name, leaf in after.items():
        units = leaf.reshape(*valid.shape, -1)
        started = before[name].reshape(units.shape)
        rows = [units[t, valid[t]] if valid[t].any() else np.full((1, 1), np.nan) for t in range(len(valid))]
        kept = [b for b in range(len(steps)) if steps[b]]
        slopes = [(units[steps[b] - 1, b] - started[0, b]) / steps[b] for b in kept]
        found[name] = Drift(
            mean=np.array([row.mean() for row in rows]),
            rms=np.array([np.sqrt(np.mean(row**2)) for row in rows]),
            low=np.array([row.min() for row in rows]),
            high=np.array([row.max() for row in rows]),
            largest=float(np.abs(units[valid]).max()),
            per_step=float(np.mean(slopes)),
            rising=float((units > started)[valid].mean()),
        )
    return found
