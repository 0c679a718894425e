"""The host loop of one arm, without files."""

import os
import signal
import subprocess
from dataclasses import replace
from itertools import count

import chex
import jax
import numpy as np
import pytest

from rnnlab.config.experiment import Arm, Config
from rnnlab.runs import arm_trainer
from rnnlab.runs.arm_trainer import train_arm
from rnnlab.runs.progress import NoProgressMeter
from rnnlab.runs.stop import Stop as RealStop
from rnnlab.runs.stop import stop_on_signal
from rnnlab.runs.validate import validate
from rnnlab.storage.checkpoint import Position
from rnnlab.training import single_run
from rnnlab.training.sweep import Sweep

CONFIG = Config(
    experiment="probe", arms={"a": Arm("rnn", options={"u_init": "glorot_uniform"})}, data="digits", seeds=(0, 5, 1),
    epochs=3, steps_per_epoch=5, batch_size=4, hidden_size=3, learning_rate=(1e-2, 0.3), keep_params_every=2,
)  # fmt: skip


class Memory:
    """An `ArmStore` that keeps everything in memory."""

    def __init__(self, position=None, state=None):
        self.name, self.state, self.rows, self.kept = "a", state, [], {}
        self.position = position or Position(1, 0, 0, 0.0, done=False, config="")

    def load(self, pieces):
        return (jax.tree.map(lambda leaf, piece=piece: leaf[piece], self.state) for piece in pieces)

    def add(self, which, position, split, values):
        for metric, value in values.items():
            assert value.shape == (which.sum(),)
            self.rows.append((position.epoch, position.step, split, metric, value.tobytes()))

    def save(self, position, pieces):
        self.position, (self.state,) = position, pieces

    def save_params(self, epoch, pieces):
        (self.kept[epoch],) = pieces


class Stop:
    """Asks to stop at the n-th look."""

    continued = 0

    def __init__(self, looks=10**9):
        self.looks, self.signal = looks, signal.SIGINT

    @property
    def requested(self):
        self.looks -= 1
        return self.looks < 0


def trained(store, stop=None, config=CONFIG):
    experiment = validate(config)
    return train_arm(
        experiment.specs["a"],
        experiment.runs("a"),
        experiment.dataset,
        config,
        store,
        NoProgressMeter(),
        stop or Stop(),
    )


@pytest.fixture(autouse=True)
def stretches_of_one_step(monkeypatch):
    monkeypatch.setattr(arm_trainer, "STRETCH_SECONDS", 1e-9)


def test_a_training_step_is_traced_once_however_many_stretches_there_are(monkeypatch):
    """Its program is traced for one run and compiled ahead; a second trace would mean a second compilation."""
    chex.clear_trace_counter()
    monkeypatch.setattr(single_run, "train_steps", chex.assert_max_traces(single_run.train_steps, n=1))
    store = Memory()
    assert trained(store)
    assert store.position.step == 15


def test_time_in_which_the_process_stood_is_not_the_run_s(monkeypatch):
    script = f"kill -STOP {os.getpid()}; sleep 1; kill -CONT {os.getpid()}"

    def standing_in_call(number, method):
        calls = count(1)

        def call(*arguments):
            if next(calls) == number:
                subprocess.run(["sh", "-c", script], check=True)
            return method(*arguments)

        return call

    monkeypatch.setattr(Sweep, "train", standing_in_call(8, Sweep.train))
    monkeypatch.setattr(Sweep, "evaluate", standing_in_call(3, Sweep.evaluate))  # both of the second epoch
    store, stop = Memory(), RealStop()
    with stop_on_signal(stop):
        assert trained(store, stop)
    assert stop.continued == 2
    assert store.position.seconds < 1


def test_what_the_store_gets_has_no_padding():
    store = Memory()
    assert trained(store)
    chex.assert_tree_shape_prefix(store.state, (6,))  # 3 seeds x 2 rates on 4 devices
    assert list(store.kept) == [2]
    chex.assert_tree_shape_prefix(store.kept[2], (6,))
    assert {row[0] for row in store.rows} == {1, 2, 3}


@pytest.mark.slow
@pytest.mark.parametrize("looks", [pytest.param(0, marks=pytest.mark.exhaustive), 7])
def test_stopped_and_continued_equals_uninterrupted(looks):
    whole, store = Memory(), Memory()
    trained(whole)
    assert not trained(store, Stop(looks))
    assert store.position.step == looks
    rest = Memory(store.position, store.state)
    assert trained(rest)
    assert store.rows + rest.rows == whole.rows
    jax.tree.map(np.testing.assert_array_equal, rest.state, whole.state)


@pytest.mark.slow
def test_fields_that_change_no_result_change_no_result():
    other = replace(CONFIG, keep_params_every=None, checkpoint_interval_s=1e-9)
    first, second = Memory(), Memory()
    trained(first)
    trained(second, config=other)
    assert first.rows == second.rows
