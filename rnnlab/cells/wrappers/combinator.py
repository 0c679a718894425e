"""What combinators of two parts share: a cell per part, and a factory with the options of both."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax

from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Cell

Parts = Cell | Callable[[Any], Cell]  # the cell of both parts; or a function of the part, 0 or 1, each with its key


def cell_of(combinator: str, parts: Parts) -> Callable[[Any], Cell]:
    """The cell of each part. Raises InputError unless part 0 is a cell."""
    accepted = "accepted: a Cell, or a function of the part (0 or 1) that returns one"
    if not isinstance(parts, Cell) and not callable(parts):
        raise InputError(f"{combinator}: {parts!r} is not a cell; {accepted}")
    part: Callable[[Any], Any] = (lambda _: parts) if isinstance(parts, Cell) else parts
    first = part(0)
    if not isinstance(first, Cell):
        raise InputError(f"{combinator}: the cell of part 0 is a {type(first).__name__}; {accepted}")
    if first.hidden_size < 1:
        raise InputError(f"{combinator}: the cell of part 0 has hidden_size {first.hidden_size}; accepted: from 1")
    return part


def combined(name: str, combinator: Callable[..., Cell], factory: Callable[..., Cell]) -> Callable[..., Cell]:
    """A factory ``(hidden_size, **options)`` of ``combinator`` around cells of ``factory``, with the options of both.

    A cell that draws random numbers gets a separate key for each part. Raises InputError where both have an option of
    the same name.
    """
    signature = inspect.signature(factory)
    inner = _keywords(signature)
    own = _keywords(inspect.signature(combinator))
    if both := sorted(inner.keys() & own.keys()):
        raise InputError(f"cell: {name}: both have options called {', '.join(both)}; accepted: a cell without them")

    def make(hidden_size: int, *, key: Any = None, **options: Any) -> Cell:
        cell_options = {option: value for option, value in options.items() if option not in own}
        own_options = {option: value for option, value in options.items() if option in own}

        def part(number: Array) -> Cell:
            part_key = None if key is None else jax.random.fold_in(key, number)
            cell = factory(hidden_size, **cell_options, **({"key": part_key} if "key" in inner else {}))
            if not isinstance(cell, Cell):
                raise InputError(f"cell: {name}: its function returned {type(cell).__name__}; accepted: a Cell")
            return cell

        return combinator(part, **own_options)

    first = next(iter(signature.parameters.values()), None)
    if first is None:
        raise InputError(f"cell: {name}: the function takes no size; accepted: (hidden_size, **options) -> Cell")
    keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*inner.values(), *own.values())]
    positional = first.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)
    make.__signature__ = inspect.Signature([positional, *keywords])  # type: ignore[attr-defined]
    make.__doc__ = combinator.__doc__
    return make


def _keywords(signature: inspect.Signature) -> Mapping[str, inspect.Parameter]:
    """The parameters that can be given by name, except the first."""
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {name: p for name, p in list(signature.parameters.items())[1:] if p.kind in kinds}
