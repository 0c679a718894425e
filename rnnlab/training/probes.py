"""Measurements inside a model after every epoch: pure functions of (model, task, params, batch)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Dataset, Model, Params, Split
from rnnlab.training.batches import resets_of, target_weights
from rnnlab.training.tasks import Task


def paths(model: Model, task: Task, params: Params, batch: Split) -> dict[str, Array]:
    """The distance between the two paths of a cell that declares ``paths``; {} for other cells and for one path.

    ``param_distance``: Euclidean norm of the difference of their parameters. ``state_distance``: root mean square over
    batch, time and units of the difference of their cell states c, if each path has one. ``gradient_cosine``: between
    the gradients of the batch's mean loss with respect to the parameters of each path.
    """
    if model.paths is None or len(by_path := model.paths(params.cell)) != 2:
        return {}

    def mean_loss(cell: Params) -> Array:
        _, logits = model.apply(params._replace(cell=cell), batch.inputs, batch.lengths, None, **resets_of(batch))
        sums = task.sums(logits, batch.targets, target_weights(batch))
        return sums.loss / sums.count

    upper, lower = by_path
    upper_gradient, lower_gradient = model.paths(jax.grad(mean_loss)(params.cell))
    norms = jnp.linalg.norm(upper_gradient) * jnp.linalg.norm(lower_gradient)
    measured = {
        "param_distance": jnp.linalg.norm(upper - lower),
        "gradient_cosine": jnp.dot(upper_gradient, lower_gradient) / norms,
    }
    c = getattr(model.carry_history(params, batch.inputs), "c", None)
    if c is not None and c.ndim > 3 and c.shape[2] == 2:  # [T, B, 2, ...]
        measured["state_distance"] = jnp.sqrt(jnp.mean((c[:, :, 0] - c[:, :, 1]) ** 2))
    return measured


Probe = Callable[[Model, Task, Params, Split], dict[str, Array]]

LAGS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def lags(model: Model, task: Task, params: Params, batch: Split) -> dict[str, Array]:
    """The gradient that remains after a lag: the norm of the Jacobian of the last output by earlier inputs.

        log10_gradient_lag_k = mean over the batch of log10 |dh_T / dx_{T-k}|,     | | the Frobenius norm of [H, D]

    for every k in ``LAGS`` below T - 1, and for T - 1, the first step. h_T is the input of the readout; x is the input
    before the data set's ``scale``. Logarithms are averaged because gradients within a batch differ by orders of
    magnitude. Norms below 1.2e-38, the least normal float32, count as that (-37.9). The Jacobian is exact, at the cost
    of one backward pass per unit. Features ``[B, T, D]`` only (``check_probes``).
    """
    inputs = jnp.swapaxes(jnp.asarray(batch.inputs, params.w.dtype), 0, 1)
    width = params.w.shape[0]
    identity = params._replace(w=jnp.eye(width, dtype=params.w.dtype), b=jnp.zeros(width, params.b.dtype))

    def last(xs_TBD: Array) -> Array:
        """``[B, H]``: with an identity readout the output is h."""
        _, out = model.apply(identity, jnp.swapaxes(xs_TBD, 0, 1), None, None)
        return out[:, -1] if task.per_step else out

    h_BH, pull = jax.vjp(last, inputs)
    # batch elements are independent: one pass gives a unit's gradient in all of them
    units = jnp.broadcast_to(jnp.eye(width, dtype=h_BH.dtype)[:, None], (width, *h_BH.shape))
    lags = [lag for lag in LAGS if lag < len(inputs) - 1] + [len(inputs) - 1]
    steps = len(inputs) - 1 - jnp.array(lags)
    jacobian = jax.vmap(lambda unit: pull(unit)[0][steps])(units)  # [H, lags, B, D]
    means = jnp.mean(log10_norm(jacobian), axis=1)
    return {f"log10_gradient_lag_{lag}": means[index] for index, lag in enumerate(lags)}


def log10_norm(jacobian: Array) -> Array:
    """log10 of the Frobenius norm over the first and last axes, at least that of the least normal number."""
    least = jnp.finfo(jacobian.dtype).tiny
    largest = jnp.max(jnp.abs(jacobian), axis=(0, -1))  # factored out, since the squares would underflow
    squares = jnp.sum((jacobian / jnp.maximum(largest, least)[..., None]) ** 2, axis=(0, -1))
    return jnp.log10(jnp.where(largest > least, largest * jnp.sqrt(squares), least))


PROBES: dict[str, Probe] = {"paths": paths, "lags": lags}


def check_probes(names: tuple[str, ...], dataset: Dataset) -> None:
    """Raise InputError if one of the probes called ``names`` cannot measure ``dataset``."""
    split = dataset.validation
    if "lags" not in names or split.inputs is None:  # opened without data, and checked when the run started
        return
    if split.inputs.ndim != 3 or split.lengths is not None:
        what = "padded sequences" if split.lengths is not None else "ids, which have no gradient"
        raise InputError(f"probes: lags, but {dataset.name} has {what}; accepted: features, all of one length")
