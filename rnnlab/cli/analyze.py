"""The command ``analyze``: what the cells of a run do, by arm and epoch; tables, figures and their CSV."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rnnlab.cli import trust
from rnnlab.cli.devices import check_devices
from rnnlab.cli.selection import chosen_arms, tell_left_out, which, whole
from rnnlab.config.experiment import MOST
from rnnlab.core.errors import InputError, choose
from rnnlab.core.terminal import escaped, listing, terminal_table

if TYPE_CHECKING:  # importing JAX is slow
    from rnnlab.analysis import Measurement
    from rnnlab.runs.saved_run import SavedRun

ALL = "all"
MAX_EXAMPLES = 10_000
Records = list[dict[str, Any]]

OPTIONS = (
    ("--arm", "A,B,...", ALL, "arms (default: all)"),
    ("--seed", "N", None, "one of the run's seeds (default: all, with mean and 95 %% CI)"),
    ("--epoch", "E,F,...", ALL, "first (untrained), best, last, or epochs of keep_params_every; all (default): first, "
                                "these and best"),
    ("--examples", "N", "32", "number of validation examples (default: 32)"),
    ("--what", "A,B,...", ALL,
     "gates, state, paths, lags, jacobian, lyapunov, fixed_points, components (default: all)"),
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``analyze``."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="the run's directory; it may be unfinished")
    for name, metavar, default, text in OPTIONS:
        parser.add_argument(name, metavar=metavar, default=default, help=text)
    text = "one value of a swept hyperparameter (default: all), as in delta=1e-3"
    parser.add_argument("--set", metavar="NAME=VALUE", nargs="+", action="extend", default=[], help=text)
    parser.add_argument("--out", type=Path, metavar="DIR", help="directory of the output (default: DIR/analysis)")
    trust.add_arguments(parser)


class Selection(NamedTuple):
    """An arm with one combination of hyperparameters, and the epochs to analyze."""

    label: str
    arm: str
    hyperparams: dict[str, float]
    epochs: list[str | int]


def show(options: argparse.Namespace) -> int:
    """Analyze the cells of a run: gates, state, paths, gradient by lag, Jacobians, Lyapunov exponents, fixed points,
    components."""
    count = whole("--examples", options.examples, 1, MAX_EXAMPLES)
    from rnnlab.analysis import ANALYSES
    from rnnlab.runs.saved_run import load_run

    names = _split("--what", options.what)
    analyses = list(ANALYSES) if names == [ALL] else [choose("--what", name, ANALYSES) for name in names]
    run = load_run(options.directory, options.cell_file)
    arms, without_checkpoint = _arms(run, options)
    trust.check_run(run, arms, options)
    check_devices()
    seeds = list(run.config.seeds)
    if options.seed is not None:
        seeds = [int(choose("--seed", options.seed, map(str, seeds)))]
    tables, notes = _measure(run, list(_selections(run, arms, options)), seeds, analyses, count)
    tell_left_out(without_checkpoint)
    for note in notes:
        print(escaped(note), file=sys.stderr)
    figures = _write(tables, notes, seeds, options.out or options.directory / "analysis")
    for name in analyses:
        print(_table(name, [record for record in tables["scalars"] if record["part"] == name]), end="")
    print(f"mean ± half-width of the 95 % CI over seeds {', '.join(map(str, seeds))}; scatter plots show one seed")
    print(listing([f"figure: {path}" for path in figures]))
    return 0


def _split(option: str, text: str) -> list[str]:
    if names := [name for name in dict.fromkeys(text.split(",")) if name]:
        return names
    raise InputError(f"{option}: is empty; accepted: comma-separated names")


def _arms(run: SavedRun, options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The selected arms, and the arms without a checkpoint that ``all`` leaves out."""
    names = list(run.config.arms)
    if options.arm == ALL:
        return chosen_arms(run, options)
    return [choose("--arm", name, [*names, ALL]) for name in _split("--arm", options.arm)], []


def _selections(run: SavedRun, arms: Sequence[str], options: argparse.Namespace) -> Iterator[Selection]:
    """A selection for each arm and combination of swept hyperparameters. Raises InputError."""
    names = _split("--epoch", options.epoch)
    for arm in arms:
        grid = run.hyperparams(arm)
        one_epoch = argparse.Namespace(**{**vars(options), "epoch": "best", "seed": None})
        fixed, _, _ = which(run, arm, one_epoch, list(arms))
        kept: list[str | int] = [*run.kept(arm)]
        epochs = ["first", *kept, "best"] if names == [ALL] else [_epoch(name) for name in names]
        for epoch in epochs:
            choose("--epoch", str(epoch), ["first", "best", "last", *map(str, kept)])
        for values in product(*([fixed[name]] if name in fixed else grid[name] for name in grid)):
            hyperparams = dict(zip(grid, values, strict=True))
            swept = [f"{name}={hyperparams[name]:g}" for name in grid if len(grid[name]) > 1]
            yield Selection(" ".join([arm, *swept]), arm, hyperparams, epochs)


def _epoch(name: str) -> str | int:
    return whole("--epoch", name, 0, MOST) if name.isdecimal() else name


def _measure(
    run: SavedRun, selections: Sequence[Selection], seeds: list[int], analyses: list[str], count: int
) -> tuple[dict[str, Records], list[str]]:
    """The records of each table, and notes on what was left out. Raises InputError if nothing can be analyzed."""
    from rnnlab.analysis import subject

    batch = run.examples("validation", count)
    tables: dict[str, Records] = {"scalars": []}
    notes: dict[str, None] = {}
    failure = None
    for selection in selections:
        try:
            cell = run.cell(selection.arm, **selection.hyperparams)
        except InputError as error:  # an encoder and a decoder
            failure = error
            notes[f"left out: {error}"] = None
            continue
        for epoch in selection.epochs:
            subjects = {}
            for seed in seeds:
                try:
                    subjects[seed] = subject(
                        run, selection.arm, seed, epoch, batch=batch, cell=cell, **selection.hyperparams
                    )
                except InputError as error:  # a diverged run
                    failure = error
                    notes[f"left out: {error}"] = None
            if not subjects:
                continue
            print(f"{selection.label}, epoch {epoch}: {len(subjects)} seeds", file=sys.stderr)
            for name in analyses:
                measured, reason = _of_seeds(name, subjects)
                if reason:
                    notes[f"{name} left out for {selection.label}: {reason}"] = None
                if measured:
                    keys = {"arm": selection.label, "epoch": epoch}
                    _add(tables, keys, name, measured, last=epoch == selection.epochs[-1])
    if failure is not None and not tables["scalars"]:
        raise failure
    return tables, list(notes)


def _of_seeds(name: str, subjects: Mapping[int, Any]) -> tuple[dict[int, Measurement], str]:
    """One analysis of every seed where it is possible, and why it is not for the others."""
    import numpy as np

    from rnnlab.analysis import ANALYSES

    measured, reason = {}, ""
    for seed, one in subjects.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's of NaN, which tables show as a dash
                measurement = ANALYSES[name](one)
        except InputError as error:  # a cell without single steps
            reason = str(error)
        except np.linalg.LinAlgError:  # finite parameters whose state overflows
            reason = f"the state or Jacobian of seed {seed} is not finite"
        else:
            if measurement.note:
                reason = measurement.note
            else:
                measured[seed] = measurement
    return measured, reason


def _add(
    tables: dict[str, Records], keys: dict[str, Any], name: str, measured: Mapping[int, Measurement], *, last: bool
) -> None:
    """Means over seeds of scalars and lines; at the last epoch the points of the first seed."""
    import numpy as np

    from rnnlab.stats import mean_interval

    seed, first = next(iter(measured.items()))
    for what in dict.fromkeys(what for one in measured.values() for what in one.scalars):
        interval = mean_interval(np.array([one.scalars.get(what, np.nan) for one in measured.values()]))
        tables["scalars"].append({"part": name, **keys, "what": what, **interval._asdict()})
    for what, (xs, _) in first.lines.items():
        for index, x in enumerate(xs):
            interval = mean_interval(np.array([one.lines[what][1][index] for one in measured.values()]))
            point = {**keys, "what": what, "lag" if name == "lags" else "step": int(x), **interval._asdict()}
            tables.setdefault(name, []).append(point)
    if last:
        tables.setdefault(name, []).extend({**keys, "seed": seed, **point} for point in first.points)


def _write(tables: Mapping[str, Records], notes: Sequence[str], seeds: list[int], directory: Path) -> list[Path]:
    """A CSV and a figure of each table, and notes.txt. Returns the figures."""
    from rnnlab.analysis.figures import draw
    from rnnlab.report.tables import csv_text
    from rnnlab.storage.files import write_whole

    drawn = {name: records for name, records in tables.items() if records}
    for name, records in drawn.items():
        write_whole(directory / f"{name}.csv", csv_text(records).encode())
        write_whole(directory / f"{name}.png", draw(name, records, seeds))
    write_whole(directory / "notes.txt", "".join(f"{note}\n" for note in notes).encode())
    return [directory / f"{name}.png" for name in drawn]


def _table(name: str, records: Sequence[dict[str, Any]]) -> str:
    """The scalars of one analysis: one row per arm and epoch."""
    if not records:
        return ""
    scalars = list(dict.fromkeys(record["what"] for record in records))
    rows = []
    for arm, epoch in dict.fromkeys((record["arm"], record["epoch"]) for record in records):
        by_name = {r["what"]: r for r in records if (r["arm"], r["epoch"]) == (arm, epoch)}
        cells = [_mean(by_name[what]) if what in by_name else "-" for what in scalars]
        rows.append([arm, str(epoch), *cells, str(max(record["n"] for record in by_name.values()))])
    return terminal_table([name, "epoch", *scalars, "n"], rows) + "\n"


def _mean(interval: Mapping[str, Any]) -> str:
    if not interval["n"]:
        return "-"
    half_width = interval["mean"] - interval["low"]
    return f"{interval['mean']:.3g}" + ("" if half_width != half_width else f" ± {half_width:.1g}")
