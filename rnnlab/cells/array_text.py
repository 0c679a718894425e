"""Arrays and pytrees in messages."""

from typing import Any

import jax


def leaves_text(tree: Any) -> str:
    """The type of a tree, and its leaves with their shapes."""
    leaves = [f"{place(path)} {shown(leaf)}".strip() for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]
    return f"{type(tree).__name__} of {', '.join(leaves) or 'no leaves'}" if not is_array(tree) else shown(tree)


def is_array(leaf: Any) -> bool:
    """Whether a leaf has a shape and a dtype."""
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def place(path: Any) -> str:
    """The place of a leaf in its tree, after a space and in quotes; nothing if the tree is the leaf."""
    return f" {jax.tree_util.keystr(path, simple=True, separator='.')!r}" if path else ""


def shown(leaf: Any) -> str:
    """``float32[32,5]`` for an array; a short text for anything else."""
    if is_array(leaf):
        return f"{leaf.dtype}[{sizes_text(leaf.shape)}]"
    text = repr(leaf)
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({type(leaf).__name__})"


def sizes_text(shape: tuple[int, ...]) -> str:
    """``32,5`` for ``(32, 5)``."""
    return ",".join(map(str, shape))
