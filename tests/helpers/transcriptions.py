"""Every cell again, from the papers' equations, in NumPy and float64: one example, one gate at a time.

A step takes ``(params, carry, x)``, the package's own NamedTuples filled with float64 arrays, and returns
``(carry, h, gates)``: the new carry as a dict, ``h [H]``, and the gate values as a dict.
Nothing here uses the package's code: a row vector times one named matrix at a time, x [D], h [H], c [H].
"""

import numpy as np


def logistic(a):
    return 1.0 / (1.0 + np.exp(-a))


def keras_hard_sigmoid(a):
    return np.minimum(np.maximum(0.2 * a + 0.5, 0.0), 1.0)


ACTS = {"tanh": np.tanh, "sigmoid": logistic, "relu": lambda a: np.maximum(a, 0.0)}
GATE_NAMES = ("i", "f", "candidate", "o")
GATES = {"sigmoid": logistic, "hard_sigmoid": keras_hard_sigmoid}


def named(blocks, names):
    """``blocks [N, G, H]`` (or ``[G, H]``) by gate: name -> ``[N, H]`` (or ``[H]``)."""
    assert blocks.shape[-2] == len(names), (blocks.shape, names)
    return {name: blocks[..., position, :] for position, name in enumerate(names)}


def rnn(activation="tanh"):
    def step(params, carry, x):
        h = ACTS[activation](x @ params.w + carry.h @ params.u + params.b)
        return {"h": h}, h, {}

    return step


def lstm(activation="tanh", gate="sigmoid", bias=True, output_gate="standard", state_bias=False):
    """Akandeh & Salem's base LSTM; Owusu et al. print an output gate that sees h alone."""
    act, s = ACTS[activation], GATES[gate]
    driven = "ifc" if output_gate == "recurrent" else "ifco"

    def step(params, carry, x):
        w, u = named(params.w, driven), named(params.u, "ifco")
        b = named(params.b, driven) if bias else {}
        a = {}
        for g in "ifco":
            a[g] = carry.h @ u[g]
            if g in w:
                a[g] = a[g] + x @ w[g]
            if g in b:
                a[g] = a[g] + b[g]
        i, f, o, candidate = s(a["i"]), s(a["f"]), s(a["o"]), act(a["c"])
        b_c, b_h = params.b_state if state_bias else (0.0, 0.0)
        c = f * carry.c + i * candidate + b_c
        h = o * act(c) + b_h
        return {"c": c, "h": h}, h, {"i": i, "f": f, "o": o, "candidate": candidate}

    return step


def lstm_1997(activation="tanh", gate="sigmoid"):
    """No forget gate: the constant error carousel."""
    act, s = ACTS[activation], GATES[gate]

    def step(params, carry, x):
        w, u, b = named(params.w, "ico"), named(params.u, "ico"), named(params.b, "ico")
        i = s(x @ w["i"] + carry.h @ u["i"] + b["i"])
        o = s(x @ w["o"] + carry.h @ u["o"] + b["o"])
        candidate = act(x @ w["c"] + carry.h @ u["c"] + b["c"])
        c = carry.c + i * candidate
        h = o * act(c)
        return {"c": c, "h": h}, h, {"i": i, "o": o, "candidate": candidate}

    return step


def peephole_lstm(peephole="diagonal", output_peephole="current", activation="tanh", gate="sigmoid"):
    """Rahman et al., eq. 1-5 (full, previous); Gers & Schmidhuber (diagonal, current)."""
    act, s = ACTS[activation], GATES[gate]

    def step(params, carry, x):
        w, u, b = named(params.w, "ifco"), named(params.u, "ifco"), named(params.b, "ifco")
        p = named(params.p, "ifo")
        matrix = {g: p[g] if peephole == "full" else np.diag(p[g]) for g in "ifo"}
        i = s(x @ w["i"] + carry.h @ u["i"] + carry.c @ matrix["i"] + b["i"])
        f = s(x @ w["f"] + carry.h @ u["f"] + carry.c @ matrix["f"] + b["f"])
        candidate = act(x @ w["c"] + carry.h @ u["c"] + b["c"])
        c = f * carry.c + i * candidate
        seen = c if output_peephole == "current" else carry.c
        o = s(x @ w["o"] + carry.h @ u["o"] + seen @ matrix["o"] + b["o"])
        h = o * act(c)
        return {"c": c, "h": h}, h, {"i": i, "f": f, "o": o, "candidate": candidate}

    return step


def gru(variant="standard", reset="after", activation="tanh", gate="sigmoid"):
    """Cho et al. (before), PyTorch and Keras (after), and Rahman et al.'s eq. 9-12 (printed)."""
    act, s = ACTS[activation], GATES[gate]

    def printed(params, carry, x):
        w, u = named(params.w, "rz"), named(params.u, "rz")
        z = s(carry.h @ u["z"] + x @ w["z"])  # eq. 9
        r = s(carry.h @ u["r"] + x @ w["r"])  # eq. 10
        candidate = act((r * carry.h) @ u["r"] + x @ w["r"])  # eq. 11, with W_r again
        h = (1 - z) * carry.h + z * candidate  # eq. 12
        return {"h": h}, h, {"r": r, "z": z, "candidate": candidate}

    def standard(params, carry, x):
        w, u, b = named(params.w, "rzn"), named(params.u, "rzn"), named(params.b, "rzn")
        r = s(x @ w["r"] + carry.h @ u["r"] + b["r"])
        z = s(x @ w["z"] + carry.h @ u["z"] + b["z"])
        if reset == "after":
            n = act(x @ w["n"] + b["n"] + r * (carry.h @ u["n"] + params.b_n))
        else:
            n = act(x @ w["n"] + b["n"] + (r * carry.h) @ u["n"])
        h = (1 - z) * n + z * carry.h
        return {"h": h}, h, {"r": r, "z": z, "candidate": n}

    return printed if variant == "printed" else standard


def slim(number, activation="tanh", gate="sigmoid"):
    """Akandeh & Salem's LSTM1 to LSTM5: the three gates change, the candidate never does."""
    act, s = ACTS[activation], GATES[gate]

    def step(params, carry, x):
        h = carry.h
        u = named(params.u, "ifco" if number in (1, 2) else "c")
        b = named(params.b, "ifco" if number in (1, 3, 5) else "c")
        elementwise = named(params.u_gates, "ifo") if number in (4, 5) else {}
        a = {}
        for g in "ifo":
            if number == 1:
                a[g] = h @ u[g] + b[g]
            elif number == 2:
                a[g] = h @ u[g]
            elif number == 3:
                a[g] = b[g]
            elif number == 4:
                a[g] = elementwise[g] * h
            else:
                a[g] = elementwise[g] * h + b[g]
        i, f, o = s(a["i"]), s(a["f"]), s(a["o"])
        candidate = act(x @ params.w + h @ u["c"] + b["c"])
        c = f * carry.c + i * candidate
        h = o * act(c)
        return {"c": c, "h": h}, h, {"i": i, "f": f, "o": o, "candidate": candidate}

    return step


def biological_lstm(delta=0.001, activation="tanh", gate="sigmoid"):
    """Rahman et al., eq. 17-21, without noise. Gates as in eq. 1, 2, 4: with full peepholes."""
    act, s = ACTS[activation], GATES[gate]

    def step(params, carry, x):
        w, u, p, b = (named(block, "ifo") for block in (params.w, params.u, params.p, params.b))
        i, f, o = (s(x @ w[g] + carry.h @ u[g] + carry.c @ p[g] + b[g]) for g in "ifo")
        c = carry.c + delta * (i + f + params.b_c)
        h = o * act(c)
        after = {"c": c, "h": h}
        if carry.t is not None:
            after["t"] = carry.t + 1
        return after, h, {"i": i, "f": f, "o": o}

    return step


def cerebral_lstm(variant="code", activation="tanh", gate="sigmoid", tied=False):
    """Kumar: two paths, one hidden state; tied: one path that counts twice.
    "printed" is the paper's U_c = U_f * U_tmp + U_i * U_tmp."""
    act, s = ACTS[activation], GATES[gate]

    def step(params, carry, x):
        h, cells, gates = 0.0, [], {"i": [], "f": [], "o": [], "candidate": []}
        for path in (0,) if tied else (0, 1):
            w, u, b = named(params.w[:, path], "ifco"), named(params.u[:, path], "ifco"), named(params.b[path], "ifco")
            i, f, o = (s(carry.h @ u[g] + x @ w[g] + b[g]) for g in "ifo")
            tmp = act(carry.h @ u["c"] + x @ w["c"] + b["c"])
            c = f * (tmp if variant == "printed" else carry.c[path]) + i * tmp
            h = h + (2 if tied else 1) * o * act(c)
            cells.append(c)
            for name, value in zip(("i", "f", "o", "candidate"), (i, f, o, tmp), strict=True):
                gates[name].append(value)
        return {"c": np.stack(cells), "h": h}, h, {name: np.stack(values) for name, values in gates.items()}

    return step


def hodgkin_huxley(integrator="exponential_euler", dt=0.025, substeps=1):
    """Rahman et al., eq. 13-16, with the rates of 1952 for a rest near -65 mV."""

    def alpha(v):
        return {
            "m": 0.1 * (v + 40) / (1 - np.exp(-(v + 40) / 10)),
            "h_gate": 0.07 * np.exp(-(v + 65) / 20),
            "n": 0.01 * (v + 55) / (1 - np.exp(-(v + 55) / 10)),
        }

    def beta(v):
        return {
            "m": 4 * np.exp(-(v + 65) / 18),
            "h_gate": 1 / (1 + np.exp(-(v + 35) / 10)),
            "n": 0.125 * np.exp(-(v + 65) / 80),
        }

    def derivative(state, current):
        v, a, b = state["v"], alpha(state["v"]), beta(state["v"])
        potassium = 36 * state["n"] ** 4 * (v + 77)
        sodium = 120 * state["m"] ** 3 * state["h_gate"] * (v - 50)
        leak = 0.3 * (v + 54.387)
        return {"v": current - potassium - sodium - leak} | {g: a[g] * (1 - state[g]) - b[g] * state[g] for g in a}

    def runge_kutta(state, current):
        def off(slope, factor):
            return {name: state[name] + factor * dt * slope[name] for name in state}

        first = derivative(state, current)
        second = derivative(off(first, 0.5), current)
        third = derivative(off(second, 0.5), current)
        fourth = derivative(off(third, 1), current)
        return {
            name: state[name] + dt * (first[name] + 2 * second[name] + 2 * third[name] + fourth[name]) / 6
            for name in state
        }

    def exponential(state, current):
        """Each variable on its way to the value that it would take if the others stood still."""
        a, b, after = alpha(state["v"]), beta(state["v"]), {}
        for g in a:
            limit, tau = a[g] / (a[g] + b[g]), 1 / (a[g] + b[g])
            after[g] = limit + (state[g] - limit) * np.exp(-dt / tau)
        na, k, leak = 120 * after["m"] ** 3 * after["h_gate"], 36 * after["n"] ** 4, 0.3
        limit = (na * 50 + k * -77 + leak * -54.387 + current) / (na + k + leak)
        return {"v": limit + (state["v"] - limit) * np.exp(-dt * (na + k + leak)), **after}

    def step(params, carry, x):
        state = {"v": carry.v, "m": carry.m, "h_gate": carry.h_gate, "n": carry.n}
        for _ in range(substeps):
            state = (runge_kutta if integrator == "rk4" else exponential)(state, x @ params.w)
        return state, state["v"], {gate: state[gate] for gate in ("m", "h_gate", "n")}

    return step


def qrnn(pooling="fo", activation="tanh", gate="sigmoid"):
    """Bradbury et al., section 2, without zoneout; ``ahead[j]``: what past inputs add to the gates at t + j."""
    act, s = ACTS[activation], GATES[gate]
    names = {"f": "fz", "fo": "fzo", "ifo": "ifzo"}[pooling]

    def step(params, carry, x):
        width = params.w.shape[1]
        taps, b = [named(params.w[:, k], names) for k in range(width)], named(params.b, names)
        due = [named(rows, names) for rows in ([] if carry.ahead is None else carry.ahead)]
        a = {g: x @ taps[0][g] + (due[0][g] if due else 0.0) + b[g] for g in names}
        gates = {"candidate": act(a["z"]), **{g: s(a[g]) for g in names if g != "z"}}
        f, z = gates["f"], gates["candidate"]
        c = f * carry.c + (gates["i"] if pooling == "ifo" else 1 - f) * z
        h = c if pooling == "f" else gates["o"] * c
        after = {"c": c}
        if due:
            later = [{g: x @ taps[k][g] for g in names} for k in range(1, width)]
            for k in range(1, width - 1):
                later[k - 1] = {g: later[k - 1][g] + due[k][g] for g in names}
            after["ahead"] = np.stack([np.stack([rows[g] for g in names]) for rows in later])
        if carry.t is not None:
            after["t"] = carry.t + 1
        return after, h, gates

    return step


def grid_lstm(layers=1, tied=False, priority=False, memory=True, printed=False, activation="tanh", gate="sigmoid"):
    """Kalchbrenner et al., section 3: time and depth. Without ``memory`` depth is a feed-forward layer."""
    act, s = ACTS[activation], GATES[gate]

    def transform(seen, m, weights, biases):
        u, b = named(weights, "ifco"), named(biases, "ifco")
        i, f, o = (s(seen @ u[g] + b[g]) for g in "ifo")
        candidate = act(seen @ u["c"] + b["c"])
        m = f * m + i * candidate
        return act(o * m) if printed else o * act(m), m, {"i": i, "f": f, "o": o, "candidate": candidate}

    def step(params, carry, x):
        h_depth = x @ params.w[:, 0]
        m_depth = x @ params.w[:, 1] if memory else None
        c, h, gates = [], [], []
        for layer in range(layers):
            block = 0 if tied else layer
            both = np.concatenate([carry.h[layer], h_depth])
            h_time, m_time, of_time = transform(both, carry.c[layer], params.u[block, :, 0], params.b[block, 0])
            if priority:
                both = np.concatenate([h_time, h_depth])
            decided = [of_time]
            if memory:
                h_depth, m_depth, of_depth = transform(both, m_depth, params.u[block, :, 1], params.b[block, 1])
                decided.append(of_depth)
            else:
                h_depth = act(both @ params.v[block] + params.b_v[block])
            c.append(m_time)
            h.append(h_time)
            gates.append(decided)
        stacked_gates = {name: np.array([[one[name] for one in decided] for decided in gates]) for name in GATE_NAMES}
        return {"c": np.stack(c), "h": np.stack(h)}, h_depth, stacked_gates

    return step


def grid_lstm_nd(
    extents=None, layers=1, tied=False, priority=False, memory=True, printed=False, activation="tanh", gate="sigmoid"
):
    """Kalchbrenner et al., section 3, place by place: time, the dimensions of a step (one of D places), depth."""
    act, s = ACTS[activation], GATES[gate]

    def transform(seen, m, weights, biases):
        u, b = named(weights, "ifco"), named(biases, "ifco")
        i, f, o = (s(seen @ u[g] + b[g]) for g in "ifo")
        candidate = act(seen @ u["c"] + b["c"])
        m = f * m + i * candidate
        return act(o * m) if printed else o * act(m), m, {"i": i, "f": f, "o": o, "candidate": candidate}

    def step(params, carry, x):
        sizes, nothing = extents or (len(x),), np.zeros(carry.h.shape[-1])
        inside, features = range(len(sizes)), x.reshape(*(extents or (len(x),)), -1)
        h, m = {}, {}  # what leaves a place: (dimension inside the step, place, layer) -> [H]
        after = {"c": np.zeros_like(carry.c), "h": np.zeros_like(carry.h)}
        gates = {name: np.zeros((*sizes, layers, len(sizes) + 1 + memory, len(nothing))) for name in GATE_NAMES}
        for place in np.ndindex(*sizes):
            h_depth = features[place] @ params.w[:, 0]
            m_depth = features[place] @ params.w[:, -1]
            for layer in range(layers):
                block = 0 if tied else layer
                before = [tuple(np.subtract(place, np.eye(len(sizes), dtype=int)[n])) for n in inside]
                hs = [carry.h[place][layer], *(h.get((n, before[n], layer), nothing) for n in inside)]
                ms = [carry.c[place][layer], *(m.get((n, before[n], layer), nothing) for n in inside)]
                seen, new_hs = np.concatenate([*hs, h_depth]), []
                for n in range(len(hs)):
                    new_h, new_m, decided = transform(seen, ms[n], params.u[block, :, n], params.b[block, n])
                    new_hs.append(new_h)
                    if n == 0:
                        after["h"][place][layer], after["c"][place][layer] = new_h, new_m
                    else:
                        h[n - 1, place, layer], m[n - 1, place, layer] = new_h, new_m
                    for name in GATE_NAMES:
                        gates[name][place][layer][n] = decided[name]
                if priority:
                    seen = np.concatenate([*new_hs, h_depth])
                if memory:
                    h_depth, m_depth, decided = transform(seen, m_depth, params.u[block, :, -1], params.b[block, -1])
                    for name in GATE_NAMES:
                        gates[name][place][layer][-1] = decided[name]
                else:
                    h_depth = act(seen @ params.v[block] + params.b_v[block])
        return after, h_depth, gates

    return step


def grid_lstm_of_time():
    """The grid whose one dimension is time: x stands beside h, and there is one layer."""
    plain = lstm()

    def step(params, carry, x):
        class Of:
            w, u, b = params.w, params.u[0, :, 0], params.b[0, 0]
            c, h = carry.c[0], carry.h[0]

        after, h, gates = plain(Of, Of, x)
        return (
            {name: value[None] for name, value in after.items()},
            h,
            {name: value[None, None] for name, value in gates.items()},
        )

    return step


def cerebral(inner, adding=True, tied=False):
    """Kumar's structure round another cell: each path with its own parameters and memory, one h for both.

    Added where the cell keeps a c, else their mean; tied: one path that counts twice.
    """

    def step(params, carry, x):
        memories, hs, outputs, decisions = [], [], [], []
        for path in (0,) if tied else (0, 1):
            own = {name: leaf[path] for name, leaf in carry._asdict().items() if name != "h" and leaf is not None}
            weights = type(params.paths)(*(None if leaf is None else leaf[path] for leaf in params.paths))
            after, output, gates = inner(weights, carry._replace(**own), x)
            hs.append(after.pop("h"))
            memories.append(after)
            outputs.append(output)
            decisions.append(gates)
        if tied:
            hs, outputs = hs * 2, outputs * 2
        share = 1 if adding else 0.5
        together = {name: np.stack([memory[name] for memory in memories]) for name in memories[0]}
        gates = {name: np.stack([gates[name] for gates in decisions]) for name in decisions[0]}
        return {**together, "h": share * (hs[0] + hs[1])}, share * (outputs[0] + outputs[1]), gates

    return step


def stacked(*steps, connections="plain"):
    """Layers: each reads the h that the one below has just made; or that and its input, added or side by side."""

    def step(params, carry, x):
        after, decided = [], []
        for layer, (run, layer_params, before) in enumerate(zip(steps, params, carry, strict=True)):
            new, h, gates = run(layer_params, before, x)
            after.append(new)
            decided.append(gates)
            if connections == "residual" and layer > 0:
                x = x + h
            elif connections == "dense" and layer < len(steps) - 1:
                x = np.concatenate([x, h])
            else:
                x = h
        return tuple(after), x, tuple(decided) if all(decided) else {}

    return step
