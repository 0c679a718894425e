"""The success threshold: runs that reach it are counted from the metrics, and shown in tables and pages."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments import quickstart
from rnnlab.config.experiment import Arm
from rnnlab.config.overrides import override
from rnnlab.core.errors import InputError
from rnnlab.report import tables
from rnnlab.report import write as report
from rnnlab.runs import validate as validation
from rnnlab.runs.validate import validate
from rnnlab.stats import first_reached, proportion_interval
from rnnlab.stats.summary import groups, steps_to_solve, summarize
from rnnlab.storage import files
from rnnlab.storage.metrics import DIVERGED_AT, Metrics
from rnnlab.training.tasks import TASKS, MetricSums

NAN = np.nan
TASK = TASKS["sequence_labeling"]
ARMS = {name: {"cell": "rnn", "hidden_size": 4, "layers": 1, "parameters": 1234, "seconds": 61.0} for name in "ab"}


# numbers


@pytest.mark.parametrize(("successes", "n"), [(0, 8), (3, 8), (8, 8), (1, 1), (17, 40)])
def test_the_interval_of_a_proportion_is_wilsons(successes, n):
    """The roots of (p - successes/n)^2 = z^2 p (1 - p) / n, with z = 1.959964."""
    z2, part = 1.959963984540054**2, successes / n
    low, high = np.sort(np.roots([1 + z2 / n, -2 * part - z2 / n, part**2]).real)
    found = proportion_interval(successes, n)
    np.testing.assert_allclose(found, (part, low, high, successes, n), atol=1e-9)


def test_no_runs_have_no_proportion():
    assert np.isnan(proportion_interval(0, 0)[:3]).all()


def test_the_first_epoch_at_the_threshold_is_found():
    values = np.array([[0.1, 0.9, 0.2], [NAN, 0.5, 0.89], [0.95, NAN, 1.0], [NAN, NAN, NAN], [NAN, 0.3, 0.9]])
    np.testing.assert_array_equal(first_reached(values, 0.9), [1, -1, 0, -1, 2])
    np.testing.assert_array_equal(first_reached(np.zeros((2, 0)), 0.9), [-1, -1])


@pytest.mark.parametrize("success_threshold", [0.9, 0.99, 0.7, 1 / 3])
def test_a_metric_in_float32_reaches_its_own_value(success_threshold):
    below = np.nextafter(np.float32(success_threshold), np.float32(0))
    np.testing.assert_array_equal(
        first_reached(np.float64([[np.float32(success_threshold)], [below]]), success_threshold), [0, -1]
    )


# from the table

SOLVED = {  # by seed, in epochs 1 to 4 of 50 steps each
    3: [0.1, 0.5, 0.95, 0.97],
    5: [0.1, 0.96, 0.2, 0.1],  # solved, then lost
    0: [0.1, 0.2, 0.3, 0.4],  # never
    9: [0.1, 1.0],  # solved, then diverged
}


def fill(metrics, arm, solved, diverged=()):
    for epoch in range(1, 5):
        here = [seed for seed, values in solved.items() if len(values) >= epoch]
        for split, shift in (("train", 0.0), ("validation", 0.0), ("test", -0.1)):
            value = np.array([solved[seed][epoch - 1] + shift for seed in here])
            metrics.add(arm, np.array(here), {}, epoch, 50 * epoch, split, {"loss": 1 - value, "solved": value,
                                                                           "accuracy": value})  # fmt: skip
    for seed in diverged:
        metrics.add(arm, np.array([seed]), {}, 3, 150, "train", {DIVERGED_AT: np.array([120])})


def summary_of(metrics, success_threshold=0.95):
    return files._without_nan(
        summarize(metrics.table, TASK, ARMS, experiment="probe", complete=True, success_threshold=success_threshold)
    )


def test_runs_that_solve_their_task_are_counted_with_the_steps_they_needed():
    metrics = Metrics("probe", [])
    metrics.add("a", np.array(list(SOLVED)), {}, 0, 0, "validation", {"param_distance": np.ones(4)})
    fill(metrics, "a", SOLVED, diverged=[9])
    (group,) = groups(metrics.table)
    np.testing.assert_array_equal(group.seeds, [0, 3, 5, 9])
    np.testing.assert_array_equal(group.steps, [0, 50, 100, 150, 200])
    np.testing.assert_array_equal(steps_to_solve(group, "solved", 0.95), [NAN, 150, 100, NAN])
    (row,) = summary_of(metrics)["results"]
    assert row["steps_to_solve"] == {"median": 125, "n": 2}
    assert {name: row["solved"][name] for name in ("proportion", "successes", "n")} == {
        "proportion": 0.5, "successes": 2, "n": 4,
    }  # fmt: skip
    assert summary_of(metrics)["success_threshold"] == {"metric": "solved", "threshold": 0.95}


@pytest.mark.parametrize(
    ("solved", "shown"),
    [
        ({0: [0.1] * 4, 1: [0.9] * 4}, ("0 of 2 (0-66 %)", "-")),
        ({4: [0.1, 0.2, 0.99, 0.99]}, ("1 of 1 (21-100 %)", "150")),
        ({seed: [0.1, 0.96, 1, 1] for seed in range(1, 8)} | {0: [0.1] * 4}, ("7 of 8 (53-98 %)", "100")),
    ],
)
def test_the_table_shows_solved_runs_and_median_steps(solved, shown):
    metrics = Metrics("probe", [])
    fill(metrics, "a", solved)
    fill(metrics, "b", SOLVED)
    header, rows = report.table(summary_of(metrics))
    assert header == [
        "arm", "test accuracy at best validation", "best test accuracy over epochs", "solved", "median steps", "n",
        "diverged", "parameters", "time",
    ]  # fmt: skip
    assert tuple(rows[0][3:5]) == shown
    assert rows[1][3] == "3 of 4 (30-95 %)"  # no run diverged here
    text = tables.results_text(summary_of(metrics))
    assert max(len(line) for line in text.splitlines()) <= 160
    assert "whose validation solved reached 0.95" in " ".join(text.split())


def test_runs_that_diverge_in_their_first_epoch_have_solved_nothing():
    metrics = Metrics("probe", [])
    metrics.add("a", np.array([0, 1]), {}, 1, 50, "train", {DIVERGED_AT: np.array([0, 2])})
    (row,) = summary_of(metrics)["results"]
    assert (row["solved"]["successes"], row["solved"]["n"], row["steps_to_solve"]["median"]) == (0, 2, None)


def test_without_a_threshold_there_are_no_columns_for_it():
    metrics = Metrics("probe", [])
    fill(metrics, "a", SOLVED)
    summary = summary_of(metrics, success_threshold=0.0)
    assert summary["success_threshold"] is None
    assert not {"solved", "steps_to_solve"} & set(summary["results"][0])
    assert "solved" not in report.table(summary)[0]
    assert tables.threshold_text(summary) == ""


# refusals

BASE = replace(
    quickstart.CONFIG, arms={"a": Arm("rnn")}, data="digits", success_threshold=0.5, hidden_size=3, batch_size=8,
    steps_per_epoch=None,
)  # fmt: skip


@pytest.mark.parametrize("value", ["-0.1", "1.5", "95", "nan"])
def test_the_threshold_is_a_fraction(value):
    with pytest.raises(InputError, match=r"^success_threshold: ") as caught:
        override(BASE, f"success_threshold={value}").check()
    assert "\n" not in str(caught.value)


def test_a_task_without_success_metric_has_no_threshold():
    with pytest.raises(InputError, match=r"^success_threshold: 0.5, but pydoc has no success metric"):
        validate(replace(BASE, data="pydoc"))
    assert validate(BASE).config.success_threshold == 0.5


def test_the_threshold_needs_a_validation_split(monkeypatch):
    dataset = validation.load_dataset("digits")._replace(validation_is_test=True)
    monkeypatch.setattr(validation, "load_dataset", lambda name, **options: dataset)
    with pytest.raises(InputError, match=r"^success_threshold: 0.5, but digits validates on test"):
        validate(BASE)


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.success_metric is not None])
def test_success_is_a_metric_of_the_task_and_a_fraction(name):
    """Five examples with six steps, of which one example and five steps are right: every metric differs."""
    task = TASKS[name]
    found = task.compute(
        MetricSums(
            loss=np.array([7.0]),
            correct=np.array([5.0]),
            count=np.array([30.0]),
            solved=np.array(6),
            by_class=np.ones((1, 3, 2)),
            at_parts=np.array([[[0.0, 0.0, 5.0], [30.0, 30.0, 30.0]]]),
        )
    )
    assert float(found[task.success_metric][0]) == pytest.approx(6 / 30 if name == "sequence_labeling" else 5 / 30)


def test_the_page_says_what_solved_means(tmp_path):
    metrics = Metrics("probe", [])
    fill(metrics, "a", SOLVED)
    metrics.write(tmp_path / "metrics.parquet")
    files.write_json(tmp_path / "summary.json", summary_of(metrics))
    files.write_json(tmp_path / "env.json", {})
    (tmp_path / "config.json").write_text(json.dumps({}))
    report.write_report(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "3 of 4 (30-95 %)" in page
    assert tables.threshold_text(report.read_summary(tmp_path)) in page.replace("&#x27;", "'").replace(
        "Solved:", "solved:"
    )
