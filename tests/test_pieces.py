"""Sequences in pieces: gradients that are computed again are the same; truncated ones stop where they should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.cells import bidirectional, make_cell, stack
from rnnlab.cells.unroll import unroll

T, B, D, H = 11, 3, 4, 5
CELLS = {
    "step": lambda: make_cell("lstm", H),
    "scan": lambda: make_cell("min_gru", H),
    "stack": lambda: stack([make_cell("gru", H), make_cell("lru", H)]),
    "both directions": lambda: bidirectional(make_cell("gru", H)),
}
XS = jax.random.normal(jax.random.key(0), (T, B, D))
SLOW, EXHAUSTIVE = pytest.mark.slow, pytest.mark.exhaustive
LENGTHS = jnp.array([T, 6, 1])
RESETS = jnp.zeros((T, B), bool).at[5, 0].set(True).at[3, 1].set(True)


def outcome(cell, **options):
    """Outputs, last carry, and the gradients of both by parameters and inputs."""
    params = cell.init(jax.random.key(1), D)

    def run(params, xs):
        carry, hs = unroll(cell, params, xs, **options)
        return carry, hs

    def loss(params, xs):
        leaves = jax.tree.leaves(run(params, xs))
        return sum(jnp.sum(jnp.sin(leaf + number)) for number, leaf in enumerate(leaves))

    return run(params, XS), jax.grad(loss, argnums=(0, 1))(params, XS)


def close(one, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), one, other)


@pytest.mark.parametrize(
    "more",
    [pytest.param({"lengths": LENGTHS}, marks=EXHAUSTIVE), {"lengths": LENGTHS, "resets": RESETS, "reverse": True}],
)
@pytest.mark.parametrize("name", ["step", *(pytest.param(name, marks=SLOW) for name in list(CELLS)[1:])])
def test_what_is_computed_again_is_the_same(name, more):
    cell = CELLS[name]()
    close(outcome(cell, remat=True, **more), outcome(cell, **more))


def by_hand(cell, steps, reverse=False):
    """Every step in Python, the carry without a gradient after each ``steps`` of them but the last."""
    params = cell.init(jax.random.key(1), D)

    def run(params, xs):
        carry, hs = cell.initial_carry(params, (B,)), []
        for t in range(T):
            if t and t % steps == 0:
                carry = jax.lax.stop_gradient(carry)
            carry, h = cell.step(params, carry, xs[T - 1 - t if reverse else t])
            hs.append(h)
        return carry, jnp.stack(hs[::-1] if reverse else hs)

    def loss(params, xs):
        leaves = jax.tree.leaves(run(params, xs))
        return sum(jnp.sum(jnp.sin(leaf + number)) for number, leaf in enumerate(leaves))

    return run(params, XS), jax.grad(loss, argnums=(0, 1))(params, XS)


@pytest.mark.parametrize(("steps", "remat"), [(4, True), (100, False)])
@pytest.mark.parametrize("name", ["step", pytest.param("scan", marks=SLOW), pytest.param("stack", marks=SLOW)])
def test_truncated_gradients_are_those_of_steps_by_hand(name, steps, remat):
    cell = CELLS[name]()
    close(outcome(cell, bptt=steps, remat=remat), by_hand(cell, steps))


def test_truncation_counts_from_the_first_step_that_is_read():
    cell = CELLS["step"]()
    close(outcome(cell, bptt=4, reverse=True), by_hand(cell, 4, reverse=True))
    both = bidirectional(cell)
    (_, hs), (d_params, _) = outcome(both, bptt=4)
    (_, plain), (whole, _) = outcome(both)
    np.testing.assert_array_equal(hs, plain)
    for one, other in zip(d_params, whole, strict=True):  # each direction is truncated
        assert not np.allclose(one.u, other.u)


def test_ten_thousand_steps_in_the_memory_of_some_hundreds():
    cell = make_cell("lstm", 16)
    params, xs = cell.init(jax.random.key(0), 2), jnp.ones((10_000, 4, 2))

    def temporaries(steps, **options):
        def loss(params, xs):
            return jnp.sum(unroll(cell, params, xs, **options)[0][0])

        return jax.jit(jax.grad(loss)).lower(params, xs[:steps]).compile().memory_analysis().temp_size_in_bytes

    assert temporaries(10_000, remat=True) < temporaries(500) < temporaries(10_000) / 10


def test_models_take_both(capsys):
    from rnnlab.cli.main import main

    assert main(["config", "quickstart", "--set", "remat=true", "bptt=8"]) == 0
    shown = capsys.readouterr().out
    assert '"remat": true' in shown
    assert '"bptt": 8' in shown
    assert main(["config", "quickstart", "--set", "bptt=0"]) == 2
