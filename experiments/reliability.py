r"""How often does a cell learn a long-range task at all?

Question:  papers report the mean of a few runs. A cell that solves a task in four of ten runs and one that half solves
           it in all have the same mean. Here: which fraction of 64 runs solves the task, stays on the plateau, or
           diverges, with Wilson intervals; and what tells the runs apart early (the page's table of early signs).
Known:     of the authors' own S5 on a long-range task, users found that 4 of 10 runs never learn
           (github.com/lindermanlab/S5, issue 10).
Task:      --set protocol=adding (default), with a lag of 100 as in `long_lag`: the error of the constant answer, 1/6,
           is the plateau; or parity: 40 random bits, the parity at every step.
Arms:      LSTMs with forget biases of 1 and 3, the 1997 cell, GRU, Cerebral LSTM, IndRNN, coRNN, LEM, BRC's neighbour
           nbrc, and the parallel ones: minGRU, LRU, S5.
Settings:  Adam, 3e-3, clipped to a norm of 1, 32 units; one rate for all: the fraction depends on it.

Command:   python -m experiments run reliability
"""

from typing import Any

from rnnlab.config.experiment import Arm, Config

ARMS = {
    "lstm": Arm("lstm"),
    "lstm-remembers": Arm("lstm", options={"forget_bias": 3.0, "input_bias": -3.0}),
    "lstm_1997": Arm("lstm_1997", options={"input_bias": -3.0}),
    "gru": Arm("gru"),
    "cerebral": Arm("cerebral_lstm"),
    **{name: Arm(name) for name in ("indrnn", "cornn", "lem", "nbrc", "min_gru", "lru", "s5")},
}
PROTOCOLS: dict[str, dict[str, Any]] = {
    "adding": {"data": "adding", "data_options": {"lag": 100}, "epochs": 12, "steps_per_epoch": 200},
    "parity": {
        "data": "state_tracking", "data_options": {"group": "parity", "length": 40}, "epochs": 12,
        "steps_per_epoch": 200,
    },
}  # fmt: skip

CONFIG = Config(
    experiment="reliability",
    protocol="adding",
    arms=ARMS,
    seeds=tuple(range(64)),
    batch_size=32,
    hidden_size=32,
    optimizer="adam",
    learning_rate=(3e-3,),
    clip_norm=(1.0,),
    success_threshold=0.99,
    **PROTOCOLS["adding"],
)

QUICK = {
    "seeds": (0, 1), "epochs": 1, "steps_per_epoch": 3, "hidden_size": 6,
    "data_options": {"lag": 20, "examples": 320, "held_out": 64},
}  # fmt: skip
