r"""An LSTM on the sentiment of film reviews, and whether regularization, a Grid LSTM or a QRNN helps.

Paper:     Ghazi, LSTM project report (IMDB sentiment).
Task:      IMDB reviews, positive or negative; punctuation stripped, and of "unnecessary tokens" the br that is left of
           line breaks; rare words dropped; softmax on the last h.
Settings:  embedding 100, LSTM, Adam, 10 epochs. Not given: units (128, as in Murthy et al. 2020, with whom the report
           compares itself), length (200), batch size (32; the printed losses suggest about 50), the meaning of rare
           (fewer than 10 times in the training part), learning rate (1e-3), initial values (Glorot, orthogonal, forget
           bias 1; embedding uniform in ± 0.05), which 25,000 reviews (below), the split.
Numbers:   the report's log of training and test accuracy over epochs 1 to 8 and Murthy et al.'s accuracy, of which the
           report does not say on which split (read as training), are shown next to ours by epoch, in the terminal and
           in figures/published_curves. Its losses are rounded to 0.001 and seem to be divided by the batch size; they
           are not compared.
Claims:    `claims` below: each with its sentence, its test and the margin. Parameter counts of stacked QRNNs and LSTMs
           differ by 2 %; lstm-wide is the control of the bidirectional LSTM, grid-tied that of the Grid LSTM.
Protocols (--set protocol=NAME): held_out (default), 2,500 of the training reviews are for validation;
           validate_on_test, as in the report if its test set is the official one: trains on all 25,000;
           half, as in the report if it has 25,000 reviews in all: 12,500 for training and 12,500 for testing;
           each_step, as in the report, which trains on "an output at each time step": held_out with the mean loss over
           all steps of a review, and the accuracy of the last one;
           systems, the splits of held_out with other arms: two stacked LSTMs, QRNNs and Grid LSTMs, the first two also
           densely connected, as in Bradbury et al. 2016, and a bidirectional LSTM; 100 words, padded in front, so that
           a QRNN can process a whole sequence at once instead of step by step.
Departures: reviews of different lengths are masked, not padded.

Command:   python -m experiments run imdb_lstm
           python -m experiments bench --work imdb --cells qrnn --out DIR/bench           times, for D qrnn faster
           ... --inference --out DIR/bench-inference          and --inference --sizes T=512,B=8 --out DIR/bench-longest
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnlab.config.experiment import Arm, Config, Option

if TYPE_CHECKING:
    from rnnlab.claims import Claim, Evidence, Rule
    from rnnlab.report.published import Curve

DATA: dict[str, Option] = {
    "vocabulary": "all",
    "min_count": 10,
    "unknown": "drop",
    "length": 200,
    "padding": "masked",
    "start": False,
    "line_breaks": False,
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
    seeds=tuple(range(8)),
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
    "lstm-dense": Arm("lstm", layers=2, connections="dense"),
    "qrnn-stacked": Arm("qrnn", layers=2),
    "qrnn-dense": Arm("qrnn", layers=2, connections="dense"),
    "grid": Arm("grid_lstm", options={"layers": 2}),
    "grid-tied": Arm("grid_lstm", options={"layers": 2, "tied": True}),
    "bidirectional": Arm("bidirectional(lstm)"),
    "lstm-wide": Arm("lstm", hidden_size=197),
}

PROTOCOLS = {
    "held_out": {},
    "validate_on_test": {"data_options": {**DATA, "validation": "test"}},
    "half": {"data_options": {**DATA, "validation": "half"}},
    "each_step": {"data_options": {**DATA, "each_step": True}},
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
    """The report's log in words, its future work, and what it says of other systems."""
    from rnnlab.claims import (
        Claim,
        about,
        above,
        all_of,
        any_of,
        at_best_validation,
        at_epoch,
        best,
        cheaper,
        higher,
        slope,
    )  # fmt: skip

    log = ["held_out", "validate_on_test", "half", "each_step"]
    test, accuracy = ("test", "accuracy"), at_best_validation("accuracy")
    regularized = [name for name in CONFIG.arms if name != "lstm"]

    def peaks_and_falls(found: "Evidence") -> "Rule":
        lstm = found.group("lstm")
        return all_of(
            about(lstm, best(*test), 0.85, within=0.025),
            above(lstm, best(*test, until=5) - best(*test, after=5), 0),
            above(lstm, at_epoch(*test, 5) - at_epoch(*test, 8), 0),
            above(lstm, at_epoch("train", "accuracy", 8), 0.985),
        )

    def more_accurate(name: str, sentence: str, a: str, b: str, source: str, reading: str = "") -> "Claim":
        words = f"test accuracy at the epoch of the best validation accuracy{reading}"
        return Claim(
            name, sentence, "no number", [a, b], lambda found: higher(found.group(a), found.group(b), accuracy), source,
            words, ["systems"],
        )  # fmt: skip

    return [
        Claim("D rises", "With more epochs training accuracy improves, and as a result test accuracy.", "the log",
              ["lstm"], lambda found: all_of(*(above(found.group("lstm"), slope(split, "accuracy", 1, 8), 0)
                                               for split in ("train", "test"))),
              "implementation, Fig. 11", "least-squares slope over the eight epochs of the log; its own test accuracy "
              "falls from the sixth on", log, epochs=8),
        Claim("D1", "Test accuracy peaks near 85 % by epoch 5, then falls, while training accuracy goes to 99 %.",
              "85.40, then 84.55 %; 99.25 %", ["lstm"], peaks_and_falls, "Fig. 11, read off the log",
              "best within 2.5 points of 85 %, better by epoch 5 than after, lower at epoch 8 than 5, training above "
              "98.5 %", log, epochs=8),
        Claim("D loss", "Test loss rises from the fourth epoch to the eighth.", "0.007 to 0.020", ["lstm"],
              lambda found: above(found.group("lstm"), slope("test", "loss", 4, 8), 0), "Fig. 11, read off the log",
              "least-squares slope", log, epochs=8),
        Claim("D2", "Regularization improves test accuracy.", "future work", ["lstm", *regularized],
              lambda found: any_of(*(higher(found.group(name), found.group("lstm"), accuracy) for name in regularized)),
              "implementation", "one of four kinds is enough (Holm); test accuracy at the epoch of the best validation "
              "accuracy; strengths fixed beforehand, not tuned", ["held_out"]),
        more_accurate("D qrnn", "Stacked QRNNs are more accurate than stacked LSTMs of the same hidden size.",
                      "qrnn-stacked", "lstm-stacked", "improvement 2"),
        more_accurate("D qrnn dense", "Densely connected QRNNs (Bradbury et al.) are more accurate than such LSTMs.",
                      "qrnn-dense", "lstm-dense", "improvement 2"),
        Claim("D qrnn faster", "QRNNs are faster than LSTMs.", "up to 16 times", ["qrnn-stacked", "lstm-stacked"],
              lambda found: all_of(*(cheaper(found.timings, f"{k}qrnn", f"{k}lstm") for k in ("", "inference/"))),
              "improvement 2", "training steps and forward passes of one layer in turn with an LSTM's, by bench",
              ["systems"], epochs=1),
        Claim("D qrnn 16", "QRNNs are up to 16 times faster.", "16 times", ["qrnn-stacked", "lstm-stacked"],
              lambda found: cheaper(found.timings, "longest/qrnn", "longest/lstm", times=16), "improvement 2",
              "forward passes of one layer, batches of 8, 512 steps, where Bradbury et al. found 16, on a GPU",
              ["systems"], epochs=1),
        more_accurate("D grid", "A Grid LSTM can enhance the analysis of text.", "grid", "lstm-stacked", "conclusion",
                      "; against as many stacked LSTMs"),
        more_accurate("D grid control", "A Grid LSTM with fewer parameters can enhance the analysis of text.",
                      "grid-tied", "lstm-stacked", "conclusion"),
        more_accurate("C bidirectional", "Bidirectional LSTMs perform better than unidirectional ones.",
                      "bidirectional", "lstm", "Kumar, section 2"),
        more_accurate("C bidirectional control", "Bidirectional LSTMs perform better than one with as many parameters.",
                      "bidirectional", "lstm-wide", "Kumar, section 2"),
    ]  # fmt: skip
