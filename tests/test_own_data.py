"""Runs on a user's own data: what is recorded is what the arrays say, and another file is never taken for the same."""

import json
import shutil
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.data import error_of
from sklearn import metrics as reference

from rnnlab import data
from rnnlab.cli.main import main
from rnnlab.config.data_name import absolute_data
from rnnlab.config.document import to_json
from rnnlab.config.experiment import Arm, Config
from rnnlab.core import user_file
from rnnlab.core.errors import InputError
from rnnlab.core.user_file import sha256
from rnnlab.data.arrays import from_arrays
from rnnlab.data.standardize import restore_targets
from rnnlab.report.tables import results_text
from rnnlab.report.write import read_summary
from rnnlab.runs.progress import NoProgressMeter
from rnnlab.runs.run import create, start
from rnnlab.runs.saved_run import load_run
from rnnlab.runs.validate import arm_spec, identity, validate
from rnnlab.storage import environment
from rnnlab.training.arm_spec import build_model
from rnnlab.training.single_run import evaluate, init_state, train_steps
from rnnlab.training.sweep import run_grid
from rnnlab.training.tasks import TASKS

N, T = 60, 5
DRAW = np.random.default_rng(8)
XS = DRAW.normal(3, 2, (N, T, 2))
LENGTHS = DRAW.integers(1, T + 1, N)
WEIGHTS = DRAW.choice([0.5, 1.0, 4.0], N)
TARGETS = {
    "multiclass_classification": DRAW.integers(0, 3, N),
    "tagging": DRAW.integers(0, 3, (N, T)),
    "multivariate_regression": 100 + 20 * XS[:, 0] * [1, 2],
    "regression_at_each_step": 100 + 20 * XS,
}
FEW_TASKS = [
    "tagging", "multivariate_regression",
    *(pytest.param(name, marks=pytest.mark.exhaustive)
      for name in ("multiclass_classification", "regression_at_each_step")),
]  # fmt: skip
CONFIG = Config(
    experiment="quickstart", arms={"gru": Arm("gru")}, data="", seeds=(0, 4), epochs=2, batch_size=8, hidden_size=3,
    learning_rate=(1e-2,), eval_batch_size=4,
)  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(user_file, "_loaded", {})
    return tmp_path


def expected_metrics(outputs, targets, weights, source):
    """By scikit-learn, of the predictions with a weight."""
    kept = weights > 0
    outputs, targets, weights = np.asarray(outputs)[kept], targets[kept], weights[kept]
    if targets.dtype.kind == "i":
        predicted = outputs.argmax(-1)
        loss = reference.log_loss(targets, jax.nn.softmax(outputs), sample_weight=weights, labels=range(3))
        return {
            "loss": loss,
            "accuracy": reference.accuracy_score(targets, predicted, sample_weight=weights),
            "macro_f1": reference.f1_score(targets, predicted, sample_weight=weights, average="macro"),
        }
    predicted, targets = (restore_targets(source, each) for each in (outputs, targets))
    return {
        "rmse": reference.root_mean_squared_error(targets, predicted, sample_weight=weights),
        "mae": reference.mean_absolute_error(targets, predicted, sample_weight=weights),
        "r2": reference.r2_score(targets, predicted, sample_weight=weights),
    }


@pytest.mark.slow
@pytest.mark.parametrize("task", FEW_TASKS)
def test_metrics_of_every_run_are_scikit_learn_s_of_the_valid_steps_with_the_weights(task):
    dataset = from_arrays(XS, TARGETS[task], LENGTHS, WEIGHTS)
    assert dataset.task == task
    grid = {"learning_rate": (0.1,)}
    spec = arm_spec(CONFIG, "gru", dataset, grid)
    runs, split = run_grid((0, 4), grid), jax.tree.map(jnp.asarray, dataset.train)
    params = jax.vmap(lambda run: init_state(spec, run).params)(runs)
    assert len(split.targets) % spec.eval_batch_size  # the last batch is padded
    sums = jax.jit(jax.vmap(lambda run, params: evaluate(spec, run, params, split)))(runs, params)
    found = TASKS[task].compute(jax.tree.map(np.asarray, sums), dataset.target_scale)
    for row in range(2):
        run, own = jax.tree.map(lambda leaf: leaf[row], (runs, params))  # noqa: B023
        outputs = build_model(spec, run.hyperparams).apply(own, split.inputs, split.lengths, None)[1]
        expected = expected_metrics(outputs, *(np.asarray(a) for a in (split.targets, split.weights)), dataset.source)
        for metric, value in expected.items():
            assert found[metric][row] == pytest.approx(value, rel=1e-4), metric


@pytest.mark.slow
def test_a_run_records_the_metrics_in_the_targets_unit_and_shows_them_with_intervals(here):
    np.savez("own.npz", inputs=XS, targets=TARGETS["regression_at_each_step"], lengths=LENGTHS)
    assert start(validate(replace(CONFIG, data="arrays:own.npz")), here / "run", NoProgressMeter())
    saved, summary = load_run(here / "run"), read_summary(here / "run")
    split = saved.examples("test", N)
    rows = pq.read_table(here / "run" / "metrics.parquet").to_pylist()
    for seed in CONFIG.seeds:
        outputs = saved.model("gru").apply(saved.params("gru", seed, "last"), split.inputs, split.lengths, None)[1]
        expected = expected_metrics(outputs, split.targets, split.weights, saved.dataset.source)
        recorded = {row["metric"]: row["value"] for row in rows if (row["split"], row["seed"]) == ("test", seed)}
        assert {metric: recorded[metric] for metric in expected} == pytest.approx(expected, rel=1e-4)
    text = results_text(summary)
    for metric in ("rmse", "mae", "r2"):
        interval = summary["results"][0]["metrics"][f"test_{metric}_at_best_validation"]
        assert interval["low"] < interval["mean"] < interval["high"]
        assert f"{interval['mean']:.4f} ± " in text


@pytest.mark.slow
@pytest.mark.parametrize("task", FEW_TASKS)
def test_a_training_step_takes_an_example_of_weight_2_as_two_and_reads_nothing_past_its_length(task):
    def after_a_step(rows, weights, padding):
        xs, ys = XS.copy(), np.array(TARGETS[task])
        late = np.arange(T) >= LENGTHS[:, None]
        xs[late] = padding
        if ys.shape[:2] == (N, T):
            ys[late] = padding
        given = {
            f"{split}_{field}": array[rows]
            for split in ("train", "validation", "test")
            for field, array in {"inputs": xs, "targets": ys, "lengths": LENGTHS}.items()
        }
        sizes = {"num_classes": 3} if ys.dtype.kind == "i" else {}
        dataset = from_arrays(**given, train_weights=weights, standardize=False, **sizes)
        # statistics of the targets depend on the examples: take them out
        dataset = dataset._replace(train=dataset.train._replace(targets=dataset.train.targets * 0 + 1))
        config = replace(CONFIG, batch_size=len(rows), optimizer="sgd")
        grid = {"learning_rate": (0.1,)}
        spec = arm_spec(config, "gru", dataset, grid)
        run = jax.tree.map(lambda leaf: leaf[0], run_grid((0,), grid))
        indices, split = jnp.arange(len(rows))[None], jax.tree.map(jnp.asarray, dataset.train)
        return train_steps(spec, run, init_state(spec, run), indices, split, 0, 1).params

    weighted = after_a_step([0, 1, 2], np.array([1.0, 2.0, 1.0]), 0)
    repeated = after_a_step([0, 1, 1, 2], None, 7)
    plain = after_a_step([0, 1, 2], None, 0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), weighted, repeated)
    assert any(not np.allclose(a, b, atol=1e-4) for a, b in zip(*map(jax.tree.leaves, (weighted, plain)), strict=True))


def test_a_bidirectional_cell_may_tag_but_not_forecast(here):
    np.savez("tags.npz", inputs=XS, targets=TARGETS["tagging"])
    np.savez("series.npz", series=np.arange(200.0))
    both_ways = replace(CONFIG, arms={"both": Arm("bidirectional(gru)")}, sequence_length=8, batch_size=4)
    assert validate(replace(both_ways, data="arrays:tags.npz"))
    assert "would see its targets in forecasting" in error_of(validate, replace(both_ways, data="series:series.npz"))


LOADER = """
import numpy as np
import scaling

def arrays(examples: int = 60, *, tagged: bool = False):
    draw = np.random.default_rng(0)
    xs = scaling.scaled(draw.normal(size=(examples, 4, 2)))
    return {"inputs": xs, "targets": (xs[..., 0] > 0).astype(int) if tagged else xs[:, 0]}
"""


@pytest.fixture
def own(here):
    """A folder with data of each kind."""
    (here / "mine").mkdir()
    np.savez("mine/own.npz", inputs=XS, targets=TARGETS["tagging"])
    np.savez("mine/series.npz", series=np.sin(np.arange(300.0)))
    (here / "mine" / "my_data.py").write_text(LOADER)
    (here / "mine" / "scaling.py").write_text("def scaled(xs):\n    return 3 * xs\n")
    return here


def recorded(name, directory, **options):
    """A run's directory as it is before the first step."""
    quick = {"batch_size": 4, "sequence_length": 8, "data_options": options}
    config = replace(CONFIG, arms={"lstm": Arm("rnn")}, data=absolute_data(name), **quick)
    create(directory, environment.describe([], identity(validate(config))), to_json(config))


def resumed(capsys, *options) -> str:
    """The error of ``resume``; "" if training began."""

    def began(*arguments):
        raise KeyboardInterrupt

    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnnlab.runs.run._train", began)
        code = main(["resume", "../run", *options])
    error = capsys.readouterr().err.splitlines()[-1]
    assert (code, error.split(":")[0]) in ((2, "error"), (130, "stopped; what was saved before stays valid"))
    return error if code == 2 else ""


FILES = {
    "arrays:mine/own.npz": "own.npz",
    "series:mine/series.npz": "series.npz",
    "mine/my_data.py:arrays": "my_data.py",
}


@pytest.mark.parametrize("name", FILES)
def test_a_run_finds_its_file_from_any_folder_or_where_it_was_moved_and_takes_no_other(name, own, capsys, monkeypatch):
    file, moved = own / "mine" / FILES[name], own / "moved" / FILES[name]
    recorded(name, own / "run")
    (own / "elsewhere").mkdir()
    monkeypatch.chdir(own / "elsewhere")
    assert resumed(capsys, "--trust") == ""
    (own / "mine").rename(own / "moved")
    assert f"no file {file}; accepted: if it was moved, --cell-file {file}=NEW" in resumed(capsys, "--trust")
    now = ["--cell-file", f"{file.name}={moved}"]
    assert resumed(capsys, *now) == ""
    assert load_run(own / "run", now[1:]).examples("test", 2).inputs.shape[2] == (1 if "series" in name else 2)
    if moved.suffix == ".py":
        moved.write_text(moved.read_text() + "raise RuntimeError('imported')\n")
    else:
        np.savez(moved, **{key: array + 1 for key, array in np.load(moved).items()})
    assert f"data: {moved} changed since the run started" in resumed(capsys, *now)
    assert "changed since the run started" in error_of(load_run(own / "run", now[1:]).examples, "test", 2)


def test_what_a_loader_imports_is_tracked_and_a_stranger_s_loader_is_not_imported(own, capsys, monkeypatch):
    recorded("mine/my_data.py:arrays", own / "run", examples=40)
    source = json.loads((own / "run" / "env.json").read_text())["dataset"]["source"]
    hashes = {path.name: sha256(path) for path in (own / "mine").glob("*.py")}
    assert (source["file"], source["imports"]) == (hashes["my_data.py"], {"scaling.py": hashes["scaling.py"]})
    (own / "elsewhere").mkdir()
    monkeypatch.chdir(own / "elsewhere")
    assert "add --trust" in resumed(capsys)
    (own / "mine" / "scaling.py").write_text("raise RuntimeError('imported')\n")
    assert "scaling.py changed since the run started" in resumed(capsys, "--trust")
    (own / "run" / "env.json").write_text(json.dumps({"dataset": {"cells": {}, "source": []}}))
    assert "env.json: not readable" in resumed(capsys, "--trust")


def test_a_run_is_opened_without_its_data(own):
    recorded("arrays:mine/own.npz", own / "run")
    shutil.rmtree(own / "mine")
    saved = load_run(own / "run")
    assert (saved.dataset.task, saved.dataset.output_size) == ("tagging", 3)
    assert saved.model("lstm")


@pytest.mark.parametrize(
    ("body", "options", "said"),
    [
        ("return [1]", {}, "it returned a list; accepted: a Dataset, or a mapping"),
        ("raise KeyError('x')", {}, "fails: KeyError: 'x'"),
        ("return {'inputs': 3}", {}, "inputs: int64 of shape []"),
        ("return {'inputs': np.ones((9, 2, 1)), 'targets': np.ones(9), 'colour': 1}", {}, "unknown value 'colour'"),
        ("return {'series': np.arange(200.), 'lag': 3}", {}, "unknown value 'lag'"),
        ("return digits()._replace(train=None)", {}, "train: NoneType without arrays"),
        ("d = digits(); return d._replace(test=d.test._replace(targets=d.test.targets[1:]))", {}, "targets [268]"),
        ("d = digits(); return d._replace(test=d.test._replace(targets=d.test.targets * 1.))", {}, "targets: float64"),
        ("return digits()._replace(source={'x': np})", {}, "source: TypeError"),
        ("return digits()", {"rows": 3}, "data_options: option of data"),
        ("return digits()", {"seed": "x"}, "data_options.seed: 'x' is not valid; accepted: an integer"),
    ],
)
def test_what_a_loader_may_not_do_is_said_in_one_line(body, options, said, here):
    digits = "def digits():\n    from rnnlab.data import load_dataset\n    return load_dataset('digits')\n"
    (here / "mine.py").write_text(f"import numpy as np\n{digits}\ndef load(*, seed: int = 0):\n    {body}\n")
    assert said in error_of(data.load_dataset, "mine.py:load", **options)


def test_a_loader_may_return_a_dataset_and_an_unknown_task_is_refused(here):
    text = "from rnnlab.data import load_dataset\ndef load(task='classification'):\n"
    (here / "mine.py").write_text(text + "    return load_dataset('digits')._replace(task=task)\n")
    dataset, digits = data.load_dataset("mine.py:load"), data.load_dataset("digits")
    assert (dataset.name, dataset.task) == ("mine.py:load", "classification")
    assert dataset.source["sha256"] == digits.source["sha256"]
    np.testing.assert_array_equal(dataset.test.inputs, digits.test.inputs)
    with pytest.raises(InputError, match=r"^task: unknown value 'ranking'"):
        validate(replace(CONFIG, data="mine.py:load", data_options={"task": "ranking"}))
