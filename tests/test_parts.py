"""A sweep trained in parts by processes of their own and merged: the run that one process trains, bit for bit."""

import itertools
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import pytest
from helpers.interrupted_runs import ONE, At, Killed, computed, expect, kill, whole
from jax.experimental.compilation_cache import compilation_cache

from rnnlab.cli.main import main
from rnnlab.config.experiment import Arm
from rnnlab.runs import arm_trainer, merge, run
from rnnlab.runs.progress import NoProgressMeter
from rnnlab.runs.saved_run import load_run
from rnnlab.runs.validate import validate
from rnnlab.storage import files
from rnnlab.training import batch_axis

# noise in every step, swept rates of which the last diverges in some runs or all, probes, every epoch kept
SWEEP = replace(
    ONE, arms={"noisy": Arm("biological_lstm", options={"noise": 0.1}), "plain": Arm("rnn")},
    seeds=(3, 0, 5, 1, 7), learning_rate=(1e-2, 3e-2, 3e38), probes=("lags",),
)  # fmt: skip
EIGHT = replace(ONE, seeds=(*SWEEP.seeds, 9, 2, 8), keep_params_every=None, learning_rate=(1e-2,))


def part_of(config, index: int, count: int):
    about = {"index": index, "of": count, "seeds": list(config.seeds)}
    return replace(config, seeds=merge.split_seeds(config.seeds, index, count)), about


def train(config, directory: Path, part=None, meter=None) -> None:
    assert run.start(validate(config), directory, meter or NoProgressMeter(), None, part)


def opened(*found):
    return [merge.Part(load_run(directory), config) for directory, config in found]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    directory = tmp_path_factory.mktemp("one") / "run"
    return whole(SWEEP, directory), directory


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    return whole(EIGHT, tmp_path_factory.mktemp("eight") / "run")


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    """The directory and config of a part with the first seed alone."""
    config, directory = replace(SWEEP, seeds=(3,)), tmp_path_factory.mktemp("lone") / "part"
    train(config, directory, part_of(SWEEP, 1, 5)[1])
    return directory, config


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The directory and config of each of two uneven parts."""
    found = []
    for index in (1, 2):
        config, about = part_of(SWEEP, index, 2)
        directory = tmp_path_factory.mktemp("parts") / f"part{index}"
        train(config, directory, about)
        found.append((directory, config))
    return found


def without_times(directory: Path) -> dict:
    summary = json.loads((directory / "summary.json").read_text())
    for arm in summary["arms"].values():
        del arm["seconds"]
    return summary


@pytest.mark.parametrize("count", [2, 3, 7])
def test_parts_are_contiguous_even_and_complete(count):
    lengths = [merge.split_seeds(range(7), index + 1, count) for index in range(count)]
    assert list(itertools.chain(*lengths)) == list(range(7))
    assert max(map(len, lengths)) - min(map(len, lengths)) <= 1


@pytest.mark.slow
def test_two_parts_in_any_order_are_one_run(one_process, parts, tmp_path):
    reference, directory = one_process
    assert merge.merge(opened(*reversed(parts)), tmp_path / "merged") == []
    expect(reference, SWEEP, tmp_path / "merged")
    assert without_times(tmp_path / "merged") == without_times(directory)


@pytest.fixture
def programs_kept(tmp_path):
    """As a user's are: most parts have the same."""
    names = ("jax_enable_compilation_cache", "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    for name, value in zip(names, (True, str(tmp_path / "xla"), 0.0), strict=True):
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.mark.shipped  # a device with a single run: compiled in haste, the loop over it rounds otherwise
@pytest.mark.parametrize("count", [3, 7])
def test_any_number_of_parts_killed_and_resumed_is_one_run(eight, programs_kept, tmp_path, monkeypatch, count):
    monkeypatch.setattr(arm_trainer, "STRETCH_SECONDS", 1e-9)  # the meter moves at every step
    monkeypatch.setattr(batch_axis, "PAYS_ON_CPU", range(10**9))  # six of seven parts are one run on four devices
    found = []
    for index in range(1, count + 1):
        config, about = part_of(EIGHT, index, count)
        with pytest.raises(Killed):
            train(config, tmp_path / f"{index}", about, At(2 * index, kill))
        assert run.resume(validate(config), tmp_path / f"{index}", NoProgressMeter())
        found.append((tmp_path / f"{index}", config))
    merge.merge(opened(*found), tmp_path / "merged")
    expect(eight, EIGHT, tmp_path / "merged")


@pytest.mark.slow
def test_a_merged_run_trains_on_for_more_epochs(parts, tmp_path):
    merge.merge(opened(*parts), tmp_path / "merged")
    longer = replace(SWEEP, epochs=3)
    assert run.resume(validate(longer), tmp_path / "merged", NoProgressMeter())
    reference = whole(longer, tmp_path / "one")
    found = computed(longer, tmp_path / "merged")
    assert found["rows"] == reference["rows"]
    for name in longer.arms:
        assert found[name][:-1] == reference[name][:-1]


def refusal(found, out: Path, **options) -> str:
    with pytest.raises(run.InputError) as caught:
        merge.merge(opened(*found), out, **options)
    assert not out.exists()
    assert list(out.parent.glob(".*")) == []
    return str(caught.value)


def altered(directory: Path, name: str, change) -> None:
    document = json.loads((directory / name).read_text())
    change(document)
    files.write_json(directory / name, document)


@pytest.mark.slow
def test_parts_that_do_not_belong_together_are_refused(parts, lone, tmp_path):
    second, other = parts[1]
    out = tmp_path / "merged"
    assert re.match("seed 3 is in .*part1 and in .*lone", refusal([parts[0], lone], out))
    assert refusal([lone, parts[1]], out) == "seeds 0 are in no part; accepted: all parts, or --partial"
    shutil.copytree(second, tmp_path / "copy")
    altered(tmp_path / "copy", "env.json", lambda found: found["dataset"]["source"].update(sha256="0"))
    assert "the data or a cell's file differ" in refusal([parts[0], (tmp_path / "copy", other)], out)
    shutil.copytree(lone[0], tmp_path / "begun")
    altered(tmp_path / "begun", "summary.json", lambda found: found.update(complete=False))
    assert "begun: unfinished" in refusal([parts[1], (tmp_path / "begun", lone[1])], out)
    assert "epochs, batch_size differ" in refusal([parts[0], (second, replace(other, epochs=9, batch_size=1))], out)


@pytest.mark.slow
def test_gaps_are_accepted_if_asked_for_and_said_everywhere(parts, lone, tmp_path, capsys):
    said = merge.merge(opened(lone, parts[1]), tmp_path / "merged", partial=True)
    assert said == ["merged from some parts only: without the seeds 0"]
    assert main(["report", str(tmp_path / "merged")]) == 0
    assert said[0] in capsys.readouterr().out.splitlines()
    assert "ithout the seeds 0" in (tmp_path / "merged" / "report.html").read_text()


@pytest.mark.slow
def test_other_versions_are_merged_and_marked(parts, tmp_path):
    shutil.copytree(parts[1][0], tmp_path / "copy")
    altered(tmp_path / "copy", "env.json", lambda found: found.update(python="3.99.0"))
    said = merge.merge(opened(parts[0], (tmp_path / "copy", parts[1][1])), tmp_path / "merged")
    assert said == ["python differ between the parts: close to one run, not bit-equal"]
    environment = json.loads((tmp_path / "merged" / "env.json").read_text())
    assert [part["python"] for part in environment["parts"]][1] == "3.99.0"


SMALL = ["--quick", "--data", "digits", "--arms", "lstm", "--set", "hidden_size=4", "steps_per_epoch=2"]


def test_the_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for index in ("1", "2"):
        options = ["--seeds", "3", "--part", f"{index}/2", "--out", f"part{index}"]
        assert main(["run", "quickstart", *options, *SMALL]) == 0
    assert main(["merge", "part1", "part2", "--out", "whole"]) == 0
    assert main(["run", "quickstart", "--seeds", "3", "--out", "one", *SMALL]) == 0
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "one")
    capsys.readouterr()
    assert main(["analyze", "whole", "--arm", "lstm", "--what", "gates"]) == 0


@pytest.mark.parametrize("value", ["0/2", "3/2", "1", "a/b", "1/99", "1/", "-1/2", "1/2/3"])
def test_a_part_that_there_is_not_is_refused(value, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "quickstart", "--quick", f"--part={value}"]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"error: --part: '{value}' is not accepted; accepted: I/N with 1 <= I <= N <= ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_one_directory_is_no_merge(parts, tmp_path, capsys):
    again = str(parts[0][0])
    assert main(["merge", again, again, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "error: merge: one run; accepted: two or more, each once\n"
    assert main(["merge", again, str(parts[1][0]), "--out", again]) == 2
    assert "--out: " in capsys.readouterr().err
