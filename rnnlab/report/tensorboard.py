"""The metrics of a run as event files of TensorBoard, a folder for each run of an arm."""

from pathlib import Path

import pyarrow as pa

from rnnlab.core.errors import InputError
from rnnlab.storage.metrics import COLUMNS


def write_events(metrics: pa.Table, directory: Path) -> list[Path]:
    """Write ``split/metric`` by step of ``metrics`` below ``directory``: ``ARM/seed=N``, with what was swept.

    Returns the folders. Raises InputError without the package tensorboardX.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise InputError("--export: needs the package tensorboardX: pip install 'rnnlab[tensorboard]'") from None
    swept = [name for name in metrics.column_names if name not in COLUMNS]
    swept = [name for name in swept if len(metrics[name].drop_null().unique()) > 1]
    writers: dict[Path, SummaryWriter] = {}
    for row in metrics.to_pylist():
        values = [f"{name}={row[name]:g}" for name in swept if row[name] is not None]
        folder = directory / row["arm"].replace("/", "_") / ",".join([f"seed={row['seed']}", *values])
        if folder not in writers:
            writers[folder] = SummaryWriter(str(folder), write_to_disk=True)
        writers[folder].add_scalar(f"{row['split']}/{row['metric']}", row["value"], row["step"])
    for writer in writers.values():
        writer.close()
    return list(writers)
