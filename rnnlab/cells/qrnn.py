"""The quasi-recurrent network: gates from a convolution over time, a state that enters linearly."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import initialize
from rnnlab.cells.lstm import LSTMGates
from rnnlab.cells.ops import activation as make_activation
from rnnlab.cells.ops import dot, gate_activation, per_example_draw, zeros
from rnnlab.core.errors import InputError, check_number, choose
from rnnlab.core.types import Array, Cell, Key

POOLINGS = {"f": 2, "fo": 3, "ifo": 4}  # gates, the candidate counted


class QRNNParams(NamedTuple):
    """Gates in the order z, f, o, i, as many as the pooling has: ``w [D, K, G, H]``, whose k-th row reads x_{t-k};
    ``b [G, H]``."""

    w: Array
    b: Array


class QRNNCarry(NamedTuple):
    """``c [..., H]``; ``ahead [..., K-1, G, H]``, what the inputs so far add to the gates of the next K-1 steps (None
    with ``window=1``); ``t [..., 1]``, steps done, numbers the zoneout (None without zoneout)."""

    c: Array
    ahead: Array | None
    t: Array | None


def pool_in_sequence(f: Array, a: Array, c: Array) -> tuple[Array, Array]:
    """``c_t = f_t * c_{t-1} + a_t`` over ``f, a [T, ...]`` from ``c [...]``: the last c and all ``[T, ...]``."""
    return jax.lax.scan(lambda c, now: (now[0] * c + now[1],) * 2, c, (f, a))


def pool_in_parallel(f: Array, a: Array, c: Array) -> tuple[Array, Array]:
    """The same in some 2 log2 T rounds: the pairs (f, a) of two steps compose to one, (f1 * f2, a1 * f2 + a2)."""
    pairs = f, a.at[0].add(f[0] * c)
    _, cs = jax.lax.associative_scan(lambda one, two: (one[0] * two[0], one[1] * two[0] + two[1]), pairs)
    return cs[-1], cs


SCANS = {"sequential": pool_in_sequence, "parallel": pool_in_parallel}
CHUNK = 16  # steps whose products stay in the cache of a CPU


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
    """Quasi-recurrent neural network: no product with the state, so all products of a sequence are one.

        z = act(x_t W_0 + x_{t-1} W_1 + ... + x_{t-K+1} W_{K-1} + b)      f, o, i = s(the same), K = window
        h_t = f * h_{t-1} + (1 - f) * z                          pooling="f"
        c_t = f * c_{t-1} + (1 - f) * z      h_t = o * c_t       pooling="fo"
        c_t = f * c_{t-1} + i * z            h_t = o * c_t       pooling="ifo"

    ``scan`` is how a whole sequence is run: "parallel", all products at once and an associative scan, or "sequential",
    the products of 16 steps at once and the pooling a step at a time; both give what the steps give. "auto" is the
    second on a CPU, where it was measured to be the faster (BUILD_NOTES). Elsewhere it is the first: assumed, not
    measured, since there every step costs the launch of a tiny kernel.

    Inputs before the first are zero. ``zoneout`` is the probability with which a unit keeps its state for a step:
    f = 1 - dropout(1 - s(...)), not rescaled. It acts while ``key`` is given: training hands over a fresh key every
    step, evaluation none.

    Paper: Bradbury, Merity, Xiong & Socher, Quasi-recurrent neural networks, 2016, section 2.
    Shapes: x [..., D], c and h [..., H].
    Departures: biases, which the equations leave out; with "ifo" zoneout drops i too, else the state would not be
        kept. The products of the last inputs ride the carry, not the inputs.
    Parameters: G*(K*D*H + H), K = window, G = 2 for "f", 3 for "fo", 4 for "ifo".
    """
    act, squash = make_activation(activation), gate_activation(gate)
    init_w = initialize("w_init", w_init)
    if not isinstance(window, int) or isinstance(window, bool) or window < 1:
        raise InputError(f"window: {window!r} is not accepted; accepted: a whole number from 1")
    count = POOLINGS[choose("pooling", pooling, POOLINGS)]
    check_number("zoneout", zoneout, below=1)
    choose("scan", scan, ("auto", *SCANS))
    zoning = not (isinstance(zoneout, (int, float)) and zoneout == 0)  # a number that rides the run axis is an array

    def init(rng: Key, inputs: int) -> QRNNParams:
        w = init_w(rng, (window * inputs, count, hidden_size)).reshape(window, inputs, count, hidden_size)
        return QRNNParams(jnp.moveaxis(w, 0, 1), zeros(w, count, hidden_size).at[1].set(forget_bias))

    def initial_carry(params: QRNNParams, batch: tuple[int, ...]) -> QRNNCarry:
        ahead = zeros(params.w, *batch, window - 1, count, hidden_size) if window > 1 else None
        return QRNNCarry(zeros(params.w, *batch, hidden_size), ahead, zeros(params.w, *batch, 1) if zoning else None)

    def way() -> str:
        return scan if scan != "auto" else "sequential" if jax.default_backend() == "cpu" else "parallel"

    def decide(a: Array) -> LSTMGates:
        """``a [..., G, H]``, the sums of the convolution."""
        z, f = act(a[..., 0, :]), squash(a[..., 1, :])
        o = squash(a[..., 2, :]) if count > 2 else None
        return LSTMGates(squash(a[..., 3, :]) if count > 3 else None, f, o, z)

    def kept_and_added(decided: LSTMGates, t: Array | None) -> tuple[Array, Array]:
        """``(f, a)`` of ``c_t = f * c_{t-1} + a``."""
        assert decided.f is not None
        assert decided.candidate is not None
        write = 1 - decided.f
        added = write if decided.i is None else decided.i
        if t is None or key is None:
            return decided.f, added * decided.candidate
        live = per_example_draw(key, t, lambda rng: jax.random.bernoulli(rng, 1.0 - zoneout, (hidden_size,))).astype(
            write.dtype
        )
        return 1 - live * write, live * added * decided.candidate

    def convolve(params: QRNNParams, carry: QRNNCarry, x: Array) -> tuple[Array, Array | None]:
        """One step's sums ``[..., G, H]`` and the next ``ahead``."""
        sums = dot(x, params.w)
        if carry.ahead is None:
            return sums[..., 0, :, :] + params.b, None
        sums = sums + jnp.pad(carry.ahead, [(0, 0)] * (sums.ndim - 3) + [(0, 1), (0, 0), (0, 0)])
        return sums[..., 0, :, :] + params.b, sums[..., 1:, :, :]

    def gates(params: QRNNParams, carry: QRNNCarry, x: Array) -> LSTMGates:
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
        c, cs = SCANS[way()](f, added, carry.c)
        after = QRNNCarry(c, ahead, None if t is None else t + steps)
        return after, cs if decided.o is None else decided.o * cs

    def sequence(params: QRNNParams, carry: QRNNCarry, xs: Array) -> tuple[QRNNCarry, Array]:
        whole = len(xs) - len(xs) % CHUNK
        if way() == "parallel" or not whole:
            return at_once(params, carry, xs)
        chunks = xs[:whole].reshape(-1, CHUNK, *xs.shape[1:])
        carry, hs = jax.lax.scan(lambda carry, chunk: at_once(params, carry, chunk), carry, chunks)
        hs = hs.reshape(whole, *hs.shape[2:])
        if whole == len(xs):
            return carry, hs
        carry, rest = at_once(params, carry, xs[whole:])
        return carry, jnp.concatenate([hs, rest])

    return Cell(init, initial_carry, step, sequence, gates, hidden_size)
