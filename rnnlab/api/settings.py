"""From cells, a data set and keywords to a `Config`."""

import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from rnnlab.cells.registry import CELLS
from rnnlab.cells.session_cell import session_name
from rnnlab.config.cell_name import absolute_name, arm_name
from rnnlab.config.data_name import absolute_data
from rnnlab.config.draws import expand_draws
from rnnlab.config.experiment import Arm, Config
from rnnlab.core import types
from rnnlab.core.errors import InputError, unknown
from rnnlab.data.registry import load_dataset as load

PYTHON = "python"  # the experiment of a run that no study describes

AnyCell = str | types.Cell | Callable[..., types.Cell] | Arm
Cells = AnyCell | Iterable[AnyCell] | Mapping[str, AnyCell]


class LoadedDataset(types.Dataset):
    """A data set that its name and options give again."""

    name_and_options: tuple[str, Mapping[str, Any]] | None = None  # lost when a field is replaced


def load_dataset(name: str, **options: Any) -> types.Dataset:
    """The data set called ``name``: see ``python -m experiments data`` for names, its loader for ``options``.

    Features are ``[N, T, D]``, ids ``[N, T]``; real-valued features of your own arrays have mean 0 and standard
    deviation 1. Raises InputError for an unknown name or option and for data that cannot be obtained.

    Examples:
        >>> load_dataset("digits").train.inputs.shape
        (1259, 8, 8)
    """
    dataset = LoadedDataset(*load(absolute_data(name), **options))
    dataset.name_and_options = (absolute_data(name), options)
    return dataset


def configuration(cells: Cells, data: str | types.Dataset, settings: Mapping[str, Any]) -> Config:
    """The experiment that `rnnlab.train` describes. Raises InputError."""
    origin = getattr(data, "name_and_options", None)
    if origin is not None:
        name, options = origin
        settings = {**settings, "data_options": {**options, **settings.get("data_options", {})}}
        if "sequence_length" in options:  # of texts it is a field of its own
            options = dict(settings["data_options"])
            settings = {"sequence_length": options.pop("sequence_length"), **settings, "data_options": options}
    else:
        name = absolute_data(data) if isinstance(data, str) else f"python:{data.name}"
    settings = _drawn(settings)
    config = Config(experiment=PYTHON, arms=_arms(cells), data=name)
    accepted = {field.name for field in fields(Config)} - {"experiment", "arms", "data", "protocol"}
    hints = get_type_hints(Config)
    for key, value in settings.items():
        if key not in accepted:
            raise unknown("train", key, sorted(accepted | {"directory", "resume", "progress", "draws", "draw_seed"}))
        config = replace(config, **{key: _value(key, hints[key], value)})
    config.check()
    return config


def _drawn(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """``settings`` with ranges replaced by the values drawn from them."""
    drawn = {key: value for key, value in settings.items() if key in ("draws", "draw_seed") or _is_range(value)}
    if not drawn:
        return settings
    words = (assignment.partition("=") for assignment in expand_draws([f"{key}={each}" for key, each in drawn.items()]))
    values = {key: text if key == "sweep" else [float(each) for each in text.split(",")] for key, _, text in words}
    return {**{key: value for key, value in settings.items() if key not in drawn}, **values}


def _is_range(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("log:", "uniform:"))


def _arms(cells: Cells) -> dict[str, Arm]:
    if isinstance(cells, Mapping):
        return {str(name): _arm(cell, str(name)) for name, cell in cells.items()}
    if isinstance(cells, (str, types.Cell, Arm)) or not isinstance(cells, Iterable):
        cells = [cells]
    arms: dict[str, Arm] = {}
    for cell in cells:
        name = _name(cell)
        number = next(n for n in range(1, len(arms) + 2) if (name if n == 1 else f"{name}-{n}") not in arms)
        name = name if number == 1 else f"{name}-{number}"
        arms[name] = _arm(cell, name)
    return arms


def _name(cell: AnyCell) -> str:
    if isinstance(cell, str):
        return arm_name(cell)
    if isinstance(cell, Arm):
        return arm_name(cell.cell)
    if isinstance(cell, types.Cell):
        return "cell"
    function = getattr(cell, "func", cell)  # of a functools.partial
    return str(getattr(function, "__name__", type(function).__name__)).strip("<>")


def _arm(cell: AnyCell, name: str) -> Arm:
    if isinstance(cell, Arm):
        return replace(cell, cell=absolute_name(cell.cell), decoder=cell.decoder and absolute_name(cell.decoder))
    if isinstance(cell, str):
        return Arm(absolute_name(cell))
    if isinstance(cell, types.Cell):
        return Arm(session_name(cell, name), hidden_size=cell.hidden_size)
    if not callable(cell):
        accepted = "a name, a function (hidden_size, **options) -> Cell, a Cell, an Arm, or a mapping of names to these"
        raise InputError(f"cells: {cell!r} is not accepted; accepted: {accepted}")
    known = next((key for key, entry in CELLS.items() if entry.factory is cell), None)
    return Arm(known or session_name(cell, name))


def _value(name: str, hint: Any, value: Any) -> Any:
    """``value`` as the field's type ``hint``: a number where several are accepted is one of them."""
    if get_origin(hint) is tuple:
        if name == "seeds" and isinstance(value, numbers.Integral):
            value = range(int(value))
        item = get_args(hint)[0]
        several = [value] if isinstance(value, (str, numbers.Number)) else _listed(name, value)
        return tuple(_value(name, item, each) for each in several)
    if get_origin(hint) not in (None, type(None)) and hasattr(value, "items"):
        return {str(key): _option(each) for key, each in value.items()}
    kinds = get_args(hint) or (hint,)
    if value is None and NoneType in kinds:
        return None
    kind = next(each for each in kinds if each is not NoneType)
    if kind is bool and isinstance(value, (bool, np.bool)):
        return bool(value)
    if kind is int and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if kind is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    if kind is str and isinstance(value, str):
        return value
    words = {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}.get(kind, "a mapping")
    raise InputError(f"{name}: {value!r} is not accepted; accepted: {words}" + (" or None" * (NoneType in kinds)))


def _listed(name: str, value: Any) -> list[Any]:
    try:
        return np.asarray(value).tolist() if isinstance(value, np.ndarray) else list(value)
    except TypeError:
        raise InputError(f"{name}: {value!r} is not accepted; accepted: one value or several") from None


def _option(value: Any) -> Any:
    """An option of a cell: several numbers are swept."""
    if isinstance(value, (list, tuple, np.ndarray, range)):
        return tuple(float(each) for each in value)
    return value.item() if isinstance(value, np.generic) else value
