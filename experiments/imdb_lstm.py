r"""An LSTM on the sentiment of film reviews, and whether regularisation helps it.

Paper:     Ghazi, LSTM project report (IMDB sentiment), whose improvements Grid LSTM and QRNN are cells of their own.
Task:      IMDB reviews, positive or negative; punctuation stripped, rare words dropped; softmax on the last h.
Settings:  embedding 100, LSTM, Adam, 10 epochs. Not given: units (128, those of Murthy et al. 2020, whom it compares
           itself with), length (200), batch (32), how rare is rare (fewer than 10 times in the training part).
Numbers:   its log of training and test accuracy over epochs 1 to 8 and Murthy et al.'s training accuracy stand
           beside ours by epoch, in the terminal and in figures/published_curves.
Claims:    D1 test accuracy peaks near 85 % by epoch 5 and then falls, while training accuracy goes to 99 %. D2 (named
           as future work) regularisation improves test accuracy: lstm-dropout, lstm-recurrent, lstm-decay, lstm-all.
Protocols (--set protocol=NAME): held_out (default), 2,500 of the training reviews validate; validate_on_test, as the
           report does: trains on all 25,000.
Departures: reviews of different lengths are masked, not padded.

Command:   python -m experiments run imdb_lstm
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnlab.config import Arm, Config, Option

if TYPE_CHECKING:
    from rnnlab.types import Curve

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
        "lstm-dropout": Arm("lstm", numbers=DROPOUT),
        "lstm-recurrent": Arm("lstm", numbers=RECURRENT),
        "lstm-decay": Arm("lstm", numbers=DECAY),
        "lstm-all": Arm("lstm", numbers={**DROPOUT, **RECURRENT, **DECAY}),
    },
    data="imdb",
    data_options=DATA,
    protocol="held_out",
    seeds=(0, 1, 2, 3),
    epochs=10,
    batch=32,
    hidden=128,
    embedding=100,
    embedding_init="keras_uniform",
    optimizer="adam",
    learning_rate=(1e-3,),
)

PROTOCOLS = {
    "held_out": {},
    "validate_on_test": {"data_options": {**DATA, "validation": "test"}},
}

QUICK = {
    "data_options": {**DATA, "min_count": 2, "length": 20, "examples": 400},
    "seeds": (0, 1),
    "epochs": 2,
    "hidden": 16,
    "embedding": 16,
}

TRAINING = (0.7525, 0.8578, 0.8956, 0.9284, 0.9550, 0.9745, 0.9872, 0.9925)
TEST = (0.8203, 0.8434, 0.8502, 0.8507, 0.8540, 0.8477, 0.8450, 0.8455)
MURTHY = (0.5614, 0.7591, 0.8813, 0.9344, 0.9616, 0.9767, 0.9859, 0.9911, 0.9936, 0.9956)


def published_curves(config: Config) -> Sequence["Curve"]:
    """The report's log, and the accuracies of Murthy et al. that it prints."""
    from rnnlab.types import Curve

    if "lstm" not in config.arms:
        return []
    return [
        Curve("the report", "lstm", "train", "accuracy", dict(enumerate(TRAINING, 1))),
        Curve("the report", "lstm", "test", "accuracy", dict(enumerate(TEST, 1))),
        Curve("Murthy et al.", "lstm", "train", "accuracy", dict(enumerate(MURTHY, 1))),
    ]
