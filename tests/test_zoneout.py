"""The QRNN's zoneout: with a key, units keep their state for a step at random."""

import jax
import numpy as np
import pytest
from helpers.cases import (
    D,
    assert_trees_close,
    assert_trees_equal,
    generator,
    random_carry,
    random_inputs,
    random_params,
)

from rnnlab.cells.registry import make_cell
from rnnlab.cells.unroll import unroll

B, T, HIDDEN, RATE = 40, 5, 50, 0.3
KEY = jax.random.key(3)
FLOAT32 = {"rtol": 2e-5, "atol": 5e-6}  # as in test_reductions.py


def zoned(key, pooling="fo", zoneout=RATE):
    return make_cell("qrnn", HIDDEN, pooling=pooling, zoneout=zoneout, key=key)


def drawn(*names, batch=B):
    draw, cell = generator("zoneout", *names), zoned(None, *names)
    params = random_params(cell, draw)
    return params, random_carry(cell, params, draw, (batch,)), random_inputs(draw, T, batch, D)


def test_rate_zero_and_no_key_are_no_zoneout():
    params, carry, xs = drawn()
    plain, bare = make_cell("qrnn", HIDDEN), carry._replace(t=None)
    expected, h = plain.step(params, bare, xs[0])
    assert plain.initial_carry(params, (2,)).t is None
    assert zoned(KEY, zoneout=0.0).initial_carry(params, (2,)).t is None
    for cell, before in ((zoned(None), carry), (zoned(KEY, zoneout=0.0), bare)):
        after, got = cell.step(params, before, xs[0])
        assert_trees_equal((after._replace(t=None), got), (expected, h))


@pytest.mark.parametrize("pooling", ["f", "fo", "ifo"])
def test_a_kept_unit_keeps_its_state_and_the_others_are_what_they_would_be(pooling):
    params, carry, xs = drawn(pooling)
    after, _ = zoned(KEY, pooling).step(params, carry, xs[0])
    plain, _ = zoned(None, pooling).step(params, carry, xs[0])
    kept = np.asarray(after.c == carry.c)
    assert abs(kept.mean() - RATE) < 0.05  # 2,000 units: known to 0.01
    assert kept.mean(0).max() < 0.7  # 40 examples a unit: each its own draw
    np.testing.assert_allclose(after.c[~kept], plain.c[~kept], **FLOAT32)
    np.testing.assert_array_equal(after.t, carry.t + 1)
    np.testing.assert_array_equal(after.ahead, plain.ahead)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["fo", "ifo"])
def test_the_sequence_draws_as_the_steps_do_and_padding_moves_no_draw(pooling):
    params, carry, xs = drawn(pooling, batch=3) if pooling == "fo" else drawn(pooling, batch=2)
    cell, before, hs = zoned(KEY, pooling), carry, []
    step = jax.jit(cell.step)
    for x in xs:
        carry, h = step(params, carry, x)
        hs.append(h)
    after, together = unroll(cell, params, xs, before)
    assert_trees_close((after, together), (carry, np.stack(hs)), **FLOAT32)
    lengths = np.array([5, 2, 4])[: xs.shape[1]]
    _, padded = unroll(cell, params, xs, before, lengths=lengths)
    for element, length in enumerate(lengths):
        np.testing.assert_allclose(padded[:length, element], together[:length, element], **FLOAT32)


def test_keys_steps_and_elements_draw_independently():
    params, carry, xs = drawn()
    same = carry._replace(t=0 * carry.t)

    def kept(key, before):
        return np.asarray(zoned(key).step(params, before, xs[0])[0].c == before.c)

    first = kept(KEY, same)
    np.testing.assert_array_equal(first, kept(KEY, same))
    for other in (kept(jax.random.key(4), same), kept(KEY, same._replace(t=same.t + 1)), first[::-1]):
        assert abs(np.mean(first == other) - (RATE**2 + (1 - RATE) ** 2)) < 0.06  # 2,000 units: known to 0.011
