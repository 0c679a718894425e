"""rnnlab cells as Flax modules."""

from typing import Any

import flax.linen as nn
import jax

from rnnlab.cells.ops import step_of
from rnnlab.core.types import Array, Carry, Cell


class FlaxCell(nn.RNNCellBase):
    """Any cell as a Flax module: ``nn.RNN(FlaxCell(make_cell("cerebral_lstm", 64)))(xs)`` with ``xs [B, T, D]`` float.

    Its parameters are the cell's own pytree, under the name ``cell``.
    """

    cell: Cell

    @nn.compact
    def __call__(self, carry: Carry, inputs: Array) -> tuple[Carry, Array]:
        """One step: (carry, x [..., D]) -> (carry, h [..., H])."""
        params = self.param("cell", lambda key: self.cell.init(key, inputs.shape[-1]))
        return step_of(self.cell, "FlaxCell")(params, carry, inputs)

    @nn.nowrap
    def initialize_carry(self, rng: Any, input_shape: tuple[int, ...]) -> Carry:
        """The cell's initial carry for inputs of ``input_shape [..., D]``. It draws nothing from ``rng``."""
        shapes = jax.eval_shape(lambda key: self.cell.init(key, input_shape[-1]), jax.random.key(0))
        return self.cell.initial_carry(shapes, input_shape[:-1])

    @property
    def num_feature_axes(self) -> int:
        """The trailing axes of an input that are features: one."""
        return 1
