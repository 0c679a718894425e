"""Parts of a sweep, trained by processes that need not know of each other, joined into one run.

A part is a run of some of the seeds, with all arms and hyperparameters of each. Runs share nothing, so that the joined
run is the one that a single process would have trained.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pyarrow as pa

from rnnlab.config.document import to_json, training_hash
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError
from rnnlab.runs.record import remade
from rnnlab.runs.run import check_new
from rnnlab.runs.saved_run import SavedRun
from rnnlab.runs.validate import abstract_state
from rnnlab.storage import checkpoint, files
from rnnlab.storage.metrics import DIVERGED_AT, read_metrics, write_metrics

COMPARED = (
    "python",
    "packages",
    "git",
    "machine",
    "devices",
    "batch_devices",
)  # of env.json: what may change the last bits
SHOWN = 12


class Part(NamedTuple):
    """A run that is to be joined: its directory opened, and its config with the study's own fields."""

    run: SavedRun
    config: Config


def split_seeds(seeds: Sequence[int], index: int, count: int) -> tuple[int, ...]:
    """Part ``index`` (from 1) of ``count`` contiguous parts of ``seeds``, whose lengths differ by at most one."""
    first, last = ((part * len(seeds)) // count for part in (index - 1, index))
    return tuple(seeds[first:last])


def merge(parts: Sequence[Part], directory: Path, *, partial: bool = False, checkpoints: bool = True) -> list[str]:
    """Write the run that ``parts`` make together into a new ``directory``; what is to be said of it.

    Without ``checkpoints`` a part may be a record, which has none. Raises InputError where parts differ in their
    configuration, data or cells' files, are unfinished, share seeds, or, unless ``partial``, lack seeds of the sweep
    that they are parts of.
    """
    check_new(directory)
    _check_same(parts)
    seeds, missing = _seeds(parts, partial=partial)
    config = replace(parts[0].config, seeds=seeds)
    environments = [part.run.environment for part in parts]
    differing = [
        name for name in COMPARED if any(other.get(name) != environments[0].get(name) for other in environments)
    ]
    environment = {name: value for name, value in environments[0].items() if name not in ("part", "missing_seeds")}
    environment["command"] = max(environments, key=_sweep_size)["command"]
    environment["parts"] = [
        {name: part.run.environment.get(name) for name in differing} | entry
        for part in parts
        for entry in _joined(part)
    ]
    environment |= {"missing_seeds": list(missing)} if missing else {}
    directory = directory.resolve()
    draft = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")  # after a kill there is no half a run
    try:
        _write(parts, config, environment, draft)
        if checkpoints:
            for arm in config.arms:
                order = _order(parts, config, arm)
                _write_checkpoints(parts, config, arm, order, draft / "checkpoints" / arm)
        draft.rename(directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    said = [f"{', '.join(differing)} differ between the parts: close to one run, not bit-equal"] if differing else []
    return said + ([missing_note(environment)] if missing else [])


def missing_note(environment: Mapping[str, Any]) -> str:
    """The sentence on seeds of the sweep that a part or a merged run lacks, from its env.json; empty if none."""
    if part := environment.get("part"):
        return f"part {part['index']} of {part['of']} of a sweep of {len(part['seeds'])} seeds"
    missing = environment.get("missing_seeds", ())
    return f"merged from some parts only: without the seeds {_listed(missing)}" if missing else ""


def _sweep_size(environment: Mapping[str, Any]) -> int:
    """How many seeds the sweep has that a run is a part of; 0 for a whole one, which may have grown."""
    return len(environment.get("part", {}).get("seeds", ()))


def _joined(part: Part) -> list[dict[str, Any]]:
    """What env.json says of a part, or of each of those that it was merged from."""
    environment = part.run.environment
    whole = {"directory": part.run.directory.name, "seeds": list(part.config.seeds), "command": environment["command"]}
    return environment.get("parts") or [whole]


def _check_same(parts: Sequence[Part]) -> None:
    first, *others = parts
    for part in parts:
        if not files.read_json(part.run.directory / "summary.json").get("complete"):
            raise InputError(f"{part.run.directory}: unfinished; accepted: finished runs (`resume` continues it)")
    for part in others:
        mine, other = vars(first.config), vars(part.config)
        names = [
            name for name in dict.fromkeys([*mine, *other]) if name != "seeds" and mine.get(name) != other.get(name)
        ]
        if names:
            raise InputError(
                f"{part.run.directory}: {', '.join(names)} differ from {first.run.directory}; accepted: parts that "
                "differ in their seeds only"
            )
        if part.run.environment["dataset"] != first.run.environment["dataset"]:
            raise InputError(
                f"{part.run.directory}: the data or a cell's file differ from {first.run.directory} (see env.json)"
            )


def _seeds(parts: Sequence[Part], *, partial: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The seeds of the joined run, in the order of the whole sweep, and those of the sweep that no part has."""
    owner: dict[int, Path] = {}
    for part in parts:
        for seed in part.config.seeds:
            if seed in owner:
                raise InputError(f"seed {seed} is in {owner[seed]} and in {part.run.directory}; accepted: once")
            owner[seed] = part.run.directory
    wholes = {
        part.run.directory: tuple(noted["seeds"]) for part in parts if (noted := part.run.environment.get("part"))
    }
    if len(set(wholes.values())) > 1:
        raise InputError(f"{', '.join(map(str, wholes))}: parts of different sweeps; accepted: of the same seeds")
    whole = next(iter(wholes.values()), tuple(sorted(owner)))
    if odd := [seed for seed in owner if seed not in set(whole)]:
        raise InputError(f"{owner[odd[0]]}: seeds {_listed(odd)} are not of the sweep of the other parts")
    missing = tuple(seed for seed in whole if seed not in owner)
    if missing and not partial:
        raise InputError(f"seeds {_listed(missing)} are in no part; accepted: all parts, or --partial")
    return tuple(seed for seed in whole if seed in owner), missing


def _write(parts: Sequence[Part], config: Config, environment: Mapping[str, Any], directory: Path) -> None:
    files.write_json(directory / "env.json", environment)
    files.write_whole(directory / "config.json", to_json(config).encode())
    tables = []
    read = [read_metrics(part.run.directory / "metrics.parquet") for part in parts]
    for arm in config.arms:
        tables.append(_rows(parts, read, config, arm))
    table = pa.concat_tables(tables).combine_chunks().unify_dictionaries()
    write_metrics(table, directory / "metrics.parquet")
    summaries = [files.read_json(part.run.directory / "summary.json") for part in parts]
    arms = {
        name: record | {"seconds": sum(summary["arms"][name]["seconds"] for summary in summaries)}
        for name, record in summaries[0]["arms"].items()
    }
    kept = {"arms": arms, "experiment": summaries[0]["experiment"]}
    files.write_json(directory / "summary.json", remade(kept, table, environment["dataset"], config))


def _order(parts: Sequence[Part], config: Config, arm: str) -> np.ndarray:
    """``[R]``: for each run of the whole its place among the parts' runs, one part after the other."""
    places: dict[tuple[int, int], int] = {}
    for part in parts:  # on a run axis the seeds vary fastest
        combinations = len(part.run.runs(arm).seed) // len(part.config.seeds)
        for combination in range(combinations):
            for seed in part.config.seeds:
                places[combination, seed] = len(places)
    return np.array([places[c, seed] for c in range(combinations) for seed in config.seeds])


def _write_checkpoints(parts: Sequence[Part], config: Config, arm: str, order: np.ndarray, directory: Path) -> None:
    def joined(pieces: Sequence[Any]) -> Any:
        return jax.tree.map(lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves])[order], *pieces)

    folders = [part.run.directory / "checkpoints" / arm for part in parts]
    abstract = [abstract_state(part.run.spec(arm), part.run.runs(arm)) for part in parts]
    positions = []
    for part, folder in zip(parts, folders, strict=True):
        if not part.run.saved(arm) or (position := checkpoint.position(folder)) is None:
            raise InputError(f"checkpoint: arm {arm} of {part.run.directory} has none; accepted: finished runs")
        positions.append(position)
    if len({position[:3] for position in positions}) > 1:
        raise InputError(f"arm {arm}: the parts are trained to different steps; accepted: finished runs")
    for epoch in checkpoint.kept_epochs(folders[0]):
        pieces = [checkpoint.load_epoch(f, a.params, epoch) for f, a in zip(folders, abstract, strict=True)]
        checkpoint.save_epoch(directory, [joined(pieces)], epoch)
    state = joined([checkpoint.load(folder, a) for folder, a in zip(folders, abstract, strict=True)])
    seconds = sum(position.seconds for position in positions)
    checkpoint.save(directory, [state], positions[0]._replace(seconds=seconds, config=training_hash(config)))


def _rows(parts: Sequence[Part], read: Sequence[pa.Table], config: Config, arm: str) -> pa.Table:
    """The rows of an arm in the order in which one process writes them: by epoch, metric and run."""
    whole = pa.concat_tables(read).combine_chunks().unify_dictionaries()
    table = whole.filter(pa.compute.equal(whole["arm"], arm))
    epoch = table["epoch"].to_numpy()
    columns = list(zip(table["split"].to_pylist(), table["metric"].to_pylist(), strict=True))
    # Before training there are probes alone, which come last afterwards; runs that diverge are recorded at the end.
    later = [pair for pair, number in zip(columns, epoch, strict=True) if number > 0]
    kinds = sorted(dict.fromkeys([*later, *columns]), key=lambda pair: pair[1] == DIVERGED_AT)
    rank = {pair: number for number, pair in enumerate(kinds)}
    kind = np.array([rank[pair] for pair in columns], np.int64)
    place = {seed: number for number, seed in enumerate(config.seeds)}
    seed = np.array([place[value] for value in table["seed"].to_pylist()], np.int64)
    runs = parts[0].run.runs(arm)
    combination = np.zeros(len(epoch), np.int64)
    for number in range(len(runs.seed) // len(parts[0].config.seeds)):
        first = number * len(parts[0].config.seeds)
        here = np.ones(len(epoch), bool)
        for name, values in runs.hyperparams.items():  # as Metrics.add writes them
            here &= table[name].to_numpy() == float(str(values[first]))
        combination[here] = number
    return table.take(np.lexsort((seed, combination, kind, epoch)))


def _listed(seeds: Sequence[int]) -> str:
    shown = ", ".join(map(str, seeds[:SHOWN]))
    return shown if len(seeds) <= SHOWN else f"{shown} and {len(seeds) - SHOWN} more"
