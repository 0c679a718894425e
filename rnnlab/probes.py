"""What is measured inside a model after every epoch. Pure functions of (model, task, params, batch)."""

import jax
import jax.numpy as jnp

from rnnlab.cells.cerebral import CerebralParams
from rnnlab.cells.cerebral_of import PathParams
from rnnlab.errors import choose
from rnnlab.train import Probe, asked
from rnnlab.types import Array, Model, Params, Split, Task


def paths(model: Model, task: Task, params: Params, batch: Split) -> dict[str, Array]:
    """How far the two paths of a cerebral cell are apart; {} for a model of another cell, or of one path.

    ``param_distance``: Euclidean norm of the difference of their parameters. ``state_distance``: root mean square
    over batch, time and units of the difference of their cell states c, for a cell that has them.
    ``gradient_cosine``: of the gradients of the mean loss on the batch with respect to the two.
    """
    if not isinstance(params.cell, (CerebralParams, PathParams)) or len(by_path := _by_path(params.cell)) != 2:
        return {}

    def mean_loss(cell: CerebralParams | PathParams) -> Array:
        _, logits = model.apply(params._replace(cell=cell), batch.inputs, batch.lengths, None)
        sums = task.sums(logits, batch.targets, asked(batch))
        return sums.loss / sums.count

    upper, lower = by_path
    upper_gradient, lower_gradient = _by_path(jax.grad(mean_loss)(params.cell))
    norms = jnp.linalg.norm(upper_gradient) * jnp.linalg.norm(lower_gradient)
    found = {
        "param_distance": jnp.linalg.norm(upper - lower),
        "gradient_cosine": jnp.dot(upper_gradient, lower_gradient) / norms,
    }
    carry = model.carries(params, batch.inputs)
    if "c" in carry._fields:  # [T, B, 2, ...]
        found["state_distance"] = jnp.sqrt(jnp.mean((carry.c[:, :, 0] - carry.c[:, :, 1]) ** 2))
    return found


def _by_path(cell: CerebralParams | PathParams) -> list[Array]:
    """All numbers of each path as one vector."""
    if isinstance(cell, PathParams):
        leaves = jax.tree.leaves(cell)
    else:
        leaves = [jnp.moveaxis(leaf, 1, 0) for leaf in (cell.w, cell.u)] + ([] if cell.b is None else [cell.b])
    return [jnp.concatenate([leaf[path].ravel() for leaf in leaves]) for path in range(len(leaves[0]))]


PROBES: dict[str, Probe] = {"paths": paths}


def choose_probes(names: tuple[str, ...]) -> tuple[Probe, ...]:
    """The probes called ``names``. Raises InputError for an unknown one."""
    return tuple(PROBES[choose("probes", name, PROBES)] for name in names)
