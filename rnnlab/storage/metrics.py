"""The metrics of a run in long form: rows kept in memory, written as Parquet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlab.core.errors import InputError
from rnnlab.storage.files import write_whole

DIVERGED_AT = "diverged_at"  # the metric of a diverged run; its value is the training step

TEXT = pa.dictionary(pa.int32(), pa.string())
COLUMNS = {
    "experiment": TEXT, "arm": TEXT, "seed": pa.int64(), "epoch": pa.int32(), "step": pa.int64(), "split": TEXT,
    "metric": TEXT, "value": pa.float64(),
}  # fmt: skip
LEADING = 3  # columns before those of the hyperparameters, which are all float64


class Metrics:
    """One row for each arm, run, epoch, split and metric.

    Columns: experiment, arm, seed, one for each hyperparameter, epoch, step, split, metric, value. `add` costs the
    same however many rows there are; `table` builds the rows added since it was last called.
    """

    def __init__(self, experiment: str, hyperparams: list[str]) -> None:
        self.experiment, self.hyperparams = experiment, hyperparams
        fixed = list(COLUMNS.items())
        swept = [(name, pa.float64()) for name in hyperparams]
        self.schema = pa.schema([*fixed[:LEADING], *swept, *fixed[LEADING:]])
        self._built = self.schema.empty_table()
        self._added: list[dict[str, Any]] = []

    def add(
        self, arm: str, seeds: np.ndarray, hyperparams: Mapping[str, np.ndarray], epoch: int, step: int, split: str,
        values: Mapping[str, np.ndarray],
    ) -> None:  # fmt: skip
        """Rows for the runs of ``seeds [n]`` and ``hyperparams {name: [n]}``: ``[n]`` values of every metric."""
        count = len(seeds)
        for metric, value in values.items() if count else ():
            columns: dict[str, Any] = {name: [None] * count for name in self.hyperparams}
            # via text: 1e-3 in float32 is 0.001 to the reader, not 0.0010000000474974513
            columns |= {name: [float(str(number)) for number in column] for name, column in hyperparams.items()}
            columns |= {
                "experiment": [self.experiment] * count, "arm": [arm] * count, "seed": np.asarray(seeds).tolist(),
                "epoch": [epoch] * count, "step": [step] * count, "split": [split] * count, "metric": [metric] * count,
                "value": np.asarray(value, np.float64).tolist(),
            }  # fmt: skip
            self._added.append(columns)

    @property
    def table(self) -> pa.Table:
        """All rows."""
        if self._added:
            columns = {name: [v for part in self._added for v in part[name]] for name in self.schema.names}
            self._built = pa.concat_tables([self._built, pa.table(columns, schema=self.schema)])
            self._built = self._built.combine_chunks().unify_dictionaries()
            self._added = []
        return self._built

    def drop_after(self, arm: str, step: int) -> None:
        """Drop the arm's rows of later steps than ``step``: a resumed run repeats them."""
        table = self.table
        later = pc.and_(pc.equal(table["arm"], arm), pc.greater(table["step"], step))
        self._built = table.filter(pc.invert(later))

    def write(self, path: Path) -> None:
        """Write the table as Parquet, whole or not at all. Raises OSError."""
        write_metrics(_by_arm(self.table), path)

    def read(self, path: Path) -> None:
        """Take the rows of a file that `write` made. Raises InputError if it is missing, truncated or different."""
        table = read_metrics(path)
        if table.schema != self.schema:
            raise InputError(f"{path}: columns {table.schema.names}; config.json requires {self.schema.names}")
        self._built, self._added = table, []


def _by_arm(table: pa.Table) -> pa.Table:
    """``table`` with the rows of each arm together, as an uninterrupted run writes them; arms as they first appear."""
    if not table.num_rows:
        return table
    codes = table["arm"].combine_chunks().indices.to_numpy()
    _, first, arm = np.unique(codes, return_index=True, return_inverse=True)
    rank = first[arm]
    return table if (np.diff(rank) >= 0).all() else table.take(np.argsort(rank, kind="stable"))


def write_metrics(table: pa.Table, path: Path) -> None:
    """Write a metrics table as Parquet, whole or not at all. Raises OSError."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    write_whole(path, sink.getvalue().to_pybytes())


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
