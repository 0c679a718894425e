"""The function that trains, for Python and for the command line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnnlab.api.result import Result
from rnnlab.api.settings import Cells, configuration
from rnnlab.config.document import from_json, training_hash
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError
from rnnlab.core.types import Dataset
from rnnlab.runs import run as runs
from rnnlab.runs.progress import NoProgressMeter, ProgressMeter, TerminalProgressMeter
from rnnlab.runs.stop import Stop
from rnnlab.runs.validate import Experiment, validate
from rnnlab.storage import files
from rnnlab.training.run_axis import use_all_cores


def train(
    cells: Cells | Config, data: str | Dataset | None = None, *, directory: str | Path | None = None,
    resume: bool = False, progress: bool | ProgressMeter = True, **settings: Any,
) -> Result:  # fmt: skip
    """Train cells from many initial values at once; the result so far after Ctrl-C.

    ``cells``: a name (as in ``rnnlab.CELLS``, ``bidirectional(gru)``, ``path/to/file.py:function``), a function
    ``(hidden_size, **options) -> Cell``, a `Cell`, an `Arm`, several of these or a mapping of names to them; or a whole
    `Config`. ``data``: a `Dataset`, or the name of one. ``settings``: fields of `Config`, such as ``hidden_size``,
    ``seeds`` (how many, or which), ``epochs``, ``learning_rate``, ``optimizer``, ``options`` of the cells. Several
    values of a number are swept: each gets its own runs. ``learning_rate="log:1e-4:1e-1", draws=8`` draws them, all
    such hyperparameters together, from ``draw_seed`` (0).

    ``directory``: where checkpoints and records go, as the command line writes them; without one nothing is written.
    ``resume``: continue the run in ``directory`` if there is one, to the same values as without the interruption; it
    may have more epochs now. ``progress``: bars on a terminal or in a notebook, lines elsewhere; or your own meter.

    Every CPU core is used if JAX has not computed anything before; else the devices that it has, or
    ``JAX_NUM_CPU_DEVICES`` in the environment.

    Raises InputError for every mistake before anything is trained or written.

    Examples:
        >>> result = train(["rnn", "gru"], "digits", hidden_size=8, seeds=2, epochs=1, progress=False)
        >>> result.arms
        ('rnn', 'gru')
    """
    dataset = None
    if isinstance(cells, Config):
        if settings:
            raise InputError(f"train: {next(iter(settings))} beside a Config; accepted: its own fields")
        config = cells
        dataset = data if isinstance(data, Dataset) else None
    else:
        if not isinstance(data, (str, Dataset)):
            what = "missing" if data is None else f"{type(data).__name__} is not accepted"
            raise InputError(f"data: {what}; accepted: a Dataset, or the name of one")
        config = configuration(cells, data, settings)
        dataset = data if isinstance(data, Dataset) else None
    where = None if directory is None else Path(directory)
    continues = resume and where is not None and (where / "config.json").exists()
    if where is not None:
        _check_same(config, where) if continues else runs.check_new(where)
    use_all_cores()
    experiment = validate(config, dataset=dataset)
    terminal = TerminalProgressMeter() if progress is True else None
    meter = terminal or (NoProgressMeter() if isinstance(progress, bool) else progress)
    try:
        if where is None:
            return Result.of_memory(runs.start_in_memory(experiment, meter))
        train_experiment(experiment, where, meter, resume=continues)
    finally:
        if terminal is not None:
            terminal.close()
    return Result.of_directory(where, experiment.dataset)


def train_experiment(
    experiment: Experiment,
    directory: Path,
    meter: ProgressMeter,
    stop: Stop | None = None,
    *,
    resume: bool = False,
    part: Mapping[str, Any] | None = None,
) -> bool:
    """Train into a new ``directory``, or continue the run there; whether it trained to its end."""
    if resume:
        return runs.resume(experiment, directory, meter, stop)
    return runs.start(experiment, directory, meter, stop, part)


def _check_same(config: Config, directory: Path) -> None:
    """InputError unless the run in ``directory`` is one of ``config`` but for its epochs."""
    recorded = from_json(files.read_text(directory / "config.json"), type(config))
    if training_hash(recorded) != training_hash(config):
        before, now = vars(recorded), vars(config)
        changed = [name for name in now if name != "epochs" and before.get(name) != now[name]]
        raise InputError(
            f"resume: {directory} was trained with other {', '.join(changed)}; accepted: the same, or another directory"
        )
    if config.epochs < recorded.epochs:
        raise InputError(f"epochs: {config.epochs} is less than the {recorded.epochs} of the run in {directory}")
