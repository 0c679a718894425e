"""A cell inside Flax's own RNN gives what unroll gives."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from rnnlab.cells import make_cell, stack
from rnnlab.cells.to_flax import LinenCell
from rnnlab.cells.unroll import unroll

CELLS = {
    "cerebral": make_cell("cerebral_lstm", 5),
    "noisy": make_cell("biological_lstm", 5, noise=0.5),
    "stacked": stack([make_cell("gru", 4), make_cell("lstm3", 6)]),
}


@pytest.mark.parametrize(
    "cell", [CELLS["cerebral"], pytest.param(CELLS["noisy"], marks=pytest.mark.slow), CELLS["stacked"]], ids=CELLS
)
def test_flax_runs_our_cells(cell):
    xs_BTD = jax.random.normal(jax.random.key(1), (3, 6, 2))
    lengths = np.array([6, 2, 4])
    layer = nn.RNN(LinenCell(cell), return_carry=True)
    variables = layer.init(jax.random.key(2), xs_BTD)
    carry, hs_BTH = layer.apply(variables, xs_BTD, seq_lengths=lengths)
    ours, hs_TBH = unroll(cell, variables["params"]["cell"]["cell"], xs_BTD.swapaxes(0, 1), lengths=lengths)
    for b, length in enumerate(lengths):
        np.testing.assert_allclose(hs_BTH[b, :length], hs_TBH[:length, b], rtol=1e-5, atol=1e-6)
    for a, b in zip(jax.tree.leaves(carry), jax.tree.leaves(ours), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
