"""What a run writes and reads: config, environment, metrics, summary. Every file is written whole or not at all."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlab.core.errors import InputError

PACKAGES = ("rnnlab", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
DIVERGED_AT = "diverged_at"  # the metric that marks a run's death; its value is the step


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a kill leaves the old one or the new one. Raises OSError; the old file is then intact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """``document`` as indented JSON, written whole. NaN becomes null."""
    write_whole(path, (json.dumps(_without_nan(document), indent=2, allow_nan=False) + "\n").encode())


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def read_json(path: Path) -> Any:
    """The document in a JSON file. Raises InputError if it is missing or not JSON."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: truncated or altered ({error}); accepted: the file that run wrote") from error


def read_text(path: Path) -> str:
    """The text of a file of a run. Raises InputError if it is missing or not text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing; accepted: a directory that run wrote, with all its files") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: truncated or altered ({error}); accepted: the file that run wrote") from error


def environment(devices: list[Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Versions, git revision, devices and data: what a result depends on beside its config; and the command."""
    return {
        "command": ["python", *sys.orig_argv[1:]],
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git": _git_revision(),
        "machine": platform.machine(),
        "devices": [f"{device.platform}:{device.device_kind}" for device in devices],
        "dataset": dict(dataset),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout that is not installed
        return None


def _git_revision() -> str | None:
    command = [
        "git",
        "--no-optional-locks",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


TEXT = pa.dictionary(pa.int32(), pa.string())
COLUMNS = {
    "experiment": TEXT, "arm": TEXT, "seed": pa.int64(), "epoch": pa.int32(), "step": pa.int64(), "split": TEXT,
    "metric": TEXT, "value": pa.float64(),
}  # fmt: skip
LEADING = 3  # of COLUMNS stand before those of the swept numbers, all float64


class Metrics:
    """The metrics of a run in long form: one row for each arm, run, epoch, split and metric.

    Columns: experiment, arm, seed, one for each number that rides the run axis, epoch, step, split, metric, value.
    """

    def __init__(self, experiment: str, hyperparams: list[str]) -> None:
        self.experiment = experiment
        self.hyperparams = hyperparams
        fixed = list(COLUMNS.items())
        swept = [(name, pa.float64()) for name in hyperparams]
        self.schema = pa.schema([*fixed[:LEADING], *swept, *fixed[LEADING:]])
        self.table = self.schema.empty_table()

    def add(
        self, arm: str, seeds: np.ndarray, hyperparams: Mapping[str, np.ndarray], epoch: int, step: int, split: str,
        values: Mapping[str, np.ndarray],
    ) -> None:  # fmt: skip
        """Rows for the runs of ``seeds [n]`` and ``numbers {name: [n]}``: every metric's ``[n]`` values."""
        count = len(seeds)
        if not count:
            return
        tables = [self.table]
        for metric, value in values.items():
            columns: dict[str, Any] = {name: [None] * count for name in self.hyperparams}
            # via text: 1e-3 in float32 is 0.001 to the reader, not 0.0010000000474974513
            columns |= {name: [float(str(number)) for number in column] for name, column in hyperparams.items()}
            columns |= {
                "experiment": [self.experiment] * count, "arm": [arm] * count, "seed": np.asarray(seeds, np.int64),
                "epoch": [epoch] * count, "step": [step] * count, "split": [split] * count, "metric": [metric] * count,
                "value": np.asarray(value, np.float64),
            }  # fmt: skip
            tables.append(pa.table({name: columns[name] for name in self.schema.names}, schema=self.schema))
        self.table = pa.concat_tables(tables)

    def forget(self, arm: str, step: int) -> None:
        """Drop the arm's rows later than ``step``: a resume makes them anew."""
        later = pc.and_(pc.equal(self.table["arm"], arm), pc.greater(self.table["step"], step))
        self.table = self.table.filter(pc.invert(later))

    def write(self, path: Path) -> None:
        """The table as Parquet, written whole. Raises OSError."""
        self.table = self.table.combine_chunks().unify_dictionaries()
        sink = pa.BufferOutputStream()
        pq.write_table(self.table, sink, compression="zstd", write_page_checksum=True)
        write_whole(path, sink.getvalue().to_pybytes())

    def read(self, path: Path) -> None:
        """Take the rows of a file that ``write`` made. Raises InputError if it is missing, cut short or different."""
        table = read_metrics(path)
        if table.schema != self.schema:
            raise InputError(
                f"{path}: columns {table.schema.names}; accepted: {self.schema.names}, as config.json says"
            )
        self.table = table


def read_metrics(path: Path) -> pa.Table:
    """The metrics table of a run. Raises InputError if the file is missing or cut short."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        table.validate(full=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing; accepted: a directory that run wrote, with all its files") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [""])[0][:160]
        raise InputError(f"{path}: truncated or altered ({reason}); accepted: the file that run wrote") from error
    wanted = {name: COLUMNS.get(name, pa.float64()) for name in (*COLUMNS, *table.schema.names)}
    if {field.name: field.type for field in table.schema} != wanted:
        raise InputError(f"{path}: columns {table.schema.names}; accepted: the file that run wrote")
    return table
