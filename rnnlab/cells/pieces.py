"""Long sequences in pieces, each differentiated on its own, or computed again for the gradient."""

from collections.abc import Callable
from math import isqrt
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.core.types import Array, Carry

RunPiece = Callable[[Carry, Any], tuple[Carry, Array]]  # (carry, inputs of some steps) -> (carry, hs)


def over_pieces(run: RunPiece, carry: Carry, inputs: Any, size: int) -> tuple[Carry, Array]:
    """``run(carry, piece) -> (carry, hs)`` over pieces of ``size`` steps of ``inputs`` (leaves ``[T, ...]``) in turn.

    Returns the last carry and all ``hs [T, ...]``.
    """
    steps = len(jax.tree.leaves(inputs)[0])
    whole = steps - steps % size
    if not whole:
        return run(carry, inputs)
    pieces = jax.tree.map(lambda leaf: leaf[:whole].reshape(-1, size, *leaf.shape[1:]), inputs)
    carry, hs = jax.lax.scan(run, carry, pieces)
    hs = hs.reshape(whole, *hs.shape[2:])
    if whole == steps:
        return carry, hs
    carry, rest = run(carry, jax.tree.map(lambda leaf: leaf[whole:], inputs))
    return carry, jnp.concatenate([hs, rest])


def truncated(run: RunPiece, steps: int) -> RunPiece:
    """``run`` whose gradient does not go back from one piece of ``steps`` steps to the one before.

    Truncated backpropagation through time (Williams & Peng 1990, with h' = h of their BPTT(h; h')).
    """

    def pieces(carry: Carry, inputs: Any) -> tuple[Carry, Array]:
        last = (len(jax.tree.leaves(inputs)[0]) - 1) // steps * steps
        if not last:
            return run(carry, inputs)

        def handed_on(carry: Carry, piece: Any) -> tuple[Carry, Array]:
            carry, hs = run(carry, piece)
            return jax.lax.stop_gradient(carry), hs

        carry, hs = over_pieces(handed_on, carry, jax.tree.map(lambda leaf: leaf[:last], inputs), steps)
        carry, rest = run(carry, jax.tree.map(lambda leaf: leaf[last:], inputs))
        return carry, jnp.concatenate([hs, rest])

    return pieces


def recomputed(run: RunPiece) -> RunPiece:
    """``run`` that keeps for its gradient the carries of about sqrt(T) steps, and computes the others again.

    Griewank, Achieving logarithmic growth of temporal and spatial complexity in reverse automatic differentiation,
    1992, with one level: twice the forward pass for the memory of 2 sqrt(T) steps.
    """

    def pieces(carry: Carry, inputs: Any) -> tuple[Carry, Array]:
        return over_pieces(jax.checkpoint(run), carry, inputs, max(1, isqrt(len(jax.tree.leaves(inputs)[0]))))

    return pieces
