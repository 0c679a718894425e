"""The options of a data set: the keyword-only parameters of its loader, checked against them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

from rnnlab.core.errors import InputError, unknown


def options_of(load: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of ``load`` by name, in its order."""
    parameters = inspect.signature(load).parameters.values()
    return {each.name: each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}


def check_options(name: str, load: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """InputError unless ``load`` of data set ``name`` takes every one of ``options``, with a value of that kind.

    The default tells the type; what is spelled out in the annotation (``Literal``) tells the words.
    """
    accepted = options_of(load)
    for option, value in options.items():
        if option not in accepted:
            raise unknown(f"data_options: option of data {name}", option, accepted)
        _check_kind(f"data_options.{option}", value, accepted[option])


def check_range(**ranges: tuple[int, int, int]) -> None:
    """InputError unless every option, given as ``name=(value, least, most)``, lies in its range, both ends included."""
    for option, (value, least, most) in ranges.items():
        if not least <= value <= most:
            raise InputError(f"data_options.{option}: {value} is out of range; accepted: {least} to {most:,}")


def _check_kind(field: str, value: Any, parameter: inspect.Parameter) -> None:
    kind, words = type(parameter.default), _words(parameter.annotation)
    if isinstance(value, str) and value in words:
        return
    if kind is str and words:
        raise unknown(field, value, words)
    if type(value) is not kind:
        called = {int: "a whole number", bool: "true or false", str: "a text"}[kind]
        raise InputError(f"{field}: {value!r} is wrong; accepted: " + " or ".join([called, *map(repr, words)]))


def _words(annotation: Any) -> tuple[str, ...]:
    """All words of the ``Literal`` that the annotation is or has among its alternatives."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(word for part in get_args(annotation) for word in _words(part))
