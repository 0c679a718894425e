"""Zoneout of any cell, a trained initial state, and what a seed varies."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import (
    D,
    H,
    assert_trees_close,
    assert_trees_equal,
    generator,
    random_carry,
    random_inputs,
    random_params,
)

import rnnlab
from rnnlab.cells import CELLS, make_cell, unroll
from rnnlab.cells.wrappers.trained_state import trained_initial_state
from rnnlab.cells.wrappers.zoneout import ZoneoutCarry, zoneout
from rnnlab.config.experiment import Arm, Config
from rnnlab.core.errors import InputError
from rnnlab.runs.validate import validate
from rnnlab.training.state import Run
from rnnlab.training.sweep import Sweep

KEY = jax.random.key(5)
FLOAT32 = {"rtol": 1e-5, "atol": 2e-6}
ZONED = ["lstm", "gru", "cerebral_lstm", "greff_lstm", "lem", "biological_lstm"]  # carries of different kinds
REFUSED = {
    "qrnn", "lru", "s5", "sru", "slstm", "mlstm", "hodgkin_huxley", "grid_lstm", "grid_lstm_2d", "grid_lstm_nd",
}  # fmt: skip


def drawn(name, *batch):
    draw, cell = generator("zoneout of", name), make_cell(name, H)
    params = random_params(cell, draw)
    return cell, params, random_carry(cell, params, draw, batch), random_inputs(draw, *batch, D)


@pytest.mark.parametrize("name", ZONED)
def test_a_part_of_a_unit_stays_or_moves_on_as_it_would(name):
    rate, batch = 0.3, 400
    cell, params, carry, x = drawn(name, batch)
    zoned = zoneout(cell, rate, KEY)
    after, h = zoned.step(params, ZoneoutCarry(carry, jnp.zeros((batch, 1))), x)
    moved, _ = cell.step(params, carry, x)
    kept = {}
    for part in moved._fields:
        old, new, now = (getattr(each, part) for each in (carry, moved, after.cell))
        if old is None:
            continue
        if part == "t":
            np.testing.assert_array_equal(now, new)
            continue
        kept[part] = np.asarray(now == old)
        np.testing.assert_allclose(now, np.where(kept[part], old, new), **FLOAT32)
        assert abs(kept[part].mean() - rate) < 0.06  # 1,600 units or more: known to 0.012
        assert kept[part].reshape(batch, -1).std(0).min() > 0.3  # every element its own
    if "c" in kept and kept["c"].shape == kept["h"].shape:
        assert abs(np.corrcoef(kept["c"].ravel(), kept["h"].ravel())[0, 1]) < 0.1
    np.testing.assert_array_equal(h, after.cell.h)


def test_steps_draw_anew_and_evaluation_takes_the_expectation():
    cell, params, carry, x = drawn("lstm", 50)
    first, second = (
        np.asarray(zoneout(cell, 0.5, KEY).step(params, ZoneoutCarry(carry, jnp.full((50, 1), t)), x)[1] == carry.h)
        for t in (3.0, 4.0)
    )
    assert 0.3 < (first == second).mean() < 0.7
    after, h = zoneout(cell, 0.3, None).step(params, ZoneoutCarry(carry, jnp.zeros((50, 1))), x)
    moved, _ = cell.step(params, carry, x)
    expected = jax.tree.map(lambda old, new: 0.3 * old + 0.7 * new, carry, moved)
    assert_trees_close(after.cell, expected, **FLOAT32)
    np.testing.assert_array_equal(h, after.cell.h)


@pytest.mark.parametrize("name", CELLS)
def test_zoneout_takes_every_cell_with_a_plain_h_and_says_why_not(name):
    if name in REFUSED:
        with pytest.raises(InputError, match=r"^zoneout: .*; accepted: .*$"):
            zoneout(make_cell(name, 4), 0.1, None)
    else:
        cell, params, carry, x = drawn(name, 2)
        after, h = zoneout(cell, 0.0, KEY).step(params, ZoneoutCarry(carry, jnp.zeros((2, 1))), x)
        assert_trees_close((after.cell, h), cell.step(params, carry, x), **FLOAT32)


def config(**changes):
    base = Config("probe", {"a": Arm("gru")}, "digits", seeds=(0, 1), epochs=2, batch_size=64, hidden_size=5)
    return dataclasses.replace(base, **changes)


def sweep_of(**changes):
    experiment = validate(config(**changes))
    data = experiment.dataset
    splits = {"train": data.train, "validation": data.validation}
    return Sweep(experiment.specs["a"], experiment.runs("a"), splits), experiment


@pytest.mark.slow
def test_zoneout_rides_the_run_axis():
    sweep, _ = sweep_of(zoneout=(0.0, 0.5))
    state = sweep.train(sweep.init(), sweep.batch_indices(1), 0, 3)
    plain, _ = sweep_of()
    without = plain.to_host(plain.train(plain.init(), plain.batch_indices(1), 0, 3).params)
    zeros = jax.tree.map(lambda leaf: leaf[:2], sweep.to_host(state.params))
    halves = jax.tree.map(lambda leaf: leaf[2:], sweep.to_host(state.params))
    assert sweep._host_runs.hyperparams["zoneout"].tolist()[:4] == [0, 0, 0.5, 0.5]
    assert_trees_close(zeros, without, rtol=1e-4, atol=1e-5)
    assert np.abs(halves.cell.u - without.cell.u).max() > 1e-4


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"zoneout": (0.1,), "arms": {"a": Arm("qrnn")}}, ("arms.a: zoneout: the cell's carry has no h [5]",)),
        ({"zoneout": (0.1,), "arms": {"a": Arm("bidirectional(gru)")}}, ("arms.a: zoneout: ", "no step")),
        ({"zoneout": (0.1,), "recurrent_dropout": (0.1,), "arms": {"a": Arm("lstm")}}, ("accepted: one of them",)),
        ({"zoneout": (1.0,)}, ("zoneout: 1", "below 1")),
        ({"initial_state": "learned"}, ("initial_state", "accepted: fixed, trained")),
        ({"initial_state": "trained", "arms": {"a": Arm("mlstm")}}, ("arms.a: initial_state: ", "slstm, mlstm")),
        (
            {"initial_state": "trained", "data": "toy_text", "batch_sampling": "contiguous"},
            ("initial_state: trained, but contiguous",),
        ),
        ({"seed_source": "order"}, ("seed_source", "accepted: all, init, batches, split")),
        (
            {"seed_source": "split", "probes": ("lags",)},
            ("seed_source: split", "accepted: all, init, batches"),
        ),
    ],
)
def test_what_does_not_go_together_is_told(changes, parts):
    def take():
        changed = config(**changes)
        changed.check()
        validate(changed)

    with pytest.raises(InputError) as caught:
        take()
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["lstm", "bidirectional(gru)", "lru", "biological_lstm", "cerebral(lstm)"])
def test_a_trained_state_starts_as_the_cells_own_and_gets_the_gradient_of_its_start(name):
    cell, draw = make_cell(name, H), generator("trained", name)
    trained = trained_initial_state(cell)
    params = trained.init(KEY, D)
    assert_trees_equal(params.start, cell.initial_carry(params.cell, ()))
    xs = random_inputs(draw, 4, 3, D)
    assert_trees_equal(unroll(trained, params, xs), unroll(cell, params.cell, xs))
    moved = params._replace(start=jax.tree.map(lambda leaf: leaf + 0.3, params.start))

    def loss(start, own):
        if own:
            return jnp.sum(unroll(trained, params._replace(start=start), xs)[1] ** 2)
        carry = jax.tree.map(lambda a, b: jnp.broadcast_to(a, b.shape), start, cell.initial_carry(params.cell, (3,)))
        if name == "biological_lstm":
            carry = carry._replace(t=jnp.zeros_like(carry.t)) if carry.t is not None else carry
        return jnp.sum(unroll(cell, params.cell, xs, carry)[1] ** 2)

    ours, expected = (jax.jit(jax.grad(lambda start, own=own: loss(start, own)))(moved.start) for own in (True, False))
    assert_trees_close(ours, expected, rtol=1e-4, atol=1e-5)
    assert max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(ours)) > 1e-3


@pytest.mark.slow
def test_the_lab_trains_the_start_analyses_and_reads_it_back(tmp_path):
    settings = {"hidden_size": 5, "seeds": 2, "epochs": 2, "batch_size": 64, "progress": False}
    settings |= {"initial_state": "trained", "weight_decay": 0.1}
    result = rnnlab.train({"lstm": Arm("lstm", layers=2)}, "digits", directory=tmp_path / "run", **settings)
    start = result.params("lstm", "last").cell[1].start
    assert start.c.shape == (2, 5)
    assert np.abs(start.c).min() > 1e-5
    again = rnnlab.load_run(tmp_path / "run")
    assert_trees_equal(again.params("lstm", "last"), result.params("lstm", "last"))
    xs = np.random.RandomState(0).uniform(0, 16, (3, 8, 8)).astype(np.uint8)
    np.testing.assert_array_equal(result.predict(xs), again.predict(xs))


def first_epoch(**changes):
    """Initial values and batches of three runs."""
    sweep, experiment = sweep_of(seeds=(0, 4, 9), **changes)
    return sweep, experiment, jax.tree.leaves(sweep.to_host(sweep.init().params))[0], np.asarray(sweep.batch_indices(1))


def test_a_seed_varies_initial_values_or_batches_or_both():
    _, _, both, order = first_epoch()
    assert len({values.tobytes() for values in both}) == 3
    assert (order[0] != order[1]).mean() > 0.9
    for source, kept, varied in (("init", 1, 0), ("batches", 0, 1)):
        found = first_epoch(seed_source=source)[2:]
        expected = (both, order)
        for run in range(3):
            np.testing.assert_array_equal(found[kept][run], expected[kept][0])  # of seed 0
            np.testing.assert_array_equal(found[varied][run], expected[varied][run])  # its own


@pytest.mark.slow
def test_a_seed_divides_the_data():
    sweep, experiment, params, order = first_epoch(seed_source="split", batch_size=49)
    plain, _, alike, _ = first_epoch(batch_size=49)
    np.testing.assert_array_equal(params, np.stack([alike[0]] * 3))
    data = experiment.dataset
    counts = [len(split.targets) for split in (data.train, data.validation)]
    labels = np.concatenate([data.train.targets, data.validation.targets])
    for run in range(3):
        rows = order[run].ravel()
        assert len(np.unique(rows)) == len(rows) == counts[0] // 49 * 49
        assert 0.05 < (rows >= counts[0]).mean() < 0.3  # some of what was validation
    assert (np.sort(order[0].ravel()) != np.sort(order[1].ravel())).mean() > 0.5
    # An untrained model's loss on a run's validation, by hand.
    from rnnlab.training.batches import division
    from rnnlab.training.single_run import evaluate

    state = sweep.init()
    sums = sweep.evaluate(state.params, "validation")
    pooled = jax.tree.map(lambda *leaves: np.concatenate(leaves), data.train, data.validation)
    for run, seed in enumerate((0, 4, 9)):
        rows = np.asarray(division(jnp.uint32(seed), len(labels)))
        assert sorted(rows) == list(range(len(labels)))
        held_out = jax.tree.map(lambda leaf, rows=rows: jnp.asarray(leaf[rows[counts[0] :]]), pooled)
        assert not set(rows[counts[0] :]) & set(order[run].ravel())
        own = jax.tree.map(lambda leaf, run=run: leaf[run], sweep.to_host(state.params))
        expected = evaluate(plain.spec, Run(jnp.uint32(0), {"learning_rate": 1e-3}), own, held_out)
        np.testing.assert_allclose(sums.loss[run], expected.loss, rtol=1e-5)
        assert sums.count[run] == counts[1]
