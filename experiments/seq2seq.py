r"""An encoder and a decoder learn to reverse, to sort and to repeat, with and without attention.

Paper:     Sutskever, Vinyals & Le, Sequence to sequence learning with neural networks, 2014; Bahdanau, Cho & Bengio,
           2015 (additive); Luong, Pham & Manning, 2015 (dot).

Command:   python -m experiments run seq2seq
"""

from rnnlab.config import Arm, Config, Option

DATA: dict[str, Option] = {"length": 10, "alphabet": 10, "fed": True, "examples": 10_000}

CONFIG = Config(
    experiment="seq2seq",
    arms={
        "stream": Arm("lstm"),
        "lstm": Arm("lstm", attention="none"),
        "lstm-additive": Arm("lstm", attention="additive"),
        "lstm-dot": Arm("lstm", attention="dot"),
        "gru-dot": Arm("gru", attention="dot"),
    },
    data="reversal",
    data_options=DATA,
    protocol="reversal",
    seeds=(0, 1, 2, 3),
    epochs=10,
    batch=32,
    hidden=64,
    optimizer="adam",
    learning_rate=(3e-3,),
    clip_norm=(1.0,),
)

PROTOCOLS = {
    "reversal": {"data": "reversal"},
    "sorting": {"data": "sorting"},
    "memorisation": {"data": "memorisation"},
}

QUICK = {
    "data_options": {"length": 3, "alphabet": 4, "examples": 400, "held_out": 100},
    "seeds": (0, 1),
    "epochs": 2,
    "hidden": 16,
}
