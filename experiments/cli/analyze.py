"""The command ``analyze``: what the cells of a run do, by arm and epoch; a table, figures and the data behind them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.cli.selection import chosen_arms, tell_left_out, which, whole
from rnnlab.config.experiment import MOST
from rnnlab.core.errors import InputError, choose

if TYPE_CHECKING:  # JAX takes its time
    from rnnlab.analysis import Measured
    from rnnlab.runs.saved_run import SavedRun

ALL = "all"
MOST_EXAMPLES = 10_000
NAMES = ("gates", "state", "paths", "lags", "jacobian", "fixed_points", "components")

OPTIONS = (
    ("--arm", "A,B,...", ALL, "these arms only (default all)"),
    ("--seed", "N", None, "one of the run's seeds (default: all, mean and interval)"),
    ("--epoch", "E,F,...", ALL, "first (untrained), best, last, numbers that keep_every kept; all: first, these, best"),
    ("--examples", "N", "32", "how many of the validation split to read (default 32)"),
    ("--what", "A,B,...", ",".join(NAMES), f"parts of the analysis (default all): {', '.join(NAMES)}"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` what ``show`` takes."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="the run's directory; it need not be finished")
    for name, shown, default, told in OPTIONS:
        parser.add_argument(name, metavar=shown, default=default, help=told)
    told = "which of the swept numbers, where the run has several (default: all), as in delta=1e-3"
    parser.add_argument("--set", metavar="NAME=VALUE", nargs="+", action="extend", default=[], help=told)
    parser.add_argument("--out", type=Path, metavar="DIR", help="where tables and figures go (default DIR/analysis)")


def show(options: argparse.Namespace) -> int:
    """Measure the cells of a run: gates, state, paths, gradient by lag, Jacobians, fixed points, components."""
    parts = [choose("--what", name, NAMES) for name in _listed("--what", options.what)]
    count = whole("--examples", options.examples, 1, MOST_EXAMPLES)
    from rnnlab.runs.saved_run import load_run

    run = load_run(options.directory)
    arms, left_out = _arms(run, options)
    seeds = list(run.config.seeds)
    if options.seed is not None:
        seeds = [int(choose("--seed", options.seed, map(str, seeds)))]
    lines = list(_lines(run, arms, options))
    found, notes = _measure(run, lines, seeds, parts, count)
    tell_left_out(left_out)
    for note in notes:
        print(note, file=sys.stderr)
    paths = _write(found, seeds, options.out or options.directory / "analysis")
    for part in parts:
        print(_table(part, [record for record in found["hyperparams"] if record["part"] == part]), end="")
    print(f"mean ± half of the 95 % interval over seeds ({', '.join(map(str, seeds))}); scatters show seed {seeds[0]}")
    print("   ".join(f"figure: {path}" for path in paths))
    return 0


def _listed(name: str, text: str) -> list[str]:
    if found := [part for part in dict.fromkeys(text.split(",")) if part]:
        return found
    raise InputError(f"{name}: is empty; accepted: names with commas between them")


def _arms(run: SavedRun, options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The arms that are asked for, and those that ``all`` leaves out since nothing of them is saved."""
    names = list(run.config.arms)
    if options.arm == ALL:
        return chosen_arms(run, options)
    return [choose("--arm", name, [*names, ALL]) for name in _listed("--arm", options.arm)], []


def _lines(run: SavedRun, arms: Sequence[str], options: argparse.Namespace) -> Iterator[tuple[str, str, dict, list]]:
    """Label, arm, numbers and epochs of each arm and combination of swept numbers. Raises InputError."""
    for arm in arms:
        asked = argparse.Namespace(**{**vars(options), "epoch": "best", "seed": None})
        fixed, _, _ = which(run, arm, asked, list(arms))
        swept = {name: [fixed[name]] if name in fixed else values for name, values in run.hyperparams(arm).items()}
        kept: list[str | int] = [*run.kept(arm)]
        names = _listed("--epoch", options.epoch)
        epochs = ["first", *kept, "best"] if names == [ALL] else [_epoch(name) for name in names]
        for epoch in epochs:
            choose("--epoch", str(epoch), ["first", "best", "last", *map(str, kept)])
        varying = [name for name, values in run.hyperparams(arm).items() if len(values) > 1]
        for values in product(*swept.values()):
            hyperparams = dict(zip(swept, values, strict=True))
            yield " ".join([arm, *(f"{n}={hyperparams[n]:g}" for n in varying)]), arm, hyperparams, epochs


def _epoch(name: str) -> str | int:
    return whole("--epoch", name, 0, MOST) if name.isdecimal() else name


def _measure(
    run: SavedRun, lines: Sequence[tuple[str, str, dict, list]], seeds: list[int], parts: list[str], count: int
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """The records of each table by its name, and what was left out and why."""
    from rnnlab.analysis import PARTS, subject

    batch = run.examples("validation", count)
    found: dict[str, list[dict[str, Any]]] = {"hyperparams": []}
    notes: dict[str, None] = {}
    diverged = None
    for label, arm, hyperparams, epochs in lines:
        cell = run.cell(arm, **hyperparams)
        for epoch in epochs:
            subjects = []
            for seed in seeds:
                try:
                    subjects.append(subject(run, arm, seed, epoch, batch=batch, cell=cell, **hyperparams))
                except InputError as error:  # a run that died before it had a best epoch; the others go on
                    diverged = error
                    notes[f"left out: {error}"] = None
            if not subjects:
                continue
            print(f"{label}, epoch {epoch}: {len(subjects)} seeds", file=sys.stderr)
            for part in parts:
                try:
                    measured = [PARTS[part](one) for one in subjects]
                except InputError as error:  # a cell that has no steps
                    notes[f"{part} left out for {label}: {error}"] = None
                    continue
                if note := measured[0].note:
                    notes[f"{part} left out for {label}: {note}"] = None
                    continue
                _add(found, {"arm": label, "epoch": epoch}, part, measured, last=epoch == epochs[-1])
    if diverged is not None and not found["hyperparams"]:
        raise diverged
    return found, list(notes)


def _add(
    found: dict[str, list[dict[str, Any]]], known: dict[str, Any], part: str, runs: Sequence[Measured], *, last: bool
) -> None:
    """Means over seeds of numbers and lines; the points of the first seed, at the last of the epochs asked for."""
    import numpy as np

    from rnnlab.stats import mean_interval

    for what in dict.fromkeys(name for one in runs for name in one.hyperparams):
        interval = mean_interval(np.array([one.hyperparams.get(what, np.nan) for one in runs]))
        found["hyperparams"].append({"part": part, **known, "what": what, **interval._asdict()})
    for what, (xs, _) in runs[0].lines.items():
        for place, x in enumerate(xs):
            interval = mean_interval(np.array([one.lines[what][1][place] for one in runs]))
            point = {**known, "what": what, "lag" if part == "lags" else "step": int(x), **interval._asdict()}
            found.setdefault(part, []).append(point)
    if last:
        found.setdefault(part, []).extend({**known, **point} for point in runs[0].points)


def _write(found: dict[str, list[dict[str, Any]]], seeds: list[int], directory: Path) -> list[Path]:
    """A CSV of each table, and its figure."""
    from rnnlab.analysis import figures
    from rnnlab.report.tables import csv_text
    from rnnlab.storage import files

    over = f"mean over {len(seeds)} seeds and its 95 % interval" if len(seeds) > 1 else f"seed {seeds[0]}"
    one = f"seed {seeds[0]}, epoch"
    scatters = {
        "gates": figures.Scatter("shut", "open", ["gate"], unit=True),
        "jacobian": figures.Scatter("real", "imaginary", ["step"], circle=True),
        "fixed_points": figures.Scatter("component_1", "component_2", ["kind"]),
        "components": figures.Scatter("component_1", "component_2", ["step", "class"]),
    }
    told = {
        "gates": "each unit: part of its gate values below 0.1 (shut) and above 0.9 (open)",
        "jacobian": "eigenvalues of the Jacobian of a step, along one example",
        "fixed_points": "ends of the search for fixed points of the memory at the mean input; slow: q > 1e-9",
        "components": "outputs in the plane of their first principal components",
        "state": "the memory by step", "paths": "distance of the paths by step",
        "lags": "gradient of the last output with respect to earlier memory",
    }  # fmt: skip
    paths = []
    for name, points in found.items():
        if not points:
            continue
        if name == "hyperparams":
            picture = figures.draw_training(points, f"over training: {over}")
        elif name in scatters:
            picture = figures.draw_points(points, scatters[name], f"{told[name]} ({one} {points[-1]['epoch']})")
        else:
            x = "lag" if name == "lags" else "step"
            picture = figures.draw_lines(points, x, f"{told[name]}: {over}", log_x=name == "lags")
        files.write_whole(directory / f"{name}.csv", csv_text(points).encode())
        files.write_whole(directory / f"{name}.png", picture)
        paths.append(directory / f"{name}.png")
    return paths


def _table(part: str, records: Sequence[dict[str, Any]]) -> str:
    """The numbers of one part: a row an arm and epoch."""
    from rich.console import Console
    from rich.table import Table

    if not records:
        return ""
    names = list(dict.fromkeys(record["what"] for record in records))
    shown = Table(title=None, box=None, header_style="bold")
    for index, name in enumerate([part, "epoch", *names, "n"]):
        shown.add_column(name, justify="left" if index == 0 else "right", no_wrap=index == 0)
    for arm, epoch in dict.fromkeys((record["arm"], record["epoch"]) for record in records):
        here = {r["what"]: r for r in records if (r["arm"], r["epoch"]) == (arm, epoch)}
        cells = [_number(here[name]) if name in here else "-" for name in names]
        shown.add_row(arm, str(epoch), *cells, str(max(record["n"] for record in here.values())))
    console = Console(highlight=False)
    console.width = max(console.width if console.is_terminal else 160, 40)
    with console.capture() as captured:
        console.print(shown)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n\n"


def _number(interval: dict[str, Any]) -> str:
    if not interval["n"]:
        return "-"
    half = interval["mean"] - interval["low"]
    return f"{interval['mean']:.3g}" + ("" if half != half else f" ± {half:.1g}")
