"""Changes to a config given as text: selected arms, and ``path=value``."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from rnnlab.config.experiment import RENAMED, AnyConfig, Option
from rnnlab.core.errors import InputError, unknown


def select_arms(config: AnyConfig, names: Iterable[str]) -> AnyConfig:
    """``config`` with only the named arms, in that order. Raises InputError for an unknown name."""
    for name in (names := list(names)):
        if name not in config.arms:
            raise unknown("arms", name, config.arms)
    return replace(config, arms={name: config.arms[name] for name in names})


def override(config: AnyConfig, assignment: str) -> AnyConfig:
    """``config`` with one ``path=value`` applied, the value parsed by the field's type. Raises InputError."""
    path, equals, text = assignment.partition("=")
    if not equals:
        raise InputError(f"--set: {assignment!r} is not an assignment; accepted: path=value")
    return _override(config, path, path.split("."), text)


def _override(node: Any, path: str, keys: list[str], text: str) -> Any:
    key, rest = keys[0], keys[1:]
    if isinstance(node, Mapping):
        if key not in node:
            raise unknown(f"--set {path}: arms", key, node)
        if not rest:
            names = ", ".join(f.name for f in fields(node[key]))
            raise InputError(f"--set {path}: names a whole arm; accepted: {path}.FIELD, of {names}")
        return {**node, key: _override(node[key], path, rest, text)}
    hints = get_type_hints(type(node))
    if key not in hints and RENAMED.get(key) in hints:
        raise InputError(f"--set {path}: {key} is now called {RENAMED[key]}")
    if key not in hints or key in ("experiment", "protocol"):
        raise unknown("--set", path, [name for name in hints if name != "experiment"])
    value, hint = getattr(node, key), hints[key]
    if hint == Mapping[str, Option]:
        if len(rest) != 1:
            raise InputError(f"--set {path}: accepted: {key}.NAME=value")
        return replace(node, **{key: {**value, rest[0]: _guess(text)}})
    if isinstance(value, Mapping):
        if not rest:
            raise InputError(f"--set {path}: accepted: {path}.NAME.FIELD=value with NAME of {', '.join(value)}")
        return replace(node, **{key: _override(value, path, rest, text)})
    if rest:
        raise InputError(f"--set {path}: {key} has no parts; accepted: {key}=value")
    return replace(node, **{key: _parse(path, hint, text)})


def _parse(path: str, hint: Any, text: str) -> Any:
    """``text`` as the type ``hint``: int, float, bool, str, a tuple of one of them, or one of them or None.

    A word stays a word: "none" is None for a number, and an attention's name.
    """
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return tuple(_parse(path, item, part) for part in text.split(",") if part.strip())
    optional = NoneType in get_args(hint)
    kind = next(each for each in get_args(hint) if each is not NoneType) if optional else hint
    if kind is str:
        return text
    if optional and text.lower() == "none":
        return None
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise InputError(f"{path}: {text!r} is not accepted; accepted: true or false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        accepted = ("a whole number" if kind is int else "a number") + (" or none" if optional else "")
        raise InputError(f"{path}: {text!r} is not accepted; accepted: {accepted}") from None


def _guess(text: str) -> Option:
    """The value of an option, whose type only its cell knows: true, false, a number, several numbers, or a word."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if "," in text:
            return tuple(float(part) for part in text.split(",") if part.strip())
        return int(text)
    except ValueError:
        pass  # the next line decides
    try:
        return float(text)
    except ValueError:
        return text
