"""Devices that share a run's batches compute what one device does, to rounding, and always the same."""

import jax
import numpy as np
import pytest
from helpers.interrupted_runs import ONE

from rnnlab.config.overrides import override
from rnnlab.core.errors import InputError
from rnnlab.core.types import Split
from rnnlab.runs.validate import validate
from rnnlab.training.arm_spec import ArmSpec, DataShape
from rnnlab.training.batch_axis import arm_mesh, default_batch_devices
from rnnlab.training.sweep import Sweep, run_grid

EXAMPLES, BATCH, STEPS, T = 50, 8, 5, 6
random = np.random.default_rng(0)
CLASSES = Split(
    random.standard_normal((EXAMPLES, T, 4), np.float32),
    random.integers(0, 3, EXAMPLES).astype(np.int32),
    random.integers(1, T + 1, EXAMPLES).astype(np.int32),
)
STEPWISE = Split(  # with weights: devices have parts of unequal weight
    random.integers(0, 5, (EXAMPLES, T)).astype(np.int32),
    random.integers(0, 5, (EXAMPLES, T)).astype(np.int32),
    weights=random.integers(0, 2, (EXAMPLES, T)).astype(np.float32),
)
ARMS = {
    "classes": (CLASSES, DataShape("probe", "classification", 4, 3)),
    "stepwise": (STEPWISE, DataShape("probe", "language_modeling", 5, 5, has_token_inputs=True)),
}


def spec(shape, **more):
    return ArmSpec(shape, "lstm", 6, STEPS, BATCH, 16, **more)


def trained(arm: str, runs: int, devices: int, batch_devices: int, **more):
    """The sweep's state after an epoch, and the sums of its evaluation."""
    split, shape = ARMS[arm]
    grid = run_grid(range(runs), {"learning_rate": (1e-2,), "clip_norm": (0.5,)})
    sweep = Sweep(
        spec(shape, **more), grid, {"train": split, "validation": split},
        devices=jax.devices()[:devices], batch_devices=batch_devices,
    )  # fmt: skip
    state = sweep.train(sweep.init(), sweep.batch_indices(1), 0, STEPS)
    return sweep.to_host(state), sweep.evaluate(state.params, "validation")


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("arm", "runs", "devices", "batch_devices"),
    [
        ("classes", 1, 4, 4),
        pytest.param("stepwise", 1, 2, 2, marks=pytest.mark.exhaustive),
        pytest.param("stepwise", 3, 4, 2, marks=SLOW),
    ],
)
def test_shared_batches_equal_whole_ones(arm, runs, devices, batch_devices):
    """Within 2e-5: sums of a batch in another order, five steps of Adam after each other."""
    alone, shared = trained(arm, runs, 1, 1), trained(arm, runs, devices, batch_devices)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5), alone, shared)
    if batch_devices == 4:
        jax.tree.map(np.testing.assert_array_equal, shared, trained(arm, runs, devices, batch_devices))
    np.testing.assert_array_equal(alone[1].count, shared[1].count)


@SLOW
def test_a_division_of_its_own_is_evaluated_on_all_devices():
    alone, shared = (trained("classes", 1, count, count, seed_source="split") for count in (1, 2))
    np.testing.assert_allclose(alone[1].loss, shared[1].loss, rtol=2e-5)
    np.testing.assert_array_equal(alone[1].count, shared[1].count)


@pytest.mark.parametrize(
    ("assignments", "why"),
    [
        (["batch_devices=3"], "it does not divide batch_size 16"),
        (["batch_devices=8"], "there are 4 devices"),
        (["batch_devices=2", "dropout=0.1"], "dropout draws a mask for the whole batch"),
        (["batch_devices=2", "arms.plain.cell=biological_lstm"], "biological_lstm draws random numbers"),
    ],
)
def test_what_cannot_be_shared_is_refused(assignments, why):
    config = ONE
    for assignment in assignments:
        config = override(config, assignment)
    with pytest.raises(InputError, match=rf"^arms.plain: batch_devices: \d, but {why}.*; accepted: 1, or none$"):
        validate(config)


def test_idle_devices_share_where_it_pays():
    def chosen(runs, **more):
        sized = ArmSpec(ARMS["classes"][1], "lstm", **{"hidden_size": 100, "steps_per_epoch": 1, **more})
        return default_batch_devices(sized, {"learning_rate"}, runs, jax.devices()[:4])

    assert [chosen(runs) for runs in (1, 2, 3, 4, 9)] == [4, 2, 1, 1, 1]
    assert chosen(1, batch_size=34) == 2
    assert chosen(1, batch_size=33) == 3
    assert chosen(1, hidden_size=16) == chosen(1, hidden_size=1024) == 1
    assert chosen(1, batch_sampling="contiguous") == 1


@pytest.mark.parametrize(("devices", "trained_on"), [(1, 1), (2, 2), (4, 2)])
def test_a_run_alone_without_sharing_has_the_programs_of_a_sweep(devices, trained_on):
    one = run_grid([0], {"learning_rate": (1e-2,)})
    assert arm_mesh(spec(ARMS["classes"][1]), one, jax.devices()[:devices], 1).shape == {"run": trained_on, "batch": 1}
