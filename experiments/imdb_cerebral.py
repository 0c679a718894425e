r"""The Cerebral LSTM against the LSTM on film reviews, as compared by its author.

Source:    the repository of Kumar, Cerebral LSTM, 2020 (the comparison is not in the paper).
Task:      IMDB, the first 5,000 reviews; 1,000 words without stop words; the first 69 tokens, padding in front.
Settings:  embedding 10, 16 units, dropout 0.3 before the readout, Adam 1e-3, divided by 10 every 4 epochs, batch size
           1, gradients clipped to 5.
Numbers:   validation accuracy 78.64 % (Cerebral) and 78.0 % (LSTM); in the table's column "paper".
Protocols (--set protocol=NAME): batched (default), batches of 32 at 1e-2; printed, batch size 1 at 1e-3, the author's
           settings: 32 times as many steps.
Arms:      lstm and cerebral, as the author's; lstm-wide, an LSTM with as many parameters as the Cerebral, a control;
           cerebral-printed, the cell as the paper prints it.
Departures: the author's 5,000 reviews come from another order of the same data; scikit-learn's stop words instead of
           NLTK's; 500 of the 5,000 are for validation, the first 5,000 test reviews for testing; a softmax over two
           classes. The number of epochs is not given; we use 8.

Command:   python -m experiments run imdb_cerebral
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnlab.config.experiment import Arm, Config, Option

if TYPE_CHECKING:
    from rnnlab.claims import Claim

DATA: dict[str, Option] = {
    "vocabulary": 1003,  # padding, start, unknown and 1,000 words
    "length": 69,
    "keep": "first",
    "stop_words": False,
    "start": False,
    "unknown": "drop",
    "examples": 5000,
}

TORCH: dict[str, Option] = {"w_init": "torch_uniform", "u_init": "torch_uniform", "forget_bias": 0.0}

CONFIG = Config(
    experiment="imdb_cerebral",
    arms={
        "lstm": Arm("lstm", options=TORCH),
        "cerebral": Arm("cerebral_lstm"),
        "lstm-wide": Arm("lstm", hidden_size=24, options=TORCH),
        "cerebral-printed": Arm("cerebral_lstm", options={"variant": "printed"}),
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
    """The order of the author's two numbers, also for an LSTM of equal size and for the printed cell."""
    from rnnlab.claims import Claim, at_best_validation, higher

    def more_accurate(name: str, a: str, b: str) -> "Claim":
        return Claim(
            name, f"{a} is more accurate than {b}.", "78.64 against 78.0 %", [a, b],
            lambda found: higher(found.group(a), found.group(b), at_best_validation("accuracy")),
            "the author's repository", "test accuracy at the epoch of the best validation accuracy",
        )  # fmt: skip

    return [
        more_accurate("C, IMDB", "cerebral", "lstm"),
        more_accurate("C, IMDB control", "cerebral", "lstm-wide"),
        more_accurate("C, IMDB printed", "cerebral-printed", "lstm"),
        more_accurate("C, IMDB printed control", "cerebral-printed", "lstm-wide"),
    ]
