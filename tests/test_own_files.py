"""The files behind own cells: what a cell's file imports is found and tracked; a moved file is taken if unchanged."""

import shutil
import sys

import jax
import numpy as np
import pytest

from rnnlab.cells import make_cell
from rnnlab.cells.user_file import imported_hashes
from rnnlab.cli.main import main
from rnnlab.core import user_file
from rnnlab.runs.saved_run import load_run

CELL = """
import helper
from kit import WIDTH

from rnnlab.core.types import Cell
from rnnlab.cells.rnn import rnn

def mine(hidden):
    cell = rnn(hidden)

    def step(params, carry, x):
        from kit.inner import sign  # imported when the step is traced
        carry, h = cell.step(params, carry, x)
        return carry, helper.SCALE * sign() * h

    assert WIDTH == 2
    return cell._replace(step=step)
"""
FILES = {
    "cells/own.py": CELL,
    "cells/helper.py": "SCALE = 1.0\n",
    "cells/kit/__init__.py": "WIDTH = 2\n",
    "cells/kit/inner.py": "from .deeper import SIGN\n\ndef sign():\n    return SIGN\n",
    "cells/kit/deeper.py": "SIGN = 1.0\n",
    "poem.txt": "a rose is a rose is a rose. " * 20,
    "elsewhere/helper.py": "raise ImportError('of the current folder, not of the cell')\n",
}
IMPORTED = ["helper.py", "kit/__init__.py", "kit/deeper.py", "kit/inner.py"]
RUN = [
    "run", "quickstart", "--quick", "--data", "text:../poem.txt", "--cell", "../cells/own.py:mine", "--arms",
    "lstm,mine", "--seeds", "1", "--epochs", "1", "--out", "../run", "--set", "hidden_size=3", "steps_per_epoch=2",
    "batch_size=2", "sequence_length=4",
]  # fmt: skip


def made(folder, monkeypatch):
    """The files in ``folder``, and a run of them by a command in another folder below it."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr("rnnlab.cli.devices.check_flags", lambda: None)  # they are tried in another process
    monkeypatch.chdir(folder / "elsewhere")
    code = main(RUN)
    monkeypatch.chdir(folder)
    return code


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """The folder, which is the current one, of a run of which no step was trained."""
    with monkeypatch.context() as patch:
        patch.setattr("rnnlab.runs.run._train", lambda *arguments: False)
        assert made(tmp_path, monkeypatch) == 130
    monkeypatch.setattr(user_file, "_loaded", {})
    return tmp_path


def said(capsys, *arguments):
    """The one line with which ``arguments`` are refused."""
    capsys.readouterr()
    code = main(list(arguments))
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n"), err[:7]) == (2, "", 1, "error: "), (code, out, err)
    return err


COMMANDS = [["resume", "run"], ["analyze", "run", "--arm", "mine"], ["sample", "run", "--arm", "mine"]]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_run_whose_cells_imports_were_edited_is_refused_and_none_of_them_runs(begun, capsys, arguments):
    for name in ("own.py", *IMPORTED):
        path = begun / "cells" / name
        text = path.read_text()
        path.write_text("raise SystemExit\n" + text)
        assert f"cell: {path} changed since the run started" in said(capsys, *arguments)
        path.unlink()
        assert f"cell: no file {path}; accepted: " in said(capsys, *arguments)
        path.write_text(text)


def output(cell):
    """The first output of a cell, which its scale and sign multiply."""
    params = cell.init(jax.random.key(0), 2)
    return np.asarray(cell.step(params, cell.initial_carry(params, (1,)), np.ones((1, 2), np.float32))[1])


def test_neighbors_of_one_name_in_different_folders_do_not_mix_and_an_edited_one_is_read_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "first"))  # where "import helper" would find it first
    for folder in ("first", "second"):
        for name, text in FILES.items():
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).write_text(text)
    (tmp_path / "second" / "cells" / "helper.py").write_text("SCALE = 3.0\n")
    (tmp_path / "second" / "cells" / "kit" / "deeper.py").write_text("SIGN = -1.0\n")
    names = [f"{tmp_path}/{folder}/cells/own.py:mine" for folder in ("first", "second")]
    first, second = [make_cell(name, 3) for name in names]  # both before the first of them is used
    one = output(first)
    np.testing.assert_allclose(output(second), -3 * one)
    np.testing.assert_allclose(output(first), one)
    for name in names:
        assert list(imported_hashes(name)) == IMPORTED
    assert not {"helper", "kit", "kit.inner"} & set(sys.modules)
    (tmp_path / "first" / "cells" / "helper.py").write_text("SCALE = 5.0\n")
    np.testing.assert_allclose(output(make_cell(names[0], 3)), 5 * one)


def moved(folder):
    """Move the cell's folder and the text; what the commands are told of it."""
    (folder / "new").mkdir()
    (folder / "cells").rename(folder / "new" / "cells")
    (folder / "poem.txt").rename(folder / "new" / "text.txt")
    return [f"--cell-file={folder}/cells/own.py=new/cells/own.py", "--cell-file=poem.txt=new/text.txt"]


WRONG = [  # what the commands are told of moved files -> what they answer
    ([], "cell: no file {0}/cells/own.py; accepted: if it was moved, --cell-file {0}/cells/own.py=NEW"),
    (["own.py=new/text.txt"], "cell: {0}/new/text.txt changed since the run started"),
    (["own.py=new/alone.py"], "cell: no file {0}/new/helper.py; accepted: the file that alone.py imported then"),
    (["mine.py=new/cells/own.py"], "unknown value 'mine.py'; accepted: {0}/cells/own.py, {0}/poem.txt"),
    (["own.py=new/cells/nowhere.py"], "--cell-file: no file 'new/cells/nowhere.py'; accepted: OLD=NEW"),
    (["own.py"], "--cell-file: no file ''; accepted: OLD=NEW"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_file_that_is_not_the_moved_one_is_refused(begun, capsys, arguments):
    moved(begun)
    shutil.copy(begun / "new" / "cells" / "own.py", begun / "new" / "alone.py")  # without its neighbors
    for assignments, answer in WRONG:
        options = [f"--cell-file={assignment}" for assignment in assignments]
        assert answer.format(begun) in said(capsys, *arguments, *options), assignments


def test_a_moved_text_is_asked_for_and_another_one_refused(begun, capsys):
    (begun / "poem.txt").rename(begun / "other.txt")
    asked = f"data: no file {begun}/poem.txt; accepted: if it was moved, --cell-file {begun}/poem.txt=NEW"
    assert asked in said(capsys, "resume", "run")
    (begun / "other.txt").write_text("a rose is a nose is a rose. " * 20)
    capsys.readouterr()
    assert main(["resume", "run", "--cell-file", "poem.txt=other.txt"]) == 2
    assert "the data or a cell's file changed since the run started" in capsys.readouterr().err


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """The folder, which is the current one, of a run of one epoch."""
    assert made(tmp_path, monkeypatch) == 0
    monkeypatch.setattr(user_file, "_loaded", {})
    return tmp_path


@pytest.mark.slow
def test_a_run_whose_files_were_moved_goes_on_with_the_new_paths(trained, capsys):
    now = moved(trained)
    config = (trained / "run" / "config.json").read_bytes()
    assert load_run("run", [option.partition("=")[2] for option in now]).cell("mine").hidden_size == 3
    assert main(["sample", "run", "--arm", "all", "--length", "3", *now]) == 0
    assert main(["analyze", "run", "--examples", "2", "--what", "state", *now]) == 0
    assert main(["resume", "run", *now]) == 0
    assert (trained / "run" / "config.json").read_bytes() == config  # a finished run stays as it was
    assert main(["resume", "run", "--epochs", "2", *now]) == 0
    capsys.readouterr()
    assert main(["resume", "run", *now[:1]]) == 2  # the text's new path is not remembered
    assert "poem.txt" in capsys.readouterr().err


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_arm_that_needs_no_file_is_analyzed_and_sampled_although_anothers_file_is_gone(trained, capsys):
    (trained / "cells" / "helper.py").unlink()
    sample, analyze = ["sample", "run", "--length", "3"], ["analyze", "run", "--examples", "2", "--what", "state"]
    for command in (sample, analyze):
        for arm in ("lstm", "all"):
            capsys.readouterr()
            assert main([*command, "--arm", arm]) == 0
            err = capsys.readouterr().err
            note = f"left out: cell: no file {trained}/cells/helper.py; accepted: the file that own.py imported then"
            assert (note in err) == (arm == "all")
        assert "no file" in said(capsys, *command, "--arm", "mine")
