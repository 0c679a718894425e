"""What a run takes of memory is known before it begins; what turns out too large is made smaller, or told in a line."""

import re
from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers.interrupted_runs import ONE, At, computed, expect, interrupt, whole

from rnnlab.cli.main import main
from rnnlab.core.errors import InputError
from rnnlab.runs import memory, run
from rnnlab.runs.memory import data_bytes, waiting_place, waves_of
from rnnlab.runs.progress import NoProgressMeter
from rnnlab.runs.validate import abstract_state, validate
from rnnlab.training.memory import _free_of_machine, available_bytes, readable, tree_bytes, waiting_bytes
from rnnlab.training.sweep import Sweep

CONFIG = replace(ONE, runs_per_device=2, seeds=(0, 1, 2, 3))  # 8 runs, two on each of four devices


class Lines(NoProgressMeter):
    def __init__(self):
        self.lines = []

    def line(self, text):
        self.lines.append(text)


def test_bytes_are_those_of_the_arrays():
    experiment = validate(CONFIG)
    state = Sweep(experiment.specs["plain"], experiment.runs("plain"), {"train": experiment.dataset.train}).init()
    real = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert tree_bytes(abstract_state(experiment.specs["plain"], experiment.runs("plain"))) == real
    splits = [experiment.dataset.train, experiment.dataset.validation, experiment.dataset.test]
    assert data_bytes(experiment) == sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(splits))


def test_what_cannot_fit_is_told_before_anything_is_written(tmp_path, capsys):
    huge = ["run", "quickstart", "--quick", "--set", "hidden_size=300000", "--out", str(tmp_path / "run")]
    assert main(huge) == 2
    line = (
        r"error: memory: a run of arm lstm needs [\d.]+ TB .* a device has [\d.]+ \wB; accepted: a smaller hidden.*\n"
    )
    assert re.fullmatch(line, capsys.readouterr().err)
    assert main([*huge, "--dry-run"]) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shared", [False, True])
def test_states_that_do_not_fit_together_wait_elsewhere_or_are_sent_to_parts(monkeypatch, tmp_path, shared):
    monkeypatch.setattr(memory, "shares_memory", lambda: shared)  # with the host: then saving takes of it too
    experiment = validate(CONFIG)
    one = tree_bytes(abstract_state(experiment.specs["plain"], experiment.runs("plain"))) // 8
    params = tree_bytes(abstract_state(experiment.specs["plain"], experiment.runs("plain")).params) // 8
    fits = data_bytes(experiment) + (9 if shared else 3) * one + params
    assert waves_of(experiment, "plain", None, fits) == 1
    for room in (0, 24 * one - 1):  # of what is saved too
        with pytest.raises(InputError, match=r"states of the 8 runs .*; accepted: .*--part I/2 for each I, then merge"):
            waves_of(experiment, "plain", tmp_path, fits - 1, room)
    assert waves_of(experiment, "plain", tmp_path, fits - 1, 24 * one) == 2
    least = data_bytes(experiment) + one + params
    assert waves_of(experiment, "plain", tmp_path, least, 24 * one) == 2  # one run on each of four devices
    assert (waiting_bytes(tmp_path / "new") > 0, waiting_bytes(None)) == (True, 0)
    assert waiting_place(tmp_path) == (tmp_path if shared else None)


@pytest.mark.shipped
@pytest.mark.parametrize("on_disk", [True, False])
def test_waves_give_the_bits_of_all_runs_at_once_also_when_resumed(tmp_path, monkeypatch, on_disk):
    config = replace(CONFIG, runs_per_device=1)
    reference = whole(config, tmp_path / "at_once")
    waves = iter([1, 3, 3, 2])  # of 8 runs
    monkeypatch.setattr(run, "waves_of", lambda *_: next(waves))
    if not on_disk:
        monkeypatch.setattr(run, "waiting_place", lambda _: None)
    meter = Lines()
    assert not run.start(validate(config), tmp_path / "run", At(2, interrupt))
    assert not run.resume(validate(config), tmp_path / "run", At(2, interrupt))
    assert len(list(tmp_path.glob("run/checkpoints/plain/step_*/runs_*"))) == 3
    assert not run.resume(validate(config), tmp_path / "run", At(2, interrupt))
    assert run.resume(validate(config), tmp_path / "run", meter)
    assert meter.lines == ["memory: the states of the 8 runs of arm plain do not fit: trained in 2 waves"]
    expect(reference, config, tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in tmp_path.glob("at_once/*")}


def failing(monkeypatch, at_call: int, least: int):
    """`Sweep.train` that lacks memory from its ``at_call``-th call on, with ``least`` or more runs side by side."""
    real, calls = Sweep.train, []

    def train(self, *arguments):
        calls.append(self.side_by_side)
        if len(calls) > at_call and self.side_by_side >= least:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes.")
        return real(self, *arguments)

    monkeypatch.setattr(Sweep, "train", train)


@pytest.mark.slow
@pytest.mark.parametrize("at_call", [0, 3])
def test_fewer_runs_side_by_side_where_all_do_not_fit(at_call, tmp_path, monkeypatch):
    reference = whole(replace(CONFIG, runs_per_device=1), tmp_path / "one")
    failing(monkeypatch, at_call, least=2)
    meter = Lines()
    assert run.start(validate(CONFIG), tmp_path / "run", meter)
    assert meter.lines == ["memory: 2 runs of arm plain side by side on a device do not fit: goes on with 1"]
    found = computed(CONFIG, tmp_path / "run")
    assert len(found["rows"]) == len(reference["rows"])
    if at_call == 0:  # else its first steps were those of two runs side by side, which round otherwise
        assert found["rows"] == reference["rows"]
    else:
        in_memory = run.start_in_memory(validate(CONFIG), NoProgressMeter())
        assert len(in_memory.metrics.table) == len(found["rows"])


def test_a_surprise_is_one_line_and_what_was_saved_goes_on(tmp_path, monkeypatch, capsys):
    study = tmp_path / "study.py"
    study.write_text(f"from rnnlab.config.experiment import Arm, Config\nCONFIG = {ONE!r}\n")
    with monkeypatch.context() as patch:
        failing(patch, 2, least=1)
        assert main(["run", str(study), "--out", str(tmp_path / "run")]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: memory: arm plain (what was saved before stays valid): RESOURCE_EXHAUSTED: ")
    assert main(["resume", str(tmp_path / "run")]) == 0


def test_a_dry_run_measures_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        main(["run", "quickstart", "--quick", "--data", "digits", "--arms", "lstm", "--seeds", "6", "--dry-run"]) == 0
    )
    row = capsys.readouterr().out.splitlines()[1].split()
    assert row[:4] == ["lstm", "6", "4", "1"]
    assert list(tmp_path.iterdir()) == []


def test_the_limit_of_a_container_counts(tmp_path):
    for name, text in {
        "proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 5000 kB\n",
        "sys/fs/cgroup/memory.max": "3000000\n",
        "sys/fs/cgroup/memory.current": "1500000\n",
        "sys/fs/cgroup/memory.stat": "anon 900000\ninactive_file 500000\nactive_file 100000\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _free_of_machine(tmp_path) == 2_000_000
    (tmp_path / "sys/fs/cgroup/memory.stat").unlink()  # then all that is used counts
    assert _free_of_machine(tmp_path) == 1_500_000
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert _free_of_machine(tmp_path) == 5_120_000
    assert available_bytes() > 0


@pytest.mark.parametrize(("count", "text"), [(7, "7 B"), (1500, "1.5 kB"), (3_720_000, "3.72 MB"), (2e15, "2e+03 TB")])
def test_bytes_read_as_text(count, text):
    assert readable(count) == text
