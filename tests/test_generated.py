"""Generated data sets: every answer recomputed from its question, splits, weights, and what asks for an answer."""

import json
import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from rnnlab.runs.prepare import prepare

from experiments import quickstart
from rnnlab.cells.registry import make_cell
from rnnlab.config.experiment import Arm
from rnnlab.core.errors import InputError
from rnnlab.data import generated, pixel_sequence
from rnnlab.data import registry as data
from rnnlab.models.recurrent_model import make_model
from rnnlab.report import write as report
from rnnlab.runs import run
from rnnlab.runs.progress import NoProgressMeter
from rnnlab.train.optimizers import make_optimizer
from rnnlab.train.probes import paths
from rnnlab.train.single_run import Recipe, batch_indices, evaluate, init_state, train_steps
from rnnlab.train.state import Run
from rnnlab.train.tasks import TASKS, MetricSums

SMALL = {"examples": 300, "held_out": 60}
GENERATED = ["adding", "addition", "copying", "memorization", "parity", "reversal", "sorting", "temporal_order"]
SYMBOLS = {"memorization": list, "reversal": lambda q: q[::-1], "sorting": sorted}
ANSWERED = ["addition", "copying", *SYMBOLS]
LABELLING, REGRESSION = TASKS["sequence_labeling"], TASKS["regression"]


def load(name, **options):
    return data.load_dataset(name, **{**SMALL, **options})


def examples_of(dataset):
    """Every example of the three splits, as a Split of lists and numbers."""
    for split in (dataset.train, dataset.validation, dataset.test):
        for row in range(len(split.targets)):
            yield jax.tree.map(lambda leaf, row=row: np.asarray(leaf[row]).tolist(), split)


def error_of(call, *args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# answers


@pytest.mark.parametrize("length", [1, 2, 15])
def test_parity_is_whether_the_number_of_ones_is_odd(length):
    dataset = load("parity", length=length)
    seen = set()
    for each in examples_of(dataset):
        bits = [bit for (bit,) in each.inputs]
        assert len(bits) == length
        assert set(bits) <= {0.0, 1.0}
        assert each.targets == bits.count(1.0) % 2
        seen.add(each.targets)
    assert seen == {0, 1}
    assert dataset.train.inputs.dtype == np.float32
    assert abs(dataset.train.inputs.mean() - 0.5) < 0.1  # 300 bits or more: 3.4 standard deviations at least


def test_parity_at_once_is_the_same_strings_in_one_step():
    apart, whole = load("parity", length=9), load("parity", length=9, at_once=True)
    for name in ("train", "validation", "test"):
        bits, strings = getattr(apart, name), getattr(whole, name)
        assert strings.inputs.shape == (len(bits.targets), 1, 9)
        np.testing.assert_array_equal(strings.inputs[:, 0], bits.inputs[:, :, 0])
        np.testing.assert_array_equal(strings.targets, bits.targets)
    assert (apart.input_size, whole.input_size) == (1, 9)
    assert "at_once" not in apart.source["generator"]
    assert whole.source["generator"]["at_once"] is True


@pytest.mark.parametrize("length", [1, 2, 7, 15, 40])
def test_addition_is_the_sum_of_the_two_integers(length):
    dataset = load("addition", digits=length)
    carried = set()
    for each in examples_of(dataset):
        text = "".join("0123456789-"[i] for i in each.inputs)
        first, second, *rest = text.split("-")
        assert rest == [""] * (length + 2)
        assert len(first) == len(second) == length
        assert first[0] != "0" != second[0]
        answer = "".join("0123456789-"[i] for i in each.targets)
        assert answer == "-" * (2 * length + 2) + str(int(first) + int(second)).zfill(length + 1)
        carried.add(answer[2 * length + 2])
    assert carried == {"0", "1"}


@pytest.mark.parametrize("name", SYMBOLS)
@pytest.mark.parametrize(("length", "alphabet"), [(1, 2), (6, 5), (20, 64)])
def test_symbols_are_reproduced_reversed_or_sorted(name, length, alphabet):
    dataset = load(name, length=length, alphabet=alphabet)
    seen = set()
    for each in examples_of(dataset):
        question = each.inputs[:length]
        seen |= set(question)
        assert each.inputs[length:] == [alphabet + 1] + [alphabet] * length
        assert each.targets == [alphabet] * (length + 1) + list(SYMBOLS[name](question))
    assert seen == set(range(alphabet))
    assert dataset.input_size == dataset.output_size == alphabet + 2


@pytest.mark.parametrize("lag", [1, 2, 30])
def test_copying_is_laid_out_as_arjovsky_et_al_have_it(lag):
    seen = set()
    for each in examples_of(load("copying", lag=lag)):
        seen |= set(each.inputs[:10])
        assert each.inputs[10:] == [8] * (lag - 1) + [9] + [8] * 10
        assert each.targets == [8] * (lag + 10) + each.inputs[:10]
    assert seen == set(range(8))


@pytest.mark.parametrize("lag", [4, 5, 20, 100])
def test_adding_is_the_sum_of_the_two_marked_values(lag):
    dataset = load("adding", lag=lag)
    places = []
    for each in examples_of(dataset):
        marked = [t for t, (_, mark) in enumerate(each.inputs) if mark == 1]
        assert {mark for _, mark in each.inputs} <= {0.0, 1.0}
        assert len(marked) == 2
        assert marked[0] < min(10, lag // 2)
        assert marked[1] < lag // 2
        assert all(0 <= value <= 1 for value, _ in each.inputs)
        assert each.targets == pytest.approx(sum(each.inputs[t][0] for t in marked), abs=1e-6)
        places += marked
    assert set(places) == set(range(lag // 2))  # 420 examples leave none of them out
    assert dataset.train.targets.dtype == dataset.train.inputs.dtype == np.float32


def test_a_constant_answer_has_the_variance_of_two_uniforms():
    targets = data.load_dataset("adding", lag=20).train.targets.astype(np.float64)
    # the standard error over 10,000 examples is 0.002: E(s - 1)^4 is 1/15
    assert np.mean((targets - 1) ** 2) == pytest.approx(1 / 6, abs=0.006)
    assert np.mean(targets) == pytest.approx(1, abs=0.013)


@pytest.mark.parametrize("lag", [10, 15, 57, 100])
def test_temporal_order_is_told_by_the_two_symbols_in_their_places(lag):
    seen, lengths, places = set(), set(), (set(), set())
    for each in examples_of(load("temporal_order", lag=lag)):
        word = "".join("abcdXYEB"[i] for i in each.inputs)
        assert word[0] == "E"
        assert word[each.lengths - 1] == "B"
        assert set(word[each.lengths :]) <= {"a"}
        inner = word[1 : each.lengths - 1]
        assert not set("EB") & set(inner)
        first, second = (t + 1 for t, letter in enumerate(inner) if letter in "XY")
        assert ["XX", "XY", "YX", "YY"][each.targets] == word[first] + word[second]
        places[0].add(first)
        places[1].add(second)
        lengths.add(each.lengths)
        seen |= set(word)
    assert lengths == set(range(lag, lag + lag // 10 + 1))
    assert places[0] == set(range(lag // 10, lag // 5 + 1))
    assert places[1] == set(range(lag // 2, 6 * lag // 10 + 1))
    assert seen == set("abcdXYEB")


# splits and options


@pytest.mark.parametrize("name", GENERATED)
def test_splits_are_sized_as_asked_and_share_no_example(name):
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
    assert {told: status for told, _, status in data.describe()}[name] == "embedded"
    assert data.prepare(name, None) == f"{name}: nothing is to be prepared"


def test_short_strings_come_up_again_no_more_often_than_by_chance():
    dataset = load("parity", length=12)
    known = {row.tobytes() for row in dataset.train.inputs}
    again = sum(row.tobytes() in known for row in dataset.test.inputs)
    assert again <= 15  # expected 60 * 300 / 4096 = 4.4, standard deviation 2


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
def test_what_is_generated_is_pinned(name):
    """Numbers are compared across machines and years: the examples must be these."""
    assert load(name).source["sha256"][:16] == PINNED[name]


@pytest.mark.parametrize("name", GENERATED)
def test_no_room_for_examples_is_told(name):
    for option in ("examples", "held_out"):
        assert f"data_options.{option}: 0 is out of range; accepted: 1 to " in error_of(load, name, **{option: 0})
        assert "2.5 is wrong; accepted: a whole number" in error_of(load, name, **{option: 2.5})
    assert "data_options.examples: 268435457 is out of range" in error_of(load, name, examples=2**28 + 1)
    assert "unknown value 'sise'" in error_of(load, name, sise=3)


@pytest.mark.parametrize(
    ("name", "option", "least"),
    [
        ("parity", "length", 1), ("addition", "digits", 1), ("copying", "lag", 1), ("adding", "lag", 4),
        ("temporal_order", "lag", 10), *[(name, "length", 1) for name in SYMBOLS],
        *[(name, "alphabet", 2) for name in SYMBOLS],
    ],
)  # fmt: skip
def test_sizes_out_of_range_are_told(name, option, least):
    load(name, **{option: least})
    assert f"data_options.{option}: {least - 1} is out of range; accepted: {least} to" in error_of(
        load, name, **{option: least - 1}
    )
    assert f"data_options.{option}: True is wrong" in error_of(load, name, **{option: True})
    assert f"data_options.{option}: 1000000 is out of range" in error_of(load, name, **{option: 1_000_000})


# pixels


def test_pixels_are_those_of_the_rows_and_permuted_ones_of_a_fixed_order():
    rows, plain, mixed = (
        data.load_dataset("digits", **options) for options in ({}, {"pixels": True}, {"pixels": True, "permuted": True})
    )
    order = pixel_sequence.order_of(64)
    assert sorted(order) == list(range(64))
    for part in ("train", "validation", "test"):
        images, steps, shuffled = (getattr(each, part) for each in (rows, plain, mixed))
        assert steps.inputs.shape == (len(images.inputs), 64, 1)
        for t in range(64):
            np.testing.assert_array_equal(steps.inputs[:, t, 0], images.inputs[:, t // 8, t % 8])
            np.testing.assert_array_equal(shuffled.inputs[:, t], steps.inputs[:, order[t]])
        np.testing.assert_array_equal(shuffled.targets, images.targets)
    assert (plain.input_size, plain.scale, plain.train.inputs.dtype) == (1, 1 / 16, np.uint8)
    assert "steps" not in rows.source
    assert plain.source["steps"] != mixed.source["steps"]
    assert pixel_sequence.order_of(784)[:5].tolist() == PIXELS_784


PIXELS_784 = [124, 90, 280, 353, 270]


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_an_order_of_rows_is_refused(name):
    assert "data_options.permuted: true orders pixels" in error_of(data.load_dataset, name, permuted=True)
    assert "data_options.pixels: 1 is wrong; accepted: true or false" in error_of(data.load_dataset, name, pixels=1)


# what is asked for


@pytest.mark.parametrize("name", ANSWERED)
def test_weights_are_one_at_the_answer_and_zero_elsewhere(name):
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


def recipe(task, inputs, outputs, *, cell="lstm", batch_size=8, eval_batch_size=7):
    def model(hyperparams, key):
        return make_model(make_cell(cell, 6, key=key), inputs, outputs, per_step=task.per_step)

    return Recipe(model, lambda n: make_optimizer("adam", n["learning_rate"]), task, batch_size, 2, eval_batch_size)


ONE_RUN = Run(jnp.uint32(3), {"learning_rate": jnp.float32(1e-2)})


def by_hand(logits, split):
    """loss, correct, count and solved of weighted steps, example by example in float64."""
    found = np.zeros(4)
    for each, targets, weights in zip(np.asarray(logits, np.float64), split.targets, split.weights, strict=True):
        asked = np.flatnonzero(weights)
        nats = np.log(np.exp(each).sum(-1)) - each[np.arange(len(each)), targets]
        right = each.argmax(-1) == targets
        found += [nats[asked].sum(), right[asked].sum(), len(asked), len(asked) * right[asked].all()]
    return found


@pytest.mark.slow
def test_a_weighted_evaluation_and_a_weighted_step_count_the_answers_alone():
    """23 examples in batches of 7: the padding of the last weighs nothing."""
    split = jax.tree.map(jnp.asarray, load("sorting", length=3, alphabet=2, examples=23).train)
    made = recipe(LABELLING, 4, 4)
    state = init_state(made, ONE_RUN)
    wide = state.params._replace(w=6 * state.params.w)
    _, logits = made.make_model({}, None).apply(wide, split.inputs, None, None)
    expected = by_hand(logits, split)
    assert expected[2] == 69
    np.testing.assert_allclose([float(part) for part in evaluate(made, ONE_RUN, wide, split)], expected, rtol=1e-5)

    plan = batch_indices(made, ONE_RUN, 1, 23)
    trained = train_steps(made, ONE_RUN, state, plan[:1], split, 0, 1)
    batch = jax.tree.map(lambda leaf: leaf[np.asarray(plan[0])], split)
    _, logits = made.make_model({}, None).apply(state.params, batch.inputs, None, None)
    np.testing.assert_allclose([float(part) for part in trained.sums], by_hand(logits, batch), rtol=1e-5)

    other = split._replace(targets=jnp.where(split.weights > 0, split.targets, 1))
    again = train_steps(made, ONE_RUN, state, plan[:1], other, 0, 1)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(trained), jax.tree.leaves(again), strict=True))


def test_solved_is_the_fraction_of_examples_right_throughout():
    targets = np.array([[0, 0, 1, 2], [0, 0, 2, 2], [0, 0, 1, 1]])
    weights = np.float32([[0, 0, 1, 1]] * 3)
    answers = np.array([[2, 1, 1, 2], [2, 2, 2, 1], [1, 2, 1, 1]])  # the unasked steps are all wrong
    sums = LABELLING.sums(jnp.eye(3)[answers], targets, weights)
    metrics = LABELLING.compute(sums)
    assert set(metrics) == {"loss", "accuracy", "solved"}
    assert float(metrics["accuracy"]) == pytest.approx(5 / 6)
    assert float(metrics["solved"]) == pytest.approx(2 / 3)
    padded = LABELLING.sums(jnp.eye(3)[answers], targets, weights * np.float32([[1], [1], [0]]))
    assert [float(part) for part in padded[1:]] == [3, 4, 2]
    assert np.isnan(LABELLING.compute(MetricSums(*np.zeros((4, 1))))["solved"]).all()


@pytest.mark.slow
def test_probes_weigh_the_steps_too():
    split = load("memorization", length=3, alphabet=4, examples=8).train
    model = make_model(make_cell("cerebral_lstm", 5), 6, 6, per_step=True)
    params = model.init(jax.random.key(1))
    other = split._replace(targets=np.where(split.weights > 0, split.targets, 1).astype(np.int32))
    found = [float(paths(model, LABELLING, params, each)["gradient_cosine"]) for each in (split, other)]
    unweighted = float(paths(model, LABELLING, params, split._replace(weights=None))["gradient_cosine"])
    assert found[0] == found[1]
    assert abs(found[0] - unweighted) > 1e-3


# regression


def test_regression_metrics_are_the_mean_squared_error_and_the_papers_criterion():
    targets = np.float32([1.0, 0.5, 1.5, 0.2, 0.0])
    logits = np.float32([[1.03], [0.55], [1.47], [0.2], [np.nan]])
    sums = REGRESSION.sums(jnp.asarray(logits), targets, np.float32([1, 1, 1, 1, 0]))
    metrics = REGRESSION.compute(sums)
    assert float(metrics["loss"]) == pytest.approx((0.03**2 + 0.05**2 + 0.03**2) / 4, rel=1e-4)
    assert float(metrics["solved"]) == 0.75
    assert set(metrics) == {"loss", "solved"}
    assert REGRESSION.sums(jnp.asarray(logits, jnp.bfloat16), targets, np.ones(5, np.float32)).loss.dtype == jnp.float32


def test_an_evaluated_regression_is_the_formula():
    split = jax.tree.map(jnp.asarray, load("adding", lag=10, examples=23).train)
    made = recipe(REGRESSION, 2, 1)
    params = init_state(made, ONE_RUN).params
    params = params._replace(b=params.b + 1)
    _, logits = made.make_model({}, None).apply(params, split.inputs, None, None)
    error = np.asarray(logits, np.float64)[:, 0] - split.targets
    sums = evaluate(made, ONE_RUN, params, split)
    np.testing.assert_allclose(sums.loss, np.sum(error**2), rtol=1e-5)
    assert (float(sums.correct), float(sums.count)) == (np.sum(np.abs(error) < 0.04), 23)
    assert sums.solved is None


# in a run


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [("reversal", {"length": 2, "alphabet": 2}), ("adding", {"lag": 8})])
def test_a_run_records_the_metrics_of_its_task(tmp_path, name, options):
    config = replace(
        quickstart.CONFIG, arms={"plain": Arm("rnn")}, data=name, data_options={**options, **SMALL}, seeds=(0, 1),
        epochs=2, steps_per_epoch=3, batch_size=16, hidden_size=4, learning_rate=(1e-2,), probes=(),
    )  # fmt: skip
    run.start(prepare(config), tmp_path / "run", NoProgressMeter())
    table = pq.read_table(tmp_path / "run" / "metrics.parquet").to_pylist()
    told = {
        "reversal": ({"loss", "accuracy", "solved"}, "test_accuracy_at_best_validation"),
        "adding": ({"loss", "solved"}, "test_loss_at_best_validation"),
    }
    assert {row["metric"] for row in table if row["split"] == "test"} == told[name][0]
    assert all(0 <= row["value"] <= 1 for row in table if row["metric"] in ("accuracy", "solved"))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["headline"] == told[name][1]
    assert len(report.table(summary)[1]) == 1


def test_texts_alone_are_read_on_from_batch_to_batch():
    config = replace(
        quickstart.CONFIG, arms={"plain": Arm("rnn")}, data="reversal", data_options=SMALL, batch_sampling="contiguous",
        steps_per_epoch=0, batch_size=16,
    )  # fmt: skip
    assert "batch_sampling: contiguous, but reversal is no text" in error_of(prepare, config)


def test_streams_of_the_splits_differ():
    drawn = [generated.stream(split).random_sample(50) for split in generated.SPLITS]
    assert len(np.unique(drawn)) == 150
