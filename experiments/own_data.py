"""Three cells on data of your own; without any, they forecast a neuron's membrane potential 5 ms ahead.

A frame for `--data arrays:FILE.npz`, `series:FILE.npz` and `FILE.py:FUNCTION`. It makes no claim; an epoch is one pass
over the training examples.

Data:      membrane potential in mV, 6 s at 2 kHz (Matplotlib's sample data), cut in time: 70 % training, then 15 %
           validation and 15 % test, in which the neuron fires less often and then rests. Windows of 50 ms, of which the
           first half is only read: every later step is forecast once, from 25 ms or more before it.
Measured:  test rmse in mV at best validation, mean over 8 seeds, half-width of the 95 % CI in parentheses: rnn 3.39
           (0.17), gru 2.91 (0.42), lstm 3.18 (0.19). Answering with the present value has 4.74 (persistence_rmse in
           env.json).

Command:   python -m experiments run own_data          under a minute on two busy cores
"""

from rnnlab.config.experiment import Arm, Config

CONFIG = Config(
    experiment="own_data",
    arms={"rnn": Arm("rnn"), "gru": Arm("gru"), "lstm": Arm("lstm")},
    data="membrane",
    seeds=tuple(range(8)),
    epochs=60,
    batch_size=16,
    sequence_length=100,
    hidden_size=32,
    optimizer="adam",
    learning_rate=(1e-2,),
    clip_norm=(1.0,),
)

QUICK = {"seeds": (0, 1), "epochs": 2, "hidden_size": 8}
