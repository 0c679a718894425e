"""The Hodgkin-Huxley neuron under a constant current: spikes, gates and the frequency-current curve.

Paper:     Rahman, Mohammed & Azad, A new LSTM model by introducing biological cell state, eq. 13-16, which motivate
           their cell; Hodgkin & Huxley, 1952, for the rates.
Question:  does the cell hodgkin_huxley behave as the neuron is known to? Nothing is trained.
Answers:   it rests near -65 mV without input; it fires at 68 Hz under a constant 10 uA/cm^2; after a step of current
           from rest it fires repetitively from between 6.0 and 6.5 uA/cm^2 on.
Measured:  all currents in parallel for 1.2 s from rest; spikes are upward crossings of 0 mV. The rate is one over the
           mean interval between spikes of the last second; firing with a spike in the last 100 ms is repetitive.
Figures:   the spikes and gates, the frequency-current curve, and the opening and closing rates of the gates by
           potential, on which the paper's Fig. 5 rests.
Noise:     "stochastic behavior relating the opening and closing rates of ion gates" (section III): with channels=N the
           gates of the plotted spikes fluctuate as those of N channels do (Fox & Lu 1994): to each gate g, per step,
           sqrt((alpha (1 - g) + beta g) dt / N) N(0, 1) is added, and g stays between 0 and 1. Off by default.
Settings:  dt and integrator of the cell; current and duration of the plotted spikes; highest and spacing of the
           currents of the curve; discard and measured, the two parts of its time. ms and uA/cm^2.

Command:   python -m experiments run neuron
           python -m experiments run neuron --set integrator=rk4 dt=0.01
           python -m experiments run neuron --set current=0 duration=1000 channels=1000     spikes by noise alone
"""

import math
from dataclasses import dataclass
from typing import Any

from rnnlab.cli.untrained import Findings
from rnnlab.core.errors import InputError

KNOWN_CURRENT = 10.0  # uA/cm^2
THRESHOLD = 0.0  # mV, what a spike crosses
LAST = 100.0  # ms, in which repetitive firing has a spike: its longest period is 20 ms


@dataclass(frozen=True)
class Settings:
    """Times in ms, currents in uA/cm^2."""

    experiment: str = "neuron"
    dt: float = 0.025
    integrator: str = "exponential_euler"
    current: float = KNOWN_CURRENT
    duration: float = 100.0
    highest: float = 20.0
    spacing: float = 0.1
    discard: float = 200.0
    measured: float = 1000.0
    channels: float = 0.0  # of each kind, whose noise moves the gates of the plotted spikes; 0: no noise

    def check(self) -> None:
        """Raise InputError for the first value that is out of range."""
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                value = getattr(self, name)
                raise InputError(f"{name}: {value} is out of range; accepted: a number from {least:g} to {most:g}")
        neuron(self)  # the cell checks dt and integrator


# dt: below 0.001 ms a step is lost to float32 rounding.
_RANGES = {"dt": (1e-3, math.inf), "current": (-100, 200), "duration": (1, 10_000), "highest": (1, 200)}
_RANGES |= {"channels": (0, math.inf)}
_RANGES |= {"spacing": (0.01, 100), "discard": (0, 10_000), "measured": (LAST, 10_000)}

SETTINGS = Settings()

QUICK = {"spacing": 0.4, "duration": 50.0}


def neuron(settings: Settings) -> Any:
    """The cell with one neuron; its input is a current."""
    from rnnlab.cells.registry import make_cell

    return make_cell("hodgkin_huxley", 1, dt=settings.dt, integrator=settings.integrator)


def trace(settings: Settings) -> list[dict[str, float]]:
    """A record per step: time in ms, V in mV and the gates, from rest under ``settings.current``."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    cell = neuron(settings)
    params = cell.init(None, 1)

    def step(carry: Any, key: Any) -> tuple[Any, Any]:
        after, _h = cell.step(params, carry, jnp.array([settings.current], jnp.float32))
        after = channel_noise(after, key, settings) if settings.channels else after
        return after, after

    start = cell.initial_carry(params, ())
    keys = jax.random.split(jax.random.key(0), round(settings.duration / settings.dt))
    states = jax.jit(lambda: jax.lax.scan(step, start, keys)[1])()
    columns = {"V": states.v, "m": states.m, "h": states.h_gate, "n": states.n}
    steps = [np.ravel(column).tolist() for column in columns.values()]
    times = [round((index + 1) * settings.dt, 6) for index in range(len(steps[0]))]
    return [dict(zip(("time", *columns), record, strict=True)) for record in zip(times, *steps, strict=True)]


def channel_noise(state: Any, key: Any, settings: Settings) -> Any:
    """``state`` after one step of the noise of ``settings.channels`` channels on its gates."""
    import jax
    import jax.numpy as jnp

    from rnnlab.cells.hodgkin_huxley import rates

    gates = {}
    for name, (a, b), each in zip(("m", "h_gate", "n"), rates(state.v), jax.random.split(key, 3), strict=True):
        gate = getattr(state, name)
        deviation = jnp.sqrt((a * (1 - gate) + b * gate) * settings.dt / settings.channels)
        gates[name] = jnp.clip(gate + deviation * jax.random.normal(each, gate.shape, gate.dtype), 0, 1)
    return state._replace(**gates)


def rate_curves() -> list[dict[str, float]]:
    """Opening (alpha) and closing (beta) rates in 1/ms of the gates m, h and n, a record per mV."""
    import jax.numpy as jnp
    import numpy as np

    from rnnlab.cells.hodgkin_huxley import rates

    v = jnp.arange(-100.0, 51.0)
    columns = {
        f"{kind} {gate}": np.asarray(values)
        for gate, pair in zip("mhn", rates(v), strict=True)
        for kind, values in zip(("alpha", "beta"), pair, strict=True)
    }
    return [{"V": float(v[i]), **{name: float(values[i]) for name, values in columns.items()}} for i in range(len(v))]


def firing(settings: Settings, currents: Any) -> tuple[Any, Any, Any]:
    """For ``currents [B]``: the rate in Hz, one over the mean interval between spikes (0 for fewer than two); whether
    firing is repetitive; and V in mV at the end."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    cell = neuron(settings)
    params = cell.init(None, 1)
    x_BD = jnp.asarray(currents, jnp.float32)[:, None]
    discarded = round(settings.discard / settings.dt)
    total = discarded + round(settings.measured / settings.dt)

    def step(state: Any, t: Any) -> tuple[Any, None]:
        carry, count, first, last = state
        after, v = cell.step(params, carry, x_BD)
        spike = (carry.v < THRESHOLD) & (v >= THRESHOLD) & (t >= discarded)
        first = jnp.where(spike & (count == 0), t, first)
        return (after, count + spike, first, jnp.where(spike, t, last)), None

    none = jnp.zeros(x_BD.shape, jnp.int32)
    start = (cell.initial_carry(params, x_BD.shape[:1]), none, none, none)
    (end, *spikes), _ = jax.jit(lambda: jax.lax.scan(step, start, jnp.arange(total)))()
    count, first, last = map(np.ravel, spikes)
    rates = np.where(count > 1, (count - 1) / np.maximum(last - first, 1), 0) / (settings.dt / 1000)
    repetitive = (count > 0) & (last >= total - LAST / settings.dt)
    return rates, repetitive, np.ravel(end.v)


def measure(settings: Settings) -> Findings:
    """The three known answers, the spikes and the frequency-current curve."""
    import numpy as np

    from rnnlab.report.figures import Figure, Line, Panel

    currents = np.arange(0, settings.highest + settings.spacing / 2, settings.spacing).round(6)
    rates, repetitive, v = firing(settings, [*currents, KNOWN_CURRENT])
    onset = float(currents[repetitive[:-1]][0]) if repetitive[:-1].any() else math.nan
    answers = [
        _answer("resting potential without input", float(v[0]), "mV", -66, -64),
        _answer(f"firing rate at {KNOWN_CURRENT:g} uA/cm^2", float(rates[-1]), "Hz", 66, 70),
        _answer("repetitive firing begins at", onset, "uA/cm^2", 6.0, 6.5),
    ]
    spikes = trace(settings)
    points = [
        {"current": float(current), "rate": float(rate), "repetitive": int(on)}
        for current, rate, on in zip(currents, rates, repetitive, strict=False)
    ]

    def line(name: str, style: int, records: list[dict[str, float]], x: str) -> Line:
        return Line(name, style, [record[x] for record in records], [record[name] for record in records])

    gates = [line(gate, style, spikes, "time") for style, gate in enumerate("mhn", 1)]
    panels = [
        Panel("V (mV)", "time (ms)", [line("V", 0, spikes, "time")], "linear"),
        Panel("gates", "time (ms)", gates, "linear", y_limits=(0, 1)),
    ]
    rate = Panel("firing rate (Hz)", "current (µA/cm²)", [line("rate", 0, points, "current")], "linear")
    curves = rate_curves()
    by_potential = [
        Panel(f"{kind} (1/ms)", "V (mV)",
              [line(f"{kind} {gate}", style, curves, "V") for style, gate in enumerate("mhn", 1)], "linear")
        for kind in ("alpha", "beta")
    ]  # fmt: skip
    title = f"V and the gates under {settings.current:g} µA/cm² from time 0 on"
    figures = [
        Figure("spikes", title, panels, 1, spikes),
        Figure("frequency_current", "Firing rate by current", [rate], 1, points),
        Figure("rates", "Opening and closing rates of the gates by potential", by_potential, 2, curves),
    ]
    rows = [
        [
            answer["name"],
            f"{answer['value']:.2f} {answer['unit']}",
            f"{answer['low']:g} to {answer['high']:g} {answer['unit']}",
            "yes" if answer["as_expected"] else "NO",
        ]
        for answer in answers
    ]
    return Findings({"answers": answers}, ["known answer", "measured", "expected", "as expected"], rows, figures)


def _answer(name: str, value: float, unit: str, low: float, high: float) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "low": low, "high": high, "as_expected": low <= value <= high}
