"""Training a single run: the order of examples, frozen runs, the best epoch, probes that must be learned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.cells.registry import CELLS
from rnnlab.core.types import Split
from rnnlab.training import single_run
from rnnlab.training.arm_spec import ArmSpec, DataShape, build_model
from rnnlab.training.batches import batch_indices, drawn_indices, shuffled_indices
from rnnlab.training.keys import STREAMS, stream_key
from rnnlab.training.single_run import evaluate, init_state, train_steps, update_best
from rnnlab.training.state import Run
from rnnlab.training.tasks import TASKS, MetricSums

TASK = TASKS["classification"]


def spec(
    cell="rnn",
    *,
    inputs=3,
    outputs=2,
    hidden_size=8,
    batch_size=8,
    steps=4,
    eval_batch_size=7,
    optimizer="adam",
    **options,
):
    return ArmSpec(
        DataShape("probe", "classification", inputs, outputs), cell, hidden_size, steps, batch_size, eval_batch_size,
        optimizer=optimizer, options=tuple(options.items()),
    )  # fmt: skip


def run(seed=0, learning_rate=1e-2):
    return Run(jnp.uint32(seed), {"learning_rate": jnp.float32(learning_rate)})


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    return Split(jnp.float32(rng.normal(size=(40, 5, 3))), jnp.int32(rng.integers(0, 2, 40)))


def leaves_equal(a, b):
    return all(
        np.array_equal(x, y, equal_nan=True) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def test_streams_and_seeds_are_all_different_keys():
    keys = {tuple(np.asarray(jax.random.key_data(stream_key(s, n)))) for s in STREAMS for n in range(50)}
    assert len(keys) == 50 * len(STREAMS)


def test_keys_are_the_contract_s_even_where_jax_defaults_to_rbg():
    expected = jax.random.fold_in(jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), 1), 7)
    with jax.default_prng_impl("rbg"):
        got = stream_key("data", 7)
    assert np.array_equal(jax.random.key_data(got), jax.random.key_data(expected))


def test_an_epoch_takes_every_example_at_most_once_and_epochs_differ(split):
    plans = [np.asarray(batch_indices(spec(steps=5), run().seed, epoch, 40)) for epoch in (1, 2)]
    for plan in plans:
        assert sorted(plan.ravel()) == list(range(40))
    assert not np.array_equal(*plans)
    assert len(np.unique(batch_indices(spec(steps=3), run().seed, 1, 40))) == 24


def epoch_key(seed, epoch):
    """The stream of batches, as the contract has it."""
    return jax.random.fold_in(stream_key("data", seed), epoch)


def test_the_order_depends_on_the_seed_and_not_on_the_numbers():
    assert np.array_equal(
        shuffled_indices(epoch_key(3, 1), 40), batch_indices(spec(steps=5), run(3, 0.5).seed, 1, 40).ravel()
    )
    assert not np.array_equal(shuffled_indices(epoch_key(3, 1), 40), shuffled_indices(epoch_key(4, 1), 40))


def test_every_example_is_as_likely_in_every_place():
    """Orders of 8 and draws of 3 of 8 in 4,000 epochs: 500 times each, 21 the standard deviation."""
    epochs = jnp.arange(4000)
    orders = np.asarray(jax.jit(jax.vmap(lambda epoch: shuffled_indices(epoch_key(5, epoch), 8)))(epochs))
    draws = np.asarray(jax.jit(jax.vmap(lambda epoch: drawn_indices(epoch_key(5, epoch), 8, 1, 3)[0]))(epochs))
    for found in (*orders.T, *draws.T):
        assert np.abs(np.bincount(found, minlength=8) - 500).max() < 5 * 21
    pairs = np.bincount(8 * orders[:, 0] + orders[:, 1], minlength=64).reshape(8, 8)  # neighbors too: 71 times each
    assert np.abs(pairs[~np.eye(8, dtype=bool)] - 4000 / 56).max() < 5 * 8.4
    assert not pairs.diagonal().any()


def test_stretches_do_not_matter(split):
    r = spec()
    plan = batch_indices(r, run().seed, 1, 40)
    steps = jax.jit(lambda state, start, stop: train_steps(r, run(), state, plan, split, start, stop))
    whole = steps(init_state(r, run()), 0, 4)
    parts = steps(steps(steps(init_state(r, run()), 0, 1), 1, 1), 1, 4)
    assert leaves_equal(whole, parts)
    assert whole.step == 4
    assert whole.sums.count == 32


def test_training_is_plain_gradient_descent(split):
    """Two steps of SGD equal the same two written out."""
    r, rate = spec(optimizer="sgd", steps=2), 0.1
    plan = batch_indices(r, run(0, rate).seed, 1, 40)
    trained = train_steps(r, run(0, rate), init_state(r, run(0, rate)), plan, split, 0, 2)
    model = build_model(r, {})
    params, total = init_state(r, run()).params, 0.0
    for rows in np.asarray(plan):

        def loss(p, rows=rows):
            _, logits = model.apply(p, split.inputs[rows])
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), split.targets[rows][:, None], 1))

        value, gradient = jax.value_and_grad(loss)(params)
        params, total = jax.tree.map(lambda p, g: p - rate * g, params, gradient), total + 8 * value
    for got, expected in zip(jax.tree.leaves(trained.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(trained.sums.loss, total, rtol=1e-5)


def test_a_run_that_is_not_finite_is_frozen_and_marked(split):
    r = spec(optimizer="sgd")
    plan = batch_indices(r, run().seed, 1, 40)
    poisoned = split._replace(inputs=split.inputs.at[plan[2, 0], 1, 1].set(jnp.nan))
    before = train_steps(r, run(), init_state(r, run()), plan, poisoned, 0, 2)
    after = train_steps(r, run(), before, plan, poisoned, 2, 4)  # step 3 is clean, and must not revive it
    assert before.diverged_at == -1
    assert after.diverged_at == 2
    assert after.step == 2
    assert leaves_equal(before._replace(diverged_at=after.diverged_at), after)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(after.params))


def test_a_non_finite_gradient_freezes_the_run_too(split, monkeypatch):
    """sqrt at 0: the loss is finite, its gradient is not."""
    r = spec(optimizer="sgd")
    plan = batch_indices(r, run().seed, 1, 40)
    odd = TASK._replace(sums=lambda logits, targets, weights: MetricSums(jnp.sum(jnp.sqrt(logits * 0)), 0.0, 8.0))
    monkeypatch.setitem(single_run.TASKS, "classification", odd)
    after = train_steps(r, run(), init_state(r, run()), plan, split, 0, 1)
    assert after.diverged_at == 0
    assert leaves_equal(after.params, init_state(r, run()).params)


def test_evaluation_counts_every_example_once(split):
    """40 examples in batches of 7: the ragged last batch is padded, and the padding weighs nothing."""
    r = spec()
    params = init_state(r, run()).params
    sums = evaluate(r, run(), params, split)
    _, logits = build_model(r, {}).apply(params, split.inputs)
    whole = TASK.sums(logits, split.targets, jnp.ones(40))
    np.testing.assert_allclose(jax.tree.leaves(sums), jax.tree.leaves(whole), rtol=1e-5)
    assert sums.count == 40


def test_the_best_epoch_is_kept_by_validation_loss(split):
    r = spec()
    state = init_state(r, run())
    kept = []
    for epoch, loss in enumerate([3.0, 1.0, 2.0, float("nan")], 1):
        state = state._replace(params=jax.tree.map(lambda p, e=epoch: jnp.full_like(p, e), state.params))
        state = update_best(state, MetricSums(jnp.float32(loss * 10), jnp.float32(0), jnp.float32(10)), epoch)
        kept.append((int(state.best.epoch), float(jax.tree.leaves(state.best.params)[0].ravel()[0])))
    assert kept == [(1, 1), (2, 2), (2, 2), (2, 2)]
    assert state.sums.count == 0


def remember_first(seed, examples=256, length=10):
    """Which of two symbols came first, noise after it: needs memory, and every gated cell has it."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, examples)
    xs = rng.normal(size=(examples, length, 3)) * 0.3
    xs[:, 0, 0] += 2.0 * (2 * label - 1)
    return Split(jnp.float32(xs), jnp.int32(label))


LEARN_FAST = ("lstm",)
LEARN_SLOW = ("biological_lstm", "qrnn")
SPEED = {cell: pytest.mark.slow if cell in LEARN_SLOW else pytest.mark.exhaustive for cell in CELLS}


@pytest.mark.parametrize(
    "cell", [cell if cell in LEARN_FAST else pytest.param(cell, marks=SPEED[cell]) for cell in CELLS]
)
def test_every_cell_learns_the_probe(cell):
    options = {  # what moves the state enough in ten steps
        "biological_lstm": {"delta": 0.1},
        "hodgkin_huxley": {"dt": 0.1, "substeps": 10},
    }.get(cell, {})
    r = spec(cell, hidden_size=16, batch_size=32, steps=8, eval_batch_size=256, **options)
    data, held_out, one = remember_first(1), remember_first(2), run(0, 2e-2)

    @jax.jit
    def learn():
        def epoch(index, state):
            plan = batch_indices(r, one.seed, index, 256)
            return train_steps(r, one, state, plan, data, 0, r.steps_per_epoch)

        state = jax.lax.fori_loop(0, 30, epoch, init_state(r, one))
        return evaluate(r, one, state.params, held_out)

    sums = learn()
    assert sums.correct / sums.count > 0.95
