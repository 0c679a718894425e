"""Published curves next to ours, and figures of what was measured over training."""

import csv
import io

import numpy as np
import pytest
import scipy.stats

from rnnlab.report import published, run_figures, tables
from rnnlab.report.figures import Figure, Line, Panel, y_axis
from rnnlab.report.png import png
from rnnlab.report.published import Curve
from rnnlab.report.svg import svg
from rnnlab.stats.summary import groups
from rnnlab.storage.metrics import DIVERGED_AT, Metrics

LOSS = np.array([[3.0, 1.0], [2.0, 2.5], [1.0, 4.0], [7.0, np.nan]])  # four seeds, two epochs; the last one diverges


def recorded() -> list:
    metrics = Metrics("probe", ["noise_std"])
    noise_std = {"noise_std": np.full(4, 1e-3, np.float32)}
    metrics.add("a", np.arange(4), noise_std, 0, 0, "validation", {"param_distance": np.array([1.0, 2.0, 3.0, 4.0])})
    for epoch in (1, 2):
        alive = np.isfinite(LOSS[:, epoch - 1])
        hyperparams = {"noise_std": noise_std["noise_std"][alive]}
        metrics.add("a", np.arange(4)[alive], hyperparams, epoch, epoch, "train", {"loss": LOSS[alive, epoch - 1]})
    metrics.add(
        "a", np.array([3]), {"noise_std": noise_std["noise_std"][:1]}, 2, 2, "train", {DIVERGED_AT: np.array([2])}
    )
    metrics.add("b", np.array([0]), {"noise_std": noise_std["noise_std"][:1]}, 1, 1, "train", {"loss": np.array([5.0])})
    return groups(metrics.table)


CURVES = [
    Curve("author", "a", "train", "loss", {1: 2.5, 3: 0.5}),
    Curve("other", "b", "train", "loss", {1: 6.0}),
    Curve("nobody", "c", "train", "loss", {1: 9.0}),
]


def test_every_epoch_of_either_side_has_a_row():
    records = published.side_by_side(CURVES, recorded())
    assert [(r["label"], r["arm"], r["epoch"], r["n"]) for r in records] == [
        ("author", "a", 1, 3), ("author", "a", 2, 3), ("author", "a", 3, 0), ("other", "b", 1, 1),
    ]  # fmt: skip
    np.testing.assert_array_equal([r["published"] for r in records], [2.5, np.nan, 0.5, 6.0])
    for record, epoch in zip(records, (0, 1), strict=False):
        low, high = scipy.stats.ttest_1samp(LOSS[:3, epoch], 0).confidence_interval(0.95)
        np.testing.assert_allclose([record["mean"], record["low"], record["high"]], [LOSS[:3, epoch].mean(), low, high])


def test_the_table_shows_the_epochs_that_we_have_trained():
    text = published.text(published.side_by_side(CURVES, recorded()))
    lines = [line.split() for line in text.splitlines()]
    assert ["1", "2.5000", "2.0000", "±", "2.4841", "6.0000", "5.0000", "(one", "run)"] in lines
    assert ["2", "2.5000", "±", "3.7262"] in lines
    assert not any(line[:1] == ["3"] for line in lines)
    assert published.text([]) == ""


def test_the_table_shows_at_most_a_dozen_epochs():
    metrics = Metrics("probe", [])
    for epoch in range(1, 501):
        metrics.add("a", np.array([0]), {}, epoch, epoch, "train", {"loss": np.array([1 / epoch])})
    text = published.text(published.side_by_side([Curve("x", "a", "train", "loss", {1: 1.0})], groups(metrics.table)))
    shown = [int(line.split()[0]) for line in text.splitlines() if line.split()[0].isdigit()]
    assert len(shown) == published.ROWS
    assert (shown[0], shown[-1]) == (1, 500)


def test_figures_can_be_drawn_without_our_epochs_and_without_curves():
    groups_ = recorded()
    figure = run_figures.published_curves(groups_, CURVES, "title")
    (panel,) = figure.panels
    assert [(line.legend, line.x) for line in panel.lines] == [
        ("a (n=3)", [1, 2]), ("b (n=1)", [1]), ("author (published)", [1]), ("other (published)", [1]),
    ]  # fmt: skip
    assert [line.style for line in panel.lines] == [0, 1, 0, 1]  # a published curve has the color of its arm
    without = [group._replace(values={}) for group in groups_]
    for each in (figure, run_figures.published_curves(without, CURVES, "no epoch of ours")):
        assert png(each).startswith(b"\x89PNG")
    assert run_figures.published_curves(groups_, [], "title") is None


def test_probes_have_their_own_figure():
    groups_ = recorded()
    figure = run_figures.probes(groups_, "title")
    (row,) = figure.rows
    assert {name: row[name] for name in ("arm", "noise_std", "split", "metric", "epoch", "n")} == {
        "arm": "a", "noise_std": 0.001, "split": "validation", "metric": "param_distance", "epoch": 0, "n": 3,
    }  # fmt: skip
    assert row["mean"] == 2.0  # of the finite runs
    losses = run_figures.loss_curves(groups_, "title").rows
    assert {(row["epoch"], row["split"]) for row in losses} == {(1, "train"), (2, "train")}
    rows = list(csv.DictReader(io.StringIO(tables.csv_text(losses))))
    assert [row["mean"] for row in rows] == ["2.0", "2.5", "5.0"]
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("scale", [0.0, 1e-8])
def test_distances_of_zero_are_drawn_on_the_lower_edge(scale):
    line = Line("identical", 0, [0, 1, 2], [scale * epoch for epoch in range(3)], [-1.0] * 3, [1.0] * 3)
    panel = Panel("param distance", "epoch", [line], y_scale="log")
    axis = y_axis(panel)
    assert axis.place(0.0) == (np.log10(scale) if scale else 0)
    figure = Figure("probes", "title", [panel], 1, [])
    assert png(figure).startswith(b"\x89PNG")
    assert "nan" not in svg(figure)
