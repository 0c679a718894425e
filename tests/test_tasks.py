"""Losses and metrics against formulas written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.train.tasks import TASKS, MetricSums, cross_entropy_sums, each_step_sums, is_likeliest


@pytest.fixture
def batch():
    rng = np.random.default_rng(5)
    return rng.normal(size=(3, 4, 7)) * 3, rng.integers(0, 7, (3, 4))


def by_hand(logits, targets):
    """Nats and hits of every prediction, in float64."""
    likelihood = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    nats = -np.log(np.take_along_axis(likelihood, targets[..., None], -1)[..., 0])
    return nats, logits.argmax(-1) == targets


def test_sums_are_the_formula(batch):
    logits, targets = batch
    weights = np.arange(12).reshape(3, 4) % 2
    nats, hits = by_hand(logits, targets)
    sums = cross_entropy_sums(jnp.float32(logits), jnp.asarray(targets), jnp.float32(weights))
    np.testing.assert_allclose(sums.loss, (nats * weights).sum(), rtol=1e-5)
    assert sums.correct == (hits * weights).sum()
    assert sums.count == 6


def test_a_class_at_each_step_is_correct_if_the_last_weighted_step_is(batch):
    logits, _ = batch
    targets = np.tile(np.array([[1], [5], [2]]), 4)
    weights = np.array([[0.5, 0.5, 0, 0], [0, 0, 0, 0], [0.25] * 4])
    logits[0, 1, 1] = logits[1, :, 5] = 50  # right at the last step of the first; in the second nothing counts
    logits[2, :3, 2], logits[2, 3, 2] = 50, -50  # wrong at the last step only
    sums = each_step_sums(jnp.float32(logits), jnp.asarray(targets), jnp.float32(weights))
    nats, _ = by_hand(logits, targets)
    np.testing.assert_allclose(sums.loss, (nats * weights).sum(), rtol=1e-5)
    assert (float(sums.correct), float(sums.count)) == (1, 2)


def test_predictions_of_weight_0_may_be_nan(batch):
    logits, targets = batch
    weights = np.ones((3, 4))
    weights[1] = 0
    spoiled = logits.copy()
    spoiled[1] = np.nan
    clean = cross_entropy_sums(jnp.float32(logits), jnp.asarray(targets), jnp.float32(weights))
    dirty = cross_entropy_sums(jnp.float32(spoiled), jnp.asarray(targets), jnp.float32(weights))
    assert jax.tree.map(float, clean) == jax.tree.map(float, dirty)


def test_the_loss_is_accumulated_in_float32_whatever_the_logits(batch):
    logits, targets = batch
    sums = cross_entropy_sums(jnp.asarray(logits, jnp.bfloat16), jnp.asarray(targets), jnp.ones((3, 4)))
    assert sums.loss.dtype == jnp.float32
    np.testing.assert_allclose(sums.loss, by_hand(logits, targets)[0].sum(), rtol=2e-2)  # bfloat16 has 8 bits


def test_metrics_are_means_and_bits_are_nats_over_log_2():
    sums = MetricSums(np.array([8.0, 2.0]), np.array([3.0, 1.0]), np.array([4.0, 8.0]))
    metrics = TASKS["language_modeling"].compute(sums)
    np.testing.assert_allclose(metrics["loss"], [2.0, 0.25])
    np.testing.assert_allclose(metrics["accuracy"], [0.75, 0.125])
    np.testing.assert_allclose(metrics["bits_per_character"], [2.0 / np.log(2), 0.25 / np.log(2)])
    assert set(TASKS["classification"].compute(sums)) == {"loss", "accuracy"}


def test_metrics_of_nothing_are_nan():
    assert np.isnan(TASKS["classification"].compute(MetricSums(np.zeros(1), np.zeros(1), np.zeros(1)))["loss"]).all()


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_names_its_own_metrics_and_begins_with_the_loss(task):
    names = list(task.compute(MetricSums(*np.ones((4, 1)))))
    assert names == [metric.name for metric in task.metrics]
    assert (names[0], task.metrics[0].higher_is_better) == ("loss", False)
    assert {task.primary_metric, task.success_metric or "loss"} <= set(names)


def test_the_likeliest_is_the_first_of_equal_logits_and_never_nan():
    logits = np.random.default_rng(0).integers(0, 3, (500, 4)).astype(np.float32)  # ties in most rows
    for label in range(4):
        found = is_likeliest(logits, np.full(500, label))
        np.testing.assert_array_equal(found, logits.argmax(-1) == label)
    assert not is_likeliest(np.full((3, 2), np.nan, np.float32), np.array([0, 1, 0])).any()
