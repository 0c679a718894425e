"""Fill the generated parts of README.md: `python .ci/readme.py [RUN_OF_QUICKSTART] [BENCH]`, or the cells alone."""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def fill(text: str, part: str, content: str) -> str:
    """``text`` with what stands between the marks of ``part`` replaced."""
    marks = rf"(<!-- {part} -->\n).*?(<!-- /{part} -->)"
    return re.sub(marks, lambda match: f"{match[1]}{content}\n{match[2]}", text, count=1, flags=re.DOTALL)


def quickstart(directory: Path) -> str:
    """The picture and the table of a finished run of the quickstart."""
    from rnnlab.report.write import read_summary, table
    from rnnlab.storage.files import read_json

    summary = read_summary(directory)
    shutil.copy(directory / "figures" / "loss_curves.png", ROOT / ".readme" / "quickstart.png")
    header, rows = table(summary)
    lines = [f"| {' | '.join(line)} |" for line in (header, ["---", *["---:"] * (len(header) - 1)], *rows)]
    environment = read_json(directory / "env.json")
    devices, packages = environment["devices"], environment["packages"]
    where = f"{len(devices)} {devices[0].split(':')[0].upper()} devices, jax {packages['jax']}"
    picture = "![Loss of four cells by epoch, mean over 16 seeds with 95 % intervals](.readme/quickstart.png)"
    caption = f"`python -m experiments run quickstart`, {where}; mean ± half of the 95 % interval over seeds."
    return "\n".join([picture, "", caption, "", *lines])


def bench(directory: Path) -> str:
    """The table of a bench of systems with one number of runs."""
    from rnnlab.bench.cases import OURS
    from rnnlab.bench.workloads import WORKS
    from rnnlab.storage.files import read_json

    document = read_json(directory / "bench.json")
    results, environment = document["results"], document["environment"]
    (runs,) = {runs for works in results.values() for by_runs in works.values() for runs in by_runs}

    def cell(system: str, work: str) -> str:
        record = results[system][work][runs]
        milliseconds = f"{record['ms_per_step_per_run']:.3g}"
        return f"{record['of_matrix_product']:.2f} | {milliseconds}" if system == OURS else (
            f"{milliseconds} ({record['ratio']:.2f}x)"
        )  # fmt: skip

    peers = [system for system in results if not system.startswith(OURS)]
    header = ["work", "of a large matrix product's rate", OURS, *peers]
    rows = [
        [f"{work} ({WORKS[work].sizes})", *(cell(system, work) for system in (OURS, *peers))] for work in results[OURS]
    ]
    lines = [f"| {' | '.join(line)} |" for line in (header, ["---", *["---:"] * (len(header) - 1)], *rows)]
    device, packages = document["matrix_product"]["device"], environment["packages"]
    caption = (
        f"`python -m experiments bench --runs {runs} --rounds {document['rounds']}`, {device}, jax {packages['jax']}, "
        f"torch {packages['torch']}: milliseconds of one training step of one run of an LSTM, {runs} runs at once; "
        "medians, and times those of rnnlab."
    )
    return "\n".join([caption, "", *lines])


def main() -> None:
    from experiments.cli.cells import table

    readme = ROOT / "README.md"
    text = fill(readme.read_text(), "cells", table(markdown=True))
    for directory in map(Path, sys.argv[1:]):
        part = bench if (directory / "bench.json").exists() else quickstart
        text = fill(text, part.__name__, part(directory))
    readme.write_text(text)


if __name__ == "__main__":
    main()
