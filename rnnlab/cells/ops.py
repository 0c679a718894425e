"""Building blocks of cells: matrix products that accept one-hot ids, activations, zero carries, declarations."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnnlab.core.errors import InputError, check_number, choose, is_static
from rnnlab.core.types import Array, Cell, Key, Params, Step

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
}

GATE_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": jax.nn.sigmoid,
    # Keras's, the default of its recurrent gates until 2.3; jax.nn.hard_sigmoid has another slope (1/6).
    "hard_sigmoid": lambda z: jnp.clip(0.2 * z + 0.5, 0.0, 1.0),
}


def activation(name: str) -> Callable[[Array], Array]:
    """The activation called ``name``: tanh, sigmoid or relu."""
    return ACTIVATIONS[choose("activation", name, ACTIVATIONS)]


def gate_activation(name: str) -> Callable[[Array], Array]:
    """The gate activation called ``name``: sigmoid (logistic) or hard_sigmoid (Keras's)."""
    return GATE_ACTIVATIONS[choose("gate", name, GATE_ACTIVATIONS)]


def dot(x: Array, w: Array) -> Array:
    """``x [..., D] @ w [D, *out] -> [..., *out]``, accumulated in float32 (float64 under x64).

    Integer ``x [...]`` are ids that stand for one-hot rows: the product is then a gather of rows of ``w``.
    """
    if jnp.issubdtype(x.dtype, jnp.integer):
        return w[x].astype(jnp.promote_types(w.dtype, jnp.float32))
    accumulate = jnp.promote_types(w.dtype, jnp.float32)
    return jax.lax.dot_general(
        x.astype(w.dtype), w, (((x.ndim - 1,), (0,)), ((), ())), preferred_element_type=accumulate
    )


def zeros(params: Array, *shape: int) -> Array:
    """Zeros of ``shape`` for a carry: float32 whatever the parameters' dtype (float64 under x64)."""
    return jnp.zeros(shape, jnp.promote_types(params.dtype, jnp.float32))


def per_example_draw(key: Key, t: Array, draw: Callable[[Key], Array]) -> Array:
    """``draw(key) -> [H]`` for each batch element, with a key folded from its step count ``t [..., 1]``: ``[..., H]``.

    An element's draws depend on its own number of valid steps alone, so padding elsewhere never changes them.
    """

    def of(element: Array, now: Array) -> Array:
        return draw(jax.random.fold_in(jax.random.fold_in(key, now), element))

    drawn = jax.vmap(of)(jnp.arange(t.size), t.reshape(-1).astype(jnp.uint32))
    return drawn.reshape(*t.shape[:-1], drawn.shape[-1])


def step_of(cell: Cell, field: str) -> Step:
    """The cell's ``step``. Raises InputError, starting with ``field``, for a cell that only scans whole sequences."""
    if cell.step is None:
        raise InputError(
            f"{field}: the cell needs the whole sequence and has no step; accepted: cells of one direction"
        )
    return cell.step


def keeps_f(gates: Any) -> dict[str, Array]:
    """A ``Cell.retention``: the forget gate ``f`` is the factor of the memory."""
    return {"f": gates.f}


def leaves_named(*names: str) -> Callable[[Params], Any]:
    """A ``Cell.no_decay``: weight decay spares the leaves whose field or key is one of ``names``."""

    def no_decay(params: Params) -> Any:
        return jax.tree_util.tree_map_with_path(lambda path, _: _name(path[-1]) in names, params)

    return no_decay


def no_decay_of(cell: Cell, params: Params) -> Any:
    """The leaves that weight decay spares, as a tree of bools: those that the cell declares, else the vectors."""
    return (cell.no_decay or vectors)(params)


def vectors(params: Params) -> Any:
    """The default of ``Cell.no_decay``: leaves of one dimension or less."""
    return jax.tree.map(lambda leaf: leaf.ndim <= 1, params)


def _name(entry: Any) -> str:
    return str(getattr(entry, "name", getattr(entry, "key", "")))


def takes_options_of(inner: Callable[..., Any], *, but: tuple[str, ...] = ()) -> Callable[[Callable], Callable]:
    """Decorator of a cell factory whose ``**options`` are handed on to ``inner``: shows them in its signature.

    The options are the parameters of ``inner`` that have defaults, without those named in ``but``.
    """

    def decorate(factory: Callable) -> Callable:
        own = [p for p in inspect.signature(factory).parameters.values() if p.kind != p.VAR_KEYWORD]
        options = [p for p in inspect.signature(inner).parameters.values() if p.default is not p.empty]
        passed = [p.replace(kind=p.KEYWORD_ONLY) for p in options if p.name not in but]
        factory.__signature__ = inspect.Signature([*own, *passed])  # type: ignore[attr-defined]
        return factory

    return decorate


def check_paths(paths: str, noise_std: float) -> None:
    """Raise InputError unless ``paths`` is a way to draw two paths and ``noise_std`` is a number that has an effect."""
    choose("paths", paths, ("independent", "identical", "noise", "tied"))
    check_number("noise_std", noise_std)
    if paths != "noise" and not (is_static(noise_std) and noise_std == 0):
        raise InputError(f"noise_std: has no effect with paths={paths}; accepted: paths=noise")
