"""Cells of the lab as Flax modules: in ``nn.RNN``, ``nn.Bidirectional``, ``nnx.RNN``, and as layers.

``nn.RNN`` and ``nnx.RNN`` scan a cell plainly. `LinenLayer` and `NNXLayer` call `unroll` instead: the same values, and
the gradient over time that the lab trains with.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

from rnnlab.cells.ops import step_of
from rnnlab.cells.unroll import unroll
from rnnlab.core.types import Array, Carry, Cell, Params


class LinenCell(nn.RNNCellBase):
    """Any cell as a linen module: ``nn.RNN(LinenCell(make_cell("cerebral_lstm", 64)))(xs)`` with ``xs [B, T, D]``.

    Its parameters are the cell's own pytree, under the name ``cell``. Raises InputError for a cell without a step (a
    bidirectional one: use ``nn.Bidirectional``).
    """

    cell: Cell

    @nn.compact
    def __call__(self, carry: Carry, inputs: Array) -> tuple[Carry, Array]:
        """One step: (carry, x [..., D] float) -> (carry, h [..., H])."""
        step = step_of(self.cell, "LinenCell")
        params = self.param("cell", lambda key: self.cell.init(key, inputs.shape[-1]))
        return step(params, carry, inputs)

    @nn.nowrap
    def initialize_carry(self, rng: Any, input_shape: tuple[int, ...]) -> Carry:
        """The cell's initial carry for inputs of ``input_shape [..., D]``. It draws nothing from ``rng``."""
        return _initial_carry(self.cell, input_shape)

    @property
    def num_feature_axes(self) -> int:
        """The trailing axes of an input that are features: one."""
        return 1


class LinenLayer(nn.Module):
    """Any cell over a whole sequence as a linen module: ``xs [B, T, D] -> hs [B, T, H]``, also a bidirectional one."""

    cell: Cell
    reverse: bool = False

    @nn.compact
    def __call__(self, inputs: Array, seq_lengths: Array | None = None, resets: Array | None = None) -> Array:
        """``seq_lengths [B]``: the valid steps of each sequence; ``resets [B, T]``: true where a packed one starts."""
        params = self.param("cell", lambda key: self.cell.init(key, inputs.shape[-1]))
        return _over_time(self.cell, params, inputs, seq_lengths, resets, self.reverse)


class _CellParams(nnx.Pytree):
    """The parameters of a cell, an ``nnx.Param`` each: NNX reads no pytree within one."""

    weights: nnx.Dict
    cell: Cell
    in_features: int

    def _draw(self, cell: Cell, in_features: int, rngs: nnx.Rngs) -> None:
        self.cell, self.in_features = cell, in_features
        leaves = jax.tree_util.tree_leaves_with_path(cell.init(rngs.params(), in_features))
        self.weights = nnx.Dict({_name(path): nnx.Param(leaf) for path, leaf in leaves})

    @property
    def params(self) -> Params:
        """The cell's own pytree, as `unroll` takes it."""
        shapes = jax.eval_shape(lambda key: self.cell.init(key, self.in_features), jax.random.key(0))
        return jax.tree_util.tree_map_with_path(lambda path, _: self.weights[_name(path)].get_value(), shapes)

    def set_params(self, params: Params) -> None:
        """Take trained ``params``, such as those of one run of ``rnnlab.Result.params``."""
        for path, leaf in jax.tree_util.tree_leaves_with_path(params):
            self.weights[_name(path)].set_value(jnp.asarray(leaf))


class NNXCell(nnx.RNNCellBase, _CellParams):
    """Any cell as an nnx module: ``nnx.RNN(NNXCell(make_cell("cerebral_lstm", 64), 28, rngs=nnx.Rngs(0)))(xs)``.

    Raises InputError for a cell without a step.
    """

    def __init__(self, cell: Cell, in_features: int, *, rngs: nnx.Rngs) -> None:
        step_of(cell, "NNXCell")
        self._draw(cell, in_features, rngs)

    def __call__(self, carry: Carry, inputs: Array) -> tuple[Carry, Array]:
        """One step: (carry, x [..., D] float) -> (carry, h [..., H])."""
        return step_of(self.cell, "NNXCell")(self.params, carry, inputs)

    def initialize_carry(self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Any = None) -> Carry:
        """The cell's initial carry for inputs of ``input_shape [..., D]``. It draws nothing."""
        return _initial_carry(self.cell, input_shape)

    @property
    def num_feature_axes(self) -> int:
        """The trailing axes of an input that are features: one."""
        return 1


class NNXLayer(nnx.Module, _CellParams):
    """Any cell over a whole sequence as an nnx module: ``xs [B, T, D] -> hs [B, T, H]``, also a bidirectional one."""

    def __init__(self, cell: Cell, in_features: int, *, reverse: bool = False, rngs: nnx.Rngs) -> None:
        self.reverse = reverse
        self._draw(cell, in_features, rngs)

    def __call__(self, inputs: Array, seq_lengths: Array | None = None, resets: Array | None = None) -> Array:
        """``seq_lengths [B]``: the valid steps of each sequence; ``resets [B, T]``: true where a packed one starts."""
        return _over_time(self.cell, self.params, inputs, seq_lengths, resets, self.reverse)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="_") or "params"


def _initial_carry(cell: Cell, input_shape: tuple[int, ...]) -> Carry:
    shapes = jax.eval_shape(lambda key: cell.init(key, input_shape[-1]), jax.random.key(0))
    return cell.initial_carry(shapes, input_shape[:-1])


def _over_time(
    cell: Cell, params: Any, inputs: Array, lengths: Array | None, resets: Array | None, reverse: bool
) -> Array:
    xs_TBD, resets_TB = inputs.swapaxes(0, 1), None if resets is None else resets.swapaxes(0, 1)
    return unroll(cell, params, xs_TBD, lengths=lengths, resets=resets_TB, reverse=reverse)[1].swapaxes(0, 1)
