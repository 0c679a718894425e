"""Shared types and axis names. No logic.

R runs, T time, B batch, D input, H hidden, G gates, P paths, L layers, V vocabulary, C classes, N examples,
S steps of an epoch. A name with three axes or more carries them as a suffix: ``xs_TBD``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # data sets are read without JAX
    from jax import Array
else:
    Array = Any

AnyArray = Any  # a numpy array on the host, a jax.Array on the device
Key = Array  # a typed JAX PRNG key
Params = Any  # a pytree of arrays
Carry = Any  # a pytree of float32 arrays with leading batch axes

Step = Callable[[Params, Carry, Array], tuple[Carry, Array]]  # (params, carry, x) -> (carry, h [..., H])
# (params, carry, xs [T, B, ...], lengths [B] or None, reverse) -> (carry, hs [T, B, H]); the contract of ``unroll``
Scan = Callable[[Params, Carry, Array, Array | None, bool], tuple[Carry, Array]]


class Cell(NamedTuple):
    """A recurrent cell: pure functions of (params, carry, x). Any number of leading batch axes, written ``...``.

    ``x`` is ``[..., D]`` float, or ``[...]`` integer ids that stand for one-hot rows of width D. A cell has a ``step``,
    a ``scan`` over whole sequences, or both, which then agree; ``unroll`` prefers ``scan``.
    """

    init: Callable[[Key, int], Params]  # (key, D) -> params
    initial_carry: Callable[[Params, tuple[int, ...]], Carry]  # leading batch axes -> carry
    step: Step | None
    hidden_size: int  # H, the width of h
    scan: Scan | None = None
    gates: Callable[[Params, Carry, Array], Any] | None = None  # -> NamedTuple of gate values, for analysis
    # (hs [T, B, H], lengths [B] or None) -> [B, H], the summary of the sequence; None: h of the last valid step
    last_output: Callable[[Array, Array | None], Array] | None = None
    fused: Scan | None = None  # what ``step`` scanned is, by one kernel of a GPU: taken where that is faster
    layers: "tuple[Cell, ...] | None" = None  # of a stack: params, carry and gates are tuples with an entry per layer
    # What the cell declares about itself:
    paths: Callable[[Params], list[Array]] | None = None  # all parameters of each parallel path, as one vector per path
    retention: Callable[[Any], Mapping[str, Array]] | None = None  # gates -> by gate, the factor that multiplies memory
    no_decay: Callable[[Params], Any] | None = None  # -> tree of bools, True where weight decay spares the leaf;
    # None: it spares leaves of one dimension or less


class Split(NamedTuple):
    """One split of a data set, on the host or on the device."""

    inputs: AnyArray  # [N, T, D] uint8 or float32 features, or [N, T] int32 ids
    targets: AnyArray  # [N] or [N, T] int32 classes or ids; [N], [N, K] or [N, T, K] float32 values
    lengths: AnyArray | None = None  # [N] int32 valid steps; None: all T
    weights: AnyArray | None = None  # [N] or [N, T] float32, 0 where there is no target; None: all 1 (not for K values)
    resets: AnyArray | None = None  # [N, T] bool, true where one of several sequences in a row starts; None: nowhere


class Dataset(NamedTuple):
    """A data set: three fixed splits and what identifies them."""

    name: str
    task: str  # a key of rnnlab.training.tasks.TASKS
    input_size: int  # D, or V if the inputs are ids
    output_size: int  # C, V, or K for regression
    train: Split
    validation: Split
    test: Split
    source: Mapping[str, Any]  # hashes of the data, how it was generated and split
    scale: float = 1.0  # multiplies the features on the device (1/255 for bytes)
    vocabulary: Sequence[str] | None = None  # characters or words in the order of their ids
    validation_is_test: bool = False  # a paper's protocol: validation is the official test split
    prompt_length: int = 0  # Q: steps before an answer under teacher forcing; 0 for other data sets

    @property
    def has_token_inputs(self) -> bool:
        """Whether the inputs are ids, which can be embedded, rather than features."""
        return self.vocabulary is not None or getattr(self.train.inputs, "ndim", 3) == 2

    @property
    def target_scale(self) -> tuple[float, ...]:
        """What the real-valued targets were divided by ``[K]``, for metrics in their unit; () if by nothing."""
        return tuple(self.source.get("standardized", {}).get("targets", {}).get("std", ()))


class Model(NamedTuple):
    """Embedding -> cell -> readout, batch-major outside."""

    init: Callable[[Key], Params]
    # (params, inputs [B, T(, D)], lengths [B] or None, carry or None: the cell's own) -> (carry, logits); a model of
    # one cell also takes resets=[B, T]
    apply: Callable[..., tuple[Carry, Array]]
    initial_carry: Callable[[Params, int], Carry]  # (params, B)
    carry_history: Callable[
        [Params, Array], Carry
    ]  # (params, inputs) -> the carry after every step, leaves [T, B, ...]
    # Of sequence to sequence, to decode step by step; leaves of memory and carry are [B, ...].
    # (params, prompts [B, Q], lengths [B] or None) -> (memory, carry)
    encode: Callable[[Params, Array, Array | None], tuple[Any, Carry]] | None = None
    # (params, memory, carry, ids [B]) -> (carry, logits [B, V] of the next id)
    decode_step: Callable[[Params, Any, Carry, Array], tuple[Carry, Array]] | None = None
    # (params, inputs [B, T(, D)]) -> what the cell reads, time-major: xs [T, B, D], or ids [T, B] without an embedding
    embed: Callable[[Params, Array], Array] | None = None
    paths: Callable[[Params], list[Array]] | None = None  # of the cell's parameters, as ``Cell.paths``
    no_decay: Callable[[Params], Any] | None = None  # of the model's parameters, as ``Cell.no_decay``
    # Of a model whose calls in training replace state: (params, what `apply` returns as carry) -> params
    with_state: Callable[[Params, Any], Params] | None = None
