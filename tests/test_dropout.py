"""Dropout: its masks, what they reach, and what may not have it."""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import D, H, assert_trees_close, assert_trees_equal, filled, generator, random_inputs

from rnnlab.cells import make_cell, stack
from rnnlab.cells.wrappers.recurrent_dropout import drop_recurrent, dropout_mask
from rnnlab.config.experiment import Arm, Config
from rnnlab.core.errors import InputError
from rnnlab.core.types import Model, Split
from rnnlab.models.recurrent_model import Dropout, make_model
from rnnlab.runs.validate import validate
from rnnlab.training import single_run
from rnnlab.training.arm_spec import ArmSpec, DataShape, build_model
from rnnlab.training.batches import batch_indices
from rnnlab.training.single_run import evaluate, init_state, train_steps
from rnnlab.training.state import Run
from rnnlab.training.sweep import run_grid

B, T, C = 3, 5, 4
KEY = jax.random.key(11, impl="threefry2x32")
# The same few float32 terms, by another program.
FLOAT32 = {"rtol": 2e-5, "atol": 2e-6}
# The same after three steps of SGD at a rate of 0.5.
TRAINED = {"rtol": 1e-4, "atol": 1e-5}

CONFIG = Config(
    experiment="probe", arms={"a": Arm("lstm")}, options={"u_init": "glorot_uniform"}, data="digits", seeds=(0,),
    steps_per_epoch=3, batch_size=8, hidden_size=5, optimizer="sgd", learning_rate=(0.5,),
)  # fmt: skip


def a_model(cell="lstm", *, inputs=D, per_step=False, embedding_size=0, dropout=None, layers=1):
    """A model whose parameters are drawn without regard to its dropout, and they."""
    made = [make_cell(cell, H + 1 - layer) for layer in range(layers)]
    whole = made[0] if layers == 1 else stack(made)
    model = make_model(whole, inputs, C, per_step=per_step, embedding_size=embedding_size, dropout=dropout)
    return model, filled(generator("dropout", cell, layers), jax.eval_shape(model.init, KEY))


def by_hand(cell, params, xs, carry, mask):
    """A loop over time in which the steps see ``h * mask``, and the memory as it is."""
    hs = []
    for x in xs:
        carry, h = cell.step(params, carry._replace(h=carry.h * mask), x)
        hs.append(h)
    return carry, jnp.stack(hs)


def test_a_mask_is_zero_at_its_rate_and_keeps_the_mean():
    mask = np.asarray(dropout_mask(KEY, (100, 400), 0.3))
    assert set(np.unique(mask)) == {np.float32(0), np.float32(1) / np.float32(0.7)}
    # 40,000 draws: the part that is dropped is known to 0.0023, the mean to 0.0033
    assert abs(np.mean(mask == 0) - 0.3) < 0.012
    assert abs(np.mean(mask) - 1) < 0.017
    assert np.all(np.asarray(dropout_mask(KEY, (100,), 0.0)) == 1)
    assert len({row.tobytes() for row in mask}) == 100


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["cerebral_lstm", "biological_lstm"])
@pytest.mark.parametrize("lengths", [None, np.array([5, 2, 3])], ids=["whole", "padded"])
def test_rate_zero_is_no_dropout(cell, lengths):
    xs = random_inputs(generator("zero"), B, T, D)
    plain, params = a_model(cell)
    none, _ = a_model(cell, dropout=Dropout(KEY, inputs=0.0, recurrent=0.0, readout=0.0))
    assert_trees_close(none.apply(params, xs, lengths), plain.apply(params, xs, lengths), **FLOAT32)


@pytest.mark.parametrize("field", Dropout._fields[1:])
def test_each_rate_drops_something(field):
    xs = random_inputs(generator("each"), B, T, D)
    plain, params = a_model()
    dropping, _ = a_model(dropout=Dropout(KEY, **{field: 0.5}))
    assert np.abs(dropping.apply(params, xs)[1] - plain.apply(params, xs)[1]).max() > 0.01


def test_inputs_have_one_mask_for_all_time_steps_and_one_for_each_element():
    """The gradient with respect to an input is zero exactly where it was dropped."""
    model, params = a_model(inputs=40, per_step=True, dropout=Dropout(KEY, inputs=0.5))
    xs = random_inputs(generator("inputs"), B, T, 40)
    seen = np.asarray(jax.grad(lambda xs: jnp.sum(model.apply(params, xs)[1] ** 2))(xs)) != 0
    assert 0.3 < np.mean(seen) < 0.7
    np.testing.assert_array_equal(seen, seen[:, :1].repeat(T, axis=1))
    assert len({row.tobytes() for row in seen[:, 0]}) == B


def test_inputs_are_dropped_by_the_mask_as_if_it_had_been_applied_before():
    xs = random_inputs(generator("before"), B, T, D)
    model, params = a_model(dropout=Dropout(KEY, inputs=0.5))
    plain, _ = a_model()
    mask = dropout_mask(jax.random.split(KEY, 3)[0], (B, D), 0.5)
    assert 0 < np.sum(mask == 0) < mask.size
    assert_trees_close(model.apply(params, xs), plain.apply(params, xs * mask[:, None]), **FLOAT32)


def test_the_readout_sees_h_through_a_mask():
    xs = random_inputs(generator("readout"), B, T, D)
    model, params = a_model(dropout=Dropout(KEY, readout=0.5))
    plain, _ = a_model()
    carry, _ = plain.apply(params, xs)
    mask = dropout_mask(jax.random.split(KEY, 3)[2], carry.h.shape, 0.5)
    assert 0 < np.sum(mask == 0) < mask.size
    dropped_carry, logits = model.apply(params, xs)
    assert_trees_close(dropped_carry, carry, **FLOAT32)  # nothing of it enters the recurrence
    np.testing.assert_allclose(logits, (carry.h * mask) @ params.w + params.b, **FLOAT32)


@pytest.mark.parametrize(
    "name",
    [
        "lstm", "biological_lstm", "grid_lstm",
        *(pytest.param(name, marks=pytest.mark.slow)
          for name in ("peephole_lstm", "cerebral_lstm", "cerebral(lstm)", "grid_lstm_2d")),
    ],
)  # fmt: skip
def test_recurrent_dropout_masks_h_and_never_c(name):
    model, params = a_model(name, per_step=True, dropout=Dropout(KEY, recurrent=0.5))
    cell = make_cell(name, H + 1)
    xs = random_inputs(generator("recurrent", name), B, T, D)
    carry = cell.initial_carry(params.cell, (B,))
    mask = dropout_mask(jax.random.fold_in(jax.random.split(KEY, 3)[1], 0), carry.h.shape, 0.5)
    assert 0 < np.sum(mask == 0) < mask.size
    expected, hs = by_hand(cell, params.cell, np.swapaxes(xs, 0, 1), carry, mask)
    after, logits = model.apply(params, xs)
    assert_trees_close(after, expected, **FLOAT32)  # the carry itself is whole: the mask is in the eye of the step
    np.testing.assert_allclose(logits, np.swapaxes(hs, 0, 1) @ params.w + params.b, **FLOAT32)


def test_padding_changes_nothing_with_dropout_either():
    model, params = a_model(dropout=Dropout(KEY, inputs=0.3, recurrent=0.5, readout=0.3))
    xs, lengths = random_inputs(generator("padding"), B, T, D), np.array([5, 2, 3])
    spoiled = np.where(np.arange(T)[None, :, None] < lengths[:, None, None], xs, np.nan)
    gradients = [
        jax.value_and_grad(lambda p, xs=inputs: jnp.sum(model.apply(p, xs, lengths)[1] ** 2))(params)
        for inputs in (xs, spoiled)
    ]
    assert_trees_equal(*gradients)
    _, alone = model.apply(params, xs[:, :3])  # the third is three steps long: its masks do not depend on T
    np.testing.assert_allclose(model.apply(params, xs, lengths)[1][2], alone[2], **FLOAT32)


def test_every_layer_has_a_mask_of_its_own():
    cells = [make_cell("lstm", 50), make_cell("lstm", 50)]
    whole = stack(cells)
    params = jax.eval_shape(lambda: whole.init(KEY, D))
    params = filled(generator("layers"), params, deviation=0.3)
    ones = jax.tree.map(jnp.ones_like, whole.initial_carry(params, (B,)))
    seen = []
    spies = whole._replace(step=lambda params, carry, x: (seen.append(carry), whole.step(params, carry, x))[1])
    dropped = drop_recurrent(spies, KEY, 0.5, ones)
    dropped.step(params, ones, random_inputs(generator("layers"), B, D))
    lower, upper = (np.asarray(layer.h) for layer in seen[0])
    for index, h in enumerate((lower, upper)):
        np.testing.assert_array_equal(h, dropout_mask(jax.random.fold_in(KEY, index), (B, 50), 0.5))
    assert 0.3 < np.mean(lower == upper) < 0.7
    for layer in seen[0]:
        np.testing.assert_array_equal(layer.c, 1)


@pytest.mark.parametrize(("cell", "layers"), [("gru", 1), ("rnn", 1), ("gru", 2), ("qrnn", 1)])
def test_a_cell_whose_h_is_its_memory_is_refused_before_anything_is_trained(cell, layers):
    config = replace(CONFIG, arms={"good": Arm("lstm"), "odd": Arm(cell, layers=layers)}, recurrent_dropout=(0.2,))
    with pytest.raises(InputError, match=r"^arms\.odd: recurrent_dropout: .*; accepted: .*LSTM.*$"):
        validate(config)
    validate(replace(config, recurrent_dropout=(), dropout=(0.2,), readout_dropout=(0.2,)))


def test_one_hot_ids_are_refused_and_embedded_ones_are_not():
    config = replace(CONFIG, data="pydoc", sequence_length=4, dropout=(0.2,))
    with pytest.raises(InputError, match=r"^arms\.a: dropout: input dropout requires an embedding"):
        validate(config)
    validate(replace(config, embedding_size=3))
    validate(replace(config, dropout=(), recurrent_dropout=(0.2,), readout_dropout=(0.2,)))
    ids = generator("ids").randint(0, 7, (B, T))
    model, params = a_model(inputs=7, embedding_size=6, dropout=Dropout(KEY, inputs=0.5))
    plain, _ = a_model(inputs=6)
    mask = dropout_mask(jax.random.split(KEY, 3)[0], (B, 6), 0.5)  # dimensions of the embedding, not words
    expected = plain.apply(params._replace(embedding=None), params.embedding[ids] * mask[:, None])
    assert_trees_close(model.apply(params, ids), expected, **FLOAT32)


def of_arm(**changes):
    """What the runs of CONFIG with ``changes`` are made of: ``(spec, runs, dataset)``."""
    config = replace(CONFIG, **changes)
    experiment = validate(config)
    return experiment.specs["a"], run_grid(config.seeds, experiment.grids["a"]), experiment.dataset


def test_evaluation_drops_nothing():
    spec, runs, data = of_arm(dropout=(0.5,), recurrent_dropout=(0.5,), readout_dropout=(0.5,))
    bare, plain_runs, _ = of_arm()
    one, plain = (jax.tree.map(lambda leaf: leaf[0], each) for each in (runs, plain_runs))
    params = init_state(bare, plain).params
    assert_trees_equal(init_state(spec, one).params, params)
    test = jax.tree.map(jnp.asarray, data.test)
    assert_trees_equal(evaluate(spec, one, params, test), evaluate(bare, plain, params, test))


def test_a_key_has_masks_of_its_own():
    config = replace(CONFIG, dropout=(0.5,))
    experiment = validate(config)
    params = init_state(experiment.specs["a"], Run(jnp.uint32(0), {"learning_rate": 1e-2})).params

    def answer(key):
        model = build_model(experiment.specs["a"], {"dropout": 0.5}, key)
        return np.asarray(model.apply(params, experiment.dataset.train.inputs[:2])[1])

    first = answer(jax.random.fold_in(KEY, 0))
    np.testing.assert_array_equal(first, answer(jax.random.fold_in(KEY, 0)))
    assert np.abs(first - answer(jax.random.fold_in(KEY, 1))).max() > 1e-3


def test_training_steps_and_seeds_have_keys_of_their_own_and_numbers_share_them(monkeypatch):
    """A model whose gradient is a draw from the key of the step."""

    def make(spec, hyperparams, key=None):
        draws = jnp.zeros(20) if key is None else jax.random.uniform(key, (20,))

        def apply(params, inputs, lengths=None, carry=None):
            return carry, jnp.stack([params @ draws, 0.0])[None].repeat(len(inputs), 0)

        return Model(lambda key: jnp.zeros(20), apply, lambda params, batch: None, lambda params, inputs: None)

    monkeypatch.setattr(single_run, "build_model", make)
    spec = ArmSpec(DataShape("probe", "classification", D, 2), "rnn", 2, 2, 2, 4, optimizer="sgd")
    split = Split(jnp.zeros((4, 3, D)), jnp.int32([1, 1, 1, 1]))

    @jax.jit
    def moved(seed, rate):
        run = Run(seed, {"learning_rate": rate})
        plan = batch_indices(spec, run.seed, 1, 4)
        start = init_state(spec, run)
        middle = train_steps(spec, run, start, plan, split, 0, 1)
        end = train_steps(spec, run, middle, plan, split, 1, 2)
        return middle.params - start.params, end.params - middle.params

    def directions(seed, rate):
        return [step / np.linalg.norm(step) for step in map(np.asarray, moved(jnp.uint32(seed), jnp.float32(rate)))]

    one, other = directions(0, 1e-3), directions(1, 1e-3)
    for a, b in itertools.combinations([*one, *other], 2):
        assert a @ b < 0.97  # vectors of 20 uniform numbers; the same draw would give 1
    for a, b in zip(one, directions(0, 0.1), strict=True):
        assert a @ b > 0.9999


@pytest.mark.slow
def test_rates_ride_the_run_axis():
    def trained(**changes):
        spec, runs, data = of_arm(**changes)
        split = jax.tree.map(jnp.asarray, data.train)

        def train(run):
            plan = jnp.arange(24).reshape(3, 8)
            return train_steps(spec, run, init_state(spec, run), plan, split, 0, 3).params

        return runs, jax.jit(jax.vmap(train))(runs)

    runs, params = trained(recurrent_dropout=(0.0, 0.5), dropout=(0.0,))
    assert runs.hyperparams["recurrent_dropout"].tolist() == [0, 0.5]
    _, plain = trained()
    assert_trees_close(jax.tree.map(lambda leaf: leaf[:1], params), plain, **TRAINED)
    assert np.abs(params.cell.u[1] - params.cell.u[0]).max() > 1e-3
