"""The laws of ``unroll``, for every row of the table that differs over time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import (
    OVER_TIME,
    UNLIKE,
    D,
    H,
    assert_trees_close,
    assert_trees_equal,
    filled,
    generator,
    name_of,
    random_carry,
    random_inputs,
    random_params,
    rows,
)

from rnnlab.cells.registry import make_cell
from rnnlab.cells.unroll import unroll
from rnnlab.core.errors import InputError

T = 5
# One step is good to a few 1e-6 (test_cells.py); five steps pass it on through slopes of order 1.
FLOAT32 = {"rtol": 2e-5, "atol": 1e-5}
LENGTHS = np.array([5, 2, 0, 3], np.int32)

both_ways = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
# Compiling takes the time. Which way a scan runs is not the cell's business: backwards, three unlike carries will do.
CARRIES = [case for case in OVER_TIME if case.name in ("lstm", "biological_lstm silent noise", "stack of lstm and gru")]
SCANS = {"qrnn", "lru"}
ROWS = [(case, False) for case in OVER_TIME] + [(case, True) for case in CARRIES]


# Nor are handing over, padding and derivatives: rows whose carry is like that of a row named here run before a release.
def every_row(cases, names, further=pytest.mark.exhaustive, fast=UNLIKE):
    """A test of `rows`, values of the arguments ``names``."""
    ways = {False: "forward", True: "reverse"}
    return pytest.mark.parametrize(
        names,
        rows(cases, further, fast),
        ids=lambda value: ways.get(value) if isinstance(value, bool) else name_of(value),
    )


def drawn(case, batch, steps=T, **options):
    draw, cell = generator(case.name, batch, "unroll"), case.make()
    params = random_params(cell, draw, **options)
    return cell, params, random_carry(cell, params, draw, (batch,), **options), random_inputs(draw, steps, batch, D)


def looped(cell, params, xs, carry, reverse=False):
    """``unroll`` as a Python loop: ``hs`` in the order of ``xs``, None where there are no steps."""
    hs = [None] * len(xs)
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        carry, hs[t] = cell.step(params, carry, xs[t])
    return carry, jnp.stack(hs) if hs else None


def transcribed(case, params, xs, carry, reverse):
    """One element alone, over the independent NumPy step: ``(carry, hs [T, H])``."""
    params, carry = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (params, carry))
    hs = np.zeros((len(xs), H))
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        after, hs[t], _ = case.transcription(params, carry, xs[t].astype(np.float64))
        carry = as_records(carry, after)
    return carry, hs


def as_records(before, after):
    """A transcription's dicts in the records of a carry."""
    if isinstance(after, dict):
        return before._replace(**after)
    return tuple(map(as_records, before, after))


@every_row(ROWS, ("case", "reverse"))
def test_unroll_equals_a_loop(case, reverse):
    cell, params, carry, xs = drawn(case, 2)
    got = unroll(cell, params, xs, carry, reverse=reverse)
    assert_trees_close(got, looped(cell, params, xs, carry, reverse), **FLOAT32)


@every_row(ROWS, ("case", "reverse"), fast={"lstm", "biological_lstm silent noise", "qrnn", "stack of lstm and gru"})
def test_two_halves_equal_the_whole(case, reverse):
    cell, params, carry, xs = drawn(case, 2, 4)
    run = jax.jit(lambda xs, carry: unroll(cell, params, xs, carry, reverse=reverse))
    halves = [xs[2:], xs[:2]] if reverse else [xs[:2], xs[2:]]
    after, hs = run(halves[0], carry)
    after, more = run(halves[1], after)
    together = jnp.concatenate([more, hs] if reverse else [hs, more])
    assert_trees_close((after, together), looped(cell, params, xs, carry, reverse), **FLOAT32)


def test_carry_starts_as_the_cells_own():
    cell, params, _, xs = drawn(OVER_TIME[0], 2)
    ones = cell._replace(initial_carry=lambda p, batch: jax.tree.map(jnp.ones_like, cell.initial_carry(p, batch)))
    given = ones.initial_carry(params, (2,))
    assert_trees_close(unroll(ones, params, xs), looped(cell, params, xs, given), **FLOAT32)
    assert np.abs(unroll(ones, params, xs)[1] - unroll(cell, params, xs)[1]).max() > 0.01


@both_ways
def test_a_scan_is_preferred_to_steps_and_gets_lengths_and_direction(reverse):
    steps, params, carry, xs = drawn(OVER_TIME[0], 2)
    lengths, calls = np.array([2, 4]), []

    def scan(*arguments):
        calls.append(arguments)
        return carry, xs

    both = steps._replace(scan=scan)
    for cell in (both, both._replace(step=None)):
        assert unroll(cell, params, xs, carry, lengths=lengths, reverse=reverse) == (carry, xs)
    assert calls == [(params, carry, xs, lengths, reverse)] * 2
    plain = unroll(both, params, xs, carry, reverse=reverse, backward="scan")
    assert_trees_close(plain, looped(steps, params, xs, carry, reverse), **FLOAT32)
    assert len(calls) == 2


@both_ways
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])
@every_row([case for case in OVER_TIME if case.make().scan is not None], ("case",), fast=SCANS)
def test_scan_equals_step(case, lengths, reverse):
    """The law of cells that have both."""
    cell, params, carry, xs = drawn(case, len(LENGTHS))
    by_step = unroll(cell._replace(scan=None), params, xs, carry, lengths=lengths, reverse=reverse)
    assert_trees_close(cell.scan(params, carry, xs, lengths, reverse), by_step, **FLOAT32)


def test_a_cell_without_step_and_scan_is_refused():
    cell, params, carry, xs = drawn(OVER_TIME[0], 2)
    with pytest.raises(InputError, match="needs the whole sequence"):
        unroll(cell._replace(step=None), params, xs, carry)


def padded_with(xs, garbage):
    """``xs [T, B, ...]`` with ``garbage`` after each element's length."""
    padding = np.arange(T)[:, None] >= LENGTHS
    return np.where(padding.reshape(padding.shape + (1,) * (xs.ndim - 2)), garbage, xs).astype(xs.dtype)


@every_row(ROWS, ("case", "reverse"), fast={"lstm", "biological_lstm silent noise", "qrnn", "stack of lstm and gru"})
def test_padding_changes_nothing(case, reverse):
    """NaN in padding is not seen by an output, the carry or a gradient; each element is as it would be alone."""
    cell, params, carry, xs = drawn(case, len(LENGTHS))
    draw = generator(case.name, "padding")
    weights = random_inputs(draw, T, len(LENGTHS), H)  # every element and step pulls in its own direction
    pulls = filled(draw, carry)

    def pull(carry, hs, weights, pulls):
        return jnp.vdot(hs, weights) + sum(map(jnp.vdot, jax.tree.leaves(carry), jax.tree.leaves(pulls)))

    def padded(params, carry, xs):
        after, hs = unroll(cell, params, xs, carry, lengths=LENGTHS, reverse=reverse)
        return pull(after, hs, weights, pulls), (after, hs)

    padded = jax.jit(jax.value_and_grad(padded, (0, 1, 2), has_aux=True))
    garbled = padded(params, carry, padded_with(xs, np.nan))
    other = padded(params, carry, padded_with(xs, 1e4 * random_inputs(draw, T, len(LENGTHS), D)))
    assert_trees_equal(garbled, other)
    (_, (after, hs)), gradients = garbled
    for b, length in enumerate(LENGTHS):
        start, end = (jax.tree.map(lambda leaf, b=b: np.asarray(leaf)[b], tree) for tree in (carry, after))
        expected_end, expected = transcribed(case, params, xs[:length, b], start, reverse)
        assert_trees_close(end, expected_end, **FLOAT32)
        np.testing.assert_allclose(hs[:length, b], expected, **FLOAT32)
        assert not np.any(hs[length:, b])
        if not length:
            assert_trees_equal(end, start)

    def alone(params, carry, xs):
        total = 0.0
        for b, length in enumerate(LENGTHS):
            start, its = jax.tree.map(lambda leaf, b=b: leaf[b], (carry, pulls))
            end, out = looped(cell, params, xs[:length, b], start, reverse)
            total = total + pull(end, 0.0 if out is None else out, 0.0 if out is None else weights[:length, b], its)
        return total

    if case in CARRIES:  # the scan is the same for all cells, and the loop's gradient is slow
        # it adds up some 40 terms of either sign
        assert_trees_close(gradients, jax.grad(alone, (0, 1, 2))(params, carry, xs), rtol=1e-4, atol=1e-4)


@both_ways
@pytest.mark.parametrize("name", ["gru", pytest.param("biological_lstm silent noise", marks=pytest.mark.slow)])
def test_garbage_ids_in_padding_change_nothing(name, reverse):
    case = next(case for case in OVER_TIME if case.name == name)
    cell, params, carry, _ = drawn(case, len(LENGTHS))
    ids = generator(name, "ids").randint(0, D, (T, len(LENGTHS))).astype(np.int32)
    run = jax.jit(
        jax.value_and_grad(
            lambda p, ids: (lambda out: (jnp.sum(out[1] ** 2), out))(
                unroll(cell, p, ids, carry, lengths=LENGTHS, reverse=reverse)
            ),
            has_aux=True,
        )
    )
    got = run(params, padded_with(ids, -7))
    assert_trees_equal(got, run(params, padded_with(ids, 10**6)))
    after, hs = got[0][1]
    for b, length in enumerate(LENGTHS):
        if length:
            one = jax.tree.map(lambda leaf, b=b: leaf[b : b + 1], carry)
            end, expected = looped(cell, params, ids[:length, b : b + 1], one, reverse)
            np.testing.assert_allclose(hs[:length, b], expected[:, 0], **FLOAT32)
            assert_trees_close(jax.tree.map(lambda leaf, b=b: leaf[b : b + 1], after), end, **FLOAT32)


@every_row(ROWS, ("case", "reverse"), fast={"lstm", "biological_lstm silent noise", "qrnn", "stack of lstm and gru"})
def test_no_output_sees_a_later_step_or_another_element(case, reverse):
    cell, params, carry, xs = drawn(case, 2, 4)
    run = jax.jit(jax.jacrev(lambda xs: unroll(cell, params, xs, carry, reverse=reverse)[1]))
    jacobian = np.asarray(run(xs))  # [t, b, H, s, element, D]
    assert np.isfinite(jacobian).all()
    seen = np.abs(jacobian).max(axis=(2, 5))  # [t, b, s, element]
    for t, s in np.ndindex(4, 4):
        later = s < t if reverse else s > t
        assert not seen[t, 0, s, 1], (t, s)
        assert not seen[t, 1, s, 0], (t, s)
        for b in (0, 1):
            assert bool(seen[t, b, s, b]) != later, (t, s, b)


@pytest.mark.slow
@every_row([(case,) for case in OVER_TIME], ("case",), fast={"stack of lstm and gru"})
def test_gradients_are_finite_differences(case):
    """Along a random direction of one leaf at a time, in float64; the scan's own gradients are the loop's (above)."""
    with jax.enable_x64(True):
        cell, params, carry, xs = drawn(case, 2, 2, dtype=np.float64)
        draw = generator(case.name, "differences")
        xs, weights = xs.astype(np.float64), draw.standard_normal((2, 2, H))

        def loss(everything):
            params, carry, xs = everything
            after, hs = looped(cell, params, xs, carry)
            return jnp.vdot(hs, weights) + sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(after))

        leaves, treedef = jax.tree.flatten((params, carry, xs))
        slopes = jax.tree.leaves(jax.grad(loss)((params, carry, xs)))
        for position, (leaf, slope) in enumerate(zip(leaves, slopes, strict=True)):
            assert slope.dtype == np.float64
            direction = draw.standard_normal(leaf.shape)

            def at(distance, position=position, moved=direction):
                near = [other + distance * moved if n == position else other for n, other in enumerate(leaves)]
                return float(loss(jax.tree.unflatten(treedef, near)))

            # error: 1e-10 of curvature, and rounding: 1e-16 * |loss| / 1e-5
            np.testing.assert_allclose((at(1e-5) - at(-1e-5)) / 2e-5, np.vdot(slope, direction), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["lstm", "biological_lstm silent noise"])
def test_jit_does_not_recompile(name):
    case = next(case for case in OVER_TIME if case.name == name)
    cell, params, carry, xs = drawn(case, len(LENGTHS))
    traces = []

    @jax.jit
    def run(params, carry, xs, lengths):
        traces.append(1)
        return unroll(cell, params, xs, carry, lengths=lengths)

    after, hs = run(params, carry, xs, LENGTHS)
    assert_trees_close((after, hs), unroll(cell, params, xs, carry, lengths=LENGTHS), **FLOAT32)
    again = run(params, after, -xs, LENGTHS[::-1].copy())
    assert_trees_close(again, unroll(cell, params, -xs, after, lengths=LENGTHS[::-1].copy()), **FLOAT32)
    assert len(traces) == 1


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])
def test_low_precision_runs_in_float32(lengths):
    """A scan refuses a carry whose type changes: parameters and inputs of 16 bits must not change it."""
    cell = make_cell("lstm3", H)  # whose gates see parameters alone
    draw = generator("low precision")
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), random_params(cell, draw))
    xs = jnp.asarray(random_inputs(draw, T, len(LENGTHS), D), jnp.bfloat16)
    carry, hs = unroll(cell, params, xs, lengths=lengths)
    assert hs.dtype == carry.c.dtype == carry.h.dtype == jnp.float32
    exact = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (params, xs))
    np.testing.assert_allclose(hs, unroll(cell, *exact, lengths=lengths)[1], atol=0.03)


@pytest.mark.parametrize("name", ["lstm", "biological_lstm silent noise"])
def test_float64_stays_float64(name):
    """From the cell's own carry too, so that differences in float64 can be trusted."""
    with jax.enable_x64(True):
        case = next(case for case in OVER_TIME if case.name == name)
        cell, params, _, xs = drawn(case, 2, dtype=np.float64)
        carry, hs = unroll(cell, params, xs.astype(np.float64), lengths=np.array([3, 5]))
        assert {leaf.dtype for leaf in (*jax.tree.leaves(carry), hs)} == {np.dtype(np.float64)}
