"""Intervals of means and values selected per run, against SciPy and formulas by hand."""

import numpy as np
import pytest
import scipy.stats

from rnnlab.stats import at_best_validation, best_over_epochs, last_epoch, mean_interval

NAN, INF = np.nan, np.inf
pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 16])
def test_the_interval_is_scipys(n, level):
    values = np.random.default_rng(n).normal(3, 2, n)
    found = mean_interval(values, level)
    low, high = scipy.stats.ttest_1samp(values, 0).confidence_interval(level)
    np.testing.assert_allclose(found, (values.mean(), low, high, n), rtol=1e-12)


def test_the_interval_by_hand():
    # mean 2, s = 1, n = 3, t(0.975, 2) = 4.302652729911275
    found = mean_interval(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(found, (2, 2 - 4.302652729911275 / 3**0.5, 2 + 4.302652729911275 / 3**0.5, 3), rtol=1e-9)


def test_the_interval_has_its_stated_coverage():
    draws = np.random.default_rng(0).normal(1, 1, (2000, 4))
    covered = np.mean([low <= 1 <= high for _, low, high, _ in map(mean_interval, draws)])
    assert 0.935 < covered < 0.965  # 0.95 with a standard error of 0.005


def test_values_that_are_not_finite_are_left_out_and_not_counted():
    assert mean_interval(np.array([1.0, NAN, 3.0, INF, 2.0, -INF])) == mean_interval(np.array([1.0, 3.0, 2.0]))


def test_one_value_has_no_interval_and_none_has_no_mean():
    mean, low, high, n = mean_interval(np.array([4.0]))
    assert (mean, n) == (4.0, 1)
    assert np.isnan([low, high]).all()
    for nothing in (np.array([]), np.array([NAN, NAN])):
        mean, low, high, n = mean_interval(nothing)
        assert n == 0
        assert np.isnan([mean, low, high]).all()


VALIDATION = np.array([[3.0, 1.0, 2.0], [NAN, 2.0, INF], [NAN, NAN, NAN], [1.0, 1.0, 5.0]])
TEST = np.array([[0.9, 0.5, 0.8], [0.7, 0.6, 0.9], [0.1, 0.2, 0.3], [0.4, 0.6, 0.5]])


def test_the_value_at_best_validation_is_taken_at_the_first_lowest_loss():
    # the fourth ties: the first epoch counts
    np.testing.assert_array_equal(at_best_validation(VALIDATION, TEST), [0.5, 0.6, NAN, 0.4])


def test_the_best_over_epochs_is_at_least_the_value_at_best_validation():
    np.testing.assert_array_equal(best_over_epochs(TEST, higher_is_better=True), [0.9, 0.9, 0.3, 0.6])
    np.testing.assert_array_equal(best_over_epochs(TEST, higher_is_better=False), [0.5, 0.6, 0.1, 0.4])
    selected = at_best_validation(VALIDATION, TEST)
    kept = ~np.isnan(selected)
    assert (best_over_epochs(TEST, True)[kept] >= selected[kept]).all()
    assert (best_over_epochs(TEST, True)[kept] > selected[kept]).any()


@pytest.mark.parametrize("higher", [True, False])
def test_best_skips_what_is_not_finite(higher):
    values = np.array([[NAN, 2.0, INF], [-INF, NAN, NAN], [NAN, -5.0, 1.0]])
    np.testing.assert_array_equal(best_over_epochs(values, higher), [2.0, NAN, 1.0 if higher else -5.0])


def test_no_epochs_give_nan():
    none = np.zeros((2, 0))
    for found in (at_best_validation(none, none), best_over_epochs(none, True), last_epoch(none)):
        np.testing.assert_array_equal(found, [NAN, NAN])


def test_the_last_epoch_may_be_nan():
    np.testing.assert_array_equal(last_epoch(np.array([[1.0, 2.0], [3.0, NAN]])), [2.0, NAN])
