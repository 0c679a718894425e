"""Claims: what each rule measures, when a verdict is reached, and that the studies' claims mean what papers say."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

import experiments
from experiments.cli.main import _parser, main
from experiments.cli.run import configuration
from rnnlab import claims
from rnnlab.claims import Claim, about, above, at_best_validation, at_epoch, below, cheaper, higher, judge, last, lower
from rnnlab.config.experiment import Arm, Config, to_json
from rnnlab.runs.hyperparam_grid import hyperparam_grids
from rnnlab.stats.summary import Group, Headline
from rnnlab.storage import files
from rnnlab.storage.metrics import Metrics

LOSS = ("train", "loss")
CONFIG = Config(experiment="x", arms={"a": Arm("rnn"), "b": Arm("lstm")}, data="digits", protocol="own", epochs=3)
SUMMARY = {"arms": {}, "success_threshold": None}
RANDOM = np.random.RandomState(7)
BASE = RANDOM.normal(size=(8, 3))


def group(arm: str, values, metric=LOSS, *, diverged=(), first=1, seeds=None, **hyperparams) -> Group:
    """``values [n, E]`` of one metric, or a dict of them, for the epochs from ``first`` on."""
    values = values if isinstance(values, dict) else {metric: np.asarray(values, np.float64)}
    count, epochs = next(iter(values.values())).shape
    seeds = np.arange(count) if seeds is None else np.asarray(seeds)
    steps = 10 * (np.arange(epochs) + first)
    return Group(arm, hyperparams, seeds, np.arange(epochs) + first, values, np.isin(np.arange(count), diverged), steps)


def verdict(rule, groups, *, config=CONFIG, planned=CONFIG, summary=SUMMARY, **fields):
    claim = Claim("X1", "A sentence.", "1.5", ["a", "b"], rule, **fields)
    (judged,) = judge([claim], groups, config, planned, summary)
    return judged


def a_lower(evidence):
    return [lower(evidence.group("a"), evidence.group("b"), last(*LOSS), "loss")]


SMALLER = BASE - 1 + 0.1 * RANDOM.normal(size=(8, 3))


@pytest.mark.parametrize(("first", "second", "outcome"), [(SMALLER, BASE, "holds"), (BASE, SMALLER, "fails")])
def test_a_significant_paired_difference_holds_with_the_claimed_sign_and_fails_with_the_other(first, second, outcome):
    found = verdict(a_lower, [group("a", first), group("b", second)])
    expected = scipy.stats.ttest_rel(first[:, -1], second[:, -1])
    low, high = expected.confidence_interval(0.95)
    np.testing.assert_allclose([found.effect, found.low, found.high], [(low + high) / 2, low, high], rtol=1e-10)
    assert (found.name, found.published, found.outcome, found.n, found.to_decide) == ("X1", "1.5", outcome, 8, "")
    assert f"{found.effect:.4g} ({low:.4g} to {high:.4g}, n = 8)" in found.measured


def test_an_interval_that_includes_0_is_undecided_and_states_the_seeds_for_80_percent_power():
    wide = BASE + 0.3 * np.array([1, -1, 1, -1, 1, -1, 1, 0.5])[:, None]
    found = verdict(a_lower, [group("a", wide), group("b", BASE)])
    assert found.outcome == "undecided"
    assert found.low < 0 < found.high
    seeds = int(found.to_decide.split()[2].replace(",", ""))
    shift = found.effect / np.std((wide - BASE)[:, -1], ddof=1)
    for n, enough in ((seeds, True), (seeds - 1, False)):  # two-sided power by scipy's noncentral t
        edge = scipy.stats.t.ppf(0.975, n - 1)
        power = scipy.stats.nct.sf(edge, n - 1, math.sqrt(n) * shift) + scipy.stats.nct.cdf(
            -edge, n - 1, math.sqrt(n) * shift
        )
        assert (power >= 0.8) == enough


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_without_spread_between_runs_a_claim_is_undecided(shift):
    found = verdict(a_lower, [group("a", BASE - shift), group("b", BASE)])
    assert found.outcome == "undecided"
    assert "spread between runs" in found.to_decide


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"a": {"values": SMALLER[:1]}}, "needs 4 finite runs of every arm (a has 1)"),
        ({"b": {"values": BASE, "diverged": range(5)}}, "needs 4 finite runs of every arm (b has 3)"),
        ({"b": None}, "needs arm b"),
        ({"b": {"values": BASE[:, :0]}}, "needs 3 epochs (b has 0)"),
        ({"a": None, "b": None}, "needs arms a, b"),
        ({"config": replace(CONFIG, hidden_size=16, data="mnist")}, "needs the study's own data, hidden_size"),
        ({"config": replace(CONFIG, learning_rate=(1e-3, 1e-2))}, "needs the study's own learning_rate"),
        ({"config": replace(CONFIG, arms={**CONFIG.arms, "b": Arm("gru")})}, "needs the study's own b"),
        ({"fields": {"protocols": ["paper"]}}, "needs protocol paper"),
        ({"fields": {"seeds": 9}}, "needs 9 finite runs of every arm (a has 8)"),
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
    more = np.concatenate([SMALLER, BASE + 100], axis=1)
    longer = [group("a", more), group("b", np.concatenate([BASE, BASE], axis=1))]
    plain = verdict(a_lower, [group("a", SMALLER), group("b", BASE)])
    assert verdict(a_lower, longer, config=config) == plain
    assert plain.outcome == "holds"


def test_diverged_runs_are_excluded_and_counted():
    altered = SMALLER.copy()
    altered[[1, 4]] = 1e6
    found = verdict(a_lower, [group("a", altered, diverged=[1, 4]), group("b", BASE)])
    left = [0, 2, 3, 5, 6, 7]
    assert found.outcome == "holds"
    assert found.n == 6
    assert found.effect == pytest.approx(np.mean((SMALLER - BASE)[left, -1]))
    assert "2 diverged runs excluded" in found.measured


def test_above_below_and_about_are_one_sample_t_tests():
    values = 0.8 + 0.01 * BASE
    of_a = group("a", values)
    for part, boundary, right in (
        (above(of_a, last(*LOSS), 0.78, "loss"), 0.78, True),
        (below(of_a, last(*LOSS), 0.78, "loss"), 0.78, False),
        (about(of_a, last(*LOSS), 0.8, "loss")[1], 0.825, True),
    ):
        expected = scipy.stats.ttest_1samp(values[:, -1], boundary)
        low, high = expected.confidence_interval(0.95)
        np.testing.assert_allclose(
            [part.effect, part.low, part.high, part.p], [values[:, -1].mean(), low, high, expected.pvalue], rtol=1e-8
        )
        assert part.supports_claim == right


def test_higher_by_a_margin_tests_against_the_margin():
    part = higher(group("a", SMALLER), group("b", BASE), last(*LOSS), "loss", by=-1.5)
    expected = scipy.stats.ttest_1samp((SMALLER - BASE)[:, -1], -1.5)
    assert part.p == pytest.approx(expected.pvalue)
    assert part.effect == pytest.approx(np.mean((SMALLER - BASE)[:, -1]))
    assert part.supports_claim
    assert not higher(group("a", SMALLER), group("b", BASE), last(*LOSS), "loss", by=-0.5).supports_claim


def comparisons_of(*values):
    """A rule of comparisons with these p-values; a negative one contradicts the claim."""
    return lambda evidence: [
        claims.Comparison(f"p{p:g}", 0.5, 0.1, 0.9, 4, abs(p), p > 0, lambda level: 30.0) for p in values
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("p", "one_is_enough", "outcome", "decides"),
    [
        ((0.01, 0.02, 0.04), False, "holds", "p0.04"),  # Holm: 0.03, 0.04, 0.04
        ((0.02, 0.03, 0.04), False, "undecided", "p0.04"),  # 0.06 thrice, where 0.04 alone would hold
        ((0.01, -0.01, 0.5), False, "fails", "p-0.01"),
        ((0.01, -0.03, 0.5), False, "undecided", "p0.5"),  # 0.06
        ((0.01, -0.001, 0.5), True, "holds", "p0.01"),
        ((0.03, -0.001, 0.5), True, "undecided", "p0.03"),
        ((-0.01, -0.02, -0.001), True, "fails", "p-0.02"),
        ((math.nan, 0.001), False, "undecided", "pnan"),
    ],
)
def test_the_comparisons_of_a_claim_are_one_holm_family(p, one_is_enough, outcome, decides):
    found = verdict(comparisons_of(*p), [group("a", BASE), group("b", BASE)], one_is_enough=one_is_enough)
    assert found.outcome == outcome
    assert found.measured.startswith(decides + ":")
    assert f"of {len(p)} comparisons" in found.measured


def test_verdicts_without_an_effect_are_no_more_frequent_than_alpha():
    random, samples, wrong = np.random.RandomState(11), 240, 0
    three = lambda evidence: [*a_lower(evidence), *(  # noqa: E731
        lower(evidence.group("a"), evidence.group("b"), at_epoch(*LOSS, epoch), "loss") for epoch in (1, 2)
    )]  # fmt: skip
    for sample in range(samples):
        a, b = random.normal(size=(2, 4, 3))
        rule, enough = (a_lower, False) if sample % 2 else (three, sample % 4 == 0)
        wrong += verdict(rule, [group("a", a), group("b", b)], one_is_enough=enough).outcome != "undecided"
    assert wrong / samples <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / samples)
    assert wrong  # the test can detect such verdicts


SOLVED = {"metric": "solved", "threshold": 0.9}


def solving(arm: str, epochs, *, diverged=()) -> Group:
    """Runs whose validation first exceeds the threshold in these epochs of 6; 0: never."""
    reached = np.array([[0.95 if 0 < epoch <= column else 0.2 for column in range(1, 7)] for epoch in epochs])
    return group(arm, reached, ("validation", "solved"), diverged=diverged)


def sooner_of(a, b, **fields):
    planned = replace(CONFIG, epochs=6)
    rule = lambda evidence: [claims.sooner(evidence.group("a"), evidence.group("b"), evidence.success_threshold)]  # noqa: E731
    return verdict(
        rule, [a, b], config=planned, planned=planned, summary={**SUMMARY, "success_threshold": SOLVED}, **fields
    )


def test_sooner_is_the_probability_of_fewer_steps_to_solve():
    early, late = [1, 2, 1, 3, 2, 1, 2, 2], [4, 5, 0, 6, 0, 4, 3, 5]
    found = sooner_of(solving("a", early), solving("b", late))
    a, b = np.array(early), np.array([epoch or 99 for epoch in late])
    chance = np.mean((a[:, None] < b) + (a[:, None] == b) / 2)
    assert (found.outcome, found.effect, found.n) == ("holds", pytest.approx(chance), 8)
    assert "a (8 of 8 solved) solves the task in fewer steps than b (6 of 8 solved)" in found.measured
    assert sooner_of(solving("a", late), solving("b", early)).outcome == "fails"


def test_unsolved_runs_tie_and_diverged_runs_count_as_unsolved():
    assert sooner_of(solving("a", [0] * 5), solving("b", [0] * 5)).outcome == "undecided"
    found = sooner_of(solving("a", [1, 1, 1, 1, 1]), solving("b", [0, 0, 0, 0, 1], diverged=[4]))
    assert (found.effect, found.outcome) == (1, "holds")
    assert "b (0 of 5 solved)" in found.measured
    tied = sooner_of(solving("a", [1, 1, 3, 0]), solving("b", [1, 1, 0, 0]))
    assert tied.outcome == "undecided"
    assert tied.effect == (3 + 3 + 2 + 1) / 16
    assert "seeds for 80 % power" in tied.to_decide


def test_cheaper_is_a_t_test_over_pairs_of_arms():
    seconds = {"a1": 10.0, "a2": 12.0, "a3": 9.5, "b1": 20.0, "b2": 26.0, "b3": 18.0}
    arms = {name: {"seconds": value} for name, value in seconds.items()}
    part = cheaper(arms, [("a1", "b1"), ("a2", "b2"), ("a3", "b3")], "time")
    expected = scipy.stats.ttest_1samp(np.log([10 / 20, 12 / 26, 9.5 / 18]), 0)
    low, high = np.exp(expected.confidence_interval(0.95))
    np.testing.assert_allclose([part.low, part.high, part.p], [low, high, expected.pvalue], rtol=1e-8)
    assert part.supports_claim
    assert not cheaper(arms, [("b1", "a1"), ("b2", "a2"), ("b3", "a3")], "time").supports_claim
    assert math.isnan(cheaper(arms, [("a1", "b1")], "time").p)
    assert math.isnan(cheaper({**arms, "b1": {}}, [("a1", "b1"), ("a2", "b2")], "time").p)


@pytest.mark.parametrize(
    ("end", "first", "count", "p"),
    [([0.0] * 6, 0.0, 0, 0.5**6), ([0, 0, 3, 0, 0, 2], 1e-6, 2, 0.0), ([0.01] * 6, 0.0, 0, 0.5**6),
     ([3.0] * 6, 1.0, 0, 0.5**6)],
)  # fmt: skip
def test_paths_diverge_if_they_are_equal_at_first_and_unequal_at_the_end(end, first, count, p):
    metric = ("validation", "param_distance")
    apart = group("independent", np.full((6, 3), 10.0) + BASE[:6], metric, first=0)
    curves = np.stack([np.zeros(6), np.full(6, first), np.asarray(end, float)], axis=1)
    part = claims.paths_diverged(group("identical", curves, metric, first=0), apart)
    assert (part.effect, part.n, part.p, part.supports_claim) == (count / 6, 6, p, count > 0)
    wilson = scipy.stats.binomtest(count, 6).proportion_ci(method="wilson")
    np.testing.assert_allclose([part.low, part.high], wilson, atol=1e-12)


def test_run_values_match_plain_python():
    random = np.random.RandomState(3)
    test, loss = random.uniform(size=(5, 4)), random.uniform(size=(5, 4))
    values = {("test", "accuracy"): test, ("validation", "loss"): loss}
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
            row[list(by).index(min(by))] for row, by in zip(test, loss, strict=True)
        ],
        claims.drop_from_best("test", "accuracy"): [max(row) - row[3] for row in test],
        claims.rise_from_lowest(claims.HELD_OUT, "loss"): [row[3] - min(row) for row in loss],
    }  # fmt: skip
    for number, by_run in expected.items():
        found = number(of_a)
        assert np.isnan(found[2])
        np.testing.assert_allclose(np.delete(found, 2), np.delete(by_run, 2), rtol=1e-12)
    # where a protocol validates on test
    np.testing.assert_array_equal(at_best_validation("accuracy")(alone)[[0, 4]], test[[0, 4], 3])
    np.testing.assert_array_equal(last(claims.HELD_OUT, "accuracy")(alone)[[0, 4]], test[[0, 4], 3])
    assert np.isnan(at_epoch("test", "accuracy", 9)(of_a)).all()
    assert np.isnan(last("test", "nothing")(of_a)).all()


# The studies. Each function gives the metrics that its paper reports, after a fraction x of training.

WITH_CLAIMS = [name for name in experiments.trained() if hasattr(experiments.study(name), "claims")]


def test_every_study_of_a_paper_declares_its_claims():
    names = {name: [c.name for c in experiments.study(name).claims(experiments.study(name).CONFIG)]
             for name in WITH_CLAIMS}  # fmt: skip
    assert names == {
        "algorithmic": ["Grid", "Grid control"], "cerebral_init": ["C3", "C4"],
        "charlm_cerebral": ["C1", "C1 control", "C2", "C2 control"], "imdb_biological": ["B1", "B2", "B3", "B4"],
        "imdb_cerebral": ["C, IMDB"], "imdb_lstm": ["D1", "D2"], "long_lag": ["C5", "C5 control", "E"],
        "mnist_slim": ["A1", "A2", "A3", "A4", "A5"],
    }  # fmt: skip


def slim(arm, rate, x):
    cell, activation = arm.split("-")
    rank = {"lstm": 0, "lstm1": 1, "lstm2": 1, "lstm3": 4, "lstm4": 3, "lstm5": 2}[cell]
    best = 0.99 - 0.001 * rank if activation != "relu" else 0.985 + 0.001 * rank
    falls = 0.05 * x**4 if activation == "relu" and rank < 2 else 0
    loss = 0.5 - 50 * rate if (arm, rate) != ("lstm1-tanh", 2e-3) else 0.1
    return {("test", "accuracy"): best - 0.1 * (x < 0.2) - falls, ("validation", "loss"): loss - 0.1 * (0.5 < x < 0.6)}


def biological(arm, rate, x):
    own = arm == "biological"
    gap = (0.2 if own else 0.8) * x
    return {
        ("train", "accuracy"): 0.9 if own else 0.99, ("validation", "accuracy"): 0.8, ("validation", "gap"): gap,
        ("validation", "loss"): 0.4 + gap,
    }  # fmt: skip


def letters(arm, rate, x):
    return {LOSS: {"cerebral": 4.2 - 3.8 * x, "lstm": 4.3 - 3.4 * x}.get(arm, 4.4 - 3.7 * x)}


def initial(arm, rate, x):
    distance = 40.0 if arm == "independent" else 5 * x**4
    return {LOSS: 4 - 2 * x - 0.1 * (arm == "independent"), ("validation", "param_distance"): distance}


def report_of(arm, rate, x):
    helped = arm == "lstm-recurrent"
    test = 0.855 - 0.002 * abs(10 * x - 5) + 0.01 * helped
    return {("test", "accuracy"): test, ("train", "accuracy"): 0.75 + 0.245 * x, ("validation", "loss"): 1 - x}


def lags(arm, rate, x):
    far = {"rnn": -20, "cerebral": -1, "cerebral-tied": -1.2}.get(arm, -1.5)
    solved = 0.99 if x > {"rnn": 1}.get(arm, 0.5) else 0.1
    names = {f"log10_gradient_lag_{lag}": far for lag in (99, 499, 999)}
    return {("validation", key): value for key, value in {**names, "log10_gradient_lag_0": 0.2}.items()} | {
        ("validation", "solved"): solved
    }


def grids(arm, rate, x):
    return {
        ("validation", name): 1.0 if x > (0.5 if arm.startswith("grid") else 0.9) else 0.1
        for name in ("solved", "accuracy")
    }


def films(arm, rate, x):
    return {("test", "accuracy"): 0.79 if arm == "cerebral" else 0.78, ("validation", "loss"): 1 - x}


SHAPES = {
    "mnist_slim": slim, "imdb_biological": biological, "charlm_cerebral": letters, "cerebral_init": initial,
    "imdb_lstm": report_of, "long_lag": lags, "algorithmic": grids, "imdb_cerebral": films,
}  # fmt: skip
# Arms exchanged, for the claims about differences
OTHER = {
    "mnist_slim": {"lstm": "lstm3", "lstm3": "lstm", "lstm1": "lstm4", "lstm4": "lstm1"},
    "imdb_biological": {"biological": "lstm", "lstm": "biological"},
    "charlm_cerebral": {"cerebral": "lstm", "lstm": "cerebral", "lstm-wide": "cerebral", "lstm-stacked": "cerebral"},
    "cerebral_init": {"independent": "identical", "identical": "independent"},
    "imdb_lstm": {"lstm": "lstm-recurrent", "lstm-recurrent": "lstm"},
    "long_lag": {"cerebral": "lstm", "lstm": "cerebral", "cerebral-tied": "cerebral", "lstm_1997": "rnn",
                 "rnn": "lstm_1997"},
    "algorithmic": {"grid": "lstm-stacked", "grid-tied": "lstm-stacked", "lstm-stacked": "grid"},
    "imdb_cerebral": {"cerebral": "lstm", "lstm": "cerebral"},
}  # fmt: skip


def records_of(name: str, config: Config, seeds: int = 8, other: bool = False) -> tuple[list[Group], dict]:
    random, found, known = np.random.RandomState(5), [], {}
    for arm in config.arms:
        cell, dash, rest = arm.partition("-") if name == "mnist_slim" else (arm, "", "")
        shaped = OTHER[name].get(cell, cell) + dash + rest if other else arm
        known[arm] = {"seconds": (30 + random.uniform()) / (1 if shaped.startswith("lstm-") else 2)}
        for rate in config.learning_rate:
            curves = [SHAPES[name](shaped, rate, epoch / config.epochs) for epoch in range(config.epochs + 1)]
            noise = {key: 2e-5 * random.normal(size=(seeds, config.epochs + 1)) for key in curves[0]}
            values = {key: np.array([curve[key] for curve in curves]) + noise[key] for key in noise}
            found.append(group(arm, values, first=0, learning_rate=rate))
    metric = {"long_lag": "solved", "algorithmic": "accuracy"}.get(name)
    return found, {
        "arms": known,
        "success_threshold": {"metric": metric, "threshold": config.success_threshold} if metric else None,
    }


def judged(name: str, config: Config, planned: Config, found, summary) -> dict[str, str]:
    return {v.name: v for v in judge(experiments.study(name).claims(config), found, config, planned, summary)}


@pytest.mark.parametrize("name", WITH_CLAIMS)
def test_claims_hold_on_curves_like_the_paper_s_and_fail_with_arms_exchanged(name):
    study = experiments.study(name)
    for protocol in getattr(study, "PROTOCOLS", {"": {}}):
        config = experiments.planned(study, protocol) if protocol else study.CONFIG
        plans = study.claims(config)
        holds = judged(name, config, config, *records_of(name, config))
        swapped = judged(name, config, config, *records_of(name, config, other=True))
        for claim in plans:
            if (claim.protocols and protocol not in claim.protocols) or set(claim.arms) - set(config.arms):
                assert holds[claim.name].outcome == "undecided"
                continue
            assert holds[claim.name].outcome == "holds", holds[claim.name]
            assert holds[claim.name].effect == holds[claim.name].effect
            wanted = "holds" if claim.name in ("A1", "B1", "D1") else "fails"  # about levels, not differences
            assert swapped[claim.name].outcome == wanted, swapped[claim.name]


@pytest.mark.parametrize("name", WITH_CLAIMS)
def test_empty_and_quick_runs_leave_every_claim_undecided(name):
    study = experiments.study(name)
    for protocol in getattr(study, "PROTOCOLS", {"": {}}):
        chosen = ["--set", f"protocol={protocol}"] if protocol else []
        quick = configuration(_parser().parse_args(["run", name, "--quick", *chosen]))
        planned = experiments.planned(study, protocol) if protocol else study.CONFIG
        assert hyperparam_grids(quick)
        few = records_of(name, quick, seeds=2)
        many = records_of(name, planned)  # however clear its records are
        for found, summary in (([], few[1]), few, many):
            outcomes = judged(name, quick, planned, found, summary)
            assert {verdict.outcome for verdict in outcomes.values()} == {"undecided"}
            assert all(verdict.to_decide.startswith("needs the study's own ") for verdict in outcomes.values())
        outcomes = judged(name, planned, planned, *few)
        assert {verdict.outcome for verdict in outcomes.values()} == {"undecided"}


@pytest.mark.parametrize("complete", [True, False])
def test_verdicts_are_printed_and_stored_in_the_summary_of_a_complete_run(tmp_path, capsys, complete):
    config = experiments.study("imdb_cerebral").CONFIG
    (found, _), table = records_of("imdb_cerebral", config), Metrics("imdb_cerebral", ["learning_rate"])
    for one in found:
        for (split, metric), curves in one.values.items():
            for epoch in range(1, 9):
                table.add(one.arm, one.seeds, {"learning_rate": np.full(8, 0.01, np.float32)}, epoch, epoch, split,
                          {metric: curves[:, epoch]})  # fmt: skip
    (tmp_path / "config.json").write_text(to_json(config))
    files.write_json(tmp_path / "env.json", {})
    table.write(tmp_path / "metrics.parquet")
    headline = Headline("test", "accuracy", "best_validation", True)
    before = {"experiment": "imdb_cerebral", "complete": complete, "headline": headline.name,
              "metrics": {headline.name: headline._asdict()},
              "success_threshold": None, "arms": {}, "results": []}  # fmt: skip
    files.write_json(tmp_path / "summary.json", before)
    assert main(["report", str(tmp_path)]) == 0
    assert "C, IMDB  holds" in " ".join(capsys.readouterr().out.split("\n"))
    after = json.loads((tmp_path / "summary.json").read_text())
    assert ("claims" in after) == complete
    if complete:
        assert [after["claims"][0][key] for key in ("name", "outcome", "n")] == ["C, IMDB", "holds", 8]
        assert after["claims"][0]["effect"] == pytest.approx(0.01, abs=1e-4)
    assert {key: value for key, value in after.items() if key != "claims"} == before


def test_a_study_without_claims_prints_no_table():
    assert claims.text([]) == ""
    assert not hasattr(experiments.study("quickstart"), "claims")


def test_an_unmeasured_metric_or_disjoint_seeds_are_reported_as_undecided():
    unmeasured = [group("a", SMALLER, ("train", "accuracy")), group("b", BASE)]
    found = verdict(a_lower, unmeasured)
    assert (found.outcome, found.n) == ("undecided", 0)
    assert found.measured == "loss, a - b: not measured"
    apart = verdict(a_lower, [group("a", SMALLER), group("b", BASE, seeds=range(7, 15))])
    assert (apart.outcome, apart.n) == ("undecided", 1)
    assert "common seeds" in apart.to_decide


def test_best_on_validation_selects_the_hyperparameters_by_validation_loss_alone():
    validation, test = ("validation", "loss"), ("test", "accuracy")
    found = [
        group("a", {validation: BASE + loss, test: BASE + accuracy}, learning_rate=rate)
        for rate, loss, accuracy in ((1e-3, 2, 9), (2e-3, 0, 1), (3e-3, 1, 5))
    ]
    evidence = claims.Evidence([group("b", BASE - 9, validation), *found], {}, None)
    assert evidence.best_on_validation("a").hyperparams == {"learning_rate": 2e-3}
    assert evidence.group("a", learning_rate=3e-3) is found[2]
