"""A config as config.json: its text, its hash, and back."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rnnlab.config.experiment import FORMAT, AnyConfig, Arm, Config, Option
from rnnlab.core.errors import InputError

# Fields that runs and records of earlier versions lack, with the value that they stand for.
NEWER: dict[str, Any] = {"bptt": None, "remat": False, "batch_devices": None}


def to_json(config: Config) -> str:
    """``config`` as JSON text with format number and hash."""
    document = {"format": FORMAT, "hash": config_hash(config), "config": dataclasses.asdict(config)}
    return json.dumps(document, indent=2) + "\n"


def config_hash(config: Config) -> str:
    """16 hexadecimal digits that identify the config."""
    return _digest(_without_newer(dataclasses.asdict(config)))


def training_hash(config: Config) -> str:
    """As `config_hash`, without the number of epochs: a run may be continued for more of them."""
    return _digest({**_without_newer(dataclasses.asdict(config)), "epochs": None})


def _without_newer(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` without the NEWER fields that have their default: runs of earlier versions keep their hash."""
    return {name: value for name, value in values.items() if name not in NEWER or value != NEWER[name]}


def _digest(values: Mapping[str, Any]) -> str:
    canonical = json.dumps(values)  # order matters: arms are trained and shown in it
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def from_json(text: str, kind: type[AnyConfig]) -> AnyConfig:
    """The config of ``kind`` that ``to_json`` wrote. Raises InputError if it is altered or of another format."""
    document = parse_document(text)
    names = {f.name for f in fields(kind)}
    values = {**{name: value for name, value in NEWER.items() if name in names}, **document["config"]}
    if set(values) != names:
        odd = sorted(set(values) ^ names)
        raise InputError(f"config.json: unexpected or missing fields {', '.join(odd)}")
    config = _build(values, kind)
    _check_hash(document, config_hash(config))
    return config


def base_from_json(text: str) -> tuple[Config, str]:
    """The fields of `Config` in a config that ``to_json`` wrote, without its study's own, and its `training_hash`.

    Raises InputError as ``from_json``.
    """
    document = parse_document(text)
    values, names = {**NEWER, **document["config"]}, [f.name for f in fields(Config)]
    _check_hash(document, _digest(_without_newer(document["config"])))
    if "arms" not in values:
        raise InputError(f"experiment: {values.get('experiment')} trains nothing; accepted: a run of one that trains")
    if missing := sorted(set(names) - set(values)):
        raise InputError(f"config.json: missing fields {', '.join(missing)}")
    return _build({name: values[name] for name in names}, Config), _digest(
        {**_without_newer(document["config"]), "epochs": None}
    )


def _check_hash(document: Mapping[str, Any], digest: str) -> None:
    if digest != document["hash"]:
        raise InputError(f"config.json: altered: hash {digest}, recorded {document['hash']}")


def _build(values: Mapping[str, Any], kind: type[AnyConfig]) -> AnyConfig:
    try:
        whole: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        if issubclass(kind, Config):  # else the settings of a study without training
            whole["arms"] = {
                name: Arm(**{**arm, "options": _options(arm["options"]), "hyperparams": _options(arm["hyperparams"])})
                for name, arm in values["arms"].items()
            }
            for name in ("options", "optimizer_options", "data_options"):
                whole[name] = _options(values[name])
        return kind(**whole)
    except (TypeError, KeyError, AttributeError) as error:
        raise InputError(f"config.json: not readable by this version ({error})") from error


def parse_document(text: str) -> dict[str, Any]:
    """The document of a config.json, checked for its format alone."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"config.json: truncated or altered ({error})") from error
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict) or "hash" not in document:
        raise InputError("config.json: not written by rnnlab")
    if document.get("format") != FORMAT:
        raise InputError(
            f"config.json: format {document.get('format')!r} was written by another version of rnnlab; this one reads "
            f"format {FORMAT}: run the experiment again, or read it with the version in its env.json"
        )
    return document


def _options(values: Mapping[str, Any]) -> dict[str, Option]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
