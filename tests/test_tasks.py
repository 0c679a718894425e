"""Losses and metrics against formulas written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.training.tasks import (
    TASKS,
    MetricSums,
    class_sums,
    cross_entropy_sums,
    each_step_sums,
    is_likeliest,
    value_sums,
)


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
    extra = {"by_class": np.ones((1, 3, 2)), "by_output": np.ones((1, 4, 2)), "at_parts": np.ones((1, 2, 3))}
    names = list(task.compute(MetricSums(*np.ones((4, 1)), **extra)))
    assert names == [metric.name for metric in task.metrics]
    assert (names[0], task.metrics[0].higher_is_better) == ("loss", False)
    assert {task.primary_metric, task.success_metric or "loss"} <= set(names)


def test_the_likeliest_is_the_first_of_equal_logits_and_never_nan():
    logits = np.random.default_rng(0).integers(0, 3, (500, 4)).astype(np.float32)  # ties in most rows
    for label in range(4):
        found = is_likeliest(logits, np.full(500, label))
        np.testing.assert_array_equal(found, logits.argmax(-1) == label)
    assert not is_likeliest(np.full((3, 2), np.nan, np.float32), np.array([0, 1, 0])).any()


def in_batches(sums, logits, targets, weights):
    """The sums of each run ``[R]`` over batches of unequal size, as a sweep has them: vmapped over runs."""
    parts = [
        jax.vmap(sums, in_axes=(0, None, None))(logits[:, rows], targets[rows], weights[rows])
        for rows in (slice(0, 7), slice(7, 8), slice(8, None))
    ]
    return jax.tree.map(lambda *leaves: np.asarray(sum(leaves)), *parts)


@pytest.fixture
def draw():
    return np.random.default_rng(12)


@pytest.mark.slow
def test_class_metrics_are_those_of_scikit_learn_for_rare_and_absent_classes_with_weights_over_batches_and_runs(draw):
    from sklearn import metrics

    logits = np.round(draw.normal(size=(2, 60, 5))).astype(np.float32)  # with ties
    logits[..., 4] = -9  # class 4 is neither predicted nor a target, class 3 only predicted
    targets = draw.choice(3, 60, p=[0.8, 0.15, 0.05]).astype(np.int32)
    weights = draw.choice([0.0, 0.5, 2.0], 60).astype(np.float32)
    ours = TASKS["multiclass_classification"].compute(in_batches(class_sums, logits, targets, weights))
    for run, predicted in enumerate(logits.argmax(-1)):
        with pytest.warns(UserWarning, match="not in y_true"):
            balanced = metrics.balanced_accuracy_score(targets, predicted, sample_weight=weights)
        kept = weights > 0  # a class that only occurs with weight 0 does not occur
        f1 = metrics.f1_score(targets[kept], predicted[kept], average="macro", sample_weight=weights[kept])
        accuracy = metrics.accuracy_score(targets, predicted, sample_weight=weights)
        row = [ours[name][run] for name in ("balanced_accuracy", "macro_f1", "accuracy")]
        np.testing.assert_allclose(row, [balanced, f1, accuracy], rtol=1e-6)


def test_a_class_that_is_always_answered_has_the_accuracy_of_its_share_but_the_balanced_accuracy_of_chance():
    targets = np.array([0] * 95 + [1] * 5)
    sums = class_sums(jnp.tile(jnp.array([1.0, 0.0]), (100, 1)), targets, jnp.ones(100))
    values = TASKS["multiclass_classification"].compute(sums)
    assert [round(float(values[name]), 4) for name in ("accuracy", "balanced_accuracy")] == [0.95, 0.5]


def test_regression_metrics_are_those_of_scikit_learn_in_the_targets_unit_over_batches_and_runs(draw):
    from sklearn import metrics

    mean, std = np.array([100.0, -3.0, 0.5]), np.array([20.0, 0.1, 1.0])
    raw = mean + std * draw.normal(size=(60, 3))
    outputs = draw.normal(size=(2, 60, 3)).astype(np.float32)
    weights = draw.choice([0.0, 0.5, 2.0], 60).astype(np.float32)
    sums = in_batches(value_sums, outputs, ((raw - mean) / std).astype(np.float32), weights)
    ours = TASKS["multivariate_regression"].compute(sums, tuple(std))
    for run, predicted in enumerate(mean + std * outputs):
        expected = [
            metrics.root_mean_squared_error(raw, predicted, sample_weight=weights),
            metrics.mean_absolute_error(raw, predicted, sample_weight=weights),
            metrics.r2_score(raw, predicted, sample_weight=weights),
        ]
        np.testing.assert_allclose([ours[name][run] for name in ("rmse", "mae", "r2")], expected, rtol=1e-5)
        loss = np.average(((raw - predicted) / std) ** 2, axis=0, weights=weights).mean()
        np.testing.assert_allclose(ours["loss"][run], loss, rtol=1e-5)


def test_r2_is_nan_where_the_targets_do_not_vary(draw):
    sums = value_sums(draw.normal(size=(9, 1)), np.full((9, 1), 0.3, np.float32), np.ones(9, np.float32))
    assert np.isnan(TASKS["multivariate_regression"].compute(sums)["r2"])


@pytest.mark.slow
@pytest.mark.parametrize("sums", [class_sums, value_sums])
def test_nan_outputs_of_weight_0_change_no_sum_of_classes_or_values(sums, draw):
    logits, weights = draw.normal(size=(6, 4)).astype(np.float32), np.array([1, 0, 1, 1, 0, 1], np.float32)
    targets = draw.integers(0, 4, 6) if sums is class_sums else draw.normal(size=(6, 4)).astype(np.float32)
    spoiled = np.where(weights[:, None] > 0, logits, np.nan)
    jax.tree.map(np.testing.assert_array_equal, sums(spoiled, targets, weights), sums(logits, targets, weights))
