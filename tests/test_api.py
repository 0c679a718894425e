"""The front door: what ``rnnlab`` exports, and that a result is what the command line writes."""

import doctest
import importlib
import os
import signal
import struct
import subprocess
import sys

import jax
import jax.numpy as jnp
import matplotlib.figure
import numpy as np
import pytest

import rnnlab
from rnnlab.cli.main import main
from rnnlab.core.errors import InputError

SMALL = {"hidden_size": 4, "epochs": 2, "steps_per_epoch": 3, "progress": False}


def decaying(hidden_size, *, leak=0.5):
    """A cell of the user's."""

    def init(key, inputs):
        return {"w": jax.random.normal(key, (inputs, hidden_size))}

    def step(params, carry, x):
        h = leak * carry + jnp.tanh(x @ params["w"])
        return h, h

    return rnnlab.Cell(init, lambda params, batch: jnp.zeros((*batch, hidden_size)), step, hidden_size)


@pytest.fixture(scope="module")
def data():
    return rnnlab.load_dataset("digits")


@pytest.fixture(scope="module")
def result(data):
    return rnnlab.train(["gru", decaying], data, seeds=3, learning_rate=[1e-2, 1e-1], **SMALL)


@pytest.fixture(scope="module")
def stored(result, tmp_path_factory):
    directory = tmp_path_factory.mktemp("api") / "run"
    result.save(directory)
    return directory


def test_importing_it_is_quick_and_starts_nothing():
    code = "import sys, rnnlab; print(sorted({'jax', 'numpy', 'pyarrow', 'optax'} & set(sys.modules)), dir(rnnlab))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("[] ")
    assert all(name in shown for name in rnnlab.__all__)
    assert all(getattr(rnnlab, name) is not None for name in rnnlab.__all__)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["rnnlab.api.result", "rnnlab.api.settings",
     *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("rnnlab", "rnnlab.api.training"))],
)  # fmt: skip
def test_the_examples_of_the_docstrings_work(name):
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert found.attempted
    assert found.failed == 0


def test_tables_have_a_row_for_each_group(result):
    rows = result.summary().to_pylist()
    assert [(row["arm"], row["learning_rate"], row["runs"]) for row in rows] == [
        (arm, rate, 3) for arm in ("gru", "decaying") for rate in (0.01, 0.1)
    ]
    assert result.metrics["seed"].unique().to_pylist() == [0, 1, 2]
    assert "decaying" in repr(result)
    assert result._repr_html_().count("<tr>") == 5
    assert result.runs("gru").to_pydict() == {"seed": [0, 1, 2] * 2, "learning_rate": [0.01] * 3 + [0.1] * 3}


def test_a_comparison_is_the_paired_one_of_the_best_groups(result):
    found = result.compare("gru", "decaying", "test_accuracy")
    rows = {(row["arm"], row["learning_rate"]): row for row in result.summary().to_pylist()}
    means = [[rows[arm, rate]["test_accuracy_at_best_validation"] for rate in (0.01, 0.1)] for arm in result.arms]
    assert any(found.mean == pytest.approx(a - b) for a in means[0] for b in means[1])
    assert (found.n, found.low < found.mean < found.high) == (3, True)


def test_a_figure_has_training_and_validation(result):
    figure = result.plot("accuracy")
    assert isinstance(figure, matplotlib.figure.Figure)
    assert any("validation accuracy" in axes.get_title() for axes in figure.axes)


def test_predictions_are_those_of_the_model(result, data):
    inputs = data.test.inputs[:150]  # more than a batch of evaluation
    found = result.predict(inputs, "gru")
    assert found.shape == (6, 150, 10)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(result.predict(inputs, "gru", ensemble=True), found.mean(0), rtol=1e-6)
    params = jax.tree.map(lambda leaf: leaf[4], result.params("gru"))
    h = rnnlab.unroll(rnnlab.make_cell("gru", 4), params.cell, np.moveaxis(inputs * data.scale, 1, 0))[1][-1]
    np.testing.assert_allclose(found[4], jax.nn.softmax(h @ params.w + params.b), rtol=1e-4, atol=1e-6)


def test_a_stream_read_in_parts_is_the_whole(result, data):
    inputs = data.test.inputs[:5]
    whole = result.predict(inputs, "gru", epoch="last")
    _, carry = result.predict(inputs[:, :3], "gru", epoch="last", return_carry=True)
    np.testing.assert_allclose(result.predict(inputs[:, 3:], "gru", epoch="last", carry=carry), whole, rtol=1e-5)


def test_what_is_stored_is_the_same_result(result, stored, data, capsys):
    again = rnnlab.load_run(stored)
    assert again.metrics.equals(result.metrics)
    assert repr(again) == repr(result)
    for epoch in ("best", "last", "first"):
        pairs = zip(*(jax.tree.leaves(each.params("decaying", epoch)) for each in (result, again)), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)
    assert np.array_equal(again.predict(data.test.inputs, "gru"), result.predict(data.test.inputs, "gru"))
    assert main(["report", str(stored)]) == 0
    assert "decaying" in capsys.readouterr().out


def test_a_cell_of_another_session_is_asked_for(stored):
    code = f"import rnnlab; rnnlab.load_run({str(stored)!r}).params('decaying')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "rnnlab.load_run(DIR, cells={'decaying': the object})" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_directory_is_what_the_command_writes_and_continues(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = {"seeds": 2, **SMALL}
    whole = rnnlab.train("gru", data, **train)
    rnnlab.train("gru", data, directory="run", **{**train, "epochs": 1})
    longer = rnnlab.train("gru", data, directory="run", resume=True, **train)
    assert longer.metrics.equals(whole.metrics)
    with pytest.raises(InputError, match="trained with other hidden_size"):
        rnnlab.train("gru", data, directory="run", resume=True, **{**train, "hidden_size": 5})
    assert main(["resume", "run", "--epochs", "3"]) == 0
    assert rnnlab.load_run("run").metrics["epoch"].to_pylist()[-1] == 3


@pytest.mark.slow
def test_ctrl_c_gives_the_result_so_far(data):
    class Interrupts(rnnlab.ProgressMeter):
        def move(self, done, epoch, seconds_left, note):
            if epoch == 2:
                os.kill(os.getpid(), signal.SIGINT)

    found = rnnlab.train("rnn", data, **{**SMALL, "epochs": 5, "progress": Interrupts()})
    assert not found.complete
    assert max(found.metrics["epoch"].to_pylist()) < 5


def test_tensorboard_gets_a_folder_for_each_run_with_every_value(stored, result, tmp_path, capsys):
    from tensorboardX.proto.event_pb2 import Event

    def events(path):  # a record: length, its checksum, content, its checksum
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            yield Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]

    assert main(["report", str(stored), "--export", f"tensorboard:{tmp_path / 'events'}"]) == 0
    rows = [row for row in result.metrics.to_pylist() if (row["arm"], row["seed"]) == ("gru", 1)]
    wanted = {(row["step"], f"{row['split']}/{row['metric']}", np.float32(row["value"])) for row in rows
              if row["learning_rate"] == 1e-2}  # fmt: skip
    (path,) = (tmp_path / "events" / "gru" / "seed=1,learning_rate=0.01").iterdir()
    found = {(event.step, value.tag, np.float32(value.simple_value))
             for event in events(path) for value in event.summary.value}  # fmt: skip
    assert found == wanted
    assert main(["report", str(stored), "--export", f"tensorboard:{tmp_path / 'events'}"]) == 2
    assert "is not an empty directory" in capsys.readouterr().err


@pytest.mark.slow
def test_a_meter_of_ones_own_gets_every_metric_of_every_run(data):
    class Logger(rnnlab.ProgressMeter):
        def __init__(self):
            self.logged = []

        def record(self, arm, epoch, runs, metrics):
            for row, run in enumerate(runs):
                self.logged += [(arm, epoch, run["seed"], name, values[row]) for name, values in metrics.items()]

    logger = Logger()
    found = rnnlab.train("rnn", data, **{**SMALL, "epochs": 2, "progress": logger})
    rows = found.metrics.to_pylist()
    wanted = {("rnn", r["epoch"], r["seed"], f"{r['split']}/{r['metric']}", r["value"]) for r in rows if r["epoch"]}
    assert set(logger.logged) == wanted
    assert len(logger.logged) == len(wanted)


def test_cells_are_named_as_they_are_given(data):
    from rnnlab.api.settings import configuration

    one = decaying(3)
    config = configuration({"a": one, "b": rnnlab.cells.lstm, "c": "bidirectional(gru)"}, data, {})
    assert {name: (arm.cell, arm.hidden_size) for name, arm in config.arms.items()} == {
        "a": ("python:a", 3), "b": ("lstm", None), "c": ("bidirectional(gru)", None)
    }  # fmt: skip
    assert list(configuration([one, one, "lstm"], data, {}).arms) == ["cell", "cell-2", "lstm"]
    other = configuration({"a": decaying(3)}, data, {}).arms["a"].cell
    assert other == "python:a-2"  # what was trained with the first keeps it


def test_random_search_draws_all_ranges_together(data):
    from rnnlab.api.settings import configuration

    settings = {"learning_rate": "log:1e-4:1e-1", "dropout": "uniform:0:0.5", "draws": 4}
    config = configuration("lstm", data, settings)
    assert (config.sweep, len(config.learning_rate), len(config.dropout)) == ("paired", 4, 4)
    assert config.learning_rate == configuration("lstm", data, settings).learning_rate
    assert config.learning_rate != configuration("lstm", data, {**settings, "draw_seed": 1}).learning_rate


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda data, result: rnnlab.train("gruu", data), "did you mean 'gru'?"),
        (lambda data, result: rnnlab.train(3, data), "cells: 3 is not accepted"),
        (lambda data, result: rnnlab.train("gru"), "data: missing"),
        (lambda data, result: rnnlab.train("gru", "digit"), "did you mean 'digits'?"),
        (lambda data, result: rnnlab.train("gru", [1]), "data: list is not accepted"),
        (lambda data, result: rnnlab.train("gru", data, hiden_size=3), "did you mean 'hidden_size'?"),
        (lambda data, result: rnnlab.train("gru", data, seeds="a"), "seeds: 'a' is not accepted"),
        (lambda data, result: rnnlab.train("gru", data, epochs=1.5), "epochs: 1.5 is not accepted; accepted: a whole"),
        (lambda data, result: rnnlab.train("gru", data, learning_rate=-1), "learning_rate: -1 is out of range"),
        (lambda data, result: rnnlab.train("gru", data, draws=3), "draws: nothing is drawn"),
        (lambda data, result: rnnlab.train("gru", data, lr_schedule="cosine"), "lr_decay_epochs: none"),
        (lambda data, result: rnnlab.train("gru", data, lr_schedule="warmup_cosine"), "lr_warmup_epochs: none"),
        (lambda data, result: rnnlab.train("gru", data, lr_schedule="constant", lr_decay_epochs=2), "constant"),
        (lambda data, result: result.compare("gru", "gruu"), "arm: unknown value 'gruu'"),
        (lambda data, result: result.compare("gru", "gru", "test_acc"), "did you mean 'test_accuracy'?"),
        (lambda data, result: result.plot("perplexity"), "metric: unknown value"),
        (lambda data, result: result.params("gru", 7), "epoch: 7 of arm gru was not kept"),
        (lambda data, result: result.predict(data.test.inputs), "arm: missing; accepted: gru, decaying"),
        (lambda data, result: result.predict(np.zeros((3, 8)), "gru"), "accepted: numbers [N, T, 8]"),
        (lambda data, result: result.predict(np.full((1, 2, 8), np.nan), "gru"), "inputs: NaN or infinity"),
        (lambda data, result: result.predict(np.zeros((2, 3, 8)), "gru", lengths=np.array([4, 1])), "lengths: 1 to 4"),
    ],
)
def test_a_mistake_is_one_line(data, result, wrong, told):
    with pytest.raises(InputError) as caught:
        wrong(data, result)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
