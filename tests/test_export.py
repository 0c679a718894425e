"""Exported runs: the arrays that the run has, and a program that predicts as the run does, without rnnlab."""

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

import rnnlab
from rnnlab.cli.main import main

ALONE = """
import sys
sys.modules["rnnlab"] = None  # cannot be imported
import jax, numpy as np
program = jax.export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
given = np.load(sys.argv[2])
np.save(sys.argv[3], program.call(*(given[name] for name in given.files)))
"""
CELLS = {
    "lstm": "lstm", "both": "bidirectional(gru)",
    "cerebral": "cerebral(lstm)", "linear": "min_gru",
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two seeds of a regression over sequences of several lengths, whose inputs and targets are standardized."""
    draw = np.random.default_rng(0)
    inputs, lengths = draw.normal(3, 2, (60, 5, 2)).astype(np.float32), draw.integers(2, 6, 60)
    dataset = rnnlab.Dataset.from_arrays(inputs, 10 + inputs.sum((1, 2)), lengths)
    folder = tmp_path_factory.mktemp("trained") / "run"
    result = rnnlab.train(
        CELLS, dataset, hidden_size=4, seeds=2, epochs=1, learning_rate=[1e-2, 1e-3], progress=False, directory=folder
    )
    return folder, result, inputs[:7], lengths[:7]


def export(folder, *words):
    return main(["export", str(folder), *map(str, words)])


@pytest.mark.slow
@pytest.mark.parametrize(("arm", "lengths"), [("lstm", False), *((arm, True) for arm in CELLS)])
def test_the_program_predicts_as_the_run_without_the_lab(trained, tmp_path, arm, lengths):
    folder, result, inputs, given = trained
    out = tmp_path / "program.jax"
    words = ["--arm", arm, "--seed", 1, "--set", "learning_rate=1e-2", "--format", "stablehlo", "--steps", 5]
    assert export(folder, *words, "--out", out, *["--lengths"] * lengths) == 0
    np.savez(tmp_path / "given.npz", inputs=inputs, **{"lengths": given.astype(np.int32)} if lengths else {})
    command = [sys.executable, "-c", ALONE, out, tmp_path / "given.npz", tmp_path / "found.npy"]
    subprocess.run(command, cwd=tmp_path, check=True)
    wanted = result.predict(inputs, arm=arm, lengths=given if lengths else None)
    runs = enumerate(result.runs(arm).to_pylist())
    (row,) = [n for n, run in runs if (run["seed"], round(run["learning_rate"], 6)) == (1, 1e-2)]
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), wanted[row], rtol=1e-5, atol=1e-5)


def test_the_arrays_are_those_of_the_best_run(trained, capsys):
    folder, result, _, _ = trained
    assert export(folder, "--arm", "lstm", "--seed", "best") == 0
    path = capsys.readouterr().out.partition(":")[0]
    stored = load_file(path)
    assert set(stored) == {"cell.w", "cell.u", "cell.b", "w", "b"}
    last = [row for row in result.metrics.to_pylist() if row["arm"] == "lstm" and row["epoch"] == 1]
    losses = {(row["seed"], row["learning_rate"]): row["value"] for row in last
              if (row["split"], row["metric"]) == ("validation", "loss")}  # fmt: skip
    runs = [(run["seed"], run["learning_rate"]) for run in result.runs("lstm").to_pylist()]
    best = runs.index(min(losses, key=losses.__getitem__))
    np.testing.assert_array_equal(stored["cell.u"], result.params("lstm").cell.u[best])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--arm", "gru"], "unknown value 'gru'"), (["--arm", "all"], "--arm: all"), ([], "--arm: the run has several"),
        (["--arm", "lstm", "--seed", "7"], "seed: 7"), (["--arm", "lstm"], "learning_rate: arm lstm was run"),
        (["--arm", "lstm", "--steps", "3"], "--format stablehlo"), (["--arm", "lstm", "--format", "onnx"], "'onnx'"),
        (["--arm", "lstm", "--seed", "best", "--out", "."], "is a directory"),
        (["--arm", "lstm", "--seed", "best", "--format", "stablehlo", "--steps", "0"], "'0'"),
        (["--arm", "lstm", "--seed", "best", "--format", "stablehlo"], "data"),  # arrays given in Python: unknown steps
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_one_line(trained, capsys, words, said):
    assert export(trained[0], *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
