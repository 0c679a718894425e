"""The S5 layer: a linear state space model of many inputs and outputs with a diagonal state matrix."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.cells.linear_recurrence import COMPLEX, Element, linear_cell
from rnnlab.cells.lru import OUTPUTS, ComplexState, Readout, check_state_size, draw_readout, read_out, zero_state
from rnnlab.cells.ops import dot, leaves_named
from rnnlab.core.errors import InputError, check_number, choose, is_static
from rnnlab.core.types import Array, Cell, Key


class S5Params(NamedTuple):
    """``lambda_re_log [N]`` is log(-Re lambda), ``lambda_im [N]``, ``dt_log [N]``, ``w [D, 2, N]`` (real, imaginary
    part of B), and the readout."""

    lambda_re_log: Array
    lambda_im: Array
    dt_log: Array
    w: Array
    readout: Readout


def hippo_n(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the HiPPO-N matrix of 2 * size states: the eigenvalues with Im > 0 ``[size]`` and their unit eigenvectors
    ``[2 * size, size]``, complex128. All real parts are -1/2.

    A = -1/2 I - S, S_nk = sign(n - k) sqrt(n + 1/2) sqrt(k + 1/2) (Smith et al. 2023, appendix B.1.1).
    """
    root = np.sqrt(np.arange(2 * size) + 0.5)
    skew = np.tril(np.outer(root, root), -1)
    skew = skew - skew.T
    values, vectors = np.linalg.eigh(1j * skew)  # A v = (-1/2 + i values) v, since -S = i (i S)
    return -0.5 + 1j * values[size:], vectors[:, size:]


def s5(
    hidden_size: int,
    *,
    state_size: int = 0,
    dt_min: float = 0.001,
    dt_max: float = 0.1,
    output: str = "gated",
    scan: str = "auto",
    piece: int | None = None,
) -> Cell:
    """A diagonal S5 layer (Smith, Warrington & Linderman 2023, section 3), zero-order hold, conjugate states in pairs.

        lambda_bar = exp(lambda * dt)      B_bar = (lambda_bar - 1) / lambda * B
        z_t = lambda_bar * z_{t-1} + x_t B_bar
        y_t = 2 Re(z_t C) + x_t D
        h_t = a * s(a W_g + b_g), a = GELU(y_t)     output="gated", the layer's activation
        h_t = y_t                                   output="linear", the state space model alone

    ``state_size`` is the number N of complex states that are kept, half of the paper's P, as the other half are their
    conjugates; 0: as many as ``hidden_size``. lambda, B and C start in the eigenbasis of HiPPO-N, dt log-uniform from
    ``dt_min`` to ``dt_max``, one for each state.

    Shapes: x [..., D], z [..., N] as two real arrays, h [..., H].
    Departures: one block of HiPPO-N (the paper's J = 1); Re lambda = -exp(.), so that no state can grow; D is a
        matrix, since x may be of another width than h; no normalization, dropout and skip connection around it.
    Parameters: 3*N + 2*D*N + 2*N*H + D*H, + H*H + H gated.
    """
    size = check_state_size(state_size, hidden_size)
    gated = choose("output", output, OUTPUTS) == "gated"
    for name, value in (("dt_min", dt_min), ("dt_max", dt_max)):
        check_number(name, value)
        if is_static(value) and value == 0:
            raise InputError(f"{name}: 0 is not accepted; accepted: more than 0")

    def init(key: Key, inputs: int) -> S5Params:
        key_dt, key_w, key_read, key_c = jax.random.split(key, 4)
        values, vectors = hippo_n(size)
        basis = jnp.asarray(np.stack([vectors.real, vectors.imag], 1), jnp.float32)  # [2N, 2, N]
        dt_log = jnp.log(dt_min) + jax.random.uniform(key_dt, (size,)) * (jnp.log(dt_max) - jnp.log(dt_min))
        b = jax.random.normal(key_w, (inputs, 2 * size)) / inputs**0.5
        w = dot(b, basis) * jnp.array([1.0, -1.0])[:, None]  # V* B
        c_re, c_im = jax.random.normal(key_c, (2, hidden_size, 2 * size)) / (2 * size) ** 0.5
        v_re, v_im = dot(c_re, basis), dot(c_im, basis)  # [H, 2, N]
        c = jnp.stack([v_re[:, 0] - v_im[:, 1], v_re[:, 1] + v_im[:, 0]], 1)  # C V
        readout = draw_readout(key_read, inputs, size, hidden_size, gated)._replace(c=c.swapaxes(0, 2))
        return S5Params(
            jnp.asarray(np.log(-values.real), jnp.float32), jnp.asarray(values.imag, jnp.float32), dt_log, w, readout
        )

    def initial_carry(params: S5Params, batch: tuple[int, ...]) -> ComplexState:
        return zero_state(params.w, batch, size)

    def elements(params: S5Params, x: Array) -> Element:
        wide = jnp.promote_types(params.w.dtype, jnp.float32)
        re = -jnp.exp(params.lambda_re_log.astype(wide))
        im, dt = params.lambda_im.astype(wide), jnp.exp(params.dt_log.astype(wide))
        a_re, a_im = jnp.exp(re * dt) * jnp.cos(im * dt), jnp.exp(re * dt) * jnp.sin(im * dt)
        squared = re**2 + im**2  # (a - 1) / lambda = (a - 1) conj(lambda) / |lambda|^2
        s_re, s_im = ((a_re - 1) * re + a_im * im) / squared, (a_im * re - (a_re - 1) * im) / squared
        driven = dot(x, params.w)
        u_re, u_im = driven[..., 0, :], driven[..., 1, :]
        b_re, b_im = u_re * s_re - u_im * s_im, u_re * s_im + u_im * s_re
        return jnp.broadcast_to(a_re, b_re.shape), jnp.broadcast_to(a_im, b_im.shape), b_re, b_im

    def read(params: S5Params, state: ComplexState, x: Array) -> Array:
        return read_out(params.readout, state, x, factor=2.0)

    no_decay = leaves_named("lambda_re_log", "lambda_im", "dt_log", "b")
    cell = Cell(init, initial_carry, None, hidden_size, no_decay=no_decay)
    return linear_cell(cell, COMPLEX, elements, read, scan, piece)
