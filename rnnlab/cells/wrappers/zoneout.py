"""A cell whose units keep their state for a step at random."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.ops import per_example_draw, step_of, zeros
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Carry, Cell, Key, Params


class ZoneoutCarry(NamedTuple):
    """The cell's own carry, and ``t [..., 1]``, the number of steps, which keys the draws."""

    cell: Carry
    t: Array


def zoneout(cell: Cell, rate: Array | float, key: Key | None) -> Cell:
    """``cell`` whose units keep each part of their state for a step with probability ``rate`` (may be traced).

        s_t = d * s_{t-1} + (1 - d) * s~_t      d ~ Bernoulli(rate), separate for c, h and every other part
        s_t = rate * s_{t-1} + (1 - rate) * s~_t            without ``key``, as in evaluation: the expectation

    The output is the h of the carry. Params and gates are the cell's own. Raises InputError for a cell whose carry has
    no h as wide as its output (QRNN, grid, LRU), or whose memory is scaled by its stabilizer (xLSTM).

    Paper: Krueger, Maharaj, Kramár et al., Zoneout: regularizing RNNs by randomly preserving hidden activations, 2017.
    """
    cell_step = step_of(cell, "zoneout")
    parts = carry_parts("zoneout", cell)
    if getattr(parts.get("h"), "shape", None) != (cell.hidden_size,):
        raise InputError(f"zoneout: the cell's carry has no h [{cell.hidden_size}], its output; accepted: cells whose "
                         "carry is a NamedTuple with such an h")  # fmt: skip

    def initial_carry(params: Params, batch: tuple[int, ...]) -> ZoneoutCarry:
        carry = cell.initial_carry(params, batch)
        return ZoneoutCarry(carry, zeros(jax.tree.leaves(params)[0], *batch, 1))

    def step(params: Params, carry: ZoneoutCarry, x: Array) -> tuple[ZoneoutCarry, Array]:
        after, _ = cell_step(params, carry.cell, x)
        kept = {}
        for place, name in enumerate(part for part in after._fields if part != "t"):  # a count is no memory
            old, new = getattr(carry.cell, name), getattr(after, name)
            own = None if key is None else jax.random.fold_in(key, place)
            kept[name] = jax.tree.map(lambda a, b, own=own: _mixed(a, b, rate, own, carry.t), old, new)
        after = after._replace(**kept)
        return ZoneoutCarry(after, carry.t + 1), after.h

    def gates(params: Params, carry: ZoneoutCarry, x: Array) -> Any:
        assert cell.gates is not None
        return cell.gates(params, carry.cell, x)

    shown = None if cell.gates is None else gates
    return cell._replace(initial_carry=initial_carry, step=step, scan=None, fused=None, gates=shown)


def _mixed(old: Array, new: Array, rate: Array | float, key: Key | None, t: Array) -> Array:
    if key is None:
        return rate * old + (1 - rate) * new
    batch = t.ndim - 1
    shape = new.shape[batch:]
    size = 1
    for axis in shape:
        size *= axis
    drawn = per_example_draw(key, t, lambda rng: jax.random.bernoulli(rng, rate, (size,)))
    return jnp.where(drawn.reshape(*new.shape[:batch], *shape), old, new)


def carry_parts(field: str, cell: Cell) -> dict[str, Any]:
    """The shapes of a carry without batch axes, by name; {} if it is no NamedTuple.

    Raises InputError, starting with ``field``, for a memory that is scaled by a stabilizer beside it.
    """
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), 1))
    carry = jax.eval_shape(lambda p: cell.initial_carry(p, ()), params)
    parts = {name: getattr(carry, name) for name in getattr(carry, "_fields", ())}
    if {"m", "n"} <= parts.keys():
        raise InputError(f"{field}: the cell's memory has a meaning only beside its m and n; accepted: other cells "
                         "than slstm, mlstm and hodgkin_huxley")  # fmt: skip
    return parts
