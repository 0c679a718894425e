"""Statistics over runs: values per run -> intervals, paired differences, ranks, and the rows of summary.json.

Pure functions of arrays, except `rnnlab.stats.summary`, which reads the metrics table. Imports core, storage (columns
of the metrics) and train (tasks).
"""

from rnnlab.stats.epoch_selection import at_best_validation, best_over_epochs, first_reached, last_epoch
from rnnlab.stats.intervals import Interval, Proportion, finite, mean_interval, measured, proportion_interval
from rnnlab.stats.paired import (
    MOST_SEEDS,
    Difference,
    correlation_by_seed,
    differences_by_seed,
    holm,
    paired_difference,
    paired_power,
    seeds_needed,
)
from rnnlab.stats.ranks import Improvement, mann_whitney, probability_of_improvement, seeds_of_sign_test

__all__ = [
    "MOST_SEEDS", "Difference", "Improvement", "Interval", "Proportion", "at_best_validation", "best_over_epochs",
    "correlation_by_seed",
    "differences_by_seed", "finite", "first_reached", "holm", "last_epoch", "mann_whitney", "mean_interval", "measured",
    "paired_difference",
    "paired_power", "probability_of_improvement", "proportion_interval", "seeds_needed", "seeds_of_sign_test",
]  # fmt: skip
