"""All arms of a run against each other, on values where ranks and pairs are known."""

import re

import numpy as np
import scipy.stats

from rnnlab.report import ranking
from rnnlab.report.early_signs import early_signs
from rnnlab.report.png import png
from rnnlab.report.svg import svg
from rnnlab.stats import correlation_by_seed, holm
from rnnlab.stats.summary import Group, Headline

ACCURACY = Headline("test", "accuracy", "best_validation", True)


def group(arm, values, loss=1.0, rate=0.1, seeds=(0, 1, 2, 3)):
    values = np.array(values, float)
    curves = {
        ("test", "accuracy"): values[:, None], ("validation", "loss"): np.full((len(values), 1), loss),
    }  # fmt: skip
    return Group(arm, {"learning_rate": rate}, np.array(seeds), np.array([1]), curves, np.isnan(values), np.array([50]))


def summary(*arms):
    results = [{"arm": arm, "runs": 4, "diverged": 0, "metrics": {}} for arm, _ in arms]
    return {"results": results, "arms": {arm: {"parameters": 1000, "seconds": seconds} for arm, seconds in arms}}


GOOD = [0.90, 0.91, 0.92, 0.93]
FAIR = [0.80, 0.805, 0.83, 0.83]
GROUPS = [
    group("fair", FAIR),
    group("good", [0.99] * 4, loss=2.0, rate=1.0),  # best on test, but not on validation
    group("good", GOOD, loss=0.5, rate=0.01),
    group("poor", [0.5, 0.85, np.nan, 0.4]),
]


def test_ranks_are_by_seed_and_the_rate_is_chosen_on_validation():
    found = ranking.ranked(GROUPS, ACCURACY)
    assert [each.arm for each in found.groups] == ["good", "fair", "poor"]
    assert found.groups[0].hyperparams == {"learning_rate": 0.01}
    np.testing.assert_array_equal(found.ranks, [[1, 1, 1, 1], [2, 3, 2, 2], [3, 2, 3, 3]])
    assert found.better[0, 1] == 1
    assert found.better[1, 0] == 0
    assert np.isclose(found.better[1, 2], 8 / 12)  # of 4 x 3 pairs 8 are won
    raw = [scipy.stats.ttest_rel(GOOD, FAIR).pvalue]
    kept = [0, 1, 3]
    raw += [scipy.stats.ttest_rel(np.array(of)[kept], [0.5, 0.85, 0.4]).pvalue for of in (GOOD, FAIR)]
    np.testing.assert_allclose([found.p[0, 1], found.p[2, 0], found.p[2, 1]], holm(raw))


def test_the_tables_and_the_figure_say_so():
    found, costs = ranking.ranked(GROUPS, ACCURACY), summary(("fair", 0.2), ("good", 2.0), ("poor", 1.0))
    table = ranking.ranks_table(found, costs, ACCURACY)
    assert [row[0] for row in table.rows] == [
        "good learning_rate=0.01",
        "fair learning_rate=0.1",
        "poor learning_rate=0.1",
    ]
    assert table.rows[0][1] == "1.0 ± 0.0"
    assert table.rows[0][3:] == ["1", "0", "1,000", "10"]  # 2 s for 4 runs of 50 steps
    assert table.rows[1][3:5] == ["0", "1"]
    assert ranking.pairs_table(found).rows[0] == ["good", "", "100*", "100"]
    figure = ranking.cost_figure(found, costs, ACCURACY, "title")
    frontier, *points = figure.panels[0].lines
    assert [point.label for point in points] == ["fair", "poor", "good"]
    np.testing.assert_allclose(frontier.x, [1, 10])  # poor costs more than fair and is worse
    np.testing.assert_allclose(frontier.mean, [np.mean(FAIR), np.mean(GOOD)])
    drawn = svg(figure)
    assert all(drawn.count(f">{arm}</text>") == 1 for arm in ("fair", "poor", "good"))
    assert re.search(r'class="right" x="[\d.]+" y="[\d.]+" dy="[-.\w]+">good<', drawn)  # the last one ends in the panel
    assert re.findall("<li>.*?</svg> (.*?)</li>", drawn) == ["no cheaper arm is as good"]
    alone = ranking.cost_figure(found, summary(("fair", 0.3), ("good", 0.2), ("poor", 1.0)), ACCURACY, "title")
    assert [line.label for line in alone.panels[0].lines] == ["good", "fair", "poor"]  # no line through one point
    assert png(figure).startswith(b"\x89PNG")


def test_two_arms_or_other_seeds_have_no_ranks():
    assert ranking.ranked(GROUPS[:2], ACCURACY) is None
    assert ranking.ranked([*GROUPS, group("far", GOOD, seeds=(7, 8, 9, 10))], ACCURACY) is None


def test_the_correlation_is_over_common_seeds():
    a, b = np.array([1.0, 2.0, 4.0, np.nan]), np.array([9.0, 3.0, 5.0, 6.0])
    expected = np.corrcoef([1, 2, 4], [3, 5, 6])[0, 1]
    assert np.isclose(correlation_by_seed([1, 2, 3, 4], a, [0, 1, 2, 3], b), expected)
    assert np.isnan(correlation_by_seed([1, 2], a[:2], [1, 2], b[:2]))
    assert np.isnan(correlation_by_seed([1, 2, 3], np.ones(3), [1, 2, 3], b[:3]))


def test_the_early_sign_is_what_tells_solved_runs_from_stuck_ones():
    """Runs 0 and 1 solve at epoch 8; the training loss of epoch 2 tells, that of epoch 1 does not; run 4 diverged."""
    epochs = np.arange(1, 9)
    solved = np.zeros((5, 8))
    solved[:2, 7] = 1.0
    loss = np.tile([0.5, 0.7, 0.6, 0.4, 0.9], (8, 1)).T.copy()
    loss[:, 1] = [0.1, 0.2, 0.3, 0.4, np.nan]
    values = {("validation", "solved"): solved, ("train", "loss"): loss}
    found = Group("a", {}, np.arange(5), epochs, values, np.array([False] * 4 + [True]), 10 * epochs)
    nobody = found._replace(arm="b", values={**values, ("validation", "solved"): np.zeros((5, 8))})
    (row,) = early_signs([found, nobody], "solved", 0.9).rows
    assert row[:6] == ["a", "2", "2", "1", "train loss", "2"]
    assert row[6].startswith("0.00")
