"""A cell whose initial state is learned."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.ops import no_decay_of
from rnnlab.cells.wrappers.zoneout import carry_parts
from rnnlab.core.types import Array, Carry, Cell, Key, Params


class TrainedStateParams(NamedTuple):
    """The cell's own parameters, and ``start``, its carry without batch axes, which is trained with them."""

    cell: Params
    start: Carry


def trained_initial_state(cell: Cell) -> Cell:
    """``cell`` whose initial carry is a parameter; it starts as the cell's own, and weight decay spares it.

    Counts of steps (a part ``t``) stay as they are. Raises InputError for a cell whose memory is scaled by its
    stabilizer (xLSTM), whose first step forgets any start.
    """
    carry_parts("initial_state", cell)

    def init(key: Key, inputs: int) -> TrainedStateParams:
        params = cell.init(key, inputs)
        return TrainedStateParams(params, cell.initial_carry(params, ()))

    def initial_carry(params: TrainedStateParams, batch: tuple[int, ...]) -> Carry:
        def from_start(path: Any, own: Array, start: Array) -> Array:
            return own if getattr(path[-1], "name", "") == "t" else jnp.broadcast_to(start, own.shape).astype(own.dtype)

        return jax.tree_util.tree_map_with_path(from_start, cell.initial_carry(params.cell, batch), params.start)

    def no_decay(params: TrainedStateParams) -> TrainedStateParams:
        return TrainedStateParams(no_decay_of(cell, params.cell), jax.tree.map(lambda _: True, params.start))

    step, scan, gates, paths, fused = cell.step, cell.scan, cell.gates, cell.paths, cell.fused
    return cell._replace(
        init=init,
        initial_carry=initial_carry,
        step=step and (lambda params, *rest: step(params.cell, *rest)),
        scan=scan and (lambda params, *rest: scan(params.cell, *rest)),
        gates=gates and (lambda params, *rest: gates(params.cell, *rest)),
        fused=fused and (lambda params, *rest: fused(params.cell, *rest)),
        paths=paths and (lambda params: paths(params.cell)),
        no_decay=no_decay,
    )
