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


def mgu(params, carry, x):
    """Zhou et al., eq. 9-11."""
    w, u, b = (named(block, ["f", "h"]) for block in params)
    f = logistic(x @ w["f"] + carry.h @ u["f"] + b["f"])
    candidate = np.tanh(x @ w["h"] + (f * carry.h) @ u["h"] + b["h"])
    h = (1 - f) * carry.h + f * candidate
    return {"h": h}, h, {"f": f, "candidate": candidate}


def janet(beta=1.0):
    """Van der Westhuizen & Lasenby, eq. 8-11."""

    def step(params, carry, x):
        w, u, b = (named(block, "sc") for block in params)
        s, c = (x @ w[letter] + carry.h @ u[letter] + b[letter] for letter in "sc")
        h = logistic(s) * carry.h + (1 - logistic(s - beta)) * np.tanh(c)
        return {"h": h}, h, {"f": logistic(s), "candidate": np.tanh(c)}

    return step


def ugrnn(params, carry, x):
    """Collins et al., the update-gate RNN; b_fg is in b."""
    w, u, b = (named(block, "gc") for block in params)
    g, c = (x @ w[letter] + carry.h @ u[letter] + b[letter] for letter in "gc")
    g, c = logistic(g), np.tanh(c)
    h = g * carry.h + (1 - g) * c
    return {"h": h}, h, {"z": g, "candidate": c}


def mut(number):
    """Jozefowicz et al., the three boxes after section 4."""

    def step(params, carry, x):
        w, b = named(params.w, "rnz"), named(params.b, "rnz")
        u = named(params.u, "rn" if number == 1 else "rnz")
        r = logistic(x @ w["r"] + carry.h @ u["r"] + b["r"])
        z = x @ w["z"] + b["z"]
        if number > 1:
            z = z + (carry.h if number == 2 else np.tanh(carry.h)) @ u["z"]
        z, entering = logistic(z), x @ w["n"]
        n = np.tanh((r * carry.h) @ u["n"] + (np.tanh(entering) if number == 1 else entering) + b["n"])
        h = n * z + carry.h * (1 - z)
        return {"h": h}, h, {"r": r, "z": z, "candidate": n}

    return step


def indrnn(params, carry, x):
    """Li et al., eq. 2."""
    h = np.maximum(x @ params.w + params.u * carry.h + params.b, 0)
    return {"h": h}, h, {}


def sru(params, carry, x):
    """Lei et al., eq. 1-4; a fourth matrix where x is not as wide as h."""
    (v_f, v_r), (b_f, b_r), w = params.v, params.b, np.moveaxis(params.w, 1, 0)
    f = logistic(x @ w[1] + v_f * carry.c + b_f)
    r = logistic(x @ w[2] + v_r * carry.c + b_r)
    c = f * carry.c + (1 - f) * (x @ w[0])
    h = r * c + (1 - r) * (x if len(w) == 3 else x @ w[3])
    return {"c": c}, h, {"r": r, "f": f, "candidate": x @ w[0]}


def brc(matrices):
    """Vecoven et al., eq. 8-10."""

    def step(params, carry, x):
        w = named(params.w, "acx")
        seen = [carry.h @ params.u[:, k] if matrices else params.u[k] * carry.h for k in (0, 1)]
        a, c = 1 + np.tanh(x @ w["a"] + seen[0]), logistic(x @ w["c"] + seen[1])
        candidate = np.tanh(x @ w["x"] + a * carry.h)
        h = c * carry.h + (1 - c) * candidate
        return {"h": h}, h, {"a": a, "z": c, "candidate": candidate}

    return step


def lem(dt=1.0):
    """Rusch, Mishra, Erichson & Mahoney, eq. 3."""

    def step(params, carry, x):
        w, u, b = (named(block, "12zy") for block in params)
        first, second = (dt * logistic(carry.h @ u[k] + x @ w[k] + b[k]) for k in "12")
        z = (1 - first) * carry.z + first * np.tanh(carry.h @ u["z"] + x @ w["z"] + b["z"])
        y = (1 - second) * carry.h + second * np.tanh(z @ u["y"] + x @ w["y"] + b["y"])
        return {"h": y, "z": z}, y, {"dt_z": first, "dt_y": second}

    return step


def cornn(dt=0.042, gamma=2.7, epsilon=4.7):
    """Rusch & Mishra, eq. 3, the damping explicit."""

    def step(params, carry, x):
        of_y, of_z = params.u[:, 0], params.u[:, 1]
        pull = np.tanh(carry.h @ of_y + carry.z @ of_z + x @ params.w + params.b)
        z = carry.z + dt * pull - dt * gamma * carry.h - dt * epsilon * carry.z
        y = carry.h + dt * z
        return {"h": y, "z": z}, y, {}

    return step


def projected_lstm(params, carry, x):
    """Sak et al., eq. 1-7 without peepholes."""
    w, u, b = (named(block, "ifco") for block in params[:3])
    a = {g: x @ w[g] + carry.h @ u[g] + b[g] for g in "ifco"}
    i, f, o, candidate = logistic(a["i"]), logistic(a["f"]), logistic(a["o"]), np.tanh(a["c"])
    c = f * carry.c + i * candidate
    h = (o * np.tanh(c)) @ params.p
    return {"c": c, "h": h}, h, {"i": i, "f": f, "candidate": candidate, "o": o}


def layer_norm(a, gain, bias):
    """Ba et al., eq. 15-16, over all of ``a``."""
    return gain * (a - a.mean()) / np.sqrt(a.var() + 1e-5) + bias


def layer_norm_lstm(params, carry, x):
    """Ba et al., eq. 20-22: one normalization over all four gates."""
    size = len(carry.h)
    flat = {field: np.asarray(getattr(params, field)).reshape(-1, 4 * size) for field in ("w", "u", "b")}
    gain, bias = params.scale.reshape(2, -1), params.b_scale.reshape(2, -1)
    a = layer_norm(x @ flat["w"], gain[0], bias[0]) + layer_norm(carry.h @ flat["u"], gain[1], bias[1]) + flat["b"][0]
    i, f, candidate, o = a[:size], a[size : 2 * size], a[2 * size : 3 * size], a[3 * size :]
    i, f, candidate, o = logistic(i), logistic(f), np.tanh(candidate), logistic(o)
    c = f * carry.c + i * candidate
    h = o * np.tanh(layer_norm(c, params.scale_c, params.b_c))
    return {"c": c, "h": h}, h, {"i": i, "f": f, "candidate": candidate, "o": o}


def layer_norm_gru(params, carry, x):
    """Ba et al., eq. 26-29: r and z are normalized together, the candidate's parts alone."""
    w, u = named(params.w, "rzn"), named(params.u, "rzn")
    gains, biases = ([named(of, "rzn") for of in both] for both in (params.scale, params.b_scale))

    def both(source, k):
        joined = [np.concatenate([tree["r"], tree["z"]]) for tree in (source, gains[k], biases[k])]
        return layer_norm(*joined)

    from_x, from_h = {g: x @ w[g] for g in "rzn"}, {g: carry.h @ u[g] for g in "rzn"}
    r, z = np.split(logistic(both(from_x, 0) + both(from_h, 1)), 2)
    n = np.tanh(
        layer_norm(from_x["n"], gains[0]["n"], biases[0]["n"])
        + r * layer_norm(from_h["n"], gains[1]["n"], biases[1]["n"])
    )
    h = (1 - z) * carry.h + z * n
    return {"h": h}, h, {"r": r, "z": z, "candidate": n}


def greff_lstm(variant):
    """Greff et al., section II for V, section III-C for the others."""
    absent = {"NIG": "i", "NFG": "f", "NOG": "o", "CIFG": "f"}.get(variant, "")
    order = [g for g in "ifco" if g != absent]

    def step(params, carry, x):
        w, u, b = (named(block, order) for block in params[:3])
        a = {g: x @ w[g] + carry.h @ u[g] + b[g] for g in order}
        p = {} if variant == "NP" else named(params.p, [g for g in order if g != "c"])
        if variant == "FGR":
            before = {"i": carry.i, "f": carry.f, "o": carry.o}
            for k, source in enumerate("ifo"):
                for m, target in enumerate("ifo"):
                    a[target] = a[target] + before[source] @ params.u_gates[k, :, m]
        one = np.ones_like(carry.c)

        def gate(g, c):
            return one if g == absent else logistic(a[g] + (p[g] * c if p else 0))

        i = gate("i", carry.c)
        f = 1 - i if variant == "CIFG" else gate("f", carry.c)
        candidate = a["c"] if variant == "NIAF" else np.tanh(a["c"])
        c = candidate * i + carry.c * f
        o = gate("o", c)
        h = o * (c if variant == "NOAF" else np.tanh(c))
        after = {"c": c, "h": h} | ({"i": i, "f": f, "o": o} if variant == "FGR" else {})
        return after, h, {"i": i, "f": f, "candidate": candidate, "o": o}

    return step
