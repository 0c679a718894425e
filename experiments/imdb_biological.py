r"""The biological LSTM against the LSTM and the peephole LSTM on the sentiment of film reviews.

Paper:     Rahman, Mohammed & Azad, A new LSTM model by introducing biological cell state, 2016.
Task:      IMDB, 25,000 reviews to train on and 25,000 to test; the 2,000 most frequent words, the last 100 of a review,
           padding in front, read as a word like the others; softmax on the last h.
Settings:  embedding -> 128 units -> 2 classes, 15 epochs, categorical cross-entropy, Keras. Arms: Keras's LSTM (the
           baseline), the peephole LSTM of eq. 1-5, the biological LSTM of eq. 17-21 with delta = 0.001.
Not given: embedding width, optimizer, batch, dropout. Those of the Keras example that it follows: embedding 128, Adam
           1e-3, batch 32; its dropout of 0.2 on inputs and recurrence is --set dropout=0.2 recurrent_dropout=0.2.
Numbers:   both models plateau at about 80 % validation accuracy (B1); the LSTM nears 100 % training accuracy, the
           biological one clearly less (B2), with a smaller gap between validation and training loss (B3, metric
           gap) and a validation loss that rises far less (B4).
Readings:  of the claims, by the rules below: "about" and "almost" allow 2.5 points to either side, "clearly less" is by
           more than that; a plateau is the mean of the last five epochs; "rises" is by 0.1 nats or more from its
           lowest, "far less" is less than half of it.
Protocols (--set protocol=NAME): held_out (default), 2,500 of the training reviews validate; validate_on_test, as the
           paper does: trains on all 25,000, and its table has no "at best validation".

Expected:  4 seeds, mean and half of the 95 % interval. Test accuracy at best validation: LSTM 84.2 ± 0.6 %, peephole
           85.2 ± 0.1 %, biological 82.6 ± 0.4 %. After 15 epochs the LSTM has 98.3 % training accuracy and a gap of
           0.77, the biological one 91.5 % and 0.22; validation loss has risen from 0.37 to 0.82 and from 0.38 to 0.45.

Command:   python -m experiments run imdb_biological
Sweeps:    --set arms.biological.options.delta=1e-4,1e-3,1e-2,1e-1,1        the size of a step of the cell state
           --set arms.biological.options.noise=0.01                        Gaussian noise on it, the paper's future work
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnlab.config.experiment import Arm, Config, Option

if TYPE_CHECKING:
    from rnnlab.claims import Claim, Comparison, Evidence

KERAS = {"w_init": "keras_glorot_uniform", "u_init": "keras_orthogonal"}
DATA: dict[str, Option] = {"vocabulary": 2000, "length": 100, "padding": "front", "keep": "last"}

CONFIG = Config(
    experiment="imdb_biological",
    arms={
        "lstm": Arm("lstm", options=KERAS),
        "peephole": Arm("peephole_lstm", options={"peephole": "full", "output_peephole": "previous", **KERAS}),
        "biological": Arm("biological_lstm", options={"delta": 1e-3, **KERAS}),
    },
    data="imdb",
    data_options=DATA,
    protocol="held_out",
    seeds=(0, 1, 2, 3),
    epochs=15,
    batch_size=32,
    hidden_size=128,
    embedding_size=128,
    embedding_init="keras_uniform",
    optimizer="adam",
    learning_rate=(1e-3,),
)

PROTOCOLS = {
    "held_out": {},
    "validate_on_test": {"data_options": {**DATA, "validation": "test"}},
}

QUICK = {
    "data_options": {**DATA, "vocabulary": 500, "length": 20, "examples": 400},
    "seeds": (0, 1),
    "epochs": 2,
    "hidden_size": 16,
    "embedding_size": 16,
}

PUBLISHED = {("lstm", 1e-3): 0.80, ("biological", 1e-3): 0.80}  # "about 80 %", section VI


def claims(config: Config) -> "Sequence[Claim]":
    """B1 to B4, under either protocol: "validation" is what validates there."""
    from rnnlab.claims import HELD_OUT, Claim, about, above, higher, last, lower, mean_over, rise_from_lowest

    arms = ["biological", "lstm"]
    plateau, training = mean_over(HELD_OUT, "accuracy", 5), last("train", "accuracy")
    risen = rise_from_lowest(HELD_OUT, "loss")

    def both(found: "Evidence") -> "Sequence[Comparison]":
        return [part for arm in arms for part in about(found.group(arm), plateau, 0.80, "validation accuracy")]

    def overfits(found: "Evidence") -> "Sequence[Comparison]":
        biological, lstm = map(found.group, arms)
        words = "training accuracy"
        return [above(lstm, training, 0.975, words), higher(lstm, biological, training, words, by=0.025)]

    def gap(found: "Evidence") -> "Sequence[Comparison]":
        biological, lstm = map(found.group, arms)
        return [lower(biological, lstm, last(HELD_OUT, "gap"), "validation - training loss")]

    def loss_rises(found: "Evidence") -> "Sequence[Comparison]":
        biological, lstm = map(found.group, arms)
        half = higher(lstm, biological, risen, "half the rise of validation loss", of_a=lambda group: risen(group) / 2)
        return [above(lstm, risen, 0.1, "rise of validation loss"), half]

    return [
        Claim("B1", "Both plateau at about 80 % validation accuracy.", "about 80 %", arms, both),
        Claim("B2", "The LSTM reaches almost 100 % training accuracy, the biological one clearly less.",
              "almost 100 %", arms, overfits),
        Claim("B3", "Validation loss - training loss is smaller for the biological LSTM.", "Figs. 7, 9", arms, gap),
        Claim("B4", "The LSTM's validation loss rises, the biological one's far less.", "Figs. 7, 9", arms, loss_rises),
    ]  # fmt: skip
