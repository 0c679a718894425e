"""Errors for users: one line with the field, the value and what is accepted."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, TypeGuard


class InputError(ValueError):
    """Invalid user input. The command line prints it as one line and exits with code 2."""


def unknown(field: str, value: object, accepted: Iterable[str]) -> InputError:
    """The error for an unknown name, with the closest match and all accepted names."""
    names = [str(name) for name in accepted]
    close = get_close_matches(str(value), names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return InputError(f"{field}: unknown value {str(value)!r}; {hint}accepted: {', '.join(names) or '(none)'}")


def choose(field: str, value: object, accepted: Iterable[str]) -> str:
    """``value`` if it is one of ``accepted``, else InputError."""
    names = list(accepted)
    if value not in names:
        raise unknown(field, value, names)
    return str(value)


def is_static(value: Any) -> TypeGuard[float]:
    """Whether ``value`` is a Python number, not an array with a value per run."""
    return isinstance(value, (int, float))


def check_count(field: str, value: object) -> None:
    """Raise InputError unless ``value`` is an int from 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{field}: {value!r} is not accepted; accepted: a whole number from 1")


def check_number(field: str, value: object, *, below: float = math.inf) -> None:
    """Raise InputError unless a Python number is finite, 0 or more, and less than ``below``.

    Arrays pass: their values were checked one by one before they were put on the run axis.
    """
    if is_static(value) and not 0 <= value < below:
        raise InputError(f"{field}: {value} is out of range; accepted: 0 or more" + _and_below(below))


def _and_below(below: float) -> str:
    return "" if math.isinf(below) else f" and below {below:g}"
