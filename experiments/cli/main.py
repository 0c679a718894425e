"""The command line: ``python -m experiments``. Whatever takes time to import is imported where it is needed."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import experiments
from experiments.cli import analyze, bench, report, run, sample, selection
from rnnlab.core.errors import InputError


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line; argparse would also print the usage."""
        raise InputError(f"{message} (see: {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0, 2 for invalid input or disk errors, 130 after Ctrl-C."""
    try:
        options = _parser().parse_args(arguments)
        return options.command(options)
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads the output any more
        return 0
    except OSError as error:
        print(f"error: {' '.join(str(error).split())}; what was saved before stays valid", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what was saved before stays valid", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m experiments", description="rnnlab: train recurrent cells from many seeds in parallel."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, function: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=function.__doc__)
        made.set_defaults(command=function)
        return made

    command("list", _list, "the experiments")
    cells = command("cells", _cells, "the cells, with papers and parameter counts")
    cells.add_argument(
        "--cell", metavar="FILE.py:FUNCTION", action="append", default=[], help="also a cell of your own"
    )
    cells.add_argument("--markdown", action="store_true", help="the table as Markdown")
    data = command("data", _data, "the data sets; prepare one")
    data.add_argument("name", nargs="?", metavar="NAME", help="the data set to prepare")
    data.add_argument("--from", dest="source", type=Path, metavar="DIR",
                      help="a folder with its original files; for imdb and texts also the file itself")  # fmt: skip

    run.add_arguments(command("run", run.run, "train the arms of an experiment"))
    resume = command("resume", run.resume, "continue a run that was stopped or killed")
    resume.add_argument("directory", type=Path, metavar="DIR", help="the run's directory")
    resume.add_argument("--epochs", metavar="N", help="train to this epoch instead, also a finished run")
    selection.add_moved(resume)
    report.add_arguments(command("report", _report, "write the tables, figures and page of a run; compare runs"))
    sample.add_arguments(command("sample", sample.show, "text or answers from the trained models of a run"))
    analyze.add_arguments(command("analyze", analyze.show, "what the cells of a run do: gates, memory, Jacobians"))
    bench.add_arguments(command("bench", bench.show, "training speed next to PyTorch, Flax and Keras"))
    return parser


def _list(options: argparse.Namespace) -> int:
    """The experiments, a line each."""
    for name in experiments.names():
        study = experiments.study(name)
        line = (study.__doc__ or "").partition("\n")[0]
        if config := getattr(study, "CONFIG", None):
            print(f"{name:16} {line} [{len(config.arms)} arms, {len(config.seeds)} seeds, data {config.data}]")
        else:
            print(f"{name:16} {line} [trains nothing]")
    return 0


def _cells(options: argparse.Namespace) -> int:
    """The cells: parameters of a layer of 100 units that reads 28 inputs, their formula, and the paper."""
    from experiments.cli.cells import table

    print(table(options.cell, markdown=options.markdown))
    return 0


def _data(options: argparse.Namespace) -> int:
    """List the data sets, or prepare NAME: by download, or from your own files with --from."""
    from rnnlab.data import registry as data

    if options.name is not None:
        print(data.prepare(options.name, options.source))
    elif options.source is not None:
        raise InputError("--from: needs the data set's name; accepted: data NAME --from DIR")
    else:
        for name, line, status in data.describe():
            print(f"{name:16} {line} [{status}]")
    return 0


def _report(options: argparse.Namespace) -> int:
    """Write the figures and report.html of each run and print its tables; of several runs, also a page that compares
    their arms. Unfinished runs are reported as far as they are trained."""
    configs = {}
    for directory in options.directories:  # read all of them before anything is written
        try:
            configs[directory] = run.recorded(directory)
        except InputError as error:
            where = "" if str(error).startswith(str(directory)) else f"{directory}: "
            raise InputError(f"{where}{error}") from error
    return report.show(options, configs)
