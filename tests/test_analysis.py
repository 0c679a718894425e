"""Analyses where the answer is known: linear cells, fixed gates, given trajectories."""

import csv
import shutil
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import filled, generator

from rnnlab.analysis import (
    ANALYSES,
    Subject,
    components,
    drift,
    fixed_points,
    gate_saturation,
    gradient_by_lag,
    lyapunov,
    path_distances,
    sample_states,
    spectrum,
    subject,
    time_scales,
    trajectory,
)  # fmt: skip
from rnnlab.analysis.figures import FIGURES
from rnnlab.analysis.trajectories import from_vector, to_vector
from rnnlab.cells import make_cell, stack
from rnnlab.cells.rnn import RNNParams
from rnnlab.cli.analyze import OPTIONS, _of_seeds
from rnnlab.cli.main import main
from rnnlab.config.document import to_json, training_hash
from rnnlab.config.experiment import Arm, Config
from rnnlab.core.errors import InputError
from rnnlab.core.types import Cell
from rnnlab.runs.saved_run import load_run
from rnnlab.runs.validate import abstract_state, identity, validate
from rnnlab.storage import checkpoint, files

lyapunov_module = sys.modules["rnnlab.analysis.lyapunov"]  # its function has its name
T, B, D, H = 6, 3, 2, 4
LENGTHS = np.array([6, 3, 1])


class Linear(NamedTuple):
    a: Any
    w: Any


class LinearCarry(NamedTuple):
    h: Any


def linear_step(params, carry, x):
    h = carry.h @ params.a + x @ params.w
    return LinearCarry(h), h


LINEAR = Cell(
    lambda key, inputs: None, lambda params, batch: LinearCarry(jnp.zeros((*batch, len(params.a)))), linear_step,
    hidden_size=H,
)  # fmt: skip
# The outputs are the inputs.
TAPE = LINEAR._replace(step=lambda params, carry, x: (LinearCarry(x), x), hidden_size=3)


def padded(name: str, *shape: int) -> np.ndarray:
    """Random inputs ``[T, B, ...]`` whose padding is NaN."""
    xs = generator("analysis", name).normal(size=(T, B, *shape)).astype(np.float32)
    xs[np.arange(T)[:, None] >= LENGTHS] = np.nan
    return xs


@pytest.fixture(scope="module")
def linear():
    draw = generator("analysis", "linear")
    a = draw.normal(size=(H, H))
    a *= 0.8 / np.abs(np.linalg.eigvals(a)).max()
    return Linear(a.astype(np.float32), draw.normal(size=(D, H)).astype(np.float32))


def test_the_spectrum_of_a_linear_cell_is_that_of_its_matrix(linear):
    found = spectrum(LINEAR, linear, padded("linear", D), LENGTHS, positions=3)
    assert found.steps.T.tolist() == [[0, 2, 5], [0, 1, 2], [0, 0, 0]]
    expected = np.linalg.eigvals(linear.a.astype(np.float64))
    expected = expected[np.argsort(-np.abs(expected), kind="stable")]
    for values in found.eigenvalues.reshape(-1, H):
        np.testing.assert_allclose(np.abs(values), np.abs(expected), rtol=1e-5)
        np.testing.assert_allclose(np.sort_complex(values), np.sort_complex(expected), rtol=1e-5)
    np.testing.assert_allclose(found.radius, 0.8, rtol=1e-5)
    np.testing.assert_allclose(found.gain, np.linalg.norm(linear.a.astype(np.float64), 2), rtol=1e-5)


def test_the_gradient_of_a_linear_cell_at_lag_k_is_the_kth_power_of_its_matrix(linear):
    found = gradient_by_lag(LINEAR, linear, padded("linear", D), LENGTHS)
    assert found.lags.tolist() == [1, 2, 5, 6]
    for lag, row in zip(found.lags, found.log10, strict=True):
        expected = np.log10(np.linalg.norm(np.linalg.matrix_power(linear.a.astype(np.float64), lag)))
        known = lag <= LENGTHS
        np.testing.assert_allclose(row[known], expected, rtol=1e-4, atol=1e-5)
        assert np.isnan(row[~known]).all()


@pytest.mark.parametrize("limit", [256, 2], ids=["spectrum", "largest"])
def test_the_exponents_of_a_linear_cell_are_the_log_absolute_eigenvalues(linear, limit, monkeypatch):
    monkeypatch.setattr(lyapunov_module, "MAX_SPECTRUM", limit)
    found = lyapunov(LINEAR, linear, np.ones((1500, 2, D), np.float32), np.array([1500, 1100]))
    moduli = np.sort(np.abs(np.linalg.eigvals(linear.a.astype(np.float64))))[::-1]
    expected = np.log(moduli)[: found.shape[1]]
    assert found.shape == (2, H if limit > 2 else 1)
    np.testing.assert_allclose(found, np.tile(expected, (2, 1)), atol=0.006)  # the start is forgotten like 1 / T
    assert np.isnan(lyapunov(LINEAR, linear, np.ones((3, 1, D), np.float32), np.array([0]))).all()


@pytest.mark.slow
def test_a_random_tanh_network_turns_chaotic_where_its_gain_passes_one():
    """h <- tanh(g W h), W of variance 1/N (Sompolinsky, Crisanti & Sommers 1988): quiet below g = 1, chaotic above."""
    n, steps = 120, 400
    draw = generator("analysis", "chaos")
    w, kick = draw.normal(size=(n, n)) / np.sqrt(n), draw.normal(size=(1, 1, n))
    cell = make_cell("rnn", n)
    xs = np.concatenate([kick, np.zeros((steps - 1, 1, n))]).astype(np.float32)
    largest = {}
    for gain in (0.6, 2.0):
        params = RNNParams(np.eye(n, dtype=np.float32), (gain * w).astype(np.float32), np.zeros(n, np.float32))
        largest[gain] = lyapunov(cell, params, xs)[0]
    radius = np.abs(np.linalg.eigvals(w)).max()
    assert abs(largest[0.6][0] - np.log(0.6 * radius)) < 0.02  # the Jacobian at rest is g W
    assert largest[2.0][0] > 0.05
    assert largest[2.0][-1] < largest[2.0][0]


def test_the_fixed_point_of_a_linear_cell_solves_its_linear_equations(linear):
    x = np.array([0.5, -1.5], np.float32)
    starts = LinearCarry(jnp.asarray(generator("analysis", "starts").normal(size=(5, H)), jnp.float32))
    found = fixed_points(LINEAR, linear, x, starts, iterations=20)
    a, w = (np.asarray(part, np.float64) for part in linear)
    np.testing.assert_allclose(found.ends, np.tile(x @ w @ np.linalg.inv(np.eye(H) - a), (5, 1)), rtol=1e-3, atol=1e-4)
    assert len(found.distinct) == 1
    assert found.stable.tolist() == [True]
    np.testing.assert_allclose(np.abs(found.eigenvalues[0, 0]), 0.8, rtol=1e-5)


def test_a_bistable_cell_has_three_fixed_points_one_of_them_unstable():
    """h = tanh(2 h): 0, and +-0.9575040241 by bisection."""
    cell = LINEAR._replace(step=lambda p, carry, x: (LinearCarry(jnp.tanh(2 * carry.h + x)), carry.h), hidden_size=1)
    starts = LinearCarry(jnp.array([[-0.9], [-0.05], [0.04], [0.7], [1.3]]))
    found = fixed_points(cell, Linear(np.eye(1), None), np.zeros(1, np.float32), starts)
    order = np.argsort(found.ends[found.distinct, 0])
    np.testing.assert_allclose(found.ends[found.distinct[order], 0], [-0.9575040241, 0, 0.9575040241], atol=1e-5)
    assert found.stable[order].tolist() == [True, False, True]
    np.testing.assert_allclose(found.eigenvalues[order, 0], 2 * (1 - np.array([0.9575040241, 0, 0.9575040241]) ** 2),
                               rtol=1e-4)  # fmt: skip


def test_a_drifting_cell_has_no_fixed_point():
    cell = LINEAR._replace(step=lambda p, carry, x: (LinearCarry(carry.h + 0.01), carry.h), hidden_size=1)
    starts = LinearCarry(jnp.array([[0.0], [2.0]]))
    found = fixed_points(cell, Linear(np.eye(1), None), np.zeros(1, np.float32), starts, 10)
    np.testing.assert_allclose(found.q, 0.5 * 0.01**2, rtol=1e-4)
    assert (len(found.distinct), found.eigenvalues.shape, found.fixed.any()) == (0, (0, 1), False)


def fixed_gates(**biases):
    """An LSTM whose gates depend on their biases only, f also on x; its candidate is 0."""
    cell = make_cell("lstm", H)
    shapes = jax.eval_shape(lambda: cell.init(jax.random.key(0), 1))
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)
    for row, name in enumerate(("i", "f", "candidate", "o")):
        params.b[row] = biases.get(name, 0.0)
    params.w[0, 1] = 1.0
    return cell, params


def logit(p):
    return np.log(p / (1 - np.asarray(p)))


def test_saturation_is_the_fraction_of_valid_steps_below_0_1_and_above_0_9():
    xs = padded("gates", 1)
    forget = np.array([0.05, 0.5, 0.95, 0.97, 0.2, 0.3])
    xs[:, 0, 0], xs[:3, 1, 0], xs[0, 2, 0] = logit(forget), logit([0.99, 0.01, 0.6]), logit(0.08)
    cell, params = fixed_gates(i=logit([0.02, 0.5, 0.95, 0.98]), o=logit([0.11, 0.89, 0.09, 0.91]))
    found = gate_saturation(cell, params, xs, LENGTHS)
    assert list(found) == ["i", "f", "o"]
    assert (found["i"].left_saturated.tolist(), found["i"].right_saturated.tolist()) == ([1, 0, 0, 0], [0, 0, 1, 1])
    assert (found["o"].left_saturated.tolist(), found["o"].right_saturated.tolist()) == ([0, 0, 1, 0], [0, 0, 0, 1])
    np.testing.assert_allclose(found["f"].left_saturated, 3 / 10)
    np.testing.assert_allclose(found["f"].right_saturated, 3 / 10)
    valid = np.concatenate([forget, [0.99, 0.01, 0.6, 0.08]])
    np.testing.assert_allclose(found["f"].mean, valid.mean(), rtol=1e-5)
    scales = time_scales(cell, params, xs, LENGTHS)
    np.testing.assert_allclose(scales["f"], -1 / np.log(valid).mean(), rtol=1e-4)


def test_the_time_scale_of_constant_forget_gates_is_minus_1_over_log_f():
    cell, params = fixed_gates(f=logit([0.5, 0.9, 0.99, 0.999]))
    tau = time_scales(cell, params, np.zeros((T, B, 1), np.float32))["f"]
    np.testing.assert_allclose(tau, [1.4426950, 9.4912216, 99.4991625, 999.4999166], rtol=2e-3)
    two = stack([cell, cell])
    wide = params._replace(w=np.zeros((H, 4, H), np.float32))
    found = time_scales(two, (params, wide), np.zeros((T, B, 1), np.float32))
    assert list(found) == ["1.f", "2.f"]
    np.testing.assert_allclose(found["2.f"], tau)


@pytest.mark.parametrize(
    ("name", "options", "kept"),
    [
        ("gru", {}, "z"), ("gru", {"variant": "printed", "reset": "before"}, "1 - z"), ("lstm_1997", {}, ""),
        ("biological_lstm", {}, ""), ("cerebral_lstm", {"variant": "printed"}, ""), ("cerebral_lstm", {}, "f"),
        ("rnn", {}, ""), ("hodgkin_huxley", {}, ""), ("grid_lstm", {"layers": 2}, "f"),
    ],
)  # fmt: skip
def test_the_time_scale_is_that_of_the_gate_that_retains_the_state(name, options, kept):
    cell = make_cell(name, H, **options)
    params = filled(generator("keeps", name), jax.eval_shape(lambda: cell.init(jax.random.key(0), D)))
    xs = np.nan_to_num(padded("keeps", D))
    found = time_scales(cell, params, xs)
    assert set(found) == ({kept[-1]} if kept else set())
    if kept:
        gate = np.asarray(getattr(trajectory(cell, params, xs).gates, kept[-1]), np.float64)
        gate = 1 - gate if kept.startswith("1") else gate
        if name == "grid_lstm":
            gate[:, :, :, 1] = np.nan  # [T, B, L, time and depth, H]
        np.testing.assert_allclose(found[kept[-1]], -1 / np.log(gate).mean((0, 1)).ravel(), rtol=1e-4)


def test_a_biological_state_drifts_by_the_sum_of_its_gates_per_step():
    delta = 0.01
    cell = make_cell("biological_lstm", 2, delta=delta)
    params = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, np.float32), jax.eval_shape(lambda: cell.init(jax.random.key(0), D))
    )
    params = params._replace(b_c=np.array([0.5, -3.0], np.float32))
    params.b[0], params.b[1] = logit(0.3), logit(0.9)
    slope = delta * np.array([0.3 + 0.9 + 0.5, 0.3 + 0.9 - 3])
    found = drift(cell, params, padded("biological", D), LENGTHS)["c"]
    steps = np.arange(1, T + 1)
    np.testing.assert_allclose(found.mean, steps * slope.mean(), rtol=1e-4)
    np.testing.assert_allclose(found.rms, steps * np.sqrt((slope**2).mean()), rtol=1e-4)
    np.testing.assert_allclose(found.low, steps * slope[1], rtol=1e-4)
    np.testing.assert_allclose(found.high, steps * slope[0], rtol=1e-4)
    np.testing.assert_allclose([found.largest, found.per_step, found.rising], [T * -slope[1], slope.mean(), 0.5],
                               rtol=1e-4)  # fmt: skip


def test_path_distances_are_0_for_equal_paths_and_else_those_of_a_plain_loop():
    cell = make_cell("cerebral_lstm", H)
    params = filled(generator("paths", "cerebral"), jax.eval_shape(lambda: cell.init(jax.random.key(0), D)))
    same = params._replace(w=params.w[:, [0, 0]], u=params.u[:, [0, 0]], b=params.b[[0, 0]])
    xs = padded("paths", D)
    alike = path_distances(cell, same, xs, LENGTHS)["1"]
    assert (alike.parameters, alike.relative, alike.state.tolist()) == (0, 0, [0] * T)

    moved = same._replace(b=same.b + np.array([0, 0.25], np.float32)[:, None, None])
    found = path_distances(cell, moved, xs, LENGTHS)["1"]
    np.testing.assert_allclose(found.parameters, 0.25 * np.sqrt(4 * H), rtol=1e-5)
    norms = [sum(np.sum(part.astype(np.float64) ** 2) for part in (moved.w[:, p], moved.u[:, p], moved.b[p]))
             for p in (0, 1)]  # fmt: skip
    np.testing.assert_allclose(found.relative, found.parameters / np.sqrt(np.mean(norms)), rtol=1e-5)
    squares: list[list[float]] = [[] for _ in range(T)]
    for element, length in enumerate(LENGTHS):
        carry = cell.initial_carry(moved, ())
        for t in range(length):
            carry, _ = cell.step(moved, carry, xs[t, element])
            squares[t].append(np.mean((np.asarray(carry.c[0], np.float64) - carry.c[1]) ** 2))
    np.testing.assert_allclose(found.state, [np.sqrt(np.mean(row)) for row in squares], rtol=1e-4)
    assert path_distances(make_cell("cerebral_lstm", H, paths="tied"), moved._replace(
        w=moved.w[:, :1], u=moved.u[:, :1], b=moved.b[:1]), xs, LENGTHS) == {}  # fmt: skip
    assert path_distances(LINEAR, None, xs, LENGTHS) == {}


def test_components_are_those_of_a_singular_value_decomposition_of_the_centered_outputs():
    xs = padded("components", 3) * np.array([3, 0.5, 1], np.float32) + 7
    found = components(TAPE, Linear(np.eye(3), None), xs, LENGTHS, count=2)
    rows = np.concatenate([xs[:length, b] for b, length in enumerate(LENGTHS)]).astype(np.float64)
    mean = rows.mean(0)
    _, sizes, directions = np.linalg.svd(rows - mean, full_matrices=False)
    directions *= np.sign(directions[range(3), np.abs(directions).argmax(1)])[:, None]
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(found.variances, sizes**2 / (len(rows) - 1), rtol=1e-5)
    np.testing.assert_allclose(found.directions, directions[:2], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.explained, sizes**2 / np.sum(sizes**2), rtol=1e-5)
    np.testing.assert_allclose(found.dimension, np.sum(sizes**2) ** 2 / np.sum(sizes**4), rtol=1e-5)
    for b, length in enumerate(LENGTHS):
        expected = (xs[:length, b] - mean) @ directions[:2].T
        np.testing.assert_allclose(found.scores[:length, b], expected, rtol=1e-4, atol=1e-5)
        assert np.isnan(found.scores[length:, b]).all()


def test_the_state_vector_round_trips_and_excludes_counters():
    cell = stack([make_cell("biological_lstm", 2, noise=0.1), make_cell("qrnn", 3, zoneout=0.2)])
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), D))
    carry = cell.initial_carry(jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), params), ())
    carry = (carry[0]._replace(t=jnp.array([5.0])), carry[1]._replace(t=jnp.array([7.0])))
    size = 2 * 2 + 3 + 1 * 3 * 3  # c, h; c, and what the last input adds to three gates
    vector = jnp.arange(1.0, size + 1)
    made = from_vector(vector, carry)
    np.testing.assert_array_equal(to_vector(made), vector)
    np.testing.assert_array_equal(made[0].h, [3, 4])
    assert (made[0].t.item(), made[1].t.item()) == (5, 7)
    assert jax.tree.structure(made) == jax.tree.structure(carry)


def test_a_bidirectional_cell_has_components_and_no_single_steps():
    cell = make_cell("bidirectional(rnn)", 2)
    params = filled(generator("both", "ways"), jax.eval_shape(lambda: cell.init(jax.random.key(0), D)))
    xs = padded("both", D)
    for function in (drift, spectrum, gradient_by_lag, trajectory):
        with pytest.raises(InputError, match="needs the whole sequence") as caught:
            function(cell, params, xs, LENGTHS)
        assert "\n" not in str(caught.value)
    assert components(cell, params, xs, LENGTHS).variances.shape == (4,)
    assert gate_saturation(cell, params, xs, LENGTHS) == time_scales(cell, params, xs, LENGTHS) == {}


def test_sampled_states_are_evenly_spaced_over_the_valid_steps():
    carries = LinearCarry(np.arange(T * B).reshape(T, B, 1))
    valid = np.arange(T)[:, None] < LENGTHS
    assert sample_states(carries, valid, 4).h.ravel().tolist() == [0, 3, 7, 15]
    assert len(sample_states(carries, valid, 99).h) == LENGTHS.sum()


ALIKE = [
    "cerebral(gru)",
    "gru",
    "lstm3",
    "peephole_lstm",
    "biological_lstm",
    "cerebral_lstm",
    "hodgkin_huxley",
    "grid_lstm",
    "ids",
]


@pytest.mark.parametrize(
    "name",
    [*(pytest.param(name, marks=pytest.mark.slow) for name in ("rnn", "qrnn", "grid_lstm_2d", "stacked")),
     *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ALIKE)],
)  # fmt: skip
def test_every_analysis_accepts_every_kind_of_cell(name):
    cell = stack([make_cell("cerebral_lstm", 2), make_cell("cerebral_lstm", 2)]) if name == "stacked" else None
    cell = cell or make_cell("lstm" if name == "ids" else name, 3)
    params = jax.jit(lambda key: cell.init(key, 3))(jax.random.key(0))
    xs = padded("every", 3)
    one = Subject(
        cell,
        params,
        generator("every", name).randint(0, 3, (T, B)).astype(np.int32) if name == "ids" else xs,
        LENGTHS,
        None,
    )
    for part, measure in ANALYSES.items():
        found = measure(one)
        assert bool(found.scalars) != bool(found.note), part
        for what, value in found.scalars.items():
            assert np.isfinite(value), (part, what)
        assert bool(found.note) == ((part == "paths" and name not in ("cerebral_lstm", "cerebral(gru)", "stacked")) or
                                    (part == "gates" and name == "rnn")), part  # fmt: skip
    assert np.isfinite(ANALYSES["lags"](one).lines["log10 gradient"][1]).all()


CONFIG = Config(
    experiment="quickstart", arms={"plain": Arm("rnn"), "both": Arm("bidirectional(rnn)"), "lstm": Arm("lstm")},
    data="digits", seeds=(7, 3), epochs=3, batch_size=4, hidden_size=3, steps_per_epoch=2, keep_params_every=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A saved run of CONFIG with random states."""
    directory = tmp_path_factory.mktemp("analysis") / "run"
    experiment = validate(CONFIG)
    files.write_json(directory / "env.json", {"dataset": identity(experiment)})
    files.write_whole(directory / "config.json", to_json(CONFIG).encode())
    position = checkpoint.Position(4, 0, 6, 1.0, True, training_hash(CONFIG))
    draw = np.random.default_rng(0)
    for arm in CONFIG.arms:
        shapes = abstract_state(experiment.specs[arm], experiment.runs(arm))
        state = jax.tree.map(lambda leaf: draw.normal(size=leaf.shape).astype(leaf.dtype), shapes)
        state = state._replace(best=state.best._replace(epoch=np.ones(2, np.int32)))
        checkpoint.save(directory / "checkpoints" / arm, [state], position)
        checkpoint.save_epoch(directory / "checkpoints" / arm, [jax.tree.map(lambda leaf: leaf + 1, state.params)], 2)
    return directory


def test_the_help_text_and_the_figures_name_every_analysis():
    (text,) = [text for name, _, _, text in OPTIONS if name == "--what"]
    assert all(name in text for name in ANALYSES)
    assert set(FIGURES) == {"scalars", *ANALYSES}


def test_the_subject_of_a_saved_run_has_the_states_of_its_model(trained):
    run = load_run(trained)
    one = subject(run, "lstm", seed=3, epoch="best", batch=run.examples("validation", 5))
    found = drift(*one.args)
    assert one.xs.shape == (8, 5, 8)
    model, params = run.model("lstm"), run.params("lstm", 3)
    carries = np.asarray(model.carry_history(params, run.examples("validation", 5).inputs).c, np.float64)
    np.testing.assert_allclose(found["c"].rms, np.sqrt((carries**2).mean((1, 2))), rtol=1e-5)


@pytest.mark.slow
def test_the_command_writes_means_over_seeds_of_the_python_functions(trained, tmp_path, capsys):
    arguments = ["analyze", str(trained), "--what", "state,gates,lags", "--examples", "5", "--out", str(tmp_path / "a")]
    assert main(arguments) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    assert "state left out for both" in err
    assert "gates left out for plain" in err
    with open(tmp_path / "a" / "scalars.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["epoch"] for row in rows} == {"first", "2", "best"}
    run = load_run(trained)
    for epoch in ("first", 2, "best"):
        values = [drift(*subject(run, "lstm", seed, epoch, batch=run.examples("validation", 5)).args)["c"].largest
                  for seed in (7, 3)]  # fmt: skip
        (row,) = [r for r in rows if (r["arm"], r["epoch"], r["what"]) == ("lstm", str(epoch), "largest |c|")]
        assert float(row["mean"]) == pytest.approx(np.mean(values), rel=1e-5)
        assert row["n"] == "2"
    for name in ("scalars", "gates", "state", "lags"):
        assert (tmp_path / "a" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "largest |c|" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--what", "gatse"], "did you mean 'gates'"), (["--what", ","], "--what: is empty"),
        (["--arm", "lstn"], "did you mean 'lstm'"), (["--seed", "4"], "accepted: 7, 3"),
        (["--epoch", "3"], "accepted: first, best, last, 2"), (["--epoch", "best,frist"], "did you mean 'first'"),
        (["--examples", "0"], "--examples"), (["--set", "delta=1"], "--set"),
    ],
)  # fmt: skip
def test_invalid_options_are_one_line_and_write_nothing(trained, capsys, arguments, message):
    refused(["analyze", str(trained), *arguments], message, capsys)
    assert not (trained / "analysis").exists()


def refused(arguments, message, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


@pytest.mark.slow
@pytest.mark.parametrize(
    "best_epoch", [0, pytest.param(1, marks=pytest.mark.exhaustive)], ids=["no best epoch", "NaN parameters"]
)
def test_a_diverged_arm_gets_a_note_and_the_others_are_analyzed(trained, tmp_path, capsys, best_epoch):
    directory = shutil.copytree(trained, tmp_path / "run")
    run, folder = load_run(directory), directory / "checkpoints" / "plain"
    state = checkpoint.load(folder, abstract_state(run.spec("plain"), run.runs("plain")))
    position = checkpoint.position(folder)
    shutil.rmtree(folder)
    nan = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), state.params)
    best = state.best._replace(params=nan, epoch=np.full(2, best_epoch, np.int32))
    checkpoint.save(folder, [state._replace(params=nan, best=best)], position)
    checkpoint.save_epoch(folder, [nan], 2)
    arguments = ["analyze", str(directory), "--arm", "plain,lstm", "--what", "jacobian,components", "--examples", "5"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    written = (directory / "analysis" / "notes.txt").read_text()
    reason = "its parameters are not finite" if best_epoch else "no epoch had a finite validation loss"
    for note in (
        f"left out: epoch: best of arm plain, seed 7: {reason}",
        "left out: epoch: 2 of arm plain, seed 3: its",
    ):
        assert note in err
        assert note in written
    with open(directory / "analysis" / "scalars.csv") as file:
        found = {(row["arm"], row["epoch"]) for row in csv.DictReader(file) if row["what"] == "radius"}
    assert found == {("plain", "first"), *(("lstm", epoch) for epoch in ("first", "2", "best"))}
    assert "lstm" in out


def test_a_state_that_overflows_is_a_note():
    exploding = LINEAR._replace(step=lambda p, carry, x: (LinearCarry(carry.h**2 * 3e38 + 1), carry.h), hidden_size=1)
    xs = np.ones((T, B, D), np.float32)
    measured, reason = _of_seeds("jacobian", {7: Subject(exploding, Linear(np.eye(1), None), xs, None, None)})
    assert (measured, reason) == ({}, "the state or Jacobian of seed 7 is not finite")


def test_a_run_without_checkpoints_or_with_other_data_is_refused(trained, tmp_path, capsys):
    directory = shutil.copytree(trained, tmp_path / "run")
    environment = files.read_json(directory / "env.json")
    environment["dataset"]["source"] = {"another": 1}
    files.write_json(directory / "env.json", environment)
    refused(["analyze", str(directory), "--arm", "lstm"], "the data digits changed since the run started", capsys)
    shutil.rmtree(directory / "checkpoints")
    refused(["analyze", str(directory)], "checkpoint: none", capsys)
