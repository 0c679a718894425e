"""The quasi-recurrent network: gates from a convolution over time, then a linear recurrence of the state."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import dot, gate_activation, keeps_f, leaves_named, per_example_draw, zeros
from rnnlab.cells.pieces import over_pieces
from rnnlab.cells.unroll import unroll
from rnnlab.core.errors import check_count, check_number, choose, is_static
from rnnlab.core.types import Array, Cell, Key

POOLINGS = {"f": "fz", "fo": "fzo", "ifo": "ifzo"}  # their gates, in order; z is the candidate


class QRNNParams(NamedTuple):
    """Gates in the order i, f, z, o, those that the pooling has: ``w [D, K, G, H]``, where k reads x_{t-k};
    ``b [G, H]``."""

    w: Array
    b: Array


class QRNNCarry(NamedTuple):
    """``c [..., H]``; ``ahead [..., K-1, G, H]``, what past inputs add to the gates of the next K-1 steps (None with
    ``window=1``); ``t [..., 1]`` counts steps, to key the zoneout (None without zoneout)."""

    c: Array
    ahead: Array | None
    t: Array | None


class QRNNGates(NamedTuple):
    """The gate values of a step, each ``[..., H]``; None for those that the pooling lacks. The candidate is z."""

    i: Array | None
    f: Array
    candidate: Array
    o: Array | None


def pool_in_sequence(f: Array, a: Array, c: Array) -> tuple[Array, Array]:
    """``c_t = f_t * c_{t-1} + a_t`` for ``f, a [T, ...]`` from ``c [...]``: the last c and all of them ``[T, ...]``."""
    return jax.lax.scan(lambda c, now: (now[0] * c + now[1],) * 2, c, (f, a))


def pool_in_parallel(f: Array, a: Array, c: Array) -> tuple[Array, Array]:
    """The same in about 2 log2 T rounds: two steps (f, a) compose to one, (f1 * f2, a1 * f2 + a2)."""
    pairs = f, a.at[0].add(f[0] * c)
    _, cs = jax.lax.associative_scan(lambda one, two: (one[0] * two[0], one[1] * two[0] + two[1]), pairs)
    return cs[-1], cs


SCANS = {"sequential": pool_in_sequence, "parallel": pool_in_parallel}
CHUNK = 16  # steps whose products fit in a CPU's cache


def qrnn(
    hidden_size: int,
    *,
    window: int = 2,
    pooling: str = "fo",
    zoneout: float = 0.0,
    key: Key | None = None,
    activation: str = "tanh",
    gate: str = "sigmoid",
    forget_bias: float = 0.0,
    scan: str = "auto",
    w_init: str = "glorot_uniform",
) -> Cell:
    """Quasi-recurrent network: no product involves the state, so a sequence needs one (Bradbury et al. 2016, sec. 2).

        z = act(x_t W_0 + x_{t-1} W_1 + ... + x_{t-K+1} W_{K-1} + b)      f, o, i = s(the same), K = window
        h_t = f * h_{t-1} + (1 - f) * z                          pooling="f"
        c_t = f * c_{t-1} + (1 - f) * z      h_t = o * c_t       pooling="fo"
        c_t = f * c_{t-1} + i * z            h_t = o * c_t       pooling="ifo"

    ``scan`` sets how a whole sequence is run: "parallel" computes all products at once and pools by an associative
    scan; "sequential" computes the products of 16 steps at once and pools step by step. Both equal the steps. "auto" is
    "sequential" on a CPU, where it measured faster (BUILD_NOTES), and "parallel" elsewhere (measured for minGRU and LRU
    alone: there each step would launch a tiny kernel). A sequence with ``lengths`` is run step by step.

    Inputs before the first are zero. ``zoneout`` is the probability that a unit keeps its state for a step:
    f = 1 - dropout(1 - s(...)), not rescaled. It applies only when ``key`` is given: training passes a new key every
    step, evaluation passes None.

    Shapes: x [..., D], c and h [..., H].
    Departures: biases, which the equations omit; with "ifo" zoneout also drops i, since otherwise the state would not
        be kept. The carry holds the products of the last inputs, not the inputs.
    """
    act, squash = make_activation(activation), gate_activation(gate)
    init_w = get_initializer("w_init", w_init)
    check_count("window", window)
    letters = POOLINGS[choose("pooling", pooling, POOLINGS)]
    count = len(letters)
    check_number("zoneout", zoneout, below=1)
    choose("scan", scan, ("auto", *SCANS))
    zoning = not (is_static(zoneout) and zoneout == 0)

    def init(rng: Key, inputs: int) -> QRNNParams:
        w = init_w(rng, (window * inputs, count, hidden_size)).reshape(window, inputs, count, hidden_size)
        return QRNNParams(jnp.moveaxis(w, 0, 1), zeros(w, count, hidden_size).at[letters.index("f")].set(forget_bias))

    def initial_carry(params: QRNNParams, batch: tuple[int, ...]) -> QRNNCarry:
        ahead = zeros(params.w, *batch, window - 1, count, hidden_size) if window > 1 else None
        return QRNNCarry(zeros(params.w, *batch, hidden_size), ahead, zeros(params.w, *batch, 1) if zoning else None)

    def resolved_scan() -> str:
        return scan if scan != "auto" else "sequential" if jax.default_backend() == "cpu" else "parallel"

    def decide(a: Array) -> QRNNGates:
        """The gates from ``a [..., G, H]``, the sums of the convolution."""
        by_letter = {letter: a[..., place, :] for place, letter in enumerate(letters)}
        i, o = (squash(by_letter[letter]) if letter in letters else None for letter in "io")
        return QRNNGates(i, squash(by_letter["f"]), act(by_letter["z"]), o)

    def kept_and_added(gates: QRNNGates, t: Array | None) -> tuple[Array, Array]:
        """``(f, a)`` of ``c_t = f * c_{t-1} + a``."""
        write = 1 - gates.f
        added = write if gates.i is None else gates.i
        if t is None or key is None:
            return gates.f, added * gates.candidate
        live = per_example_draw(key, t, lambda rng: jax.random.bernoulli(rng, 1.0 - zoneout, (hidden_size,))).astype(
            write.dtype
        )
        return 1 - live * write, live * added * gates.candidate

    def convolve(params: QRNNParams, carry: QRNNCarry, x: Array) -> tuple[Array, Array | None]:
        """One step's sums ``[..., G, H]`` and the next ``ahead``."""
        sums = dot(x, params.w)
        if carry.ahead is None:
            return sums[..., 0, :, :] + params.b, None
        sums = sums + jnp.pad(carry.ahead, [(0, 0)] * (sums.ndim - 3) + [(0, 1), (0, 0), (0, 0)])
        return sums[..., 0, :, :] + params.b, sums[..., 1:, :, :]

    def gates(params: QRNNParams, carry: QRNNCarry, x: Array) -> QRNNGates:
        return decide(convolve(params, carry, x)[0])

    def step(params: QRNNParams, carry: QRNNCarry, x: Array) -> tuple[QRNNCarry, Array]:
        a, ahead = convolve(params, carry, x)
        decided = decide(a)
        f, added = kept_and_added(decided, carry.t)
        c = f * carry.c + added
        after = QRNNCarry(c, ahead, None if carry.t is None else carry.t + 1)
        return after, c if decided.o is None else decided.o * c

    def at_once(params: QRNNParams, carry: QRNNCarry, xs: Array) -> tuple[QRNNCarry, Array]:
        steps = xs.shape[0]
        products = dot(xs, params.w)  # [T, ..., K, G, H]
        sums, ahead = products[..., 0, :, :], None
        if carry.ahead is not None:
            sums = jnp.pad(sums, [(0, window - 1)] + [(0, 0)] * (sums.ndim - 1))
            sums = sums.at[: window - 1].add(jnp.moveaxis(carry.ahead, -3, 0))
            for k in range(1, window):
                sums = sums.at[k : k + steps].add(products[..., k, :, :])
            ahead = jnp.moveaxis(sums[steps:], 0, -3)
        decided = decide(sums[:steps] + params.b)
        t = carry.t
        ts = None if t is None else t + jnp.arange(steps, dtype=t.dtype).reshape(steps, *[1] * t.ndim)
        f, added = jax.vmap(kept_and_added, (0, None if ts is None else 0))(decided, ts)
        c, cs = SCANS[resolved_scan()](f, added, carry.c)
        after = QRNNCarry(c, ahead, None if t is None else t + steps)
        return after, cs if decided.o is None else decided.o * cs

    def forward(params: QRNNParams, carry: QRNNCarry, xs: Array) -> tuple[QRNNCarry, Array]:
        if resolved_scan() == "parallel":
            return at_once(params, carry, xs)
        return over_pieces(lambda carry, piece: at_once(params, carry, piece), carry, xs, CHUNK)

    by_step = Cell(init, initial_carry, step, hidden_size, gates=gates, retention=keeps_f, no_decay=leaves_named("b"))

    def run(
        params: QRNNParams, carry: QRNNCarry, xs: Array, lengths: Array | None, reverse: bool
    ) -> tuple[QRNNCarry, Array]:
        if lengths is not None:
            return unroll(by_step, params, xs, carry, lengths=lengths, reverse=reverse)
        if not reverse:
            return forward(params, carry, xs)
        carry, hs_TBH = forward(params, carry, xs[::-1])
        return carry, hs_TBH[::-1]

    return by_step._replace(scan=run)
