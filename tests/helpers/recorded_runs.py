"""Run directories filled with known metrics, without training."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments import quickstart
from rnnlab.config.document import to_json
from rnnlab.config.experiment import Arm
from rnnlab.stats.summary import summarize
from rnnlab.storage import files
from rnnlab.storage.metrics import DIVERGED_AT, Metrics
from rnnlab.training.tasks import TASKS

TASK = TASKS["classification"]
RATE = "learning_rate"
ARMS = {name: {"cell": "rnn", "hidden_size": 4, "layers": 1, "parameters": 1234, "seconds": 61.0} for name in "ab"}

VALIDATION = np.array([[3.0, 1.0, 2.0], [2.0, 2.5, 1.5], [1.0, 4.0, 5.0]])  # best in epochs 2, 3, 1
ACCURACY = np.array([[0.5, 0.6, 0.9], [0.8, 0.7, 0.75], [0.4, 0.3, 0.2]])
AT_BEST_VALIDATION, BEST_ON_TEST = [0.6, 0.75, 0.4], [0.9, 0.8, 0.4]


def hyperparams(count: int, rate: float = 1e-2) -> dict[str, np.ndarray]:
    return {RATE: np.full(count, rate, np.float32)}


def fill(metrics: Metrics, arm: str, *, rate: float = 1e-2, diverged: int | None = None, upto: int = 3) -> None:
    """Three seeds, three epochs; the seed at index ``diverged`` diverges in the second epoch, at step 7."""
    seeds = np.array([4, 0, 9])
    for epoch in range(1, upto + 1):
        finite = np.array([index != diverged or epoch == 1 for index in range(3)])
        for split, shift in (("train", -0.5), ("validation", 0.0), ("test", 0.25)):
            values = {"loss": (VALIDATION[:, epoch - 1] + shift)[finite], "accuracy": ACCURACY[:, epoch - 1][finite]}
            metrics.add(arm, seeds[finite], hyperparams(finite.sum(), rate), epoch, 5 * epoch, split, values)
        if epoch == 2 and diverged is not None:
            metrics.add(arm, seeds[[diverged]], hyperparams(1, rate), 2, 10, "train", {DIVERGED_AT: np.array([7])})


def summary_of(metrics: Metrics, *, complete: bool = True) -> dict:
    return summarize(metrics.table, TASK, ARMS, experiment="quickstart", complete=complete)


def directory_of(path: Path, metrics: Metrics, *, complete: bool = True) -> Path:
    """A run directory as training leaves it, without checkpoints."""
    config = replace(quickstart.CONFIG, arms={"a": Arm("rnn"), "b": Arm("rnn", options={"activation": "relu"})})
    path.mkdir()
    (path / "config.json").write_text(to_json(config))
    files.write_json(path / "env.json", {"python": "3", "packages": {"<script>alert(1)</script>": "&"}})
    metrics.write(path / "metrics.parquet")
    files.write_json(path / "summary.json", summary_of(metrics, complete=complete))
    return path
