"""What is measured inside a model after every epoch. Pure functions of (model, task, params, batch)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnlab.cells.cerebral_lstm import CerebralParams
from rnnlab.cells.wrappers.cerebral import PathParams
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Dataset, Model, Params, Split
from rnnlab.train.batches import target_weights
from rnnlab.train.tasks import Task


def paths(model: Model, task: Task, params: Params, batch: Split) -> dict[str, Array]:
    """How far the two paths of a cerebral cell are apart; {} for a model of another cell, or of one path.

    ``param_distance``: Euclidean norm of the difference of their parameters. ``state_distance``: root mean square
    over batch, time and units of the difference of their cell states c, for a cell that has them.
    ``gradient_cosine``: of the gradients of the mean loss on the batch with respect to the two.
    """
    cell = getattr(params, "cell", None)  # sequence to sequence has two
    if not isinstance(cell, (CerebralParams, PathParams)) or len(both := by_path(cell)) != 2:
        return {}

    def mean_loss(cell: CerebralParams | PathParams) -> Array:
        _, logits = model.apply(params._replace(cell=cell), batch.inputs, batch.lengths, None)
        sums = task.sums(logits, batch.targets, target_weights(batch))
        return sums.loss / sums.count

    upper, lower = both
    upper_gradient, lower_gradient = by_path(jax.grad(mean_loss)(params.cell))
    norms = jnp.linalg.norm(upper_gradient) * jnp.linalg.norm(lower_gradient)
    found = {
        "param_distance": jnp.linalg.norm(upper - lower),
        "gradient_cosine": jnp.dot(upper_gradient, lower_gradient) / norms,
    }
    carry = model.carry_history(params, batch.inputs)
    if "c" in carry._fields:  # [T, B, 2, ...]
        found["state_distance"] = jnp.sqrt(jnp.mean((carry.c[:, :, 0] - carry.c[:, :, 1]) ** 2))
    return found


def by_path(cell: CerebralParams | PathParams) -> list[Array]:
    """All numbers of each path as one vector."""
    if isinstance(cell, PathParams):
        leaves = jax.tree.leaves(cell)
    else:
        leaves = [jnp.moveaxis(leaf, 1, 0) for leaf in (cell.w, cell.u)] + ([] if cell.b is None else [cell.b])
    return [jnp.concatenate([leaf[path].ravel() for leaf in leaves]) for path in range(len(leaves[0]))]


Probe = Callable[[Model, Task, Params, Split], dict[str, Array]]

LAGS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def lags(model: Model, task: Task, params: Params, batch: Split) -> dict[str, Array]:
    """How much of the gradient is left after a lag: the Jacobian of the last output with respect to earlier inputs.

        log10_gradient_lag_k = mean over the batch of log10 |dh_T / dx_{T-k}|,     | | the Frobenius norm of [H, D]

    for every k of ``LAGS`` below T - 1, and for T - 1, the first step. h_T is what the readout reads. Logarithms are
    averaged, as gradients of one batch differ by orders of magnitude. x is counted before the data set's ``scale``. A
    norm below 1.2e-38, the least normal number of float32, counts as that (-37.9): that much has vanished. Exact, so it
    costs a backward pass of the batch for each of the H units. Features ``[B, T, D]`` only (``check_probes``).
    """
    inputs = jnp.swapaxes(jnp.asarray(batch.inputs, params.w.dtype), 0, 1)
    width = params.w.shape[0]
    identity = params._replace(w=jnp.eye(width, dtype=params.w.dtype), b=jnp.zeros(width, params.b.dtype))

    def last(xs_TBD: Array) -> Array:
        """``[B, H]``: with a readout that changes nothing, the answer is h."""
        _, out = model.apply(identity, jnp.swapaxes(xs_TBD, 0, 1), None, None)
        return out[:, -1] if task.per_step else out

    h_BH, pull = jax.vjp(last, inputs)
    # elements of the batch do not see each other: one pass gives a unit's gradient in all of them
    units = jnp.broadcast_to(jnp.eye(width, dtype=h_BH.dtype)[:, None], (width, *h_BH.shape))
    far = [lag for lag in LAGS if lag < len(inputs) - 1] + [len(inputs) - 1]
    steps = len(inputs) - 1 - jnp.array(far)
    jacobian = jax.vmap(lambda unit: pull(unit)[0][steps])(units)  # [H, lags, B, D]
    found = jnp.mean(log10_norm(jacobian), axis=1)
    return {f"log10_gradient_lag_{lag}": found[index] for index, lag in enumerate(far)}


def log10_norm(jacobian: Array) -> Array:
    """log10 of the Frobenius norm over the first axis and the last; not below that of the least normal number."""
    least = jnp.finfo(jacobian.dtype).tiny
    largest = jnp.max(jnp.abs(jacobian), axis=(0, -1))  # taken out of the squares, which underflow
    squares = jnp.sum((jacobian / jnp.maximum(largest, least)[..., None]) ** 2, axis=(0, -1))
    return jnp.log10(jnp.where(largest > least, largest * jnp.sqrt(squares), least))


PROBES: dict[str, Probe] = {"paths": paths, "lags": lags}


def check_probes(names: tuple[str, ...], dataset: Dataset) -> None:
    """Raise InputError if one of the probes called ``names`` cannot measure on ``dataset``."""
    split = dataset.validation
    if "lags" not in names or split.inputs is None:  # a run opened for reading: it was checked when it began
        return
    if split.inputs.ndim != 3 or split.lengths is not None:
        what = "padded sequences" if split.lengths is not None else "ids, which have no gradient"
        raise InputError(f"probes: lags, but {dataset.name} has {what}; accepted: features, all of one length")
