"""Comparisons of arms, against SciPy, published tables, formulas by hand and simulations with known parameters."""

import numpy as np
import pytest
import scipy.stats

from rnnlab.core.errors import InputError
from rnnlab.stats import (
    differences_by_seed,
    holm,
    paired_difference,
    paired_power,
    probability_of_improvement,
    seeds_needed,
)

NAN, INF = np.nan, np.inf
pytestmark = pytest.mark.filterwarnings("error")

A = np.array([0.91, 0.84, 0.88, 0.95, 0.80])
B = np.array([0.82, 0.86, 0.79, 0.90, 0.78])


def test_the_paired_difference_is_scipys():
    seeds = [0, 1, 2, 3, 4]
    theirs = scipy.stats.ttest_rel(A, B)
    found = paired_difference(seeds, A, seeds, B, level=0.9)
    low, high = theirs.confidence_interval(0.9)
    expected = (np.mean(A - B), low, high, 5, np.std(A - B, ddof=1), theirs.pvalue)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_pairs_share_a_seed_and_are_finite_in_both_arms():
    a = np.array([5.0, 1.0, NAN, 7.0, 2.0])
    b = np.array([0.5, 0.25, 4.0, INF])
    # seeds 3 and 9 are finite in both; 4 diverges in a, 1 in b; 8 is a's alone
    np.testing.assert_array_equal(differences_by_seed([9, 3, 4, 8, 1], a, [3, 9, 4, 1], b), [0.5, 4.75])
    found = paired_difference([9, 3, 4, 8, 1], a, [3, 9, 4, 1], b)
    assert (found.mean, found.n) == (2.625, 2)


def test_too_few_pairs_have_no_interval_and_no_p():
    one = paired_difference([0, 1], [1.0, NAN], [0, 1], [0.25, 3.0])
    assert (one.mean, one.n) == (0.75, 1)
    assert np.isnan([one.low, one.high, one.deviation, one.p]).all()
    none = paired_difference([0, 1], [1.0, 2.0], [2, 3], [0.25, 3.0])
    assert none.n == 0
    assert np.isnan([none.mean, none.low, none.high, none.deviation, none.p]).all()


@pytest.mark.parametrize(("kind", "width"), [(np.float64, 1e-15), (np.float32, 1e-6)])
def test_equal_differences_have_no_p_value(kind, width):
    # 0.3 - 0.2 and 0.9 - 0.8 differ in their last bits: the t-test would find something of p = 1e-15
    a, b = np.array([0.3, 0.9, 0.4], kind), np.array([0.2, 0.8, 0.3], kind)
    found = paired_difference([0, 1, 2], a, [0, 1, 2], b)
    assert found.mean == pytest.approx(0.1)
    assert 0 < found.high - found.low < width
    assert np.isnan(found.p)


@pytest.mark.parametrize(("seeds", "values"), [([0, 0], [1.0, 2.0]), ([0, 1, 2], [1.0, 2.0])])
def test_repeated_seeds_and_missing_values_are_refused(seeds, values):
    with pytest.raises(InputError, match=r"^seeds: \[0, .* for 2 values; accepted: one value per seed, no seed twice$"):
        paired_difference(seeds, values, [0, 1], [1.0, 2.0])


def test_improvement_counts_pairs_and_halves_ties():
    # 3 beats 1 and 2, ties 3; 2 beats 1, ties 2; 0 beats none: (2.5 + 1.5 + 0) / 9
    found = probability_of_improvement([3.0, 2.0, 0.0, NAN], [1.0, 2.0, 3.0])
    assert found.value == pytest.approx(4 / 9)
    assert (found.n_a, found.n_b) == (3, 3)
    swapped = probability_of_improvement([3.0, 2.0, 0.0], [1.0, 2.0, 3.0], higher_is_better=False)
    assert swapped.value == pytest.approx(5 / 9)
    np.testing.assert_allclose((1 - swapped.high, 1 - swapped.low), (found.low, found.high), rtol=1e-9)


def test_improvement_is_mann_and_whitneys_u():
    rng = np.random.default_rng(4)
    a, b = rng.integers(2, 14, 9) / 4, rng.integers(0, 12, 7) / 4
    assert len(np.intersect1d(a, b))  # ties
    u = scipy.stats.mannwhitneyu(a, b).statistic
    assert probability_of_improvement(a, b).value == pytest.approx(u / 63)


def test_the_score_interval_solves_its_equation():
    a, b = [3.0, 5.0, 4.0, 8.0], [2.0, 4.5, 1.0]
    found = probability_of_improvement(a, b, level=0.9)
    for theta in (found.low, found.high):
        # Hanley and McNeil's variance with both numbers of runs at their mean
        q1, q2 = theta / (2 - theta), 2 * theta**2 / (1 + theta)
        more = (4 + 3) / 2 - 1
        variance = (theta * (1 - theta) + more * (q1 - theta**2) + more * (q2 - theta**2)) / (4 * 3)
        assert abs(found.value - theta) == pytest.approx(scipy.stats.norm.ppf(0.95) * variance**0.5, rel=1e-8)
    assert found.low < found.value < found.high


def test_the_score_interval_has_a_width_where_one_arm_always_wins():
    found = probability_of_improvement([5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 3.0, 4.0])
    assert (found.value, found.high) == (1, 1)
    assert 0.5 < found.low < 0.7
    never = probability_of_improvement([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0])
    np.testing.assert_allclose((never.value, never.low, never.high), (0, 0, 1 - found.low), rtol=1e-9)


def test_improvement_needs_runs_and_its_interval_two_of_each_arm():
    for nothing in ([], [NAN]):
        assert np.isnan(probability_of_improvement(nothing, [1.0, 2.0])[:3]).all()
    for a, b in (([3.0], [1.0, 2.0]), ([3.0, 4.0], [1.0])):
        value, low, high, *_ = probability_of_improvement(a, b)
        assert value == 1
        assert np.isnan([low, high]).all()
    same = probability_of_improvement(np.full(4, 0.3), np.full(4, 0.3))
    assert same.value == 0.5


def test_the_score_interval_has_its_stated_coverage():
    rng = np.random.default_rng(1)
    for n in (4, 16):
        draws = rng.normal(0, 1, (800, 2, n))
        draws[:, 0] += np.sqrt(2) * scipy.stats.norm.ppf(0.9)  # P(A > B) = 0.9
        found = [probability_of_improvement(a, b) for a, b in draws]
        covered = np.mean([each.low <= 0.9 <= each.high for each in found])
        assert 0.925 < covered < 0.985  # standard error 0.008


def test_holm_by_hand():
    # sorted 0.01 0.02 0.03 0.2, times 4 3 2 1: 0.04 0.06 0.06 0.2; the third is raised to the second
    np.testing.assert_allclose(holm([0.2, 0.01, 0.03, 0.02]), [0.2, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    np.testing.assert_allclose(holm([0.04, NAN, 0.01]), [0.08, NAN, 0.03])
    assert holm([]).shape == (0,)


def test_holm_controls_the_family_wise_error_and_plain_tests_do_not():
    rng = np.random.default_rng(3)
    seeds = range(8)
    plain = corrected = 0
    for _ in range(400):
        baseline = rng.normal(0, 1, 8)  # shared: the comparisons depend on each other
        p = [paired_difference(seeds, rng.normal(0, 1, 8), seeds, baseline).p for _ in range(5)]
        plain += min(p) <= 0.05
        corrected += holm(p).min() <= 0.05
    assert corrected / 400 < 0.085  # at most 0.05, standard error 0.011
    assert plain / 400 > 0.12


@pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_seeds_needed_are_those_of_the_published_tables(effect, n):
    assert seeds_needed(effect * 3, 3.0) == seeds_needed(-effect, 1.0) == n
    assert paired_power(n - 1, effect) < 0.8 <= paired_power(n, effect)


def test_the_power_is_the_fraction_of_significant_tests():
    draws = np.random.default_rng(0).normal(0.9, 1, (4000, 8))
    found = np.mean(scipy.stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.1)
    assert paired_power(8, 0.9, level=0.9) == pytest.approx(found, abs=0.02)  # standard error 0.007
    assert paired_power(8, 0.0, level=0.9) == pytest.approx(0.1)


def test_seeds_needed_at_its_limits():
    assert seeds_needed(50.0, 1.0) == seeds_needed(0.1, 0.0) == 2
    assert seeds_needed(0.0, 1.0) == seeds_needed(0.0, 0.0) == seeds_needed(1e-6, 1.0) == INF
    assert np.isnan([seeds_needed(NAN, 1.0), seeds_needed(1.0, NAN)]).all()
    with pytest.raises(InputError, match=r"^power: 1 is out of range; accepted: above 0 and below 1$"):
        seeds_needed(1.0, 1.0, power=1)
    with pytest.raises(InputError, match=r"^deviation: -1.0 is out of range"):
        seeds_needed(1.0, -1.0)
