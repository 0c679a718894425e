"""Real processes on the loopback address that train one run: the bits of one process, and every way to end."""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from helpers.interrupted_runs import expect, whole

from rnnlab.cli.main import main
from rnnlab.config.experiment import Arm, Config

CONFIG = Config(  # noise, dropout, swept rates, probes, every epoch kept
    experiment="study", data="digits", seeds=(3, 0, 5, 1), epochs=2, steps_per_epoch=12, batch_size=8, hidden_size=6,
    learning_rate=(1e-2, 3e-2), probes=("lags",), keep_params_every=1, checkpoint_interval_s=1e-9, dropout=(0.2,),
    arms={"noisy": Arm("biological_lstm", options={"noise": 0.1})},
)  # fmt: skip
LONG = replace(
    CONFIG, data="pydoc", batch_sampling="contiguous", sequence_length=12, embedding_size=4, steps_per_epoch=600,
    arms={"plain": Arm("rnn")}, probes=(),
)  # fmt: skip

IN_WAVES = """
import sys
from rnnlab.cli.main import main
from rnnlab.runs import run
run.waves_of = lambda *_: 3  # of the 8 runs
sys.exit(main(sys.argv[1:]))
"""
FIRST_PORT = 65536 - 2**12  # of those that JAX takes for a job
KILLS = int(os.environ.get("RNNLAB_KILLS", "2"))  # at random moments


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Where the processes keep their programs, as those of users do."""
    return {"JAX_ENABLE_COMPILATION_CACHE": "true", "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("xla"))}


def by_hand(job, count, index):
    return [f"--coordinator=127.0.0.1:{FIRST_PORT + job}", f"--processes={count}", f"--process={index}"], {}


def slurm(job, count, index):
    """What SLURM tells each task, of which JAX makes the rest."""
    ours = {"STEP_NODELIST": "localhost", "JOB_ID": job, "NTASKS": count, "PROCID": index, "LOCALID": index}
    return [], {f"SLURM_{name}": str(value) for name, value in ours.items()}


def open_mpi(job, count, index):
    ours = {"SIZE": count, "RANK": index, "LOCAL_RANK": index}
    return [], {"OMPI_MCA_orte_hnp_uri": f"{job << 12}.0;tcp://127.0.0.1:1",
                **{f"OMPI_COMM_WORLD_{name}": str(value) for name, value in ours.items()}}  # fmt: skip


def free_job():
    """A number of which JAX makes a port, for SLURM and Open MPI, on which nobody listens."""
    while True:
        job = random.randrange(1, 2**12)
        with contextlib.suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", FIRST_PORT + job))
            return job


@pytest.fixture
def start(tmp_path, compiled):
    """``start(processes, devices, *command)``: processes, standard error in files ``0``, ``1``, ..."""
    started = []

    def begin(
        processes, devices, *command, wait=60, those=None, last=(), program=("-m", "rnnlab"), surroundings=by_hand
    ):
        job = free_job()
        for index in range(processes) if those is None else those:
            arguments, variables = surroundings(job, processes, index)
            arguments += last if index == processes - 1 else []
            started.append(subprocess.Popen(
                [sys.executable, *program, *command, "--distributed", *arguments, f"--wait={wait}"],
                cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=(tmp_path / f"{index}").open("w"),
                env={**os.environ, **compiled, **variables, "JAX_NUM_CPU_DEVICES": str(devices)},
            ))  # fmt: skip
        return started[-processes:]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def codes(processes, seconds=240):
    until = time.monotonic() + seconds
    return [process.wait(until - time.monotonic()) for process in processes]


def told(tmp_path, index):
    """Standard error without what Gloo says of its connections."""
    return re.sub(r"^\[Gloo\].*\n", "", (tmp_path / f"{index}").read_text(), flags=re.MULTILINE)


def until(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.01)


def trained(config, directory):
    """``config`` as the config of a study in a file, and what one process computes."""
    study = directory / "study.py"
    study.write_text(f'"""A study."""\nfrom rnnlab.config.experiment import Arm, Config\nCONFIG = {config!r}\n')
    config = replace(config, experiment=str(study))
    return config, whole(config, directory / "run")


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return trained(CONFIG, tmp_path_factory.mktemp("short"))


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return trained(LONG, tmp_path_factory.mktemp("long"))


@pytest.mark.shipped
@pytest.mark.parametrize(("processes", "how"), [(2, {"program": ("-c", IN_WAVES)}), (4, {"surroundings": slurm})])
def test_processes_compute_what_one_does(start, tmp_path, short, processes, how):
    config, reference = short
    assert codes(start(processes, 1, "run", config.experiment, "--out", "run", **how)) == [0] * processes
    assert told(tmp_path, 1) == ""
    expect(reference, config, tmp_path / "run")
    assert main(["report", str(tmp_path / "run")]) == 0


@pytest.mark.shipped
def test_processes_share_the_batches_of_one_run(start, tmp_path):
    config = replace(CONFIG, arms={"one": Arm("gru")}, dropout=(), seeds=(4,), learning_rate=(1e-2,), batch_devices=2)
    config, reference = trained(config, tmp_path)
    assert codes(start(2, 1, "run", config.experiment, "--out", "shared", surroundings=open_mpi)) == [0, 0]
    expect(reference, config, tmp_path / "shared")
    assert '"batch_devices": {\n    "one": 2' in (tmp_path / "shared" / "env.json").read_text()


@pytest.mark.shipped
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT][: KILLS - 1])
def test_a_signal_to_one_stops_all_and_others_finish(start, tmp_path, long, number):
    config, reference = long
    both = start(2, 1, "run", config.experiment, "--out", "run")
    until(lambda: list((tmp_path / "run" / "checkpoints").glob("plain/step_*")), both[0])
    both[1 if number == signal.SIGTERM else 0].send_signal(number)
    assert codes(both) == [130, 130]
    assert "stopped and saved; continue with: " in told(tmp_path, 0)
    assert codes(start(3, 1, "resume", "run")) == [0, 0, 0]
    expect(reference, config, tmp_path / "run")


@pytest.mark.shipped
@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_process_ends_all_and_nothing_is_lost(start, tmp_path, long, number):
    victim = number % 2
    config, reference = long
    both = start(2, 1, "run", config.experiment, "--out", "run")
    until(lambda: (tmp_path / "run" / "config.json").exists(), both[0])
    time.sleep(random.uniform(0, 2))  # the run takes longer
    both[victim].kill()
    codes_after = codes(both, 75)
    assert codes_after[victim] == -signal.SIGKILL
    assert codes_after[1 - victim] != 0
    words = told(tmp_path, 1 - victim)
    assert "another process of this run ended" in words or "another task died" in words
    assert main(["resume", str(tmp_path / "run")]) == 0
    expect(reference, config, tmp_path / "run")


@pytest.mark.shipped
def test_one_that_never_comes_or_never_answers(start, tmp_path):
    first, second = start(2, 1, "run", "quickstart", wait=6, those=[0]), None
    assert codes(first) == [2]
    assert told(tmp_path, 0) == "error: --distributed: not all processes came within 6 s (--wait)\n"
    second = start(2, 1, "run", "quickstart", wait=2, those=[1])
    assert codes(second[-1:]) == [2]
    assert re.fullmatch(r"error: --coordinator: \S+ does not answer within 2 s: .*\n", told(tmp_path, 1))
    assert not (tmp_path / "runs").exists()


@pytest.mark.shipped
def test_unequal_configurations_and_too_few_runs_are_refused_by_all(start, tmp_path):
    both = start(2, 1, "run", "quickstart", "--seeds", "1", "--out", "run")
    assert codes(both) == [2, 2]
    assert told(tmp_path, 1).startswith("error: --distributed: 1 runs for 2 processes; accepted: ")
    both = start(
        2, 1, "run", "quickstart", "--quick", "--out", "run", last=["--seeds=1"]
    )  # too few, which the other does not know
    assert codes(both) == [2, 2]
    for index in (0, 1):
        assert re.fullmatch(
            "error: config.json: .* in process 1, .*; accepted: the same in all\n", told(tmp_path, index)
        )
    assert not (tmp_path / "run").exists()


def refusal(capsys, *arguments) -> str:
    assert main(["run", "quickstart", "--quick", *arguments]) == 2
    return capsys.readouterr().err


def test_half_set_surroundings_are_refused(capsys, monkeypatch):
    monkeypatch.setattr("jax.distributed.initialize", lambda **_: pytest.fail("too early"))
    by_hand = "--coordinator HOST:PORT --processes N --process I"
    accepted = f"; accepted: --distributed {by_hand}\n"
    assert refusal(capsys, "--processes", "2") == f"error: --processes: without --distributed{accepted}"
    assert refusal(capsys, "--wait", "2") == f"error: --wait: without --distributed{accepted}"
    assert refusal(capsys, "--distributed", "--processes", "2").startswith("error: --coordinator: missing; accepted: ")
    both = ["--distributed", "--processes", "2", "--process"]
    assert "--coordinator: 'host' is not accepted" in refusal(capsys, *both, "0", "--coordinator", "host")
    assert "whole number from 0 to 1" in refusal(capsys, *both, "2", "--coordinator", "host:1")
