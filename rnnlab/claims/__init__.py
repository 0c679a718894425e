"""Claims of a paper as rules: groups of runs -> verdicts (holds, fails or undecided).

A study lists ``Claim`` objects; their rules combine the comparisons and run values below; ``judge`` returns a
``Verdict`` for each. Imports core, config and stats.
"""

from rnnlab.claims.comparisons import Comparison, about, above, below, cheaper, higher, lower, paths_diverged, sooner
from rnnlab.claims.judge import ALPHA, MIN_SEEDS, Claim, Evidence, Verdict, judge, text
from rnnlab.claims.run_values import (
    HELD_OUT,
    RunValue,
    at_best_validation,
    at_epoch,
    best,
    drop_from_best,
    last,
    mean_over,
    rise_from_lowest,
)

__all__ = [
    "ALPHA",
    "HELD_OUT",
    "MIN_SEEDS",
    "Claim",
    "Comparison",
    "Evidence",
    "RunValue",
    "Verdict",
    "about",
    "above",
    "at_best_validation",
    "at_epoch",
    "below",
    "best",
    "cheaper",
    "drop_from_best",
    "higher",
    "judge",
    "last",
    "lower",
    "mean_over",
    "paths_diverged",
    "rise_from_lowest",
    "sooner",
    "text",
]
