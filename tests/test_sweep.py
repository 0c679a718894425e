"""The run axis: runs of a sweep equal the same runs alone, on any number of devices, without communication."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.core.types import Split
from rnnlab.training.arm_spec import ArmSpec, DataShape
from rnnlab.training.run_axis import default_runs_per_device, device_mesh, map_runs, map_runs_in_place, pad_runs
from rnnlab.training.sweep import Sweep, run_grid

EXAMPLES, BATCH, STEPS = 48, 8, 6


def spec(cell="lstm", *, swept=(), probes=(), **options):
    return ArmSpec(
        DataShape("probe", "classification", 5, 3), cell, 12, STEPS, BATCH, 16, options=tuple(options.items()),
        swept_options=swept, probes=probes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    return Split(rng.normal(size=(EXAMPLES, 7, 5)).astype(np.float32), rng.integers(0, 3, EXAMPLES).astype(np.int32))


def trained(split, runs, devices, runs_per_device, made=None):
    """The state after an epoch and its validation sums."""
    sweep = a_sweep(split, runs, devices, runs_per_device, made)
    state = sweep.train(sweep.init(), sweep.batch_indices(1), 0, STEPS)
    sums = sweep.evaluate(state.params, "validation")
    return sweep.to_host(sweep.update_best(state, sums, 1)), sums


def a_sweep(split, runs, devices, runs_per_device, made=None):
    splits = {"train": split, "validation": split}
    used = jax.devices()[:devices]
    return Sweep(made or spec(), runs, splits, devices=used, runs_per_device=runs_per_device)


def assert_close(a, b, **tolerance):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, **tolerance)


def assert_equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def rows(tree, which):
    return jax.tree.map(lambda leaf: leaf[which], tree)


@pytest.fixture(scope="module")
def twelve(split):
    return run_grid(range(4), {"learning_rate": [1e-3, 1e-2, 3e-2]})


@pytest.fixture(scope="module")
def on_one_device(split, twelve):
    return trained(split, twelve, devices=1, runs_per_device=1)


def test_there_are_four_devices():
    assert len(jax.devices()) >= 4, "tests/conftest.py asks for four"


@pytest.mark.shipped
def test_twelve_runs_over_four_devices_equal_the_same_runs_on_one(split, twelve, on_one_device):
    assert_equal(trained(split, twelve, devices=4, runs_per_device=1), on_one_device)


@pytest.mark.shipped
def test_a_language_model_on_two_devices_equals_the_same_runs_on_one():
    text = np.random.default_rng(0).integers(0, 103, (192, 33)).astype(np.int32)
    lines, runs = Split(text[:, :-1], text[:, 1:]), run_grid(range(2), {"learning_rate": [1e-2]})
    shape = DataShape("probe", "language_modeling", 103, 103, has_token_inputs=True)
    made = ArmSpec(shape, "lstm", 16, STEPS, 32, 32)
    two = trained(lines, runs, 2, 1, made)
    assert_equal(trained(lines, runs, 1, 1, made), two)
    alone = trained(lines, rows(runs, slice(1, 2)), 1, 1, made)
    assert_equal(alone, rows(two, slice(1, 2)))


@pytest.mark.parametrize(
    ("devices", "runs_per_device"),
    [pytest.param(*case, marks=pytest.mark.slow) for case in ((4, 2),)],
)
def test_chunks_change_nothing_but_rounding(split, twelve, on_one_device, devices, runs_per_device):
    """Six steps of Adam: products in another order move a weight by some 1e-5."""
    assert_close(trained(split, twelve, devices, runs_per_device), on_one_device, rtol=2e-3, atol=2e-4)


@pytest.mark.shipped
def test_a_run_of_a_sweep_equals_the_same_run_alone(split, twelve, on_one_device):
    alone = trained(split, rows(twelve, slice(7, 8)), devices=1, runs_per_device=1)
    assert_equal(alone, rows(on_one_device, slice(7, 8)))


@pytest.mark.shipped
def test_runs_that_the_devices_do_not_divide_are_padded_and_dropped(split, twelve, on_one_device):
    five = trained(split, rows(twelve, slice(0, 5)), devices=4, runs_per_device=1)
    assert_equal(five, rows(on_one_device, slice(0, 5)))
    assert len(jax.tree.leaves(five)[0]) == 5


@pytest.mark.shipped
def test_the_same_again_is_bit_equal(split, twelve, on_one_device):
    assert_equal(trained(split, twelve, devices=1, runs_per_device=1), on_one_device)


def test_runs_differ_by_seed_and_by_number(on_one_device):
    weights = on_one_device[0].params.cell.w.reshape(12, -1)
    assert len({row.tobytes() for row in weights}) == 12


def test_one_seed_starts_alike_at_every_rate(split, twelve):
    sweep = a_sweep(split, twelve, devices=2, runs_per_device=1)
    w = np.asarray(sweep.init().params.cell.w)
    assert np.array_equal(w[0], w[4])
    assert not np.array_equal(w[0], w[1])
    plan = np.asarray(sweep.batch_indices(1))
    assert np.array_equal(plan[0], plan[4])
    assert not np.array_equal(plan[0], plan[1])


@pytest.mark.parametrize(
    ("devices", "runs_per_device"),
    [
        (1, 3),
        (2, 2),
        *(pytest.param(d, r, marks=pytest.mark.slow) for d, r in [(1, 6), (2, 1)]),
    ],
)
def test_updating_in_place_is_mapping(devices, runs_per_device):
    """Whole numbers, whose results do not depend on the order of operations: each row once, none twice, all shared."""
    mesh, states = device_mesh(12, jax.devices()[:devices]), {"w": jnp.arange(24.0).reshape(12, 2), "n": jnp.arange(12)}

    def step(state, run, stop):
        return jax.lax.fori_loop(0, stop, lambda _, s: {"w": 2 * s["w"] + run, "n": s["n"] + 1}, state)

    runs = 100.0 * jnp.arange(12)
    mapped = map_runs(lambda item, stop: step(*item, stop), mesh, runs_per_device)((states, runs), 3)
    for found in (
        map_runs_in_place(step, mesh, runs_per_device),
        jax.jit(map_runs_in_place(step, mesh, runs_per_device), donate_argnums=0),
    ):
        updated = found(jax.tree.map(jnp.copy, states), runs, 3)
        jax.tree.map(np.testing.assert_array_equal, updated, mapped)
    np.testing.assert_array_equal(mapped["w"][5], [8 * 10 + 7 * 500, 8 * 11 + 7 * 500])


@pytest.mark.parametrize("runs_per_device", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_the_compiled_program_has_no_collectives(split, twelve, runs_per_device):
    made = a_sweep(split, twelve, 4, runs_per_device, spec("cerebral_lstm", probes=("paths",)))
    names = "all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute|collective-broadcast|send|recv"
    collective = re.compile(rf"\b({names})(-start)?\(")
    texts = made.compiled_texts()
    programs = {"batch_indices", "train", "evaluate validation", "probe validation", "update_best"}
    assert set(texts) == programs
    for name, text in texts.items():
        assert "fusion" in text or "while" in text, name  # it is a compiled program at all
        assert not collective.search(text), name


def test_the_search_for_collectives_would_find_one():
    """The same search on a program that does communicate."""
    mesh = device_mesh(4, jax.devices()[:4])
    talk = map_runs(lambda x: x - jax.lax.psum(x, "run"), mesh, 4)
    assert "all-reduce" in jax.jit(talk).lower(jnp.arange(4.0)).compile().as_text()


@pytest.mark.slow
def test_numbers_of_the_cell_ride_the_run_axis(split):
    runs = run_grid([0], {"learning_rate": [1e-2], "delta": [1e-3, 0.5], "noise": [0.0, 0.3]})
    state, _ = trained(
        split, runs, devices=2, runs_per_device=2, made=spec("biological_lstm", swept=("delta", "noise"))
    )
    weights = state.params.cell.w
    assert len({row.tobytes() for row in weights}) == 4
    fixed = spec("biological_lstm", delta=0.5)
    plain, _ = trained(split, run_grid([0], {"learning_rate": [1e-2]}), devices=1, runs_per_device=1, made=fixed)
    np.testing.assert_allclose(weights[2], plain.params.cell.w[0], rtol=1e-3, atol=1e-5)  # delta 0.5, noise 0


def test_a_dead_run_leaves_its_neighbors_alone(split):
    """A rate that overflows at once, beside one that does not, in one vmapped chunk."""
    runs = run_grid([0], {"learning_rate": [1e-2, 1e38]})
    (state, sums) = trained(split, runs, devices=1, runs_per_device=2)
    assert state.diverged_at[0] == -1
    assert 0 <= state.diverged_at[1] < STEPS
    (alone, _) = trained(split, rows(runs, slice(0, 1)), devices=1, runs_per_device=1)
    np.testing.assert_allclose(state.params.cell.w[0], alone.params.cell.w[0], rtol=2e-3, atol=2e-4)
    assert np.isfinite(sums.loss[0])


def test_the_grid_is_seeds_times_numbers_with_seeds_fastest():
    runs = run_grid([3, 5], {"learning_rate": [0.1, 0.2], "delta": [7.0]})
    assert runs.seed.tolist() == [3, 5, 3, 5]
    np.testing.assert_array_equal(runs.hyperparams["learning_rate"], np.float32([0.1, 0.1, 0.2, 0.2]))
    assert runs.hyperparams["delta"].tolist() == [7.0] * 4


def test_padding_repeats_the_last_run():
    padded = pad_runs(run_grid([3, 5, 9], {"learning_rate": [0.1]}), 4)
    assert padded.seed.tolist() == [3, 5, 9, 9]


def test_one_run_gets_one_device_and_many_get_all():
    assert device_mesh(1).size == 1
    assert device_mesh(100).size == len(jax.devices())
    assert default_runs_per_device(device_mesh(8), 8) == 1  # on a CPU
