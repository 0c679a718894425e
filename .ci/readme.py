"""Fill the generated parts of README.md, and PLAN.md: `python .ci/readme.py [QUICKSTART_RUN] [BENCH]`.

Without these only what is made from the repository: the cells, the claims and the landscape of cells.
"""

import re
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

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


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows))


def restored(name: str, folder: Path) -> Any:
    """Everything on the page of a record."""
    from rnnlab.cli import published, report, run
    from rnnlab.runs import record

    record.restore(published.folder() / name, folder / name)
    return report.results(folder / name, run.recorded(folder / name))


def claims() -> str:
    """What the published runs say of every claim that they judged."""
    from rnnlab.cli import published
    from rnnlab.cli.wanted import needed, wanted
    from rnnlab.report import overview
    from rnnlab.report.png import png
    from rnnlab.runs import record

    judged = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in record.records(published.folder()):
            results = restored(name, Path(folder))
            hours = sum(arm["seconds"] or 0.0 for arm in results.summary["arms"].values()) / 3600
            judged[name] = (results.summary["experiment"], results.verdicts, hours)
            if name == published.PICTURE:
                (ROOT / ".readme" / "initialisation.png").write_bytes(png(results.figures()["probes"]))
    found = overview.entries(published.declared(), judged, partial(needed, runs=wanted(published.folder())))
    kept = [entry for entry in found if entry.verdict is not None]
    rows = [[cell.replace("|", "/") for cell in (*row[:3], *row[4:6], row[8])] for row in overview.table(kept).rows]
    header = ["outcome", "claim", "study", "effect (90 % CI)", "n", "run"]
    every = f"<details>\n<summary>Every claim that a run judged</summary>\n\n{markdown(header, rows)}\n\n</details>"
    sentence = overview.sentence(found, published.growing())
    return "\n\n".join([sentence, markdown(*overview.by_study(found)), every])


SHOWN, NAMED = 5, ("lstm", "gru", "cerebral_lstm", "min_gru")


def landscape() -> str:
    """The best cells of each task of the landscape study, and where some stand."""
    from rnnlab.cli import published
    from rnnlab.report import ranking, tables
    from rnnlab.report.png import png
    from rnnlab.runs import record

    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in record.records(published.folder()):
            if not name.startswith("landscape-"):
                continue
            results = restored(name, Path(folder))
            headline = tables.headline_of(results.summary)
            found = ranking.ranked(results.groups, headline)
            if found is None:
                continue
            if name == "landscape-digits":
                (ROOT / ".readme" / "landscape.png").write_bytes(png(results.figures()["cost"]))
            table = ranking.ranks_table(found, results.summary, headline).rows
            names = [group.arm for group in found.groups]
            best = ", ".join(f"{names[place]} {table[place][2]}" for place in range(SHOWN))
            stand = [f"{table[names.index(cell)][2]} (rank {table[names.index(cell)][1]})" for cell in NAMED]
            seeds = found.ranks.shape[1]
            rows.append(
                [f"{name.removeprefix('landscape-')}, {headline.name.replace('_', ' ')}, {seeds} seeds", best, *stand]
            )
    return markdown(["task", f"the best {SHOWN} of {len(names)} by mean rank", *NAMED], rows)


def spread() -> str:
    """The spread between runs of the landscape study by what its seeds vary."""
    from rnnlab.cli import published, run
    from rnnlab.report import spread, tables
    from rnnlab.runs import record

    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in record.records(published.folder()).items():
            if name == "landscape-digits" or name.startswith("landscape-seeds-"):
                results = restored(name, Path(folder))
                runs[run.recorded(path).seed_source] = results.groups
    shown = spread.spread_table(runs, tables.headline_of(results.summary))
    return markdown(shown.header, shown.rows)


def plan() -> str:
    """The published runs, and those that `wanted.toml` still wants."""
    from rnnlab.cli import published
    from rnnlab.cli.wanted import wanted
    from rnnlab.config.document import base_from_json
    from rnnlab.runs import record
    from rnnlab.storage.files import read_json, read_text

    rows, seeds = [], {}
    for name, path in record.records(published.folder()).items():
        config, _ = base_from_json(read_text(path / "config.json"))
        seconds = sum(arm["seconds"] or 0.0 for arm in read_json(path / "summary.json")["arms"].values())
        command = " ".join(read_json(path / "env.json")["command"][3:])
        command = re.sub(r" --(out DIR|part \d+/\d+)", "", command)
        rows.append([name, f"`{command}`", str(len(config.seeds)), f"{seconds / 3600:.2g} spent", "published"])
        seeds[name] = len(config.seeds)
    for run in wanted(published.folder()):
        whole = len(run.config.seeds)
        missing = whole - seeds.get(run.name, 0)
        if missing > 0:
            state = "not run" if run.name not in seeds else f"{missing} of {whole} seeds not run"
            hours = f"{round(run.hours * missing / whole, 1):,g} estimated"
            rows.append([run.name, f"`{run.command}`", str(whole), hours, state])
    header = ["run", "python -m experiments ...", "seeds", "hours", "state"]
    words = (
        "Made by `python .ci/readme.py` from the records beside it and `wanted.toml`. Hours are of the machine in each "
        "record's env.json; estimates are of two CPU cores, by `run ... --dry-run` (mnist_slim by some of its arms)."
    )
    return f"# Runs\n\n{words}\n\n{markdown(header, rows)}\n"


def main() -> None:
    from rnnlab.cli.cells import table

    readme = ROOT / "README.md"
    text = fill(readme.read_text(), "cells", table(markdown=True))
    text = fill(fill(text, "claims", claims()), "landscape", landscape())
    text = fill(text, "spread", spread())
    for directory in map(Path, sys.argv[1:]):
        part = bench if (directory / "bench.json").exists() else quickstart
        text = fill(text, part.__name__, part(directory))
    readme.write_text(text)
    (ROOT / "experiments" / "results" / "PLAN.md").write_text(plan())


if __name__ == "__main__":
    main()
