"""The command ``report``: each run's own page, several runs side by side, tables for other programs."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import experiments
from experiments.cli import untrained as _untrained
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError, choose


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("directories", type=Path, nargs="+", metavar="DIR", help="a run's directory")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="the comparison's directory (default runs/reports/date-time, for several)",
    )
    parser.add_argument(
        "--export", metavar="FORMAT",
        help="csv, json or latex: print the results and nothing else, and write no file; csv and json have all digits",
    )  # fmt: skip


def show(options: argparse.Namespace, configs: Mapping[Path, Any]) -> int:
    """Report the runs of ``configs`` as the options say."""
    unique = {directory.resolve(): directory for directory in reversed(list(configs))}
    directories = list(unique.values())[::-1]
    if options.export is not None:
        return _export(options, {directory: configs[directory] for directory in directories})
    trained = {directory: configs[directory] for directory in directories if isinstance(configs[directory], Config)}
    compares = len(trained) > 1 or options.out is not None
    if compares:
        from rnnlab.report import compare

        out = options.out or Path("runs") / "reports" / time.strftime("%Y-%m-%d_%H%M%S")
        if not trained:
            raise InputError("--out: no run that trained anything; accepted: with DIR of such a run")
        if (out / "config.json").exists() or (out.exists() and not out.is_dir()):
            raise InputError(f"--out: {out} holds a run, or is a file; accepted: another directory")
        runs = [compare.read(directory, _part(directory, config)) for directory, config in trained.items()]
    for directory in directories:
        write(directory, configs[directory])
    if compares:
        print(f"\n{len(runs)} runs, arms side by side")
        print(compare.write(runs, out), end="")
        print(f"report: {out / 'report.html'}")
    return 0


def _export(options: argparse.Namespace, configs: Mapping[Path, Any]) -> int:
    from rnnlab.report import compare, tables

    choose("--export", options.export, tables.EXPORTS)
    if options.out is not None:
        raise InputError("--out: --export writes no file; accepted: one of the two")
    trained = [directory for directory, config in configs.items() if isinstance(config, Config)]
    if trained and len(trained) < len(configs):
        other = next(str(directory) for directory in configs if directory not in trained)
        raise InputError(f"--export: {other} trains nothing, the others do; accepted: runs of one of the two kinds")
    if trained:
        runs = [compare.read(directory, _part(directory, configs[directory])) for directory in trained]
        sys.stdout.write(compare.exported(options.export, runs))
        return 0
    shown = []
    for config in configs.values():
        found = experiments.study(config.experiment).measure(config)
        shown.append(tables.Table(found.header, found.rows))
    rows = [dict(zip(table.header, row, strict=True)) for table in shown for row in table.rows]
    sys.stdout.write(tables.export(options.export, shown, rows))
    return 0


def _known(directory: Path, config: Config) -> dict[str, Any]:
    """What the paper reports, where the run has its data, and what the run says of it."""
    study = experiments.study(config.experiment)
    hyperparams = getattr(study, "PUBLISHED", None) if config.data == study.CONFIG.data else None
    verdicts = _verdicts(study, config, directory)
    return {"hyperparams": hyperparams, "curves": curves(config), "verdicts": verdicts, "config": config}


def _verdicts(study: ModuleType, config: Config, directory: Path) -> Sequence[Any]:
    """What the run says of its paper's claims; none of a study without."""
    if not hasattr(study, "claims"):
        return ()
    from rnnlab import claims
    from rnnlab.report import write as report
    from rnnlab.stats import summary
    from rnnlab.storage import metrics

    shown = report.read_summary(directory)
    found = summary.groups(metrics.read_metrics(directory / "metrics.parquet"))
    planned = experiments.planned(study, config.protocol) if config.protocol else study.CONFIG
    return claims.judge(study.claims(config), found, config, planned, shown)


def _part(directory: Path, config: Config) -> Any:
    from rnnlab.report.write import read_part

    return read_part(directory, **_known(directory, config))


def write(directory: Path, config: Any) -> int:
    """Write the page of one run into it, and print its tables."""
    from rnnlab.report.write import write_report

    if not isinstance(config, Config):
        return _untrained.write(experiments.study(config.experiment), config, directory)
    report = write_report(directory, **_known(directory, config))
    print(report.text, end="")
    figures = "   ".join(f"figure: {figure}" for figure in report.figures)
    print(f"report: {directory / 'report.html'}   {figures}")
    return 0


def curves(config: Config) -> Sequence[Any]:
    """The curves that the study's paper published, for the arms of this run; none where it has other data."""
    study = experiments.study(config.experiment)
    found = study.published_curves(config) if hasattr(study, "published_curves") else ()
    return found if config.data == study.CONFIG.data else ()
