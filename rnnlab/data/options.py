"""The options of a data set are the keyword-only parameters of its loader, checked against their annotations."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

from rnnlab.core.errors import InputError, unknown

TYPE_NAMES = {int: "an integer", bool: "true or false", float: "a number"}


def options_of(load: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of ``load`` by name, in its order."""
    parameters = inspect.signature(load).parameters.values()
    return {each.name: each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}


def check_options(name: str, load: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """InputError unless ``load`` of data set ``name`` takes every one of ``options``, with values of its types."""
    accepted = options_of(load)
    for option, value in options.items():
        if option not in accepted:
            raise unknown(f"data_options: option of data {name}", option, accepted)
        _check_type(f"data_options.{option}", value, accepted[option].annotation)


def check_range(option: str, value: int, least: int, most: int | None = None, also: str = "") -> None:
    """InputError unless ``least <= value <= most``; ``also`` names another accepted value in the message."""
    if value < least or (most is not None and value > most):
        accepted = f"{least} or more" if most is None else f"{least} to {most:,}"
        raise InputError(f"data_options.{option}: {value} is out of range; accepted: {accepted} {also}".rstrip())


def _check_type(field: str, value: Any, annotation: Any) -> None:
    """``annotation`` is int, float, bool, a ``Literal`` of words, or a union of int and such a ``Literal``."""
    types = [kind for kind in (int, bool, float) if kind in (annotation, *get_args(annotation))]
    words = _words(annotation)
    if not types and not words:  # a user's loader: it checks its own
        return
    accepts = {*types, int} if float in types else {*types}
    if type(value) in accepts or (isinstance(value, str) and value in words):
        return
    if not types:
        raise unknown(field, value, words)
    accepted = " or ".join([*(TYPE_NAMES[kind] for kind in types), *map(repr, words)])
    raise InputError(f"{field}: {value!r} is not valid; accepted: {accepted}")


def _words(annotation: Any) -> tuple[str, ...]:
    """All words of the ``Literal`` that the annotation is or contains."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(word for part in get_args(annotation) for word in _words(part))
