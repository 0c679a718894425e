"""A pilot's plan: the seeds of the statistics, and hours that are seconds per step times the steps to be made."""

import math

import numpy as np
import pytest

from rnnlab import stats
from rnnlab.claims import Claim, all_of, epochs_to, higher, in_most, last, lower
from rnnlab.claims.plan import plan, text
from rnnlab.cli.main import main
from rnnlab.config.experiment import Arm, Config
from tests.helpers.groups import group

END = last("train", "loss")
PLANNED = Config(experiment="x", arms={"a": Arm("rnn"), "b": Arm("lstm")}, data="digits", protocol="own", epochs=50)
RANDOM = np.random.RandomState(3)
GROUPS = [group(name, RANDOM.normal(size=(4, 2))) for name in ("a", "b")]
SUMMARY = {"arms": {"a": {"seconds": 8.0}, "b": {"seconds": 16.0}}}


def planned(rule, **fields):
    claim = Claim("X", "A sentence.", "", fields.pop("arms", ["a", "b"]), rule, **fields)
    return plan([claim], GROUPS, PLANNED, SUMMARY, {"a": 30, "b": 30})


def test_seeds_are_those_of_a_one_sided_paired_test_and_hours_follow():
    (row,) = planned(lambda found: higher(found.group("a"), found.group("b"), END))
    a, b = (END(each) for each in GROUPS)
    assert row.outlook == ("holds" if np.mean(a - b) > 0 else "fails")
    # twice the level: one side of a two-sided test
    expected = stats.seeds_needed(np.mean(a - b), np.std(a - b, ddof=1), 0.8, 0.9)
    assert row.seeds == pytest.approx(max(4, expected), rel=0.02)
    per_step = (8.0 + 16.0) / (4 * int(GROUPS[0].steps[-1]))
    assert row.hours == pytest.approx(row.seeds * 50 * 30 * per_step / 3600)
    assert row.epochs == 50
    (longer,) = planned(lambda found: higher(found.group("a"), found.group("b"), END), epochs=75, seeds=10_000)
    assert (longer.epochs, longer.seeds) == (75, max(10_000, row.seeds))


def test_what_the_pilot_cannot_say_is_said():
    (row,) = planned(lambda found: lower(found.group("a", learning_rate=7.0), found.group("b"), END))
    assert row.effect == "no runs of a with learning_rate 7"
    assert math.isnan(row.seeds)
    (row,) = planned(lambda found: higher(found.group("a"), found.group("b"), last("test", "nothing")))
    assert (row.outlook, row.effect) == ("", "not measured")
    (row,) = planned(lambda found: all_of(*(f(found.group("a"), found.group("a"), END) for f in (higher, lower))))
    assert (row.seeds, row.outlook) == (math.inf, "undecided")
    assert "no feasible number" in text([row])
    never = epochs_to("train", "loss", last("train", "loss").mean(group("a", np.full((4, 2), np.nan))))
    (row,) = planned(lambda found: in_most(found.group("b"), never, above=1))
    assert (row.outlook, row.effect) == ("", "not measured")
    assert planned(None, arms=["a", "c"]) == planned(None, protocols=["other"]) == []


@pytest.mark.slow
def test_the_command_plans_a_study(tmp_path, capsys):
    run = str(tmp_path / "run")
    assert main(["run", "algorithmic", "--quick", "--arms", "grid,lstm-stacked", "--out", run]) == 0
    capsys.readouterr()
    assert main(["report", run, "--plan"]) == 0
    out = capsys.readouterr().out
    assert "seeds for 80 % power" in " ".join(out.split())
    assert main(["report", run, "--plan", "--export", "csv"]) == 2
    assert capsys.readouterr().err.startswith("error: --plan: writes no file")
