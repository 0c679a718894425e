"""Complex arrays as pairs of real ones.

JAX's gradient of a real loss L by a complex w = a + bi is dL/da - i dL/db, the conjugate of the steepest ascent. As
the pair (a, b), w is two real parameters wherever parameters are treated: optimizers, clipping, decay, counts, files.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.core.types import Array


class ComplexPair(NamedTuple):
    """A complex array; both parts have its shape."""

    real: Array
    imag: Array


def split(tree: Any) -> Any:
    """``tree`` with each complex leaf as a `ComplexPair`."""
    return jax.tree.map(lambda leaf: ComplexPair(leaf.real, leaf.imag) if is_complex(leaf) else leaf, tree)


def join(tree: Any) -> Any:
    """``tree`` with each `ComplexPair` as a complex leaf; parts in bfloat16 become complex64."""
    return jax.tree.map(_joined, tree, is_leaf=_is_pair)


def is_complex(leaf: Any) -> bool:
    """Whether an array (or shape) is complex."""
    return jnp.issubdtype(leaf.dtype, jnp.complexfloating)


def _joined(leaf: Any) -> Any:
    if not _is_pair(leaf):
        return leaf
    dtype = jnp.promote_types(leaf.real.dtype, jnp.float32)
    if isinstance(leaf.real, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(leaf.real.shape, jnp.promote_types(dtype, jnp.complex64))
    return jax.lax.complex(leaf.real.astype(dtype), leaf.imag.astype(dtype))


def _is_pair(node: Any) -> bool:
    return isinstance(node, ComplexPair)
