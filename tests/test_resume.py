"""Stopped or killed anywhere and resumed: metrics and parameters are those of an uninterrupted run, bit for bit."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.interrupted_runs import ONE, At, Killed, computed, expect, interrupt, kill, whole

from experiments import quickstart
from rnnlab.cli.main import main
from rnnlab.config.experiment import Arm
from rnnlab.runs import arm_trainer, run
from rnnlab.runs.progress import NoProgressMeter
from rnnlab.runs.validate import validate
from rnnlab.storage import checkpoint
from rnnlab.storage import files as storage_files

ROOT = Path(__file__).resolve().parent.parent

# the second draws noise in every step, from its seed and its step
TWO = replace(ONE, arms={"plain": Arm("rnn"), "noisy": Arm("biological_lstm", options={"noise": 0.1})}, seeds=(0, 5))


@pytest.fixture(autouse=True, scope="module")
def look_after_every_step():
    """Stretches of one step: the n-th call of a watcher's ``move`` is the n-th step, on any machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arm_trainer, "STRETCH_SECONDS", 1e-9)
        yield


def files(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """An uninterrupted run of ONE, which saves only at its end."""
    directory = tmp_path_factory.mktemp("reference") / "run"
    return whole(replace(ONE, checkpoint_interval_s=1e9), directory), directory


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(0, id="before", marks=pytest.mark.exhaustive),
        pytest.param(7, id="epoch's end", marks=pytest.mark.exhaustive),
        pytest.param(9, id="second epoch"),
    ],
)
@pytest.mark.slow
def test_ctrl_c_and_resume(reference, tmp_path, moment):
    directory = tmp_path / "run"
    before = signal.getsignal(signal.SIGINT)
    assert not run.start(validate(ONE), directory, At(moment, interrupt))
    assert checkpoint.position(directory / "checkpoints" / "plain").step == moment
    assert signal.getsignal(signal.SIGINT) is before
    assert (directory / "summary.json").exists()
    assert run.resume(validate(ONE), directory, NoProgressMeter())
    expect(reference[0], ONE, directory)


@pytest.mark.shipped
def test_killed_again_and_again(reference, tmp_path):
    directory, kills = tmp_path / "run", 0
    with pytest.raises(Killed):
        run.start(validate(ONE), directory, At(3, kill))
    for _ in range(10):
        kills += 1
        try:
            assert run.resume(validate(ONE), directory, At(6, kill))
            break
        except Killed:
            continue
    assert kills >= 2
    expect(reference[0], ONE, directory)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """An uninterrupted run of TWO."""
    directory = tmp_path_factory.mktemp("two") / "run"
    return whole(replace(TWO, checkpoint_interval_s=1e9), directory), directory


@pytest.mark.slow
def test_stopped_between_two_arms_one_of_which_is_noisy(two, tmp_path):
    directory = tmp_path / "run"
    assert not run.start(validate(TWO), directory, At(15, interrupt))  # as the second begins
    assert checkpoint.position(directory / "checkpoints" / "plain").done
    assert checkpoint.position(directory / "checkpoints" / "noisy").step == 0
    with pytest.raises(Killed):
        run.resume(validate(TWO), directory, At(5, kill))
    assert run.resume(validate(TWO), directory, NoProgressMeter())
    expect(two[0], TWO, directory)


class Nth:
    """A function that is killed before or after its n-th call."""

    def __init__(self, function, nth: int, *, after: bool) -> None:
        self.function, self.left, self.after = function, nth, after

    def __call__(self, *args, **kwargs):
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        result = self.function(*args, **kwargs)
        if self.left == 0:
            raise Killed
        return result


def half_removed(path, *args, **kwargs):
    """A deletion that is killed when some files are gone."""
    inside = sorted(p for p in Path(path).rglob("*") if p.is_file())
    for victim in inside[: len(inside) // 2]:
        victim.unlink()
    raise Killed


@pytest.mark.parametrize(
    "where",
    [
        pytest.param("between metrics and checkpoint", marks=SLOW),
        pytest.param("before deleting", marks=pytest.mark.exhaustive),
        pytest.param("while deleting", marks=pytest.mark.exhaustive),
        pytest.param("summary", marks=pytest.mark.exhaustive),
    ],
)
def test_killed_inside_a_save(reference, tmp_path, monkeypatch, where):
    directory = tmp_path / "run"
    if where == "between metrics and checkpoint":
        monkeypatch.setattr(checkpoint, "save", Nth(checkpoint.save, 3, after=False))
    elif where == "before deleting":
        monkeypatch.setattr(checkpoint.shutil, "rmtree", Nth(shutil.rmtree, 1, after=False))
    elif where == "while deleting":
        monkeypatch.setattr(checkpoint.shutil, "rmtree", half_removed)
    else:
        monkeypatch.setattr(storage_files, "write_json", Nth(storage_files.write_json, 4, after=False))
    with pytest.raises(Killed):
        run.start(validate(ONE), directory, NoProgressMeter())
    monkeypatch.undo()
    assert run.resume(validate(ONE), directory, NoProgressMeter())
    expect(reference[0], ONE, directory)


@pytest.mark.parametrize("nth", [1, 2])
def test_killed_before_there_is_a_directory(tmp_path, monkeypatch, nth):
    monkeypatch.setattr(storage_files, "write_whole", Nth(storage_files.write_whole, nth, after=True))
    with pytest.raises(Killed):
        run.start(validate(ONE), tmp_path / "run", NoProgressMeter())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_killed_before_the_first_save(reference, tmp_path):
    directory = tmp_path / "run"
    config = replace(ONE, checkpoint_interval_s=1e9)
    with pytest.raises(Killed):
        run.start(validate(config), directory, At(12, kill))
    assert not (directory / "metrics.parquet").exists()
    assert run.resume(validate(config), directory, NoProgressMeter())
    expect(reference[0], config, directory)


@pytest.mark.slow
def test_resuming_a_finished_run_changes_nothing(reference, tmp_path, capsys):
    directory = tmp_path / "run"
    shutil.copytree(reference[1], directory)
    assert main(["report", str(directory)]) == 0
    before = files(directory)
    stamps = {path: (directory / path).stat().st_mtime_ns for path in before if "checkpoints" in path}
    capsys.readouterr()
    assert main(["resume", str(directory)]) == 0
    assert files(directory) == before
    assert {path: (directory / path).stat().st_mtime_ns for path in stamps} == stamps
    assert "plain" in capsys.readouterr().out


@pytest.mark.slow
def test_a_kill_while_a_finished_run_is_resumed_leaves_it_finished(two, tmp_path, monkeypatch):
    directory = Path(shutil.copytree(two[1], tmp_path / "run"))
    before = files(directory)
    monkeypatch.setattr(storage_files, "write_json", Nth(storage_files.write_json, 1, after=True))
    with contextlib.suppress(Killed):
        run.resume(validate(replace(TWO, checkpoint_interval_s=1e9)), directory, NoProgressMeter())
    assert files(directory) == before


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_finished_run_continued_for_more_epochs_equals_a_longer_run(tmp_path):
    """Of two arms, the first of which goes on after the second has ended."""
    longer = replace(TWO, epochs=3)
    reference = whole(longer, tmp_path / "longer")
    directory = tmp_path / "run"
    assert run.start(validate(TWO), directory, NoProgressMeter())
    with pytest.raises(Killed):
        run.resume(validate(longer), directory, At(3, kill))
    assert run.resume(validate(longer), directory, NoProgressMeter())
    expect(reference, longer, directory)


LIMITED = """
import resource, sys
from rnnlab.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run of ONE that was stopped in its first epoch."""
    directory = tmp_path_factory.mktemp("stopped") / "run"
    assert not run.start(validate(ONE), directory, At(3, interrupt))
    return directory


@pytest.mark.slow
def test_a_full_disk_costs_nothing_that_was_saved(reference, stopped, tmp_path):
    limit = 5000  # bytes of a file: the metrics pass, a checkpoint does not
    directory = tmp_path / "run"
    shutil.copytree(stopped, directory)
    saved = files(directory / "checkpoints")
    sizes = sorted(len(content) for content in saved.values())
    assert sizes[-1] > 5000 > len((directory / "metrics.parquet").read_bytes())
    command = [sys.executable, "-c", LIMITED, str(limit), "resume", str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    # A thread of tensorstore may come late, find orbax's event loop closed and print that, before, after or within the
    # line that is ours.
    lines = [line for line in done.stderr.splitlines() if f"error: {directory}" in line]
    assert len(lines) == 1, done.stderr
    assert f"{ROOT}/rnnlab/" not in done.stderr.replace(lines[0], ""), done.stderr
    after = files(directory / "checkpoints")
    assert {path: after.get(path) for path in saved} == saved
    assert run.resume(validate(ONE), directory, NoProgressMeter())
    expect(reference[0], ONE, directory)


@pytest.mark.slow
def test_a_disk_that_is_full_when_a_run_is_stopped_right_after_a_save(reference, stopped, tmp_path, monkeypatch):
    # The stop saves at the step that is on disk already: that checkpoint is the only one there is.
    directory = tmp_path / "run"
    shutil.copytree(stopped, directory)
    import orbax.checkpoint.experimental.v1._src.handlers.pytree_handler as handler

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(handler.PyTreeHandler, "save", full)
    with contextlib.suppress(OSError):
        run.resume(validate(ONE), directory, At(0, interrupt))
    monkeypatch.undo()
    assert checkpoint.position(directory / "checkpoints" / "plain").step == 3
    assert run.resume(validate(ONE), directory, NoProgressMeter())
    expect(reference[0], ONE, directory)


def launch(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "experiments", *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, "JAX_NUM_CPU_DEVICES": "4"},
    )  # fmt: skip


def wait_for_a_save(process: subprocess.Popen, directory: Path) -> None:
    """Until there is another checkpoint than now, or the process has ended."""

    def seen():
        return sorted(directory.glob("checkpoints/*/step_????????"))

    before, deadline = seen(), time.monotonic() + 60
    while seen() in (before, []) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)


@pytest.mark.slow
def test_a_real_kill_and_a_polite_one(tmp_path, monkeypatch):
    monkeypatch.setattr(arm_trainer, "STRETCH_SECONDS", 0.5)  # as in earnest
    directory = tmp_path / "a run"
    arguments = ["run", "quickstart", "--data", "digits", "--arms", "lstm", "--seeds", "2", "--epochs", "40",
                 "--out", str(directory), "--set", "arms.lstm.cell=rnn", "hidden_size=4", "steps_per_epoch=70",
                 "batch_size=16",
                 "checkpoint_interval_s=0.02"]  # fmt: skip
    process = launch(*arguments)
    wait_for_a_save(process, directory)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"

    process = launch("resume", str(directory))
    wait_for_a_save(process, directory)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "Traceback" not in err
    assert f"python -m experiments resume '{directory}'" in err  # as a shell takes it
    assert out == ""

    assert main(["resume", str(directory)]) == 0
    reference = tmp_path / "reference"
    assert (
        main([*arguments[: arguments.index("--out") + 1], str(reference), *arguments[arguments.index("--set") :]]) == 0
    )
    assert (directory / "metrics.parquet").read_bytes() == (reference / "metrics.parquet").read_bytes()
    config = replace(
        quickstart.CONFIG, arms={"lstm": Arm("rnn")}, data="digits", seeds=(0, 1), epochs=40, hidden_size=4,
        steps_per_epoch=70, batch_size=16, checkpoint_interval_s=0.02,
    )  # fmt: skip
    expect(computed(config, reference), config, directory)
