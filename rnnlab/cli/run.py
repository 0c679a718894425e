"""The commands ``run`` and ``resume``: from the command line's options to a trained run and its report."""

import argparse
import itertools
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnnlab.cli import distributed, dry_run, report, studies, trust, untrained
from rnnlab.config.cell_name import absolute_name, arm_name
from rnnlab.config.data_name import absolute_data
from rnnlab.config.document import from_json, parse_document, to_json
from rnnlab.config.draws import expand_draws
from rnnlab.config.experiment import Arm, Config
from rnnlab.config.overrides import override, select_arms
from rnnlab.core.errors import InputError
from rnnlab.core.program import program
from rnnlab.core.terminal import escaped

MOST_SEEDS = 100_000
PROTOCOL = "protocol="


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``run``."""
    add = parser.add_argument
    add("name", metavar="NAME", help="an experiment, as `list` shows them, or path/to/study.py of your own")
    add("--seeds", metavar="N or A:B", help="the first N seeds, or seeds A to B-1")
    add("--part", metavar="I/N", help="part I, from 1, of N contiguous parts of the seeds, which `merge` joins later")
    add("--arms", metavar="A,B,...", help="these arms only, in this order")
    add("--epochs", metavar="N", help="passes over the training split, or over steps_per_epoch steps")
    add("--data", metavar="NAME", help="another data set, or data of your own, as `data` lists them")
    add(
        "--cell", metavar="CELL", action="append", default=[],
        help="one more arm: a cell that `cells` lists, path/to/file.py:function, or either in wrappers, as in "
        "'bidirectional(cerebral(gru))', which makes an arm bidirectional-cerebral-gru",
    )  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="the run's directory (default: runs/NAME/date-time)")
    add("--quick", action="store_true", help="a check that everything works, in seconds")
    add(
        "--set", metavar="PATH=VALUE", nargs="+", action="extend", default=[],
        help="any field of the configuration, as in hidden_size=64 or arms.lstm.options.forget_bias=0; comma-separated "
        "numbers define a sweep",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Train every arm of an experiment, all seeds and hyperparameters at once, and write its report."""
    study = studies.study(options.name)
    if not hasattr(study, "CONFIG"):
        settings = untrained.settings(study, options)
        if options.distributed or options.dry_run:
            raise InputError(f"{'--distributed' if options.distributed else '--dry-run'}: {options.name} trains "
                             "nothing; accepted: without it")  # fmt: skip
        return untrained.start(study, settings, options.out or new_directory(options.name))
    config, part = _part(configuration(options), options.part)
    if options.dry_run:
        return dry_run.show(config, options)
    return train(config, options.out, new=True, options=options, part=part)


def show_config(options: argparse.Namespace) -> int:
    """Print what `run` would train with these options, every field of it, and train nothing."""
    study = studies.study(options.name)
    trains = hasattr(study, "CONFIG")
    chosen = _part(configuration(options), options.part)[0] if trains else untrained.settings(study, options)
    print(to_json(chosen))
    return 0


def resume(options: argparse.Namespace) -> int:
    """Continue a stopped or killed run exactly: the result is that of an uninterrupted run."""
    config = recorded(options.directory)
    if not isinstance(config, Config):
        return report.write(options.directory, config)
    if options.epochs is not None:
        longer = override(config, f"epochs={options.epochs}")
        if longer.epochs < config.epochs:
            raise InputError(f"--epochs: {longer.epochs} is less than the {config.epochs} of the run")
        longer.check()
        config = longer
    return train(config, options.directory, new=False, options=options)


def new_directory(name: str) -> Path:
    """An empty directory named after the time, with a number if another run began in the same second."""
    now = time.strftime("%Y-%m-%d_%H%M%S")
    for number in itertools.count(1):
        directory = Path("runs") / Path(name).stem / (now if number == 1 else f"{now}_{number}")
        try:
            directory.mkdir(parents=True)
            return directory
        except FileExistsError:
            continue
    raise AssertionError


def configuration(options: argparse.Namespace) -> Config:
    """The study's configuration with the changes of the command line, from the coarsest to the finest."""
    study = studies.study(options.name)
    config: Config = study.CONFIG
    assignments = expand_draws(options.set)
    chosen = [value for value in assignments if value.startswith(PROTOCOL)]
    for name in (value.removeprefix(PROTOCOL) for value in chosen):
        config = studies.planned(study, name)
    if options.quick:
        if not hasattr(study, "QUICK"):
            raise InputError(f"--quick: {options.name} has no QUICK; accepted: a mapping of fields to smaller values")
        config = _quick(config, study.QUICK)
    for cell in options.cell:
        name = arm_name(cell)
        if name in config.arms:
            raise InputError(f"--cell: the experiment already has an arm {name!r}")
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
    for assignment in assignments:
        if assignment not in chosen:
            config = override(config, assignment)
    config = _resolve_paths(config)
    config.check()
    chosen_window = any(assignment.startswith("sequence_length=") for assignment in options.set)
    return _fit_window(config) if options.quick and not chosen_window else config


def _fit_window(config: Config) -> Config:
    """``config`` with the longest window, at most its own, of which an own text has enough; unchanged if none fits."""
    from rnnlab.data.registry import load_dataset
    from rnnlab.data.text import HELD_OUT_DIVISOR

    if not config.data.startswith("text:"):
        return config
    try:
        characters = load_dataset(config.data, sequence_length=1).source["characters"]
    except InputError:  # told when the run is checked
        return config
    held_out = characters // HELD_OUT_DIVISOR
    windows = config.batch_size * (config.steps_per_epoch or 1)
    longest = min(config.sequence_length, held_out - 1, (characters - 2 * held_out - 1) // windows)
    if longest in (0, config.sequence_length):
        return config
    instead = f"sequence_length={longest} instead of {config.sequence_length}"
    print(f"--quick: {instead}, since the text has {characters:,} characters", file=sys.stderr)
    return replace(config, sequence_length=longest)


def _quick(config: Config, changes: Mapping[str, Any]) -> Config:
    """``config`` with a study's QUICK, whose data options are merged with those of a protocol."""
    if "data" in changes:
        config = _with_data(config, changes["data"])
    return replace(config, **{**changes, "data_options": {**config.data_options, **changes.get("data_options", {})}})


def _with_data(config: Config, name: str) -> Config:
    """``config`` on another data set, with the data options that this one also takes."""
    from rnnlab.data.registry import dataset_options

    accepted = dataset_options(name)
    kept = {option: value for option, value in config.data_options.items() if option in accepted}
    complete = len(kept) == len(config.data_options)  # else it is no longer the protocol of that name
    return replace(config, data=name, data_options=kept, protocol=config.protocol if complete else None)


def _resolve_paths(config: Config) -> Config:
    """``config`` with absolute paths, so that a run can be resumed from any folder."""
    arms = {
        name: replace(arm, cell=absolute_name(arm.cell), decoder=arm.decoder and absolute_name(arm.decoder))
        for name, arm in config.arms.items()
    }
    reference = getattr(config, "reference", "")
    absolute: Any = {"reference": str(Path(reference).expanduser().resolve())} if reference else {}
    return replace(config, data=absolute_data(config.data), arms=arms, **absolute)


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


def _part(config: Config, text: str | None) -> tuple[Config, dict[str, Any] | None]:
    """``config`` with one part of its seeds, and what env.json says of the whole; all of it without ``text``."""
    if text is None:
        return config, None
    from rnnlab.runs.merge import split_seeds

    index, slash, count = text.partition("/")
    digits = slash and index.isascii() and index.isdigit() and count.isascii() and count.isdigit()
    if not digits or not 1 <= int(index) <= int(count) <= len(config.seeds):
        seeds = len(config.seeds)
        raise InputError(f"--part: {text!r} is not accepted; accepted: I/N with 1 <= I <= N <= {seeds}, the seeds")
    whole = {"index": int(index), "of": int(count), "seeds": list(config.seeds)}
    return replace(config, seeds=split_seeds(config.seeds, int(index), int(count))), whole


def recorded(directory: Path) -> Any:
    """The configuration of a run, or the settings of a study without training. Raises InputError."""
    from rnnlab.storage import files

    if not directory.is_dir():
        raise InputError(f"{directory}: no such directory")
    text = files.read_text(directory / "config.json")
    study = studies.recorded(str(parse_document(text)["config"].get("experiment")))
    return from_json(text, type(study.CONFIG if hasattr(study, "CONFIG") else study.SETTINGS))


def train(config: Config, directory: Path | None, *, new: bool, options: argparse.Namespace, part: Any = None) -> int:
    """Train ``config`` in ``directory``, or one named after the time, and report it; the exit code."""
    with distributed.connected(options):
        from rnnlab.core import processes

        first, alone = processes.is_first(), processes.count() == 1
        directory, complete, number = _train(config, directory, new=new, options=options, part=part)
    if not complete and first:
        command = f"{program()} resume {shlex.quote(str(directory))}"
        print(escaped(f"stopped and saved; continue with: {command}"), file=sys.stderr)
    if not complete:
        return 128 + number if alone else distributed.STOPPED
    return report.write(directory, recorded(directory)) if first else 0


def _train(
    config: Config, directory: Path | None, *, new: bool, options: argparse.Namespace, part: Any
) -> tuple[Path, bool, int]:
    """The run's directory, whether it trained to its end, and the number of the signal that stopped it."""
    from rnnlab.api.training import train_experiment
    from rnnlab.core import processes
    from rnnlab.runs import own_files
    from rnnlab.runs import run as runs
    from rnnlab.runs.progress import NoProgressMeter, TerminalProgressMeter
    from rnnlab.runs.stop import Stop
    from rnnlab.runs.validate import Experiment, validate

    def prepare() -> Experiment:
        if new and directory is not None:
            runs.check_new(directory)
        files = own_files.NONE if new else own_files.parse_moved(options.cell_file, config)
        if not new and directory is not None:  # before a user's file is imported
            recorded_data = runs.read_environment(directory)["dataset"]
            own_files.check_cells(config, files, recorded_data, config.arms)
            own_files.check_data(config, files, recorded_data)
            trust.check_trust(directory, own_files.relocated(config, files), config.arms, options)
        experiment = validate(config, files)
        report.curves(config)  # an unreadable reference is reported before training, not after
        return experiment

    experiment = processes.everywhere(prepare)
    directory = directory or Path(processes.on_first(lambda: str(new_directory(config.experiment))))
    terminal, stop = TerminalProgressMeter(), Stop()
    meter = terminal if processes.is_first() else NoProgressMeter()
    try:
        complete = train_experiment(experiment, directory, meter, stop, resume=not new, part=part)
    finally:
        terminal.close()
    return directory, complete, int(stop.signal)
