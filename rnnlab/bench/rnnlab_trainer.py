"""The lab on a work, by the programs with which it trains a run; and the large matrix product beside it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.bench.flops import program_flops
from rnnlab.bench.trainer import Trainer, jax_device, jax_peak
from rnnlab.bench.workloads import LEARNING_RATE, Work, random_batches
from rnnlab.cells.registry import count_parameters, make_cell
from rnnlab.cells.wrappers.mixed_precision import mixed_precision
from rnnlab.core.types import Array, Key, Model, Split
from rnnlab.models.recurrent_model import make_model
from rnnlab.train.optimizers import make_optimizer
from rnnlab.train.single_run import Recipe
from rnnlab.train.sweep import default_chunk, device_mesh, make_sweep, replicate, run_grid, use_all_cores
from rnnlab.train.tasks import TASKS

STEPS = 64  # of an epoch, each with examples of its own
MOST_PRODUCT = 16_384  # rows: three such matrices are 3 GB
PRODUCT_SECONDS = 0.2


def make_recipe(work: Work) -> Recipe:
    """What the runs of a work share."""
    task = TASKS["language_modeling" if work.per_step else "classification"]

    def model(hyperparams: Mapping[str, Array], key: Key | None) -> Model:
        cell = mixed_precision(make_cell(work.cell, work.H, key=key), work.compute_dtype)
        return make_model(cell, work.D, work.C, per_step=work.per_step, embedding_size=work.embedding_size)

    def optimizer(hyperparams: Mapping[str, Array]) -> Any:
        return make_optimizer(work.optimizer, hyperparams["learning_rate"])

    return Recipe(model, optimizer, task, batch_size=work.B, steps=STEPS, eval_batch_size=work.B)


def forward_flops(recipe: Recipe, split: Split) -> int:
    """Operations of the matrix products of one batch, forward, as they stand in the model's program."""
    model = recipe.make_model({}, None)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0)))
    batch = split.inputs[: recipe.batch_size]
    return program_flops(jax.make_jaxpr(lambda params, xs: model.apply(params, xs, None, None))(params, batch).jaxpr)


def rnnlab(work: Work, runs: int, devices: int = 0) -> Trainer:
    """The lab: all runs over all devices (or the first ``devices``), as ``loop.Training`` trains an arm."""
    use_all_cores()
    recipe = make_recipe(work)
    mesh = device_mesh(runs, jax.devices()[: devices or None])
    inputs, targets = random_batches(work, 1, STEPS)
    examples = STEPS * work.B
    split = Split(inputs.reshape(examples, *inputs.shape[3:]), targets.reshape(examples, *targets.shape[3:]))
    sweep = make_sweep(
        recipe, run_grid(range(runs), {"learning_rate": (LEARNING_RATE,)}), mesh, default_chunk(mesh, runs), examples
    )
    split, state, plan = replicate(split, mesh), sweep.init(), sweep.plan(1)
    used = list(mesh.devices.flat)
    parameters = count_parameters(jax.eval_shape(lambda tree: jax.tree.map(lambda leaf: leaf[0], tree), state.params))

    flops = forward_flops(recipe, split)

    def train(steps: int) -> float:
        nonlocal state
        for start in range(0, steps, STEPS):
            state = sweep.train(state, plan, split, 0, min(STEPS, steps - start))
        jax.block_until_ready(state)
        return float(np.mean(np.asarray(state.sums.loss) / np.asarray(state.sums.count)))

    return Trainer(train, parameters, jax_device(used), jax_peak(used), flops)


def matrix_product(n: int = 0) -> tuple[Callable[[], float], int, int, str]:
    """A product of n x n matrices on every device at once, at JAX's default precision for float32.

    Returns ``(multiply, n, operations of one call, devices)``; ``multiply`` returns the seconds it took. ``n``
    unless given is such that it takes about ``PRODUCT_SECONDS``.
    """
    use_all_cores()
    found, size = jax.devices(), n or 512
    mesh = device_mesh(len(found))

    def of_size(n: int) -> Callable[[], float]:
        host = np.random.default_rng(0).standard_normal((len(found), n, n), np.float32)
        spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*mesh.axis_names))
        a, b = jax.device_put(host, spread), jax.device_put(host[:, ::-1], spread)
        product = jax.jit(jnp.matmul, out_shardings=spread)
        jax.block_until_ready(product(a, b))

        def multiply() -> float:
            began = time.perf_counter()
            jax.block_until_ready(product(a, b))
            return time.perf_counter() - began

        return multiply

    multiply = of_size(size)
    while not n:
        seconds = min(multiply() for _ in range(3))
        wanted = int(size * min(4.0, (PRODUCT_SECONDS / seconds) ** (1 / 3))) // 128 * 128
        wanted = min(MOST_PRODUCT, max(128, wanted))
        if 0.8 * size <= wanted <= 1.25 * size:
            break
        size = wanted
        multiply = of_size(size)
    return multiply, size, 2 * len(found) * size**3, jax_device(found)
