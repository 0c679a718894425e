"""Four recurrent networks learn English, character by character, from 16 seeds each.

A first look at what rnnlab does, on Python's own reference text, without a download: the LSTM, two stacked LSTMs, and
the Cerebral LSTM (Kumar 2020), whose two paths start from independent or from identical parameters. It is not a
replication: the networks are small and training is short.

Command:   python -m experiments run quickstart
Expected:  training loss falls from 4.6 to below 2 nats in all arms; the two Cerebral arms differ.
"""

from rnnlab.config.experiment import Arm, Config

CONFIG = Config(
    experiment="quickstart",
    arms={
        "lstm": Arm("lstm"),
        "lstm-stacked": Arm("lstm", layers=2),
        "cerebral": Arm("cerebral_lstm", options={"paths": "independent"}),
        "cerebral-identical": Arm("cerebral_lstm", options={"paths": "identical"}),
    },
    data="pydoc",
    seeds=tuple(range(16)),
    epochs=8,
    steps_per_epoch=60,
    batch_size=32,
    sequence_length=32,
    hidden_size=64,
    optimizer="adam",
    learning_rate=(1e-2,),
    clip_norm=(1.0,),
)

QUICK = {"seeds": (0, 1), "epochs": 2, "steps_per_epoch": 5, "hidden_size": 16}
