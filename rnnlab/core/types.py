"""The records that pass between the rooms, and the legend of dimensions. No logic.

R runs, T time, B batch, D input, H hidden, G gates, P paths, L layers, V vocabulary, C classes, N examples,
S steps of an epoch. A name with three axes or more carries them as a suffix: ``xs_TBD``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Array = Any  # a jax.Array, a tracer or a numpy array
Key = Any  # a typed jax PRNG key
Params = Any  # a pytree of arrays
Carry = Any  # a pytree of float32 arrays with leading batch axes


class Cell(NamedTuple):
    """A recurrent cell: pure functions of (params, carry, x). Any number of leading batch axes, written ``...``.

    ``x`` is ``[..., D]`` float, or ``[...]`` integer ids that stand for one-hot rows of width D.
    """

    init: Callable[[Key, int], Params]  # (key, D) -> params
    initial_carry: Callable[[Params, tuple[int, ...]], Carry]  # leading batch axes -> carry
    step: Callable[[Params, Carry, Array], tuple[Carry, Array]]  # -> (carry, h [..., H])
    sequence: Callable[[Params, Carry, Array], tuple[Carry, Array]] | None = None  # xs [T, ..., D] -> hs [T, ..., H]
    gates: Callable[[Params, Carry, Array], Any] | None = None  # -> NamedTuple of gate values, for analysis
    hidden_size: int = 0  # width of h
    # For a cell that needs the whole sequence; ``unroll`` calls it where there is one, and ``step`` raises.
    # (params, carry, xs [T, B, ...], lengths [B] or None, reverse) -> (carry, hs [T, B, H])
    over: Callable[[Params, Carry, Array, Array | None, bool], tuple[Carry, Array]] | None = None
    # (hs [T, B, H], lengths [B] or None) -> [B, H] that has seen all; None: h of the last valid step
    last_output: Callable[[Array, Array | None], Array] | None = None


class Split(NamedTuple):
    """One part of a data set, on the host or on the device."""

    inputs: Array  # [N, T, D] uint8 or float32 features, or [N, T] int32 ids
    targets: Array  # [N] int32 classes, [N, T] int32 ids, or [N] float32 values
    lengths: Array | None = None  # [N] int32 number of valid steps; None: all T
    weights: Array | None = None  # [N, T] float32, 0 where no answer is asked for; None: all 1


class Dataset(NamedTuple):
    """A data set: always three splits, fixed, and what identifies its source."""

    name: str
    task: str  # a row of rnnlab.train.tasks.TASKS
    input_size: int  # D, or V where inputs are ids
    output_size: int  # C, V, or 1 where a value is asked for
    train: Split
    validation: Split
    test: Split
    source: Mapping[str, Any]  # what identifies the data: hashes of the source, how it was split
    scale: float = 1.0  # features are multiplied by this on the device (1/255 for bytes)
    vocabulary: Sequence[str] | None = None  # characters or words in the order of their ids
    validation_is_test: bool = False  # a paper's protocol: what validates is the official test split
    prompt_length: int = 0  # Q: the first steps of the inputs, before an answer that is fed back; 0: none is

    @property
    def has_token_inputs(self) -> bool:
        """Whether inputs are ids, which can be embedded, and not features."""
        return self.vocabulary is not None or getattr(self.train.inputs, "ndim", 3) == 2


class Model(NamedTuple):
    """Embedding -> cell -> readout, batch-major outside."""

    init: Callable[[Key], Params]
    # (params, inputs [B, T(, D)], lengths [B] or None, carry or None: the cell's own) -> (carry, logits)
    apply: Callable[[Params, Array, Array | None, Carry | None], tuple[Carry, Array]]
    initial_carry: Callable[[Params, int], Carry]  # (params, B)
    carry_history: Callable[
        [Params, Array], Carry
    ]  # (params, inputs) -> the carry after every step, leaves [T, B, ...]
    # An answer, step by step, where reading is not writing (sequence to sequence); leaves of both [B, ...].
    # (params, questions [B, Q], lengths [B] or None) -> (memory, carry)
    encode: Callable[[Params, Array, Array | None], tuple[Any, Carry]] | None = None
    # (params, memory, carry, ids [B]) -> (carry, logits [B, V] of what comes next)
    decode_step: Callable[[Params, Any, Carry, Array], tuple[Carry, Array]] | None = None
    # (params, inputs [B, T(, D)]) -> what the cell reads, time-major: xs [T, B, D], or ids [T, B] without an embedding
    embed: Callable[[Params, Array], Array] | None = None
