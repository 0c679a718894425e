"""Records of finished runs: small enough to be committed, complete enough to write every page and verdict again.

A record is a folder with a run's ``config.json`` and ``metrics.parquet``, the ``env.json`` without the paths of the
machine, and a ``summary.json`` without what follows from the metrics.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rnnlab.config.document import base_from_json
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError
from rnnlab.stats.summary import summarize
from rnnlab.storage import files
from rnnlab.storage.metrics import read_metrics
from rnnlab.training.tasks import TASKS

LIMIT_BYTES = 2_000_000
DERIVED = ("headline", "metrics", "beside", "results")  # of summary.json: made again from the metrics
PLACE = "DIR"  # instead of a folder of the machine


def publish(directory: Path, record: Path) -> int:
    """Make ``record`` of the finished run in ``directory``, in place of an older one; returns its bytes.

    Raises InputError for an unfinished run and for one that is too large.
    """
    summary = files.read_json(directory / "summary.json")
    if not summary.get("complete"):
        raise InputError(f"{directory}: unfinished; accepted: a finished run (`resume` continues this one)")
    base_from_json(files.read_text(directory / "config.json"))  # a run that trained, unaltered
    metrics = read_metrics(directory / "metrics.parquet")
    environment = files.read_json(directory / "env.json")
    draft = record.with_name(f".{record.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    shutil.copy(directory / "config.json", draft / "config.json")
    files.write_json(draft / "env.json", _without_places(environment))
    files.write_json(draft / "summary.json", {name: value for name, value in summary.items() if name not in DERIVED})
    sink = pa.BufferOutputStream()
    pq.write_table(metrics, sink, compression="zstd", compression_level=19, write_page_checksum=True)
    files.write_whole(draft / "metrics.parquet", sink.getvalue().to_pybytes())
    for bench in sorted(directory.glob("bench*/bench.json")):  # times that claims are judged by
        files.write_json(draft / bench.parent.name / bench.name, files.read_json(bench))
    size = sum(path.stat().st_size for path in draft.rglob("*") if path.is_file())
    if size > LIMIT_BYTES:
        shutil.rmtree(draft)
        raise InputError(f"{directory}: its record has {size:,} bytes; accepted: up to {LIMIT_BYTES:,}")
    shutil.rmtree(record, ignore_errors=True)
    draft.rename(record)
    return size


def restore(record: Path, directory: Path) -> None:
    """Write the run of ``record`` into ``directory``, without checkpoints: what `report` reads. Raises InputError."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "env.json", "metrics.parquet"):
        if not (record / name).is_file():
            raise InputError(f"{record}: no {name}; accepted: a folder that `publish` wrote")
        shutil.copy(record / name, directory / name)
    for bench in record.glob("bench*/bench.json"):
        files.write_json(directory / bench.parent.name / bench.name, files.read_json(bench))
    files.write_json(directory / "summary.json", summary_of(record))


def summary_of(record: Path) -> dict[str, Any]:
    """The summary.json of the run of ``record``, made again from its metrics. Raises InputError."""
    kept, metrics = files.read_json(record / "summary.json"), read_metrics(record / "metrics.parquet")
    dataset = files.read_json(record / "env.json")["dataset"]
    config, _ = base_from_json(files.read_text(record / "config.json"))
    made = remade(kept, metrics, dataset, config)
    return {**made, **({"claims": kept["claims"]} if "claims" in kept else {})}


def remade(kept: Mapping[str, Any], metrics: pa.Table, dataset: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """The summary.json of a finished run, from its ``metrics`` and what no metric tells (``arms``, ``experiment``)."""
    return summarize(
        metrics, TASKS[dataset["task"]], kept["arms"], experiment=kept["experiment"], complete=True,
        validation_is_test="validation" not in metrics["split"].unique().to_pylist(),
        success_threshold=config.success_threshold,
    )  # fmt: skip


def records(folder: Path) -> dict[str, Path]:
    """The records in ``folder`` by name."""
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/config.json"))}


def _without_places(environment: Mapping[str, Any]) -> dict[str, Any]:
    """An env.json whose commands, those of merged parts too, name no folder of the machine."""
    named = {**environment, "command": without_places(environment.get("command", []))}
    if parts := environment.get("parts"):
        named["parts"] = [_without_places(part) for part in parts]
    return named


def without_places(command: Sequence[str]) -> list[str]:
    """A recorded command with ``DIR`` for every absolute path."""
    return [PLACE if part.startswith("/") else part for part in command]
