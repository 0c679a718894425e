"""Fill the generated parts of README.md: `python .ci/readme.py [QUICKSTART_RUN] [BENCH]`; without, only the cells."""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def fill(text: str, part: str, content: str) -> str:
    """``text`` with the content between the marks of ``part`` replaced."""
    marks = rf"(<!-- {part} -->\n).*?(<!-- /{part} -->)"
    return re.sub(marks, lambda match: f"{match[1]}{content}\n{match[2]}", text, count=1, flags=re.DOTALL)


def quickstart(directory: Path) -> str:
    """The figure and the table of a finished run of quickstart."""
    from rnnlab.report.write import read_summary, table
    from rnnlab.storage.files import read_json

    summary = read_summary(directory)
    shutil.copy(directory / "figures" / "loss_curves.png", ROOT / ".readme" / "quickstart.png")
    header, rows = table(summary)
    lines = [f"| {' | '.join(line)} |" for line in (header, ["---", *["---:"] * (len(header) - 1)], *rows)]
    environment = read_json(directory / "env.json")
    devices, packages = environment["devices"], environment["packages"]
    where = f"{len(devices)} {devices[0].split(':')[0].upper()} devices, jax {packages['jax']}"
    picture = "![Loss of four cells by epoch, mean over 16 seeds with 95 % CI](.readme/quickstart.png)"
    caption = f"`python -m experiments run quickstart`, {where}; mean ± half-width of the 95 % CI over seeds."
    return "\n".join([picture, "", caption, "", *lines])


def bench(directory: Path) -> str:
    """The table of a bench of systems: a row for each workload and number of runs."""
    from rnnlab.bench.report import best_peer
    from rnnlab.bench.worker import RNNLAB
    from rnnlab.bench.workloads import WORKLOADS
    from rnnlab.storage.files import read_json

    document = read_json(directory / "bench.json")
    results, environment = document["results"], document["environment"]
    peers = [system for system in results if not system.startswith(RNNLAB)]
    header = ["workload", "R", "of the rate of a large matrix product", RNNLAB, "speed vs best peer", *peers]
    rows, run_counts = [], dict.fromkeys(runs for by_runs in results[RNNLAB].values() for runs in by_runs)
    for workload, by_runs in results[RNNLAB].items():
        for runs, record in by_runs.items():
            best, milliseconds = best_peer(results, workload, runs), record["ms_per_step_per_run"]
            row = [
                f"{workload} ({WORKLOADS[workload].sizes})",
                runs,
                f"{record['of_matrix_product']:.2f}",
                f"{milliseconds:.3g}",
            ]
            row.append(f"{best / milliseconds:.2f}x" if best else "-")
            for peer in peers:
                other = results[peer][workload][runs]
                row.append(
                    "failed" if other.get("error") else f"{other['ms_per_step_per_run']:.3g} ({other['ratio']:.2f}x)"
                )
            rows.append(row)
    lines = [f"| {' | '.join(line)} |" for line in (header, ["---", *["---:"] * (len(header) - 1)], *rows)]
    device, packages = document["matrix_product"]["device"], environment["packages"]
    caption = (
        f"`python -m experiments bench --runs {','.join(run_counts)} --rounds {document['rounds']}`, {device}, "
        f"jax {packages['jax']}, torch {packages['torch']}: median milliseconds per training step and run of an LSTM "
        f"with R runs at once; in parentheses the ratio to {RNNLAB}."
    )
    return "\n".join([caption, "", *lines])


def main() -> None:
    from rnnlab.cli.cells import table

    readme = ROOT / "README.md"
    text = fill(readme.read_text(), "cells", table(markdown=True))
    for directory in map(Path, sys.argv[1:]):
        part = bench if (directory / "bench.json").exists() else quickstart
        text = fill(text, part.__name__, part(directory))
    readme.write_text(text)


if __name__ == "__main__":
    main()
