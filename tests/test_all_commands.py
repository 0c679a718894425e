"""Every command on every kind of run: healthy, diverged, hardly begun, a stranger's. One line, never a traceback."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from rnnlab.cli import devices
from rnnlab.cli.main import main
from rnnlab.core import user_file
from rnnlab.core.errors import InputError
from rnnlab.storage import files

ROOT = Path(__file__).resolve().parent.parent
OWN = """
from pathlib import Path
from rnnlab.cells.rnn import rnn

Path(__file__).with_name("imported").touch()

def mine(hidden):
    return rnn(hidden)
"""
SMALL = ["--set", "hidden_size=4", "steps_per_epoch=2", "batch_size=2", "sequence_length=4"]
DIVERGES = [*SMALL, "optimizer=sgd", "learning_rate=1e38", "arms.rnn.options.activation=relu"]
RUNS = {
    "healthy": ["--cell", "own.py:mine", "--arms", "lstm,mine", *SMALL],
    "one diverged": ["--cell", "rnn", "--arms", "lstm,rnn", *DIVERGES, "learning_rate=1e18"],
    "all diverged": ["--cell", "rnn", "--arms", "rnn", *DIVERGES],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run of each kind."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "own.py").write_text(OWN)
    (folder / "poem.txt").write_text("a rose is a rose is a rose. " * 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "dont_write_bytecode", True)
        for name, arguments in RUNS.items():
            assert main(["run", "quickstart", "--quick", "--data", "text:poem.txt", "--out", name, *arguments]) == 0
    shutil.copytree(folder / "healthy", folder / "hardly begun")
    for name in ("checkpoints", "figures"):
        shutil.rmtree(folder / "hardly begun" / name)
    for name in ("metrics.parquet", "summary.json", "report.html"):
        (folder / "hardly begun" / name).unlink()
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    """A copy of the folder to work in, in which nothing was imported. The cell of its runs is in the original."""
    here = Path(shutil.copytree(folder, tmp_path / "here"))
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(user_file, "_loaded", {})
    (folder / "imported").unlink(missing_ok=True)
    return here


ANALYZE = ["analyze", "--examples", "2", "--what", "gates,state,lags,jacobian"]
NO_CHECKPOINT, NO_BEST, NO_RUN = "checkpoint: ", "no epoch had a finite validation loss", "config.json: missing"
BEGUN = {"hardly begun": NO_CHECKPOINT, "empty": NO_RUN}
RUNS_AND_BEGUN = (*RUNS, *BEGUN)
COMMANDS = [  # and the runs for which it has an answer of one line
    (["report", "--export", "csv"], {"hardly begun": "before the end of an epoch", "empty": NO_RUN}),
    (["report", "--out", "comparison"], {"hardly begun": "before the end of an epoch", "empty": NO_RUN}),
    (["sample", "--arm", "all", "--length", "3"], {**BEGUN, "all diverged": NO_BEST}),
    (["sample", "--arm", "all", "--length", "3", "--epoch", "last"], BEGUN),
    (ANALYZE, BEGUN),
    ([*ANALYZE, "--epoch", "best"], {**BEGUN, "all diverged": NO_BEST}),
    (["resume", "--epochs", "3"], {"empty": NO_RUN}),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    "run",
    ["one diverged",
     *(pytest.param(run, marks=pytest.mark.exhaustive) for run in RUNS_AND_BEGUN if run != "one diverged")],
)  # fmt: skip
@pytest.mark.parametrize(("command", "refused"), COMMANDS)
def test_every_command_answers_on_every_run(here, capsys, command, refused, run):
    trust = ["--trust"] if command[0] != "report" else []
    code = main([command[0], run, *command[1:], *trust])
    out, err = capsys.readouterr()
    if run in refused:
        last = err.splitlines()[-1]
        assert (code, out, last.startswith("error: "), refused[run] in last) == (2, "", True, True), err
    else:
        assert (code, bool(out)) == (0, True), err
        if command[0] in ("sample", "analyze") and run == "one diverged" and "last" not in command:
            assert f"left out: epoch: best of arm rnn, seed 0: {NO_BEST}" in err


@pytest.mark.slow
def test_a_report_and_samples_of_the_labs_cells_run_no_code_of_the_run(here, folder):
    assert main(["report", "healthy"]) == 0
    assert main(["sample", "healthy", "--arm", "lstm", "--length", "3"]) == 0
    assert not (folder / "imported").exists()


IMPORTING = [
    ["resume", "healthy"], ["analyze", "healthy"], ["analyze", "healthy", "--arm", "mine", "--what", "state"],
    ["sample", "healthy", "--arm", "mine"],
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("arguments", IMPORTING, ids=" ".join)
def test_a_cell_outside_the_folder_is_imported_if_trusted_only(here, folder, capsys, arguments):
    assert main(arguments) == 2
    path = folder / "own.py"
    error = f"error: cell: healthy/config.json names {path}, which is not below the current folder"
    err = capsys.readouterr().err
    assert (err.startswith(error), "--trust" in err, err.count("\n")) == (True, True, 1)
    assert not (folder / "imported").exists()


@pytest.mark.slow
@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("arguments", [*IMPORTING[:1], *IMPORTING[2:]], ids=" ".join)
def test_a_file_is_named_before_it_is_imported_and_an_altered_one_is_not(
    folder, here, monkeypatch, capsys, trust, arguments
):
    if not trust:
        monkeypatch.chdir(folder)  # where the file is below
    run = str(here / "healthy")
    command = [arguments[0], run, *arguments[2:], *["--trust"] * trust]
    assert main(command) == 0
    line = f"imports {folder / 'own.py'}, named by {run}/config.json\n"
    assert line in capsys.readouterr().err
    assert (folder / "imported").exists()
    (folder / "imported").unlink()
    try:
        (folder / "own.py").write_text(OWN + "# another\n")
        assert main(command) == 2
    finally:
        (folder / "own.py").write_text(OWN)
    assert "changed since the run started" in capsys.readouterr().err
    assert not (folder / "imported").exists()


@pytest.mark.slow
def test_an_env_file_that_records_no_cells_imports_nothing(here, folder, capsys):
    files.write_json(here / "healthy" / "env.json", {"dataset": {"cells": None}})
    assert main(["resume", "healthy", "--trust"]) == 2
    assert "env.json: not readable" in capsys.readouterr().err
    assert not (folder / "imported").exists()


def test_a_short_text_gets_a_shorter_window_if_quick(tmp_path, capsys, monkeypatch):
    from rnnlab.cli import run

    (tmp_path / "poem.txt").write_text("a rose is a rose is a rose. " * 20)  # 560 characters, 28 held out twice
    taken = []
    monkeypatch.setattr(run, "train", lambda config, *arguments, **options: taken.append(config.sequence_length))
    command = ["run", "quickstart", "--data", f"text:{tmp_path}/poem.txt", "--arms", "lstm", "--set", "batch_size=4"]
    main([*command, "--quick"])  # 5 steps of 4 windows in 503 characters: 25
    assert "sequence_length=25 instead of 32, since the text has 560 characters" in capsys.readouterr().err
    main([*command, "--quick", "--set", "sequence_length=7"])
    main(command)
    assert taken == [25, 7, 32]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("batch_size", "said"), [(64, "this needs 569"), (8, "one pass over the data; the text has 560 characters")]
)
def test_a_text_too_short_for_its_batches_says_how_long_it_has_to_be(tmp_path, capsys, batch_size, said):
    (tmp_path / "poem.txt").write_text("a rose is a rose is a rose. " * 20)
    command = ["run", "quickstart", "--data", f"text:{tmp_path}/poem.txt", "--arms", "lstm", "--set"]
    assert main([*command, f"batch_size={batch_size}", "sequence_length=8", "steps_per_epoch=10"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XLA_FLAGS", "--nope=1"),
        pytest.param("JAX_PLATFORMS", "cuda,nonsense", marks=pytest.mark.exhaustive),
        pytest.param("JAX_PLATFORMS", "nonsense", marks=pytest.mark.slow),
    ],
)
def test_a_device_that_is_not_there_is_one_line(name, value):
    command = [sys.executable, "-m", "experiments", "cells"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, name: value}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith(f"error: {name}: '{value}' ")


def test_flags_are_not_tried_twice(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_nope=2")
    for _ in range(2):
        with pytest.raises(InputError, match="--xla_nope=2"):
            devices.check_flags()
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: pytest.fail("tried again"))
    monkeypatch.setenv("XLA_FLAGS", "")
    devices.check_flags()


@pytest.mark.slow
def test_programs_are_kept_and_a_damaged_one_is_made_again(tmp_path):
    environment = {**os.environ, "RNNLAB_DATA": str(tmp_path / "data"), "JAX_ENABLE_COMPILATION_CACHE": "true"}
    command = [sys.executable, "-m", "experiments", "run", "quickstart", "--quick", "--arms", "lstm", "--out"]

    def metrics(out):
        done = subprocess.run([*command, tmp_path / out], env=environment, capture_output=True, text=True, check=True)
        assert "Error" not in done.stderr
        return pyarrow.parquet.read_table(tmp_path / out / "metrics.parquet")

    def programs():
        return {path: path.read_bytes() for path in (tmp_path / "data" / "compiled").glob("*/*-cache")}

    first, kept = metrics("first"), programs()
    assert kept
    assert metrics("second") == first
    assert programs() == kept
    for path, content in kept.items():
        path.write_bytes(content[: len(content) // 2])
    assert metrics("third") == first
