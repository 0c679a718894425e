"""Options that are numbers: noise while training, and values that ride the run axis as traced arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import (
    D,
    H,
    assert_trees_close,
    assert_trees_equal,
    generator,
    random_carry,
    random_inputs,
    random_params,
)

from rnnlab.cells.registry import make_cell
from rnnlab.cells.unroll import unroll

NOISE = 0.1


def noisy(key, noise=NOISE, hidden_size=H):
    return make_cell("biological_lstm", hidden_size, noise=noise, key=key)


def drawn(*batch, hidden_size=H):
    draw = generator("hyperparams", *batch, hidden_size)
    cell = noisy(None, hidden_size=hidden_size)
    params = random_params(cell, draw)
    return params, random_carry(cell, params, draw, batch), random_inputs(draw, *batch, D)


def test_noise_needs_a_key():
    params, carry, x = drawn(2)
    quiet = make_cell("biological_lstm", H)
    bare = carry._replace(t=None)
    expected, h = quiet.step(params, bare, x)
    for cell, before in ((noisy(None), carry), (make_cell("biological_lstm", H, key=jax.random.key(1)), bare)):
        after, got = cell.step(params, before, x)
        np.testing.assert_array_equal(after.c, expected.c)
        np.testing.assert_array_equal(got, h)
    assert quiet.initial_carry(params, (2,)).t is None  # nothing is counted for nothing


def test_noise_is_the_keys_and_the_steps():
    params, carry, x = drawn(2)
    after, h = noisy(jax.random.key(1)).step(params, carry, x)
    assert_trees_equal((after, h), noisy(jax.random.key(1)).step(params, carry, x))
    np.testing.assert_array_equal(after.t, carry.t + 1)
    for other in (
        noisy(jax.random.key(2)).step(params, carry, x),
        noisy(jax.random.key(1)).step(params, carry._replace(t=carry.t + 1), x),
    ):
        assert np.min(np.abs(after.c - other[0].c)) > 0  # nowhere the same
    # the output sees the noisy state, through its own gate
    o = noisy(None).gates(params, carry, x).o
    np.testing.assert_allclose(h, o * np.tanh(after.c), rtol=1e-5, atol=1e-6)


def noise_of(params, carry, x, noise=NOISE, hidden_size=H):
    """What was added to c."""
    with_noise, _ = noisy(jax.random.key(7), noise, hidden_size).step(params, carry, x)
    without, _ = noisy(None, noise, hidden_size).step(params, carry, x)
    return np.asarray(with_noise.c - without.c)


def test_noise_is_normal_of_the_deviation_asked():
    added = noise_of(*drawn(40, hidden_size=50), hidden_size=50)
    n = added.size  # 2,000: the deviation is known to 1.6 %, the mean to 2.2 % of it
    assert abs(np.std(added) / NOISE - 1) < 0.08
    assert abs(np.mean(added)) < 5 * NOISE / np.sqrt(n)
    inside = np.mean(np.abs(added) < NOISE)
    assert abs(inside - 0.683) < 0.06  # a uniform law of this deviation has 0.577 there
    # units and batch elements draw apart
    correlation = np.corrcoef(added)[np.triu_indices(40, 1)]
    assert np.abs(correlation).max() < 0.7
    assert np.abs(np.corrcoef(added.T)[np.triu_indices(50, 1)]).max() < 0.8


def test_noise_does_not_depend_on_how_batch_axes_are_laid_out():
    params, carry, x = drawn(2, 3)
    flat = jax.tree.map(lambda leaf: leaf.reshape(6, -1), (carry, x))
    np.testing.assert_allclose(noise_of(params, carry, x).reshape(6, H), noise_of(params, *flat), atol=1e-6)
    alone = jax.tree.map(lambda leaf: leaf[0], flat)
    np.testing.assert_allclose(noise_of(params, *alone), noise_of(params, *flat)[0], atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_padding_does_not_move_noise(reverse):
    """The first element, with NaN after its third step, is as it would be alone; so is the second beside it."""
    params, *_ = drawn(1)
    xs = random_inputs(generator("padding noise"), 5, 2, D)
    cell = noisy(jax.random.key(3))
    garbage = np.where((np.arange(5) >= 3)[:, None, None] & (np.arange(2) == 0)[None, :, None], np.nan, xs)
    carry, hs = unroll(cell, params, garbage.astype(np.float32), lengths=np.array([3, 5]), reverse=reverse)
    alone, expected = unroll(cell, params, xs[:3, :1], reverse=reverse)
    np.testing.assert_allclose(hs[:3, :1], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(carry.c[:1], alone.c, rtol=1e-5, atol=1e-6)
    _, both = unroll(cell, params, xs, reverse=reverse)
    np.testing.assert_allclose(hs[:, 1], both[:, 1], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(carry.t[:, 0], [3, 5])


def test_noise_is_new_at_every_step():
    params, *_ = drawn(1)
    xs = random_inputs(generator("steps"), 6, 2, D)
    cell, quiet = noisy(jax.random.key(3)), noisy(None)
    carry, noises = cell.initial_carry(params, (2,)), []
    for x in xs:
        silent, _ = quiet.step(params, carry, x)
        carry, _ = cell.step(params, carry, x)
        noises.append(np.ravel(carry.c - silent.c))
    assert np.abs(np.corrcoef(noises)[np.triu_indices(6, 1)]).max() < 0.97  # 8 numbers each
    halves = [unroll(cell, params, xs[:2])]
    halves.append(unroll(cell, params, xs[2:], halves[0][0]))
    np.testing.assert_allclose(halves[1][0].c, carry.c, rtol=1e-5, atol=1e-6)


HYPERPARAMS = [
    ("lstm", "forget_bias", 0.7, {"u_init": "glorot_uniform"}),
    ("lstm", "input_bias", -0.7, {"u_init": "glorot_uniform"}),
    ("lstm_1997", "input_bias", -0.7, {"u_init": "glorot_uniform"}),
    ("cerebral_lstm", "input_bias", -0.7, {}),
    ("peephole_lstm", "forget_bias", 0.7, {"u_init": "glorot_uniform"}),
    ("lstm1", "forget_bias", 0.7, {"u_init": "glorot_uniform"}),
    ("lstm3", "forget_bias", 0.7, {"u_init": "glorot_uniform"}),
    ("lstm5", "forget_bias", 0.7, {"u_init": "glorot_uniform"}),
    ("biological_lstm", "forget_bias", 0.7, {"u_init": "glorot_uniform", "delta": 0.3}),
    ("biological_lstm", "delta", 0.2, {"u_init": "glorot_uniform"}),
    ("biological_lstm", "noise", 0.3, {"u_init": "glorot_uniform"}),
    ("cerebral_lstm", "forget_bias", 0.7, {}),
    ("cerebral_lstm", "noise_std", 0.05, {"paths": "noise"}),
    ("qrnn", "forget_bias", 0.7, {}),
    ("qrnn", "zoneout", 0.3, {}),
    ("grid_lstm", "forget_bias", 0.7, {"u_init": "glorot_uniform"}),
    ("grid_lstm_2d", "forget_bias", 0.7, {"u_init": "glorot_uniform"}),
]


@pytest.mark.exhaustive  # test_sweep holds that numbers ride the run axis
@pytest.mark.parametrize(
    ("name", "option", "value", "more"), HYPERPARAMS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_number_may_be_a_traced_array(name, option, value, more):
    """Two values side by side on a vmapped axis are what each gives as a Python float, and differ."""
    xs = random_inputs(generator("traced", name), 2, 2, D)

    def outcome(number):
        cell = make_cell(name, H, key=jax.random.key(1), **{option: number}, **more)
        params = cell.init(jax.random.key(2, impl="unsafe_rbg"), D)  # compiles faster
        carry, _ = cell.step(params, cell.initial_carry(params, (2,)), xs[0])
        return params, cell.step(params, carry, xs[1])[1]  # the second, since f has nothing to forget in the first

    values = (value, 2 * value)
    together = jax.jit(jax.vmap(outcome))(jnp.array(values))
    for run, number in enumerate(values):
        mine = jax.tree.map(lambda leaf, run=run: leaf[run], together)
        assert_trees_close(mine, outcome(number), rtol=1e-5, atol=1e-6)
    assert np.abs(together[1][0] - together[1][1]).max() > 1e-3


def test_a_traced_noise_of_zero_is_none():
    """A sweep over noise may start at 0: that run has a step count, and no noise."""
    params, carry, x = drawn(2)
    after, h = jax.jit(lambda v: noisy(jax.random.key(1), v).step(params, carry, x))(0.0)
    expected, expected_h = noisy(None).step(params, carry, x)
    assert_trees_close((after, h), (expected, expected_h), rtol=1e-5, atol=1e-6)


def test_noise_is_float32_in_low_precision():
    params, carry, x = drawn(2)
    low = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), params)
    after, h = noisy(jax.random.key(1)).step(low, carry, x)
    assert {leaf.dtype for leaf in (*after, h)} == {np.dtype(np.float32)}
