"""The studies' claims: they hold on curves like the paper's, fail on others, and leave quick runs undecided."""

import json

import numpy as np
import pytest

import experiments
from experiments.cli.main import _parser, main
from experiments.cli.run import configuration
from rnnlab import claims
from rnnlab.claims import judge
from rnnlab.config.experiment import Config, to_json
from rnnlab.runs.hyperparam_grid import hyperparam_grids
from rnnlab.stats.summary import Group, Headline
from rnnlab.storage import files
from rnnlab.storage.metrics import Metrics
from tests.helpers.groups import group

LOSS = ("train", "loss")

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
