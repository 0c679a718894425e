r"""The Cerebral LSTM against one LSTM and two stacked ones, on the characters of Moe's Tavern.

Paper:     Kumar, Cerebral LSTM, 2020, section 5.
Task:      the next character; Moe's Tavern, 305,190 characters, 89 distinct, in adjacent windows of 20.
Settings:  state size 512, learning rate 0.05, Adagrad, batch size 128, 500 epochs, Xavier.
Numbers:   the paper reports only the training loss. Its author published the loss of every epoch (Figs. 12-14): with
           --set reference=DIR, a folder with single_lstm.txt, 2stack_lstm.txt and proposed_model.txt, these curves are
           drawn and printed next to ours. We also report bits per character on held-out text.
Claims:    C1 Cerebral has a lower loss than one LSTM from the start and at 500 epochs; C2 it beats two stacked LSTMs.
           Both compare unequal parameter counts, so lstm-wide, an LSTM with as many parameters as the Cerebral, is a
           control: each claim is also judged against it. Judged under tf1 after 500 epochs; "from the start" is after
           the first epoch.

Protocols (--set protocol=NAME):
  tf1       (default) follows a public TensorFlow-1 tutorial whose log has the author's format, which is a hypothesis:
            characters embedded in 512 dimensions, Glorot-uniform; an epoch is 100 batches, each drawn anew from the
            windows; the state starts at zero in every window; gates without biases; Xavier limits of a tensor
            [4, 512, 512], half of the per-gate Glorot limit; Adagrad's accumulator starts at 0.1. Its stacked LSTM has
            one tensor for both layers, [2, 4, 512, 512], and adds one bias to c and one to h in each.
  standard  current practice: one-hot characters, the text as 32 streams whose state is carried over (truncated
            backpropagation over 50 characters), Adam 2e-3, gradients clipped to 1, forget bias 1.
Departures: 90 % of the text is for training, 5 % for validation, 5 % for testing; the paper trained on all of it. The
           author's log counts epochs from 0, we from 1. The Cerebral LSTM has no biases in tf1, unlike in the author's
           package: with biases its loss over the first epoch is 3.88, without 4.26, and the author's is 4.27.

Command:   python -m experiments run charlm_cerebral --epochs 20 --seeds 2 --set reference=DIR
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnlab.config.experiment import Arm, Config
from rnnlab.core.errors import InputError

if TYPE_CHECKING:
    from rnnlab.claims import Claim, Comparison, Evidence
    from rnnlab.report.published import Curve

XAVIER = {"w_init": "tf1_xavier", "u_init": "tf1_xavier"}
XAVIER_2 = {"w_init": "tf1_xavier_two_layers", "u_init": "tf1_xavier_two_layers"}
FILES = {"lstm": "single_lstm.txt", "lstm-stacked": "2stack_lstm.txt", "cerebral": "proposed_model.txt"}


@dataclass(frozen=True)
class CharConfig(Config):
    """A configuration with the folder of the author's loss curves."""

    reference: str = ""


TF1: dict[str, Any] = {
    "arms": {
        "lstm": Arm("lstm", options={"bias": False, **XAVIER}),
        "lstm-stacked": Arm("lstm", layers=2, options={"bias": False, "state_bias": True, **XAVIER_2}),
        "cerebral": Arm("cerebral_lstm", options={"bias": False, **XAVIER}),
        "lstm-wide": Arm("lstm", hidden_size=797, options={"bias": False, **XAVIER}),
    },
    "epochs": 500,
    "batch_size": 128,
    "sequence_length": 20,
    "embedding_size": 512,
    "batch_sampling": "drawn",
    "steps_per_epoch": 100,
    "optimizer": "adagrad",
    "optimizer_options": {"initial_accumulator": 0.1, "eps": 0.0},
    "learning_rate": (0.05,),
    "clip_norm": (),
}

STANDARD: dict[str, Any] = {
    "arms": {
        "lstm": Arm("lstm"),
        "lstm-stacked": Arm("lstm", layers=2),
        "cerebral": Arm(
            "cerebral_lstm", options={"forget_bias": 1.0, "w_init": "glorot_uniform", "u_init": "orthogonal"}
        ),
        "lstm-wide": Arm("lstm", hidden_size=738),
    },
    "epochs": 20,
    "batch_size": 32,
    "sequence_length": 50,
    "embedding_size": None,
    "batch_sampling": "contiguous",
    "steps_per_epoch": None,
    "optimizer": "adam",
    "optimizer_options": {},
    "learning_rate": (2e-3,),
    "clip_norm": (1.0,),
}

PROTOCOLS = {"tf1": TF1, "standard": STANDARD}

CONFIG = CharConfig(
    experiment="charlm_cerebral",
    data="moes_tavern",
    protocol="tf1",
    seeds=(0, 1, 2, 3),
    hidden_size=512,
    eval_batch_size=128,
    keep_params_every=50,
    **TF1,
)

QUICK = {
    "data": "pydoc",
    "seeds": (0, 1),
    "epochs": 2,
    "steps_per_epoch": 3,
    "hidden_size": 16,
    "embedding_size": 8,
    "batch_size": 16,
}


def published_curves(config: CharConfig) -> Sequence["Curve"]:
    """The author's training losses from ``config.reference``, or none without it.

    InputError for a missing folder or file, and for a line that is not ``[epoch] loss : number``.
    """
    return [_read(Path(config.reference), arm) for arm in FILES if arm in config.arms] if config.reference else []


def _read(folder: Path, arm: str) -> "Curve":
    from rnnlab.report.published import Curve

    path = folder / FILES[arm]
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        files = ", ".join(FILES.values())
        raise InputError(f"reference: {path} cannot be read ({error}); accepted: a folder with {files}") from error
    values = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = re.fullmatch(r"\[(\d+)\] loss : (\d+(?:\.\d+)?(?:e-?\d+)?)", line.strip())
        if match is None:
            raise InputError(f"reference: {path}, line {number}: {line[:60]!r}; accepted: '[epoch] loss : number'")
        values[int(match[1]) + 1] = float(match[2])
    return Curve(f"author: {arm}", arm, "train", "loss", values)


def claims(config: Config) -> "Sequence[Claim]":
    """C1 and C2, each as in the paper and against an LSTM with as many parameters."""
    from rnnlab.claims import Claim, at_epoch, lower

    def below_at(arm: str, *epochs: int) -> "Callable[[Evidence], Sequence[Comparison]]":
        return lambda found: [
            lower(found.group("cerebral"), found.group(arm), at_epoch("train", "loss", epoch), f"epoch {epoch}: loss")
            for epoch in epochs
        ]

    def claim(name: str, sentence: str, published: str, arm: str, *epochs: int) -> "Claim":
        return Claim(name, sentence, published, ["cerebral", arm], below_at(arm, *epochs), protocols=["tf1"])

    c1, c2 = "from the start and at 500 epochs", "at 500 epochs"
    return [
        claim("C1", f"Cerebral has less training loss than an LSTM {c1}.", "0.398 against 0.911", "lstm", 1, 500),
        claim("C1 control", f"The same of an LSTM of as many parameters, {c1}.", "not run", "lstm-wide", 1, 500),
        claim(
            "C2", f"Cerebral has less training loss than two LSTMs {c2}.", "0.398 against 0.568", "lstm-stacked", 500
        ),
        claim("C2 control", f"The same of an LSTM of as many parameters, {c2}.", "not run", "lstm-wide", 500),
    ]
