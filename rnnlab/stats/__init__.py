"""Intervals, comparisons of arms, and the numbers that stand for a run. Pure functions of arrays."""

from rnnlab.stats.intervals import (
    METHODS,
    RESAMPLES,
    STATISTICS,
    Bootstrap,
    Estimate,
    Interval,
    Values,
    bootstrap,
    estimate,
    interquartile_mean,
    live,
    mean_interval,
)
from rnnlab.stats.paired import (
    MOST_SEEDS,
    Difference,
    differences_by_seed,
    holm,
    paired_difference,
    paired_power,
    seeds_needed,
)
from rnnlab.stats.ranks import Improvement, Profile, performance_profile, probability_of_improvement
from rnnlab.stats.runs import at_best_validation, best_over_epochs, last_epoch

__all__ = [
    "METHODS",
    "MOST_SEEDS",
    "RESAMPLES",
    "STATISTICS",
    "Bootstrap",
    "Difference",
    "Estimate",
    "Improvement",
    "Interval",
    "Profile",
    "Values",
    "at_best_validation",
    "best_over_epochs",
    "bootstrap",
    "differences_by_seed",
    "estimate",
    "holm",
    "interquartile_mean",
    "last_epoch",
    "live",
    "mean_interval",
    "paired_difference",
    "paired_power",
    "performance_profile",
    "probability_of_improvement",
    "seeds_needed",
]
