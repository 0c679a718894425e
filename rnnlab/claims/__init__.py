"""What a paper claims, as a rule over a run's records that says holds, fails or undecided."""

from rnnlab.claims.comparisons import Part, about, above, below, cheaper, higher, lower, parted, sooner
from rnnlab.claims.judge import ALPHA, LEAST_SEEDS, Claim, Evidence, Verdict, judge, text
from rnnlab.claims.run_values import (
    HELD_OUT,
    Number,
    at_best_validation,
    at_epoch,
    best,
    fall,
    last,
    mean_over,
    rise,
)

__all__ = [
    "ALPHA",
    "HELD_OUT",
    "LEAST_SEEDS",
    "Claim",
    "Evidence",
    "Number",
    "Part",
    "Verdict",
    "about",
    "above",
    "at_best_validation",
    "at_epoch",
    "below",
    "best",
    "cheaper",
    "fall",
    "higher",
    "judge",
    "last",
    "lower",
    "mean_over",
    "parted",
    "rise",
    "sooner",
    "text",
]
