"""Lists of leaves of which some have a gradient and others (counts, keys, masks) have none."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core.types import Array

Leaves = list[Any]  # arrays; in traces, also their shapes and float0 zeros


def differentiable(leaf: Any) -> bool:
    """Whether an array, or its abstract value, has a gradient."""
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def floats(leaves: Sequence[Array]) -> Leaves:
    return [leaf for leaf in leaves if differentiable(leaf)]


def merged(leaves: Sequence[Array], floats: Sequence[Array]) -> Leaves:
    """``leaves`` with the differentiable ones replaced, in order, by ``floats``."""
    rest = iter(floats)
    return [next(rest) if differentiable(leaf) else leaf for leaf in leaves]


def with_float0(floats: Sequence[Array], leaves: Sequence[Array]) -> Leaves:
    """``floats`` at the differentiable ones of ``leaves``, and float0 zeros, JAX's "no tangent", at the others."""
    rest = iter(floats)
    return [next(rest) if differentiable(leaf) else np.zeros(leaf.shape, jax.dtypes.float0) for leaf in leaves]
