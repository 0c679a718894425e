"""The command line: ``python -m experiments``. Whatever takes time to import is imported where it is needed."""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import experiments
from experiments.cli import analyze as _analyze
from experiments.cli import bench as _bench
from experiments.cli import report as _reports
from experiments.cli import sample as _sample
from experiments.cli import untrained as _untrained
from rnnlab.config.cell_name import absolute_name, arm_name
from rnnlab.config.experiment import Arm, Config, from_json, parse_document
from rnnlab.config.overrides import override, select_arms
from rnnlab.core.errors import InputError

MOST_SEEDS = 100_000
PROTOCOL = "protocol="


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """argparse would print the usage too; one line is what the user needs."""
        raise InputError(f"{message} (see: {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0, 2 for a mistake or a refusing disk, 130 after Ctrl-C."""
    try:
        options = _parser().parse_args(arguments)
        return options.command(options)
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has left: nothing to say to it
        return 0
    except OSError as error:
        print(f"error: {' '.join(str(error).split())}; what was saved before stays valid", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what was saved before stays valid", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m experiments", description="rnnlab: recurrent cells from many initial values.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, function, help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=function.__doc__)
        made.set_defaults(command=function)
        return made

    command("list", _list, "the experiments")
    cells = command("cells", _cells, "the cells, with papers and parameter counts")
    cells.add_argument("--cell", metavar="FILE.py:FUNCTION", action="append", default=[], help="a cell of your own too")
    cells.add_argument("--markdown", action="store_true", help="the table as Markdown")
    data = command("data", _data, "the data sets; prepare one")
    data.add_argument("name", nargs="?", metavar="NAME", help="the data set to prepare")
    data.add_argument("--from", dest="source", type=Path, metavar="DIR",
                      help="a folder that holds its original files; imdb and texts: or the file itself")  # fmt: skip

    run = command("run", _run, "train an experiment's arms from many initial values")
    run.add_argument("name", metavar="NAME", help="an experiment, as `list` shows them")
    run.add_argument("--seeds", metavar="N or A:B", help="the first N seeds, or seeds A to B-1")
    run.add_argument("--arms", metavar="A,B,...", help="these arms only, in this order")
    run.add_argument("--epochs", metavar="N", help="passes over the training split (or over steps_per_epoch steps)")
    run.add_argument("--data", metavar="NAME", help="another data set: a name that `data` shows, or text:PATH")
    run.add_argument("--cell", metavar="CELL", action="append", default=[],
                     help="one more arm: a name that `cells` shows, path/to/file.py:function, or either in "
                     "combinators, as in 'bidirectional(cerebral(gru))'; that arm is called "
                     "bidirectional-cerebral-gru")  # fmt: skip
    run.add_argument("--out", type=Path, metavar="DIR", help="the run's directory (default runs/NAME/date-time)")
    run.add_argument("--quick", action="store_true", help="seconds instead of minutes: a check that all works")
    run.add_argument("--set", metavar="PATH=VALUE", nargs="+", action="extend", default=[],
                     help="any field of the configuration, as in hidden_size=64 or arms.lstm.options.forget_bias=0; "
                     "several numbers with commas are swept")  # fmt: skip
    resume = command("resume", _resume, "go on with a run that was stopped or killed")
    resume.add_argument("directory", type=Path, metavar="DIR", help="the run's directory")
    report = command("report", _report, "write a run's table, figures and page anew; compare runs")
    _reports.add_arguments(report)
    sample = command(
        "sample", _sample.show, "write text with the language models of a run; answer the questions of others"
    )
    _sample.add_arguments(sample)
    _analyze.add_arguments(command("analyze", _analyze.show, "what the cells of a run do: gates, memory, Jacobians"))
    _bench.add_arguments(command("bench", _bench.show, "how fast training is, beside PyTorch, flax and Keras"))
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
    from experiments.cli import cells as _cells

    print(_cells.table(options.cell, markdown=options.markdown))
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


def _configuration(options: argparse.Namespace) -> Config:
    """The study's configuration with the command's changes, from the coarsest to the finest."""
    study = experiments.study(options.name)
    config: Config = study.CONFIG
    chosen = [value for value in options.set if value.startswith(PROTOCOL)]
    for name in (value.removeprefix(PROTOCOL) for value in chosen):
        config = experiments.planned(study, name)
    if options.quick:
        config = _quick(config, study.QUICK)
    for cell in options.cell:
        name = arm_name(cell)
        if name in config.arms:
            raise InputError(f"--cell: the experiment has an arm {name!r} already; accepted: another cell")
        config = replace(config, arms={**config.arms, name: Arm(cell)})
    if options.arms is not None:
        chosen_arms = [arm if arm in config.arms else arm_name(arm) for arm in options.arms.split(",") if arm]
        config = select_arms(config, chosen_arms)
    if options.data is not None:
        config = _with_data(config, options.data)
    if options.seeds is not None:
        config = replace(config, seeds=_seeds(options.seeds))
    if options.epochs is not None:
        config = override(config, f"epochs={options.epochs}")
    for assignment in options.set:
        if assignment not in chosen:
            config = override(config, assignment)
    config = _resolve_paths(config)
    config.check()
    return config


def _quick(config: Config, changes: Mapping[str, Any]) -> Config:
    """``config`` with a study's QUICK, whose data options join those of a protocol: they do not replace them."""
    if "data" in changes:
        config = _with_data(config, changes["data"])
    return replace(config, **{**changes, "data_options": {**config.data_options, **changes.get("data_options", {})}})


def _with_data(config: Config, name: str) -> Config:
    """``config`` on another data set, with those of its data options that the other takes too."""
    from rnnlab.data.registry import dataset_options

    accepted = dataset_options(name)
    kept = {option: value for option, value in config.data_options.items() if option in accepted}
    whole = len(kept) == len(config.data_options)  # else the protocol is no longer what its name says
    return replace(config, data=name, data_options=kept, protocol=config.protocol if whole else "")


def _resolve_paths(config: Config) -> Config:
    """Paths made absolute, so that a run can be resumed from any folder."""
    form, _, path = config.data.partition(":")
    data = f"text:{Path(path).expanduser().resolve()}" if form == "text" and path else config.data
    arms = {
        name: replace(arm, cell=absolute_name(arm.cell), decoder=arm.decoder and absolute_name(arm.decoder))
        for name, arm in config.arms.items()
    }
    reference = getattr(config, "reference", "")
    found: Any = {"reference": str(Path(reference).expanduser().resolve())} if reference else {}
    return replace(config, data=data, arms=arms, **found)


def _seeds(text: str) -> tuple[int, ...]:
    first, colon, last = text.partition(":")
    try:
        start, stop = (int(first), int(last)) if colon else (0, int(first))
    except ValueError:
        start = stop = 0
    if not 0 < stop - start <= MOST_SEEDS:
        accepted = f"a whole number from 1 to {MOST_SEEDS}, or A:B with A < B"
        raise InputError(f"--seeds: {text!r} is not accepted; accepted: {accepted}")
    return tuple(range(start, stop))


def _run(options: argparse.Namespace) -> int:
    """Train every arm of an experiment, all its seeds and swept numbers at once, and report."""
    study = experiments.study(options.name)
    trains = hasattr(study, "CONFIG")
    config = _configuration(options) if trains else _untrained.settings(study, options)
    directory = options.out or Path("runs") / options.name / time.strftime("%Y-%m-%d_%H%M%S")
    return _train(config, directory, new=True) if trains else _untrained.start(study, config, directory)


def _resume(options: argparse.Namespace) -> int:
    """Go on exactly where a run was stopped or killed: the result is that of an uninterrupted run."""
    recorded = _recorded(options.directory)
    if not isinstance(recorded, Config):
        return _write_report(options.directory)
    return _train(recorded, options.directory, new=False)


def _recorded(directory: Path) -> Any:
    """The run's configuration, or the settings of a study that trains nothing."""
    from rnnlab.storage import files

    if not directory.is_dir():
        raise InputError(f"{directory}: no such directory; accepted: a directory that run wrote")
    text = files.read_text(directory / "config.json")
    study = experiments.study(str(parse_document(text)["config"].get("experiment")))
    return from_json(text, type(study.CONFIG if hasattr(study, "CONFIG") else study.SETTINGS))


def _train(config: Config, directory: Path, *, new: bool) -> int:
    from rnnlab.train.sweep import use_all_cores

    use_all_cores()
    from rnnlab.runs import run
    from rnnlab.runs.progress import TerminalProgressMeter
    from rnnlab.runs.validate import validate

    if new:
        run.check_new(directory)
    experiment = validate(config)
    _reports.curves(config)  # a reference that cannot be read is told now, not after the training
    terminal = TerminalProgressMeter()
    try:
        complete = (run.start if new else run.resume)(experiment, directory, terminal)
    finally:
        terminal.close()
    if not complete:
        command = f"python -m experiments resume {shlex.quote(str(directory))}"
        print(f"stopped and saved; go on with: {command}", file=sys.stderr)
        return 130
    return _write_report(directory)


def _report(options: argparse.Namespace) -> int:
    """Write each run's figures and page (report.html in it) anew and print its tables; of several runs, also a page
    that sets their arms side by side. An unfinished run is reported as far as it got."""
    configs = {}
    for directory in options.directories:  # all of them are looked at before anything is written
        try:
            configs[directory] = _recorded(directory)
        except InputError as error:
            where = "" if str(error).startswith(str(directory)) else f"{directory}: "
            raise InputError(f"{where}{error}") from error
    return _reports.show(options, configs)


def _write_report(directory: Path) -> int:
    return _reports.write(directory, _recorded(directory))


if __name__ == "__main__":
    sys.exit(main())
