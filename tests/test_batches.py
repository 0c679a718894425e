"""How an epoch's examples are laid out: drawn anew for each batch, or as streams of a text whose carry is handed on."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import assert_trees_close, assert_trees_equal
from helpers.interrupted_runs import ONE, At, expect, interrupt, whole

from rnnlab.config.experiment import Arm
from rnnlab.core.errors import InputError
from rnnlab.core.types import Split
from rnnlab.data.text import windows
from rnnlab.runs import arm_trainer, run
from rnnlab.runs.progress import NoProgressMeter
from rnnlab.runs.validate import validate
from rnnlab.training import single_run
from rnnlab.training.arm_spec import ArmSpec, DataShape, build_model
from rnnlab.training.batches import batch_indices
from rnnlab.training.single_run import evaluate, init_state, train_steps
from rnnlab.training.state import Run
from rnnlab.training.tasks import TASKS

TASK = TASKS["language_modeling"]
V, H, T, B, N, RATE = 5, 4, 3, 2, 11, 0.5
IDS = np.random.default_rng(4).integers(0, V, N * T + 1).astype(np.int32)
TEXT = jax.tree.map(jnp.asarray, windows(IDS, T))
# The same float32 terms by another program, through two or three steps of SGD.
FLOAT32 = {"rtol": 1e-4, "atol": 1e-5}


def spec(batch_sampling="contiguous", *, steps=N // B, batch_size=B, cell="lstm"):
    return ArmSpec(
        DataShape("text", "language_modeling", V, V, has_token_inputs=True), cell, H, steps, batch_size, 4,
        batch_sampling,
        options=(("u_init", "glorot_uniform"),), optimizer="sgd",
    )  # fmt: skip


def a_run(seed=0, rate=RATE):
    return Run(jnp.uint32(seed), {"learning_rate": jnp.float32(rate)})


def plan_of(made, one=None, epoch=1, examples=N):
    return np.asarray(batch_indices(made, (one or a_run()).seed, epoch, examples))


def test_drawn_batches_hold_no_example_twice_and_epochs_do():
    plan = plan_of(spec("drawn", steps=10, batch_size=4), examples=9)
    assert plan.shape == (10, 4)
    assert all(len(set(row)) == 4 for row in plan)
    assert set(plan.ravel()) == set(range(9))
    counts = np.bincount(plan.ravel())
    assert len(set(counts)) > 1  # not each as often as the others, as an order cut into batches would have it
    assert len({tuple(row) for row in plan}) == 10


def test_drawn_batches_depend_on_seed_and_epoch_alone():
    made = spec("drawn", steps=4, batch_size=4)
    first = plan_of(made)
    np.testing.assert_array_equal(first, plan_of(made, a_run(0, 0.7)))
    assert not np.array_equal(first, plan_of(made, a_run(1)))
    assert not np.array_equal(first, plan_of(made, epoch=2))
    assert not np.array_equal(first, plan_of(spec("shuffled", steps=2, batch_size=4)).repeat(2, 0))


def test_a_row_of_contiguous_batches_is_a_stretch_of_the_text():
    plan = plan_of(spec())
    assert plan.shape == (5, B)
    for element in range(B):
        rows = np.asarray(TEXT.inputs)[plan[:, element]].ravel()
        start = plan[0, element] * T
        np.testing.assert_array_equal(rows, IDS[start : start + len(rows)])
        targets = np.asarray(TEXT.targets)[plan[:, element]].ravel()
        np.testing.assert_array_equal(targets, IDS[start + 1 : start + 1 + len(rows)])
    assert len(set(plan.ravel())) == plan.size
    np.testing.assert_array_equal(plan, plan_of(spec(), a_run(3), epoch=2))


def by_hand(model, params, carry, rows):
    """One step of SGD on the windows ``rows``, the carry a constant: ``(params, carry after, loss)``."""

    def loss(p, carry, rows):
        total, after = 0.0, []
        for element, row in enumerate(rows):
            state = jax.tree.map(lambda leaf, e=element: leaf[e : e + 1], carry)
            state, logits = model.apply(p, TEXT.inputs[row][None], None, state)
            after.append(state)
            total -= jnp.sum(jnp.take_along_axis(jax.nn.log_softmax(logits[0]), TEXT.targets[row][:, None], 1))
        return total / (len(rows) * T), jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *after)

    (value, after), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params, carry, rows)
    return jax.tree.map(lambda p, g: p - RATE * g, params, gradient), after, value


@pytest.mark.slow
def test_the_carry_is_handed_on_and_begins_anew_with_an_epoch():
    made, one = spec(), a_run()
    plan, model = jnp.asarray(plan_of(made)), build_model(made, {})
    train = jax.jit(lambda state, start, stop: train_steps(made, one, state, plan, TEXT, start, stop))
    initial = init_state(made, one)
    params, carry, total = initial.params, model.initial_carry(initial.params, B), 0.0
    for rows in plan[:2]:
        params, carry, value = by_hand(model, params, carry, rows)
        total += B * T * value
    two = train(initial, 0, 2)
    assert_trees_close(two.params, params, **FLOAT32)
    assert_trees_close(two.carry, carry, **FLOAT32)
    np.testing.assert_allclose(two.sums.loss, total, rtol=1e-5)
    assert_trees_equal(train(train(initial, 0, 1), 1, 2), two)  # across a stop, too

    forgetful = train(two._replace(carry=jax.tree.map(jnp.zeros_like, two.carry)), 2, 3)
    on = train(two, 2, 3)
    assert np.abs(np.asarray(on.params.w - forgetful.params.w)).max() > 1e-4
    # step 0 of an epoch begins with an empty carry, whatever the state holds
    wild = two._replace(carry=jax.tree.map(lambda leaf: leaf + 7, two.carry))
    assert_trees_equal(train(wild, 0, 1), train(two, 0, 1))
    assert_trees_close(train(two, 0, 1).params, by_hand(model, params, model.initial_carry(params, B), plan[0])[0],
                       **FLOAT32)  # fmt: skip


def test_a_frozen_run_keeps_its_carry(monkeypatch):
    made, one = spec(cell="rnn"), a_run()
    plan = jnp.asarray(plan_of(made))
    diverged = init_state(made, one)._replace(diverged_at=jnp.int32(0))
    diverged = diverged._replace(carry=jax.tree.map(lambda leaf: leaf + 0.5, diverged.carry))
    assert_trees_equal(train_steps(made, one, diverged, plan, TEXT, 1, 3), diverged)
    monkeypatch.setattr(single_run, "build_model", lambda *arguments: _poisoned(build_model(*arguments)))
    alive = diverged._replace(diverged_at=jnp.int32(-1))
    after = train_steps(made, one, alive, plan, TEXT, 1, 2)
    assert after.diverged_at == 0
    assert_trees_equal(after.carry, alive.carry)


def _poisoned(model):
    def apply(*arguments):
        carry, logits = model.apply(*arguments)
        return carry, logits * jnp.nan

    return model._replace(apply=apply)


@pytest.mark.parametrize("batches", ["shuffled", "drawn"])
def test_other_batches_have_no_carry(batches):
    assert init_state(spec(batches), a_run()).carry is None


@pytest.mark.parametrize(("examples", "batch"), [(11, 4), pytest.param(3, 8, marks=pytest.mark.slow)])
def test_a_contiguous_evaluation_is_one_pass_over_each_stream(examples, batch):
    """11 windows in 4 streams: three of them, and the last has only two."""
    made, one = spec(batch_size=batch), a_run()
    split = Split(TEXT.inputs[:examples], TEXT.targets[:examples])
    params = jax.tree.map(lambda leaf: 2 * leaf, init_state(made, one).params)
    model = build_model(made, {})
    streams = min(batch, examples)
    length = -(-examples // streams)
    expected = np.zeros(3)
    for stream in range(streams):
        rows = np.arange(stream * length, min((stream + 1) * length, examples))
        if not len(rows):
            continue
        ids = IDS[rows[0] * T : (rows[-1] + 1) * T]
        targets = IDS[rows[0] * T + 1 : (rows[-1] + 1) * T + 1]
        _, logits = model.apply(params, ids[None])  # in one piece, from an empty carry
        expected += jax.tree.leaves(TASK.sums(logits, targets[None], jnp.ones((1, len(ids)))))
    sums = evaluate(made, one, params, split)
    np.testing.assert_allclose(jax.tree.leaves(sums), expected, rtol=1e-5)
    assert sums.count == examples * T
    apart = evaluate(replace(made, batch_sampling="shuffled"), one, params, split)
    assert (abs(float(apart.loss - sums.loss)) > 1e-4) == (length > 1)


CONFIG = replace(
    ONE, arms={"plain": Arm("lstm")}, data="pydoc", batch_sampling="contiguous", seeds=(0, 5), steps_per_epoch=5,
    sequence_length=4, batch_size=3, eval_batch_size=500, learning_rate=(1e-2,), probes=("paths",),
    options={"u_init": "glorot_uniform"},
)  # fmt: skip


def test_contiguous_batches_of_a_classification_are_refused():
    with pytest.raises(
        InputError, match=r"^batch_sampling: contiguous batches need a text, digits is none; accepted: shuffled, drawn$"
    ):
        validate(replace(CONFIG, data="digits"))
    with pytest.raises(InputError, match="did you mean 'drawn'"):
        validate(replace(CONFIG, batch_sampling="drwan"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A short text, a config of contiguous batches, dropout and probes on it, and what a whole run of it computes."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    (folder / "text.txt").write_text("".join(map(chr, 97 + np.random.default_rng(0).integers(0, 9, 1200))))
    config = replace(
        CONFIG, data=f"text:{folder}/text.txt", arms={"plain": Arm("cerebral_lstm", options={"paths": "noise"})},
        seeds=(5,), recurrent_dropout=(0.3,), options={}, keep_params_every=None,
    )  # fmt: skip
    return config, whole(replace(config, checkpoint_interval_s=1e9), folder / "run")


@pytest.mark.parametrize("moment", [pytest.param(0, id="before", marks=pytest.mark.exhaustive), 3])
@pytest.mark.slow
def test_a_stop_costs_nothing(uninterrupted, tmp_path, monkeypatch, moment):
    """Stopped before the first step, where the probes have spoken already, and in the middle of an epoch."""
    monkeypatch.setattr(arm_trainer, "STRETCH_SECONDS", 1e-9)
    config, reference = uninterrupted
    assert any("param_distance" in row for row in reference["rows"])
    assert any(".carry.c" in path for path, _ in reference["plain"][:-1])
    assert not run.start(validate(config), tmp_path / "run", At(moment, interrupt))
    assert run.resume(validate(config), tmp_path / "run", NoProgressMeter())
    expect(reference, config, tmp_path / "run")
