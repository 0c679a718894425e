"""rnnlab on a workload, with the programs that train experiments; and the matrix product as a reference."""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.bench.flops import program_flops
from rnnlab.bench.trainer import Trainer, jax_device, jax_peak
from rnnlab.bench.workloads import LEARNING_RATE, Workload, random_batches
from rnnlab.cells.registry import count_parameters
from rnnlab.core.processes import connect
from rnnlab.core.types import Split
from rnnlab.training.arm_spec import ArmSpec, DataShape, build_model
from rnnlab.training.run_axis import device_mesh, use_all_cores
from rnnlab.training.sweep import Sweep, run_grid

LIMIT_SECONDS = 60  # for the processes of a run to find each other
STEPS = 64  # of an epoch, each with distinct examples
MAX_PRODUCT = 16_384  # rows: three such matrices are 3 GB
PRODUCT_SECONDS = 0.2


def arm_spec(workload: Workload) -> ArmSpec:
    """The workload as an arm of an experiment."""
    return ArmSpec(
        data=DataShape(
            workload.name, "language_modeling" if workload.per_step else "classification", workload.D, workload.C,
            has_token_inputs=workload.ids,
        ),
        cell=workload.cell,
        hidden_size=workload.H,
        steps_per_epoch=STEPS,
        batch_size=workload.B,
        eval_batch_size=workload.B,
        compute_dtype=workload.compute_dtype,
        embedding_size=workload.embedding_size or None,
        optimizer=workload.optimizer,
    )  # fmt: skip


def forward_flops(spec: ArmSpec, split: Split) -> int:
    """Operations of the matrix products in the model's forward pass of one batch."""
    model = build_model(spec, {})
    params = jax.eval_shape(lambda: model.init(jax.random.key(0)))
    batch = split.inputs[: spec.batch_size]
    return program_flops(jax.make_jaxpr(lambda params, xs: model.apply(params, xs, None, None))(params, batch).jaxpr)


def rnnlab(
    workload: Workload, runs: int, devices: int = 0, batch_devices: int = 0, processes: int = 0, process: int = 0,
    coordinator: str = "",
) -> Trainer:  # fmt: skip
    """rnnlab: all runs on all devices (or the first ``devices``), as an arm of an experiment is trained.

    ``batch_devices``: how many share the batches of a run; 0: as by default. With ``processes`` each has one CPU core.
    """
    if processes:
        config: Any = jax.config
        config.update("jax_num_cpu_devices", 1)
        connect(LIMIT_SECONDS, coordinator_address=coordinator, num_processes=processes, process_id=process)
    use_all_cores()
    spec = arm_spec(workload)
    inputs, targets = random_batches(workload, 1, STEPS)
    examples = STEPS * workload.B
    split = Split(inputs.reshape(examples, *inputs.shape[3:]), targets.reshape(examples, *targets.shape[3:]))
    batch = Split(split.inputs[: workload.B], split.targets[: workload.B])
    used = jax.devices()[: devices or None]
    sweep = Sweep(
        spec,
        run_grid(range(runs), {"learning_rate": (LEARNING_RATE,)}),
        {"train": split, "validation": batch},
        devices=used,
        batch_devices=batch_devices or None,
    )
    state, indices = sweep.init(), sweep.batch_indices(1)
    parameters = count_parameters(state.params) // jax.tree.leaves(state.params)[0].shape[0]
    flops = forward_flops(spec, split)

    def train_steps(steps: int) -> float:
        nonlocal state
        if workload.inference:
            held_out = [sweep.evaluate(state.params, "validation") for _ in range(steps)][-1]
            return float(np.mean(sweep.to_host(held_out.loss / held_out.count)))
        for start in range(0, steps, STEPS):
            state = sweep.train(state, indices, 0, min(STEPS, steps - start))
        sums = sweep.to_host(state.sums)
        return float(np.mean(sums.loss / sums.count))

    return Trainer(train_steps, parameters, jax_device(used[: sweep.devices]), jax_peak(used[: sweep.devices]), flops)


def matrix_product(n: int = 0) -> tuple[Callable[[], float], int, int, str]:
    """A product of n x n matrices on every device at once, at JAX's default precision for float32.

    Returns ``(multiply, n, operations per call, devices)``; ``multiply`` returns its seconds. With ``n = 0`` the size
    is chosen so that a product takes about ``PRODUCT_SECONDS``.
    """
    use_all_cores()
    devices, size = jax.devices(), n or 512
    mesh = device_mesh(len(devices))

    def of_size(n: int) -> Callable[[], float]:
        host = np.random.default_rng(0).standard_normal((len(devices), n, n), np.float32)
        sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*mesh.axis_names))
        a, b = jax.device_put(host, sharding), jax.device_put(host[:, ::-1], sharding)
        product = jax.jit(jnp.matmul, out_shardings=sharding)
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
        wanted = min(MAX_PRODUCT, max(128, wanted))
        if 0.8 * size <= wanted <= 1.25 * size:
            break
        size = wanted
        multiply = of_size(size)
    return multiply, size, 2 * len(devices) * size**3, jax_device(devices)
