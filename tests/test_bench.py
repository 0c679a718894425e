"""The bench: operation counts, turns, failures, and the end of all worker processes."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.bench import cases, peers, processes, report, rounds, workloads
from rnnlab.bench.flops import program_flops
from rnnlab.bench.processes import Case, FailedError, MatrixProduct
from rnnlab.bench.rnnlab_trainer import arm_spec, forward_flops, rnnlab
from rnnlab.bench.workloads import BATCHES, WORKLOADS, Workload, random_batches, resized, step_flops
from rnnlab.cli.main import main
from rnnlab.core.types import Split

ROOT = Path(__file__).resolve().parent.parent
TINY = Workload("mnist", T=3, B=2, D=3, H=4, C=5, optimizer="rmsprop")
TINY_WORDS = Workload("imdb", T=3, B=2, D=7, H=4, C=2, optimizer="adam", embedding_size=5, ids=True)
TINY_CHARS = Workload("chars", T=3, B=2, D=6, H=4, C=6, optimizer="adagrad", ids=True, per_step=True)


# Arithmetic


def plain_loss(params, xs, targets, workload):
    """A plain time-major LSTM that gathers the rows of one-hot inputs: the required operations."""
    if workload.embedding_size:
        xs = params["embedding_size"][xs]

    def step(carry, x):
        h, c = carry
        i, f, g, o = jnp.split((params["w"][x] if x.ndim == 1 else x @ params["w"]) + h @ params["u"], 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((workload.B, workload.H))
    _, hs = jax.lax.scan(step, (zero, zero), xs)
    logits = (hs if workload.per_step else hs[-1]) @ params["v"]
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], -1))


@pytest.mark.parametrize("workload", [TINY, TINY_WORDS, TINY_CHARS, *WORKLOADS.values()], ids=str)
def test_step_flops_are_those_of_a_plain_lstm_and_its_gradient(workload):
    width = workload.embedding_size or workload.D
    shapes = {"w": (width, 4 * workload.H), "u": (workload.H, 4 * workload.H), "v": (workload.H, workload.C)}
    shapes |= {"embedding_size": (workload.D, workload.embedding_size)} if workload.embedding_size else {}
    params = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
    steps = (workload.T, workload.B)
    xs = jax.ShapeDtypeStruct(steps if workload.ids else (*steps, workload.D), int if workload.ids else float)
    targets = jax.ShapeDtypeStruct(steps if workload.per_step else steps[1:], int)
    program = jax.make_jaxpr(jax.value_and_grad(partial(plain_loss, workload=workload)))(params, xs, targets)
    assert step_flops(workload) == program_flops(program.jaxpr)


def test_step_flops_match_a_count_by_hand():
    # 3 steps of 2 rows: x W [2,3]x[3,16] and its weights' gradient; h U [2,4]x[4,16] thrice; readout [2,4]x[4,5] thrice
    assert step_flops(TINY) == 3 * 2 * (2 * 2 * 3 * 16) + 3 * 3 * (2 * 2 * 4 * 16) + 3 * (2 * 2 * 4 * 5)
    assert step_flops(WORKLOADS["mnist"]) == 255_372_800


@pytest.mark.parametrize("workload", [TINY_WORDS, TINY_CHARS], ids=lambda workload: workload.name)
def test_the_forward_program_of_rnnlab_has_only_the_required_products(workload):
    inputs, targets = (leaf[0, 0] for leaf in random_batches(workload, 1, 1))
    width = 0 if workload.ids and not workload.embedding_size else workload.embedding_size or workload.D
    readouts = workload.T if workload.per_step else 1
    wanted = (
        2 * workload.T * workload.B * (width + workload.H) * 4 * workload.H
        + 2 * readouts * workload.B * workload.H * workload.C
    )
    assert forward_flops(arm_spec(workload), Split(inputs, targets)) == wanted


def test_a_scan_multiplies_operations_and_a_cond_counts_its_most_expensive_branch():
    def program(x):
        x, _ = jax.lax.scan(lambda x, _: (jax.jit(lambda x: x @ x)(x), None), x, length=5)
        return jax.lax.cond(x[0, 0] > 0, lambda: x @ x @ x, lambda: x @ x)

    found = program_flops(jax.make_jaxpr(program)(jnp.ones((3, 3))).jaxpr)
    assert found == (5 + 2) * 2 * 27


# Turns


class Scripted:
    """A system with given ``seconds`` per step for each turn; None: it fails."""

    seconds: ClassVar[dict] = {}
    log: ClassVar[list] = []

    def __init__(self, case):
        self.case, self.turns = case, iter(self.seconds[case.system])

    def prepare(self):
        return {"compile_s": 1.5, "seconds": 0.1, "parameters": 7, "forward_flops": 0, "device": "none"}

    def train_steps(self, steps):
        self.log.append((self.case.system, steps))
        if (taken := next(self.turns)) is None:
            raise FailedError("out of memory")
        return {"seconds": taken * steps, "loss": math.nan if self.case.system == "b" else 0.5}

    def end(self):
        return 12.0

    def close(self):
        self.log.append((self.case.system, "closed"))


class Rate:
    """A matrix product with a given rate per round."""

    def __init__(self, rates):
        self.rates = iter(rates)

    def gflops(self):
        return next(self.rates)


def test_systems_take_turns_and_a_failure_affects_only_its_own_row(monkeypatch):
    monkeypatch.setattr(rounds, "System", Scripted)
    monkeypatch.setattr(rounds, "SETTLE_SECONDS", 0.0)
    log: list = []
    monkeypatch.setattr(Scripted, "log", log)
    # the first turn of each determines the number of steps per turn
    script = {"a": [0.1, 0.2, 0.4, 0.3, 0.9], "b": [0.1, 0.5, 0.5, 0.8, 0.7], "c": [0.2, 1.0, None]}
    monkeypatch.setattr(Scripted, "seconds", script)
    messages: list = []
    records, rates = rounds.measure(
        [Case(name, TINY, 4) for name in "abc"], 4, Rate([1.0, 2.0, 4.0, 9.0]), messages.append, turn_seconds=0.3
    )
    turns = [entry for entry in log if entry[1] != "closed"][3:]
    assert turns == [
        ("a", 4), ("b", 4), ("c", 2), ("c", 2), ("b", 4), ("a", 4), ("a", 4), ("b", 4), ("b", 4), ("a", 4),
    ]  # fmt: skip
    a, b, c = records
    assert a["rounds_ms"] == pytest.approx([50, 100, 75, 225])
    assert (a["ms_per_step_per_run"], a["ratio"]) == pytest.approx((87.5, 1.0))
    assert (a["low"], a["high"]) == pytest.approx(tuple(np.quantile([50, 100, 75, 225], (0.25, 0.75))))
    assert a["gflops"] == pytest.approx(step_flops(TINY) / 0.0875 / 1e9)
    assert a["of_matrix_product"] == pytest.approx(a["gflops"] / 3.0)
    assert (a["peak_mb"], a["compile_s"], a["error"]) == (12.0, 1.5, None)
    assert b["ratio"] == pytest.approx(150 / 87.5)
    assert b["loss"] is None  # JSON has no NaN
    assert (c["ms_per_step_per_run"], c["ratio"], c["error"]) == (None, None, "out of memory")
    assert rates == [1.0, 2.0, 4.0, 9.0]
    assert any("c failed: out of memory" in line for line in messages)
    systems = dict(zip(("rnnlab", "b", "c"), records, strict=True))
    text = report.table({name: {"mnist": {"4": record}} for name, record in systems.items()})
    assert "1.71x" in text
    assert "mnist R=4 c failed: out of memory" in text


def test_every_row_has_its_speed_relative_to_the_fastest_peer_of_the_same_workload_and_runs():
    def record(milliseconds):
        return {"ms_per_step_per_run": milliseconds, "error": None}

    results = {
        "rnnlab": {"mnist": {"1": record(2.0), "8": record(1.0)}}, "rnnlab-bfloat16": {"mnist": {"8": record(0.5)}},
        "torch": {"mnist": {"1": record(3.0), "8": record(4.0)}},
        "keras": {"mnist": {"1": record(None), "8": record(2.0)}},
    }  # fmt: skip
    found = {(row["system"], row["runs"]): row["speed_vs_best_peer"] for row in report.rows(results)}
    assert found == {
        ("rnnlab", 1): 1.5, ("torch", 1): 1.0, ("keras", 1): None,
        ("rnnlab", 8): 2.0, ("rnnlab-bfloat16", 8): 4.0, ("torch", 8): 0.5, ("keras", 8): 1.0,
    }  # fmt: skip
    alone = report.rows({"rnnlab": results["rnnlab"]})
    assert {row["speed_vs_best_peer"] for row in alone} == {None}


def test_runs_are_divided_among_single_threaded_processes(monkeypatch):
    started = []

    class Listening:
        def __init__(self, message, environment):
            started.append((message, environment))

        def send(self, line):
            pass

        def answer(self):
            index = len(started)
            return {"compile_s": index, "seconds": 1.0 / index, "device": "cpu", "peak_mb": 10 * index}

    monkeypatch.setattr(processes, "Worker", Listening)
    monkeypatch.setattr(processes, "cores", lambda: 3)
    system = processes.System(Case("torch-processes", TINY, 8))
    ready = system.prepare()
    assert [(m["options"]["first"], m["runs"]) for m, _ in started] == [(0, 2), (2, 3), (5, 3)]
    assert all(m["options"]["threads"] == 1 and e == {"OMP_NUM_THREADS": "1"} for m, e in started)
    assert (ready["compile_s"], ready["seconds"]) == (3, 1.0)  # the slowest of each
    assert system.end() == 3 * 30
    started.clear()
    processes.System(Case("torch-processes", TINY, 1)).prepare()
    assert len(started) == 1
    started.clear()
    processes.System(Case("rnnlab", TINY, 8)).prepare()
    assert [(m["runs"], m["options"]) for m, _ in started] == [(8, {})]


def test_compute_dtypes_are_compared_with_float32_and_the_peers():
    (plan,) = cases.compare_systems([WORKLOADS["chars"]], [2], ["torch"], ["bfloat16"])
    assert [key.system for key in plan.keys] == ["rnnlab", "rnnlab-bfloat16", "torch"]
    assert [(case.system, case.workload.compute_dtype) for case in plan.cases] == [
        ("rnnlab", "float32"), ("rnnlab", "bfloat16"), ("torch", "float32"),
    ]  # fmt: skip
    (without,) = cases.compare_systems([WORKLOADS["chars"]], [2], ["torch"], [])
    assert [key.system for key in without.keys] == ["rnnlab", "torch"]


def test_cells_are_paired_with_the_lstm_and_sizes_get_distinct_keys():
    cells = list(cases.compare_cells([TINY], [8], ["gru", "lstm", "rnn"]))
    assert [[case.workload.cell for case in plan.cases] for plan in cells] == [
        ["lstm"],
        ["lstm", "gru"],
        ["lstm", "rnn"],
    ]
    assert [plan.keys[-1].system for plan in cells] == ["rnnlab/lstm", "rnnlab/gru", "rnnlab/rnn"]
    sizes = [plan.cases[0] for plan in cases.scale([WORKLOADS["mnist"]], (1, 64), 6)]
    assert [case.runs for case in sizes[:2]] == [1, 64]
    assert [(case.workload.T, case.workload.H) for case in sizes[2:10]] == [
        (7, 100), (14, 100), (56, 100), (112, 100), (28, 25), (28, 50), (28, 200), (28, 400),
    ]  # fmt: skip
    of_devices = [case for case in sizes[10:] if "devices" in case.options]
    assert [case.options["devices"] for case in of_devices if case.runs == 8] == [1, 2, 4, 6]
    assert [case.options["batch_devices"] for case in of_devices if case.runs == 1] == [1, 2, 4]  # 6 do not divide 32
    plans = list(cases.scale([WORKLOADS["mnist"]], (1, 8), 6, cores=4))
    of_processes = [plan.cases[0] for plan in plans if "processes" in plan.cases[0].options]
    assert [(case.options["processes"], case.runs) for case in of_processes] == [
        (1, 8), (2, 8), (2, 16), (2, 1), (4, 8), (4, 32), (4, 1),
    ]  # fmt: skip
    keys = [plan.keys[0] for plan in plans]
    assert len(set(keys)) == len(keys)


def test_other_sizes_are_another_workload():
    assert resized(WORKLOADS["imdb"], "T=512,B=8")[:3] == ("imdb T=512 B=8", 512, 8)


# Systems


@pytest.mark.shipped
def test_processes_that_share_a_run_train_it_as_one_does():
    one, two = (
        processes.System(Case("rnnlab", TINY, 1, options)) for options in ({}, {"processes": 2, "batch_devices": 2})
    )
    try:
        assert two.prepare()["device"] == "2 x cpu of 2 processes"
        one.prepare()
        assert two.train_steps(4)["loss"] == pytest.approx(one.train_steps(4)["loss"], rel=1e-4)
        assert two.end() > 0
    finally:
        one.close()
        two.close()


@pytest.mark.slow
def test_inference_is_the_loss_of_one_batch():
    timed = rnnlab(TINY_WORDS._replace(inference=True), 2)
    assert timed.train_steps(1) == timed.train_steps(3) == pytest.approx(np.log(TINY_WORDS.C), rel=0.3)


@pytest.mark.parametrize(
    "workload",
    [pytest.param(TINY_WORDS, marks=pytest.mark.slow), pytest.param(TINY_CHARS, marks=pytest.mark.exhaustive)],
    ids=lambda workload: workload.name,
)
def test_all_systems_train_the_same_model(workload):
    width = workload.embedding_size or workload.D
    wanted = (
        workload.D * workload.embedding_size
        + 4 * workload.H * (width + workload.H + 1)
        + workload.H * workload.C
        + workload.C
    )
    found = {"rnnlab": rnnlab} | {name: peers.PEERS[name].make for name in peers.PEERS if peers.is_installed(name)}
    for name, make in found.items():
        second_bias, options = (4 * workload.H, {"threads": 1}) if name.startswith("torch") else (0, {})
        trainer = make(workload, 2, **options)
        assert trainer.parameters == wanted + second_bias, name
        first = trainer.train_steps(1)
        assert first == pytest.approx(math.log(workload.C), abs=0.6), name
        again = trainer.train_steps(1 + 25 * BATCHES)  # the last step of a peer has the batch of its first
        assert again < first or name == "rnnlab", name  # rnnlab: the mean over distinct batches of random classes
        assert again != first


def test_random_batches_are_reproducible_and_differ_between_runs():
    inputs, targets = random_batches(TINY_CHARS, 2, 50)
    assert (inputs.shape, targets.shape) == ((2, 50, 2, 3), (2, 50, 2, 3))
    assert set(np.unique(inputs)) == set(range(6))
    assert not np.array_equal(inputs[0], inputs[1])
    assert np.array_equal(random_batches(TINY_CHARS, 2, 50)[0], inputs)
    xs, _ = random_batches(TINY, 1, 50)
    assert xs.dtype == np.float32
    assert 0.4 < xs.mean() < 0.6


# The command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--work", "mnits"], "did you mean 'mnist'"), (["--work", ","], "chars"), (["--runs", "0"], "1 to"),
        (["--runs", ""], "--runs"), (["--runs", "2,x"], "'x'"), (["--peers", "pytorch"], "torch-processes"),
        (["--peers", "none,torch"], "cannot be combined"), (["--rounds", "0"], "--rounds"),
        (["--cells", "lstmm"], "did you mean 'lstm'"), (["--cells", ""], "qrnn"), (["--out", "full"], "not an empty"),
        (["--cells", "gru", "--peers", "torch"], "--peers"), (["--scale", "--bfloat16"], "--bfloat16"),
        (["--rounds", "two", "--scale"], "'two'"), (["--inference"], "--cells"), (["--sizes", "T=0"], "T, B or H"),
        (["--sizes", "D=4"], "'D=4'"),
    ],
)  # fmt: skip
def test_invalid_options_are_one_line_and_start_nothing(tmp_path, monkeypatch, capsys, arguments, message):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("text")
    monkeypatch.chdir(tmp_path)

    def start(*arguments):
        raise AssertionError("a process was started")

    monkeypatch.setattr(processes, "Worker", start)
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert (err.startswith("error: "), err.count("\n")) == (True, 1)
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "thesis.tex"]


@pytest.mark.slow
def test_a_failed_peer_is_an_error_in_the_json_and_the_other_results_stand(tmp_path, monkeypatch, capfd):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("print('hello')\nraise ImportError('libfake.so:\\n not found')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(workloads.WORKLOADS, "mnist", TINY)
    monkeypatch.setattr(peers, "is_installed", lambda name: name != "keras")
    monkeypatch.setattr(rounds, "measure", partial(rounds.measure, turn_seconds=0.01))
    monkeypatch.setattr(processes, "MatrixProduct", partial(MatrixProduct, n=64))
    monkeypatch.setattr(processes, "SETTINGS", {})  # allow compiled programs from the cache
    out = tmp_path / "out"
    arguments = ["bench", "--work", "mnist", "--runs", "3", "--rounds", "2", "--peers", "torch,keras", "--json"]
    assert main([*arguments, "--out", str(out)]) == 0
    printed, errors = capfd.readouterr()
    found = json.loads(printed)
    assert set(found) == {"rnnlab", "torch"}
    ours, theirs = found["rnnlab"]["mnist"]["3"], found["torch"]["mnist"]["3"]
    assert 0 < ours["ms_per_step_per_run"] < 1e3
    assert ours["low"] <= ours["ms_per_step_per_run"] <= ours["high"]
    assert ours["gflops"] == pytest.approx(step_flops(TINY) / ours["ms_per_step_per_run"] / 1e6)
    assert (ours["error"], ours["ratio"]) == (None, 1.0)
    assert ours["peak_mb"] > 50
    assert theirs["ms_per_step_per_run"] is None
    assert theirs["error"] == "ImportError: libfake.so: not found"
    assert "keras: left out" in errors
    assert "pip install keras" in errors
    written = json.loads((out / "bench.json").read_text())
    assert written["results"] == found
    assert written["matrix_product"]["n"] == 64
    assert len(written["matrix_product"]["gflops"]) == 2
    assert (out / "bench.csv").read_text().count("\n") == 3
    assert (out / "bench.png").read_bytes().startswith(b"\x89PNG")


# Processes


def children(pid: int) -> list[int]:
    shown = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in shown.splitlines() if int(line.split()[1]) == pid]


def gone(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not state.strip() or state.startswith("Z")


def wait_until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_ctrl_c_ends_every_worker(tmp_path):
    command = [sys.executable, "-m", "experiments", "bench", "--work", "mnist", "--runs", "1", "--peers", "none"]
    heard = partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    bench = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=heard
    )
    errors = ""
    while "1/1 mnist" not in errors:
        line = bench.stderr.readline()
        assert line, errors
        errors += line
    wait_until(lambda: len(children(bench.pid)) == 2)  # the matrix product and rnnlab
    workers = children(bench.pid)
    bench.send_signal(signal.SIGINT)
    _, rest = bench.communicate(timeout=20)
    assert bench.returncode == 130, rest
    assert "Traceback" not in rest
    assert rest.endswith("stopped; what was saved before stays valid\n")
    wait_until(lambda: all(gone(pid) for pid in workers))


def test_no_worker_outlives_its_parent():
    code = (
        "import os\nfrom rnnlab.bench.processes import MatrixProduct\nproduct = MatrixProduct(n=64)\n"
        "product._worker.send('train 1')\nprint(product._worker._process.pid, flush=True)\nos.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: gone(int(done.stdout)))


def test_the_reason_why_a_worker_does_not_answer_is_reported(monkeypatch):
    product = MatrixProduct(n=64)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(processes, "LIMIT_SECONDS", 0.1)
            with pytest.raises(FailedError, match=r"no answer in 0\.1 s"):
                product._worker.answer()  # nothing was sent
        product._worker._process.kill()
        with pytest.raises(FailedError, match="SIGKILL"):
            product.gflops()
    finally:
        product.close()
