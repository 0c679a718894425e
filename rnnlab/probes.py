"""What is measured inside a model after every epoch. Pure functions of (model, task, params, batch)."""

import jax
import jax.numpy as jnp

from rnnlab.cells.cerebral import CerebralParams
from rnnlab.errors import choose
from rnnlab.train import Probe, asked
from rnnlab.types import Array, Model, Params, Split, Task


def paths(model: Model, task: Task, params: Params, batch: Split) -> dict[str, Array]:
    """How far the two paths of a Cerebral LSTM are apart; {} for a model of another cell, of two, or of one path.

    ``param_distance``: Euclidean norm of the difference of their parameters. ``state_distance``: root mean square
    over batch, time and units of the difference of their cell states c. ``gradient_cosine``: of the gradients of the
    mean loss on the batch with respect to the two.
    """
    if not isinstance(getattr(params, "cell", None), CerebralParams) or params.cell.u.shape[1] != 2:
        return {}

    def mean_loss(cell: CerebralParams) -> Array:
        _, logits = model.apply(params._replace(cell=cell), batch.inputs, batch.lengths, None)
        sums = task.sums(logits, batch.targets, asked(batch))
        return sums.loss / sums.count

    upper, lower = _by_path(params.cell)
    upper_gradient, lower_gradient = _by_path(jax.grad(mean_loss)(params.cell))
    c = model.carries(params, batch.inputs).c  # [T, B, 2, H]
    norms = jnp.linalg.norm(upper_gradient) * jnp.linalg.norm(lower_gradient)
    return {
        "param_distance": jnp.linalg.norm(upper - lower),
        "state_distance": jnp.sqrt(jnp.mean((c[..., 0, :] - c[..., 1, :]) ** 2)),
        "gradient_cosine": jnp.dot(upper_gradient, lower_gradient) / norms,
    }


def _by_path(cell: CerebralParams) -> tuple[Array, Array]:
    """All numbers of each path as one vector."""
    by_path = [jnp.moveaxis(leaf, 1, 0) for leaf in (cell.w, cell.u)] + ([] if cell.b is None else [cell.b])
    upper, lower = (jnp.concatenate([leaf[path].ravel() for leaf in by_path]) for path in (0, 1))
    return upper, lower


PROBES: dict[str, Probe] = {"paths": paths}


def choose_probes(names: tuple[str, ...]) -> tuple[Probe, ...]:
    """The probes called ``names``. Raises InputError for an unknown one."""
    return tuple(PROBES[choose("probes", name, PROBES)] for name in names)
