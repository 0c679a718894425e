"""Several sequences packed in one row: equal to running each apart, outputs, carries and gradients."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import D, H, assert_trees_close, filled, generator, random_inputs

import rnnlab
from rnnlab.cells import make_cell, stack, unroll
from rnnlab.cells.to_flax import LinenLayer
from rnnlab.cells.wrappers.trained_state import trained_initial_state
from rnnlab.config.experiment import Arm
from rnnlab.core.errors import InputError
from rnnlab.data.arrays import from_arrays

# The same sums, masked or not, over ten steps: rounding.
CLOSE = {"rtol": 2e-5, "atol": 1e-5}
STARTS = {0: (0, 4, 9), 1: (0, 1), 2: (0,)}  # of the sequences of each row, of T = 10 steps
T, B = 10, 3


def stacked(hidden_size):
    return stack([make_cell("lstm", hidden_size), make_cell("min_gru", hidden_size)])


CELLS = {
    name: (lambda name=name: make_cell(name, H))
    for name in ("lstm", "qrnn", "min_lstm", "lru", "slstm", "hodgkin_huxley", "bidirectional(gru)", "cerebral(lstm)")
} | {"stack": lambda: stacked(H), "trained": lambda: trained_initial_state(make_cell("lstm", H))}


FAST = ("lstm", "qrnn", "min_lstm", "bidirectional(gru)", "stack", "trained")


def drawn(name):
    draw, cell = generator("resets", name), CELLS[name]()
    shapes = jax.eval_shape(lambda: cell.init(jax.random.key(0), D))
    resets = np.zeros((T, B), bool)
    for row, starts in STARTS.items():
        resets[list(starts), row] = True
    return cell, filled(draw, shapes, 0.5), random_inputs(draw, T, B, D), resets


def apart(cell, params, xs, *, reverse=False, ends=(T, T, T)):
    """Every sequence alone, ``hs [T, B, H]`` put together again, zero after a row's end."""
    rows = []
    for row, starts in STARTS.items():
        pieces = [*(first for first in starts if first < ends[row]), ends[row]]
        parts = [
            unroll(cell, params, xs[first:last, row : row + 1], reverse=reverse)[1]
            for first, last in itertools.pairwise(pieces)
        ]
        whole = jnp.concatenate(parts)
        rows.append(jnp.pad(whole, ((0, T - len(whole)), (0, 0), (0, 0))))
    return jnp.concatenate(rows, axis=1)


@pytest.mark.parametrize(
    ("name", "reverse"),
    [
        *((name, False) for name in FAST),
        *((name, True) for name in ("lstm", "bidirectional(gru)", "trained")),  # else no matter of the cell
        *(pytest.param(name, False, marks=pytest.mark.slow) for name in CELLS if name not in FAST),
    ],
)
def test_packed_is_apart_with_gradients(name, reverse):
    cell, params, xs, resets = drawn(name)
    weights = random_inputs(generator("weights", name), T, B, cell.hidden_size)

    def packed_loss(params, xs):
        hs = unroll(cell, params, xs, resets=jnp.asarray(resets), reverse=reverse)[1]
        return jnp.vdot(hs, weights), hs

    def apart_loss(params, xs):
        hs = apart(cell, params, xs, reverse=reverse)
        return jnp.vdot(hs, weights), hs

    (_, hs), packed = jax.jit(jax.value_and_grad(packed_loss, (0, 1), has_aux=True))(params, xs)
    (_, expected), alone = jax.jit(jax.value_and_grad(apart_loss, (0, 1), has_aux=True))(params, xs)
    np.testing.assert_allclose(hs, expected, **CLOSE)
    scale = max(1.0, *(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(alone)))
    assert_trees_close(packed, alone, rtol=1e-4, atol=2e-5 * scale)


@pytest.mark.parametrize("reverse", [False, True])
def test_with_lengths_resets_in_the_padding_count_for_nothing(reverse):
    cell, params, xs, resets = drawn("lstm")
    ends = np.array([7, 10, 4])
    resets[8:, 0] = True
    xs[7:, 0], xs[4:, 2] = np.nan, np.nan
    after, hs = unroll(cell, params, xs, lengths=ends, resets=resets, reverse=reverse)
    np.testing.assert_allclose(hs, apart(cell, params, np.nan_to_num(xs), reverse=reverse, ends=ends), **CLOSE)
    last = unroll(cell, params, xs[4:7, :1] if not reverse else xs[:4, :1], reverse=reverse)[0]
    np.testing.assert_allclose(after.c[0], last.c[0], **CLOSE)


def test_the_layer_of_flax_packs():
    cell, params, xs, resets = drawn("bidirectional(gru)")
    hs = LinenLayer(cell).apply({"params": {"cell": params}}, xs.swapaxes(0, 1), None, resets.T)
    np.testing.assert_allclose(hs.swapaxes(0, 1), unroll(cell, params, xs, resets=resets)[1], **CLOSE)


def packed_data(with_resets=True, rows=24):
    """A row is two sequences of 4; the target is the first input of the own sequence, at each of its steps."""
    bits = np.random.RandomState(0).randint(0, 2, (rows, 8))
    targets = np.concatenate([np.repeat(bits[:, :1], 4, 1), np.repeat(bits[:, 4:5], 4, 1)], 1)
    resets = np.zeros((rows, 8), bool)
    resets[:, [0, 4]] = True
    return from_arrays(bits.astype(np.int32), targets, resets=resets if with_resets else None)


@pytest.mark.slow
def test_the_lab_trains_and_predicts_on_packed_rows():
    data = packed_data()
    result = rnnlab.train({"a": "gru"}, data, hidden_size=6, epochs=2, seeds=2, batch_size=8,
                          learning_rate=0.03)  # fmt: skip
    ids, starts = np.asarray(data.test.inputs), np.asarray(data.test.resets)
    whole = result.predict(ids, resets=starts)
    second = result.predict(ids[:, 4:])
    np.testing.assert_allclose(whole[:, :, 4:], second, rtol=1e-5, atol=1e-6)
    assert np.abs(result.predict(ids)[:, :, 4:] - second).max() > 1e-3  # it does matter
    other = rnnlab.train({"a": "gru"}, packed_data(False), hidden_size=6, epochs=2, seeds=2, batch_size=8,
                         learning_rate=0.03)  # fmt: skip
    for leaf, without in zip(jax.tree.leaves(result.params("a")), jax.tree.leaves(other.params("a")), strict=True):
        assert np.abs(leaf - without).max() > 1e-5


@pytest.mark.parametrize(
    ("resets", "part"),
    [(np.zeros((24, 7), bool), "[24, 7]"), (np.full((24, 8), 2), "0 and 1"), (np.zeros((24, 8)), "float64")],
)
def test_other_resets_are_refused(resets, part):
    data = packed_data()
    with pytest.raises(InputError, match=r"^data: arrays: resets: .*accepted: \[24, 8\] booleans"):
        from_arrays(np.zeros((24, 8), np.int32), np.ones((24, 8), np.int32), resets=resets)
    with pytest.raises(InputError, match=r"resets, which only a cell of the lab reads"):
        rnnlab.train({"a": Arm("gru", attention="dot")}, data, hidden_size=6, epochs=1, batch_size=8)
