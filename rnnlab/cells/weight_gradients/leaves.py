"""Lists of leaves of which some have a gradient, and some (counts, keys, masks) have none."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from rnnlab.cells.weight_gradients.program import differentiable
from rnnlab.core.types import Array

Leaves = list[Array]


def floats(leaves: Sequence[Array]) -> Leaves:
    return [leaf for leaf in leaves if differentiable(leaf)]


def merged(leaves: Sequence[Array], floats: Sequence[Array]) -> Leaves:
    """``leaves`` with the differentiable ones replaced, in turn, by ``floats``."""
    rest = iter(floats)
    return [next(rest) if differentiable(leaf) else leaf for leaf in leaves]


def with_float0(floats: Sequence[Array], leaves: Sequence[Array]) -> Leaves:
    """``floats`` at the differentiable ones of ``leaves``, and at the others the gradient that they have: none."""
    rest = iter(floats)
    return [next(rest) if differentiable(leaf) else float0(leaf) for leaf in leaves]


def float0(leaf: Array) -> Any:
    return np.zeros(leaf.shape, jax.dtypes.float0)
