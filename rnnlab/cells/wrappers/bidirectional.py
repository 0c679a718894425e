"""A cell that reads a sequence both ways."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.unroll import last_valid, unroll
from rnnlab.cells.wrappers.combinator import Parts, cell_of
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Carry, Cell, Key, Params


class Bidirectional(NamedTuple):
    """What the two directions have: parameters, or carries. Each is its cell's own."""

    forward: Params
    backward: Params


def bidirectional(parts: Parts) -> Cell:
    """Two cells with parameters of their own, one that reads from the first step on and one from the last.

        h_t = [forward h_t, backward h_t]

    ``parts`` is the cell of both; or a function of the part, 0 forward and 1 backward, that makes it, for cells that
    draw random numbers and need a key each. The backward cell starts at each element's last valid step. What has seen
    all of a sequence, and so what a classifier reads, is the forward h of the last valid step beside the backward h
    of the first. No output waits for what comes later: there is no ``step``, and no model of the next character.

    Paper: Schuster & Paliwal, Bidirectional recurrent neural networks, 1997; Kumar 2020, Fig. 5.
    Shapes: x [..., D], h [..., 2H].
    Departures: none.
    Parameters: twice the cell's.
    """
    part = cell_of("bidirectional", parts)
    forward, backward = part(0), part(1)
    if forward.over is not None or backward.over is not None:
        raise InputError("bidirectional: the cell reads both ways already; accepted: a cell that goes step by step")

    def init(key: Key, inputs: int) -> Bidirectional:
        key_forward, key_backward = jax.random.split(key)
        return Bidirectional(forward.init(key_forward, inputs), backward.init(key_backward, inputs))

    def initial_carry(params: Bidirectional, batch: tuple[int, ...]) -> Bidirectional:
        return Bidirectional(
            forward.initial_carry(params.forward, batch), backward.initial_carry(params.backward, batch)
        )

    def step(params: Bidirectional, carry: Bidirectional, x: Array) -> tuple[Carry, Array]:
        raise InputError("bidirectional: needs the whole sequence and takes no single step; accepted: unroll")

    def over(
        params: Bidirectional, carry: Bidirectional, xs: Array, lengths: Array | None, reverse: bool
    ) -> tuple[Bidirectional, Array]:
        there, hs = unroll(forward, params.forward, xs, carry.forward, lengths=lengths, reverse=reverse)
        back, more = unroll(backward, params.backward, xs, carry.backward, lengths=lengths, reverse=not reverse)
        return Bidirectional(there, back), jnp.concatenate([hs, more], axis=-1)

    def last_output(hs: Array, lengths: Array | None) -> Array:
        width = forward.hidden_size
        return jnp.concatenate([last_valid(hs[..., :width], lengths), hs[0, :, width:]], axis=-1)

    return Cell(
        init,
        initial_carry,
        step,
        hidden_size=forward.hidden_size + backward.hidden_size,
        over=over,
        last_output=last_output,
    )
