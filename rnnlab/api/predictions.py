"""What the runs of an arm predict for inputs of the user's."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core.errors import InputError
from rnnlab.core.types import AnyArray, Array, Carry, Dataset, Params
from rnnlab.data.standardize import restore_targets, standardize_inputs
from rnnlab.training.arm_spec import ArmSpec, build_model
from rnnlab.training.state import Run
from rnnlab.training.tasks import TASKS


def predict(
    spec: ArmSpec, runs: Run, params: Params, dataset: Dataset, inputs: AnyArray, *, lengths: AnyArray | None = None,
    resets: AnyArray | None = None,
    known: np.ndarray | None = None, ensemble: bool = False, carry: Carry | None = None, return_carry: bool = False,
) -> Any:  # fmt: skip
    """See `Result.predict`. ``known [R]``: the runs that ``params [R, ...]`` belong to; the others give NaN."""
    if spec.attention is not None:
        raise InputError("predict: the arm is an encoder and a decoder; accepted: the command `sample`")
    inputs = _checked(np.asarray(inputs), dataset)
    lengths = None if lengths is None else _lengths(np.asarray(lengths), inputs)
    starts = None if resets is None else _resets(np.asarray(resets), inputs)
    if not dataset.has_token_inputs:
        inputs = standardize_inputs(dataset.source, inputs)

    @jax.jit
    def apply(
        params: Params, xs: Array, lengths: Array | None, carry: Carry | None, more: dict[str, Array]
    ) -> tuple[Carry, Array]:
        def one(run: Run, params: Params, carry: Carry | None) -> tuple[Carry, Array]:
            return build_model(spec, run.hyperparams).apply(params, xs, lengths, carry, **more)

        return jax.vmap(one, in_axes=(0, 0, None if carry is None else 0))(runs, params, carry)

    count, size = len(inputs), min(spec.eval_batch_size, len(inputs))
    carries, outputs = [], []
    for first in range(0, count, size):
        rows = np.minimum(np.arange(first, first + size), count - 1)  # the last batch repeats an example
        kept = min(size, count - first)
        part = None if carry is None else jax.tree.map(lambda leaf, rows=rows: jnp.asarray(leaf)[:, rows], carry)
        more = {} if starts is None else {"resets": starts[rows]}
        after, logits = apply(params, inputs[rows], None if lengths is None else lengths[rows], part, more)
        outputs.append(np.asarray(logits[:, :kept]))
        carries.append(jax.tree.map(lambda leaf, kept=kept: np.asarray(leaf[:, :kept]), after))
    found = np.concatenate(outputs, axis=1)
    if "accuracy" in {metric.name for metric in TASKS[spec.data.task].metrics}:
        found = np.array(jax.nn.softmax(found, axis=-1))
    else:
        found = restore_targets(dataset.source, found)
    if known is not None:
        found[~known] = np.nan
    if ensemble:
        found = found.mean(0) if known is None else found[known].mean(0) if known.any() else found[0]
    if not return_carry:
        return found
    return found, jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *carries)


def _checked(inputs: np.ndarray, dataset: Dataset) -> np.ndarray:
    size = dataset.input_size
    if dataset.has_token_inputs:
        if inputs.ndim != 2 or inputs.dtype.kind not in "iu":
            raise InputError(f"inputs: {inputs.dtype} {list(inputs.shape)}; accepted: integer ids [N, T]")
        if inputs.size and not 0 <= inputs.min() <= inputs.max() < size:
            raise InputError(f"inputs: ids from {inputs.min()} to {inputs.max()}; accepted: 0 to {size - 1}")
        inputs = inputs.astype(np.int32)
    elif inputs.ndim != 3 or inputs.shape[-1] != size or inputs.dtype.kind not in "iuf":
        raise InputError(f"inputs: {inputs.dtype} {list(inputs.shape)}; accepted: numbers [N, T, {size}]")
    elif inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
        raise InputError("inputs: NaN or infinity; accepted: finite numbers")
    if 0 in inputs.shape:
        raise InputError(f"inputs: {list(inputs.shape)} is empty; accepted: an example and a step, or more")
    return inputs if inputs.dtype != np.float64 else inputs.astype(np.float32)


def _resets(resets: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    if resets.shape != inputs.shape[:2] or resets.dtype.kind not in "biu" or not np.isin(resets, (0, 1)).all():
        raise InputError(
            f"resets: {resets.dtype} {list(resets.shape)}; accepted: {list(inputs.shape[:2])} booleans, or 0 and 1"
        )
    return resets.astype(bool)


def _lengths(lengths: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    if lengths.shape != inputs.shape[:1] or lengths.dtype.kind not in "iu":
        raise InputError(f"lengths: {lengths.dtype} {list(lengths.shape)}; accepted: integers [{len(inputs)}]")
    if not 0 <= lengths.min() <= lengths.max() <= inputs.shape[1]:
        raise InputError(f"lengths: {lengths.min()} to {lengths.max()}; accepted: 0 to {inputs.shape[1]}, the steps")
    return lengths.astype(np.int32)
