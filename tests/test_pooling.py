"""The QRNN's two scans equal its steps, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import D, H, assert_trees_close, generator, random_carry, random_inputs, random_params

from rnnlab.cells.qrnn import CHUNK
from rnnlab.cells.registry import make_cell
from rnnlab.cells.unroll import unroll

B = 2
# Sums of some ten terms, made in another order; gradients add up those of all steps.
VALUES, GRADIENTS = {"rtol": 2e-5, "atol": 5e-6}, {"rtol": 1e-4, "atol": 2e-5}
ROWS = [
    (1, {}),
    (1, {"window": 3, "pooling": "ifo"}),
    (7, {}),
    (7, {"window": 1, "pooling": "f"}),
    (2 * CHUNK, {}),
    (CHUNK + 2, {"window": 3, "pooling": "ifo", "zoneout": 0.4, "key": jax.random.key(5)}),
]


@pytest.mark.parametrize("scan", ["sequential", pytest.param("parallel", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("steps", "options"), ROWS, ids=lambda v: str(v) if isinstance(v, int) else "-".join(v))
def test_both_scans_equal_the_steps(scan, steps, options):
    cell, draw = make_cell("qrnn", H, scan=scan, **options), generator("pooling", steps, *options)
    params = random_params(cell, draw)
    carry, xs = random_carry(cell, params, draw, (B,)), random_inputs(draw, steps, B, D)
    pulls, pull = random_inputs(draw, steps, B, H), random_inputs(draw, B, H)

    def both(cell, carry, inputs):
        def loss(params, start, xs):
            after, hs = unroll(cell, params, xs, carry._replace(c=start))
            return jnp.vdot(hs, pulls) + jnp.vdot(after.c, pull), (after, hs)

        return jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(*inputs)

    inputs = params, carry.c, xs
    (_, values), gradients = both(cell, carry, inputs)
    (_, expected), expected_gradients = both(cell._replace(scan=None), carry, inputs)
    assert_trees_close(values, expected, **VALUES)
    assert_trees_close(gradients, expected_gradients, **GRADIENTS)


def test_the_two_scans_are_different_programs_and_a_cpu_takes_the_sequential_one():
    def program(scan):
        cell = make_cell("qrnn", H, scan=scan)
        params = random_params(cell, generator("programs"))
        return str(jax.make_jaxpr(lambda xs: unroll(cell, params, xs))(np.zeros((9, B, D), np.float32)))

    assert " scan[" in program("sequential")
    assert " scan[" not in program("parallel")
    if jax.default_backend() == "cpu":
        assert " scan[" in program("auto")
