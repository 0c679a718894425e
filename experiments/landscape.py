r"""Which recurrent cell is better, of those that exist, at an equal number of parameters?

Question:  the papers' own, asked of all cells of the lab at once: ranks with intervals, the probability that a run of
           one beats a run of the other, and what the score costs in time.
Tasks (--set protocol=NAME): digits (default), 8x8 digits row by row; mnist, the same at 28x28, prepared with `data`;
           chars, Python's reference text; adding, two marked numbers among 100; parity and s3, state tracking: the
           product of 20 random bits or permutations at every step, then read after 20, 40 and 80 steps.
Arms:      every cell with a recurrence that its parameters shape (not the neuron), at its default options, except two
           heads for mlstm; the grids of an image's two axes are left out. Hidden sizes: `hidden_size_for` of 5,000
           parameters with the readout, 10,000 for chars, 2,000 for adding, where cells without matrices are so wide
           at 5,000 that they take five hours (tests hold the table to it).
Settings:  Adam, three learning rates, the one with the best validation loss counts; gradients clipped to a norm of 1.
           8 seeds. Initial values, batches: the same seed for every arm, so that arms are compared in pairs.
What it may conclude: at this size, with these rates and steps, on these tasks. Not which cell is best: a cell that
           needs another rate, a block around it (S5, LRU, xLSTM, minGRU are layers of deeper models in their papers),
           more width or longer training is not given them. That diagonal recurrences with positive factors cannot
           track parity is a theorem (Grazzi et al. 2025); of s3 and s5 see Merrill, Petty & Sabharwal 2024.

Command:   python -m experiments run landscape --set protocol=parity
Variance:  python -m experiments run landscape --arms lstm,gru --set seed_source=init (batches, split): how much of the
           spread between runs comes from where (Bouthillier et al., Accounting for variance in machine learning
           benchmarks, 2021).
"""

from typing import Any

from rnnlab.config.experiment import Arm, Config

SIZES = {  # cell: units at digits, chars, adding, state tracking
    "rnn": (62, 56, 43, 64),
    "lstm": (30, 33, 21, 31),
    "lstm_1997": (35, 37, 24, 37),
    "peephole_lstm": (30, 33, 20, 31),
    "gru": (35, 37, 24, 36),
    "lstm1": (33, 37, 21, 33),
    "lstm2": (33, 37, 22, 34),
    "lstm3": (60, 55, 41, 63),
    "lstm4": (60, 55, 41, 63),
    "lstm5": (59, 55, 40, 62),
    "biological_lstm": (26, 30, 17, 27),
    "cerebral_lstm": (20, 23, 14, 21),
    "qrnn": (82, 49, 125, 111),
    "grid_lstm": (17, 21, 11, 17),
    "layer_norm_lstm": (28, 31, 19, 29),
    "layer_norm_gru": (34, 36, 23, 35),
    "projected_lstm": (19, 22, 13, 19),
    "greff_lstm": (30, 33, 20, 31),
    "mgu": (43, 44, 30, 45),
    "janet": (43, 44, 30, 45),
    "ugrnn": (43, 44, 30, 45),
    "mut1": (42, 42, 29, 44),
    "mut2": (35, 37, 24, 37),
    "mut3": (35, 37, 24, 37),
    "indrnn": (249, 82, 400, 357),
    "sru": (108, 58, 154, 147),
    "brc": (139, 65, 222, 192),
    "nbrc": (42, 42, 30, 44),
    "cornn": (45, 46, 31, 47),
    "lem": (30, 33, 21, 31),
    "min_gru": (178, 72, 286, 250),
    "min_lstm": (135, 64, 200, 185),
    "lru": (42, 42, 29, 44),
    "s5": (35, 37, 24, 36),
    "rg_lru": (45, 46, 30, 46),
    "slstm": (30, 33, 21, 31),
    "mlstm": (108, 58, 152, 146),
}
OPTIONS = {"mlstm": {"heads": 2}}


def _arms(column: int) -> dict[str, Arm]:
    return {name: Arm(name, hidden_size=row[column], options=OPTIONS.get(name, {})) for name, row in SIZES.items()}


def _tracking(group: str) -> dict[str, Any]:
    return {
        "data": "state_tracking", "data_options": {"group": group, "length": 20}, "arms": _arms(3), "epochs": 5,
        "steps_per_epoch": 300, "success_threshold": 0.99,
    }  # fmt: skip


PROTOCOLS: dict[str, dict[str, Any]] = {
    "digits": {"data": "digits", "arms": _arms(0), "epochs": 25},
    "mnist": {"data": "mnist", "arms": _arms(0), "epochs": 3, "steps_per_epoch": 500},
    "chars": {"data": "pydoc", "arms": _arms(1), "epochs": 8, "steps_per_epoch": 100, "embedding_size": 16},
    "adding": {
        "data": "adding", "data_options": {"lag": 100}, "arms": _arms(2), "epochs": 5, "steps_per_epoch": 200,
        "success_threshold": 0.99,
    },
    "parity": _tracking("parity"),
    "s3": _tracking("s3"),
}  # fmt: skip

CONFIG = Config(
    experiment="landscape",
    protocol="digits",
    seeds=tuple(range(8)),
    batch_size=32,
    optimizer="adam",
    learning_rate=(1e-3, 3e-3, 1e-2),
    clip_norm=(1.0,),
    **PROTOCOLS["digits"],
)

QUICK = {"seeds": (0, 1), "epochs": 1, "steps_per_epoch": 3, "learning_rate": (3e-3,)}
