"""From the metrics table to one row per group, and the page, figures and CSV made from it."""

import contextlib
import csv
import re
from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import scipy.stats

from rnnlab.cli.main import main
from rnnlab.config.document import to_json
from rnnlab.core.errors import InputError
from rnnlab.report import run_figures, tables
from rnnlab.report import write as report
from rnnlab.report.png import png
from rnnlab.stats.summary import Headline, groups, headline_values, headlines, summarize
from rnnlab.storage import files
from rnnlab.storage.metrics import DIVERGED_AT, Metrics, read_metrics
from rnnlab.training.tasks import Metric, MetricSums, fraction_correct
from tests.helpers.recorded_runs import (
    ACCURACY,
    ARMS,
    AT_BEST_VALIDATION,
    BEST_ON_TEST,
    RATE,
    TASK,
    VALIDATION,
    directory_of,
    fill,
    hyperparams,
    summary_of,
)


def test_each_selection_takes_its_epoch():
    metrics = Metrics("quickstart", [RATE])
    fill(metrics, "a")
    (group,) = groups(metrics.table)
    order = np.argsort([4, 0, 9])
    np.testing.assert_array_equal(group.seeds, [0, 4, 9])
    expected = {
        Headline("test", "accuracy", "best_validation", True): AT_BEST_VALIDATION,
        Headline("test", "accuracy", "best", True): BEST_ON_TEST,
        Headline("validation", "loss", "best", False): VALIDATION.min(axis=1),
        Headline("train", "loss", "last", False): VALIDATION[:, -1] - 0.5,
    }
    for headline, values in expected.items():
        np.testing.assert_array_equal(headline_values(group, headline), np.array(values)[order])
    names = [headline.name for headline in expected]
    assert names == ["test_accuracy_at_best_validation", "best_test_accuracy_over_epochs",
                     "best_validation_loss_over_epochs", "last_train_loss"]  # fmt: skip
    assert set(expected) <= set(headlines(TASK))


def test_a_new_metric_of_a_task_reaches_summary_tables_and_figures():
    error = Metric("error", lambda sums: 1 - fraction_correct(sums), higher_is_better=False)
    task = TASK._replace(metrics=(*TASK.metrics, error))
    assert task.compute(MetricSums(np.array([1.0]), np.array([3.0]), np.array([4.0])))["error"] == [0.25]
    metrics = Metrics("quickstart", [RATE])
    fill(metrics, "a")
    for split in ("train", "validation", "test"):
        metrics.add("a", np.array([4, 0, 9]), hyperparams(3), 3, 15, split, {"error": 1 - ACCURACY[:, 2]})
    summary = summarize(metrics.table, task, ARMS, experiment="quickstart", complete=True)
    interval = summary["results"][0]["metrics"]["best_test_error_over_epochs"]
    assert interval["mean"] == pytest.approx(np.mean(1 - ACCURACY[:, 2]))
    names = [row[0] for row in tables.all_metrics(files._without_nan(summary)).rows]
    assert "last validation error" in names
    name = "best_test_error_over_epochs"
    published = {name: {("a", summary["results"][0]["learning_rate"]): 0.25}}
    rows = tables.all_metrics(files._without_nan(summary), published).rows
    assert rows[[row[0] for row in rows].index(name.replace("_", " ")) + 1] == ["the same in the paper", "0.2500"]
    assert [name for name in report.table(summary).header if "error" in name] == []  # the main table stays as it is


def test_a_row_is_the_mean_over_seeds_and_its_interval():
    metrics = Metrics("quickstart", [RATE])
    fill(metrics, "b")
    fill(metrics, "a", rate=0.1)
    fill(metrics, "a", rate=0.2, diverged=1)
    summary = summary_of(metrics)
    assert [(row["arm"], row[RATE], row["runs"], row["diverged"], row["epochs"]) for row in summary["results"]] == [
        ("b", 0.01, 3, 0, 3), ("a", 0.1, 3, 0, 3), ("a", 0.2, 3, 1, 3),
    ]  # fmt: skip
    for row, values in zip(summary["results"], (AT_BEST_VALIDATION, AT_BEST_VALIDATION, [0.6, 0.4]), strict=True):
        interval = row["metrics"][summary["headline"]]
        low, high = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert interval["n"] == len(values)
        np.testing.assert_allclose(
            [interval["mean"], interval["low"], interval["high"]], [np.mean(values), low, high], rtol=1e-12
        )


def test_a_protocol_that_validates_on_test_has_no_value_at_best_validation():
    metrics = Metrics("quickstart", [RATE])
    fill(metrics, "a", diverged=1)
    table = metrics.table.filter(pc.not_equal(metrics.table["split"], "validation"))
    summary = summarize(table, TASK, ARMS, experiment="quickstart", complete=True, validation_is_test=True)
    assert summary["headline"] == "last_test_accuracy"
    (row,) = summary["results"]
    assert not any("validation" in name for name in row["metrics"])
    assert row["metrics"]["last_test_accuracy"]["mean"] == pytest.approx(np.mean(ACCURACY[[0, 2], -1]))
    assert row["metrics"]["last_test_accuracy"]["n"] == 2
    header, _ = report.table(files._without_nan(summary))
    assert header[1:3] == ["last test accuracy", "best test accuracy over epochs"]
    assert not any("validation" in name for name in header)
    found = groups(table)
    figure = run_figures.loss_curves(found, "a")
    assert {row["split"] for row in figure.rows} == {"train", "test"}
    assert [panel.title for panel in figure.panels] == ["train loss", "test loss"]
    assert png(figure).startswith(b"\x89PNG")


def test_probes_before_training_change_no_other_result():
    plain, probed = Metrics("quickstart", [RATE]), Metrics("quickstart", [RATE])
    probed.add(
        "a", np.array([4, 0, 9]), hyperparams(3), 0, 0, "validation", {"param_distance": np.array([1.0, 2.0, 3.0])}
    )
    (before,) = groups(probed.table)  # stopped before the first step
    assert all(np.isnan(headline_values(before, headline)).all() for headline in headlines(TASK))
    assert run_figures.loss_curves([before], "").rows == []
    for metrics in (plain, probed):
        fill(metrics, "a", diverged=2)
    assert summary_of(probed) == summary_of(plain)
    (with_probes,), (without,) = groups(probed.table), groups(plain.table)
    assert with_probes.epochs.tolist() == [0, 1, 2, 3]
    assert run_figures.loss_curves([with_probes], "") == run_figures.loss_curves([without], "")
    np.testing.assert_array_equal(with_probes.values["validation", "param_distance"][:, 0], [2, 1, 3])


def test_a_diverged_run_is_counted_and_enters_no_mean():
    metrics = Metrics("quickstart", [RATE])
    fill(metrics, "a", diverged=1)
    (group,) = groups(metrics.table)
    np.testing.assert_array_equal(group.diverged, [True, False, False])  # seed 0
    for values in (headline_values(group, headline) for headline in headlines(TASK)):
        assert np.isnan(values[0])
        assert np.isfinite(values[1:]).all()
    points = run_figures.loss_curves([group], "").rows
    assert {point["n"] for point in points} == {2}  # in the epoch before it diverged too
    header, rows = report.table(summary_of(metrics))
    assert rows[0][header.index("n")] == "2"
    assert rows[0][header.index("diverged")] == "1"


def test_a_group_whose_runs_all_diverged_has_no_mean():
    metrics = Metrics("quickstart", [RATE])
    metrics.add("a", np.array([0, 1]), hyperparams(2), 1, 5, "train", {DIVERGED_AT: np.array([0, 2])})
    fill(metrics, "b")
    summary = summary_of(metrics)
    first = summary["results"][0]
    assert (first["arm"], first["runs"], first["diverged"]) == ("a", 2, 2)
    assert np.isnan(first["metrics"][summary["headline"]]["mean"])
    header, rows = report.table(files._without_nan(summary))
    row = dict(zip(header, rows[0], strict=True))
    assert (row["test accuracy at best validation"], row["n"], row["diverged"]) == ("-", "0", "2")


def test_one_seed_has_no_interval():
    metrics = Metrics("quickstart", [RATE])
    for split in ("train", "validation", "test"):
        metrics.add(
            "a", np.array([0]), hyperparams(1), 1, 5, split, {"loss": np.array([1.0]), "accuracy": np.array([0.5])}
        )
    header, rows = report.table(files._without_nan(summary_of(metrics)))
    shown = rows[0][header.index("test accuracy at best validation")]
    assert "0.5000" in shown
    assert "±" not in shown


def test_a_run_without_a_finite_value_is_not_counted_in_n():
    # its last update overflowed: it is not marked as diverged, yet has no value
    metrics = Metrics("quickstart", [RATE])
    for split in ("train", "validation", "test"):
        values = {"loss": np.array([1.0, np.nan, 2.0]), "accuracy": np.array([0.5, 0.1, 0.7])}
        metrics.add("a", np.array([0, 1, 2]), hyperparams(3), 1, 5, split, values)
    summary = summary_of(metrics)
    interval = summary["results"][0]["metrics"][summary["headline"]]
    assert (interval["n"], interval["mean"]) == (2, pytest.approx(0.6))
    header, rows = report.table(files._without_nan(summary))
    assert rows[0][header.index("n")] == "2"


def test_groups_differ_in_any_hyperparameter():
    metrics = Metrics("quickstart", [RATE, "delta"])
    for rate in (1e-2, 1e-3):
        for delta in (0.5, 0.25):
            swept = {**hyperparams(2, rate), "delta": np.full(2, delta, np.float32)}
            loss = np.array([rate, 3 * rate]) + delta
            metrics.add("a", np.array([0, 1]), swept, 1, 5, "train", {"loss": loss})
    metrics.add("b", np.array([0, 1]), hyperparams(2), 1, 5, "train", {"loss": np.array([7.0, 9.0])})
    rows = summary_of(metrics)["results"]
    assert [(row["arm"], row[RATE], row.get("delta")) for row in rows] == [
        ("a", 0.01, 0.5), ("a", 0.01, 0.25), ("a", 0.001, 0.5), ("a", 0.001, 0.25), ("b", 0.01, None),
    ]  # fmt: skip
    means = [row["metrics"]["last_train_loss"]["mean"] for row in rows]
    np.testing.assert_allclose(means, [0.52, 0.27, 0.502, 0.252, 8])
    header, shown = report.table(files._without_nan(summary_of(metrics)))
    assert header[:3] == ["arm", RATE, "delta"]
    assert shown[0][:3] == ["a", "0.01", "0.5"]
    assert shown[-1][:3] == ["b", "0.01", ""]


@pytest.fixture
def run_directory(tmp_path):
    metrics = Metrics("quickstart", [RATE])
    fill(metrics, "a")
    fill(metrics, "b", diverged=2)
    return directory_of(tmp_path / "run", metrics)


def test_the_page_loads_nothing_and_escapes_text(run_directory):
    report.write_report(run_directory)
    page = (run_directory / "report.html").read_text()
    assert "://" not in re.sub(r"base64,[^\"]*", "", page)
    assert re.findall(r"<(?:script|link|iframe|object)[^>]*>", page) == ["<script>"]  # our own, which sorts tables
    assert re.findall(r"(?:src|href|url)\b", page) == []
    assert "&lt;script&gt;" in page
    assert "Unfinished" not in page
    header, rows = report.table(report.read_summary(run_directory))
    for text in (*header, *(cell for row in rows for cell in row)):
        assert f">{text}<" in page


def test_a_report_is_reproducible(run_directory, capsys):
    assert main(["report", str(run_directory)]) == 0
    first = capsys.readouterr().out
    made = {path: (run_directory / path).read_bytes() for path in ("report.html", "figures/loss_curves.csv")}
    for path in made:
        (run_directory / path).unlink()
    assert main(["report", str(run_directory)]) == 0
    assert capsys.readouterr().out == first
    assert {path: (run_directory / path).read_bytes() for path in made} == made
    half = 4.302652729911275 * np.std(AT_BEST_VALIDATION, ddof=1) / 3**0.5
    assert f"0.5833 ± {half:.4f}" in first


def test_the_csv_of_a_figure_has_the_means_of_the_metrics_over_finite_runs(run_directory):
    report.write_report(run_directory)
    table = pq.read_table(run_directory / "metrics.parquet").to_pylist()
    diverged = {(row["arm"], row["seed"]) for row in table if row["metric"] == DIVERGED_AT}
    assert diverged == {("b", 9)}
    with (run_directory / "figures" / "loss_curves.csv").open() as file:
        points = list(csv.DictReader(file))
    assert len(points) == 2 * 3 * 3
    for point in points:
        where = (point["arm"], point["split"], int(point["epoch"]), float(point[RATE]))
        values = [
            row["value"]
            for row in table
            if (row["arm"], row["split"], row["epoch"], row[RATE]) == where
            and row["metric"] == "loss"
            and (row["arm"], row["seed"]) not in diverged
        ]
        low, high = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert int(point["n"]) == len(values)
        np.testing.assert_allclose(
            [float(point[key]) for key in ("mean", "low", "high")], [np.mean(values), low, high], rtol=1e-12
        )
    assert (run_directory / "figures" / "loss_curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("rows", ["some", "none"])
def test_an_unfinished_run_is_labeled_unfinished(tmp_path, capsys, rows):
    metrics = Metrics("quickstart", [RATE])
    if rows == "some":
        fill(metrics, "a", upto=1)
    directory = directory_of(tmp_path / "run", metrics, complete=False)
    assert main(["report", str(directory)]) == 0
    assert "Unfinished" in capsys.readouterr().out
    assert "Unfinished" in (directory / "report.html").read_text()


def test_published_values_are_matched_by_arm_and_learning_rate(run_directory):
    summary = report.read_summary(run_directory)
    header, rows = report.table(summary, {("a", 0.01): 0.987, ("b", 0.5): 0.5})
    column = header.index("paper")
    assert [row[column] for row in rows] == ["0.9870", ""]
    assert "paper" not in report.table(summary)[0]


def test_other_data_are_not_compared_with_published_values(tmp_path, capsys):
    from experiments import mnist_slim

    metrics = Metrics("mnist_slim", [RATE])
    fill(metrics, "lstm-tanh", rate=1e-3)
    directory = directory_of(tmp_path / "run", metrics)
    config = replace(mnist_slim.CONFIG, **mnist_slim.QUICK)
    assert config.data == "digits"
    (directory / "config.json").write_text(to_json(config))
    assert main(["report", str(directory)]) == 0
    assert "0.9909" not in capsys.readouterr().out  # the paper's, on MNIST


@pytest.mark.parametrize("name", ["summary.json", "env.json", "metrics.parquet", "config.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "other"])
def test_a_damaged_run_is_reported_as_such(run_directory, capsys, name, damage):
    path = run_directory / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "other": b'{"format": 9}'}[damage])
    if (name, damage) == ("env.json", "other"):
        return  # any document will do there
    before = {p: p.read_bytes() for p in run_directory.rglob("*") if p.is_file()}
    assert main(["report", str(run_directory)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert name in err
    assert {p: p.read_bytes() for p in run_directory.rglob("*") if p.is_file()} == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["summary.json", "metrics.parquet"])
def test_an_altered_byte_never_ends_in_a_traceback(run_directory, name):
    path = run_directory / name
    content = path.read_bytes()
    for index in range(0, len(content), 11):
        path.write_bytes(content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :])
        with contextlib.suppress(InputError):
            report.table(report.read_summary(run_directory))
            run_figures.loss_curves(groups(read_metrics(run_directory / "metrics.parquet")), "")


def test_diverging_training_is_recorded_and_reported(tmp_path, capsys):
    directory = tmp_path / "run"
    arguments = ["run", "quickstart", "--data", "digits", "--arms", "lstm", "--seeds", "3", "--epochs", "2", "--set",
                 "arms.lstm.cell=rnn", "options.activation=relu", "hidden_size=4", "steps_per_epoch=4",
                 "optimizer=sgd", "learning_rate=1e-2,1e30",
                 "clip_norm="]  # fmt: skip
    assert main([*arguments, "--out", str(directory)]) == 0
    out = capsys.readouterr().out
    table = pq.read_table(directory / "metrics.parquet").to_pylist()
    diverged = [row for row in table if row["metric"] == DIVERGED_AT]
    assert {(row["seed"], row[RATE]) for row in diverged} == {(seed, 1e30) for seed in range(3)}
    assert all(0 < row["value"] < 8 and row["value"] == int(row["value"]) for row in diverged)
    assert all(np.isfinite(row["value"]) for row in table)
    assert {row[RATE] for row in table if row["epoch"] == 2 and row["metric"] == "loss"} == {0.01}
    good, bad = report.read_summary(directory)["results"]
    assert (good[RATE], good["runs"], good["diverged"]) == (0.01, 3, 0)
    assert (bad[RATE], bad["runs"], bad["diverged"]) == (1e30, 3, 3)
    header, rows = report.table(report.read_summary(directory))
    assert [row[header.index("n")] for row in rows] == ["3", "0"]
    assert "1e+30" in out
