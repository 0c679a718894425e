"""Draft"""

from typing import Any

from rnnlab.config import Arm, Config

DEPTH = 3
ARMS = {
    "rnn": Arm("rnn"),
    "lstm": Arm("lstm"),
    "lstm_1997": Arm("lstm_1997"),
    "peephole": Arm("peephole_lstm"),
    "gru": Arm("gru"),
    "lstm1": Arm("lstm1"),
    "lstm2": Arm("lstm2"),
    "lstm3": Arm("lstm3"),
    "lstm4": Arm("lstm4"),
    "lstm5": Arm("lstm5"),
    "biological": Arm("biological_lstm"),
    "cerebral": Arm("cerebral_lstm"),
    "qrnn": Arm("qrnn"),
    "lstm-stacked": Arm("lstm", layers=DEPTH),
    "grid": Arm("grid_lstm", options={"layers": DEPTH}),
    "grid-tied": Arm("grid_lstm", options={"layers": DEPTH, "tied": True}),
}
PARITY: dict[str, Any] = {
    "data": "parity",
    "data_options": {"length": 16, "examples": 50_000},
    "arms": ARMS,
    "hidden": 32,
    "goal": 0.99,
}
AT_ONCE: dict[str, Any] = {
    "data": "parity",
    "data_options": {"length": 10, "at_once": True, "examples": 50_000},
    "arms": {
        "tanh": Arm("rnn", layers=6),
        "lstm-stacked": Arm("lstm", layers=6),
        "grid": Arm("grid_lstm", options={"layers": 6}),
        "grid-tied": Arm("grid_lstm", options={"layers": 6, "tied": True}),
    },
    "hidden": 32,
    "goal": 0.99,
}
ADDITION: dict[str, Any] = {
    "data": "addition",
    "data_options": {"digits": 3, "examples": 100_000},
    "arms": ARMS,
    "hidden": 64,
    "goal": 0.95,
}
MEMORISATION: dict[str, Any] = {
    "data": "memorisation",
    "data_options": {"length": 6, "alphabet": 8, "examples": 100_000},
    "arms": ARMS,
    "hidden": 32,
    "goal": 0.95,
}
PROTOCOLS = {"parity": PARITY, "parity_at_once": AT_ONCE, "addition": ADDITION, "memorisation": MEMORISATION}

CONFIG = Config(
    experiment="algorithmic",
    protocol="parity",
    seeds=tuple(range(8)),
    epochs=20,
    steps_per_epoch=200,
    batch=32,
    learning_rate=(5e-3,),
    clip_norm=(1.0,),
    **PARITY,
)
QUICK = {
    "seeds": (0, 1),
    "epochs": 2,
    "steps_per_epoch": 5,
    "hidden": 8,
    "data_options": {"examples": 320, "held_out": 64},
}
