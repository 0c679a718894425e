"""Draft"""
from rnnlab.config import Arm, Config
CONFIG = Config(
    experiment="long_lag",
    arms={
        "rnn": Arm("rnn"),
        "lstm_1997": Arm("lstm_1997"),
        "lstm": Arm("lstm"),
        "gru": Arm("gru"),
        "cerebral": Arm("cerebral_lstm"),
        "biological": Arm("biological_lstm"),
        "lstm3": Arm("lstm3"),
    },
    data="adding",
    data_options={"lag": 100},
    seeds=tuple(range(8)),
    epochs=10,
    steps_per_epoch=200,
    batch=32,
    hidden=32,
    learning_rate=(1e-2,),
    clip_norm=(1.0,),
    probes=("lags",),
    goal=0.95,
)
QUICK = {"seeds": (0, 1), "epochs": 2, "steps_per_epoch": 5, "hidden": 8, "data_options": {"lag": 20, "examples": 320, "held_out": 64}}
