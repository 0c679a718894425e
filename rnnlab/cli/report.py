"""The command ``report``: the page of each run, a comparison of several runs, tables for other programs."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from rnnlab.cli import studies, untrained
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError, choose
from rnnlab.core.terminal import listing

TENSORBOARD = "tensorboard:"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("directories", type=Path, nargs="*", metavar="DIR", help="a run's directory")
    parser.add_argument(
        "--published", action="store_true",
        help="the pages of all published runs, and one over every claim, made from the records in the repository",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="DIR",
        help="directory of the comparison (default with several runs: runs/reports/date-time)",
    )  # fmt: skip
    parser.add_argument(
        "--export", metavar="FORMAT",
        help="csv, json or latex: print the results and write no file; csv and json are unrounded; tensorboard:DIR: "
             "event files of all metrics, a folder for each run of an arm",
    )  # fmt: skip
    parser.add_argument(
        "--plan", action="store_true",
        help="print seeds and hours that would decide each claim of the study, judged by this short run",
    )  # fmt: skip


def show(options: argparse.Namespace, configs: Mapping[Path, Any]) -> int:
    """Report the runs of ``configs``, each directory once."""
    unique = {directory.resolve(): directory for directory in reversed(list(configs))}
    directories = list(unique.values())[::-1]
    if options.plan:
        return _plan(options, [(directory, configs[directory]) for directory in directories])
    if options.export is not None:
        return _export(options, {directory: configs[directory] for directory in directories})
    trained = {directory: configs[directory] for directory in directories if isinstance(configs[directory], Config)}
    compares = len(trained) > 1 or options.out is not None
    if compares:
        from rnnlab.report import compare

        out = options.out or Path("runs") / "reports" / time.strftime("%Y-%m-%d_%H%M%S")
        if not trained:
            raise InputError("--out: these runs trained nothing; accepted: with DIR of a run that trained")
        if (out / "config.json").exists() or (out.exists() and not out.is_dir()):
            raise InputError(f"--out: {out} holds a run, or is a file; choose another directory")
        runs = [compare.read(directory, results(directory, config)) for directory, config in trained.items()]
    for directory in directories:
        write(directory, configs[directory])
    if compares:
        print(f"\ncomparison of {len(runs)} runs")
        print(compare.write(runs, out), end="")
        print(listing([f"report: {out / 'report.html'}"]))
    return 0


def _plan(options: argparse.Namespace, runs: Sequence[tuple[Path, Any]]) -> int:
    from dataclasses import replace

    from rnnlab.claims import plan
    from rnnlab.data.registry import load_dataset
    from rnnlab.report.write import read_summary
    from rnnlab.runs.hyperparam_grid import hyperparam_grids
    from rnnlab.runs.validate import arm_specs, data_options
    from rnnlab.stats.summary import groups
    from rnnlab.storage.metrics import read_metrics

    if options.export is not None or options.out is not None:
        raise InputError("--plan: writes no file; use it without --export and --out")
    for directory, config in runs:
        study = studies.recorded(config.experiment)
        if not hasattr(study, "claims"):
            raise InputError(f"--plan: {directory} is a run of {config.experiment}, which has no claims")
        planned = studies.planned(study, config.protocol) if config.protocol else study.CONFIG
        planned = replace(planned, arms={name: arm for name, arm in planned.arms.items() if name in config.arms})
        dataset = load_dataset(planned.data, **data_options(planned))
        specs = arm_specs(planned, dataset, hyperparam_grids(planned))
        steps = {name: spec.steps_per_epoch for name, spec in specs.items()}
        summary, measured = read_summary(directory), groups(read_metrics(directory / "metrics.parquet"))
        rows = plan.plan(study.claims(config), measured, planned, summary, steps, _timings(directory))
        sys.stdout.write(plan.text(rows))
    return 0


def _export(options: argparse.Namespace, configs: Mapping[Path, Any]) -> int:
    from rnnlab.report import compare, tables

    if options.export.startswith(TENSORBOARD):
        return _events(Path(options.export.removeprefix(TENSORBOARD)), configs)
    choose("--export", options.export, (*tables.EXPORTS, f"{TENSORBOARD}DIR"))
    if options.out is not None:
        raise InputError("--out: --export writes no file; use one of the two")
    trained = [directory for directory, config in configs.items() if isinstance(config, Config)]
    if trained and len(trained) < len(configs):
        other = next(str(directory) for directory in configs if directory not in trained)
        raise InputError(f"--export: {other} trained nothing, the other runs did; export the two kinds separately")
    if trained:
        runs = [compare.read(directory, results(directory, configs[directory])) for directory in trained]
        sys.stdout.write(compare.exported(options.export, runs))
        return 0
    findings = [studies.recorded(config.experiment).measure(config) for config in configs.values()]
    shown = [tables.Table(each.header, each.rows) for each in findings]
    rows = [dict(zip(table.header, row, strict=True)) for table in shown for row in table.rows]
    sys.stdout.write(tables.export(options.export, shown, rows))
    return 0


def _events(out: Path, configs: Mapping[Path, Any]) -> int:
    from rnnlab.report.tensorboard import write_events
    from rnnlab.storage.metrics import read_metrics

    if out == Path() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise InputError(f"--export: {TENSORBOARD}{out} is not an empty directory; accepted: {TENSORBOARD}DIR")
    for directory, config in configs.items():
        if not isinstance(config, Config):
            raise InputError(f"--export: {directory} trained nothing; accepted: with {TENSORBOARD} a run that trained")
    for directory in configs:
        where = out if len(configs) == 1 else out / directory.resolve().name
        written = write_events(read_metrics(directory / "metrics.parquet"), where)
        print(listing([f"written: {len(written)} folders in {where}"]))
    return 0


def published(directory: Path, config: Config) -> dict[str, Any]:
    """The paper's values and curves, if the run has its data, and the verdicts of the run on its claims."""
    study = studies.recorded(config.experiment)
    values = getattr(study, "PUBLISHED", None) if config.data == study.CONFIG.data else None
    verdicts = _verdicts(study, config, directory)
    also = getattr(study, "ALSO_PUBLISHED", None) if values else None
    return {
        "published": values, "curves": curves(config), "verdicts": verdicts, "config": config, "also_published": also,
    }  # fmt: skip


def _verdicts(study: ModuleType, config: Config, directory: Path) -> Sequence[Any]:
    """The verdicts of the run on the paper's claims; none for a study without claims."""
    if not hasattr(study, "claims"):
        return ()
    from rnnlab import claims
    from rnnlab.report.write import read_summary
    from rnnlab.stats.summary import groups
    from rnnlab.storage.metrics import read_metrics

    summary = read_summary(directory)
    measured = groups(read_metrics(directory / "metrics.parquet"))
    planned = studies.planned(study, config.protocol) if config.protocol else study.CONFIG
    return claims.judge(study.claims(config), measured, config, planned, summary, _timings(directory))


def _timings(directory: Path) -> Mapping[str, Sequence[float]]:
    """Times of cells over that of the LSTM, round by round, from benches in DIR/bench; {} without one.

    Those of DIR/bench-NAME are called NAME/CELL.
    """
    from rnnlab.storage import files

    ratios: dict[str, Sequence[float]] = {}
    for path in sorted(directory.glob("bench*/bench.json")):
        name = path.parent.name.removeprefix("bench").removeprefix("-")
        for system, workloads in files.read_json(path)["results"].items():
            cell = system.partition("/")[2]
            for by_runs in workloads.values():
                for record in by_runs.values():
                    ratios.setdefault(f"{name}/{cell}" if name else cell, record["rounds_ratio"])
    return ratios


def results(directory: Path, config: Config) -> Any:
    """Everything that the run's page shows."""
    from rnnlab.report.write import read_results

    return read_results(directory, **published(directory, config))


def write_verdicts(directory: Path, config: Config) -> None:
    """The verdicts of a finished run, as they are today, into its summary.json."""
    from rnnlab.report.write import read_summary, store_verdicts

    store_verdicts(directory, read_summary(directory), published(directory, config)["verdicts"])


def write(directory: Path, config: Any) -> int:
    """Write the page of one run into its directory, and print its tables."""
    from rnnlab.report.write import write_report

    if not isinstance(config, Config):
        return untrained.write(studies.recorded(config.experiment), config, directory)
    report = write_report(directory, **published(directory, config))
    print(report.text, end="")
    print(listing([f"report: {directory / 'report.html'}", *(f"figure: {figure}" for figure in report.figures)]))
    return 0


def curves(config: Config) -> Sequence[Any]:
    """The paper's curves for the arms of this run; none with other data. Raises InputError for an unreadable file."""
    study = studies.recorded(config.experiment)
    published = study.published_curves(config) if hasattr(study, "published_curves") else ()
    return published if config.data == study.CONFIG.data else ()
