"""Models: embedding -> cell -> readout, encoder -> decoder, and whole models of Flax.

In: cells and sizes. Out: a ``Model`` of pure functions (``init``, ``apply``), and ids from it by sampling or decoding.
Imports core, config and cells only.
"""

from rnnlab.models.decoding import beam, greedy
from rnnlab.models.recurrent_model import Dropout, make_model
from rnnlab.models.sampling import generate
from rnnlab.models.seq2seq import make_seq2seq

__all__ = ["Dropout", "beam", "generate", "greedy", "make_model", "make_seq2seq"]
