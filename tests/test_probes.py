"""What is measured inside the Cerebral LSTM, against NumPy and a loop; and where it is recorded."""

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.cases import filled, generator, random_inputs

from rnnlab.cells import make_cell, stack
from rnnlab.cells.cerebral_lstm import CerebralParams
from rnnlab.cli.main import main
from rnnlab.core.types import Split
from rnnlab.models.recurrent_model import make_model
from rnnlab.report import write as report
from rnnlab.report.run_figures import loss_curves
from rnnlab.stats.summary import groups
from rnnlab.training.probes import paths
from rnnlab.training.tasks import TASKS

B, T, D, H, C = 3, 4, 5, 2, 3
MEASURED = {"param_distance", "state_distance", "gradient_cosine"}


def a_model(per_step=False, **options):
    cell = make_cell("cerebral_lstm", H, **options)
    return cell, make_model(cell, D, C, per_step=per_step)


@pytest.mark.slow
@pytest.mark.parametrize(
    "task", [pytest.param("classification", marks=pytest.mark.exhaustive), "language_modeling", "regression"]
)
def test_the_paths_are_measured_as_the_docstring_says(task):
    per_step = TASKS[task].per_step
    cell, model = a_model(per_step)
    draw = generator("probes", task)
    params = filled(draw, jax.eval_shape(model.init, jax.random.key(0)))
    targets = draw.randint(0, C, (B, T) if per_step else (B,)).astype(np.int32)
    batch = Split(random_inputs(draw, B, T, D), targets)
    found = paths(model, TASKS[task], params, batch)
    assert set(found) == MEASURED

    upper, lower = ([part[:, p].ravel() for part in params.cell[:2]] + [params.cell.b[p].ravel()] for p in (0, 1))
    distance = np.sqrt(sum(np.sum((a - b).astype(np.float64) ** 2) for a, b in zip(upper, lower, strict=True)))
    np.testing.assert_allclose(found["param_distance"], distance, rtol=1e-5)

    carry, squares = cell.initial_carry(params.cell, (B,)), []
    for t in range(T):
        carry, _ = cell.step(params.cell, carry, batch.inputs[:, t])
        squares.append((np.asarray(carry.c[:, 0], np.float64) - carry.c[:, 1]) ** 2)
    np.testing.assert_allclose(found["state_distance"], np.sqrt(np.mean(squares)), rtol=1e-5)

    def loss(w, u, b):  # the step alone, written out
        state, hs = cell.initial_carry(params.cell, (B,)), []
        for t in range(T):
            state, h = cell.step(type(params.cell)(w, u, b), state, batch.inputs[:, t])
            hs.append(h)
        out = jnp.stack(hs, 1) if per_step else hs[-1]
        if task == "regression":
            return jnp.mean(((out @ params.w + params.b)[:, 0] - batch.targets) ** 2)
        likelihood = jax.nn.log_softmax(out @ params.w + params.b)
        return -jnp.mean(jnp.take_along_axis(likelihood, batch.targets[..., None], -1))

    w, u, b = map(np.asarray, jax.grad(loss, argnums=(0, 1, 2))(*params.cell))
    first, second = (np.concatenate([w[:, p].ravel(), u[:, p].ravel(), b[p].ravel()]) for p in (0, 1))
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert abs(cosine) < 0.99
    np.testing.assert_allclose(found["gradient_cosine"], cosine, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cerebral(lstm)", pytest.param("cerebral(gru)", marks=pytest.mark.slow)])
def test_paths_around_any_cell_are_measured(name):
    """Of an LSTM's what ``cerebral_lstm`` with the same weights gives; a GRU's paths have no state of their own."""
    cell = make_cell(name, H)
    model, draw = make_model(cell, D, C, per_step=False), generator("probes", name)
    params = filled(draw, jax.eval_shape(model.init, jax.random.key(0)))
    batch = Split(random_inputs(draw, B, T, D), draw.randint(0, C, B).astype(np.int32))
    found = paths(model, TASKS["classification"], params, batch)
    if name == "cerebral(gru)":
        assert set(found) == MEASURED - {"state_distance"}
        upper, lower = (np.concatenate([leaf[p].ravel() for leaf in params.cell.paths]) for p in (0, 1))
        np.testing.assert_allclose(found["param_distance"], np.linalg.norm(upper - lower), rtol=1e-5)
        assert 0.001 < abs(found["gradient_cosine"]) < 0.99
        return
    w, u, b, _ = params.cell.paths
    written_out, same = a_model()[1], CerebralParams(np.moveaxis(w, 0, 1), np.moveaxis(u, 0, 1), b)
    expected = paths(written_out, TASKS["classification"], params._replace(cell=same), batch)
    assert set(found) == MEASURED
    for measure, value in expected.items():
        np.testing.assert_allclose(found[measure], value, rtol=1e-4, err_msg=measure)


def test_identical_paths_have_distance_zero():
    _, model = a_model(paths="identical")
    draw = generator("identical")
    batch = Split(random_inputs(draw, B, T, D), draw.randint(0, C, B).astype(np.int32))
    found = paths(model, TASKS["classification"], model.init(jax.random.key(3)), batch)
    assert found["param_distance"] == 0
    assert found["state_distance"] == 0
    np.testing.assert_allclose(found["gradient_cosine"], 1, rtol=1e-6)


@pytest.mark.parametrize(
    "cell",
    [
        make_cell("lstm", H),
        make_cell("cerebral_lstm", H, paths="tied"),
        make_cell("cerebral(lstm)", H, paths="tied"),
        make_cell("bidirectional(cerebral(lstm))", H),
        stack([make_cell("cerebral_lstm", H), make_cell("cerebral_lstm", H)]),
    ],
    ids=["lstm", "tied", "tied too", "both ways", "stack"],
)
def test_other_models_have_no_paths(cell):
    model = make_model(cell, D, C, per_step=False)
    params = filled(generator("none"), jax.eval_shape(model.init, jax.random.key(0)))
    assert paths(model, TASKS["classification"], params, None) == {}


@pytest.mark.slow
def test_probes_are_rows_of_the_metrics_from_epoch_0_on_for_living_runs(tmp_path, capsys):
    """An arm with paths, one without, and a learning rate that kills in the first epoch."""
    directory = tmp_path / "run"
    arguments = ["run", "quickstart", "--data", "digits", "--arms", "cerebral-identical,lstm", "--seeds", "1",
                 "--epochs", "2", "--out", str(directory), "--set", "probes=paths", "hidden_size=3",
                 "steps_per_epoch=3", "batch_size=8", "optimizer=sgd", "arms.lstm.options.u_init=glorot_uniform",
                 "arms.lstm.cell=rnn", "options.activation=relu", "clip_norm=",
                 "arms.cerebral-identical.hyperparams.learning_rate=1e-2,1e30"]  # fmt: skip
    assert main(arguments) == 0
    rows = pq.read_table(directory / "metrics.parquet").to_pylist()
    probed = [row for row in rows if row["metric"] in MEASURED]
    where = [(row["arm"], row["learning_rate"], row["epoch"], row["step"], row["metric"]) for row in probed]
    expected = {
        ("cerebral-identical", rate, epoch, 3 * epoch, metric)
        for rate, epochs in ((0.01, (0, 1, 2)), (1e30, (0,)))
        for epoch in epochs
        for metric in MEASURED
    }
    assert set(where) == expected
    assert len(where) == len(expected)
    assert {row["split"] for row in probed} == {"validation"}
    assert all(row["value"] == 0 for row in probed if row["metric"] == "param_distance" and row["epoch"] == 0)
    assert {row["epoch"] for row in rows if row["metric"] == "loss"} == {1, 2}

    # epoch 0 of the probes disturbs neither the table nor the curves
    living, diverged, plain = groups(pq.read_table(directory / "metrics.parquet"))
    assert living.epochs.tolist() == [0, 1, 2]
    assert (diverged.epochs.tolist(), diverged.diverged.tolist()) == ([0], [True])
    assert plain.epochs.tolist() == [1, 2]
    summary = report.read_summary(directory)
    first, second, third = summary["results"]
    assert (first["epochs"], first["metrics"][summary["headline"]]["n"]) == (2, 1)
    assert (second["diverged"], second["metrics"][summary["headline"]]["n"]) == (1, 0)
    (best,) = [r["value"] for r in rows if r["split"] == "validation" and r["metric"] == "loss" and r["epoch"] == 2
               and r["learning_rate"] == 0.01 and r["arm"] == "lstm"]  # fmt: skip
    assert third["metrics"]["best_validation_loss_over_epochs"]["mean"] <= best
    points = loss_curves([living, plain], "").rows
    assert [point["epoch"] for point in points] == [1, 2] * 6
    assert {point["n"] for point in points} == {1}

    # the gap of a run is its held-out loss less its training loss
    losses = {(r["arm"], r["epoch"], r["split"]): r["value"] for r in rows if r["metric"] == "loss"}
    gaps = [row for row in rows if row["metric"] == "gap"]
    assert len(gaps) == 4
    for row in gaps:
        assert row["split"] == "validation"
        difference = losses[row["arm"], row["epoch"], "validation"] - losses[row["arm"], row["epoch"], "train"]
        np.testing.assert_allclose(row["value"], difference, rtol=1e-6)
