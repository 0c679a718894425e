"""Curves that a paper published beside ours, and the figures of what was measured over training."""

import csv
import io

import numpy as np
import pytest
import scipy.stats

from rnnlab.report import figures, published
from rnnlab.report.published import Curve
from rnnlab.stats.summary import groups
from rnnlab.storage.metrics import DIVERGED_AT, Metrics

LOSS = np.array([[3.0, 1.0], [2.0, 2.5], [1.0, 4.0], [7.0, np.nan]])  # four seeds, two epochs; the last one dies


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


def test_every_epoch_of_either_side_has_a_record():
    records = published.beside(CURVES, recorded())
    assert [(r["label"], r["arm"], r["epoch"], r["n"]) for r in records] == [
        ("author", "a", 1, 3), ("author", "a", 2, 3), ("author", "a", 3, 0), ("other", "b", 1, 1),
    ]  # fmt: skip
    np.testing.assert_array_equal([r["published"] for r in records], [2.5, np.nan, 0.5, 6.0])
    for record, epoch in zip(records, (0, 1), strict=False):
        low, high = scipy.stats.ttest_1samp(LOSS[:3, epoch], 0).confidence_interval(0.95)
        np.testing.assert_allclose([record["mean"], record["low"], record["high"]], [LOSS[:3, epoch].mean(), low, high])


def test_the_table_shows_the_epochs_that_we_have_trained():
    text = published.text(published.beside(CURVES, recorded()))
    lines = [line.split() for line in text.splitlines()]
    assert ["1", "2.5000", "2.0000", "±", "2.4841", "6.0000", "5.0000"] in lines
    assert ["2", "2.5000", "±", "3.7262"] in lines
    assert not any(line[:1] == ["3"] for line in lines)
    assert published.text([]) == ""


def test_a_long_training_is_shown_by_a_dozen_epochs():
    metrics = Metrics("probe", [])
    for epoch in range(1, 501):
        metrics.add("a", np.array([0]), {}, epoch, epoch, "train", {"loss": np.array([1 / epoch])})
    text = published.text(published.beside([Curve("x", "a", "train", "loss", {1: 1.0})], groups(metrics.table)))
    shown = [int(line.split()[0]) for line in text.splitlines() if line.split()[0].isdigit()]
    assert len(shown) == published.ROWS
    assert (shown[0], shown[-1]) == (1, 500)


def test_the_figures_are_drawn_also_of_what_is_missing():
    records = published.beside(CURVES, recorded())
    assert published.draw(records, "title").startswith(b"\x89PNG")
    assert published.draw([r for r in records if not r["n"]], "no epoch of ours").startswith(b"\x89PNG")
    assert figures.draw_probes(figures.probe_curves(recorded()), "title").startswith(b"\x89PNG")


def test_what_probes_measured_is_kept_apart_from_the_losses():
    found = recorded()
    (point,) = figures.probe_curves(found)
    assert {name: point[name] for name in ("arm", "noise_std", "split", "metric", "epoch", "n")} == {
        "arm": "a", "noise_std": 0.001, "split": "validation", "metric": "param_distance", "epoch": 0, "n": 3,
    }  # fmt: skip
    assert point["mean"] == 2.0  # of the living
    assert {(point["epoch"], point["split"]) for point in figures.loss_curves(found)} == {(1, "train"), (2, "train")}
    rows = list(csv.DictReader(io.StringIO(figures.csv_text(figures.loss_curves(found)))))
    assert [row["mean"] for row in rows] == ["2.0", "2.5", "5.0"]
    assert "metric" not in rows[0]


@pytest.mark.parametrize("scale", [0.0, 1e-8])
def test_distances_of_zero_can_be_drawn(scale):
    points = [
        {"arm": "identical", "split": "validation", "metric": "param_distance", "epoch": epoch, "mean": scale * epoch,
         "low": -1.0, "high": 1.0, "n": 2}
        for epoch in range(3)
    ]  # fmt: skip
    assert figures.draw_probes(points, "title").startswith(b"\x89PNG")
