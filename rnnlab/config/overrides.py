"""Changes to a config that a user writes as text: chosen arms, and ``path=value``."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, get_args, get_origin, get_type_hints

from rnnlab.config.experiment import AnyConfig, Option
from rnnlab.core.errors import InputError, unknown


def select_arms(config: AnyConfig, names: Iterable[str]) -> AnyConfig:
    """``config`` with only the named arms, in that order."""
    chosen = {}
    for name in names:
        if name not in config.arms:
            raise unknown("arms", name, config.arms)
        chosen[name] = config.arms[name]
    return replace(config, arms=chosen)


def override(config: AnyConfig, assignment: str) -> AnyConfig:
    """``config`` with one ``path=value`` applied; the value is read as the field's type says."""
    path, equals, text = assignment.partition("=")
    if not equals:
        raise InputError(f"--set: {assignment!r} is not an assignment; accepted: path=value")
    return _override(config, path, path.split("."), text)


def _override(node: Any, path: str, keys: list[str], text: str) -> Any:
    key, rest = keys[0], keys[1:]
    if isinstance(node, Mapping):  # arms: named parts
        if key not in node:
            raise unknown(f"--set {path}: arms", key, node)
        if not rest:
            raise InputError(f"--set {path}: names a whole arm; accepted: {path}.FIELD, of {_names(node[key])}")
        return {**node, key: _override(node[key], path, rest, text)}
    hints = get_type_hints(type(node))
    if key not in hints or key in ("experiment", "protocol"):
        raise unknown("--set", path, [name for name in hints if name != "experiment"])
    value, hint = getattr(node, key), hints[key]
    if isinstance(value, Mapping) and hint == Mapping[str, Option]:
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


def _names(node: Any) -> str:
    return ", ".join(f.name for f in fields(node))


def _parse(path: str, hint: Any, text: str) -> Any:
    """``text`` as the type ``hint``, one of int, float, bool, str and tuples of them."""
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return tuple(_parse(path, item, part) for part in text.split(",") if part.strip())
    if hint is str:
        return text
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise InputError(f"{path}: {text!r} is not accepted; accepted: true or false")
        return text.lower() == "true"
    try:
        return hint(text)
    except ValueError:
        kind = "a whole number" if hint is int else "a number"
        raise InputError(f"{path}: {text!r} is not accepted; accepted: {kind}") from None


def _guess(text: str) -> Option:
    """An option's value, whose type only the cell knows: true, false, a number, several numbers, or a word."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if "," in text:
            return tuple(float(part) for part in text.split(",") if part.strip())
        return int(text)
    except ValueError:
        pass  # not whole: the next line decides
    try:
        return float(text)
    except ValueError:
        return text
