"""Cells that are linear in time: a sequence at once is the steps one by one; initial values are the papers'."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import D, assert_trees_close, generator, random_carry, random_inputs

from rnnlab.cells.registry import make_cell
from rnnlab.cells.s5 import hippo_n
from rnnlab.cells.unroll import unroll

B, HIDDEN = 3, 5
# Sums of T numbers of size 1 in another order, in float32, through slopes of at most 1; a gradient sums T of these.
VALUES, GRADIENTS = {"rtol": 1e-4, "atol": 1e-5}, {"rtol": 2e-3, "atol": 2e-4}
CELLS = [
    ("min_gru", {}),
    ("min_gru", {"variant": "linear"}),
    ("min_lstm", {}),
    ("min_lstm", {"variant": "linear"}),
    ("lru", {"r_min": 0.9, "r_max": 0.999}),
    ("s5", {}),
    ("rg_lru", {}),
]


def _speed(name, steps):
    """Compiling takes the time; the scan is the same for all."""
    if (name, steps) in (("min_gru", 7), ("lru", 7), ("lru", 1)):
        return []
    return pytest.mark.slow if name in ("s5", "rg_lru", "min_lstm") and steps == 7 else pytest.mark.exhaustive


@pytest.mark.parametrize(
    ("name", "options", "steps"),
    [pytest.param(*cell, steps, marks=_speed(cell[0], steps)) for cell in CELLS for steps in (1, 2, 7, 1000)],
)
@pytest.mark.parametrize("scan", ["parallel", "sequential"])
def test_pieces_equal_steps_in_values_and_gradients(name, options, steps, scan):
    """Pieces of 3 (of 64 for the longest) leave a rest; the carry has either sign."""
    cell = make_cell(name, HIDDEN, scan=scan, piece=3 if steps < 10 else 64, **options)
    draw = generator(name, steps)
    params = cell.init(jax.random.key(1), D)
    carry, xs = random_carry(cell, params, draw, (B,)), random_inputs(draw, steps, B, D)
    pulls = random_inputs(draw, steps, B, HIDDEN) / steps

    def loss(params, carry, xs, backward):
        after, hs = unroll(cell, params, xs, carry, backward=backward)
        return jnp.vdot(hs, pulls) + sum(jnp.sum(leaf**2) for leaf in after), (after, hs)

    run = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True), static_argnums=3)
    (ours, values), slopes = run(params, carry, xs, "auto")
    (theirs, expected), expected_slopes = run(params, carry, xs, "scan")
    assert_trees_close((ours, values), (theirs, expected), **VALUES)
    assert_trees_close(slopes, expected_slopes, **GRADIENTS)


@pytest.mark.parametrize("name", ["min_gru", "min_lstm"])
def test_gates_of_plus_and_minus_fifty_keep_values_and_gradients_finite(name):
    """Logarithms are composed; the steps, with factors as they are, say the same."""
    cell = make_cell(name, 2, scan="parallel")
    params = cell.init(jax.random.key(0), 2)._replace(w=jnp.full((2, 2 + (name == "min_lstm"), 2), 25.0))
    xs = jnp.asarray(generator(name).choice([-1.0, 1.0], (40, B, 2)), jnp.float32)  # sums of -50, 0, 50

    def loss(params, xs, backward):
        hs = unroll(cell, params, xs, backward=backward)[1]
        return jnp.sum(hs), hs

    run = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True), static_argnums=2)
    (_, hs), slopes = run(params, xs, "auto")
    (_, by_step), step_slopes = run(params, xs, "scan")
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((hs, slopes)))
    np.testing.assert_allclose(hs, by_step, rtol=1e-5, atol=1e-6)
    assert_trees_close(slopes, step_slopes, rtol=1e-3, atol=1e-3)


def test_a_long_memory_of_the_log_form_is_exact():
    """minGRU with z = s(-9): 1,024 steps keep h_0 by (1 - z)^1024 = 0.88; dividing by products would lose it."""
    cell = make_cell("min_gru", 1, scan="parallel")
    params = cell.init(jax.random.key(0), 1)
    params = params._replace(w=0 * params.w, b=jnp.array([[-9.0], [-80.0]]))
    start = cell.initial_carry(params, (1,))._replace(h=jnp.ones((1, 1)))
    _, hs = jax.jit(lambda xs: unroll(cell, params, xs, start))(jnp.zeros((1024, 1, 1)))
    np.testing.assert_allclose(hs[:, 0, 0], (1 - 1 / (1 + np.exp(9.0))) ** np.arange(1, 1025), rtol=1e-5)


def test_lru_starts_on_the_ring_with_normalized_inputs():
    cell = make_cell("lru", 400, r_min=0.4, r_max=0.8, max_phase=0.5)
    params = cell.init(jax.random.key(0), 1)
    radius, phase = np.exp(-np.exp(params.nu_log)), np.exp(params.theta_log)
    assert 0.4 <= radius.min() < 0.45
    assert 0.78 < radius.max() <= 0.8
    assert abs(np.mean(radius**2) - (0.4**2 + 0.8**2) / 2) < 0.03  # uniform in area: 400 draws, known to 0.007
    assert 0 < phase.min() < 0.02
    assert 0.48 < phase.max() <= 0.5
    np.testing.assert_allclose(np.exp(params.gamma_log), np.sqrt(1 - radius**2), rtol=1e-4)


def test_rg_lru_starts_between_a_min_and_a_max():
    decay = np.asarray(make_cell("rg_lru", 400, c=4.0, a_min=0.5, a_max=0.7).init(jax.random.key(0), 1).decay)
    power = (1 / (1 + np.exp(-decay.astype(np.float64)))) ** 4
    assert 0.5 <= power.min() < 0.51
    assert 0.69 < power.max() <= 0.7


def test_hippo_n_is_the_normal_part_of_hippo():
    """A = V diag(lambda) V* and its conjugate; A - P P^T is HiPPO-LegS, P_n = sqrt(n + 1/2)."""
    values, vectors = hippo_n(4)
    normal = 2 * ((vectors * values) @ vectors.conj().T).real
    n = np.arange(8)
    root = np.sqrt(n + 0.5)
    legs = normal - np.outer(root, root)
    expected = -np.tril(np.outer(np.sqrt(2 * n + 1), np.sqrt(2 * n + 1)), -1) - np.diag(n + 1.0)
    np.testing.assert_allclose(legs, expected, atol=1e-10)
    assert (values.imag > 0).all()


def test_s5_at_its_initial_values_is_the_full_state_space_model():
    """All 2N states in their own basis, with B and C before the change of it, by a matrix exponential of each step."""
    cell = make_cell("s5", 3, state_size=4, scan="parallel", piece=6, dt_min=0.05, dt_max=0.0500001, output="linear")
    params = cell.init(jax.random.key(2), 2)
    values, vectors = hippo_n(4)
    a, dt = 2 * ((vectors * values) @ vectors.conj().T).real, np.exp(np.float64(params.dt_log[0]))
    full = np.concatenate([vectors, vectors.conj()], 1)
    b = np.concatenate([params.w[:, 0] + 1j * params.w[:, 1], params.w[:, 0] - 1j * params.w[:, 1]], 1) @ full.T
    c = params.readout.c[:, 0] + 1j * params.readout.c[:, 1]
    c = full.conj() @ np.concatenate([c, c.conj()])
    assert max(np.abs(b.imag).max(), np.abs(c.imag).max()) < 1e-5
    growth, xs, z, hs = np.eye(8), np.float64(random_inputs(generator("full"), 6, 2)), np.zeros(8), []
    for n in range(30, 0, -1):  # the exponential's series
        growth = np.eye(8) + growth @ (dt * a) / n
    held = np.linalg.solve(a, growth - np.eye(8))
    for x in xs:
        z = growth @ z + held @ (x @ b.real)
        hs.append(z @ c.real + x @ params.readout.d)
    got = jax.jit(lambda xs: unroll(cell, params, xs)[1])(jnp.float32(xs)[:, None])
    np.testing.assert_allclose(got[:, 0], hs, rtol=1e-4, atol=1e-5)
