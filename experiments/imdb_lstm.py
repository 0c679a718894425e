r"""An LSTM on the sentiment of film reviews, and whether regularization, a Grid LSTM or a QRNN helps.

Paper:     Ghazi, LSTM project report (IMDB sentiment).
Task:      IMDB reviews, positive or negative; punctuation stripped, rare words dropped; softmax on the last h.
Settings:  embedding 100, LSTM, Adam, 10 epochs. Not given: units (128, as in Murthy et al. 2020, with whom the report
           compares itself), length (200), batch size (32), the meaning of rare (fewer than 10 times in the training
           part).
Numbers:   the report's log of training and test accuracy over epochs 1 to 8 and Murthy et al.'s training accuracy are
           shown next to ours by epoch, in the terminal and in figures/published_curves.
Claims:    D1 test accuracy peaks near 85 % by epoch 5 and then falls, while training accuracy reaches 99 %. D2 (listed
           as future work) regularization improves test accuracy: lstm-dropout, lstm-recurrent, lstm-decay, lstm-all.
           Our readings: near 85 % is 2.5 points to either side, of the best over epochs; "then falls" is from epoch 5
           to the last; 99 % is 98.5 % or more; D2 holds if one of its arms is better, on test at best validation.
           The report suggests two improvements, Grid LSTM and QRNN; Bradbury et al. 2016 claim that a densely connected
           QRNN is more accurate on these reviews than a stacked LSTM of the same width.
Protocols (--set protocol=NAME): held_out (default), 2,500 of the training reviews are for validation;
           validate_on_test, as in the report: trains on all 25,000; systems, the splits of held_out with other arms:
           lstm, two stacked, two QRNN layers densely connected, a Grid LSTM of two layers, and a bidirectional LSTM;
           100 words, padded in front, so that a QRNN can process a whole sequence at once instead of step by step.
Departures: reviews of different lengths are masked, not padded.

Command:   python -m experiments run imdb_lstm
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnlab.config.experiment import Arm, Config, Option

if TYPE_CHECKING:
    from rnnlab.claims import Claim, Comparison, Evidence
    from rnnlab.report.published import Curve

DATA: dict[str, Option] = {
    "vocabulary": "all",
    "min_count": 10,
    "unknown": "drop",
    "length": 200,
    "padding": "masked",
    "start": False,
}

DROPOUT: dict[str, Option] = {"dropout": 0.5}
RECURRENT: dict[str, Option] = {"recurrent_dropout": 0.5}
DECAY: dict[str, Option] = {"weight_decay": 0.05}

CONFIG = Config(
    experiment="imdb_lstm",
    arms={
        "lstm": Arm("lstm"),
        "lstm-dropout": Arm("lstm", hyperparams=DROPOUT),
        "lstm-recurrent": Arm("lstm", hyperparams=RECURRENT),
        "lstm-decay": Arm("lstm", hyperparams=DECAY),
        "lstm-all": Arm("lstm", hyperparams={**DROPOUT, **RECURRENT, **DECAY}),
    },
    data="imdb",
    data_options=DATA,
    protocol="held_out",
    seeds=(0, 1, 2, 3),
    epochs=10,
    batch_size=32,
    hidden_size=128,
    embedding_size=100,
    embedding_init="keras_uniform",
    optimizer="adam",
    learning_rate=(1e-3,),
)

SYSTEMS = {
    "lstm": Arm("lstm"),
    "lstm-stacked": Arm("lstm", layers=2),
    "qrnn-dense": Arm("qrnn", layers=2, connections="dense"),
    "grid": Arm("grid_lstm", options={"layers": 2}),
    "bidirectional": Arm("bidirectional(lstm)"),
}

PROTOCOLS = {
    "held_out": {},
    "validate_on_test": {"data_options": {**DATA, "validation": "test"}},
    "systems": {"arms": SYSTEMS, "data_options": {**DATA, "length": 100, "padding": "front"}, "epochs": 4},
}

QUICK = {
    "data_options": {**DATA, "min_count": 2, "length": 20, "examples": 400},
    "seeds": (0, 1),
    "epochs": 2,
    "hidden_size": 16,
    "embedding_size": 16,
}

TRAINING = (0.7525, 0.8578, 0.8956, 0.9284, 0.9550, 0.9745, 0.9872, 0.9925)
TEST = (0.8203, 0.8434, 0.8502, 0.8507, 0.8540, 0.8477, 0.8450, 0.8455)
MURTHY = (0.5614, 0.7591, 0.8813, 0.9344, 0.9616, 0.9767, 0.9859, 0.9911, 0.9936, 0.9956)


def published_curves(config: Config) -> Sequence["Curve"]:
    """The report's log, and the accuracies of Murthy et al. that it quotes."""
    from rnnlab.report.published import Curve

    if "lstm" not in config.arms:
        return []
    return [
        Curve("the report", "lstm", "train", "accuracy", dict(enumerate(TRAINING, 1))),
        Curve("the report", "lstm", "test", "accuracy", dict(enumerate(TEST, 1))),
        Curve("Murthy et al.", "lstm", "train", "accuracy", dict(enumerate(MURTHY, 1))),
    ]


def claims(config: Config) -> "Sequence[Claim]":
    """D1 and D2."""
    from rnnlab.claims import Claim, about, above, at_best_validation, at_epoch, best, higher, last

    own, regularized = ["held_out", "validate_on_test"], [name for name in CONFIG.arms if name != "lstm"]

    def peaks_and_falls(found: "Evidence") -> "Sequence[Comparison]":
        lstm, test, words = found.group("lstm"), ("test", "accuracy"), "test accuracy"
        early, late = best(*test, until=5), best(*test, after=5)
        fifth, end = at_epoch(*test, 5), last(*test)
        return [
            *about(lstm, best(*test), 0.85, f"best {words}"),
            above(lstm, lambda group: early(group) - late(group), 0, f"best {words} by epoch 5 - best after"),
            above(lstm, lambda group: fifth(group) - end(group), 0, f"fall of {words} after epoch 5"),
            above(lstm, last("train", "accuracy"), 0.985, "training accuracy"),
        ]

    def one_helps(found: "Evidence") -> "Sequence[Comparison]":
        number, lstm = at_best_validation("accuracy"), found.group("lstm")
        return [higher(found.group(name), lstm, number, "test accuracy") for name in regularized]

    return [
        Claim("D1", "Test accuracy peaks near 85 % by epoch 5, then falls, while training accuracy goes to 99 %.",
              "85.40, then 84.55 %; 99.25 %", ["lstm"], peaks_and_falls, own),
        Claim("D2", "Regularization improves test accuracy.", "future work", ["lstm", *regularized], one_helps, own,
              one_is_enough=True),
    ]  # fmt: skip
