"""The README is current: generated tables, the list of studies, and the custom cell, which works as printed."""

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rnnlab.cli import studies
from rnnlab.cli.main import main
from rnnlab.report.write import read_summary

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("readme_generator", ROOT / ".ci" / "readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_cells_is_the_generated_one(generator):
    from rnnlab.cli.cells import table

    assert generator.fill(README, "cells", table(markdown=True)) == README
    assert generator.fill(README, "cells", "old") != README


def test_the_plan_is_the_generated_one(generator):
    assert generator.plan() == (ROOT / "experiments" / "results" / "PLAN.md").read_text()


def test_every_study_is_listed():
    first_cells = re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)
    assert [name for name in studies.names() if name not in first_cells] == []
    assert "cli" not in studies.names()


def test_bench_results_become_a_table_with_the_ratio_to_the_best_peer(generator, tmp_path):
    def record(ms, ratio):
        return {"chars": {"8": {"ms_per_step_per_run": ms, "ratio": ratio, "of_matrix_product": 0.856}}}

    systems = {"rnnlab": record(67.89, 1.0), "rnnlab-bfloat16": record(1, 1), "torch": record(80.0, 1.178)}
    packages = {"jax": "0.10.2", "torch": "2.13.0"}
    document = {
        "results": systems, "environment": {"packages": packages}, "rounds": 7, "matrix_product": {"device": "2 x cpu"},
    }  # fmt: skip
    (tmp_path / "bench.json").write_text(json.dumps(document))
    caption, _, header, _, row = generator.bench(tmp_path).splitlines()
    assert "bench --runs 8 --rounds 7`, 2 x cpu, jax 0.10.2, torch 2.13.0" in caption
    assert header == "| workload | R | of the rate of a large matrix product | rnnlab | speed vs best peer | torch |"
    assert row == "| chars (T20 B128 V89 H512, adagrad) | 8 | 0.86 | 67.9 | 1.18x | 80 (1.18x) |"


def test_the_figures_exist():
    names = re.findall(r"!\[.*?\]\((.*?)\)", README)
    assert len(names) >= 2
    for name in names:
        assert (ROOT / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_lines_of_python_run_as_printed(tmp_path):
    source = re.search(r"```python\n(import jax\n.*?)```", README, re.DOTALL)[1]
    assert len([line for line in source.splitlines() if line.strip()]) <= 25
    shown = subprocess.run([sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert {"lstm", "gru", "leaky"} <= set(shown.stdout.split())
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert read_summary(tmp_path / "runs" / "first")["complete"]


@pytest.mark.slow
def test_the_custom_cell_works_as_printed(tmp_path, monkeypatch):
    source = next(text for text in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "-> Cell" in text)
    assert len([line for line in source.splitlines() if line.strip()]) <= 20
    command = re.search(r"^python -m experiments run.*my_cell\.py(?:.*\\\n)*.*$", README, re.MULTILINE)[0]
    words = shlex.split(command.replace("\\\n", " "))[3:]
    (tmp_path / "my_cell.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    words[words.index("--epochs") + 1] = words[words.index("--seeds") + 1] = "1"
    assert main([*words, "--out", "own"]) == 0
    rows = read_summary(tmp_path / "own")["results"]
    assert [(row["arm"], row.get("leak")) for row in rows] == [
        ("lstm-tanh", None),
        ("leaky", 0.1),
        ("leaky", 0.3),
        ("leaky", 1.0),
    ]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_commands_on_own_data_work_as_printed(tmp_path, monkeypatch):
    section = README.partition("## Your own data")[2].partition("\n## ")[0]
    source, commands = (re.search(rf"```{kind}\n(.*?)```", section, re.DOTALL)[1] for kind in ("python", "sh"))
    (tmp_path / "my_data.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    first, *runs = [shlex.split(line, comments=True) for line in commands.splitlines()]
    subprocess.run([sys.executable, *first[1:]], check=True)
    assert len(runs) == 4
    for number, words in enumerate(runs):
        assert main([*words[3:], "--epochs", "2", "--seeds", "2", "--out", f"run{number}"]) == 0
        for row in read_summary(tmp_path / f"run{number}")["results"]:
            assert all(row["metrics"][f"test_{name}_at_best_validation"]["n"] == 2 for name in ("rmse", "mae", "r2"))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_custom_cell_also_reads_characters(tmp_path, monkeypatch):
    source = next(text for text in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "-> Cell" in text)
    (tmp_path / "my_cell.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    assert main(["run", "quickstart", "--quick", "--cell", "my_cell.py:leaky", "--arms", "leaky", "--out", "own"]) == 0
    assert read_summary(tmp_path / "own")["complete"]
