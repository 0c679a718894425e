"""The command line. Whatever takes time to import is imported where it is needed."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rnnlab.cli import (
    analyze,
    bench,
    distributed,
    dry_run,
    export,
    merge,
    published,
    report,
    run,
    sample,
    studies,
    trust,
)
from rnnlab.core.errors import InputError
from rnnlab.core.program import program
from rnnlab.core.terminal import entry, escaped


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line; argparse would also print the usage."""
        raise InputError(f"{message} (see: {self.prog} --help)")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help; argparse would say nothing of a full disk or a closed pipe."""
        print(message, end="", file=file or sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code.

    0; 2 for invalid input and disk errors; 128 + the number of the signal that ended it: 130 after Ctrl-C, 143 after
    SIGTERM (130 of several processes), 141 if nobody reads the output any more.
    """
    _prepare_output()
    try:
        try:
            options = _parser().parse_args(arguments)
            return options.command(options)
        finally:
            sys.stdout.flush()  # here, where an error has an answer, and not at the interpreter's exit
    except InputError as error:
        _say(f"error: {' '.join(str(error).split())}")
        return 2
    except BrokenPipeError:
        _discard_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        _discard_output()
        _say(f"error: {' '.join(str(error).split())}; what was saved before stays valid")
        return 2
    except KeyboardInterrupt as stopped:
        _say("stopped; what was saved before stays valid")
        return 128 + (stopped.args[0] if stopped.args else signal.SIGINT)


def _prepare_output() -> None:
    """Characters that the encoding of the terminal lacks are replaced; closed streams take everything."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _discard_output() -> None:
    """Drop what cannot be written, so that the interpreter does not try again at its exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say(line: str) -> None:
    """Print one line on standard error if anything can be printed there."""
    try:
        print(escaped(line), file=sys.stderr, flush=True)
    except OSError:
        _discard_output()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=program(), description="rnnlab: train recurrent cells from many seeds in parallel.")
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

    train = command("run", run.run, "train the arms of an experiment")
    run.add_arguments(train)
    dry_run.add_arguments(train)
    distributed.add_arguments(train)
    run.add_arguments(command("config", run.show_config, "the configuration that `run` would train, as JSON"))
    resume = command("resume", run.resume, "continue a run that was stopped or killed")
    resume.add_argument("directory", type=Path, metavar="DIR", help="the run's directory")
    resume.add_argument("--epochs", metavar="N", help="train to this epoch instead, also a finished run")
    trust.add_arguments(resume)
    distributed.add_arguments(resume)
    merge.add_arguments(command("merge", merge.show, "join the parts of a sweep into one run"))
    report.add_arguments(command("report", _report, "write the tables, figures and page of a run; compare runs"))
    published.add_publish(command("publish", published.publish, "keep a finished run as a record in the repository"))
    reproduce = command("reproduce", published.reproduce, "train a published run again, and compare every number")
    published.add_reproduce(reproduce)
    sample.add_arguments(command("sample", sample.show, "text or answers from the trained models of a run"))
    export.add_arguments(command("export", export.show, "the parameters or the predictions of a trained run as a file"))
    analyze.add_arguments(command("analyze", analyze.show, "what the cells of a run do: gates, memory, Jacobians"))
    bench.add_arguments(command("bench", bench.show, "training speed next to PyTorch, Flax and Keras"))
    return parser


def _list(options: argparse.Namespace) -> int:
    """The experiments, a line each."""
    for name in studies.names():
        study = studies.study(name)
        line = (study.__doc__ or "").partition("\n")[0]
        config = getattr(study, "CONFIG", None)
        size = f"{len(config.arms)} arms, {len(config.seeds)} seeds, data {config.data}" if config else "trains nothing"
        print(entry(name, f"{line} [{size}]"))
    return 0


def _cells(options: argparse.Namespace) -> int:
    """The cells: parameters of a layer of 100 units that reads 28 inputs, their formula, and the paper."""
    from rnnlab.cli.cells import table
    from rnnlab.cli.devices import check_devices

    check_devices()
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
            print(entry(name, f"{line} [{status}]"))
    return 0


def _report(options: argparse.Namespace) -> int:
    """Write the figures and report.html of each run and print its tables; of several runs, also a page that compares
    their arms. Unfinished runs are reported as far as they are trained."""
    if options.published:
        if options.directories or options.export or options.plan:
            raise InputError("--published: reads the records; accepted: alone, or with --out DIR")
        return published.show_all(options)
    if not options.directories:
        raise InputError("report: no DIR; accepted: a run's directory, or --published")
    configs = {}
    for directory in options.directories:  # read all of them before anything is written
        try:
            configs[directory] = run.recorded(directory)
        except InputError as error:
            where = "" if str(error).startswith(str(directory)) else f"{directory}: "
            raise InputError(f"{where}{error}") from error
    return report.show(options, configs)
