r"""What happens to the two paths of a Cerebral LSTM that start alike.

Paper:     Kumar, Cerebral LSTM, 2020, section 4.1.
Claims:    C3 with identical initial values "early training updates are similar, but divergence may occur over time"; C4
           different values give faster convergence and lower loss.
Expected:  with identical values both paths compute the same function and get the same gradient, so in exact arithmetic
           they stay identical for ever, and the cell is an LSTM whose output counts twice. Only rounding can part them.
Arms:      identical; noise: identical plus Gaussian noise of size eps on every weight of the lower path, eps from 1e-8
           to 1e-1 (a number that rides the run axis); independent draws; lstm_doubled: one path whose output counts
           twice, from the very initial values of identical. Its gradient is that of both paths together, twice
           as large: with Adagrad, whose accumulator starts at 0.1, its first steps are larger than theirs.
Measured:  before training and after every epoch, on a fixed batch of the validation text: param_distance (Euclidean
           norm of the difference of the paths' parameters), state_distance (root mean square difference of their cell
           states), gradient_cosine (of the loss with respect to the two paths).
Judged:    at this size, below. Paths are alike up to 1 % of the distance of independent draws; "faster" is a lower mean
           of the training loss over all epochs.
Settings:  the paper's optimizer and rate (Adagrad, 0.05) and initial values (the author's package), smaller: 64 units,
           on Python's reference text. The paper's: --data moes_tavern --set hidden_size=512 batch_size=128 sequence_length=20.

Command:   python -m experiments run cerebral_init
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnlab.config.experiment import Arm, Config

if TYPE_CHECKING:
    from rnnlab.claims import Claim, Comparison, Evidence

EPS = tuple(10.0**exponent for exponent in range(-8, 0))

CONFIG = Config(
    experiment="cerebral_init",
    arms={
        "identical": Arm("cerebral_lstm", options={"paths": "identical"}),
        "noise": Arm("cerebral_lstm", options={"paths": "noise", "noise_std": EPS}),
        "independent": Arm("cerebral_lstm", options={"paths": "independent"}),
        "lstm_doubled": Arm("cerebral_lstm", options={"paths": "tied"}),
    },
    data="pydoc",
    seeds=tuple(range(8)),
    epochs=20,
    steps_per_epoch=100,
    batch_size=32,
    sequence_length=32,
    hidden_size=64,
    optimizer="adagrad",
    optimizer_options={"initial_accumulator": 0.1},
    learning_rate=(0.05,),
    probes=("paths",),
    keep_params_every=5,
)

QUICK = {"seeds": (0, 1), "epochs": 2, "steps_per_epoch": 5, "hidden_size": 16}


def claims(config: Config) -> "Sequence[Claim]":
    """C3 and C4."""
    from rnnlab.claims import Claim, last, lower, mean_over, paths_diverged

    arms = ["independent", "identical"]

    def paths_part(found: "Evidence") -> "Sequence[Comparison]":
        return [paths_diverged(found.group("identical"), found.group("independent"))]

    def different_is_better(found: "Evidence") -> "Sequence[Comparison]":
        independent, identical = map(found.group, arms)
        return [
            lower(independent, identical, mean_over("train", "loss"), "training loss over all epochs"),
            lower(independent, identical, last("train", "loss"), "training loss at the end"),
        ]

    return [
        Claim("C3", "With identical values early updates are similar, but the paths may part over time.",
              "no number", arms, paths_part),
        Claim("C4", "Different values give faster convergence and lower loss.", "no number", arms, different_is_better),
    ]  # fmt: skip
