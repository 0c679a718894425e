"""Claims of a paper as rules: groups of runs -> verdicts (holds, fails or undecided).

A study lists ``Claim`` objects. Their rules join comparisons (`all_of`, `any_of`) of run values; ``judge`` returns a
``Verdict`` for each. Imports core, config, training (metrics of tasks) and stats.
"""

from rnnlab.claims.comparisons import (
    about,
    above,
    below,
    cheaper,
    equivalent,
    fewer_parameters,
    higher,
    in_most,
    lower,
    lower_at_every_epoch,
    no_worse,
    ordered,
    paths_may_part,
    proof,
    sooner,
)
from rnnlab.claims.judge import ALPHA, MIN_SEEDS, Claim, Evidence, Verdict, family, judge, text
from rnnlab.claims.rules import AllOf, AnyOf, Comparison, Rule, all_of, any_of
from rnnlab.claims.run_values import (
    HELD_OUT,
    RunValue,
    at_best_validation,
    at_epoch,
    best,
    drop_from_best,
    epochs_to,
    fluctuation,
    last,
    mean_over,
    rise_from_lowest,
    slope,
)

__all__ = [
    "ALPHA", "HELD_OUT", "MIN_SEEDS", "AllOf", "AnyOf", "Claim", "Comparison", "Evidence", "Rule", "RunValue",
    "Verdict", "about", "above", "all_of", "any_of", "at_best_validation", "at_epoch", "below", "best", "cheaper",
    "drop_from_best", "epochs_to", "equivalent", "family", "fewer_parameters", "fluctuation", "higher", "in_most",
    "judge", "last", "lower", "lower_at_every_epoch", "mean_over", "no_worse", "ordered", "paths_may_part", "proof",
    "rise_from_lowest", "slope", "sooner", "text",
]  # fmt: skip
