"""Complex parameters of own cells: whichever way the numbers behind them are stored, they train alike."""

import csv
import signal
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pyarrow.parquet as pq
import pytest

from rnnlab.cells import make_cell
from rnnlab.cells.complex_pairs import ComplexPair
from rnnlab.cells.lstm import LSTMCarry
from rnnlab.cells.ops import vectors
from rnnlab.cells.registry import count_parameters
from rnnlab.cells.wrappers.recurrent_dropout import drop_recurrent
from rnnlab.cli.main import main
from rnnlab.config.experiment import Arm, Config
from rnnlab.core.types import Cell
from rnnlab.report.write import read_summary
from rnnlab.runs import progress
from rnnlab.runs.validate import validate
from rnnlab.training.arm_spec import build_model, build_optimizer
from rnnlab.training.tasks import TASKS

CELLS = """
from typing import NamedTuple
import jax
import jax.numpy as jnp
import jax.numpy as jnp
from rnnlab.cells.ops import dot
from rnnlab.core.types import Cell

class Parts(NamedTuple):
    real: jax.Array
    imag: jax.Array

def to_parts(z):
    return Parts(z.real, z.imag)

def from_parts(pair):
    return jax.lax.complex(pair.real, pair.imag)

def same(z):
    return z

def cell(hidden, store, read, store_carry=same, read_carry=same):
    def init(key, inputs):
        z = jax.lax.complex(*jax.random.normal(key, (2, inputs + hidden + 1, hidden)) / 2)
        return {"w": store(z[:inputs]), "u": store(z[inputs:-1]), "b": store(z[-1])}

    def step(params, carry, x):
        w, u, b = (read(params[name]) for name in "wub")
        z = jax.lax.complex(dot(x, w.real), dot(x, w.imag)) + read_carry(carry) @ u + b
        z = z / (1 + jnp.abs(z))
        return store_carry(z), z.real + 2 * z.imag

    def initial_carry(params, batch):
        return store_carry(jnp.full((*batch, hidden), 0.1 + 0.2j, jnp.complex64))

    return Cell(init, initial_carry, step, hidden_size=hidden, paths=lambda params: [read(params["b"])])

def plain(hidden):
    return cell(hidden, same, same)

def turned(hidden):
    return cell(hidden, lambda w: 1j * w, lambda w: -1j * w)

def parts(hidden):
    return cell(hidden, to_parts, from_parts, to_parts, from_parts)
"""
ARMS = ("plain", "turned", "parts")
H = 3
ROUNDING = {"rtol": 2e-5, "atol": 2e-5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a text and the cells, which is the current one."""
    folder = tmp_path_factory.mktemp("complex")
    (folder / "own.py").write_text(CELLS)
    (folder / "poem.txt").write_text("a rose is a rose is a rose. " * 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "dont_write_bytecode", True)
        yield folder


CONFIG = Config(
    experiment="probe", arms={arm: Arm(f"own.py:{arm}") for arm in ARMS}, data="text:poem.txt", seeds=(0,),
    steps_per_epoch=6, batch_size=4, sequence_length=6, hidden_size=H, weight_decay=(0.5,), clip_norm=(0.05,),
)  # fmt: skip


@pytest.fixture(scope="module")
def descents(folder):
    """By arm: its model, and the compiled loss and gradient of a batch."""
    experiment = validate(CONFIG)
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf[:8]), experiment.dataset.train)

    def of(spec):
        model = build_model(spec, {})

        def loss(params):
            sums = TASKS[spec.data.task].sums(model.apply(params, batch.inputs)[1], batch.targets, jnp.ones((8, 6)))
            return sums.loss / sums.count

        return spec, model, jax.jit(jax.value_and_grad(loss))

    return {arm: of(spec) for arm, spec in experiment.specs.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "rate", "options"),
    [
        ("adam", 0.1, {}),
        *(pytest.param(*row, marks=pytest.mark.exhaustive) for row in [
            ("sgd", 0.5, {"momentum": 0.5}), ("rmsprop", 0.1, {}), ("adagrad", 0.3, {}),
        ]),
    ],
)  # fmt: skip
def test_every_optimizer_moves_the_numbers_behind_complex_parameters_downhill(descents, optimizer, rate, options):
    """Clipped and decayed. JAX's gradient, as it is, leads downhill in the real parts only."""
    losses = {}
    for arm, (spec, model, loss_and_gradient) in descents.items():
        params = model.init(jax.random.key(0))
        chain = build_optimizer(
            replace(spec, optimizer=optimizer, optimizer_options=options),
            {"learning_rate": rate, "weight_decay": 0.1, "clip_norm": 0.1},
        )
        state, losses[arm], update = chain.init(params), [], jax.jit(chain.update)
        for _ in range(8):
            loss, gradient = loss_and_gradient(params)
            losses[arm].append(loss)
            updates, state = update(gradient, state, params)
            params = optax.apply_updates(params, updates)
    for arm in ARMS[1:]:
        np.testing.assert_allclose(losses[arm], losses["plain"], **ROUNDING)
    assert losses["plain"][-1] < losses["plain"][0]


def test_a_complex_parameter_counts_as_two_and_decays_by_its_dimensions(folder):
    params = {arm: make_cell(f"own.py:{arm}", H).init(jax.random.key(0), 2) for arm in ARMS}
    assert {arm: count_parameters(params[arm]) for arm in ARMS} == dict.fromkeys(ARMS, 2 * (2 * H + H * H + H))
    for arm in ARMS:
        assert jax.tree.leaves(vectors(params[arm])) == [True, True, False, False, False, False]  # b, u, w


def test_the_distance_of_complex_paths_is_that_of_the_numbers_behind_them(folder):
    cell = make_cell("own.py:plain", H)
    (path,) = cell.paths(cell.init(jax.random.key(0), 2))
    b = make_cell("own.py:parts", H).init(jax.random.key(0), 2)["b"]
    np.testing.assert_array_equal(path, jnp.concatenate(b))


def test_recurrent_dropout_drops_both_parts_of_a_complex_state():
    h = jnp.ones((4, 8))
    carry = LSTMCarry(c=h, h=ComplexPair(h, 2 * h))
    seer = Cell(lambda key, inputs: {}, lambda params, batch: carry, lambda params, carry, x: (carry, x), 8)
    seen, _ = drop_recurrent(seer, jax.random.key(0), 0.5, carry).step({}, carry, h)
    assert set(np.unique(seen.h.real)) == {0.0, 2.0}
    np.testing.assert_array_equal(seen.h.imag, 2 * seen.h.real)


COMMAND = ["run", "quickstart", "--quick", "--data", "text:poem.txt", *(f"--cell=own.py:{arm}" for arm in ARMS)]
SMALL = [
    "--seeds", "1", "--set", f"hidden_size={H}", "steps_per_epoch=4", "batch_size=4", "sequence_length=6",
    "batch_sampling=contiguous", "learning_rate=0.03", "weight_decay=0,0.5", "clip_norm=0.05",
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(folder):
    """A run of the cells, by the command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnnlab.cli.devices.check_flags", lambda: None)  # they are tried in another process
        assert main([*COMMAND, "--arms", ",".join(ARMS), "--out", "finished", *SMALL]) == 0
        yield folder / "finished"


def rows(directory, arm):
    """What metrics.parquet says of an arm, without its name."""
    found = [row for row in pq.read_table(directory / "metrics.parquet").to_pylist() if row.pop("arm") == arm]
    assert found
    return found


@pytest.mark.slow
@pytest.mark.parametrize("arm", ARMS[1:2])
def test_a_run_of_complex_parameters_is_that_of_the_numbers_behind_them(finished, arm):
    found, expected = ([row["value"] for row in rows(finished, arm)] for arm in (arm, "plain"))
    np.testing.assert_allclose(found, expected, **ROUNDING)
    parameters = {name: entry["parameters"] for name, entry in read_summary(finished)["arms"].items()}
    assert parameters[arm] == parameters["plain"]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_stopped_run_of_complex_parameters_goes_on_to_the_same_numbers(finished, monkeypatch):
    def interrupt(self, done, epoch, seconds_left, note):
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(progress.TerminalProgressMeter, "move", interrupt)
        assert main([*COMMAND, "--arms", "plain", "--out", "stopped", *SMALL]) == 130
    assert main(["resume", "stopped"]) == 0
    assert rows(finished.with_name("stopped"), "plain") == rows(finished, "plain")


@pytest.mark.slow
def test_complex_parameters_and_states_are_analyzed_as_the_numbers_behind_them(finished):
    chosen = ["--epoch", "best", "--examples", "2", "--what", "state,jacobian", "--set", "weight_decay=0"]
    assert main(["analyze", "finished", *chosen]) == 0
    with open(finished / "analysis" / "scalars.csv", newline="") as file:
        table = list(csv.DictReader(file))
    scalars = {arm: {row["what"]: float(row["mean"]) for row in table if row["arm"].split()[0] == arm} for arm in ARMS}
    assert len(scalars["plain"]) == 6
    for arm in ARMS[1:]:
        assert scalars[arm] == pytest.approx(scalars["plain"], rel=1e-3, abs=1e-5)


@pytest.mark.slow
def test_complex_parameters_continue_a_text_as_the_numbers_behind_them(finished, capsys):
    texts = []
    for arm in ARMS:
        capsys.readouterr()
        options = ["--length", "20", "--temperature", "0", "--set", "weight_decay=0"]
        assert main(["sample", "finished", "--arm", arm, *options]) == 0
        texts.append(capsys.readouterr().out)
    assert texts == [texts[0]] * len(ARMS)
