"""The command line: what it takes, and the one line that it answers everything else with."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnnlab.cli import run, studies
from rnnlab.cli.main import main
from rnnlab.config.experiment import FORMAT
from rnnlab.runs import progress

ROOT = Path(__file__).resolve().parent.parent
SMALL = ["arms.lstm.cell=rnn", "hidden_size=4", "steps_per_epoch=4", "batch_size=16"]
RUN = ["run", "quickstart", "--quick", "--data", "digits", "--arms", "lstm", "--out", "out"]

CELLS = """
import jax.numpy as jnp
from rnnlab.cells.registry import rnn
from rnnlab.core.types import Cell

number = 3

def fine(hidden, *, rate: float = 0.1):
    return rnn(hidden)

def raises(hidden):
    raise RuntimeError("first line\\nsecond line")

def takes_nothing():
    return rnn(4)

def no_cell(hidden):
    return rnn

def grows(hidden):
    cell = rnn(hidden)
    def step(params, carry, x):
        carry, h = cell.step(params, carry, x)
        return carry._replace(h=jnp.concatenate([h, h], -1)), h
    return cell._replace(step=step)

def bad_init(hidden):
    return rnn(hidden)._replace(init=lambda key, inputs: {}["no such parameter"])

def another_width(hidden):
    return rnn(hidden)._replace(hidden_size=hidden + 1)

def takes_value(hidden, *, value: float = 0.1):
    return rnn(hidden)

def takes_runs(hidden, *, runs: float = 0.1):
    return rnn(hidden)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The folder in which the commands run, with what users have lying about; no network, nothing experiment."""
    (tmp_path / "cells.py").write_text(CELLS)
    (tmp_path / "exits.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "syntax.py").write_text("def f(:\n")
    (tmp_path / "fails.py").write_text("raise KeyError('one\\ntwo')\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "short.txt").write_text("short")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RNNLAB_DATA", str(tmp_path / "data"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the port of discard: refused at once
    return tmp_path


def tree(directory: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(directory)): p.read_bytes() if p.is_file() else None for p in directory.rglob("*")}


def began(*arguments):
    raise AssertionError("it was taken: the training began")


def refused(capsys, directory: Path, *arguments: str) -> str:
    """The one line with which ``arguments`` are answered, nothing having been touched."""
    capsys.readouterr()
    before = tree(directory)
    with pytest.MonkeyPatch.context() as patch:
        if arguments[:1] == ("run",):
            patch.setattr("rnnlab.runs.run._train", began)
        code = main(list(arguments))
    out, err = capsys.readouterr()
    err = "".join(line for line in err.splitlines(keepends=True) if not line.startswith("imports "))
    assert (code, out) == (2, ""), (code, out, err)
    assert err.startswith("error: "), err
    assert err.count("\n") == 1, err
    assert len(err) < 1000
    assert "Traceback" not in err
    assert tree(directory) == before
    return err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "COMMAND"), (["rnu"], "run"), (["run"], "NAME"), (["run", ""], "quickstart"), (["resume"], "DIR"),
        (["run", "quikstart"], "did you mean 'quickstart'"), (["run", "quickstart", "--nope"], "--nope"),
        (["report"], "DIR"), (["report", "nowhere"], "nowhere"), (["resume", "nowhere"], "nowhere"),
        (["resume", "full"], "config.json"), (["report", "full"], "config.json"), (["resume", "short.txt"], "short"),
        (["data", "nope"], "digits"), (["data", "--from", "full"], "data NAME"),
        (["data", "digits", "--from", "full"], "mnist"), (["data", "mnist", "--from", "nowhere"], "nowhere"),
        (["data", "mnist", "--from", "full"], "train-images-idx3-ubyte.gz"), (["data", "mnist"], "--from DIR"),
        (["cells", "--cell", "lstmm"], "'lstm'"), (["cells", "--cell", "cells.py:raises"], "first line"),
        (["cells", "--cell", "cells.py:bad_init"], "no such parameter"),
        (["cells", "--cell", "cells.py:fien"], "did you mean 'fine'"),
    ],
)  # fmt: skip
def test_a_wrong_command(here, capsys, arguments, said):
    assert said in refused(capsys, here, *arguments)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--arms", "x", "cerebral"), ("--arms", ",", "arms"), ("--arms", "", "arms"),
        ("--seeds", "0", "A:B"), ("--seeds", "-3", "A:B"), ("--seeds", "", "A:B"), ("--seeds", "x", "A:B"),
        ("--seeds", "5:2", "A:B"), ("--seeds", "5:5", "A:B"), ("--seeds", "1:2:3", "A:B"), ("--seeds", "1.5", "A:B"),
        ("--seeds", "4294967295:4294967297", "4294967295"), ("--seeds", "0:99999999999999999999", "A:B"),
        ("--epochs", "0", "epochs"), ("--epochs", "-1", "epochs"), ("--epochs", "two", "whole number"),
        ("--epochs", "", "whole number"), ("--epochs", "1e3", "whole number"),
        ("--data", "", "digits"), ("--data", "digit", "did you mean 'digits'"), ("--data", "mnist", "data mnist"),
        ("--data", "text:", "text:PATH"), ("--data", "text:nowhere.txt", "nowhere.txt"),
        ("--data", "text:empty.txt", "empty"), ("--data", "text:binary.txt", "UTF-8"), ("--data", "text:full", "full"),
        ("--data", "text:short.txt", "needs at least"),
        ("--data", "arrays:nowhere.npz", "arrays:FILE.npz"), ("--data", "series:short.txt", "not an .npz file"),
        ("--data", "fails.py:load", "KeyError"), ("--data", "cells.py:nope", "accepted: fine"),
        ("--data", "cells.py:no_cell", "no_cell fails: TypeError"),
        ("--cell", "gruu", "did you mean 'gru'"), ("--cell", "", "name"), ("--cell", ":", "name"),
        ("--cell", "lstm", "lstm"), ("--cell", "x:y", "cell"), ("--cell", "nowhere.py:f", "nowhere.py"),
        ("--cell", "cells.py:", "name"), ("--cell", "cells.py:fien", "did you mean 'fine'"),
        ("--cell", "cells.py:number", "fine"), ("--cell", "cells.py:raises", "first line"),
        ("--cell", "cells.py:takes_nothing", "takes_nothing"), ("--cell", "cells.py:no_cell", "Cell"),
        ("--cell", "cells.py:grows", "carry"), ("--cell", "cells.py:bad_init", "no such parameter"),
        ("--cell", "cells.py:another_width", "another_width"), ("--cell", "cells.py:Cell", "Cell"),
        ("--cell", "exits.py:f", "exits.py"), ("--cell", "syntax.py:f", "SyntaxError"),
        ("--cell", "fails.py:f", "KeyError"), ("--cell", "full:f", "cell"),
        ("--out", "full", "not empty"), ("--out", "short.txt", "--out"), ("--out", "short.txt/run", "short.txt"),
    ],
)  # fmt: skip
def test_a_wrong_option(here, capsys, option, value, said):
    arms = [] if option in ("--arms", "--cell") else ["--arms", "lstm"]
    out = [] if option == "--out" else ["--out", "out"]
    data = [] if option == "--data" else ["--data", "digits"]
    message = refused(capsys, here, "run", "quickstart", "--quick", *data, *arms, *out, option, value)
    assert said in message


@pytest.mark.parametrize(
    ("assignments", "said"),
    [
        ("foo", "path=value"), ("=3", "hidden_size"), ("hiden=3", "hidden_size"), ("hidden_size=0", "hidden_size"),
        ("hidden_size=x", "hidden_size"),
        ("hidden_size=100000000000000000000", "hidden_size"), ("experiment=x", "experiment"),
        ("arms.lstm=3", "arms.lstm"), ("arms=3", "arms"), ("arms.nope.hidden_size=3", "lstm"),
        ("arms.lstm.hidden_size=-1", "arms.lstm.hidden_size"), ("arms.lstm.layers=0", "layers"),
        ("arms.lstm.cell=", "cell"),
        ("arms.lstm.options.nope=1", "nope"), ("options=1", "options"), ("options.nope=1", "nope"),
        ("options.=1", "options"), ("options.a.b=1", "options"), ("options.activation=gelu", "gelu"),
        ("options.activation=", "activation"), ("options.activation=3", "activation"),
        ("options.forget_bias=nan", "forget_bias"), ("options.forget_bias=inf", "forget_bias"),
        ("options.forget_bias=x", "forget_bias"), ("options.forget_bias=true", "forget_bias"),
        ("options.forget_bias=,", "forget_bias"), ("options.forget_bias=", "forget_bias"),
        ("options.forget_bias=1,1", "forget_bias"), ("options.w_init=x", "w_init"),
        ("learning_rate=-1", "learning_rate"), ("learning_rate=0", "learning_rate"),
        ("learning_rate=", "learning_rate"),
        ("learning_rate=nan", "learning_rate"), ("learning_rate=inf", "learning_rate"),
        ("learning_rate=1,1", "learning_rate"), ("clip_norm=-1", "clip_norm"), ("seeds=1,1", "seeds"),
        ("batch_size=5000", "1259"), ("batch_size=0", "batch_size"), ("steps_per_epoch=5000", "steps_per_epoch"),
        ("checkpoint_interval_s=0", "checkpoint_interval_s"), ("sequence_length=0", "sequence_length"),
        ("data=", "data"), ("data=nope", "data"),
        ("optimizer=", "optimizer"), ("optimizer=sdg", "did you mean 'sgd'"),
        ("optimizer_options.momentum=0.9", "momentum"), ("optimizer_options.noise_std=-1", "noise_std"),
        ("optimizer_options.noise_std=nan", "noise_std"), ("optimizer_options.noise_std=,", "noise_std"),
        ("optimizer_options.b1=1", "b1"),
        ("optimizer_options.b2=-0.1", "b2"), ("optimizer_options.b1=0.9,2", "b1"),
        ("optimizer=sgd optimizer_options.momentum=1.5", "momentum"),
        ("optimizer=sgd optimizer_options.momentum=-1", "momentum"),
        ("optimizer=sgd optimizer_options.nesterov=1", "nesterov"),
        ("optimizer=rmsprop optimizer_options.decay=2", "decay"),
        ("optimizer=adagrad optimizer_options.initial_accumulator=-1", "initial_accumulator"),
        ("arms.lstm.cell=biological_lstm options.noise=-1", "noise"),
        ("arms.lstm.cell=biological_lstm options.delta=nan", "delta"),
        ("arms.lstm.cell=biological_lstm options.noise=0.1,-1", "noise"),
        ("arms.lstm.cell=cerebral_lstm options.paths=both", "independent"),
        ("arms.lstm.options.gate=x options.gate=logistic", "gate"),
    ],
)  # fmt: skip
def test_a_wrong_assignment(here, capsys, assignments, said):
    assert said in refused(capsys, here, *RUN, "--set", *assignments.split(" "))


def test_a_wrong_shared_option_is_refused_though_every_arm_has_its_own(here, capsys):
    arguments = ["run", "mnist_slim", "--quick", "--out", "out", "--set", "options.activation=gelu"]
    assert "activation" in refused(capsys, here, *arguments)


@pytest.mark.parametrize("name", ["value", "runs"])
def test_a_cells_number_cannot_take_the_name_of_a_column(here, capsys, name):
    arm = f"takes_{name}"
    arguments = ["run", "quickstart", "--quick", "--data", "digits", "--out", "out", "--cell", f"cells.py:{arm}",
                 "--arms", arm, "--set", f"arms.{arm}.options.{name}=1,2", *SMALL[1:]]  # fmt: skip
    assert name in refused(capsys, here, *arguments)


def test_no_network_is_known_within_ten_seconds(here, capsys):
    began = time.monotonic()
    assert "cannot be downloaded" in refused(capsys, here, "run", "mnist_slim", "--quick", "--data", "mnist")
    assert time.monotonic() - began < 10


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder that nobody can write to")
def test_a_folder_that_cannot_be_made(here, capsys):
    arguments = [*RUN[:-1], "/proc/run/here", "--set", *SMALL]
    assert "/proc" in refused(capsys, here, *arguments)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """``finished`` and ``stopped``: a run of two epochs, and the same one stopped after two steps; by the commands."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "own.py").write_text(CELLS)
    arguments = ["run", "quickstart", "--quick", "--data", "digits", "--cell", f"{folder}/own.py:fine", "--arms",
                 "fine", "--set", *SMALL[1:]]  # fmt: skip

    def interrupt(self, done, epoch, seconds_left, note):
        signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.chdir(folder)
        assert main([*arguments, "--out", "finished"]) == 0  # a relative path
        patch.setattr(progress.TerminalProgressMeter, "move", interrupt)
        assert main([*arguments, "--out", "stopped"]) == 130
    return folder


@pytest.fixture
def mine(runs, here):
    """A copy of ``runs`` to damage. Its cell's file stays where it was."""
    return Path(shutil.copytree(runs, here / "mine"))


def test_a_run_leaves_what_it_says(runs):
    names = {path.name for path in (runs / "finished").iterdir()}
    assert names == {"config.json", "env.json", "metrics.parquet", "checkpoints", "summary.json", "report.html",
                     "figures"}  # fmt: skip
    assert [path.name for path in (runs / "finished" / "checkpoints" / "fine").iterdir()] == ["step_00000008"]
    assert {path.name for path in runs.iterdir()} == {"own.py", "finished", "stopped"}


def test_a_stopped_run_goes_on_to_the_same_numbers(mine, capsys):
    assert main(["resume", str(mine / "stopped"), "--trust"]) == 0
    finished, stopped = ((mine / name / "metrics.parquet").read_bytes() for name in ("finished", "stopped"))
    assert finished == stopped


def test_a_directory_that_holds_a_run(mine, capsys):
    message = refused(capsys, mine, *RUN[:-1], str(mine / "finished"), "--set", *SMALL)
    assert f"python -m experiments resume {mine / 'finished'}" in message
    assert "another directory" in message


@pytest.mark.parametrize("spelling", [".", "", "./", "../empty"])
def test_the_directory_may_be_the_empty_one_one_is_in(here, monkeypatch, capsys, spelling):
    (here / "empty").mkdir()
    monkeypatch.chdir(here / "empty")
    monkeypatch.setattr("rnnlab.runs.run._train", lambda *arguments: False)  # from here on all is as ever
    main([*RUN[:-1], spelling, "--set", *SMALL])
    assert "Traceback" not in capsys.readouterr().err
    assert (here / "empty" / "config.json").exists()


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "binary": lambda content: b"\xff\x00" * 30,
    "other": lambda content: b'{"format": 9, "config": {}, "hash": ""}',
    "format": lambda content: content.replace(b'"format": %d' % FORMAT, b'"format": %d' % (FORMAT + 1)),
    "field": lambda content: content.replace(b'"embedding_size"', b'"bedding_size"'),
    "value": lambda content: content.replace(b'"batch_size": 16', b'"batch_size": 17'),
    "study": lambda content: content.replace(b'"quickstart"', b'"slowstart"'),
    "data": lambda content: content.replace(b'"digits"', b'"digots"'),
}


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(("config.json", damage) for damage in ("missing", *DAMAGES)),
        *(("env.json", damage) for damage in ("missing", "empty", "half", "binary", "other", "data")),
        *(("metrics.parquet", damage) for damage in ("missing", "empty", "half", "binary", "other")),
        ("checkpoint", "missing"), ("checkpoint", "half"), ("checkpoint", "metadata"),
    ],
)  # fmt: skip
def test_a_damaged_run_is_not_resumed(mine, capsys, name, damage):
    directory = mine / "stopped"
    if name == "checkpoint":
        (step,) = (directory / "checkpoints" / "fine").iterdir()
        if damage == "missing":
            shutil.rmtree(step / "state")
        elif damage == "half":
            for path in step.rglob("*"):
                if path.is_file():
                    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        else:
            (step / "_CHECKPOINT_METADATA").unlink()
    elif damage == "missing":
        (directory / name).unlink()
    else:
        content = (directory / name).read_bytes()
        (directory / name).write_bytes(DAMAGES[damage](content))
        assert (directory / name).read_bytes() != content
    message = refused(capsys, mine, "resume", str(directory), "--trust")
    assert name in message or "experiment: unknown value 'slowstart'" in message


@pytest.mark.parametrize("damage", ["missing", "half", "metadata"])
def test_a_damaged_checkpoint_of_a_finished_run_is_named(mine, capsys, damage):
    (step,) = (mine / "finished" / "checkpoints" / "fine").iterdir()
    if damage == "missing":
        shutil.rmtree(step / "state")
    elif damage == "metadata":
        (step / "_CHECKPOINT_METADATA").unlink()
    else:
        largest = max((p for p in step.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    assert "checkpoint" in refused(capsys, mine, "resume", str(mine / "finished"), "--trust")


@pytest.mark.slow
def test_a_checkpoint_of_another_run_is_refused(mine, capsys):
    arguments = ["run", "quickstart", "--quick", "--data", "digits", "--cell", f"{mine}/own.py:fine", "--arms",
                 "fine", "--out", str(mine / "third"), "--set", *SMALL[1:], "learning_rate=0.5"]  # fmt: skip
    assert main(arguments) == 0
    shutil.rmtree(mine / "stopped" / "checkpoints")
    shutil.copytree(mine / "third" / "checkpoints", mine / "stopped" / "checkpoints")
    assert "checkpoint" in refused(capsys, mine, "resume", str(mine / "stopped"), "--trust")


@pytest.mark.parametrize("edit", [lambda text: text + "\n# a comment", lambda text: None])
def test_a_cell_that_was_edited_or_is_gone(runs, mine, capsys, edit):
    own = runs / "own.py"
    text = own.read_text()
    try:
        own.unlink() if edit(text) is None else own.write_text(edit(text))
        message = refused(capsys, mine, "resume", str(mine / "stopped"), "--trust")
    finally:
        own.write_text(text)
    assert "cell" in message


@pytest.mark.slow
def test_a_text_that_was_edited_or_is_gone(here, capsys, monkeypatch):
    text = here / "poem.txt"
    text.write_text("a rose is a rose is a rose. " * 60)
    arguments = ["run", "quickstart", "--quick", "--data", "text:poem.txt", "--arms", "lstm", "--out", "poem", "--set"]

    def interrupt(self, done, epoch, seconds_left, note):
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(progress.TerminalProgressMeter, "begin", lambda *arguments: signal.raise_signal(signal.SIGINT))
        assert main([*arguments, "sequence_length=8", "batch_size=4", *SMALL[:3]]) == 130
    text.write_text("a rose is a nose is a rose. " * 60)
    assert "data" in refused(capsys, here, "resume", "poem")
    text.unlink()
    assert "poem.txt" in refused(capsys, here, "resume", "poem")


@pytest.mark.slow
@pytest.mark.parametrize(
    "assignment", ["data=text:poem.txt", pytest.param("arms.lstm.cell=cells.py:fine", marks=pytest.mark.exhaustive)]
)
def test_a_run_may_be_resumed_from_another_folder(here, capsys, monkeypatch, assignment):
    (here / "poem.txt").write_text("a rose is a rose is a rose. " * 60)
    with monkeypatch.context() as patch:
        patch.setattr(progress.TerminalProgressMeter, "begin", lambda *arguments: signal.raise_signal(signal.SIGINT))
        small = ["sequence_length=8", "batch_size=4", *SMALL[1:3], assignment]
        assert main(["run", "quickstart", "--quick", "--arms", "lstm", "--out", "run", "--set", *small]) == 130
        monkeypatch.chdir("full")
        capsys.readouterr()
        assert main(["resume", str(here / "run"), "--trust"]) == 130, capsys.readouterr().err


def test_a_study_may_be_run_with_a_cell_of_ones_own_alone(here, capsys, monkeypatch):
    # its shared options are those of its own cells
    monkeypatch.setattr("rnnlab.runs.run._train", lambda *arguments: False)
    arguments = ["run", "mnist_slim", "--quick", "--cell", "cells.py:fine", "--arms", "fine", "--out", "out"]
    assert main(arguments) == 130, capsys.readouterr().err


def shell(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "experiments", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, **options)


def test_the_list_is_quick_and_whole():
    began = time.monotonic()
    done = shell("list")
    assert time.monotonic() - began < 2
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == studies.names()


def test_a_mistake_is_told_as_quickly():
    began = time.monotonic()
    done = shell("run", "nope")
    assert time.monotonic() - began < 2
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")


COMMANDS = [
    "list", "cells", "data", "run", "config", "resume", "merge", "report", "publish", "reproduce", "sample", "export",
    "analyze", "bench",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_every_command_and_option_is_for(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert len(out.split("\n\n")[1]) > 20  # the description
    wanted = {"run": "NAME --seeds --arms --epochs --data --cell --out --quick --set --part",
              "cells": "--cell --markdown",
              "data": "NAME --from", "resume": "DIR", "report": "DIR --out --export --plan --published", "list": "-h,",
              "config": "NAME --set", "publish": "DIR --name", "merge": "DIR --out --partial --trust",
              "reproduce": "NAME --out --quick-check",
              "export": "DIR --arm --seed --epoch --format --steps --lengths --out --trust",
              "analyze": "DIR --arm --seed --epoch --examples --what --set --out --trust",
              "bench": "--work --runs --peers --rounds --cells --sizes --scale --inference --bfloat16 --json --out",
              "sample": "DIR --arm --seed --prompt --length --temperature --top-k --epoch --key --set"}  # fmt: skip
    explained = out[out.index("\n\n") :]
    for option in wanted[command].split():
        assert f"\n  {option} " in explained


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert re.findall("^    ([a-z]+)", out, re.MULTILINE) == COMMANDS


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_an_output_that_cannot_be_written_is_no_traceback(runs):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "experiments", "report", str(runs / "finished")]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_reader_who_leaves_is_no_error(runs):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "experiments", "report", str(runs / "finished")]
    done = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "?"), ("latin-1", "±")])
def test_a_character_that_the_terminal_lacks_is_replaced(runs, monkeypatch, encoding, shown):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
    assert main(["report", str(runs / "finished")]) == 0
    assert f"mean {shown} half-width" in sys.stdout.buffer.getvalue().decode(encoding)
    assert "±" in (runs / "finished" / "report.html").read_text(encoding="utf-8")


def test_two_runs_begun_in_the_same_second_get_two_directories(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run.time, "strftime", lambda form: "now")
    names = [run.new_directory("probe").name for _ in range(3)]
    assert names == ["now", "now_2", "now_3"]


def test_resume_with_fewer_epochs_is_refused(mine, capsys):
    directory = mine / "finished"
    before = tree(directory)
    assert main(["resume", str(directory), "--epochs", "1"]) == 2
    assert "--epochs: 1 is less than" in capsys.readouterr().err
    assert tree(directory) == before
