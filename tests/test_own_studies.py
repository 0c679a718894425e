"""A study is a file of the user's own, run by its path; ``config`` shows what would be trained."""

import json

import pytest

from rnnlab.cli.main import main

STUDY = '''"""Two cells on digits."""
import rnnlab

CONFIG = rnnlab.Config(
    experiment="", arms={"gru": rnnlab.Arm("gru"), "rnn": rnnlab.Arm("rnn")}, data="digits", seeds=(0, 1, 2, 3),
    epochs=1, steps_per_epoch=2, hidden_size=3,
)
QUICK = {"hidden_size": 2}
PROTOCOLS = {"wide": {"hidden_size": 4}}


def smaller(found):
    return rnnlab.claims.fewer_parameters(found.arms, "rnn", "gru")


def claims(config):
    return [rnnlab.claims.Claim("small", "An RNN has fewer parameters.", "none", ["gru", "rnn"], smaller)]
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.py").write_text(STUDY)
    return tmp_path


def test_config_prints_every_field_and_trains_nothing(here, capsys):
    assert main(["config", "two.py", "--quick", "--seeds", "2", "--set", "protocol=wide", "lr_decay=0.5"]) == 0
    config = json.loads(capsys.readouterr().out)["config"]
    assert (config["experiment"], config["protocol"]) == (str(here / "two.py"), "wide")
    assert (config["seeds"], config["hidden_size"], config["lr_decay"]) == ([0, 1], 2, 0.5)
    assert [path.name for path in here.iterdir() if path.name != "__pycache__"] == ["two.py"]


@pytest.mark.slow
def test_its_claims_are_judged_and_elsewhere_its_file_is_not_imported(here, tmp_path_factory, monkeypatch, capsys):
    assert main(["run", "two.py", "--out", "run"]) == 0
    assert "small" in capsys.readouterr().out
    (claim,) = json.loads((here / "run" / "summary.json").read_text())["claims"]
    assert claim["outcome"] == "holds"
    assert main(["resume", "run", "--epochs", "2"]) == 0
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setattr("rnnlab.cli.studies._named", {})
    (here / "two.py").write_text("raise SystemExit('imported')")
    capsys.readouterr()
    assert main(["report", str(here / "run")]) == 0
    assert "small" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "experiment: no file"),
        ("x = 1", "no CONFIG; accepted: CONFIG = rnnlab.Config(...)"),
        ("CONFIG = 3", "CONFIG is of type int"),
        ("import nothing_of_the_kind", "cannot be imported: ModuleNotFoundError"),
        ("1 +", "cannot be imported: SyntaxError"),
    ],
)
def test_a_file_that_is_no_study_is_one_line(here, capsys, text, told):
    if text is None:
        (here / "two.py").unlink()
    else:
        (here / "two.py").write_text(text)
    assert main(["run", "two.py"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), told in err) == ("", 1, True), err
