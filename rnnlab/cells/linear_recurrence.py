"""Recurrences that are linear in the state: a step when streaming, an associative scan over a whole sequence."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.pieces import over_pieces
from rnnlab.core.errors import check_count, choose
from rnnlab.core.types import Array, Carry, Cell, Params

Element = tuple[Array, ...]  # what one or several steps do to the state: an affine map, elementwise
SCANS = ("auto", "sequential", "parallel")
PIECES = {"sequential": 16, "parallel": 64}  # steps at once, the fastest measured (BUILD_NOTES)
LOG_ZERO = -1e30  # the logarithm of a zero; -inf would make 0 * inf of a gradient


class Algebra(NamedTuple):
    """How maps of the state compose, ``then`` after ``first``, and act; ``identity`` has a number for each array."""

    compose: Callable[[Element, Element], Element]  # (first, then)
    apply: Callable[[Element, tuple[Array, ...]], tuple[Array, ...]]  # (map, state)
    identity: tuple[float, ...]


def _compose_complex(first: Element, then: Element) -> Element:
    (p, q, u, v), (r, s, w, z) = first, then
    return r * p - s * q, r * q + s * p, r * u - s * v + w, r * v + s * u + z


REAL = Algebra(  # (a, b): h -> a h + b
    lambda first, then: (first[0] * then[0], then[0] * first[1] + then[1]),
    lambda element, state: (element[0] * state[0] + element[1],),
    (1.0, 0.0),
)
LOG = Algebra(  # (log a, log b) of a, b > 0: h -> a h + b
    lambda first, then: (first[0] + then[0], jnp.logaddexp(first[1] + then[0], then[1])),
    lambda element, state: (jnp.exp(element[0]) * state[0] + jnp.exp(element[1]),),
    (0.0, LOG_ZERO),
)
COMPLEX = Algebra(  # (Re a, Im a, Re b, Im b): z -> a z + b, z as (Re z, Im z)
    _compose_complex,
    lambda element, state: (
        element[0] * state[0] - element[1] * state[1] + element[2],
        element[0] * state[1] + element[1] * state[0] + element[3],
    ),
    (1.0, 0.0, 0.0, 0.0),
)


def scan_pieces(
    run: Callable[[Params, Carry, Array, Array | None], tuple[Carry, Array]], size: int
) -> Callable[[Params, Carry, Array, Array | None, bool], tuple[Carry, Array]]:
    """A ``Cell.scan`` from ``run(params, carry, xs [n, B, ...], valid [n, B] or None)``, which runs one piece.

    ``run`` must not change the carry where ``valid`` is False; its inputs there are zero.
    """

    def scan(params: Params, carry: Carry, xs: Array, lengths: Array | None, reverse: bool) -> tuple[Carry, Array]:
        valid_TB = None
        if lengths is not None:
            valid_TB = jnp.arange(xs.shape[0])[:, None] < lengths[None, :]
            xs = jnp.where(valid_TB.reshape(valid_TB.shape + (1,) * (xs.ndim - 2)), xs, jnp.zeros((), xs.dtype))
        inputs = (xs, valid_TB)
        if reverse:
            inputs = jax.tree.map(lambda leaf: leaf[::-1], inputs)
        carry, hs = over_pieces(lambda carry, piece: run(params, carry, *piece), carry, inputs, size)
        if reverse:
            hs = hs[::-1]
        return carry, hs if valid_TB is None else jnp.where(valid_TB[..., None], hs, jnp.zeros((), hs.dtype))

    return scan


def linear_cell(
    cell: Cell,
    algebra: Algebra,
    elements: Callable[[Params, Array], Element],
    read: Callable[[Params, Any, Array], Array],
    scan: str,
    piece: int | None,
    composed_as: tuple[Algebra, Callable[[Params, Array], Element]] | None = None,
) -> Cell:
    """``cell`` with the ``step`` and the ``scan`` of a recurrence that is linear in its carry.

    ``elements(params, x)`` are the map of a step, arrays ``[..., N]`` whose leading axes are those of x;
    ``read(params, carry, x) -> h [..., H]``. The carry is a NamedTuple with a field for each array of the state.
    ``scan`` sets how a whole sequence is run, ``piece`` steps at a time: "sequential" makes their maps at once and
    applies them one by one; "parallel" composes them by an associative scan, in about 2 log2(piece) rounds. "auto" is
    sequential on a CPU, parallel elsewhere. Both equal the steps. ``composed_as`` is another algebra with its elements,
    for maps that are composed.
    """
    choose("scan", scan, SCANS)
    if piece is not None:
        check_count("piece", piece)

    def step(params: Params, carry: Any, x: Array) -> tuple[Any, Array]:
        after = type(carry)(*algebra.apply(elements(params, x), tuple(carry)))
        return after, read(params, after, x)

    def run(params: Params, carry: Any, xs: Array, valid: Array | None) -> tuple[Any, Array]:
        parallel = in_order() == "parallel"
        form, of_steps = composed_as if parallel and composed_as else (algebra, elements)
        maps = of_steps(params, xs)
        if valid is not None:
            pairs = zip(maps, form.identity, strict=True)
            maps = tuple(jnp.where(valid[..., None], leaf, jnp.asarray(same, leaf.dtype)) for leaf, same in pairs)
        if parallel:
            since_start = jax.lax.associative_scan(form.compose, maps)
            states = form.apply(since_start, tuple(carry))
        else:
            _, states = jax.lax.scan(lambda state, now: (form.apply(now, state),) * 2, tuple(carry), maps)
        return type(carry)(*(leaf[-1] for leaf in states)), read(params, type(carry)(*states), xs)

    def in_order() -> str:
        return scan if scan != "auto" else "sequential" if jax.default_backend() == "cpu" else "parallel"

    def scan_all(*inputs: Any) -> tuple[Carry, Array]:
        return scan_pieces(run, piece or PIECES[in_order()])(*inputs)

    return cell._replace(step=step, scan=scan_all)
