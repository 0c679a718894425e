"""What a run writes: whole or not at all, in long form, and read back with suspicion."""

import json
import os
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnnlab.core.errors import InputError
from rnnlab.storage import environment as run_environment
from rnnlab.storage import files
from rnnlab.storage.metrics import DIVERGED_AT, Metrics

COLUMNS = ["experiment", "arm", "seed", "learning_rate", "delta", "epoch", "step", "split", "metric", "value"]


def filled() -> Metrics:
    metrics = Metrics("probe", ["learning_rate", "delta"])
    rates = np.array([1e-3, 1e-3, 0.1], np.float32)
    for epoch in (1, 2):
        for split in ("train", "test"):
            values = np.arange(3) / 7 + epoch + (split == "test") / 3
            metrics.add("a", np.array([0, 7, 2**32 - 1], np.uint32), {"learning_rate": rates}, epoch, 5 * epoch, split,
                        {"loss": values, "accuracy": -values})  # fmt: skip
    hyperparams = {"learning_rate": rates[:1], "delta": np.array([0.3], np.float32)}
    metrics.add("b", np.array([1], np.uint32), hyperparams, 1, 5, "test", {"loss": np.array([np.inf])})
    metrics.add("b", np.array([4], np.uint32), hyperparams, 1, 5, "train", {DIVERGED_AT: np.array([3])})
    return metrics


def rows(table: pa.Table) -> list[tuple]:
    return [tuple(row[name] for name in COLUMNS) for row in table.to_pylist()]


def test_the_table_is_long(tmp_path):
    filled().write(tmp_path / "metrics.parquet")
    table = pq.read_table(tmp_path / "metrics.parquet")
    assert table.schema.names == COLUMNS
    assert table.num_rows == 2 * 2 * 2 * 3 + 1 + 1
    assert len({row[:-1] for row in rows(table)}) == table.num_rows  # every row says all that tells it from others
    assert rows(table)[1] == ("probe", "a", 7, 0.001, None, 1, 5, "train", "loss", 1 / 7 + 1)
    assert rows(table)[-2:] == [
        ("probe", "b", 1, 0.001, 0.3, 1, 5, "test", "loss", np.inf),
        ("probe", "b", 4, 0.001, 0.3, 1, 5, "train", DIVERGED_AT, 3.0),
    ]
    assert {row[2] for row in rows(table)} == {0, 7, 2**32 - 1, 1, 4}


def test_the_table_loads_in_pandas_types(tmp_path):
    filled().write(tmp_path / "metrics.parquet")
    table = pq.read_table(tmp_path / "metrics.parquet")
    kinds = {name: table.schema.field(name).type for name in COLUMNS}
    assert kinds["value"] == kinds["learning_rate"] == kinds["delta"] == pa.float64()
    assert pa.types.is_integer(kinds["seed"])
    assert pa.types.is_integer(kinds["epoch"])
    assert pa.types.is_integer(kinds["step"])


def test_values_survive_a_round_trip_bit_for_bit(tmp_path):
    metrics = filled()
    metrics.add("c", np.array([0]), {"learning_rate": np.float32([1])}, 1, 1, "test",
                {"tiny": np.array([5e-324]), "not": np.array([np.nan]), "third": np.array([1 / 3])})  # fmt: skip
    metrics.write(tmp_path / "metrics.parquet")
    again = Metrics("probe", ["learning_rate", "delta"])
    again.read(tmp_path / "metrics.parquet")
    assert repr(rows(again.table)) == repr(rows(metrics.table))
    again.add("c", np.array([9]), {}, 3, 15, "test", {"loss": np.array([1.0])})
    again.write(tmp_path / "metrics.parquet")
    assert repr(rows(pq.read_table(tmp_path / "metrics.parquet"))[:-1]) == repr(rows(metrics.table))


def test_forget_drops_later_rows_of_that_arm_alone():
    metrics = filled()
    before = rows(metrics.table)
    metrics.drop_after("a", 5)
    assert rows(metrics.table) == [row for row in before if row[1] != "a" or row[6] <= 5]
    metrics.drop_after("a", -1)
    assert rows(metrics.table) == [row for row in before if row[1] != "a"]
    metrics.drop_after("nobody", -1)
    assert rows(metrics.table) == [row for row in before if row[1] != "a"]


def test_no_living_runs_add_no_rows():
    metrics = Metrics("probe", ["learning_rate"])
    metrics.add("a", np.array([], np.uint32), {"learning_rate": np.array([])}, 1, 1, "test", {"loss": np.array([])})
    assert metrics.table.num_rows == 0


def test_a_table_without_rows_is_written_and_read(tmp_path):
    Metrics("probe", ["learning_rate"]).write(tmp_path / "metrics.parquet")
    again = Metrics("probe", ["learning_rate"])
    again.read(tmp_path / "metrics.parquet")
    assert again.table.num_rows == 0


def refused(path) -> str:
    with pytest.raises(InputError) as caught:
        Metrics("probe", ["learning_rate", "delta"]).read(path)
    assert "metrics.parquet" in str(caught.value)
    return str(caught.value)


def test_another_table_is_refused(tmp_path):
    path = tmp_path / "metrics.parquet"
    assert "missing" in refused(path)
    for content in (b"", b"PAR1", b"no table at all" * 50):
        path.write_bytes(content)
        refused(path)
    filled().write(path)
    whole = path.read_bytes()
    for part in (10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:part])
        refused(path)
    table = filled().table
    for odd in (
        table.drop_columns(["delta"]),
        table.append_column("odd", table["value"]),
        table.rename_columns([*COLUMNS[:-1], "worth"]),
        table.set_column(9, "value", pa.array(["x"] * table.num_rows)),
        table.set_column(2, "seed", pa.array(["x"] * table.num_rows)),
    ):
        pq.write_table(odd, path)
        refused(path)


@pytest.mark.slow
def test_a_flipped_bit_anywhere_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "metrics.parquet"
    filled().write(path)
    whole, right = path.read_bytes(), repr(rows(filled().table))
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
        again = Metrics("probe", ["learning_rate", "delta"])
        try:
            again.read(path)
        except InputError:
            continue
        assert repr(rows(again.table)) == right, f"byte {index} of {len(whole)}"


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_refusing_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, fails):
    path = tmp_path / "folder" / "file"
    files.write_whole(path, b"old")

    def refuse(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, fails, refuse)
    with pytest.raises(OSError, match="No space"):
        files.write_whole(path, b"new" * 1000)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["file"]


def test_a_kill_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write_whole(path, b"old")
    seen = []

    def kill(number):
        seen.append(path.read_bytes())  # at the very moment: nothing of the new one is in its place
        raise SystemExit

    monkeypatch.setattr(os, "fsync", kill)
    with pytest.raises(SystemExit):
        files.write_whole(path, b"new")
    assert seen == [b"old"]
    assert path.read_bytes() == b"old"


def test_json_is_strict_and_nan_becomes_null(tmp_path):
    hyperparams = {"a": [1.5, float("nan"), (float("inf"), "x")], "b": None, "c": {"d": -float("inf")}}
    files.write_json(tmp_path / "a.json", hyperparams)
    text = (tmp_path / "a.json").read_text()

    def strict(word):
        raise AssertionError(word)

    assert json.loads(text, parse_constant=strict) == {"a": [1.5, None, [None, "x"]], "b": None, "c": {"d": None}}
    assert files.read_json(tmp_path / "a.json") == json.loads(text)


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"a": 1', b"\xff\xfe{}", b"{}}"])
def test_a_damaged_json_file_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json"):
        files.read_json(tmp_path / "a.json")


def test_the_environment_says_what_a_result_depends_on():
    import jax

    found = run_environment.describe(jax.devices(), {"name": "digits"})
    assert found["packages"]["jax"] == jax.__version__
    assert found["packages"]["numpy"] == np.__version__
    assert len(found["devices"]) == len(jax.devices())
    assert found["dataset"] == {"name": "digits"}
    assert found["command"][0] == "python"
    assert found["command"][1:] == sys.orig_argv[1:]
    assert json.loads(json.dumps(found)) == found
