"""The linear recurrent unit, and what it shares with the S5 layer: a complex diagonal state, read as a real part."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.initializers import get_initializer
from rnnlab.cells.linear_recurrence import COMPLEX, Element, linear_cell
from rnnlab.cells.ops import dot, leaves_named, zeros
from rnnlab.core.errors import InputError, check_count, check_number, choose, is_static
from rnnlab.core.types import Array, Cell, Key

OUTPUTS = ("linear", "gated")


class ComplexState(NamedTuple):
    """A complex state z ``[..., N]`` as two real arrays."""

    z_re: Array
    z_im: Array


class Readout(NamedTuple):
    """``c [N, 2, H]`` (real, imaginary part of C), ``d [D, H]``; of the output gate ``g [H, H]`` and ``b [H]``, or
    None."""

    c: Array
    d: Array
    g: Array | None
    b: Array | None


class LRUParams(NamedTuple):
    """``nu_log, theta_log, gamma_log [N]``, ``w [D, 2, N]`` (real, imaginary part of B), and the readout."""

    nu_log: Array
    theta_log: Array
    gamma_log: Array
    w: Array
    readout: Readout


def read_out(readout: Readout, state: ComplexState, x: Array, factor: float = 1.0) -> Array:
    """``y = factor * Re(z C) + x D``, gated if the readout has a gate: ``[..., H]``."""
    y = factor * (dot(state.z_re, readout.c[:, 0]) - dot(state.z_im, readout.c[:, 1])) + dot(x, readout.d)
    if readout.g is None or readout.b is None:
        return y
    active = jax.nn.gelu(y, approximate=False)
    return active * jax.nn.sigmoid(dot(active, readout.g) + readout.b)


def zero_state(like: Array, batch: tuple[int, ...], size: int) -> ComplexState:
    """Zeros ``[*batch, size]`` of the dtype of a carry beside the parameter ``like``."""
    return ComplexState(zeros(like, *batch, size), zeros(like, *batch, size))


def lru(
    hidden_size: int,
    *,
    state_size: int = 0,
    r_min: float = 0.0,
    r_max: float = 1.0,
    max_phase: float = 6.283185307179586,
    output: str = "linear",
    scan: str = "auto",
    piece: int | None = None,
) -> Cell:
    """Linear recurrent unit (Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu & De 2023, section 3, appendix A).

        lambda_j = exp(-exp(nu_j) + i exp(theta_j))
        z_t = lambda * z_{t-1} + exp(gamma) * (x_t B)
        y_t = Re(z_t C) + x_t D
        h_t = y_t                                   output="linear"
        h_t = a * s(a W_g + b_g), a = GELU(y_t)     output="gated", the activation of an S5 layer

    ``state_size`` is the number of complex states N; 0: as many as ``hidden_size``. Initially abs(lambda) is uniform
    on the ring from ``r_min`` to ``r_max``, its phase uniform up to ``max_phase``, and
    exp(gamma) = sqrt(1 - abs(lambda)^2).

    Shapes: x [..., D], z [..., N] as two real arrays, h [..., H].
    Departures: the unit alone, without the normalization, MLP and skip connection of the paper's block; D is a
        matrix, since x may be of another width than h; abs(lambda) is at most 0.99999 at the start, so that gamma is
        finite.
    Parameters: 3*N + 2*D*N + 2*N*H + D*H, + H*H + H gated.
    """
    size = check_state_size(state_size, hidden_size)
    gated = choose("output", output, OUTPUTS) == "gated"
    for name, value in (("r_min", r_min), ("r_max", r_max)):
        check_number(name, value, below=1 + 1e-9)
    check_number("max_phase", max_phase)
    if is_static(r_min) and is_static(r_max) and r_min > r_max:
        raise InputError(f"r_min: {r_min} is above r_max, {r_max}; accepted: from 0 to r_max")

    def init(key: Key, inputs: int) -> LRUParams:
        key_r, key_phase, key_w, key_read = jax.random.split(key, 4)
        squared = r_min**2 + jax.random.uniform(key_r, (size,)) * (r_max**2 - r_min**2)
        squared = jnp.clip(squared, 1e-10, 0.99999**2)
        phase = jnp.maximum(max_phase * jax.random.uniform(key_phase, (size,)), 1e-6)
        w = jax.random.normal(key_w, (inputs, 2, size)) / (2 * inputs) ** 0.5
        return LRUParams(
            jnp.log(-0.5 * jnp.log(squared)),
            jnp.log(phase),
            0.5 * jnp.log1p(-squared),
            w,
            draw_readout(key_read, inputs, size, hidden_size, gated),
        )

    def initial_carry(params: LRUParams, batch: tuple[int, ...]) -> ComplexState:
        return zero_state(params.w, batch, size)

    def elements(params: LRUParams, x: Array) -> Element:
        wide = jnp.promote_types(params.w.dtype, jnp.float32)
        nu, theta, gamma = (jnp.exp(leaf.astype(wide)) for leaf in (params.nu_log, params.theta_log, params.gamma_log))
        driven = dot(x, params.w) * gamma
        b_re, b_im = driven[..., 0, :], driven[..., 1, :]
        a_re, a_im = jnp.exp(-nu) * jnp.cos(theta), jnp.exp(-nu) * jnp.sin(theta)
        return jnp.broadcast_to(a_re, b_re.shape), jnp.broadcast_to(a_im, b_im.shape), b_re, b_im

    def read(params: LRUParams, state: ComplexState, x: Array) -> Array:
        return read_out(params.readout, state, x)

    no_decay = leaves_named("nu_log", "theta_log", "gamma_log", "b")
    cell = Cell(init, initial_carry, None, hidden_size, no_decay=no_decay)
    return linear_cell(cell, COMPLEX, elements, read, scan, piece)


def draw_readout(key: Key, inputs: int, size: int, hidden_size: int, gated: bool) -> Readout:
    """C normal with variance 1/N in all, D and the gate as weights elsewhere (glorot_uniform)."""
    key_c, key_d, key_g = jax.random.split(key, 3)
    glorot = get_initializer("w_init", "glorot_uniform")
    c = jax.random.normal(key_c, (size, 2, hidden_size)) / (2 * size) ** 0.5
    d = glorot(key_d, (inputs, 1, hidden_size))[:, 0]
    if not gated:
        return Readout(c, d, None, None)
    return Readout(c, d, glorot(key_g, (hidden_size, 1, hidden_size))[:, 0], zeros(c, hidden_size))


def check_state_size(state_size: Any, hidden_size: int) -> int:
    if state_size != 0:
        check_count("state_size", state_size)
    return state_size or hidden_size
