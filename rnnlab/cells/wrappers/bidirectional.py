"""A cell that reads a sequence in both directions."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.ops import no_decay_of
from rnnlab.cells.unroll import last_valid, unroll
from rnnlab.cells.wrappers.combinator import Parts, cell_of
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Cell, Key, Params


class Bidirectional(NamedTuple):
    """Parameters or carries of the two directions."""

    forward: Params
    backward: Params


def bidirectional(parts: Parts) -> Cell:
    """Two cells with separate parameters, one that reads from the first step and one from the last.

        h_t = [forward h_t, backward h_t]

    ``parts`` is the cell of both directions; or, for cells that draw random numbers and need separate keys, a function
    of the part (0 forward, 1 backward) that makes it. The backward cell starts at each element's last valid step. The
    last output, which a classifier reads, is the forward h of the last valid step beside the backward h of the first.
    Every output depends on the whole sequence, so the cell has a ``scan`` and no ``step``, and cannot model the next
    character.

    Paper: Schuster & Paliwal, Bidirectional recurrent neural networks, 1997; Kumar 2020, Fig. 5.
    Shapes: x [..., D], h [..., 2H].
    Departures: none.
    """
    part = cell_of("bidirectional", parts)
    forward, backward = part(0), part(1)
    if forward.step is None or backward.step is None:
        raise InputError("bidirectional: the cell is bidirectional already; accepted: cells of one direction")

    def init(key: Key, inputs: int) -> Bidirectional:
        key_forward, key_backward = jax.random.split(key)
        return Bidirectional(forward.init(key_forward, inputs), backward.init(key_backward, inputs))

    def initial_carry(params: Bidirectional, batch: tuple[int, ...]) -> Bidirectional:
        return Bidirectional(
            forward.initial_carry(params.forward, batch), backward.initial_carry(params.backward, batch)
        )

    def scan(
        params: Bidirectional, carry: Bidirectional, xs: Array, lengths: Array | None, reverse: bool
    ) -> tuple[Bidirectional, Array]:
        end, hs = unroll(forward, params.forward, xs, carry.forward, lengths=lengths, reverse=reverse)
        start, more = unroll(backward, params.backward, xs, carry.backward, lengths=lengths, reverse=not reverse)
        return Bidirectional(end, start), jnp.concatenate([hs, more], axis=-1)

    def last_output(hs: Array, lengths: Array | None) -> Array:
        width = forward.hidden_size
        return jnp.concatenate([last_valid(hs[..., :width], lengths), hs[0, :, width:]], axis=-1)

    def no_decay(params: Bidirectional) -> Bidirectional:
        return Bidirectional(no_decay_of(forward, params.forward), no_decay_of(backward, params.backward))

    return Cell(
        init,
        initial_carry,
        step=None,
        hidden_size=forward.hidden_size + backward.hidden_size,
        scan=scan,
        last_output=last_output,
        no_decay=no_decay,
    )
