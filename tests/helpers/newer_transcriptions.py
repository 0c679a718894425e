"""Cells of 2015 and later from their papers' equations, as in `transcriptions`: NumPy, float64, one example."""

import numpy as np

from helpers.transcriptions import logistic, named


def g(a):
    """Feng et al., appendix B: a positive candidate."""
    return np.where(a >= 0, a + 0.5, logistic(a))


def min_gru(log=True):
    """Feng et al., section 3.1."""

    def step(params, carry, x):
        w, b = named(params.w, "zh"), named(params.b, "zh")
        z = logistic(x @ w["z"] + b["z"])
        candidate = x @ w["h"] + b["h"]
        candidate = g(candidate) if log else candidate
        h = (1 - z) * carry.h + z * candidate
        return {"h": h}, h, {"z": z, "candidate": candidate}

    return step


def min_lstm(log=True):
    """Feng et al., section 3.2."""

    def step(params, carry, x):
        w, b = named(params.w, "ifh"), named(params.b, "ifh")
        i, f = logistic(x @ w["i"] + b["i"]), logistic(x @ w["f"] + b["f"])
        i, f = i / (i + f), f / (i + f)
        candidate = x @ w["h"] + b["h"]
        candidate = g(candidate) if log else candidate
        h = f * carry.h + i * candidate
        return {"h": h}, h, {"i": i, "f": f, "candidate": candidate}

    return step


def erf(a):
    """Abramowitz & Stegun, 7.1.5: the series, for arguments of a test."""
    total, term = np.zeros_like(a), a.copy()
    for n in range(200):
        total = total + term / (2 * n + 1)
        term = -term * a**2 / (n + 1)
    return 2 / np.sqrt(np.pi) * total


def gated(y, readout):
    """Smith et al., appendix G.1: GELU(y) * s(W GELU(y))."""
    active = y * (1 + erf(y / np.sqrt(2))) / 2
    return active * logistic(active @ readout.g + readout.b)


def state_space(params, carry, x, a, scale, factor, with_gate):
    """z = a z + scale * (B x), y = factor * Re(C z) + D x, in complex numbers."""
    readout = params.readout
    b, c = params.w[:, 0] + 1j * params.w[:, 1], readout.c[:, 0] + 1j * readout.c[:, 1]
    z = a * (carry.z_re + 1j * carry.z_im) + scale * (x @ b)
    y = factor * (z @ c).real + x @ readout.d
    return {"z_re": z.real, "z_im": z.imag}, gated(y, readout) if with_gate else y, {}


def lru(with_gate=False):
    """Orvieto et al., section 3: exponential parameters, normalization gamma."""

    def step(params, carry, x):
        a = np.exp(-np.exp(params.nu_log) + 1j * np.exp(params.theta_log))
        return state_space(params, carry, x, a, np.exp(params.gamma_log), 1, with_gate)

    return step


def s5(with_gate=True):
    """Smith et al., section 3.2, eq. 6: zero-order hold; each state stands for its conjugate too."""

    def step(params, carry, x):
        eigenvalue, dt = -np.exp(params.lambda_re_log) + 1j * params.lambda_im, np.exp(params.dt_log)
        a = np.exp(eigenvalue * dt)
        return state_space(params, carry, x, a, (a - 1) / eigenvalue, 2, with_gate)

    return step


def rg_lru(c=8.0):
    """De et al., eq. 1-4."""

    def step(params, carry, x):
        u = x @ params.w + params.b_x
        w, b = named(params.w_gates, "ri"), named(params.b, "ri")
        r, i = logistic(u @ w["r"] + b["r"]), logistic(u @ w["i"] + b["i"])
        a = logistic(params.decay) ** (c * r)
        h = a * carry.h + np.sqrt(1 - a**2) * (i * u)
        return {"h": h}, h, {"r": r, "i": i, "f": a}

    return step
