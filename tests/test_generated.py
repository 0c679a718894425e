"""Generated data sets: answers recomputed from prompts, splits, options, pixels; weighted metrics and training."""

import itertools
import json
import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.data import error_of

import rnnlab
from experiments import quickstart
from rnnlab import data
from rnnlab.cells.registry import make_cell
from rnnlab.config.experiment import Arm
from rnnlab.data import generated, pixel_sequence
from rnnlab.models.recurrent_model import make_model
from rnnlab.report import write as report
from rnnlab.runs import run
from rnnlab.runs.progress import NoProgressMeter
from rnnlab.runs.validate import validate
from rnnlab.training.arm_spec import ArmSpec, DataShape, build_model
from rnnlab.training.batches import batch_indices
from rnnlab.training.probes import paths
from rnnlab.training.single_run import evaluate, init_state, train_steps
from rnnlab.training.state import Run
from rnnlab.training.tasks import TASKS, MetricSums

SMALL = {"examples": 300, "held_out": 60}
GENERATED = ["adding", "addition", "copying", "memorization", "parity", "reversal", "sorting", "temporal_order"]
SYMBOLS = {"memorization": list, "reversal": lambda symbols: symbols[::-1], "sorting": sorted}
ANSWERED = ["addition", "copying", *SYMBOLS]
LABELLING, REGRESSION = TASKS["sequence_labeling"], TASKS["regression"]


def load(name, **options):
    return data.load_dataset(name, **{**SMALL, **options})


def examples_of(dataset):
    """Yields every example of the three splits as a Split of lists and numbers."""
    for split in (dataset.train, dataset.validation, dataset.test):
        for row in range(len(split.targets)):
            yield jax.tree.map(lambda leaf, row=row: np.asarray(leaf[row]).tolist(), split)


# answers


@pytest.mark.parametrize("length", [1, 2, 15])
def test_parity_is_1_if_the_number_of_ones_is_odd(length):
    dataset = load("parity", length=length)
    answers = set()
    for each in examples_of(dataset):
        bits = [bit for (bit,) in each.inputs]
        assert len(bits) == length
        assert set(bits) <= {0.0, 1.0}
        assert each.targets == bits.count(1.0) % 2
        answers.add(each.targets)
    assert answers == {0, 1}
    assert dataset.train.inputs.dtype == np.float32
    assert abs(dataset.train.inputs.mean() - 0.5) < 0.1  # 300 bits or more: 3.4 standard deviations at least


def test_parity_at_once_has_the_same_strings_in_one_step():
    by_bit, at_once = load("parity", length=9), load("parity", length=9, at_once=True)
    for name in ("train", "validation", "test"):
        bits, strings = getattr(by_bit, name), getattr(at_once, name)
        assert strings.inputs.shape == (len(bits.targets), 1, 9)
        np.testing.assert_array_equal(strings.inputs[:, 0], bits.inputs[:, :, 0])
        np.testing.assert_array_equal(strings.targets, bits.targets)
    assert (by_bit.input_size, at_once.input_size) == (1, 9)
    assert "at_once" not in by_bit.source["generator"]
    assert at_once.source["generator"]["at_once"] is True


@pytest.mark.parametrize("length", [1, 2, 7, 15, 40])
def test_addition_is_the_sum_of_the_two_integers(length):
    dataset = load("addition", digits=length)
    first_digits = set()
    for each in examples_of(dataset):
        text = "".join("0123456789-"[i] for i in each.inputs)
        first, second, *rest = text.split("-")
        assert rest == [""] * (length + 2)
        assert len(first) == len(second) == length
        assert first[0] != "0" != second[0]
        answer = "".join("0123456789-"[i] for i in each.targets)
        assert answer == "-" * (2 * length + 2) + str(int(first) + int(second)).zfill(length + 1)
        first_digits.add(answer[2 * length + 2])
    assert first_digits == {"0", "1"}


@pytest.mark.parametrize("name", SYMBOLS)
@pytest.mark.parametrize(("length", "alphabet"), [(1, 2), (6, 5), (20, 64)])
def test_the_answer_is_the_symbols_repeated_reversed_or_sorted(name, length, alphabet):
    dataset = load(name, length=length, alphabet=alphabet)
    symbols = set()
    for each in examples_of(dataset):
        prompt = each.inputs[:length]
        symbols |= set(prompt)
        assert each.inputs[length:] == [alphabet + 1] + [alphabet] * length
        assert each.targets == [alphabet] * (length + 1) + list(SYMBOLS[name](prompt))
    assert symbols == set(range(alphabet))
    assert dataset.input_size == dataset.output_size == alphabet + 2


@pytest.mark.parametrize("lag", [1, 2, 30])
def test_copying_has_the_layout_of_arjovsky_et_al(lag):
    symbols = set()
    for each in examples_of(load("copying", lag=lag)):
        symbols |= set(each.inputs[:10])
        assert each.inputs[10:] == [8] * (lag - 1) + [9] + [8] * 10
        assert each.targets == [8] * (lag + 10) + each.inputs[:10]
    assert symbols == set(range(8))


@pytest.mark.parametrize("lag", [4, 5, 20, 100])
def test_adding_is_the_sum_of_the_two_marked_values(lag):
    dataset = load("adding", lag=lag)
    positions = []
    for each in examples_of(dataset):
        marked = [t for t, (_, mark) in enumerate(each.inputs) if mark == 1]
        assert {mark for _, mark in each.inputs} <= {0.0, 1.0}
        assert len(marked) == 2
        assert marked[0] < min(10, lag // 2)
        assert marked[1] < lag // 2
        assert all(0 <= value <= 1 for value, _ in each.inputs)
        assert each.targets == pytest.approx(sum(each.inputs[t][0] for t in marked), abs=1e-6)
        positions += marked
    assert set(positions) == set(range(lag // 2))  # 420 examples cover them all
    assert dataset.train.targets.dtype == dataset.train.inputs.dtype == np.float32


def test_the_targets_of_adding_have_the_mean_and_variance_of_two_uniforms():
    targets = data.load_dataset("adding", lag=20).train.targets.astype(np.float64)
    # the standard error over 10,000 examples is 0.002: E(s - 1)^4 is 1/15
    assert np.mean((targets - 1) ** 2) == pytest.approx(1 / 6, abs=0.006)
    assert np.mean(targets) == pytest.approx(1, abs=0.013)


@pytest.mark.parametrize("lag", [10, 15, 57, 100])
def test_the_class_of_temporal_order_is_that_of_its_two_symbols(lag):
    letters, lengths, positions = set(), set(), (set(), set())
    for each in examples_of(load("temporal_order", lag=lag)):
        word = "".join("abcdXYEB"[i] for i in each.inputs)
        assert word[0] == "E"
        assert word[each.lengths - 1] == "B"
        assert set(word[each.lengths :]) <= {"a"}
        inner = word[1 : each.lengths - 1]
        assert not set("EB") & set(inner)
        first, second = (t + 1 for t, letter in enumerate(inner) if letter in "XY")
        assert ["XX", "XY", "YX", "YY"][each.targets] == word[first] + word[second]
        positions[0].add(first)
        positions[1].add(second)
        lengths.add(each.lengths)
        letters |= set(word)
    assert lengths == set(range(lag, lag + lag // 10 + 1))
    assert positions[0] == set(range(lag // 10, lag // 5 + 1))
    assert positions[1] == set(range(lag // 2, 6 * lag // 10 + 1))
    assert letters == set("abcdXYEB")


# splits and options


@pytest.mark.parametrize("name", GENERATED)
def test_splits_have_the_given_sizes_and_share_no_example(name):
    wide = {"parity": {"length": 60}}.get(name, {})
    dataset = load(name, **wide)
    splits = (dataset.train, dataset.validation, dataset.test)
    assert [len(split.inputs) for split in splits] == [len(split.targets) for split in splits] == [300, 60, 60]
    rows = [row.tobytes() for split in splits for row in split.inputs]
    assert len(set(rows)) == 420
    more = load(name, **wide, examples=301)
    np.testing.assert_array_equal(more.validation.inputs, dataset.validation.inputs)
    np.testing.assert_array_equal(more.test.targets, dataset.test.targets)
    assert dataset.source["generator"].items() >= {**SMALL, **wide}.items()
    assert json.loads(json.dumps(dataset.source)) == dataset.source
    assert dataset.source == load(name, **wide).source
    assert dataset.source["sha256"] != more.source["sha256"]
    assert {row[0]: row[2] for row in data.describe()}[name] == "embedded"
    assert data.prepare(name, None) == f"{name}: nothing to prepare"


def test_short_strings_recur_no_more_often_than_by_chance():
    dataset = load("parity", length=12)
    train = {row.tobytes() for row in dataset.train.inputs}
    recurring = sum(row.tobytes() in train for row in dataset.test.inputs)
    assert recurring <= 15  # expected 60 * 300 / 4096 = 4.4, standard deviation 2


PINNED = {
    "adding": "0cadd0918363effe",
    "addition": "fd0418e0d92f22ce",
    "copying": "7f12f04d05442516",
    "memorization": "39a618b48e7bb7c2",
    "parity": "5f94112531b4ee12",
    "reversal": "0ef9e553bbbbe4ce",
    "sorting": "e4e4c2747c6a93d0",
    "temporal_order": "0ec8c5dd93d9243b",
}


@pytest.mark.parametrize("name", GENERATED)
def test_examples_are_pinned_so_that_results_compare_across_machines_and_years(name):
    assert load(name).source["sha256"][:16] == PINNED[name]


@pytest.mark.parametrize("name", GENERATED)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"examples": 0}, "data_options.examples: 0 is out of range; accepted: 1 to "),
        ({"held_out": 0}, "data_options.held_out: 0 is out of range; accepted: 1 to "),
        ({"examples": 2**28 + 1}, "data_options.examples: 268435457 is out of range"),
        ({"examples": 2.5}, "data_options.examples: 2.5 is not valid; accepted: an integer"),
    ],
)
def test_numbers_of_examples_out_of_range_are_refused(name, options, message):
    assert message in error_of(load, name, **options)


@pytest.mark.parametrize(
    ("name", "option", "least"),
    [
        ("parity", "length", 1), ("addition", "digits", 1), ("copying", "lag", 1), ("adding", "lag", 4),
        ("temporal_order", "lag", 10), *[(name, "length", 1) for name in SYMBOLS],
        *[(name, "alphabet", 2) for name in SYMBOLS],
    ],
)  # fmt: skip
def test_sizes_out_of_range_are_refused(name, option, least):
    load(name, **{option: least})
    for value in (least - 1, 1_000_000):
        line = error_of(load, name, **{option: value})
        assert f"data_options.{option}: {value} is out of range; accepted: {least} to" in line


# pixels


def test_pixels_are_the_rows_flattened_and_permuted_pixels_a_fixed_order_of_them():
    rows, pixels, permuted = (
        data.load_dataset("digits", **options) for options in ({}, {"pixels": True}, {"pixels": True, "permuted": True})
    )
    order = pixel_sequence.pixel_order(64)
    assert sorted(order) == list(range(64))
    for part in ("train", "validation", "test"):
        images, steps, shuffled = (getattr(each, part) for each in (rows, pixels, permuted))
        assert steps.inputs.shape == (len(images.inputs), 64, 1)
        for t in range(64):
            np.testing.assert_array_equal(steps.inputs[:, t, 0], images.inputs[:, t // 8, t % 8])
            np.testing.assert_array_equal(shuffled.inputs[:, t], steps.inputs[:, order[t]])
        np.testing.assert_array_equal(shuffled.targets, images.targets)
    assert (pixels.input_size, pixels.scale, pixels.train.inputs.dtype) == (1, 1 / 16, np.uint8)
    assert "steps" not in rows.source
    assert pixels.source["steps"] != permuted.source["steps"]
    assert pixel_sequence.pixel_order(784)[:5].tolist() == [124, 90, 280, 353, 270]


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_permuted_requires_pixels(name):
    assert "data_options.permuted: true requires" in error_of(data.load_dataset, name, permuted=True)


# weighted steps


@pytest.mark.parametrize("name", ANSWERED)
def test_weights_are_1_at_the_answer_and_0_elsewhere(name):
    dataset = load(name)
    blank = {"addition": 10, "copying": 8, "memorization": 64}.get(name, 10)
    for split in (dataset.train, dataset.validation, dataset.test):
        np.testing.assert_array_equal(split.weights, split.targets != blank)
        assert split.weights.dtype == np.float32
        assert split.inputs.shape == split.targets.shape == split.weights.shape
    logits = jnp.zeros((*dataset.test.targets.shape, dataset.output_size))
    sums = LABELLING.sums(logits, dataset.test.targets, dataset.test.weights)
    assert float(LABELLING.compute(sums)["loss"]) == pytest.approx(math.log(dataset.output_size), rel=2e-5)
    assert float(sums.count) == np.sum(dataset.test.weights)


def spec_on(dataset) -> ArmSpec:
    return ArmSpec(DataShape.of(dataset), "lstm", 6, steps_per_epoch=2, batch_size=8, eval_batch_size=7)


ONE_RUN = Run(jnp.uint32(3), {"learning_rate": jnp.float32(1e-2)})


def by_hand(logits, split):
    """Loss, correct, count and solved of the weighted steps, example by example in float64."""
    sums = np.zeros(4)
    for each, targets, weights in zip(np.asarray(logits, np.float64), split.targets, split.weights, strict=True):
        answer = np.flatnonzero(weights)
        nats = np.log(np.exp(each).sum(-1)) - each[np.arange(len(each)), targets]
        right = each.argmax(-1) == targets
        sums += [nats[answer].sum(), right[answer].sum(), len(answer), len(answer) * right[answer].all()]
    return sums


@pytest.mark.slow
def test_evaluation_and_training_count_the_answers_alone():
    """23 examples in batches of 7, so that the last is padded."""
    dataset = load("sorting", length=3, alphabet=2, examples=23)
    split, spec = jax.tree.map(jnp.asarray, dataset.train), spec_on(dataset)
    model = build_model(spec, ONE_RUN.hyperparams)
    state = init_state(spec, ONE_RUN)
    wide = state.params._replace(w=6 * state.params.w)
    _, logits = model.apply(wide, split.inputs, None, None)
    expected = by_hand(logits, split)
    assert expected[2] == 69
    np.testing.assert_allclose(jax.tree.leaves(evaluate(spec, ONE_RUN, wide, split)), expected, rtol=1e-5)

    indices = batch_indices(spec, ONE_RUN.seed, 1, 23)
    trained = train_steps(spec, ONE_RUN, state, indices[:1], split, 0, 1)
    batch = jax.tree.map(lambda leaf: leaf[np.asarray(indices[0])], split)
    _, logits = model.apply(state.params, batch.inputs, None, None)
    np.testing.assert_allclose(jax.tree.leaves(trained.sums), by_hand(logits, batch), rtol=1e-5)

    other = split._replace(targets=jnp.where(split.weights > 0, split.targets, 1))
    again = train_steps(spec, ONE_RUN, state, indices[:1], other, 0, 1)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(trained), jax.tree.leaves(again), strict=True))


def test_solved_is_the_fraction_of_examples_with_the_whole_answer_right():
    targets = np.array([[0, 0, 1, 2], [0, 0, 2, 2], [0, 0, 1, 1]])
    weights = np.float32([[0, 0, 1, 1]] * 3)
    answers = np.array([[2, 1, 1, 2], [2, 2, 2, 1], [1, 2, 1, 1]])  # all steps without weight are wrong
    sums = LABELLING.sums(jnp.eye(3)[answers], targets, weights)
    metrics = LABELLING.compute(sums)
    assert set(metrics) == {"loss", "accuracy", "solved"}
    assert float(metrics["accuracy"]) == pytest.approx(5 / 6)
    assert float(metrics["solved"]) == pytest.approx(2 / 3)
    padded = LABELLING.sums(jnp.eye(3)[answers], targets, weights * np.float32([[1], [1], [0]]))
    assert [float(part) for part in jax.tree.leaves(padded)[1:]] == [3, 4, 2]
    assert np.isnan(LABELLING.compute(MetricSums(*np.zeros((4, 1))))["solved"]).all()


@pytest.mark.slow
def test_probes_use_the_weights_of_the_steps():
    split = load("memorization", length=3, alphabet=4, examples=8).train
    model = make_model(make_cell("cerebral_lstm", 5), 6, 6, per_step=True)
    params = model.init(jax.random.key(1))
    other = split._replace(targets=np.where(split.weights > 0, split.targets, 1).astype(np.int32))
    cosines = [float(paths(model, LABELLING, params, each)["gradient_cosine"]) for each in (split, other)]
    unweighted = float(paths(model, LABELLING, params, split._replace(weights=None))["gradient_cosine"])
    assert cosines[0] == cosines[1]
    assert abs(cosines[0] - unweighted) > 1e-3


# regression


def test_regression_reports_the_mean_squared_error_and_the_criterion_of_the_paper():
    targets = np.float32([1.0, 0.5, 1.5, 0.2, 0.0])
    logits = np.float32([[1.03], [0.55], [1.47], [0.2], [np.nan]])
    sums = REGRESSION.sums(jnp.asarray(logits), targets, np.float32([1, 1, 1, 1, 0]))
    metrics = REGRESSION.compute(sums)
    assert float(metrics["loss"]) == pytest.approx((0.03**2 + 0.05**2 + 0.03**2) / 4, rel=1e-4)
    assert float(metrics["solved"]) == 0.75
    assert set(metrics) == {"loss", "solved"}
    assert REGRESSION.sums(jnp.asarray(logits, jnp.bfloat16), targets, np.ones(5, np.float32)).loss.dtype == jnp.float32


def test_evaluation_of_a_regression_is_the_formula():
    dataset = load("adding", lag=10, examples=23)
    split, spec = jax.tree.map(jnp.asarray, dataset.train), spec_on(dataset)
    params = init_state(spec, ONE_RUN).params
    params = params._replace(b=params.b + 1)
    _, logits = build_model(spec, ONE_RUN.hyperparams).apply(params, split.inputs, None, None)
    error = np.asarray(logits, np.float64)[:, 0] - split.targets
    sums = evaluate(spec, ONE_RUN, params, split)
    np.testing.assert_allclose(sums.loss, np.sum(error**2), rtol=1e-5)
    assert (float(sums.correct), float(sums.count)) == (np.sum(np.abs(error) < 0.04), 23)
    assert sums.solved is None


# runs


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [("reversal", {"length": 2, "alphabet": 2}), ("adding", {"lag": 8})])
def test_a_run_records_the_metrics_of_its_task(tmp_path, name, options):
    config = replace(
        quickstart.CONFIG, arms={"plain": Arm("rnn")}, data=name, data_options={**options, **SMALL}, seeds=(0, 1),
        epochs=2, steps_per_epoch=3, batch_size=16, hidden_size=4, learning_rate=(1e-2,), probes=(),
    )  # fmt: skip
    run.start(validate(config), tmp_path / "run", NoProgressMeter())
    table = pq.read_table(tmp_path / "run" / "metrics.parquet").to_pylist()
    expected = {
        "reversal": ({"loss", "accuracy", "solved"}, "test_accuracy_at_best_validation"),
        "adding": ({"loss", "solved"}, "test_loss_at_best_validation"),
    }
    assert {row["metric"] for row in table if row["split"] == "test"} == expected[name][0]
    assert all(0 <= row["value"] <= 1 for row in table if row["metric"] in ("accuracy", "solved"))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["headline"] == expected[name][1]
    assert len(report.table(summary)[1]) == 1


def test_contiguous_batches_require_a_text():
    config = replace(
        quickstart.CONFIG, arms={"plain": Arm("rnn")}, data="reversal", data_options=SMALL, batch_sampling="contiguous",
        steps_per_epoch=None, batch_size=16,
    )  # fmt: skip
    assert error_of(validate, config).startswith("batch_sampling: contiguous")


def test_random_streams_of_the_splits_differ():
    draws = [generated.split_rng(split).random_sample(50) for split in generated.SPLITS]
    assert len(np.unique(draws)) == 150


# state tracking


@pytest.mark.parametrize(("group", "elements"), [("parity", 2), ("s3", 6), ("s5", 120)])
def test_a_state_is_the_product_of_all_permutations_so_far(group, elements):
    things = list(itertools.permutations(range({2: 2, 6: 3, 120: 5}[elements])))
    dataset = load("state_tracking", group=group, length=5)
    assert dataset.input_size == dataset.output_size == elements == len(things)
    assert [len(split.inputs[0]) for split in (dataset.train, dataset.validation, dataset.test)] == [5, 5, 20]
    for each in examples_of(dataset):
        held = things[0]
        for element, state in zip(each.inputs, each.targets, strict=True):
            held = tuple(things[element][place] for place in held)
            assert held == things[state]
    if group == "parity":
        np.testing.assert_array_equal(dataset.test.targets, np.cumsum(dataset.test.inputs, axis=1) % 2)


@pytest.mark.parametrize("steps", [20, 3, 1])
def test_state_tracking_is_read_at_a_quarter_half_and_the_end(steps):
    draw = np.random.RandomState(0)
    logits, targets = draw.normal(size=(7, steps, 3)).astype(np.float32), draw.randint(0, 3, (7, steps))
    task = TASKS["state_tracking"]
    found = task.compute(task.sums(logits, targets, jnp.ones((7, steps))))
    right = logits.argmax(-1) == targets
    for name, step in (("quarter", max(1, steps // 4)), ("half", max(1, steps // 2)), ("end", steps)):
        assert np.isclose(found[f"accuracy_{name}"], right[:, step - 1].mean())
    assert np.isclose(found["accuracy"], right.mean())


def test_an_rnn_learns_parity_at_the_trained_length_and_carries_it_beyond():
    result = rnnlab.train({"a": "rnn"}, "state_tracking", data_options=SMALL | {"length": 4}, hidden_size=8, epochs=60,
                          seeds=2, batch_size=20, learning_rate=0.03, progress=False)  # fmt: skip
    best = max(row["test_accuracy_quarter_at_best_validation"] for row in result.summary().to_pylist())
    assert best > 0.95
