"""The Hodgkin-Huxley neuron: what it is known to do, its numerics, what it refuses, and the study that shows it."""

import csv
import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import neuron
from rnnlab.cells.hodgkin_huxley import LARGEST_DT, HodgkinHuxleyCarry, linoid, rates
from rnnlab.cells.registry import make_cell
from rnnlab.cells.unroll import unroll
from rnnlab.cli.main import main
from rnnlab.core.errors import InputError

SETTINGS = neuron.Settings()
INTEGRATORS = pytest.mark.parametrize("integrator", LARGEST_DT)


def potential(current, duration, **changes):
    """``(times, V)`` from rest on, under a constant current."""
    records = neuron.trace(replace(SETTINGS, current=current, duration=duration, **changes))
    return np.array([record["time"] for record in records]), np.array([record["V"] for record in records])


def frequency(**changes):
    """Of the spikes at 10 uA/cm^2 from the second on, in Hz: crossings of 0 mV between steps count too."""
    times, v = potential(10.0, 250.0, **changes)
    before = np.flatnonzero((v[:-1] < 0) & (v[1:] >= 0))
    crossings = times[before] + (times[before + 1] - times[before]) * v[before] / (v[before] - v[before + 1])
    return 1000 / np.mean(np.diff(crossings[1:]))


@INTEGRATORS
def test_rest_is_stable(integrator):
    _, v = potential(0.0, 200.0, integrator=integrator)
    assert len(v) == 8000
    assert np.abs(v + 65).max() < 1


@pytest.mark.parametrize(
    ("integrator", "dt"), [("exponential_euler", 0.025), ("rk4", 0.05), *LARGEST_DT.items()], ids=str
)
def test_the_known_answers_hold_up_to_the_largest_dt(integrator, dt):
    settings = replace(SETTINGS, integrator=integrator, dt=dt)
    rate, goes_on, v = neuron.firing(settings, [0.0, 3.0, 6.0, 6.5, 10.0])
    assert abs(v[0] + 65) < 1
    assert goes_on.tolist() == [False, False, False, True, True]
    assert not rate[:2].any()
    assert abs(rate[-1] - 68) <= 2


@pytest.mark.slow
def test_beyond_the_largest_dt_they_do_not(monkeypatch):
    """Else the limits would refuse for nothing."""
    beyond = {"rk4": 0.085, "exponential_euler": 0.3}
    for integrator, dt in beyond.items():
        monkeypatch.setitem(LARGEST_DT, integrator, dt)
    rate, _, v = neuron.firing(replace(SETTINGS, integrator="rk4", dt=beyond["rk4"]), [0.0, 150.0])
    assert np.isfinite(v).tolist() == [True, False]
    rate, *_ = neuron.firing(replace(SETTINGS, dt=beyond["exponential_euler"]), [10.0])
    assert abs(rate[0] - 68) > 2


def test_integrators_and_half_a_step_agree():
    plain, half, other = frequency(), frequency(dt=0.0125), frequency(integrator="rk4")
    assert 66 < plain < 70
    assert abs(half / plain - 1) < 0.01
    assert abs(other / plain - 1) < 0.01
    assert plain != half != other


@INTEGRATORS
def test_a_pulse_makes_one_spike(integrator):
    """20 uA/cm^2 for 1 ms; it peaks below E_Na = 50 and falls below rest, not below E_K = -77."""
    cell = make_cell("hodgkin_huxley", 1, integrator=integrator)
    pulse = np.zeros((1600, 1, 1), np.float32)
    pulse[:40] = 20
    carry, vs = jax.jit(lambda xs: unroll(cell, cell.init(None, 1), xs))(pulse)
    v = np.ravel(vs)
    assert np.sum((v[:-1] < 0) & (v[1:] >= 0)) == 1
    assert 35 < v.max() < 50
    assert 1.0 < 0.025 * np.argmax(v) < 4.0
    assert -77 < v.min() < -72
    assert all(0 <= float(gate[0, 0]) <= 1 for gate in carry[1:])
    with_less = jax.jit(lambda xs: unroll(cell, cell.init(None, 1), xs)[1])(pulse / 5)
    assert np.max(with_less) < -50  # all or none


def test_substeps_are_steps():
    fine, coarse = make_cell("hodgkin_huxley", 2), make_cell("hodgkin_huxley", 2, substeps=4)
    params, x = fine.init(None, 2), jnp.array([9.0, -3.0])
    carry = fine.initial_carry(params, ())
    expected = carry
    for _ in range(4):
        expected, v = fine.step(params, expected, x)
    after, h = coarse.step(params, carry, x)
    for ours, theirs in zip((*after, h), (*expected, v), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert h[0] > -65 > h[1]


def test_the_singular_potentials():
    """0/0 at V = -40 and -55: by their limits, and with the gradients of their neighbors."""
    assert rates(jnp.float32(-40))[0][0] == 1.0
    np.testing.assert_allclose(rates(jnp.float32(-55))[2][0], 0.1, rtol=1e-7)
    slope = jax.grad(linoid)
    values, slopes, bends = (jax.jit(jax.vmap(f)) for f in (linoid, slope, jax.grad(slope)))
    x = np.array([0.0, 1e-30, -1e-30, 1e-6, -1e-3, 0.03])
    near = jnp.asarray(x, jnp.float32)
    np.testing.assert_allclose(values(near), 1 + x / 2 + x**2 / 12, rtol=1e-6)
    np.testing.assert_allclose(slopes(near), 0.5 + x / 6 - x**3 / 180, rtol=1e-6)
    np.testing.assert_allclose(bends(near), 1 / 6 - x**2 / 60, rtol=1e-5)
    x = np.array([-3.0, -0.1001, -0.0999, 0.0999, 0.1001, 2.0])  # on either side of where the series ends
    away = jnp.asarray(x, jnp.float32)
    np.testing.assert_allclose(values(away), x / (1 - np.exp(-x)), rtol=1e-6)
    expected = 1 / (1 - np.exp(-x)) - x * np.exp(-x) / (1 - np.exp(-x)) ** 2
    np.testing.assert_allclose(slopes(away), expected, rtol=1e-5)


@INTEGRATORS
def test_gradients_at_the_singular_potentials(integrator):
    cell = make_cell("hodgkin_huxley", 1, integrator=integrator)
    params = cell.init(None, 1)

    @jax.jit
    @jax.grad
    def slopes(v):
        carry = cell.initial_carry(params, ())._replace(v=v)
        after, _ = cell.step(params, carry, jnp.ones(1))
        return after.v[0] + 100 * (after.m[0] + after.n[0])

    for v in (-40.0, -55.0):
        here, left, right = (slopes(jnp.array([v + off], jnp.float32))[0] for off in (0.0, -0.05, 0.05))
        np.testing.assert_allclose(here, (left + right) / 2, rtol=1e-4)


@pytest.mark.parametrize(("inputs", "hidden_size"), [(1, 3), (2, 5), (5, 2), (3, 3)])
def test_at_first_every_neuron_reads_its_input(inputs, hidden_size):
    w = np.asarray(make_cell("hodgkin_huxley", hidden_size).init(None, inputs).w)
    fewer = min(inputs, hidden_size)
    assert w.tolist() == [[float(d % fewer == h % fewer) for h in range(hidden_size)] for d in range(inputs)]
    if inputs == 1:
        assert (w == 1).all()
    assert w.any(0).all()
    assert w.any(1).all()


REFUSED = [
    ("dt", 0.0, "above 0 and at most 0.2 ms", {}),
    ("dt", -0.1, "above 0", {}),
    ("dt", 0.21, "exponential_euler", {}),
    ("dt", 0.1, "above 0 and at most 0.08 ms", {"integrator": "rk4"}),
    ("dt", float("nan"), "above 0", {}),
    ("integrator", "exponential_eular", "'exponential_euler'", {}),
    ("substeps", 0, "a whole number from 1", {}),
    ("substeps", 1.5, "a whole number from 1", {}),
    ("substeps", True, "a whole number from 1", {}),
    ("capacitance", 0.0, "above 0 uF/cm^2", {}),
    ("g_na", -1.0, "0 or more", {}),
    ("g_k", float("inf"), "0 or more", {}),
]


@pytest.mark.parametrize(("option", "value", "accepted", "more"), REFUSED)
def test_what_the_cell_refuses(option, value, accepted, more):
    with pytest.raises(InputError) as caught:
        make_cell("hodgkin_huxley", 2, **{option: value}, **more)
    line = str(caught.value)
    assert line.startswith(f"{option}: ")
    assert str(value) in line
    assert accepted in line
    assert "\n" not in line


@pytest.mark.slow
def test_numbers_may_ride_the_run_axis():
    xs = jnp.full((3, 1), 10.0)

    def last(g_k):
        cell = make_cell("hodgkin_huxley", 1, g_k=g_k, dt=0.1, substeps=3)
        return unroll(cell, cell.init(None, 1), xs[:, None])[1][-1, 0, 0]

    together = jax.jit(jax.vmap(last))(jnp.array([20.0, 36.0]))
    np.testing.assert_allclose(together, [last(20.0), last(36.0)], rtol=1e-6)
    assert together[0] > together[1] + 0.1


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("neuron") / "run"
    assert main(["run", "neuron", "--quick", "--out", str(directory), "--set", "dt=0.1"]) == 0
    return directory


FILES = ["config.json", "env.json", "report.html", "summary.json"]
FIGURES = ["frequency_current.csv", "frequency_current.png", "rates.csv", "rates.png", "spikes.csv", "spikes.png"]


@pytest.mark.slow
def test_the_study_writes_its_answers(finished):
    assert sorted(path.name for path in finished.iterdir()) == sorted([*FILES, "figures"])
    assert sorted(path.name for path in (finished / "figures").iterdir()) == FIGURES
    assert json.loads((finished / "config.json").read_text())["config"]["dt"] == 0.1
    summary = json.loads((finished / "summary.json").read_text())
    assert (summary["experiment"], summary["complete"]) == ("neuron", True)
    answers = [(answer["unit"], answer["as_expected"]) for answer in summary["answers"]]
    assert answers == [("mV", True), ("Hz", True), ("uA/cm^2", True)]
    curve = list(csv.DictReader((finished / "figures" / "frequency_current.csv").open()))
    assert [float(point["current"]) for point in curve] == pytest.approx(np.arange(0, 20.1, 0.4))
    on = [float(point["rate"]) for point in curve if point["repetitive"] == "1"]
    assert min(np.diff(on)) >= -1  # a spike more or less at the window's ends
    assert 50 < on[0] < 60
    assert 80 < on[-1] < 90
    spikes = list(csv.DictReader((finished / "figures" / "spikes.csv").open()))
    assert list(spikes[0]) == ["time", "V", "m", "h", "n"]
    assert float(spikes[-1]["time"]) == 50
    page = (finished / "report.html").read_text()
    assert page.count('role="img"') == 5  # V, gates, rate, alpha, beta
    assert "firing rate at 10 uA/cm^2" in page


@pytest.mark.slow
@pytest.mark.parametrize("command", ["resume", "report"])
def test_a_killed_study_is_measured_anew(finished, tmp_path, command, capsys):
    directory = tmp_path / "killed"
    directory.mkdir()
    for name in ("config.json", "env.json"):
        (directory / name).write_bytes((finished / name).read_bytes())
    assert main([command, str(directory)]) == 0
    assert "firing rate at 10 uA/cm^2" in capsys.readouterr().out
    for name in ("summary.json", "figures/spikes.csv", "figures/frequency_current.csv"):
        assert (directory / name).read_bytes() == (finished / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "2"], "--seeds: neuron trains nothing; accepted: --out, --quick, --set"),
        (["--arms", "lstm"], "--arms: neuron trains nothing"),
        (["--epochs", "2"], "--epochs: neuron trains nothing"),
        (["--data", "digits"], "--data: neuron trains nothing"),
        (["--cell", "lstm"], "--cell: neuron trains nothing"),
        (["--set", "hidden_size=3"], "--set: unknown value 'hidden_size'; accepted: dt, integrator, current"),
        (["--set", "protocol=paper"], "--set: unknown value 'protocol'"),
        (["--set", "dt=1"], "dt: 1.0 is out of range; accepted: above 0 and at most 0.2 ms"),
        (["--set", "dt=0"], "dt: 0.0 is out of range; accepted: a number from 0.001"),
        (["--set", "dt=nan"], "dt: nan is out of range"),
        (["--set", "dt=fast"], "dt: 'fast' is not accepted; accepted: a number"),
        (["--set", "integrator=euler"], "integrator: unknown value 'euler'"),
        (["--set", "spacing=0"], "spacing: 0.0 is out of range; accepted: a number from 0.01 to 100"),
        (["--set", "current=inf"], "current: inf is out of range; accepted: a number from -100 to 200"),
    ],
)
def test_what_the_study_refuses(arguments, said, tmp_path, capsys):
    assert main(["run", "neuron", "--out", str(tmp_path / "out"), *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"error: {said}")
    assert not (tmp_path / "out").exists()


def test_a_run_is_not_written_over_nor_read_when_altered(finished, tmp_path, capsys):
    assert main(["run", "neuron", "--quick", "--out", str(finished)]) == 2
    assert "holds a run; choose another directory" in capsys.readouterr().err
    (tmp_path / "config.json").write_text((finished / "config.json").read_text().replace("0.1", "0.05"))
    assert main(["report", str(tmp_path)]) == 2
    assert "config.json: altered" in capsys.readouterr().err
    assert main(["sample", str(finished)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_list_says_that_it_trains_nothing(capsys):
    assert main(["list"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("neuron ")]
    assert line.endswith("[trains nothing]")


def test_the_noise_of_channels_has_the_variance_of_opening_and_closing_and_shrinks_with_their_number():
    state = HodgkinHuxleyCarry(*(jnp.full(20_000, value) for value in (-50.0, 0.3, 0.4, 0.6)))
    (a, b), *_ = rates(-50.0)
    m = float(state.m[0])
    for channels in (100, 10_000):
        after = neuron.channel_noise(state, jax.random.key(1), neuron.Settings(channels=channels))
        expected = np.sqrt((a * (1 - m) + b * m) * 0.025 / channels)
        assert np.std(np.asarray(after.m, np.float64)) == pytest.approx(float(expected), rel=0.03)
        assert (after.v == state.v).all()


def test_rate_curves_cross_where_half_of_the_gates_are_open():
    curves = neuron.rate_curves()
    half = next(row["V"] for row in curves if row["alpha n"] >= row["beta n"])
    assert half == pytest.approx(-53, abs=1)  # n_inf = 1/2 between -54 and -53 mV
    assert all(rate > 0 for row in curves for name, rate in row.items() if name != "V")
