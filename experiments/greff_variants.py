r"""Do any of eight changes to the LSTM matter?

Paper:     Greff, Srivastava, Koutník, Steunebrink & Schmidhuber, LSTM: a search space odyssey, 2015.
Claims:    `claims` below, from the paper's sections V and VI: none of the variants improves upon the standard
           architecture significantly; the forget gate and the output activation function are its most critical parts;
           coupling the input and forget gates, or no peepholes, does not hurt significantly; full gate recurrence does
           not help.
Arms:      vanilla, and NIG, NFG, NOG, NIAF, NOAF, NP, CIFG, FGR: what each leaves out or adds is in `greff_lstm`. As in
           the paper all have the same number of units, not of parameters.
Task:      --set protocol=chars (default), Python's reference text by characters, or tracking, products of permutations.
           The paper has TIMIT (speech), IAM (handwriting) and JSB (music), bidirectional on the first two, and takes
           for each variant the best tenth of 200 draws of the hyperparameters. None of these data is free to ship, so a
           verdict here is about the claim on another task.
Settings:  Adam (the paper: momentum), three learning rates, the best on validation; clipped to a norm of 1.

Command:   python -m experiments run greff_variants
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rnnlab.config.experiment import Arm, Config

if TYPE_CHECKING:
    from rnnlab.claims import Claim, Evidence, Rule

VARIANTS = ("NIG", "NFG", "NOG", "NIAF", "NOAF", "NP", "CIFG", "FGR")
ARMS = {"vanilla": Arm("greff_lstm"), **{name: Arm("greff_lstm", options={"variant": name}) for name in VARIANTS}}

PROTOCOLS: dict[str, dict[str, Any]] = {
    "chars": {"data": "pydoc", "data_options": {}, "epochs": 10, "steps_per_epoch": 150, "hidden_size": 64},
    "tracking": {
        "data": "state_tracking", "data_options": {"group": "s3"}, "epochs": 5, "steps_per_epoch": 300,
        "hidden_size": 32,
    },
}  # fmt: skip

CONFIG = Config(
    experiment="greff_variants",
    protocol="chars",
    arms=ARMS,
    seeds=tuple(range(16)),
    batch_size=32,
    optimizer="adam",
    learning_rate=(1e-3, 3e-3, 1e-2),
    clip_norm=(1.0,),
    **PROTOCOLS["chars"],
)

QUICK = {"seeds": (0, 1), "epochs": 1, "steps_per_epoch": 3, "hidden_size": 8, "learning_rate": (3e-3,)}

SMALL = 0.02  # nats: what we call no significant change; a hundredth of the loss of such models


def claims(config: Config) -> "Sequence[Claim]":
    """Sections V and VI, claim by claim; every arm at the rate that is best on validation."""
    from rnnlab.claims import Claim, all_of, at_best_validation, equivalent, lower

    loss = at_best_validation("loss")

    def best(found: "Evidence", arm: str) -> Any:
        return found.best_on_validation(arm, "loss")

    def no_better(*names: str) -> Any:
        def rule(found: "Evidence") -> "Rule":
            return all_of(*(lower(best(found, "vanilla"), best(found, name), loss, by=-SMALL) for name in names))

        return rule

    def hurts(*names: str) -> Any:
        def rule(found: "Evidence") -> "Rule":
            return all_of(*(lower(best(found, "vanilla"), best(found, name), loss) for name in names))

        return rule

    def harmless(*names: str) -> Any:
        def rule(found: "Evidence") -> "Rule":
            vanilla = best(found, "vanilla")
            return all_of(*(equivalent(best(found, name), vanilla, loss, within=SMALL) for name in names))

        return rule

    words = "held-out loss at the best epoch, each arm at its best learning rate"
    within = f"{words}; within {SMALL:g} nats"

    def claim(name: str, sentence: str, arms: Sequence[str], rule: Any, section: str, reading: str) -> "Claim":
        return Claim(name, sentence, "no number", ["vanilla", *arms], rule, section, reading)

    return [
        claim("G none better", "None of the eight variants improves significantly on the standard architecture.",
              VARIANTS, no_better(*VARIANTS), "section VI", within),
        claim("G forget", "The forget gate is critical.", ["NFG"], hurts("NFG"), "section V-B", words),
        claim("G output activation", "The output activation function is critical.", ["NOAF"], hurts("NOAF"),
              "section V-B", words),
        claim("G coupled", "Coupling the input and forget gates does not hurt significantly.", ["CIFG"],
              harmless("CIFG"), "section V-B", within),
        claim("G peepholes", "Removing peepholes does not hurt significantly.", ["NP"], harmless("NP"), "section V-B",
              within),
        claim("G gate recurrence", "Full gate recurrence does not improve performance.", ["FGR"], no_better("FGR"),
              "section V-B", within),
        claim("G others", "Without input gate, output gate or input activation, speech and handwriting suffer.",
              ["NIG", "NOG", "NIAF"], hurts("NIG", "NOG", "NIAF"), "section V-B", words),
    ]  # fmt: skip
