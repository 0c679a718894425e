"""Parameters of gates that see the input and h, and their initial values."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.ops import zeros
from rnnlab.core.types import Array, Key


class GateParams(NamedTuple):
    """G gates: ``w [D, G, H]``, ``u [H, G, H]`` (fewer gates where some see no h), ``b [G, H]``."""

    w: Array
    u: Array
    b: Array


def gates_init(
    hidden_size: int,
    gates: int,
    *,
    w_init: str,
    u_init: str,
    recurrent: int | None = None,
    biases: Mapping[int, float] | None = None,
) -> Callable[[Key, int], GateParams]:
    """A ``Cell.init`` of ``gates`` gates, of which ``recurrent`` (None: all) see h; ``biases`` by gate, elsewhere 0."""
    init_w, init_u = get_initializer("w_init", w_init), get_initializer("u_init", u_init)

    def init(key: Key, inputs: int) -> GateParams:
        key_w, key_u = jax.random.split(key)
        w = init_w(key_w, (inputs, gates, hidden_size))
        u = init_u(key_u, (hidden_size, gates if recurrent is None else recurrent, hidden_size))
        b = zeros(w, gates, hidden_size)
        for gate, bias in (biases or {}).items():
            b = b.at[gate].set(bias)
        return GateParams(w, u, b)

    return init
