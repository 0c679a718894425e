"""Optimizers against their update rules in NumPy."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rnnlab.cells import CELLS, cerebral, leaves_named, make_cell, stack
from rnnlab.cells.lstm import LSTMCarry
from rnnlab.core.errors import InputError
from rnnlab.models import make_model, make_seq2seq
from rnnlab.training.optimizers import OPTIMIZERS, make_optimizer, optimizer_options, schedule, step_decay

RATE = 0.03
GRADIENTS = np.random.default_rng(2).normal(size=(6, 5)) * np.array([1, 10, 0.1, 1e-3, 3])


def adam(b1=0.9, b2=0.999, eps=1e-8):
    m = v = 0.0
    for t, g in enumerate(GRADIENTS, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        yield RATE * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)


def rmsprop(decay=0.9, eps=1e-7):
    v = 0.0
    for g in GRADIENTS:
        v = decay * v + (1 - decay) * g**2
        yield RATE * g / (np.sqrt(v) + eps)


def adagrad(initial_accumulator=0.1, eps=1e-7):
    v = initial_accumulator
    for g in GRADIENTS:
        v = v + g**2
        yield RATE * g / np.sqrt(v + eps)


def sgd(momentum=0.0, nesterov=False):
    m = 0.0
    for g in GRADIENTS:
        m = momentum * m + g
        yield RATE * (momentum * m + g if nesterov else m)


RULES = {"adam": adam, "rmsprop": rmsprop, "adagrad": adagrad, "sgd": sgd}
CASES = [
    ("adam", {}),
    ("adam", {"b1": 0.5, "b2": 0.9, "eps": 1e-3}),
    ("rmsprop", {}),
    ("rmsprop", {"decay": 0.5, "eps": 0.1}),
    ("adagrad", {}),
    ("adagrad", {"initial_accumulator": 2.0}),
    ("sgd", {}),
    ("sgd", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.9, "nesterov": True}),
]


def walk(optimizer, gradients=GRADIENTS):
    params = jnp.zeros(5)
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update(jnp.float32(gradient), state, params)
        params = params + updates
    return np.asarray(params)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_six_steps_are_the_rule(name, options):
    expected = -sum(RULES[name](**options))
    np.testing.assert_allclose(walk(make_optimizer(name, RATE, **options)), expected, rtol=2e-5, atol=1e-7)


def test_every_optimizer_has_a_rule():
    assert set(RULES) == set(OPTIMIZERS)


def test_clipping_is_by_the_global_norm():
    norms = np.linalg.norm(GRADIENTS, axis=1, keepdims=True)
    assert norms.min() < 5 < norms.max()  # the test sees a clipped and an unclipped step
    expected = walk(make_optimizer("sgd", RATE), GRADIENTS * np.minimum(1, 5 / norms))
    np.testing.assert_allclose(walk(make_optimizer("sgd", RATE, clip_norm=5.0)), expected, rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_hyperparameters_may_be_traced(name):
    rates = jnp.array([0.01, 0.2])
    together = jax.vmap(lambda rate: jnp.asarray(walk_traced(name, rate)))(rates)
    for rate, params in zip(rates, together, strict=True):
        np.testing.assert_allclose(params, walk(make_optimizer(name, float(rate))), rtol=1e-5)


def walk_traced(name, rate):
    optimizer = make_optimizer(name, rate)
    params, state = jnp.zeros(5), make_optimizer(name, rate).init(jnp.zeros(5))
    for gradient in GRADIENTS:
        updates, state = optimizer.update(jnp.float32(gradient), state, params)
        params = params + updates
    return params


class Layer(NamedTuple):
    w: jax.Array
    b_c: jax.Array


def tree_of(draw):
    """Weights and biases as cells, users' cells and stacks of them hold theirs."""
    shapes = {
        "layers": (Layer((2, 3), (3,)), Layer((3, 1), (1,))),
        "kernel": (4, 1),
        "beta": (2, 2),
        "bias": (2,),
        "embedding": (5, 2),
    }
    is_shape = lambda node: isinstance(node, tuple) and all(isinstance(n, int) for n in node)  # noqa: E731
    return jax.tree.map(lambda shape: jnp.float32(draw.normal(size=shape)), shapes, is_leaf=is_shape)


IS_WEIGHT = {
    "layers": (Layer(True, False), Layer(True, False)), "kernel": True, "beta": True, "bias": False, "embedding": True,
}  # fmt: skip
DRAW = np.random.default_rng(3)
START, TREES = tree_of(DRAW), [tree_of(DRAW) for _ in range(4)]


def trained(optimizer, params=START, gradients=TREES):
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    return params


def assert_close(ours, theirs, rtol=1e-5, atol=1e-7):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def test_weight_decay_is_adamw_and_spares_vectors():
    expected = optax.adamw(RATE, weight_decay=0.3, mask=IS_WEIGHT)
    assert_close(trained(make_optimizer("adam", RATE, weight_decay=0.3)), trained(expected))


def test_what_weight_decay_spares_can_be_declared():
    """A matrix may be spared and a vector decayed, by name."""
    mask = jax.tree.map(lambda _: True, IS_WEIGHT) | {"beta": False, "kernel": False}
    got = make_optimizer("adam", RATE, weight_decay=0.3, no_decay=leaves_named("beta", "kernel"))
    assert_close(trained(got), trained(optax.adamw(RATE, weight_decay=0.3, mask=mask)))


@pytest.mark.parametrize("momentum", [pytest.param(0.0, marks=pytest.mark.slow), 0.9])
@pytest.mark.parametrize("clip", [pytest.param(None, marks=pytest.mark.slow), 4.0])
def test_weight_decay_of_sgd_is_beside_the_gradient(momentum, clip):
    """``p <- p - rate * (m + decay * p)``: not in the momentum, not in the clipped norm, not off the biases."""
    values = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(START)]
    decays = [0.3 * is_weight for is_weight in jax.tree.leaves(IS_WEIGHT)]
    moments = [0.0] * len(values)
    norms = []
    for tree in TREES:
        gradient = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)]
        norms.append(np.sqrt(sum(np.sum(leaf**2) for leaf in gradient)))
        shrink = 1 if clip is None else min(1, clip / norms[-1])
        moments = [momentum * m + shrink * g for m, g in zip(moments, gradient, strict=True)]
        values = [p - RATE * (m + d * p) for p, m, d in zip(values, moments, decays, strict=True)]
    assert min(norms) > 4  # every step is clipped
    got = trained(make_optimizer("sgd", RATE, clip_norm=clip, weight_decay=0.3, momentum=momentum))
    assert_close(jax.tree.leaves(got), values)


def test_without_gradient_weights_shrink_and_biases_stay():
    model = make_model(make_cell("lstm", 4, u_init="glorot_uniform"), 6, 3, per_step=True, embedding_size=2)
    params = jax.tree.map(lambda leaf: leaf + 1, model.init(jax.random.key(0)))
    nothing = [jax.tree.map(jnp.zeros_like, params)] * 2
    optimizer = make_optimizer("sgd", 0.5, weight_decay=0.2, no_decay=model.no_decay)
    after = trained(optimizer, params, nothing)
    for (path, new), old in zip(jax.tree.leaves_with_path(after), jax.tree.leaves(params), strict=True):
        stays = path[-1].name == "b"
        np.testing.assert_allclose(new, old if stays else old * 0.9**2, rtol=1e-6, err_msg=str(path))


BIASES = {"b", "b_n", "b_c", "b_v", "b_state", "b_x", "b_gates"}
NORMALIZATIONS = {"scale", "b_scale", "scale_c"}
RATES = {"nu_log", "theta_log", "gamma_log", "lambda_re_log", "lambda_im", "dt_log", "decay"}  # of linear recurrences
OWN = make_cell("rnn", 4)._replace(
    init=lambda key, inputs: {"w": jnp.ones((inputs, 4)), "beta": jnp.ones((2, 4)), "gain": jnp.ones(4)},
    initial_carry=lambda params, batch: LSTMCarry(jnp.zeros(4), jnp.zeros(4)),
    no_decay=None,
)  # a user's cell, which declares nothing


@pytest.mark.parametrize(
    ("cell", "biases"),
    [
        *((make_cell(name, 4), BIASES | RATES | NORMALIZATIONS) for name in (*CELLS, "bidirectional(gru)")),
        (make_cell("lstm", 4, state_bias=True), {"b", "b_state"}),
        (make_cell("grid_lstm", 4, depth="feedforward"), {"b", "b_v"}),
        (make_cell("cerebral(gru)", 4), {"b", "b_n"}),
        (stack([make_cell("lstm", 4), make_cell("biological_lstm", 4)]), {"b", "b_c"}),
        (OWN, {"gain"}),
        (stack([make_cell("lstm", 4), OWN]), {"b", "gain"}),
        (cerebral(OWN), {"gain"}),
    ],
)
def test_a_model_spares_what_its_cell_declares_and_the_biases_of_its_readout(cell, biases):
    model = make_model(cell, 6, 3, per_step=True)
    params = jax.eval_shape(model.init, jax.random.key(0))
    found = {jax.tree_util.keystr(path): spared for path, spared in jax.tree.leaves_with_path(model.no_decay(params))}
    assert len(found) == len(jax.tree.leaves(params))
    for path, _ in jax.tree.leaves_with_path(params):
        name = getattr(path[-1], "name", getattr(path[-1], "key", None))
        assert found[jax.tree_util.keystr(path)] == (name in biases | {"b"}), path


def test_attention_is_decayed_but_for_its_models_biases():
    model = make_seq2seq(make_cell("gru", 4), make_cell("lstm", 4), 5, 5, prompt_length=3, attention="additive")
    spared = model.no_decay(jax.eval_shape(model.init, jax.random.key(0)))
    assert not any(jax.tree.leaves(spared.attention))
    assert (spared.w, spared.b, spared.encoder.b_n, spared.decoder.b, spared.decoder.w) == (
        False,
        True,
        True,
        True,
        False,
    )


@pytest.mark.parametrize("decay", [None, 0.1])
def test_the_learning_rate_falls_in_steps(decay):
    """Six steps of SGD at rates by a table: three epochs of two steps."""
    rates = np.array([0.2, 0.2, 0.1, 0.1, 0.05, 0.05])
    schedule = step_decay(0.2, 0.5, 2)
    np.testing.assert_allclose([schedule(jnp.int32(count)) for count in range(6)], rates, rtol=1e-6)
    params = {"w": jnp.ones((5, 1))}
    expected = np.ones(5)
    for rate, gradient in zip(rates, GRADIENTS, strict=True):
        expected = expected - rate * (gradient + (decay or 0) * expected)
    gradients = [{"w": jnp.float32(gradient)[:, None]} for gradient in GRADIENTS]
    got = trained(make_optimizer("sgd", schedule, weight_decay=decay), params, gradients)
    np.testing.assert_allclose(got["w"][:, 0], expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_weight_decay_and_a_decaying_rate_may_be_traced(name):
    def of(rate, decay):
        return trained(make_optimizer(name, step_decay(rate, 0.1, 2), weight_decay=decay))["kernel"]

    rates, decays = jnp.array([0.01, 0.2, 0.01]), jnp.array([0.1, 0.1, 0.0])
    together = jax.vmap(of)(rates, decays)
    for rate, decay, kernel in zip(rates.tolist(), decays.tolist(), together, strict=True):
        np.testing.assert_allclose(kernel, of(rate, decay), rtol=1e-5)
    plain = trained(make_optimizer(name, step_decay(0.01, 0.1, 2)))["kernel"]
    np.testing.assert_allclose(together[2], plain, rtol=1e-5)
    assert np.abs(together[0] - together[2]).max() > 1e-4


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("adamm", {}, "did you mean 'adam'"),
        ("sgd", {"momentun": 0.9}, "did you mean 'momentum'"),
        ("sgd", {"momentum": 1.0}, "0 or more and below 1"),
        ("rmsprop", {"decay": -0.1}, "0 or more and below 1"),
        ("adam", {"eps": -1.0}, "0 or more"),
        ("adagrad", {"initial_accumulator": -1.0}, "0 or more"),
    ],
)
def test_mistakes_are_named(name, options, said):
    with pytest.raises(InputError, match=said):
        make_optimizer(name, RATE, **options)


@pytest.mark.parametrize("warmup", [0, 4])
def test_schedules_fall_to_a_fraction_and_stay_there(warmup):
    steps = np.arange(15)
    found = schedule("warmup_cosine" if warmup else "cosine", jnp.float32(0.3), steps=10, factor=0.1, warmup=warmup)
    expected = optax.warmup_cosine_decay_schedule(0.0 if warmup else 0.3, 0.3, warmup, 10, 0.03)
    np.testing.assert_allclose([found(step) for step in steps], [expected(step) for step in steps], rtol=1e-5)
    found = schedule("linear", 0.3, steps=10, factor=0.1, warmup=warmup)
    fraction = np.clip((steps - warmup) / (10 - warmup), 0, 1)
    falling = 0.3 * (1 - 0.9 * fraction)
    expected = np.where(steps < warmup, 0.3 * steps / (warmup or 1), falling)
    np.testing.assert_allclose([found(step) for step in steps], expected, rtol=1e-5)
    step_wise = schedule("step", 0.3, steps=5, factor=0.5, warmup=warmup)
    assert step_wise(warmup + 5) == pytest.approx(0.15)
    assert schedule("step", 0.3, steps=None, factor=0.1) == 0.3


def test_an_optimizer_of_optax_spares_what_ours_do():
    assert_close(trained(make_optimizer("optax:adamw", RATE, weight_decay=0.3)),
                 trained(make_optimizer("adam", RATE, weight_decay=0.3)))  # fmt: skip
    assert_close(trained(make_optimizer("lion", RATE, weight_decay=0.0)), trained(optax.lion(RATE, weight_decay=0.0)))
    assert "b1" in optimizer_options("adamw")
    assert {"mask", "learning_rate", "weight_decay"}.isdisjoint(optimizer_options("adamw"))
    for name in ("adamww", "optax:sgdd", "apply_updates", "optax:os.system", "chain"):
        with pytest.raises(InputError, match="optimizer: unknown value"):
            make_optimizer(name, RATE)
