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


def slstm(heads=1, forget="sigmoid"):
    """Beck et al., eq. 8-17, with the stabilizer of eq. 15-17."""

    def step(params, carry, x):
        size = len(carry.h) // heads
        w, b = named(params.w, "ifzo"), named(params.b, "ifzo")
        u = {letter: np.zeros((len(carry.h),) * 2) for letter in "ifzo"}
        for head in range(heads):
            rows = slice(head * size, (head + 1) * size)
            for letter, block in named(params.u[head], "ifzo").items():
                u[letter][rows, rows] = block
        a = {letter: x @ w[letter] + carry.h @ u[letter] + b[letter] for letter in "ifzo"}
        log_f = np.log(logistic(a["f"])) if forget == "sigmoid" else a["f"]
        m = np.maximum(log_f + carry.m, a["i"])
        i, f = np.exp(a["i"] - m), np.exp(log_f + carry.m - m)
        z, o = np.tanh(a["z"]), logistic(a["o"])
        c, n = f * carry.c + i * z, f * carry.n + i
        h = o * c / n
        return {"c": c, "n": n, "m": m, "h": h}, h, {"i": i, "f": f, "candidate": z, "o": o}

    return step


def mlstm(heads=1, forget="sigmoid"):
    """Beck et al., eq. 19-27, stabilized, a head at a time."""

    def step(params, carry, x):
        w, b = named(params.w, "qkvo"), named(params.b, "qkvo")
        q, k, v, o = (x @ w[letter] + b[letter] for letter in "qkvo")
        o = logistic(o)
        size = len(q) // heads
        after, gates, h = {"c": [], "n": [], "m": []}, {"i": [], "f": []}, []
        for head in range(heads):
            its = slice(head * size, (head + 1) * size)
            i_raw, f_raw = (x @ params.w_gates[:, g, head] + params.b_gates[g, head] for g in (0, 1))
            log_f = np.log(logistic(f_raw)) if forget == "sigmoid" else f_raw
            m = max(log_f + carry.m[head], i_raw)
            i, f = np.exp(i_raw - m), np.exp(log_f + carry.m[head] - m)
            key = k[its] / np.sqrt(size)
            c, n = f * carry.c[head] + i * np.outer(key, v[its]), f * carry.n[head] + i * key
            h.append(q[its] @ c / max(abs(q[its] @ n), np.exp(-m)))
            for place, value in zip(
                (after["c"], after["n"], after["m"], gates["i"], gates["f"]), (c, n, m, i, f), strict=True
            ):
                place.append(value)
        h = o * np.concatenate(h)
        gates = {name: np.array(values) for name, values in gates.items()} | {"o": o}
        return {name: np.array(values) for name, values in after.items()}, h, gates

    return step
