"""A run's directory, opened for reading: the model and the parameters of each of its runs.

Only ``SavedRun.examples`` needs the data set.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rnnlab.storage import checkpoint

from rnnlab.storage import records
from rnnlab.runs.arms import Plan, arm_cell, plan_arms
from rnnlab.config.experiment import Config, base_from_json
from rnnlab.data.registry import load_dataset
from rnnlab.core.errors import InputError, choose, unknown
from rnnlab.config.cell_name import is_file_cell
from rnnlab.runs.prepare import abstract_state, data_options, file_hash
from rnnlab.runs.recipes import arm_model, make_recipe
from rnnlab.train.sweep import run_grid
from rnnlab.train.tasks import TASKS
from rnnlab.train.single_run import init_state
from rnnlab.core.types import Array, Cell, Dataset, Model, Params, Run, Split, TrainState

EPOCHS = ("first", "best", "last")


class SavedRun:
    """What ``load_run`` gives. Nothing that is read is cached: every call of ``params`` reads a checkpoint.

    ``config``: the experiment, without its study's own fields. ``environment``: env.json. ``dataset``: the data set's
    sizes, task and vocabulary, with no examples in it.
    """

    def __init__(self, directory: Path, config: Config, digest: str, environment: Mapping[str, Any]) -> None:
        self.directory, self.config, self.environment = directory, config, environment
        self.dataset = _dataset(directory, environment)
        self._digest = digest
        self._plans = plan_arms(config)
        self._initial: dict[str, Callable[[Run], Params]] = {}

    def hyperparams(self, arm: str) -> dict[str, tuple[float, ...]]:
        """The values that the arm's swept numbers take, by name. Raises InputError for an unknown arm."""
        return dict(self._plan(arm).hyperparams)

    def saved(self, arm: str) -> bool:
        """Whether the arm has a checkpoint. Raises InputError if it is altered or belongs to another config."""
        self._plan(arm)
        position = checkpoint.position(self._checkpoints(arm))
        if position is not None and position.config != self._digest:
            raise InputError(
                f"checkpoint: of arm {arm} belongs to config {position.config}; accepted: the one in config.json"
            )
        return position is not None

    def params(self, arm: str, seed: int, epoch: str | int = "best", **hyperparams: float) -> Params:
        """The parameters of one run, with no run axis, as its model takes them; on the first device.

        ``epoch``: "first", the initial values, drawn anew; "best" by validation; "last"; or the number of one that
        ``keep_params_every`` kept. ``hyperparams`` tell apart runs of one seed where several values were swept. Raises InputError
        for what the run does not have.
        """
        plan = self._plan(arm)
        rows = self._rows(arm, plan, seed, hyperparams, needed=tuple(plan.hyperparams))
        kept = checkpoint.kept_epochs(self._checkpoints(arm))
        if epoch not in (*EPOCHS, *kept):
            accepted = ", ".join([*EPOCHS, *map(str, kept)])
            raise InputError(f"epoch: {epoch} of arm {arm} was not kept; accepted: {accepted} (keep_every keeps more)")
        recipe = make_recipe(self.config, plan, self.dataset)
        if epoch == "first":
            if arm not in self._initial:
                self._initial[arm] = jax.jit(lambda run: init_state(recipe, run).params)
            return self._initial[arm](jax.tree.map(lambda leaf: leaf[rows[0]], self._runs(plan)))
        if not self.saved(arm) and epoch in EPOCHS:
            raise InputError(f"checkpoint: arm {arm} of {self.directory} has none yet; accepted: a run that saved one")
        abstract = abstract_state(plan, recipe, self.config)
        if epoch not in EPOCHS:
            found = checkpoint.load_epoch(self._checkpoints(arm), abstract.params, int(epoch))
        else:
            state: TrainState = checkpoint.load(self._checkpoints(arm), abstract)
            found = state.params if epoch == "last" else state.best.params
            if epoch == "best" and state.best.epoch[rows[0]] == 0:
                raise InputError(
                    f"epoch: arm {arm}, seed {seed} has no best one: none has ended with a finite loss; accepted: last"
                )
        return jax.tree.map(lambda leaf: leaf[rows[0]], found)

    def kept(self, arm: str) -> list[int]:
        """The epochs that ``keep_params_every`` kept, in their order. Raises InputError for an unknown arm."""
        self._plan(arm)
        return checkpoint.kept_epochs(self._checkpoints(arm))

    def model(self, arm: str, **hyperparams: float) -> Model:
        """The arm's model as evaluations use it: nothing is dropped, no noise is drawn.

        ``hyperparams`` are needed where several values of an option of its cell were swept. Raises InputError.
        """
        plan, chosen = self._chosen(arm, hyperparams)
        return arm_model(self.config, plan, self.dataset, chosen, None)

    def cell(self, arm: str, **hyperparams: float) -> Cell:
        """The cell inside ``model``, whose parameters are ``params(...).cell``; ``hyperparams`` as there.

        Raises InputError for an arm of sequence to sequence, which has two.
        """
        plan, chosen = self._chosen(arm, hyperparams)
        if plan.arm.attention:
            raise InputError(f"arm: {arm} is of sequence to sequence and has two cells; accepted: an arm of one")
        return arm_cell(plan, plan.arm.cell, chosen, None)

    def examples(self, split: str, count: int) -> Split:
        """The first ``count`` examples of "train", "validation" or "test", or all there are; loads the data set.

        Raises InputError unless it is the data set that the run recorded.
        """
        choose("split", split, ("train", "validation", "test"))
        dataset = load_dataset(self.config.data, **data_options(self.config))
        if json.loads(json.dumps(dict(dataset.source))) != self.environment["dataset"]["source"]:
            raise InputError(f"{self.directory}: its data is not what {self.config.data} is now; accepted: as it was")
        return jax.tree.map(lambda leaf: leaf[:count], getattr(dataset, split))

    def _chosen(self, arm: str, hyperparams: Mapping[str, float]) -> tuple[Plan, dict[str, Array]]:
        """The arm's plan, and the numbers of one of its runs; of several where no option of its cell was swept."""
        plan = self._plan(arm)
        row = self._rows(arm, plan, self.config.seeds[0], hyperparams, needed=plan.swept)[0]
        return plan, {name: column[row] for name, column in self._runs(plan).hyperparams.items()}

    def _plan(self, arm: str) -> Plan:
        plan = self._plans[choose("arm", arm, self._plans)]
        for cell in filter(is_file_cell, plan.arm.cells):
            recorded = self.environment["dataset"].get("cells", {}).get(cell)
            if recorded != file_hash(cell):
                raise InputError(f"arm: {arm}: its cell's file {cell} was altered; accepted: as it was")
        return plan

    def _runs(self, plan: Plan) -> Run:
        return run_grid(self.config.seeds, plan.hyperparams)

    def _rows(
        self, arm: str, plan: Plan, seed: int, hyperparams: Mapping[str, float], needed: tuple[str, ...]
    ) -> np.ndarray:
        """The rows of the run axis that are meant; one where all numbers but the ``needed`` have one value."""
        if seed not in self.config.seeds:
            raise InputError(f"seed: {seed} is not in the run; accepted: {', '.join(map(str, self.config.seeds))}")
        runs = self._runs(plan)
        chosen = runs.seed == np.uint32(seed)
        for name, value in hyperparams.items():
            if name not in plan.hyperparams:
                raise unknown(f"arm {arm}: swept number", name, plan.hyperparams)
            with np.errstate(over="ignore"):
                here = runs.hyperparams[name] == np.float32(value)
            if not here.any():
                raise InputError(f"{name}: {value:g} is not in arm {arm}; accepted: {_listed(plan.hyperparams[name])}")
            chosen &= here
        for name in needed:
            if name not in hyperparams and len(plan.hyperparams[name]) > 1:
                raise InputError(
                    f"{name}: arm {arm} has runs with several; accepted: name one of {_listed(plan.hyperparams[name])}"
                )
        return np.flatnonzero(chosen)

    def _checkpoints(self, arm: str) -> Path:
        return self.directory / "checkpoints" / arm


def load_run(directory: str | Path) -> SavedRun:
    """The run in ``directory``, finished or not, without its data set.

    Raises InputError if there is none, if a file of it is missing or altered, and for another version's.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"{directory}: no such directory; accepted: a directory that run wrote")
    config, digest = base_from_json(records.read_text(directory / "config.json"))
    return SavedRun(directory, config, digest, records.read_json(directory / "env.json"))


def _dataset(directory: Path, environment: Any) -> Dataset:
    """The data set of env.json: its sizes without its examples."""
    try:
        told = environment["dataset"]
        letters, source, sizes = told["vocabulary"], told["source"], told["examples"]
        choose("task", told["task"], TASKS)
        vocabulary = () if letters is None and told["ids"] else letters  # words are not recorded
        if letters is not None and len(letters) != told["input_size"]:
            raise InputError(f"vocabulary: {len(letters)} characters; accepted: {told['input_size']}")
        train, validation, test = (
            Split(None, jax.ShapeDtypeStruct((int(sizes[name]),), np.int32)) for name in ("train", "validation", "test")
        )
        return Dataset(
            told["name"], told["task"], int(told["input_size"]), int(told["output_size"]),
            train, validation, test, source=source, scale=float(told["scale"]), vocabulary=vocabulary,
            prompt_length=int(told["prompt_length"]),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        raise InputError(f"{directory / 'env.json'}: not readable ({reason}); accepted: what this version wrote") from (
            error
        )


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
