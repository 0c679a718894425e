"""Claims: what each comparison tests, how rules combine them, and when a verdict is reached."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from rnnlab import claims, stats
from rnnlab.claims import (
    Claim,
    about,
    above,
    all_of,
    any_of,
    at_best_validation,
    at_epoch,
    below,
    equivalent,
    higher,
    in_most,
    judge,
    last,
    lower,
    ordered,
    sooner,
)
from rnnlab.claims.rules import outcome, p_fails, p_holds
from rnnlab.config.experiment import Arm, Config
from tests.helpers.groups import group

LOSS = ("train", "loss")
CONFIG = Config(experiment="x", arms={"a": Arm("rnn"), "b": Arm("lstm")}, data="digits", protocol="own", epochs=3)
SUMMARY = {"arms": {}}
RANDOM = np.random.RandomState(7)
BASE = RANDOM.normal(size=(8, 3))
SMALLER = BASE - 1 + 0.1 * RANDOM.normal(size=(8, 3))
END = last(*LOSS)


def verdict(rule, groups, *, config=CONFIG, planned=CONFIG, **fields):
    claim = Claim("X1", "A sentence.", "1.5", ["a", "b"], rule, **fields)
    (judged,) = judge([claim], groups, config, planned, SUMMARY)
    return judged


def a_lower(found):
    return lower(found.group("a"), found.group("b"), END)


@pytest.mark.parametrize(("first", "second", "reached"), [(SMALLER, BASE, "holds"), (BASE, SMALLER, "fails")])
def test_a_significant_paired_difference_holds_with_the_claimed_sign_and_fails_with_the_other(first, second, reached):
    found = verdict(a_lower, [group("a", first), group("b", second)])
    low, high = scipy.stats.ttest_rel(first[:, -1], second[:, -1]).confidence_interval(0.9)
    np.testing.assert_allclose([found.effect, found.low, found.high], [(low + high) / 2, low, high], rtol=1e-10)
    assert (found.name, found.published, found.outcome, found.n, found.to_decide) == ("X1", "1.5", reached, 8, "")
    assert f"train loss: a - b: {found.effect:.4g} ({low:.4g} to {high:.4g}, n = 8)" in found.measured


def test_an_interval_that_includes_0_is_undecided_and_states_the_seeds_for_80_percent_power():
    wide = BASE + 0.3 * np.array([1, -1, 1, -1, 1, -1, 1, 0.5])[:, None]
    found = verdict(a_lower, [group("a", wide), group("b", BASE)])
    assert found.outcome == "undecided"
    assert found.low < 0 < found.high
    seeds = int(found.to_decide.split()[2].replace(",", ""))
    shift = found.effect / np.std((wide - BASE)[:, -1], ddof=1)
    for n, enough in ((seeds, True), (seeds - 1, False)):  # one-sided power by scipy's noncentral t
        power = scipy.stats.nct.sf(scipy.stats.t.ppf(0.95, n - 1), n - 1, math.sqrt(n) * shift)
        assert (power >= 0.8) == enough


@pytest.mark.parametrize(
    ("comparison", "boundary", "side"),
    [
        (lambda a, b: above(a, END, 0.78), 0.78, "greater"),
        (lambda a, b: below(a, END, 0.78), 0.78, "less"),
        (lambda a, b: higher(a, b, END, by=-0.02), -0.02, "greater"),
        (lambda a, b: lower(a, b, END, by=0.01), -0.01, "less"),
        (lambda a, b: claims.no_worse(a, b, END, within=0.05), -0.05, "greater"),
    ],
)
def test_a_comparison_with_a_boundary_is_a_one_sided_t_test_against_it(comparison, boundary, side):
    a, b = 0.8 + 0.01 * BASE, 0.8 + 0.01 * SMALLER
    part = comparison(group("a", a), group("b", b))
    values = a[:, -1] - (b[:, -1] if abs(boundary) < 0.1 else 0)
    expected = scipy.stats.ttest_1samp(values, boundary, alternative=side)
    low, high = scipy.stats.ttest_1samp(values, boundary).confidence_interval(0.9)
    np.testing.assert_allclose(
        [part.effect, part.low, part.high, part.p_holds, part.p_fails],
        [values.mean(), low, high, expected.pvalue, 1 - expected.pvalue],
        rtol=1e-8, atol=1e-12,
    )  # fmt: skip


@pytest.mark.parametrize(("within", "reached"), [(0.5, "holds"), (0.03, "undecided"), (0.0001, "fails")])
def test_equivalence_is_two_one_sided_tests_that_agree_with_the_90_percent_interval(within, reached):
    d = 0.02 + 0.03 * np.array([1, -1, 0.5, -0.5, 1.5, -1, 0.5, 0]) * (1 if within > 0.01 else 0.1)
    part = equivalent(group("a", BASE + d[:, None]), group("b", BASE), END, within=within)
    tests = [scipy.stats.ttest_1samp(d, -within), scipy.stats.ttest_1samp(d, within)]
    over, under = (tests[0].statistic, tests[1].statistic)
    assert part.p_holds == pytest.approx(max(scipy.stats.t.sf(over, 7), scipy.stats.t.cdf(under, 7)))
    assert part.p_fails == pytest.approx(min(1, 2 * min(scipy.stats.t.cdf(over, 7), scipy.stats.t.sf(under, 7))))
    assert outcome(part, 0.05) == reached
    assert (part.p_holds <= 0.05) == (-within < part.low and part.high < within)
    moved = about(group("a", 3 + np.tile(d[:, None], 3)), END, 3, within=within)
    assert (moved.p_holds, moved.effect) == (pytest.approx(part.p_holds), pytest.approx(3 + d.mean()))


def comparison_of(p: float) -> claims.Comparison:
    """One with this p-value; a negative one contradicts the claim."""
    against = 1.0 if p > 0 else abs(p)
    return claims.Comparison(f"p{p:g}", 0.5, 0.1, 0.9, 4, p if p > 0 else 1.0, against, p > 0, lambda _, __: 30.0) \
        if not math.isnan(p) else claims.Comparison("pnan", 0.5, 0.1, 0.9, 4, p, p, False, lambda _, __: p)  # fmt: skip


@pytest.mark.parametrize(
    ("p", "joined", "reached", "decides"),
    [
        ((0.02, 0.03, 0.04), all_of, "holds", "p0.04"),  # no correction where all are needed
        ((0.02, 0.03, 0.06), all_of, "undecided", "p0.06"),
        ((0.01, -0.01, 0.5), all_of, "fails", "p-0.01"),  # 0.03
        ((0.01, -0.02, 0.5), all_of, "undecided", "p-0.02"),  # 0.06
        ((0.01, -0.001, 0.5), any_of, "holds", "p0.01"),
        ((0.02, -0.001, 0.5), any_of, "undecided", "p0.02"),  # 0.06
        ((-0.01, -0.02, -0.04), any_of, "fails", "p-0.04"),
        ((math.nan, 0.001), all_of, "undecided", "pnan"),
        ((math.nan, 0.001), any_of, "holds", "p0.001"),
    ],
)
def test_all_needs_every_part_at_the_full_level_and_any_is_corrected(p, joined, reached, decides):
    rule = joined(*map(comparison_of, p))
    found = verdict(lambda _: rule, [group("a", BASE), group("b", BASE)])
    assert found.outcome == reached
    assert found.measured.startswith(decides + ":")
    assert f"of {len(p)} comparisons" in found.measured
    assert len(found.parts) == len(p)
    if math.nan not in p:
        by_hand = (max, lambda q: min(1, 3 * min(q)))
        over, under = by_hand if joined is all_of else by_hand[::-1]
        assert p_holds(rule) == pytest.approx(over([x if x > 0 else 1.0 for x in p]))
        assert p_fails(rule) == pytest.approx(under([1.0 if x > 0 else -x for x in p]))


def test_rules_nest():
    rule = all_of(comparison_of(0.01), any_of(comparison_of(0.02), comparison_of(-0.001)))
    assert (p_holds(rule), p_fails(rule)) == (0.04, 1)
    assert outcome(rule, 0.05) == "holds"


def test_an_order_is_a_chain_of_paired_differences():
    three = [group(name, BASE + shift) for name, shift in (("a", 2), ("b", 1), ("c", 0))]
    noisy = [one._replace(values={LOSS: one.values[LOSS] + 0.1 * RANDOM.normal(size=(8, 3))}) for one in three]
    rule = ordered(noisy, END)
    assert [part.label for part in rule.parts] == ["train loss: a - b", "train loss: b - c"]
    assert outcome(rule, 0.05) == "holds"
    assert outcome(ordered(noisy[::-1], END), 0.05) == "fails"


def test_below_at_every_epoch_needs_each_and_one_above_refutes_it():
    assert (
        outcome(claims.lower_at_every_epoch(group("a", SMALLER), group("b", BASE), *LOSS, (1, 2, 3)), 0.05) == "holds"
    )
    crossing = SMALLER + np.array([0, 2, 0])
    rule = claims.lower_at_every_epoch(group("a", crossing), group("b", BASE), *LOSS, (1, 2, 3))
    assert outcome(rule, 0.05) == "fails"
    assert outcome(claims.lower_at_every_epoch(group("a", crossing), group("b", BASE), *LOSS, (1, 3)), 0.05) == "holds"


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_without_spread_between_runs_a_claim_is_undecided(shift):
    found = verdict(a_lower, [group("a", BASE - shift), group("b", BASE)])
    assert found.outcome == "undecided"
    assert "spread between runs" in found.to_decide


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"a": {"values": SMALLER[:1]}}, "needs 4 runs of every arm (a has 1)"),
        ({"b": None}, "needs arm b"),
        ({"b": {"values": BASE[:, :0]}}, "needs 3 epochs (b has 0)"),
        ({"a": None, "b": None}, "needs arms a, b"),
        ({"config": replace(CONFIG, hidden_size=16, data="mnist")}, "needs the study's own data, hidden_size"),
        ({"config": replace(CONFIG, learning_rate=(1e-3, 1e-2))}, "needs the study's own learning_rate"),
        ({"config": replace(CONFIG, arms={**CONFIG.arms, "b": Arm("gru")})}, "needs the study's own b"),
        ({"fields": {"protocols": ["paper"]}}, "needs protocol paper"),
        ({"fields": {"seeds": 9}}, "needs 9 runs of every arm (a has 8)"),
        ({"fields": {"epochs": 9}}, "needs 9 epochs (a has 3)"),
    ],
)
def test_a_run_that_lacks_what_the_claim_requires_is_undecided(changes, words):
    arms = {"a": {"values": SMALLER}, "b": {"values": BASE}, **{k: v for k, v in changes.items() if k in "ab"}}
    found = verdict(
        a_lower, [group(arm, **made) for arm, made in arms.items() if made], config=changes.get("config", CONFIG),
        **changes.get("fields", {}),
    )  # fmt: skip
    assert (found.outcome, found.to_decide, found.measured, found.n) == ("undecided", words, "", 0)
    assert np.isnan([found.effect, found.low, found.high]).all()


def test_fields_without_effect_on_results_and_later_epochs_do_not_change_a_verdict():
    config = replace(
        CONFIG, seeds=(1, 2), epochs=9, probes=("paths",), keep_params_every=2, runs_per_device=4, eval_batch_size=7
    )
    config = replace(config, arms={**CONFIG.arms, "c": Arm("gru")})
    more = np.concatenate([SMALLER, SMALLER + 100], axis=1)
    longer = [group("a", more), group("b", np.concatenate([BASE, BASE], axis=1))]
    plain = verdict(a_lower, [group("a", SMALLER), group("b", BASE)])
    assert verdict(a_lower, longer, config=config) == plain
    assert plain.outcome == "holds"
    assert verdict(a_lower, longer, config=config, epochs=6).outcome == "fails"  # a claim on later epochs sees them


def test_diverged_runs_are_excluded_and_counted_and_too_few_left_decide_nothing():
    altered = SMALLER.copy()
    altered[[1, 4]] = 1e6
    found = verdict(a_lower, [group("a", altered, diverged=[1, 4]), group("b", BASE)])
    left = [0, 2, 3, 5, 6, 7]
    assert (found.outcome, found.n) == ("holds", 6)
    assert found.effect == pytest.approx(np.mean((SMALLER - BASE)[left, -1]))
    assert "2 of 16 runs diverged" in found.measured
    few = verdict(a_lower, [group("a", SMALLER, diverged=range(5)), group("b", BASE)])
    assert (few.outcome, few.n, few.to_decide) == ("undecided", 3, "needs 4 runs that count (it has 3)")


def test_a_diverged_run_of_a_group_that_the_rule_does_not_use_changes_nothing():
    other = group("a", SMALLER, diverged=range(8), learning_rate=1.0)
    used = [group("a", SMALLER, learning_rate=0.1), group("b", BASE, learning_rate=0.1)]
    rule = lambda found: lower(found.group("a", learning_rate=0.1), found.group("b"), END)  # noqa: E731
    found = verdict(rule, [other, *used])
    assert found.outcome == "holds"
    assert "diverged" not in found.measured
    assert found.measured.startswith("train loss: a (learning rate 0.1) - b:")


def test_a_diverged_run_counts_as_its_value_says():
    of_a = group("a", SMALLER, diverged=[1])
    np.testing.assert_array_equal(np.isnan(END(of_a)), np.arange(8) == 1)
    assert END.or_worst(7.0)(of_a)[1] == 7
    assert END.or_outcome()(of_a)[1] == math.inf
    with pytest.raises(AssertionError, match="no mean"):
        above(of_a, END.or_outcome(), 0)


# seen: 6 of 8 drops by themselves; with the two diverged runs 8 of 8
@pytest.mark.parametrize(("diverged", "count"), [((), 6), ((0, 1), 8)])
def test_more_than_half_of_the_runs_is_an_exact_sign_test_in_which_divergence_is_a_drop(diverged, count):
    drops = np.array([0, 0, 1, 1, 1, 1, 1, 1.0])
    accuracy = np.stack([np.full(8, 0.9), 0.9 - 0.1 * drops], axis=1)
    of_a = group("a", accuracy, ("test", "accuracy"), diverged=diverged)
    part = in_most(of_a, claims.drop_from_best("test", "accuracy"), above=0.01)
    expected = scipy.stats.binomtest(count, 8, 0.5, "greater")
    low, high = scipy.stats.binomtest(count, 8).proportion_ci(0.9)
    np.testing.assert_allclose(part[1:4] + part[5:6], [count / 8, low, high, expected.pvalue], rtol=1e-9)
    other = in_most(of_a, claims.drop_from_best("test", "accuracy"), below=0.01)
    assert (other.effect, other.p_fails) == (1 - count / 8, pytest.approx(expected.pvalue))


def test_seeds_of_the_sign_test_reach_their_power_and_one_fewer_does_not():
    assert stats.seeds_of_sign_test(1.0, 0.05, 0.8) == 5  # 0.5^5 = 0.03
    n = stats.seeds_of_sign_test(0.8, 0.05, 0.8)
    power = [scipy.stats.binom.sf(scipy.stats.binom.isf(0.05, m, 0.5), m, 0.8) for m in range(1, int(n) + 1)]
    assert power[-1] >= 0.8 > max(power[:-1])
    assert stats.seeds_of_sign_test(0.5, 0.05, 0.8, most=30) == math.inf


REACH = claims.epochs_to("validation", "solved", 0.9)


def reaching(arm, epochs, *, diverged=()):
    """Runs whose validation first exceeds 0.9 in these epochs of 6; 0: never."""
    reached = np.array([[0.95 if 0 < epoch <= column else 0.2 for column in range(1, 7)] for epoch in epochs])
    return group(arm, reached, ("validation", "solved"), diverged=diverged)


def test_sooner_is_an_exact_rank_test_with_censored_and_diverged_runs_last():
    early, late = [1, 2, 1, 3, 2, 1, 2, 2], [4, 5, 0, 6, 0, 4, 3, 1]
    part = sooner(reaching("a", early), reaching("b", late, diverged=[7]), REACH)
    a, b = np.array(early), np.array([4, 5, 99, 6, 99, 4, 3, 99])
    assert part.effect == np.mean((a[:, None] < b) + (a[:, None] == b) / 2)
    low = lambda x, y, axis: -scipy.stats.mannwhitneyu(x, y, axis=axis).statistic  # noqa: E731
    expected = scipy.stats.permutation_test((a, b), low, alternative="greater", vectorized=True, n_resamples=20000)
    assert part.p_holds == pytest.approx(expected.pvalue, abs=1e-9)
    assert part.n == 8
    assert "a (8 of 8 reached it) against b (5 of 8 reached it)" in part.label
    other = sooner(reaching("b", late, diverged=[7]), reaching("a", early), REACH)
    assert (other.p_fails, other.supports_claim) == (pytest.approx(part.p_holds), False)
    assert math.isnan(sooner(reaching("a", [0] * 5), reaching("b", [0] * 5), REACH).p_holds)


def test_epochs_to_a_loss_count_downward():
    curves = np.array([[3, 2, 1.0], [3, 3, 3], [0.5, 4, 4]])
    np.testing.assert_array_equal(claims.epochs_to(*LOSS, 1.0)(group("a", curves)), [3, math.inf, 1])


def test_cheaper_is_a_t_test_over_rounds_in_turn():
    timings = {"a": [10.0, 12, 9.5], "b": [20.0, 26, 18]}
    part = claims.cheaper(timings, "a", "b")
    expected = scipy.stats.ttest_1samp(np.log([10 / 20, 12 / 26, 9.5 / 18]), 0, alternative="less")
    assert part.p_holds == pytest.approx(expected.pvalue)
    assert part.effect == pytest.approx(math.exp(np.log([10 / 20, 12 / 26, 9.5 / 18]).mean()))
    assert claims.cheaper(timings, "b", "a").p_fails == pytest.approx(expected.pvalue)
    assert math.isnan(claims.cheaper({"a": [1.0]}, "a", "b").p_holds)


def test_parameters_are_counted_not_tested():
    arms = {"a": {"parameters": 10}, "b": {"parameters": 12}, "c": {}}
    assert [outcome(claims.fewer_parameters(arms, *pair), 0.05) for pair in ("ab", "ba")] == ["holds", "fails"]
    assert outcome(claims.fewer_parameters(arms, "a", "c"), 0.05) == "undecided"


@pytest.mark.parametrize(
    ("end", "first", "repeated", "reached"),
    [([0.0] * 6, 0.0, 0.0, "fails"),  # exactly equal: a proof
     ([0, 0, 3, 0, 0, 2], 1e-6, 5.0, "holds"),  # a case, and again where sums are rounded in another way
     ([0, 0, 3, 0, 0, 2], 1e-6, 0.0, "undecided"),  # a single case may be rounding
     ([1e-3] * 6, 1e-6, 0.0, "undecided"),
     ([3.0] * 6, 1.0, 3.0, "undecided")],
)  # fmt: skip
def test_that_paths_may_part_needs_a_repeated_case_and_is_refuted_by_equality(end, first, repeated, reached):
    metric = ("validation", "param_distance")
    apart = group("independent", np.full((6, 3), 10.0) + BASE[:6], metric, first=0)
    made = [
        group(name, np.stack([np.zeros(6), np.full(6, first), np.asarray(last_one, float)], axis=1), metric, first=0)
        for name, last_one in (("identical", end), ("again", [repeated] * 6))
    ]
    part = claims.paths_may_part(made[0], apart, made[1])
    found = verdict(lambda _: part, [group("a", BASE), group("b", BASE)])
    assert found.outcome == reached
    assert ("identical by determinism" in found.measured) == (reached == "fails")


def test_run_values_match_plain_python():
    random = np.random.RandomState(3)
    test, loss, validated = (random.uniform(size=(5, 4)) for _ in range(3))
    validated[0, [1, 3]] = 0.999  # a tie: the earlier epoch counts
    values = {("test", "accuracy"): test, ("validation", "loss"): loss, ("validation", "accuracy"): validated,
              ("test", "loss"): test}  # fmt: skip
    of_a = group("a", values, diverged=[2])
    alone = group("a", {("test", "accuracy"): test}, diverged=[2])
    expected = {
        last("test", "accuracy"): [row[3] for row in test],
        at_epoch("test", "accuracy", 2): [row[1] for row in test],
        claims.mean_over("test", "accuracy", 2): [(row[2] + row[3]) / 2 for row in test],
        claims.mean_over("test", "accuracy"): [sum(row) / 4 for row in test],
        claims.best("test", "accuracy"): [max(row) for row in test],
        claims.best("test", "accuracy", until=2): [max(row[:2]) for row in test],
        claims.best("test", "accuracy", after=2): [max(row[2:]) for row in test],
        at_best_validation("accuracy"): [
            row[list(by).index(max(by))] for row, by in zip(test, validated, strict=True)
        ],
        at_best_validation("loss"): [row[list(by).index(min(by))] for row, by in zip(test, loss, strict=True)],
        claims.rise_from_lowest(claims.HELD_OUT, "loss"): [row[3] - min(row) for row in loss],
        claims.slope("test", "accuracy"): [np.polyfit([1, 2, 3, 4], row, 1)[0] for row in test],
        claims.slope("test", "accuracy", 2): [np.polyfit([2, 3, 4], row[1:], 1)[0] for row in test],
        claims.fluctuation("test", "accuracy", 2): [(abs(r[2] - r[1]) + abs(r[3] - r[2])) / 2 for r in test],
        last("test", "accuracy") - last("validation", "loss"): [a[3] - b[3] for a, b in zip(test, loss, strict=True)],
        last("test", "accuracy") * 0.5: [row[3] / 2 for row in test],
    }  # fmt: skip
    for number, by_run in expected.items():
        found = number(of_a)
        assert np.isnan(found[2])
        np.testing.assert_allclose(np.delete(found, 2), np.delete(by_run, 2), rtol=1e-12)
    drops = claims.drop_from_best("test", "accuracy")(of_a)
    np.testing.assert_allclose(np.delete(drops, 2), np.delete([max(row) - row[3] for row in test], 2))
    assert drops[2] == math.inf
    # where a protocol validates on test
    np.testing.assert_array_equal(at_best_validation("accuracy")(alone)[[0, 4]], test[[0, 4], 3])
    np.testing.assert_array_equal(last(claims.HELD_OUT, "accuracy")(alone)[[0, 4]], test[[0, 4], 3])
    assert np.isnan(at_epoch("test", "accuracy", 9)(of_a)).all()
    assert np.isnan(last("test", "nothing")(of_a)).all()
    assert at_best_validation("accuracy").words == "test accuracy at the best validation accuracy"


def test_an_unmeasured_metric_or_disjoint_seeds_are_reported_as_undecided():
    unmeasured = [group("a", SMALLER, ("train", "accuracy")), group("b", BASE)]
    found = verdict(a_lower, unmeasured)
    assert (found.outcome, found.n, found.measured) == ("undecided", 0, "train loss: a - b: not measured")
    apart = verdict(a_lower, [group("a", SMALLER), group("b", BASE, seeds=range(7, 15))])
    assert (apart.outcome, apart.n) == ("undecided", 1)
    assert "needs 4 runs that count" in apart.to_decide


def test_the_best_hyperparameters_are_chosen_by_the_metric_on_validation_and_by_fewest_diverged_runs():
    accuracy, test = ("validation", "accuracy"), ("test", "accuracy")
    made = [
        group("a", {accuracy: BASE + on_validation, test: BASE + on_test}, diverged=dead, learning_rate=rate)
        for rate, on_validation, on_test, dead in ((1e-3, 2, 9, []), (2e-3, 4, 1, []), (3e-3, 9, 5, [0]))
    ]
    made = [one._replace(values={**one.values, ("validation", "loss"): BASE}) for one in made]
    found = claims.Evidence([group("b", BASE - 9), *made], {})
    assert found.best_on_validation("a", "accuracy").hyperparams == {"learning_rate": 2e-3}
    assert found.group("a", learning_rate=3e-3).arm == "a (learning rate 0.003)"
    assert len(found.used) == 2


def test_the_number_of_verdicts_by_chance_is_over_the_judged_claims_alone():
    judged = verdict(a_lower, [group("a", SMALLER), group("b", BASE)])
    lacking = verdict(a_lower, [group("a", SMALLER)])
    assert claims.family([judged] * 39 + [lacking]).startswith("39 claims were judged, 39 of them decided.")
    assert "up to 2 of them wrongly" in claims.family([judged] * 39)
    assert claims.family([lacking]) == ""
    assert claims.family([judged]) in claims.text([judged])
    assert claims.text([]) == ""
