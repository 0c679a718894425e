"""What training gives: tables, comparisons, figures, parameters and predictions of every run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow as pa

from rnnlab import stats
from rnnlab.api import predictions
from rnnlab.api.sources import DirectorySource, MemorySource, Source
from rnnlab.cells.session_cell import Made, restore
from rnnlab.claims import Evidence
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError, choose, unknown
from rnnlab.core.types import AnyArray, Carry, Dataset, Params
from rnnlab.report import html, png, run_figures, tables
from rnnlab.runs.saved_run import load_run as load_saved_run
from rnnlab.runs.writer import RunWriter
from rnnlab.stats import Difference
from rnnlab.stats.summary import Group, Headline, groups, headline_values
from rnnlab.training.single_run import init_state
from rnnlab.training.sweep import DRAW_OPTIONS

EPOCHS = ("best", "last", "first")


class Result:
    """Trained arms, each with a run for every seed and combination of hyperparameters: ``R`` runs.

    Shown as the table of results, mean and half-width of the 95 % CI over seeds. Made by `rnnlab.train` and
    `rnnlab.load_run`.

    Examples:
        >>> import rnnlab
        >>> result = rnnlab.train(["rnn", "gru"], "digits", hidden_size=8, seeds=3, epochs=1, progress=False)
        >>> result.metrics.column_names[:4]
        ['experiment', 'arm', 'seed', 'learning_rate']
        >>> result.compare("gru", "rnn", "test_accuracy").n
        3
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    @classmethod
    def of_memory(cls, run: RunWriter) -> "Result":
        """The result of a run that was not written."""
        return cls(MemorySource(run))

    @classmethod
    def of_directory(cls, directory: Path, dataset: Dataset | None = None) -> "Result":
        """The run in ``directory``. Raises InputError as `rnnlab.load_run`."""
        return cls(DirectorySource(load_saved_run(directory), dataset))

    @property
    def config(self) -> Config:
        """What was trained."""
        return self._source.config

    @property
    def arms(self) -> tuple[str, ...]:
        """The names of the arms, in order."""
        return tuple(self.config.arms)

    @property
    def directory(self) -> Path | None:
        """Where the run is stored; None in memory."""
        return self._source.directory

    @property
    def complete(self) -> bool:
        """Whether every arm was trained to its last epoch."""
        return bool(self._source.summary()["complete"])

    @property
    def metrics(self) -> pa.Table:
        """One row for each arm, run, epoch, split and metric: experiment, arm, seed, hyperparameters, ..., value."""
        return self._source.table()

    def runs(self, arm: str) -> pa.Table:
        """Seed and hyperparameters of the R runs of ``arm``, in the order of its run axis."""
        every = self._source.runs(self._arm(arm))
        columns = {"seed": every.seed.astype(np.int64)}
        columns |= {name: [float(str(value)) for value in column] for name, column in every.hyperparams.items()}
        return pa.table(columns)

    def summary(self) -> pa.Table:
        """A row for each arm and combination of hyperparameters: intervals of every metric, parameters, seconds.

        ``NAME`` is the mean over seeds that did not diverge, ``NAME_low`` and ``NAME_high`` its 95 % CI.
        """
        document = self._source.summary()
        rows = []
        for row in document["results"]:
            flat = {name: value for name, value in row.items() if not isinstance(value, Mapping)}
            for name, interval in row["metrics"].items():
                flat |= {name: interval["mean"], f"{name}_low": interval["low"], f"{name}_high": interval["high"]}
            described = document["arms"][row["arm"]]
            rows.append({**flat, "parameters": described["parameters"], "seconds": described["seconds"]})
        return pa.Table.from_pylist(rows)

    def compare(self, a: str, b: str, metric: str | None = None) -> Difference:
        """The mean difference ``a - b`` of runs with the same seed, with its 95 % CI and p-value (paired t-test).

        ``metric``: SPLIT_METRIC, such as ``test_accuracy``, at the epoch of the best validation loss (the last epoch
        where validation is test), or any name in `summary`; None: the metric of the table. Where an arm has several
        hyperparameters, those with the best validation metric. Raises InputError for an unknown arm or metric.
        """
        headline = self._headline(metric)
        evidence = Evidence(groups(self.metrics), {})
        chosen = [evidence.best_on_validation(self._arm(arm), headline.metric) for arm in (a, b)]
        values = [headline_values(group, headline) for group in chosen]
        return stats.paired_difference(chosen[0].seeds, values[0], chosen[1].seeds, values[1])

    def plot(self, metric: str = "loss") -> Any:
        """Training and held-out ``metric`` by epoch as a matplotlib Figure: mean over seeds and 95 % CI.

        Raises InputError for a metric that was not recorded.
        """
        measured: list[Group] = groups(self.metrics)
        recorded = dict.fromkeys(name for group in measured for _, name in group.values)
        if metric not in recorded:
            raise unknown("metric", metric, recorded)
        figure = run_figures.curves(metric, f"{metric}: mean over seeds and 95 % CI", measured, [metric])
        return png.drawn(figure)

    def params(self, arm: str, epoch: str | int = "best") -> Params:
        """The parameters of all runs of ``arm``, a pytree whose leaves have a leading run axis ``[R, ...]``.

        ``epoch``: "best" by validation loss (initial values for a run that had none), "last", "first" (initial values)
        or a number that ``keep_params_every`` kept. Raises InputError for what the run does not have.
        """
        source = self._source
        if epoch == "first":
            spec = source.spec(self._arm(arm))
            draw = jax.jit(
                lambda runs: jax.lax.map(lambda run: init_state(spec, run).params, runs), compiler_options=DRAW_OPTIONS
            )
            return draw(source.runs(arm))
        if epoch not in EPOCHS:
            return source.kept(self._arm(arm), epoch)
        state = source.state(self._arm(arm))
        return state.best.params if epoch == "best" else state.params

    def predict(
        self, inputs: AnyArray, arm: str | None = None, *, lengths: AnyArray | None = None,
        resets: AnyArray | None = None, epoch: str | int = "best",
        ensemble: bool = False, carry: Carry | None = None, return_carry: bool = False,
    ) -> Any:  # fmt: skip
        """What every run of ``arm`` predicts: probabilities of classes ``[R, N, C]``, or values ``[R, N, K]``.

        With an answer at every step ``[R, N, T, ...]``. ``inputs``: features ``[N, T, D]`` in the unit of the training
        data, which are standardized as these were, or ids ``[N, T]``; ``lengths [N]``: valid steps; ``resets
        [N, T]``: true where one of several packed sequences starts. Values are in the
        unit of the targets. ``arm`` may be left out where there is one. ``ensemble``: the mean over runs, without the
        run axis. ``carry``: the carry to go on from; ``return_carry``: also the carry after the last step, leaves
        ``[R, N, ...]``, for streams. A run without parameters of that epoch (it diverged) gives NaN.

        Raises InputError for inputs of another shape, rank or range.
        """
        arm = self._arm(arm)
        known = np.asarray(self._source.state(arm).best.epoch) > 0 if epoch == "best" else None
        return predictions.predict(
            self._source.spec(arm), self._source.runs(arm), self.params(arm, epoch), self._source.dataset, inputs,
            lengths=lengths, resets=resets, known=known, ensemble=ensemble, carry=carry, return_carry=return_carry,
        )  # fmt: skip

    def save(self, directory: str | Path) -> None:
        """Write the run into a new ``directory`` as the command line does; it can be reported, analyzed, resumed.

        Raises InputError if the directory holds something.
        """
        self._source.save(Path(directory))

    def __repr__(self) -> str:
        return tables.results_text(self._source.summary()) or "no results yet"

    def _repr_html_(self) -> str:
        return html.table(tables.table(self._source.summary()), "results")

    def _arm(self, arm: str | None) -> str:
        if arm is None:
            if len(self.arms) > 1:
                raise InputError(f"arm: missing; accepted: {', '.join(self.arms)}")
            return self.arms[0]
        return choose("arm", arm, self.arms)

    def _headline(self, metric: str | None) -> Headline:
        document = self._source.summary()
        described = document["metrics"]
        if metric is None:
            return tables.headline_of(document)
        for name in (metric, f"{metric}_at_best_validation", f"last_{metric}"):
            if name in described:
                return Headline(**described[name])
        short = dict.fromkeys(f"{each['split']}_{each['metric']}" for each in described.values())
        raise unknown("metric", metric, [*short, *described])


def load_run(directory: str | Path, cells: Mapping[str, Made] | None = None) -> Result:
    """The run in ``directory``, finished or not. The data set is not loaded.

    ``cells``: by name, those that were Python objects when it was trained. Raises InputError where there is no run,
    where a file of it is missing or altered, and for another version's.

    Examples:
        >>> load_run("nowhere")
        Traceback (most recent call last):
        rnnlab.core.errors.InputError: nowhere: no such directory
    """
    restore(cells or {})
    return Result.of_directory(Path(directory))
