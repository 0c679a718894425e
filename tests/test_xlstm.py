"""xLSTM: the chunkwise mLSTM is the stepwise one, and exponential gates never overflow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import D, assert_trees_close, generator, random_carry, random_inputs

from rnnlab.cells.registry import make_cell
from rnnlab.cells.unroll import unroll
from rnnlab.core.errors import InputError

B, HIDDEN = 3, 4
LENGTHS = np.array([7, 0, 4], np.int32)


@pytest.mark.parametrize("piece", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 64))])
def test_chunks_equal_steps_in_values_and_gradients(piece):
    """Over 7 steps with padding, or 1,000; the last carry too, of which the stabilizer is the very same maximum."""
    steps, lengths = (1000, None) if piece == 64 else (7, LENGTHS)
    cell = make_cell("mlstm", HIDDEN, heads=2, piece=piece)
    draw = generator("mlstm", piece)
    params = cell.init(jax.random.key(1), D)
    carry, xs = random_carry(cell, params, draw, (B,)), random_inputs(draw, steps, B, D)
    pulls = random_inputs(draw, steps, B, HIDDEN) / steps

    def loss(params, carry, xs, backward):
        after, hs = unroll(cell, params, xs, carry, lengths=lengths, backward=backward)
        return jnp.vdot(hs, pulls) + jnp.sum(after.c**2), (after, hs)

    run = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True), static_argnums=3)
    (_, values), slopes = run(params, carry, xs, "auto")
    (_, expected), expected_slopes = run(params, carry, xs, "scan")
    # sums of T terms in another order; the exponents are differences of sums over a chunk
    assert_trees_close(values, expected, rtol=1e-3, atol=1e-5)
    assert_trees_close(slopes, expected_slopes, rtol=5e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "forget"),
    [
        ("slstm", "sigmoid"), ("mlstm", "sigmoid"), pytest.param("slstm", "exp", marks=pytest.mark.slow),
        pytest.param("mlstm", "exp", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_gates_of_plus_and_minus_fifty_stay_finite_and_exact(name, forget):
    """Against sums of exponentials in float64, which hold e^1000 here only because their logarithms are kept."""
    steps = 20
    draw = generator(name, forget)
    cell = make_cell(name, 1, forget=forget)
    params = jax.tree.map(jnp.zeros_like, cell.init(jax.random.key(0), 4))
    if name == "slstm":  # inputs 0, 1 are i, f; 2 is z; o = 1/2
        params = params._replace(w=params.w.at[0, 0, 0].set(1).at[1, 1, 0].set(1).at[2, 2, 0].set(1))
    else:  # q = k = 1; v from input 2
        w_gates = params.w_gates.at[0, 0, 0].set(1).at[1, 1, 0].set(1)
        params = params._replace(w=params.w.at[2, 2, 0].set(1), b=params.b.at[:2].set(1.0), w_gates=w_gates)
    xs = np.stack([*draw.choice([-50.0, 50.0], (2, steps)), *draw.standard_normal((2, steps))], -1)[:, None]
    xs = xs.astype(np.float32)

    def loss(params, xs, backward):
        hs = unroll(cell, params, xs, backward=backward)[1]
        return jnp.sum(hs), hs

    run = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True), static_argnums=2)
    for backward in ("auto", "scan"):
        (_, hs), slopes = run(params, xs, backward)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
        i, f, v = (np.float64(xs[:, 0, place]) for place in range(3))
        log_f = -np.log1p(np.exp(-f)) if forget == "sigmoid" else f
        expected = []
        for t in range(steps):
            shares = np.array([i[s] + log_f[s + 1 : t + 1].sum() for s in range(t + 1)])
            weights = np.exp(shares - shares.max())
            written = np.tanh(v[: t + 1]) if name == "slstm" else v[: t + 1]
            normal = weights.sum() if name == "slstm" else max(weights.sum(), np.exp(min(-shares.max(), 700)))
            expected.append(0.5 * weights @ written / normal)
        np.testing.assert_allclose(hs[:, 0, 0], expected, rtol=1e-3, atol=1e-6)  # exponents of 1,000 keep 1e-4


@pytest.mark.slow
def test_heads_do_not_see_each_other():
    """R is block-diagonal: h of one head reaches the other's sums at no step."""
    cell = make_cell("slstm", HIDDEN, heads=2)
    draw = generator("heads")
    params = cell.init(jax.random.key(0), D)
    carry, x = random_carry(cell, params, draw, ()), random_inputs(draw, D)
    jacobian = np.abs(jax.jacobian(lambda h: cell.step(params, carry._replace(h=h), x)[1])(carry.h))
    assert (jacobian[:2, :2] > 0).all()
    assert (jacobian[2:, 2:] > 0).all()
    assert not jacobian[:2, 2:].any()
    assert not jacobian[2:, :2].any()


@pytest.mark.parametrize("name", ["slstm", "mlstm"])
def test_heads_must_divide_the_units(name):
    with pytest.raises(InputError, match="heads: 3 do not divide 4 units; accepted: a divisor of hidden_size"):
        make_cell(name, 4, heads=3)
