r"""What happens to the two paths of a Cerebral LSTM that start from identical parameters.

Paper:     Kumar, Cerebral LSTM, 2020, section 4.1.
Claims:    `claims` below: with identical initial values "early training updates are similar, but divergence may occur
           over time" (C3), and half of the cell is redundant; different values give faster convergence and better
           results (C4), as each path specializes.
Expected:  with identical values both paths compute the same function and receive the same gradient, so in exact
           arithmetic they stay identical forever, and the cell is an LSTM whose output counts twice. Only rounding can
           separate them.
Arms:      identical; noise: identical plus Gaussian noise of standard deviation noise_std on every weight of the lower
           path, from 1e-8 to 1e-1 (swept as a hyperparameter); independent draws; lstm_doubled: one path whose output
           counts twice, from exactly the initial values of identical. Its gradient is the sum over both paths, twice as
           large: with Adagrad, whose accumulator starts at 0.1, its first steps are larger than theirs. identical-odd:
           as identical with one unit more, so that sums are rounded in another way: a parting of identical that is not
           rounding occurs there too. printed: the cell of the paper's equations, without memory in c.
Measured:  before training and after every epoch, on a fixed batch of the validation text: param_distance (Euclidean
           norm of the difference between the paths' parameters), state_distance (root mean square difference between
           their cell states), gradient_cosine (of the loss with respect to the two paths).
           The author's package perturbs paths that are drawn alike, so C3 would hold there by construction.
Protocols (--set protocol=NAME): small (default), 64 units on Python's reference text; medium, 128 units on the paper's
           text, Moe's Tavern, and its windows of 20; paper, the paper's size: Moe's Tavern, 512 units, batch size 128,
           windows of 20, 500 epochs of 100 batches. All have the paper's optimizer
           and learning rate (Adagrad, 0.05) and initial values (the author's package). Not given: the size and the
           length of a training in this section.

Command:   python -m experiments run cerebral_init
           python -m experiments run cerebral_init --set protocol=medium     two hours on two cores
           python -m experiments run cerebral_init --set protocol=paper      days on two cores
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rnnlab.config.experiment import Arm, Config

if TYPE_CHECKING:
    from rnnlab.claims import Claim, Evidence, Rule

EPS = tuple(10.0**exponent for exponent in range(-8, 0))


def _arms(hidden_size: int) -> dict[str, Arm]:
    return {
        "identical": Arm("cerebral_lstm", options={"paths": "identical"}),
        "identical-odd": Arm("cerebral_lstm", hidden_size=hidden_size + 1, options={"paths": "identical"}),
        "noise": Arm("cerebral_lstm", options={"paths": "noise", "noise_std": EPS}),
        "independent": Arm("cerebral_lstm", options={"paths": "independent"}),
        "lstm_doubled": Arm("cerebral_lstm", options={"paths": "tied"}),
        "printed": Arm("cerebral_lstm", options={"paths": "independent", "variant": "printed"}),
    }


SMALL: dict[str, Any] = {
    "arms": _arms(64), "data": "pydoc", "hidden_size": 64, "batch_size": 32, "sequence_length": 32, "epochs": 20,
}  # fmt: skip
PAPER: dict[str, Any] = {
    "arms": _arms(512), "data": "moes_tavern", "hidden_size": 512, "batch_size": 128, "sequence_length": 20,
    "epochs": 500,
}  # fmt: skip
MEDIUM = {**PAPER, "arms": _arms(128), "hidden_size": 128, "batch_size": 32, "epochs": 20}
PROTOCOLS = {"small": SMALL, "medium": MEDIUM, "paper": PAPER}

CONFIG = Config(
    experiment="cerebral_init",
    protocol="small",
    seeds=tuple(range(8)),
    steps_per_epoch=100,
    optimizer="adagrad",
    optimizer_options={"initial_accumulator": 0.1},
    learning_rate=(0.05,),
    probes=("paths",),
    keep_params_every=5,
    **SMALL,
)

QUICK = {"data": "pydoc", "seeds": (0, 1), "epochs": 2, "steps_per_epoch": 5, "hidden_size": 16}

REDUNDANT = 0.05  # nats: a fortieth of the loss of such models


def claims(config: Config) -> "Sequence[Claim]":
    """Section 4.1, claim by claim."""
    from rnnlab.claims import (
        Claim,
        all_of,
        at_best_validation,
        below,
        epochs_to,
        equivalent,
        last,
        lower,
        paths_may_part,
        sooner,
    )  # fmt: skip

    loss, arms = ("train", "loss"), ["independent", "identical"]

    def may_part(found: "Evidence") -> "Rule":
        identical, independent, odd = map(found.group, ("identical", "independent", "identical-odd"))
        return paths_may_part(identical, independent, odd)

    def faster(found: "Evidence") -> "Rule":
        independent, identical = map(found.group, arms)
        return sooner(independent, identical, epochs_to(*loss, last(*loss).mean(identical)))

    def better(found: "Evidence") -> "Rule":
        independent, identical = map(found.group, arms)
        return all_of(lower(independent, identical, last(*loss)),
                      lower(independent, identical, at_best_validation("loss")))  # fmt: skip

    def redundant(found: "Evidence") -> "Rule":
        return equivalent(found.group("identical"), found.group("lstm_doubled"), at_best_validation("loss"),
                          within=REDUNDANT)  # fmt: skip

    def specialized(found: "Evidence") -> "Rule":
        independent, cosine = found.group("independent"), last("validation", "gradient_cosine")
        return all_of(below(independent, cosine, 0.5), lower(independent, found.group("identical"), cosine))

    return [
        Claim("C3", "With identical values early updates are similar, but the paths may part over time.", "no number",
              [*arms, "identical-odd"], may_part, "section 4.1.1",
              "shown by a run that parts by more than 1 % of the distance of independent draws, if one of "
              "identical-odd does too; refuted by a distance of exactly 0 after every epoch, which is a proof"),
        Claim("C redundant", "With identical values the paths are redundant and under-utilize the model's capacity.",
              "no number", ["identical", "lstm_doubled"], redundant, "section 4.1.1",
              "held-out loss equivalent to that of one path that counts twice, within 0.05 nats"),
        Claim("C4", "Different values give faster convergence.", "no number", arms, faster, "sections 4.1, 4.1.2",
              "fewer epochs to the training loss that identical values have at the end"),
        Claim("C4 performance", "Different values give improved performance.", "no number", arms, better,
              "section 4.1.2", "training loss at the end, and held-out loss at its best epoch"),
        Claim("C4 features", "With different values each path can specialize in different features.", "no number",
              arms, specialized, "section 4.1.2", "our reading: the gradients of the paths are less than half aligned"),
    ]  # fmt: skip
