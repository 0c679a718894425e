"""The studies' claims: they hold on curves like the paper's, fail on others, and leave quick runs undecided."""

import json

import numpy as np
import pytest

from rnnlab import claims
from rnnlab.claims import judge
from rnnlab.cli import studies
from rnnlab.cli.main import _parser, main
from rnnlab.cli.report import _timings
from rnnlab.cli.run import configuration
from rnnlab.config.document import to_json
from rnnlab.config.experiment import Config
from rnnlab.runs.hyperparam_grid import hyperparam_grids
from rnnlab.stats.summary import Group, Headline
from rnnlab.storage import files
from rnnlab.storage.metrics import Metrics
from tests.helpers.groups import group

LOSS = ("train", "loss")

# Each function gives the metrics that its paper reports, after a fraction x of training.

WITH_CLAIMS = [name for name in studies.trained() if hasattr(studies.study(name), "claims")]


def slim(arm, rate, x):
    cell, activation = arm.split("-")
    rank = {"lstm": 0, "lstm1": 1, "lstm2": 2, "lstm5": 3, "lstm4": 4, "lstm3": 5}[cell]
    best = 0.987 - 0.001 * rank + rate
    falls = 0.0
    if activation == "relu":
        best = {"lstm3": 0.991}.get(cell, 0.985) + rate
        falls = 0.05 * x**4 if rank < 3 and rate > 1e-3 else 0
    wave = rate * np.cos(300 * x)
    accuracy = best - 0.1 * (x < 0.2) - falls + wave
    return {("test", "accuracy"): accuracy, ("validation", "accuracy"): accuracy, ("validation", "loss"): 1 - x}


def biological(arm, rate, x):
    own = arm.startswith("biological")
    gap = (0.2 if own else 0.8) * x
    rest = {"accuracy": 0.8 + (0 if own else 0.002) * np.cos(40 * x), "gap": gap, "loss": 0.4 + gap}
    return {("train", "accuracy"): 0.9 if own else 0.99, ("train", "loss"): 0.3 if own else 0.02} | {
        ("validation", name): value for name, value in rest.items()
    }


def letters(arm, rate, x):
    loss = {"cerebral": 4.2 - 3.8 * x, "cerebral-printed": 4.2 - 3.79 * x, "lstm": 4.3 - 3.4 * x,
            "lstm-stacked": 4.5 - 3.8 * x if x < 1 else 0.7 - 0.84 * (x - 1), "early": 4.1 - 3.8 * x,
            "worse": 4.6 - 3.3 * x}  # fmt: skip
    bits = {"cerebral": 2.0, "gru": 2.5, "lstm": 2.5, "grid": 2.1, "grid-tied": 2.1, "qrnn-stacked": 2.2}.get(arm, 2.4)
    return {LOSS: loss.get(arm, 4.4 - 3.7 * x), ("test", "bits_per_character"): bits,
            ("validation", "bits_per_character"): bits - x}  # fmt: skip


def initial(arm, rate, x):
    own = arm == "independent"
    loss = 4 - (2.4 if arm in ("independent", "equal") else 2) * x
    distance = {"independent": 40.0, "equal": 0.0}.get(arm, 5 * x**4)
    rest = {"param_distance": distance, "loss": loss, "gradient_cosine": 0.1 if own else 0.99}
    return {LOSS: loss, ("test", "loss"): loss} | {("validation", name): value for name, value in rest.items()}


def report_of(arm, rate, x):
    good = {"lstm-recurrent", "qrnn-stacked", "qrnn-dense", "grid", "grid-tied", "bidirectional"}
    test = 0.853 - 0.002 * abs(10 * x - 5) - 0.02 * (x < 0.15) + 0.02 * (arm in good)
    return {("test", "accuracy"): test, ("train", "accuracy"): 0.75 + 0.31 * x, ("validation", "accuracy"): x,
            ("test", "loss"): 0.4 + 0.1 * abs(10 * x - 3.5)}  # fmt: skip


def lags(arm, rate, x):
    far = {"rnn": -20, "rnn-rates": -20, "cerebral": -0.8, "cerebral-author": -0.8, "cerebral-tied": -1.2, "lstm": -1.0}
    far["late"] = -1.0
    solved = 0.99 if x > {"rnn": 1, "rnn-wide": 1, "rnn-rates": 1, "late": 1}.get(arm, 0.5) else 0.1
    values = {"log10_gradient_lag_0": 0.2, "solved": solved, "loss": 1 - x}
    values |= {f"log10_gradient_lag_{lag}": far.get(arm, -1.5) for lag in (99, 499, 999)}
    return {("validation", name): value for name, value in values.items()}


def grids(arm, rate, x):
    return {
        ("validation", name): 1.0 if x > (0.5 if arm.startswith("grid") else 0.9) else 0.1
        for name in ("solved", "accuracy")
    }


def films(arm, rate, x):
    return {("test", "accuracy"): 0.79 if arm.startswith("cerebral") else 0.78, ("validation", "accuracy"): x}


def variants(arm, rate, x):
    worse = {"NFG": 0.5, "NOAF": 0.5, "NIG": 0.3, "NOG": 0.3, "NIAF": 0.3, "better": -0.5}.get(arm, 0)
    return {(split, "loss"): 3 - x + worse * x for split in ("validation", "test")}


def answers(arm, rate, x):
    return {("test", "solved"): 0.9 if arm in ("lstm-additive", "lstm-dot") else 0.7, ("validation", "solved"): x}


SHAPES = {
    "mnist_slim": slim, "imdb_biological": biological, "charlm_cerebral": letters, "cerebral_init": initial,
    "imdb_lstm": report_of, "long_lag": lags, "algorithmic": grids, "imdb_cerebral": films, "seq2seq": answers,
    "greff_variants": variants,
}  # fmt: skip
# The arms in the roles of others, for the claims about differences
OTHER = {
    "mnist_slim": {"lstm": "lstm3", "lstm3": "lstm", "lstm1": "lstm4", "lstm4": "lstm1"},
    "imdb_biological": {"biological": "lstm", **dict.fromkeys(("lstm", "peephole", "lstm-wide"), "biological")},
    "charlm_cerebral": {"cerebral": "worse", "cerebral-printed": "worse", "lstm": "cerebral", "lstm-wide": "cerebral",
                        "lstm-stacked": "early", "gru": "grid",
                        **dict.fromkeys(("grid", "grid-tied", "qrnn-stacked"), "lstm")},
    "cerebral_init": {"independent": "identical", "identical": "equal", "lstm_doubled": "identical"},
    "imdb_lstm": {"lstm": "grid", "lstm-stacked": "grid", "lstm-dense": "grid", "lstm-wide": "grid",
                  **dict.fromkeys(("grid", "grid-tied", "qrnn-stacked", "qrnn-dense", "bidirectional",
                                   "lstm-recurrent"), "lstm")},
    "long_lag": {"cerebral": "lstm_1997", "cerebral-author": "lstm_1997", "lstm": "late", "lstm-printed": "late",
                 "lstm-stacked": "cerebral", "lstm-stacked-plain": "cerebral", "cerebral-tied": "cerebral",
                 "lstm_1997": "cerebral", "lstm_1997-rates": "rnn", "rnn-rates": "cerebral", "rnn": "cerebral",
                 "rnn-wide": "cerebral"},
    "algorithmic": {"grid": "lstm-stacked", "grid-tied": "lstm-stacked", "lstm-stacked": "grid"},
    "imdb_cerebral": {"cerebral": "lstm", "cerebral-printed": "lstm", "lstm": "cerebral", "lstm-wide": "cerebral"},
    "greff_variants": dict.fromkeys(("NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR"), "better"),
    "seq2seq": {"lstm-additive": "lstm", "lstm-dot": "lstm", "lstm": "lstm-dot", "lstm-wide": "lstm-dot"},
}  # fmt: skip
# Claims about levels, trends and equality, which the exchange leaves as they are, and one that a count refutes
SAME = {
    *(f"A lstm{k}" for k in range(1, 6)), "A close, tanh", "A close, sigmoid", "A1", "A eta", "A3 fluctuation", "B1",
    "B1 plateau", "B comparable", "B comparable peephole", "B comparable control", "B noise", "D1", "D rises", "D loss",
}  # fmt: skip
REFUTED = {"B simpler"}


def records_of(name: str, config: Config, seeds: int = 8, other: bool = False) -> tuple[list[Group], dict, dict]:
    random, found, known, timings = np.random.RandomState(5), [], {}, {}
    epochs = config.epochs + (250 if name == "charlm_cerebral" and config.epochs == 500 else 0)
    for arm in config.arms:
        cell, dash, rest = arm.partition("-") if name == "mnist_slim" else (arm, "", "")
        shaped = OTHER[name].get(cell, cell) + dash + rest if other else arm
        slow = 3.0 if shaped.split("-")[0] == "lstm" else 1.0 if shaped.startswith("lstm3") else 2.0
        timings[cell] = list(slow * np.exp(0.01 * random.normal(size=6)))
        known[arm] = {"parameters": 14_000 if cell != "lstm" else 52_000}
        if name == "imdb_biological":
            known[arm]["parameters"] = 147_968 if arm == "biological" else 131_584
        for rate in config.arms[arm].hyperparams.get("learning_rate", config.learning_rate):
            curves = [SHAPES[name](shaped, rate, epoch / config.epochs) for epoch in range(epochs + 1)]
            values = {key: np.array([curve[key] for curve in curves]) for key in curves[0]}
            values = {key: mean + (mean != 0) * 2e-5 * random.normal(size=(seeds, epochs + 1))
                      for key, mean in values.items()}  # fmt: skip
            found.append(group(arm, values, first=0, learning_rate=rate))
    for kind in ("", "inference/", "longest/"):
        timings[f"{kind}qrnn"] = list(np.exp(0.01 * random.normal(size=6)) * (4 if other else 0.1))
        timings.setdefault(f"{kind}lstm", timings.get("lstm", []))
    return found, {"arms": known}, timings


def judged(name: str, config: Config, planned: Config, found, summary, timings=None) -> dict[str, claims.Verdict]:
    verdicts = judge(studies.study(name).claims(config), found, config, planned, summary, timings)
    return {verdict.name: verdict for verdict in verdicts}


@pytest.mark.parametrize("name", WITH_CLAIMS)
def test_claims_hold_on_curves_like_the_paper_s_and_fail_with_arms_exchanged(name):
    study, seen = studies.study(name), set()
    for protocol in getattr(study, "PROTOCOLS", {"": {}}):
        config = studies.planned(study, protocol) if protocol else study.CONFIG
        holds = judged(name, config, config, *records_of(name, config))
        swapped = judged(name, config, config, *records_of(name, config, other=True))
        for claim in study.claims(config):
            assert claim.source or name in ("charlm_cerebral",), claim.name
            if (claim.protocols and protocol not in claim.protocols) or set(claim.arms) - set(config.arms):
                assert holds[claim.name].outcome == "undecided"
                continue
            seen.add(claim.name)
            assert holds[claim.name].outcome == ("fails" if claim.name in REFUTED else "holds"), holds[claim.name]
            wanted = "holds" if claim.name in SAME else "fails"
            assert swapped[claim.name].outcome == wanted, swapped[claim.name]
    assert seen == {claim.name for claim in study.claims(study.CONFIG)}


def test_no_two_claims_have_one_name():  # `reproduce CLAIM` finds the run by it
    names = [claim.name for name in WITH_CLAIMS for claim in studies.study(name).claims(studies.study(name).CONFIG)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", WITH_CLAIMS)
def test_empty_and_quick_runs_leave_every_claim_undecided(name):
    study = studies.study(name)
    for protocol in getattr(study, "PROTOCOLS", {"": {}}):
        chosen = ["--set", f"protocol={protocol}"] if protocol else []
        quick = configuration(_parser().parse_args(["run", name, "--quick", *chosen]))
        planned = studies.planned(study, protocol) if protocol else study.CONFIG
        assert hyperparam_grids(quick)
        few = records_of(name, quick, seeds=2)
        many = records_of(name, planned)  # however clear its records are
        for found, summary, _ in (([], few[1], {}), few, many):
            outcomes = judged(name, quick, planned, found, summary)
            assert {verdict.outcome for verdict in outcomes.values()} == {"undecided"}
            assert all(verdict.to_decide.startswith("needs the study's own ") for verdict in outcomes.values())
        outcomes = judged(name, planned, planned, *few[:2])
        assert {verdict.outcome for verdict in outcomes.values()} == {"undecided"}


@pytest.mark.parametrize("complete", [True, False])
def test_verdicts_are_printed_and_stored_in_the_summary_of_a_complete_run(tmp_path, capsys, complete):
    config = studies.study("imdb_cerebral").CONFIG
    (found, *_), table = records_of("imdb_cerebral", config), Metrics("imdb_cerebral", ["learning_rate"])
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
    assert "C, IMDB holds" in " ".join(capsys.readouterr().out.split())
    after = json.loads((tmp_path / "summary.json").read_text())
    assert ("claims" in after) == complete
    if complete:
        assert [after["claims"][0][key] for key in ("name", "outcome", "n")] == ["C, IMDB", "holds", 8]
        assert after["claims"][0]["effect"] == pytest.approx(0.01, abs=1e-4)
    assert {key: value for key, value in after.items() if key != "claims"} == before


def test_a_study_without_claims_prints_no_table():
    assert claims.text([]) == ""
    assert not hasattr(studies.study("quickstart"), "claims")


def test_times_are_read_from_a_bench_in_the_run_s_directory(tmp_path):
    assert _timings(tmp_path) == {}
    records = {f"rnnlab/{cell}": {"mnist": {"8": {"rounds_ratio": ratios}}} for cell, ratios in
               (("lstm", [1.0] * 4), ("lstm3", [0.5, 0.6, 0.5, 0.4]))}  # fmt: skip
    for name in ("bench", "bench-longest"):
        (tmp_path / name).mkdir()
    files.write_json(tmp_path / "bench" / "bench.json", {"results": records})
    part = claims.cheaper(_timings(tmp_path), "lstm3", "lstm")
    assert (part.n, part.supports_claim) == (4, True)
    assert part.p_holds < 0.05
    files.write_json(tmp_path / "bench-longest" / "bench.json", {"results": records})
    assert _timings(tmp_path)["longest/lstm3"] == _timings(tmp_path)["lstm3"]
