"""Draft"""
from rnnlab.config import Arm, Config

OPEN = {"forget_bias": 3.0, "input_bias": -3.0}
FIELD = {"w_init": "glorot_uniform", "u_init": "orthogonal"}

CONFIG = Config(
    experiment="long_lag",
    arms={
        "rnn": Arm("rnn"),
        "lstm_1997": Arm("lstm_1997", options={"input_bias": -3.0}),
        "lstm": Arm("lstm", options=OPEN),
        "lstm-plain": Arm("lstm"),
        "gru": Arm("gru"),
        "cerebral": Arm("cerebral_lstm", options={**OPEN, **FIELD}),
        "cerebral-tied": Arm("cerebral_lstm", options={"paths": "tied", **OPEN, **FIELD}),
        "cerebral-author": Arm("cerebral_lstm"),
        "biological": Arm("biological_lstm"),
        "lstm3": Arm("lstm3", options={"forget_bias": 3.0}),
    },
    data="adding",
    data_options={"lag": 100},
    seeds=tuple(range(8)),
    epochs=20,
    steps_per_epoch=200,
    batch=32,
    hidden=32,
    learning_rate=(5e-3,),
    clip_norm=(1.0,),
    decay_every=14,
    probes=("lags",),
    goal=0.99,
)
QUICK = {"seeds": (0, 1), "epochs": 2, "steps_per_epoch": 5, "hidden": 8, "data_options": {"lag": 20, "examples": 320, "held_out": 64}}
