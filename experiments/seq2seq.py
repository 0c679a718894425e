r"""An encoder and a decoder learn to reverse, to sort and to repeat, with and without attention.

Paper:     Sutskever, Vinyals & Le, Sequence to sequence learning with neural networks, 2014; Bahdanau, Cho & Bengio,
           Neural machine translation by jointly learning to align and translate, 2015 (additive); Luong, Pham &
           Manning, Effective approaches to attention-based neural machine translation, 2015 (dot). Kumar, Cerebral
           LSTM, 2020, Fig. 6, shows the additive one as background. None of them has these tasks.
Task:      ten symbols of ten, then the same in another order, with teacher forcing. The table's metric, solved, is the
           fraction of answers that are right from the first to the last symbol: exactly what greedy decoding achieves.
Arms:      stream, one LSTM that reads and writes; lstm, an encoder and a decoder that starts from the encoder's last
           carry; lstm-additive and lstm-dot, the same with attention; gru-dot; both-ways, a bidirectional encoder as
           in Bahdanau et al., whose decoder starts from zero. All have 64 units, in each direction.
Claims:    `claims` below: Bahdanau et al. (section 1) one vector for the whole prompt is the bottleneck, and attention
           removes it. lstm-wide, without attention and with as many parameters as lstm-additive, is a control.
Background: Sutskever et al. (section 3.3) found that reading the prompt backwards makes translation easier, since its
           beginning is then close to the answer's. It compares tasks, not arms: reversal and memorization are two
           protocols, and no rule judges two runs.
Protocols (--set protocol=NAME): reversal (default), sorting, memorization (the symbols in their own order).
Measured:  test solved at best validation, 10 epochs, mean over 4 seeds, half-width of the 95 % CI in parentheses:
                          stream        lstm          lstm-additive lstm-dot      gru-dot       both-ways
           reversal       0.559 (0.184) 0.847 (0.024) 1.000 (0.000) 1.000 (0.000) 1.000 (0.000) 0.939 (0.192)
           sorting        0.997 (0.006) 1.000 (0.000) 1.000 (0.000) 1.000 (0.000) 1.000 (0.000) not run
           memorization   0.460 (0.028) 0.699 (0.073) 1.000 (0.000) 0.728 (0.042) 1.000 (0.000) not run
           Sorting needs no alignment: the count of each symbol is enough. On memorization the LSTM with dot attention
           is hardly better than without after these 10 epochs; the reason is unknown.

Command:   python -m experiments run seq2seq          three to four minutes on two busy cores
           python -m experiments sample DIR --arm all --beam 4
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnlab.config.experiment import Arm, Config, Option

if TYPE_CHECKING:
    from rnnlab.claims import Claim

DATA: dict[str, Option] = {"length": 10, "alphabet": 10, "teacher_forcing": True, "examples": 10_000}

WIDE = 78  # units

CONFIG = Config(
    experiment="seq2seq",
    arms={
        "stream": Arm("lstm"),
        "lstm": Arm("lstm", attention="none"),
        "lstm-additive": Arm("lstm", attention="additive"),
        "lstm-dot": Arm("lstm", attention="dot"),
        "gru-dot": Arm("gru", attention="dot"),
        "lstm-wide": Arm("lstm", hidden_size=WIDE, attention="none"),
        "both-ways": Arm("bidirectional(lstm)", decoder="lstm", attention="additive"),
    },
    data="reversal",
    data_options=DATA,
    protocol="reversal",
    seeds=(0, 1, 2, 3),
    epochs=10,
    batch_size=32,
    hidden_size=64,
    optimizer="adam",
    learning_rate=(3e-3,),
    clip_norm=(1.0,),
)

PROTOCOLS = {name: {"data": name} for name in ("reversal", "sorting", "memorization")}

QUICK = {
    "data_options": {"length": 3, "alphabet": 4, "examples": 400, "held_out": 100},
    "seeds": (0, 1),
    "epochs": 2,
    "hidden_size": 16,
}


def claims(config: Config) -> "Sequence[Claim]":
    """What attention is for, at a task that needs alignment: not sorting, for which counting is enough."""
    from rnnlab.claims import Claim, at_best_validation, higher

    def removes(name: str, sentence: str, a: str, b: str) -> "Claim":
        return Claim(
            name, sentence, "no number at this task", [a, b],
            lambda found: higher(found.group(a), found.group(b), at_best_validation("solved")),
            "Bahdanau et al., section 1", "fraction of test answers right to the last symbol",
            ["reversal", "memorization"],
        )  # fmt: skip

    return [
        removes("S additive", "Attention removes the bottleneck of one vector.", "lstm-additive", "lstm"),
        removes("S additive control", "Attention beats as many parameters without it.", "lstm-additive", "lstm-wide"),
        removes("S dot", "Dot-product attention removes the bottleneck of one vector.", "lstm-dot", "lstm"),
        removes("S dot control", "Dot-product attention beats more parameters without it.", "lstm-dot", "lstm-wide"),
    ]
