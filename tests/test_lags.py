"""The gradient by lag: against cells whose gradient is known, against finite differences, and how it is drawn."""

import csv
import io
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import filled, generator, random_inputs

from experiments import quickstart
from rnnlab.cells import make_cell, stack
from rnnlab.config.experiment import Arm
from rnnlab.core.errors import InputError
from rnnlab.core.types import Cell, Split
from rnnlab.data.registry import load_dataset
from rnnlab.models.recurrent_model import ModelParams, make_model
from rnnlab.report import run_figures
from rnnlab.report.png import png
from rnnlab.report.tables import csv_text
from rnnlab.runs.validate import validate
from rnnlab.stats.summary import groups
from rnnlab.storage.metrics import DIVERGED_AT, Metrics
from rnnlab.training.probes import LAGS, check_probes, lags
from rnnlab.training.tasks import TASKS

B, D, H = 3, 2, 4
NAME = "log10_gradient_lag_"
LEAST = float(np.log10(np.finfo(np.float32).tiny))


def decaying(decay) -> Cell:
    """h_t = decay * h_{t-1} + x_t W: the gradient of h_T with respect to x_{T-k} is W times decay^k."""

    def step(params, h, x):
        h = decay * h + x @ params
        return h, h

    def init(key, inputs):
        return jax.random.normal(key, (inputs, H))

    return Cell(init, lambda params, batch: jnp.zeros((*batch, H)), step, hidden_size=H)


def measured(cell, steps, task="regression", params=None, batch=None):
    model = make_model(cell, D, 3, per_step=TASKS[task].per_step)
    if params is None:
        params = filled(generator("params", steps, task), jax.eval_shape(model.init, jax.random.key(0)))
    batch = Split(random_inputs(generator("inputs", steps, task), B, steps, D), None) if batch is None else batch
    found = lags(model, TASKS[task], params, batch)
    return {int(name.removeprefix(NAME)): float(value) for name, value in found.items()}, params


@pytest.mark.parametrize(
    ("steps", "expected", "task"),
    [
        (13, [0, 1, 2, 5, 10, 12], "classification"),
        pytest.param(1, [0], "regression", marks=pytest.mark.slow),
        pytest.param(3, [0, 1, 2], "language_modeling", marks=pytest.mark.slow),
    ],
)
def test_a_gradient_that_decays_is_measured_at_every_lag(steps, expected, task):
    decay = np.array([0.9, -0.5, 1.25, 0.1])
    found, params = measured(decaying(jnp.float32(decay)), steps, task)
    assert list(found) == expected
    for lag, value in found.items():
        norm = np.linalg.norm(np.asarray(params.cell, np.float64) * decay**lag)
        np.testing.assert_allclose(value, np.log10(norm), rtol=0, atol=1e-5)


def test_the_lags_are_those_that_fit_and_the_first_step_s():
    found, _ = measured(decaying(0.99), 1200)
    assert tuple(found) == (*LAGS, 1199)


def test_a_gradient_too_small_to_square_is_still_measured_and_one_that_vanished_has_a_floor():
    found, params = measured(decaying(1e-3), 21)
    norm = np.log10(np.linalg.norm(np.asarray(params.cell, np.float64)))
    np.testing.assert_allclose([found[5], found[10]], [norm - 15, norm - 30], rtol=0, atol=1e-4)
    assert found[20] == pytest.approx(LEAST)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lstm_1997", pytest.param("stack", marks=pytest.mark.exhaustive)])
def test_the_gradient_is_that_of_finite_differences_averaged_in_logarithms(kind):
    steps, nudge = 6, 1e-6
    cell = stack([make_cell("gru", 3), make_cell("lstm", H)]) if kind == "stack" else make_cell(kind, H)
    model = make_model(cell, D, 3, per_step=False)
    draw = generator("finite", kind)
    with jax.enable_x64(True):
        params = filled(draw, jax.eval_shape(model.init, jax.random.key(0)), dtype=np.float64)
        inputs = random_inputs(draw, B, steps, D, dtype=np.float64)
        found, _ = measured(cell, steps, params=params, batch=Split(inputs, None))

        @jax.jit
        def last(xs):
            carry = cell.initial_carry(params.cell, (B,))
            for t in range(steps):
                carry, h = cell.step(params.cell, carry, xs[:, t])
            return h

        for lag, value in found.items():
            columns = []
            for feature in range(D):
                moved = np.zeros_like(inputs)
                moved[:, steps - 1 - lag, feature] = nudge
                columns.append((last(inputs + moved) - last(inputs - moved)) / (2 * nudge))
            norms = np.sqrt(np.sum(np.square(columns), axis=(0, 2)))  # [B]
            assert norms.max() > 1.2 * norms.min()  # else any mean would do
            assert value == pytest.approx(np.mean(np.log10(norms)), abs=1e-6)


@pytest.mark.slow
def test_the_readout_and_the_targets_take_no_part():
    cell = make_cell("lstm", H)
    found, params = measured(cell, 6)
    other = ModelParams(None, params.cell, 0 * params.w, params.b + 1)
    assert measured(cell, 6, params=other)[0] == found


def config_on(data, **options):
    return replace(
        quickstart.CONFIG, arms={"a": Arm("rnn")}, data=data, data_options=options, probes=("lags",), hidden_size=3,
        batch_size=8, steps_per_epoch=None,
    )  # fmt: skip


SMALL = {"examples": 20, "held_out": 10}


@pytest.mark.parametrize(
    ("data", "said"), [("reversal", "ids, which have no gradient"), ("temporal_order", "padded sequences")]
)
def test_data_that_have_no_gradient_by_lag_are_refused_before_anything_is_written(data, said):
    with pytest.raises(InputError, match=rf"^probes: lags, but {data} has {said}; accepted: features") as caught:
        validate(config_on(data, **SMALL))
    assert "\n" not in str(caught.value)
    assert validate(replace(config_on(data, **SMALL), probes=())).config.probes == ()
    assert validate(config_on("adding", **SMALL)).specs["a"].probes == ("lags",)


def test_features_of_several_lengths_are_padded_too():
    dataset = load_dataset("adding", **SMALL)
    check_probes(("lags",), dataset)
    padded = dataset._replace(validation=dataset.validation._replace(lengths=np.full(10, 7, np.int32)))
    check_probes(("paths",), padded)
    with pytest.raises(InputError, match=r"^probes: lags, but adding has padded sequences"):
        check_probes(("lags",), padded)


# figures

SEEDS, RATE = np.array([0, 1, 2]), {"learning_rate": np.full(3, 0.5, np.float32)}


def recorded():
    """Two arms at three lags, one seed of the second dead; after epochs 0, 1 and 2."""
    metrics = Metrics("probe", ["learning_rate"])
    for arm, slope in (("a", -1.0), ("b", -30.0)):
        for epoch in range(3):
            alive = SEEDS > 0 if arm == "b" and epoch == 2 else SEEDS >= 0
            rate = {"learning_rate": RATE["learning_rate"][alive]}
            for lag in (10, 0, 2):
                values = {f"{NAME}{lag}": (slope * lag + epoch + 0.1 * SEEDS)[alive]}
                metrics.add(arm, SEEDS[alive], rate, epoch, 5 * epoch, "validation", values)
            if epoch:
                metrics.add(arm, SEEDS[alive], rate, epoch, 5 * epoch, "train", {"loss": np.ones(alive.sum())})
    diverged = {"learning_rate": RATE["learning_rate"][:1]}
    metrics.add("b", SEEDS[:1], diverged, 2, 10, "train", {DIVERGED_AT: np.array([7])})
    return groups(metrics.table)


def test_the_figure_by_lag_shows_initial_values_and_the_last_epoch():
    figure = run_figures.lags(recorded(), "title")
    where = [(row["arm"], row["metric"], row["epoch"], row["lag"]) for row in figure.rows]
    expected = {(arm, "log10_gradient", epoch, lag) for arm in "ab" for epoch in (0, 2) for lag in (0, 2, 10)}
    assert len(where) == len(expected)
    assert set(where) == expected
    for row in figure.rows:
        seeds = SEEDS[1:] if row["arm"] == "b" else SEEDS  # a diverged run is in no mean, not even where it was finite
        slope = {"a": -1.0, "b": -30.0}[row["arm"]]
        assert row["n"] == len(seeds)
        assert row["mean"] == pytest.approx(slope * row["lag"] + row["epoch"] + 0.1 * seeds.mean())
        assert row["low"] < row["mean"] < row["high"]
    assert [line.x for panel in figure.panels for line in panel.lines] == [[0, 2, 10]] * 4
    assert run_figures.probes(recorded(), "title") is None
    rows = list(csv.DictReader(io.StringIO(csv_text(figure.rows))))
    assert [row["lag"] for row in rows] == [str(row["lag"]) for row in figure.rows]


def test_the_figure_by_lag_is_drawn_also_of_one_run_and_of_what_stopped_early():
    before = [group._replace(epochs=group.epochs[:1], steps=group.steps[:1], seeds=group.seeds[:1],
                             diverged=group.diverged[1:2], values={k: v[1:2, :1] for k, v in group.values.items()})
              for group in recorded()]  # fmt: skip
    assert png(run_figures.lags(before, "title")).startswith(b"\x89PNG")
    assert png(run_figures.lags(recorded(), "title")).startswith(b"\x89PNG")
