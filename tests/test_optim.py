"""Optimisers against their update rules written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.errors import InputError
from rnnlab.optim import OPTIMISERS, make_optimiser

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


def walk(optimiser, gradients=GRADIENTS):
    params = jnp.zeros(5)
    state = optimiser.init(params)
    for gradient in gradients:
        updates, state = optimiser.update(jnp.float32(gradient), state, params)
        params = params + updates
    return np.asarray(params)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_six_steps_are_the_rule(name, options):
    expected = -sum(RULES[name](**options))
    np.testing.assert_allclose(walk(make_optimiser(name, RATE, **options)), expected, rtol=2e-5, atol=1e-7)


def test_every_optimiser_has_a_rule():
    assert set(RULES) == set(OPTIMISERS)


def test_clipping_is_by_the_global_norm():
    norms = np.linalg.norm(GRADIENTS, axis=1, keepdims=True)
    assert norms.min() < 5 < norms.max()  # the test sees a clipped and an unclipped step
    expected = walk(make_optimiser("sgd", RATE), GRADIENTS * np.minimum(1, 5 / norms))
    np.testing.assert_allclose(walk(make_optimiser("sgd", RATE, clip_norm=5.0)), expected, rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_numbers_may_ride_the_run_axis(name):
    rates = jnp.array([0.01, 0.2])
    together = jax.vmap(lambda rate: jnp.asarray(walk_traced(name, rate)))(rates)
    for rate, params in zip(rates, together, strict=True):
        np.testing.assert_allclose(params, walk(make_optimiser(name, float(rate))), rtol=1e-5)


def walk_traced(name, rate):
    optimiser = make_optimiser(name, rate)
    params, state = jnp.zeros(5), make_optimiser(name, rate).init(jnp.zeros(5))
    for gradient in GRADIENTS:
        updates, state = optimiser.update(jnp.float32(gradient), state, params)
        params = params + updates
    return params


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
        make_optimiser(name, RATE, **options)
