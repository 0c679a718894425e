"""The command ``merge``: parts of a sweep become one run."""

import argparse
import sys
from pathlib import Path

from rnnlab.cli import report, run, trust
from rnnlab.cli.devices import check_devices
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError
from rnnlab.core.terminal import escaped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``merge``."""
    add = parser.add_argument
    add("directories", type=Path, nargs="+", metavar="DIR", help="finished runs of the parts, in any order")
    add("--out", type=Path, metavar="DIR", required=True, help="the directory of the whole run")
    add("--partial", action="store_true", help="accept that seeds of the sweep are missing, and say so in the report")
    trust.add_arguments(parser)


def show(options: argparse.Namespace) -> int:
    """Join parts of a sweep (`run --part`), or runs that differ in their seeds, into one run: metrics and checkpoints
    are those of a single process."""
    if len({directory.resolve() for directory in options.directories}) < 2:
        raise InputError("merge: one run; accepted: two or more, each once")
    configs = [run.recorded(directory) for directory in options.directories]
    for directory, config in zip(options.directories, configs, strict=True):
        if not isinstance(config, Config):
            raise InputError(f"{directory}: trained nothing; accepted: a run of a study that trains")
    from rnnlab.runs import merge
    from rnnlab.runs.saved_run import load_run

    runs = [load_run(directory, options.cell_file) for directory in options.directories]
    trust.check_run(runs[0], runs[0].config.arms, options)
    check_devices()
    parts = [merge.Part(opened, config) for opened, config in zip(runs, configs, strict=True)]
    for line in merge.merge(parts, options.out, partial=options.partial):
        print(escaped(f"warning: {line}"), file=sys.stderr)
    return report.write(options.out, run.recorded(options.out))
