"""minGRU and minLSTM: gates that see the input alone, so that the recurrence is linear in the state."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.linear_recurrence import LOG, REAL, Element, linear_cell
from rnnlab.cells.ops import dot, keeps_f, leaves_named, zeros
from rnnlab.cells.rnn import RNNCarry
from rnnlab.core.errors import choose
from rnnlab.core.types import Array, Cell, Key


class MinParams(NamedTuple):
    """``w [D, G, H]``, ``b [G, H]``; gates in the order z, candidate (minGRU) or i, f, candidate (minLSTM)."""

    w: Array
    b: Array


class MinGRUGates(NamedTuple):
    """The gate values of a step, each ``[..., H]``."""

    z: Array
    candidate: Array


class MinLSTMGates(NamedTuple):
    """The gate values of a step, each ``[..., H]``: i and f after normalization, i + f = 1."""

    i: Array
    f: Array
    candidate: Array


def positive(a: Array) -> Array:
    """g of Feng et al.: a + 1/2 from 0 on, the logistic function below."""
    return jnp.where(a >= 0, a + 0.5, jax.nn.sigmoid(a))


def log_positive(a: Array) -> Array:
    """log g(a), without a logarithm of what has underflowed."""
    return jnp.where(a >= 0, jnp.log(jnp.where(a >= 0, a, 0) + 0.5), -jax.nn.softplus(-a))


def min_gru(
    hidden_size: int,
    *,
    variant: str = "log",
    scan: str = "auto",
    piece: int | None = None,
    w_init: str = "glorot_uniform",
) -> Cell:
    """minGRU (Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, section 3.1 and appendix B).

        z_t = s(x W_z + b_z)
        h~_t = g(x W_h + b_h)        variant="log": g(a) = a + 0.5 for a >= 0, else s(a); composed as logarithms
        h~_t = x W_h + b_h           variant="linear"
        h_t = (1 - z_t) * h_{t-1} + z_t * h~_t

    Shapes: x [..., D], h [..., H].
    Departures: pairs (log a, log b) are composed by the parallel scan, where the paper divides by the product of
        all a up to t; the values are the same, and no quotient over- or underflows. h_0 = 0 by default, and any sign
        is accepted (the paper's h_0 is g of something): its share is added outside the logarithms.
    Parameters: 2*(D*H + H).
    """
    init_w = get_initializer("w_init", w_init)
    log = choose("variant", variant, ("log", "linear")) == "log"

    def init(key: Key, inputs: int) -> MinParams:
        w = init_w(key, (inputs, 2, hidden_size))
        return MinParams(w, zeros(w, 2, hidden_size))

    def initial_carry(params: MinParams, batch: tuple[int, ...]) -> RNNCarry:
        return RNNCarry(zeros(params.w, *batch, hidden_size))

    def gates(params: MinParams, carry: RNNCarry | None, x: Array) -> MinGRUGates:
        a = dot(x, params.w) + params.b
        candidate = a[..., 1, :]
        return MinGRUGates(jax.nn.sigmoid(a[..., 0, :]), positive(candidate) if log else candidate)

    def elements(params: MinParams, x: Array) -> Element:
        seen = gates(params, None, x)
        return 1 - seen.z, seen.z * seen.candidate

    def log_elements(params: MinParams, x: Array) -> Element:
        a = dot(x, params.w) + params.b
        k = a[..., 0, :]
        return -jax.nn.softplus(k), -jax.nn.softplus(-k) + log_positive(a[..., 1, :])

    def retention(gates: MinGRUGates) -> dict[str, Array]:
        return {"z": 1 - gates.z}

    cell = Cell(init, initial_carry, None, hidden_size, gates=gates, retention=retention, no_decay=leaves_named("b"))
    logs = (LOG, log_elements) if log else None
    return linear_cell(cell, REAL, elements, lambda params, carry, x: carry.h, scan, piece, logs)


def min_lstm(
    hidden_size: int,
    *,
    variant: str = "log",
    forget_bias: float = 0.0,
    scan: str = "auto",
    piece: int | None = None,
    w_init: str = "glorot_uniform",
) -> Cell:
    """minLSTM (Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, section 3.2 and appendix B).

        f, i = s(x W + b)      f' = f / (f + i)      i' = i / (f + i)
        h~_t = g(x W_h + b_h)        variant="log": g(a) = a + 0.5 for a >= 0, else s(a); composed as logarithms
        h~_t = x W_h + b_h           variant="linear"
        h_t = f' * h_{t-1} + i' * h~_t

    ``forget_bias`` is the initial bias of f.

    Shapes: x [..., D], h [..., H].
    Departures: those of ``min_gru``. ``gates`` are f' and i'.
    Parameters: 3*(D*H + H).
    """
    init_w = get_initializer("w_init", w_init)
    log = choose("variant", variant, ("log", "linear")) == "log"

    def init(key: Key, inputs: int) -> MinParams:
        w = init_w(key, (inputs, 3, hidden_size))
        return MinParams(w, zeros(w, 3, hidden_size).at[1].set(forget_bias))

    def initial_carry(params: MinParams, batch: tuple[int, ...]) -> RNNCarry:
        return RNNCarry(zeros(params.w, *batch, hidden_size))

    def lead(a: Array) -> Array:
        """log(i / f) from the gates' sums ``a [..., G, H]``: f' = s(-lead), i' = s(lead)."""
        return jax.nn.softplus(-a[..., 1, :]) - jax.nn.softplus(-a[..., 0, :])

    def gates(params: MinParams, carry: RNNCarry | None, x: Array) -> MinLSTMGates:
        a = dot(x, params.w) + params.b
        candidate = a[..., 2, :]
        ahead = lead(a)
        return MinLSTMGates(jax.nn.sigmoid(ahead), jax.nn.sigmoid(-ahead), positive(candidate) if log else candidate)

    def elements(params: MinParams, x: Array) -> Element:
        seen = gates(params, None, x)
        return seen.f, seen.i * seen.candidate

    def log_elements(params: MinParams, x: Array) -> Element:
        a = dot(x, params.w) + params.b
        ahead = lead(a)
        return -jax.nn.softplus(ahead), -jax.nn.softplus(-ahead) + log_positive(a[..., 2, :])

    cell = Cell(init, initial_carry, None, hidden_size, gates=gates, retention=keeps_f, no_decay=leaves_named("b"))
    logs = (LOG, log_elements) if log else None
    return linear_cell(cell, REAL, elements, lambda params, carry, x: carry.h, scan, piece, logs)
