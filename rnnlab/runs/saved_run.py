"""A run's directory, opened for reading: models and parameters. Only ``SavedRun.examples`` needs the data set."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rnnlab.config.document import base_from_json
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError, choose, unknown
from rnnlab.core.types import Array, Cell, Dataset, Model, Params, Split
from rnnlab.data.registry import load_dataset
from rnnlab.runs.hyperparam_grid import hyperparam_grid
from rnnlab.runs.own_files import NONE, Moved, check_cells, check_data, parse_moved, relocated
from rnnlab.runs.validate import abstract_state, arm_spec, data_options
from rnnlab.storage import checkpoint, files
from rnnlab.training.arm_spec import ArmSpec, build_cell, build_model
from rnnlab.training.single_run import init_state
from rnnlab.training.state import Run, TrainState
from rnnlab.training.sweep import DRAW_OPTIONS, run_grid
from rnnlab.training.tasks import TASKS

EPOCHS = ("first", "best", "last")


class SavedRun:
    """What ``load_run`` returns. Nothing is cached: every call of ``params`` reads a checkpoint.

    ``config``: the experiment, without its study's own fields. ``environment``: env.json. ``dataset``: sizes, task and
    vocabulary of the data set, without examples.
    """

    def __init__(
        self, directory: Path, config: Config, training_hash: str, environment: Mapping[str, Any], moved: Moved = NONE
    ) -> None:
        self.directory, self.config, self.environment = directory, relocated(config, moved), environment
        self._recorded, self._moved = config, moved
        self.dataset = _dataset(directory, environment)
        self._training_hash = training_hash
        self._specs: dict[str, ArmSpec] = {}
        self._initial: dict[str, Callable[[Run], Params]] = {}

    def hyperparams(self, arm: str) -> dict[str, tuple[float, ...]]:
        """The values of the arm's hyperparameters, by name.

        Raises InputError for an unknown arm, and where a file of its cell is gone or altered.
        """
        self.check_files(arm)
        return dict(hyperparam_grid(self.config, arm))

    def check_files(self, arm: str) -> None:
        """Raise InputError for an unknown arm, and where a file of its cell is gone or altered. Imports none."""
        choose("arm", arm, self.config.arms)
        check_cells(self._recorded, self._moved, self.environment["dataset"], [arm])

    def spec(self, arm: str) -> ArmSpec:
        """The static description of the arm. Raises InputError for an unknown arm and for an altered cell file."""
        grid = self.hyperparams(arm)
        if arm not in self._specs:
            self._specs[arm] = arm_spec(self.config, arm, self.dataset, grid)
        return self._specs[arm]

    def runs(self, arm: str) -> Run:
        """All runs of the arm on the host, leaves ``[R]``."""
        return run_grid(self.config.seeds, self.hyperparams(arm), self.config.sweep)

    def saved(self, arm: str) -> bool:
        """Whether the arm has a checkpoint. Raises InputError if it is altered or belongs to another config."""
        choose("arm", arm, self.config.arms)
        position = checkpoint.position(self._checkpoints(arm))
        if position is not None and position.config != self._training_hash:
            raise InputError(f"checkpoint: arm {arm} belongs to config {position.config}, not to config.json")
        return position is not None

    def params(self, arm: str, seed: int, epoch: str | int = "best", **hyperparams: float) -> Params:
        """The parameters of one run, without run axis, on the first device.

        ``epoch``: "first" (initial values, drawn again), "best" by validation, "last", or a number that
        ``keep_params_every`` kept. ``hyperparams`` select among runs of one seed. Raises InputError for what the run
        does not have.
        """
        spec, runs = self.spec(arm), self.runs(arm)
        row = self._rows(arm, seed, hyperparams, needed=tuple(runs.hyperparams))[0]
        kept = checkpoint.kept_epochs(self._checkpoints(arm))
        if epoch not in (*EPOCHS, *kept):
            accepted = ", ".join([*EPOCHS, *map(str, kept)])
            raise InputError(f"epoch: {epoch} of arm {arm} was not kept (see keep_params_every); accepted: {accepted}")
        if epoch == "first":
            if arm not in self._initial:
                self._initial[arm] = jax.jit(lambda run: init_state(spec, run).params, compiler_options=DRAW_OPTIONS)
            return self._initial[arm](jax.tree.map(lambda leaf: leaf[row], runs))
        if not self.saved(arm) and epoch in EPOCHS:
            raise InputError(f"checkpoint: arm {arm} of {self.directory} has none yet")
        abstract = abstract_state(spec, runs)
        if epoch not in EPOCHS:
            params = checkpoint.load_epoch(self._checkpoints(arm), abstract.params, int(epoch))
        else:
            state: TrainState = checkpoint.load(self._checkpoints(arm), abstract)
            params = state.params if epoch == "last" else state.best.params
            if epoch == "best" and state.best.epoch[row] == 0:
                raise InputError(
                    f"epoch: best of arm {arm}, seed {seed}: no epoch had a finite validation loss; accepted: last"
                )
        return jax.tree.map(lambda leaf: leaf[row], params)

    def best_run(self, arm: str, **hyperparams: float) -> tuple[int, dict[str, float]]:
        """Seed and hyperparameters of the run with the lowest validation loss, among those with ``hyperparams``.

        Raises InputError without a checkpoint and where no run had a finite validation loss.
        """
        runs = self.runs(arm)
        rows = np.concatenate([self._rows(arm, seed, hyperparams, needed=()) for seed in self.config.seeds])
        if not self.saved(arm):
            raise InputError(f"checkpoint: arm {arm} of {self.directory} has none yet")
        best = checkpoint.load(self._checkpoints(arm), abstract_state(self.spec(arm), runs)).best
        loss = np.where(np.asarray(best.epoch)[rows] > 0, np.asarray(best.loss)[rows], np.inf)
        if not np.isfinite(loss).any():
            raise InputError(f"seed: best of arm {arm}: no run had a finite validation loss; accepted: a number")
        row = rows[np.argmin(loss)]
        return int(runs.seed[row]), {name: float(values[row]) for name, values in runs.hyperparams.items()}

    def kept(self, arm: str) -> list[int]:
        """The epochs that ``keep_params_every`` kept, in order. Raises InputError for an unknown arm."""
        choose("arm", arm, self.config.arms)
        return checkpoint.kept_epochs(self._checkpoints(arm))

    def model(self, arm: str, **hyperparams: float) -> Model:
        """The arm's model as evaluations use it: without dropout and noise.

        ``hyperparams`` are needed where several values of a cell option were swept. Raises InputError.
        """
        return build_model(self.spec(arm), self._chosen(arm, hyperparams))

    def cell(self, arm: str, **hyperparams: float) -> Cell:
        """The cell inside ``model``, whose parameters are ``params(...).cell``.

        Raises InputError for an encoder-decoder arm, which has two cells.
        """
        spec = self.spec(arm)
        if spec.attention is not None:
            raise InputError(f"arm: {arm} is an encoder and a decoder, with a cell each; accepted: an arm of one cell")
        return build_cell(spec, self._chosen(arm, hyperparams))

    def examples(self, split: str, count: int) -> Split:
        """The first ``count`` examples of "train", "validation" or "test"; loads the data set.

        Raises InputError if the data set is not the one that the run recorded.
        """
        choose("split", split, ("train", "validation", "test"))
        check_data(self._recorded, self._moved, self.environment["dataset"])
        dataset = load_dataset(self.config.data, **data_options(self.config))
        if json.loads(json.dumps(dict(dataset.source))) != self.environment["dataset"]["source"]:
            raise InputError(f"{self.directory}: the data {self.config.data} changed since the run started")
        return jax.tree.map(lambda leaf: leaf[:count], getattr(dataset, split))

    def _chosen(self, arm: str, hyperparams: Mapping[str, float]) -> dict[str, Array]:
        """The hyperparameters of one run of the arm; the first of those that differ in no cell option."""
        row = self._rows(arm, self.config.seeds[0], hyperparams, needed=self.spec(arm).swept_options)[0]
        return {name: column[row] for name, column in self.runs(arm).hyperparams.items()}

    def _rows(self, arm: str, seed: int, hyperparams: Mapping[str, float], needed: tuple[str, ...]) -> np.ndarray:
        """The rows of the run axis that match; exactly one if all hyperparameters are ``needed``."""
        if seed not in self.config.seeds:
            raise InputError(f"seed: {seed} is not in the run; accepted: {', '.join(map(str, self.config.seeds))}")
        grid, runs = self.hyperparams(arm), self.runs(arm)
        chosen = runs.seed == np.uint32(seed)
        for name, value in hyperparams.items():
            if name not in grid:
                raise unknown(f"arm {arm}: hyperparameter", name, grid)
            with np.errstate(over="ignore"):
                here = runs.hyperparams[name] == np.float32(value)
            if not here.any():
                raise InputError(f"{name}: {value:g} is not in arm {arm}; accepted: {_listed(grid[name])}")
            chosen &= here
        for name in needed:
            if name not in hyperparams and len(grid[name]) > 1:
                raise InputError(f"{name}: arm {arm} was run with several values; choose one of {_listed(grid[name])}")
        return np.flatnonzero(chosen)

    def _checkpoints(self, arm: str) -> Path:
        return self.directory / "checkpoints" / arm


def load_run(directory: str | Path, moved: Iterable[str] = ()) -> SavedRun:
    """The run in ``directory``, finished or not, without its data set.

    ``moved``: ``OLD=NEW`` for each cell's file or text that is no longer where the run found it. Raises InputError if
    there is no run, if a file of it is missing or altered, and for another version's.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"{directory}: no such directory")
    config, training_hash = base_from_json(files.read_text(directory / "config.json"))
    environment = files.read_json(directory / "env.json")
    return SavedRun(directory, config, training_hash, environment, parse_moved(moved, config))


def _dataset(directory: Path, environment: Any) -> Dataset:
    """The data set described in env.json, without examples."""
    try:
        recorded = environment["dataset"]
        letters, source, sizes = recorded["vocabulary"], recorded["source"], recorded["examples"]
        choose("task", recorded["task"], TASKS)
        vocabulary = () if letters is None and recorded["has_token_inputs"] else letters  # words are not recorded
        if letters is not None and len(letters) != recorded["input_size"]:
            raise InputError(f"vocabulary: {len(letters)} characters; accepted: {recorded['input_size']}")
        train, validation, test = (
            Split(None, jax.ShapeDtypeStruct((int(sizes[name]),), np.int32)) for name in ("train", "validation", "test")
        )
        return Dataset(
            recorded["name"], recorded["task"], int(recorded["input_size"]), int(recorded["output_size"]),
            train, validation, test, source=dict(source), scale=float(recorded["scale"]), vocabulary=vocabulary,
            prompt_length=int(recorded["prompt_length"]),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        raise InputError(f"{directory / 'env.json'}: not readable ({reason})") from (error)


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
