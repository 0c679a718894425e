r"""The Cerebral LSTM against the LSTM on film reviews, as its author compares them.

Source:    the repository of Kumar, Cerebral LSTM, 2020 (the comparison is not in the paper).
Task:      IMDB, the first 5,000 reviews; 1,000 words without stop words; the first 69 tokens, padding in front.
Settings:  embedding 10, 16 units, dropout 0.3 before the readout, Adam 1e-3, divided by 10 every 4 epochs, batch 1,
           gradients clipped to 5.
Numbers:   validation accuracy 78.64 % (Cerebral) and 78.0 % (LSTM); in the table's column "paper".
Protocols (--set protocol=NAME): batched (default), batches of 32 at 1e-2; printed, batch 1 at 1e-3, as the author
           ran it: 32 times as many steps.
Departures: his 5,000 come from another order of the same reviews; scikit-learn's stop words instead of NLTK's; 500
           of the 5,000 validate, the first 5,000 test reviews test; a softmax over two classes. Epochs: not given, 8.

Command:   python -m experiments run imdb_cerebral
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnlab.config.experiment import Arm, Config, Option

if TYPE_CHECKING:
    from rnnlab.claims import Claim, Comparison, Evidence

DATA: dict[str, Option] = {
    "vocabulary": 1003,  # padding, start, unknown and 1,000 words
    "length": 69,
    "keep": "first",
    "stop_words": False,
    "start": False,
    "unknown": "drop",
    "examples": 5000,
}

CONFIG = Config(
    experiment="imdb_cerebral",
    arms={
        "lstm": Arm("lstm", options={"w_init": "torch_uniform", "u_init": "torch_uniform", "forget_bias": 0.0}),
        "cerebral": Arm("cerebral_lstm"),
    },
    data="imdb",
    data_options=DATA,
    protocol="batched",
    seeds=tuple(range(8)),
    epochs=8,
    batch_size=32,
    hidden_size=16,
    embedding_size=10,
    embedding_init="normal",
    optimizer="adam",
    learning_rate=(1e-2,),
    clip_norm=(5.0,),
    readout_dropout=(0.3,),
    lr_decay=0.1,
    lr_decay_epochs=4,
)

PROTOCOLS = {
    "batched": {"batch_size": 32, "learning_rate": (1e-2,)},
    "printed": {"batch_size": 1, "learning_rate": (1e-3,)},
}

QUICK = {"data_options": {**DATA, "vocabulary": 300, "length": 20, "examples": 400}, "seeds": (0, 1), "epochs": 2}

PUBLISHED = {(arm, rate): value for arm, value in (("lstm", 0.78), ("cerebral", 0.7864)) for rate in (1e-2, 1e-3)}


def claims(config: Config) -> "Sequence[Claim]":
    """What the author's two numbers say, of test accuracy at best validation."""
    from rnnlab.claims import Claim, at_best_validation, higher

    arms = ["cerebral", "lstm"]

    def better(found: "Evidence") -> "Sequence[Comparison]":
        cerebral, lstm = map(found.group, arms)
        return [higher(cerebral, lstm, at_best_validation("accuracy"), "test accuracy")]

    return [Claim("C, IMDB", "Cerebral is more accurate than an LSTM.", "78.64 against 78.0 %", arms, better)]
