"""The cerebral structure around any cell: two paths that share one hidden state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.ops import check_paths, no_decay_of, step_of
from rnnlab.cells.wrappers.combinator import Parts, cell_of
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Carry, Cell, Key, Params


class PathParams(NamedTuple):
    """``paths``: the cell's parameters, each leaf with a leading axis P: upper, lower; P is 1 when tied."""

    paths: Params


def cerebral(parts: Parts, *, paths: str = "independent", noise_std: float = 0.0) -> Cell:
    """Two cells (paths upper U, lower L) that read the same x and h, each with its own memory.

        c_t^U = cell_U's memory after (x_t, h_{t-1}, c_{t-1}^U)      and the same for L
        h_t = U_h + L_h                 cells that keep a c beside their h (LSTMs, biological, grid)
        h_t = (U_h + L_h) / 2           cells whose h is their only memory (GRU, simple RNN)

    Around an ``lstm`` this is the Cerebral LSTM. The paper names a Cerebral GRU but does not define it. Each path of a
    GRU keeps ``z * h_{t-1}``, so their sum keeps ``(z_U + z_L) * h_{t-1}``, up to twice h at every step: measured, an
    rms of 2e6 in h after 28 random inputs with initial weights (H = 100). Their mean stays between the paths, and with
    identical paths is the GRU itself.

    ``parts`` is the cell of both paths; or, for cells that draw random numbers and need separate keys, a function of
    the path (0 or 1, traced) that makes it. ``paths`` sets the initial values: "independent" draws; "identical" values;
    or "noise", identical plus Gaussian noise of standard deviation ``noise_std`` on every parameter of the lower path.
    "tied" has one path that counts twice.

    The carry is the cell's own: ``h`` is shared (each h of a grid), every other field has an axis P after the batch
    axes. Raises InputError for a cell whose carry has no ``h`` to share, and for one that already has paths.

    Paper: Kumar, Cerebral LSTM, 2020, sections 4, 4.1 and 6 (peepholes, GRUs).
    Shapes: x [..., D], h [..., H].
    Departures: the mean for cells without c; initial values are the cell's own, not the package's.
    """
    part = cell_of("cerebral", parts)
    check_paths(paths, noise_std)
    cell = part(0)
    scale = 2 if _has_c(cell) else 1  # of the paths' mean

    def init(key: Key, inputs: int) -> PathParams:
        key_upper, key_lower = jax.random.split(key)
        upper = cell.init(key_upper, inputs)
        if paths == "tied":
            return PathParams(jax.tree.map(lambda leaf: leaf[None], upper))
        lower = cell.init(key_lower, inputs) if paths == "independent" else upper
        if paths == "noise":
            leaves, tree = jax.tree.flatten(upper)
            keys = jax.random.split(key_lower, len(leaves))
            drawn = [p + noise_std * jax.random.normal(k, p.shape, p.dtype) for k, p in zip(keys, leaves, strict=True)]
            lower = jax.tree.unflatten(tree, drawn)
        return PathParams(jax.tree.map(lambda *leaves: jnp.stack(leaves), upper, lower))

    def merge_paths(leaf: Array, axis: int) -> Array:
        """The sum or mean of ``leaf [..., P, ...]`` over paths."""
        return jnp.mean(leaf, axis) * scale

    def initial_carry(params: PathParams, batch: tuple[int, ...]) -> Carry:
        carry = jax.vmap(lambda p: cell.initial_carry(p, batch), out_axes=len(batch))(params.paths)
        return carry._replace(h=merge_paths(carry.h, len(batch)))

    def each_path(run: Any, params: PathParams, carry: Carry, x: Array) -> tuple[Any, int]:
        """``run(cell, params, carry, x)`` in each path: its leaves with an axis P, and the place of that axis."""
        axis = x.ndim - (0 if jnp.issubdtype(x.dtype, jnp.integer) else 1)
        count = jax.tree.leaves(params)[0].shape[0]
        own = carry._replace(h=jnp.stack([carry.h] * count, axis))
        mapped = jax.vmap(lambda n, p, c: run(part(n), p, c, x), (0, 0, axis), axis)
        return mapped(jnp.arange(count), params.paths, own), axis

    def step(params: PathParams, carry: Carry, x: Array) -> tuple[Carry, Array]:
        (after, h), axis = each_path(lambda cell, *rest: step_of(cell, "cerebral")(*rest), params, carry, x)
        return after._replace(h=merge_paths(after.h, axis)), merge_paths(h, axis)

    def gates(params: PathParams, carry: Carry, x: Array) -> Any:
        return each_path(lambda cell, *rest: cell.gates(*rest), params, carry, x)[0]

    def path_vectors(params: PathParams) -> list[Array]:
        leaves = jax.tree.leaves(params)
        return [jnp.concatenate([leaf[path].ravel() for leaf in leaves]) for path in range(len(leaves[0]))]

    def no_decay(params: PathParams) -> PathParams:
        one_path = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), params.paths)
        return PathParams(no_decay_of(cell, one_path))

    return Cell(
        init,
        initial_carry,
        step,
        cell.hidden_size,
        gates=gates if cell.gates else None,
        paths=path_vectors,
        retention=cell.retention,
        no_decay=no_decay,
    )


def _has_c(cell: Cell) -> bool:
    """Whether the cell keeps a c besides its h. Raises InputError where there is no h to share."""
    if cell.step is None:
        raise InputError("cerebral: the cell needs the whole sequence; accepted: bidirectional(cerebral(CELL))")
    if cell.paths is not None:
        raise InputError("cerebral: the cell has two paths already; accepted: a cell of one path")
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), 1))
    fields = getattr(jax.eval_shape(lambda p: cell.initial_carry(p, ()), params), "_fields", ())
    if "h" not in fields:
        carry = f"has {', '.join(fields)}" if fields else "is not a NamedTuple (to stack, stack cerebral cells)"
        raise InputError(f"cerebral: the paths share the field h of the carry, and this cell's carry {carry}; "
                         "accepted: a cell whose carry is a NamedTuple with an h")  # fmt: skip
    return "c" in fields
