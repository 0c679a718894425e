"""What a run would take: memory, devices, time; measured with a second of each arm, of which nothing is kept."""

import time
from pathlib import Path
from typing import NamedTuple

import jax

from rnnlab.cells.registry import count_parameters
from rnnlab.runs.memory import data_bytes, waiting_place, waves_of
from rnnlab.runs.validate import Experiment, abstract_state
from rnnlab.training.batch_axis import arm_mesh
from rnnlab.training.memory import state_bytes_per_device
from rnnlab.training.waves import make_sweep

SAMPLE_SECONDS = 1.0  # a call of one step would be mostly the call, which loads and stores the states


class ArmPlan(NamedTuple):
    """One arm of a plan; bytes are those of the fullest device."""

    arm: str
    runs: int
    devices: int
    sharing: int  # devices that share the batches of a run
    side_by_side: int  # runs that a device trains at once
    waves: int  # passes over the runs, of which one is on the devices
    parameters: int
    data: int
    states: int
    temporaries: int
    compile_seconds: float
    step_seconds: float  # of one training step of all runs
    total_seconds: float  # of all steps and evaluations, without compiling and what is written


def plan_arm(experiment: Experiment, name: str) -> ArmPlan:
    """Compile the programs of an arm and time as many training steps as take `SAMPLE_SECONDS`, at least one, and an
    evaluation of the smaller of the splits that are held out."""
    config, spec, runs = experiment.config, experiment.specs[name], experiment.runs(name)
    splits = {split: getattr(experiment.dataset, split) for split in ("train", "validation", "test")}
    count = len(runs.seed)
    here = Path.cwd()
    waves = waves_of(experiment, name, here)
    began = time.perf_counter()
    sweep = make_sweep(
        spec,
        runs,
        splits,
        waves,
        waiting_place(here),
        runs_per_device=config.runs_per_device,
        batch_devices=experiment.batch_devices,
    )
    sweep.compile()
    compiled = time.perf_counter() - began
    state, indices, steps = sweep.init(), sweep.batch_indices(1), 1
    for _ in range(3):
        began = time.perf_counter()
        state = sweep.train(state, indices, 0, steps)
        seconds = (time.perf_counter() - began) / steps
        steps = max(1, min(int(SAMPLE_SECONDS / seconds), spec.steps_per_epoch))
    evaluated = ("test",) if experiment.dataset.validation_is_test else ("validation", "test")
    examples = {split: len(splits[split].targets) for split in evaluated}
    smaller = min(examples, key=lambda split: examples[split])
    began = time.perf_counter()
    sweep.evaluate(state.params, smaller)
    evaluation = (time.perf_counter() - began) / examples[smaller] * sum(examples.values())
    abstract, mesh = abstract_state(spec, runs), arm_mesh(spec, runs, batch_devices=experiment.batch_devices)
    parameters = count_parameters(getattr(abstract.params, "trained", abstract.params)) // count
    return ArmPlan(
        name, count, sweep.devices, sweep.batch_devices, sweep.side_by_side, waves, parameters, data_bytes(experiment),
        state_bytes_per_device(abstract, mesh), sweep.temporary_bytes(), compiled, seconds,
        config.epochs * (spec.steps_per_epoch * seconds + evaluation),
    )  # fmt: skip


def device_kind() -> str:
    """What the devices are."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].platform}:{devices[0].device_kind}"
