"""Intervals and the numbers that stand for a run, against scipy and against formulas by hand."""

import numpy as np
import pytest
import scipy.stats

from rnnlab.core.errors import InputError
from rnnlab.stats import (
    METHODS,
    STATISTICS,
    at_best_validation,
    best_over_epochs,
    estimate,
    interquartile_mean,
    last_epoch,
    mean_interval,
)

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


def test_the_interval_covers_the_truth_as_often_as_it_says():
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


SKEWED = np.array([0.3, 2.9, 0.7, 0.1, 1.2, 0.5, 6.4, 0.9])


def test_the_interquartile_mean_by_hand():
    # sorted: 0.1 0.3 | 0.5 0.7 0.9 1.2 | 2.9 6.4
    assert interquartile_mean(SKEWED) == pytest.approx((0.5 + 0.7 + 0.9 + 1.2) / 4)
    assert interquartile_mean(np.array([1.0, 5.0, 9.0, 2.0, 100.0])) == pytest.approx((2 + 5 + 9) / 3)
    assert interquartile_mean(np.array([1.0, 2.0, 9.0])) == pytest.approx(4)  # too few to cut


@pytest.mark.parametrize("n", [2, 3, 16])
def test_an_estimated_mean_is_the_mean_and_its_interval(n):
    values = np.random.default_rng(n).normal(3, 2, n)
    np.testing.assert_allclose(estimate(values, "mean", level=0.9), mean_interval(values, 0.9), rtol=1e-12)


def test_below_four_values_the_interquartile_mean_is_the_mean():
    np.testing.assert_allclose(estimate(SKEWED[:3]), mean_interval(SKEWED[:3]), rtol=1e-12)


def resampled(strata, statistic, resamples=40_000):
    """The statistic of pooled resamples, each stratum on its own: an independent form of the bootstrap."""
    rng = np.random.default_rng(99)
    drawn = [rng.choice(x, (resamples, len(x))) for x in strata]
    return np.array([statistic(x) for x in np.concatenate(drawn, axis=1)])


def trimmed(x):
    cut = len(x) // 4
    return sum(sorted(x)[cut : len(x) - cut]) / (len(x) - 2 * cut)


STRATA = [SKEWED, np.array([10.0, 12.0, 11.0, 19.0, 13.0])]


@pytest.mark.parametrize("strata", [STRATA[:1], STRATA], ids=["one stratum", "two strata"])
def test_the_intervals_of_the_interquartile_mean_by_their_formulas(strata):
    pooled = np.concatenate(strata)
    drawn = resampled(strata, trimmed)
    value, n = trimmed(pooled), len(pooled)
    half = scipy.stats.t.ppf(0.975, n - len(strata)) * drawn.std()
    # BCa, Efron and Tibshirani's equations 14.10 to 14.15, the jackknife over the values of every stratum
    cube = square = 0.0
    for k, x in enumerate(strata):
        left_out = [np.concatenate([*strata[:k], np.delete(x, i), *strata[k + 1 :]]) for i in range(len(x))]
        jack = np.array([trimmed(v) for v in left_out])
        u = (len(x) - 1) * (jack.mean() - jack) / len(x)
        cube, square = cube + (u**3).sum(), square + (u**2).sum()
    phi = scipy.stats.norm
    # ties count half
    bias = phi.ppf((np.mean(drawn < value - 1e-9) + np.mean(drawn < value + 1e-9)) / 2)
    shifted = bias + phi.ppf([0.025, 0.975])
    bca = np.quantile(drawn, phi.cdf(bias + shifted / (1 - cube / (6 * square**1.5) * shifted)))
    ends = {"t": (value - half, value + half), "percentile": np.quantile(drawn, [0.025, 0.975]), "bca": bca}
    for method, (low, high) in ends.items():
        found = estimate(strata, "interquartile_mean", method)
        np.testing.assert_allclose(found, (value, low, high, n), rtol=0.02, atol=0.02, err_msg=method)


def test_the_mean_of_strata_is_not_less_sure_for_their_levels():
    # half the weight on each: the error is sqrt(s1^2/4/4 + s2^2/4/4), with s = 1.29099 and 2.58199, on 6 degrees
    strata = np.array([[1.0, 2.0, 3.0, 4.0], [102.0, 104.0, 106.0, 108.0]])
    half = scipy.stats.t.ppf(0.975, 6) * np.sqrt((5 / 3 + 20 / 3) / 16)
    np.testing.assert_allclose(estimate(strata, "mean"), (53.75, 53.75 - half, 53.75 + half, 8), rtol=1e-12)


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_bootstrap_is_scipys(statistic, method):
    found = estimate(SKEWED, statistic, method, level=0.9, seed=3)
    theirs = scipy.stats.bootstrap(
        (SKEWED,), STATISTICS[statistic], method=method, confidence_level=0.9, random_state=np.random.default_rng(8)
    )
    np.testing.assert_allclose(found[1:3], theirs.confidence_interval, rtol=0.05)


def test_a_report_is_reproducible_and_a_seed_matters():
    once, again, other = (estimate(SKEWED, "median", "t", seed=seed) for seed in (5, 5, 6))
    assert once == again
    assert once.low != other.low


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_what_cannot_be_estimated_is_nan_and_never_made_up(statistic, method):
    def found(values):
        return estimate(values, statistic, method, resamples=99)

    assert found(np.array([NAN, 1.0, INF, 3.0, 4.0, 9.0, 2.0])) == found(np.array([1.0, 3.0, 4.0, 9.0, 2.0]))
    for nothing in ([], [NAN], [[1.0, 2.0], [NAN, NAN]]):
        assert np.isnan(found(nothing)[:3]).all()
    assert found([[1.0, 2.0], [NAN, NAN]]).n == 2
    for one in ([4.0], [4.0, NAN], [[4.0, 4.0], [4.0, NAN]]):
        value, low, high, _ = found(one)
        assert value == 4
        assert np.isnan([low, high]).all()
    value, low, high, n = found(np.full(5, 0.1))
    assert low == value == high == pytest.approx(0.1)
    assert n == 5


def test_bca_falls_back_to_percentiles_where_it_is_undefined():
    # leaving out any value leaves the median where it is: the jackknife has no spread
    values = np.array([1.0, 1.0, 1.0, 1.0, 5.0, 9.0])
    assert estimate(values, "median", "bca") == estimate(values, "median", "percentile")
    assert estimate(values, "median", "bca").high > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"statistic": "meen"}, "statistic: unknown value 'meen'; did you mean 'mean'?"),
        ({"method": "bcs"}, "method: unknown value 'bcs'; did you mean 'bca'?"),
        ({"level": 95}, "level: 95 is out of range; accepted: above 0 and below 1"),
    ],
)
def test_a_mistake_is_told_in_one_line(options, message):
    with pytest.raises(InputError) as caught:
        estimate(SKEWED, **options)
    assert str(caught.value).startswith(message)


def coverage(statistic, method, n, simulations, resamples):
    """Part of normal samples whose 95 % interval holds the true value 0."""
    draws = np.random.default_rng(n).normal(0, 1, (simulations, n))
    found = [estimate(x, statistic, method, resamples=resamples, seed=k) for k, x in enumerate(draws)]
    return np.mean([low <= 0 <= high for _, low, high, _ in found])


@pytest.mark.parametrize("statistic", ["median", "interquartile_mean"])
def test_the_default_interval_covers_in_a_small_simulation(statistic):
    assert 0.91 < coverage(statistic, "t", 16, 300, 199) < 0.98  # standard error 0.0126


@pytest.mark.slow
@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_default_interval_covers_as_often_as_it_says(statistic):
    assert 0.93 < coverage(statistic, "t", 16, 2000, 499) < 0.97  # standard error 0.005


@pytest.mark.slow
@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_the_bootstrap_covers_less_than_it_says_and_for_means_of_four_far_less(method):
    # what the docstring states, within three standard errors
    assert coverage("interquartile_mean", method, 16, 2000, 499) == pytest.approx(0.929, abs=0.017)
    assert coverage("mean", method, 4, 2000, 499) == pytest.approx(0.794, abs=0.027)


VALIDATION = np.array([[3.0, 1.0, 2.0], [NAN, 2.0, INF], [NAN, NAN, NAN], [1.0, 1.0, 5.0]])
TEST = np.array([[0.9, 0.5, 0.8], [0.7, 0.6, 0.9], [0.1, 0.2, 0.3], [0.4, 0.6, 0.5]])


def test_the_honest_number_is_taken_where_validation_is_best():
    # the fourth ties: the first epoch counts
    np.testing.assert_array_equal(at_best_validation(VALIDATION, TEST), [0.5, 0.6, NAN, 0.4])


def test_the_papers_number_is_the_best_and_so_at_least_as_good():
    np.testing.assert_array_equal(best_over_epochs(TEST, higher_is_better=True), [0.9, 0.9, 0.3, 0.6])
    np.testing.assert_array_equal(best_over_epochs(TEST, higher_is_better=False), [0.5, 0.6, 0.1, 0.4])
    honest = at_best_validation(VALIDATION, TEST)
    known = ~np.isnan(honest)
    assert (best_over_epochs(TEST, True)[known] >= honest[known]).all()
    assert (best_over_epochs(TEST, True)[known] > honest[known]).any()


@pytest.mark.parametrize("higher", [True, False])
def test_best_skips_what_is_not_finite(higher):
    values = np.array([[NAN, 2.0, INF], [-INF, NAN, NAN], [NAN, -5.0, 1.0]])
    np.testing.assert_array_equal(best_over_epochs(values, higher), [2.0, NAN, 1.0 if higher else -5.0])


def test_no_epochs_give_no_numbers():
    none = np.zeros((2, 0))
    for found in (at_best_validation(none, none), best_over_epochs(none, True), last_epoch(none)):
        np.testing.assert_array_equal(found, [NAN, NAN])


def test_the_last_epoch_is_the_last_even_where_it_is_missing():
    np.testing.assert_array_equal(last_epoch(np.array([[1.0, 2.0], [3.0, NAN]])), [2.0, NAN])
