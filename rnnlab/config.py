"""An experiment in words: frozen dataclasses, overrides by path, a JSON round trip, a hash. No JAX."""

import dataclasses
import hashlib
import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from rnnlab.errors import InputError, unknown

FORMAT = 1  # of config.json and of the run directory; a change that old code cannot read raises it

Option = bool | int | float | str | tuple[float, ...]  # several numbers are swept: each gets runs of its own


@dataclass(frozen=True)
class Arm:
    """One thing that an experiment compares: a cell, its width, how many of it are stacked, its options."""

    cell: str  # a row of CELLS, or path/to/file.py:function
    hidden: int = 0  # 0: the experiment's
    layers: int = 1
    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """An experiment. Every field can be overridden by its path: ``hidden=64``, ``arms.lstm.options.forget_bias=0``."""

    experiment: str
    arms: Mapping[str, Arm]
    data: str
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    epochs: int = 10
    batch: int = 32
    hidden: int = 100
    learning_rate: tuple[float, ...] = (1e-3,)  # several are swept
    optimizer: str = "adam"
    optimizer_options: Mapping[str, Option] = field(default_factory=dict)
    clip_norm: tuple[float, ...] = ()  # largest global gradient norm; none: no clipping
    options: Mapping[str, Option] = field(default_factory=dict)  # for every arm whose cell takes them
    window: int = 32  # T of texts
    embedding: int = 0  # dimensions of embedded ids; 0: one-hot
    steps_per_epoch: int = 0  # 0: the whole training split
    eval_batch: int = 500
    chunk: int = 0  # runs that a device trains side by side; 0: 1 on a CPU, elsewhere all
    keep_every: int = 0  # epochs between parameters that are kept for analysis; 0: none
    save_seconds: float = 30.0  # seconds between checkpoints: what a kill can cost

    def check(self) -> None:
        """Raise InputError for the first value that is out of range."""
        for name, least in _LEAST.items():
            _at_least(name, getattr(self, name), least)
        if not self.arms:
            raise InputError("arms: none are left; accepted: one or more")
        for name, arm in self.arms.items():
            if not name or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
                raise InputError(f"arms: {name!r} is not a name; accepted: letters, digits, '-', '_' and '.'")
            _at_least(f"arms.{name}.hidden", arm.hidden, 0)
            _at_least(f"arms.{name}.layers", arm.layers, 1)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds: {list(self.seeds)}; accepted: one seed or more, each once")
        if not all(0 <= seed < 2**32 for seed in self.seeds):
            raise InputError(f"seeds: {list(self.seeds)}; accepted: whole numbers from 0 to {2**32 - 1}")
        check_numbers("learning_rate", self.learning_rate, positive=True)
        if self.clip_norm:
            check_numbers("clip_norm", self.clip_norm, positive=True)
        check_numbers("save_seconds", (self.save_seconds,), positive=True)


MOST = 2**31 - 1  # of every whole number: what an int32 on a device holds

_LEAST = {
    "epochs": 1,
    "batch": 1,
    "hidden": 1,
    "window": 1,
    "embedding": 0,
    "steps_per_epoch": 0,
    "eval_batch": 1,
    "chunk": 0,
    "keep_every": 0,
}

AnyConfig = TypeVar("AnyConfig", bound=Config)


def _at_least(name: str, value: int, least: int) -> None:
    if not least <= value <= MOST:
        raise InputError(f"{name}: {value} is out of range; accepted: a whole number from {least} to {MOST}")


def check_numbers(name: str, values: tuple[float, ...], *, positive: bool = False) -> None:
    """Raise InputError unless there are ``values`` that are finite and differ as float32 (what devices see)."""
    kind = "numbers above 0" if positive else "finite numbers"
    try:
        ridden = [struct.unpack("f", struct.pack("f", value))[0] for value in values]
    except OverflowError:
        ridden = []
    ok = bool(ridden) and len(set(ridden)) == len(ridden) and all(math.isfinite(number) for number in ridden)
    if not ok or (positive and min(ridden) <= 0):
        shown = ", ".join(f"{value:g}" for value in values) or "nothing"
        raise InputError(f"{name}: {shown} is out of range; accepted: {kind}, one or more, that differ in float32")


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
    if key not in hints or key == "experiment":
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


def to_json(config: Config) -> str:
    """``config`` as JSON text, with the format's number and the config's hash."""
    document = {"format": FORMAT, "hash": config_hash(config), "config": dataclasses.asdict(config)}
    return json.dumps(document, indent=2) + "\n"


def config_hash(config: Config) -> str:
    """16 hexadecimal digits that differ when any field does."""
    canonical = json.dumps(dataclasses.asdict(config))  # in order: the arms' order is that of tables and of training
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def from_json(text: str, kind: type[AnyConfig]) -> AnyConfig:
    """The config of ``kind`` that ``to_json`` wrote. Raises InputError if it is not whole, unaltered and of FORMAT."""
    document = parse_document(text)
    known = {f.name for f in fields(kind)}
    values = document["config"]
    if set(values) != known:
        odd = sorted(set(values) ^ known)
        raise InputError(f"config.json: fields {', '.join(odd)} do not belong to this version; accepted: a run of it")
    try:
        values["arms"] = {
            name: Arm(**{**arm, "options": _options(arm["options"])}) for name, arm in values["arms"].items()
        }
        for name in ("options", "optimizer_options"):
            values[name] = _options(values[name])
        whole: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        config = kind(**whole)
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"config.json: not readable by this version ({error}); accepted: a run of it") from error
    if config_hash(config) != document["hash"]:
        raise InputError(f"config.json: was altered: hash {config_hash(config)}, recorded {document['hash']}")
    return config


def parse_document(text: str) -> dict[str, Any]:
    """The document of a config.json, checked for its format only (its experiment tells the config's kind)."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"config.json: truncated or altered ({error}); accepted: the file that run wrote") from error
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict) or "hash" not in document:
        raise InputError("config.json: not written by rnnlab; accepted: the file that run wrote")
    if document.get("format") != FORMAT:
        raise InputError(f"config.json: format {document.get('format')!r} of another version; accepted: {FORMAT}")
    return document


def _options(values: Mapping[str, Any]) -> dict[str, Option]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
