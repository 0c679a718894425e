"""One trained run as a file: its parameters as safetensors, or its predictions as a program of JAX.

Safetensors is the archive: named arrays that any library reads. The program (``jax.export``) is for serving: it runs
with JAX alone, for as long as JAX's compatibility window lasts, six months by its documentation.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Model, Params
from rnnlab.data.standardize import SOURCE, restore_targets
from rnnlab.runs.saved_run import SavedRun
from rnnlab.training.tasks import TASKS

PLATFORMS = ("cpu", "cuda", "tpu")


def named_arrays(params: Params) -> dict[str, np.ndarray]:
    """The leaves of ``params`` by their path: ``embedding``, ``cell.w``, ``w``, ..."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.ascontiguousarray(leaf) for path, leaf in leaves}


def safetensors(params: Params, about: Mapping[str, str]) -> bytes:
    """``params`` by name, with ``about`` as the file's metadata. Raises InputError without the package safetensors."""
    try:
        from safetensors.numpy import save
    except ImportError:
        raise _missing("safetensors") from None
    return save(named_arrays(params), dict(about))


def stablehlo(run: SavedRun, model: Model, params: Params, steps: int, *, lengths: bool = False) -> bytes:
    """A serialized ``jax.export`` program: ``inputs [N, T, D]`` float32 or ``[N, T]`` int32 -> what ``predict`` gives.

    T is ``steps``, N any number. With ``lengths`` it takes ``lengths [N]`` int32 too. Probabilities of classes, or
    values in the targets' unit; inputs are standardized as in training. Raises InputError without flatbuffers, and for
    an arm that JAX cannot export.
    """
    dataset, task = run.dataset, TASKS[run.dataset.task]
    inputs_of = dataset.source.get(SOURCE, {}).get("inputs")
    classes = "accuracy" in {metric.name for metric in task.metrics}

    def predict(inputs: Array, *lengths: Array) -> Any:
        if inputs_of is not None:
            mean, std = (jnp.asarray(inputs_of[name], jnp.float32) for name in ("mean", "std"))
            inputs = (inputs - mean) / std
        outputs = model.apply(params, inputs, lengths[0] if lengths else None, None)[1]
        return jax.nn.softmax(outputs) if classes else restore_targets(dataset.source, outputs)  # type: ignore[arg-type]

    (count,) = jax.export.symbolic_shape("N")
    ids = dataset.has_token_inputs
    shape = (count, steps) if ids else (count, steps, dataset.input_size)
    like = [jax.ShapeDtypeStruct(shape, jnp.int32 if ids else jnp.float32)]
    like += [jax.ShapeDtypeStruct((count,), jnp.int32)] * lengths
    try:
        return bytes(jax.export.export(jax.jit(predict), platforms=PLATFORMS)(*like).serialize())
    except ImportError:
        raise _missing("flatbuffers") from None
    except (TypeError, ValueError, NotImplementedError, KeyError) as error:
        raise InputError(f"--format: this arm cannot be exported: {' '.join(str(error).split())[:200]}") from error


def _missing(package: str) -> InputError:
    return InputError(f"--format: needs the package {package}: pip install 'rnnlab[export]'")
