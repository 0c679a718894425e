"""The Hodgkin-Huxley neuron under a constant current: spikes, gates and the frequency-current curve.

Paper:     Rahman, Mohammed & Azad, A new LSTM model by introducing biological cell state, eq. 13-16, which motivate
           their cell; Hodgkin & Huxley, 1952, for the rates.
Question:  does the cell hodgkin_huxley do what the neuron is known to do? Nothing is trained.
Answers:   it rests near -65 mV without input; a constant 10 uA/cm^2 makes it fire at 68 Hz; from a rest that a current
           suddenly ends, it fires without end from between 6.0 and 6.5 uA/cm^2 on.
Measured:  all currents side by side for 1.2 s from rest; spikes are upward crossings of 0 mV. The rate is one over the
           mean interval between those of the last second; firing is repetitive where one falls in the last 100 ms.
Settings:  dt and integrator, those of the cell; current and duration of the drawn spikes; highest and spacing of the
           frequency-current curve; discard and measured, the two parts of its time. ms and uA/cm^2.

Command:   python -m experiments run neuron
           python -m experiments run neuron --set integrator=rk4 dt=0.01
"""

import io
import math
from dataclasses import dataclass
from typing import Any

from experiments.cli.untrained import Findings
from rnnlab.core.errors import InputError

KNOWN_CURRENT = 10.0  # uA/cm^2
THRESHOLD = 0.0  # mV, what a spike crosses
LAST = 100.0  # ms, in which repetitive firing has a spike: its longest period is 20


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

    def check(self) -> None:
        """Raise InputError for the first value that is out of range."""
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                value = getattr(self, name)
                raise InputError(f"{name}: {value} is out of range; accepted: a number from {least:g} to {most:g}")
        neuron(self)  # the cell knows what dt and integrator it takes


# dt: below 0.001 ms float32 loses what a step adds.
_RANGES = {"dt": (1e-3, math.inf), "current": (-100, 200), "duration": (1, 10_000), "highest": (1, 200)}
_RANGES |= {"spacing": (0.01, 100), "discard": (0, 10_000), "measured": (LAST, 10_000)}

SETTINGS = Settings()

QUICK = {"spacing": 0.4, "duration": 50.0}


def neuron(settings: Settings) -> Any:
    """The cell: one neuron whose input is its current."""
    from rnnlab.cells.registry import make_cell

    return make_cell("hodgkin_huxley", 1, dt=settings.dt, integrator=settings.integrator)


def trace(settings: Settings) -> list[dict[str, float]]:
    """A record a step: time in ms, V in mV and the gates, from rest on under ``settings.current``."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    cell = neuron(settings)
    params = cell.init(None, 1)

    def step(carry: Any, _: None) -> tuple[Any, Any]:
        after, _h = cell.step(params, carry, jnp.array([settings.current], jnp.float32))
        return after, after

    start = cell.initial_carry(params, ())
    states = jax.jit(lambda: jax.lax.scan(step, start, None, round(settings.duration / settings.dt))[1])()
    columns = {"V": states.v, "m": states.m, "h": states.h_gate, "n": states.n}
    steps = [np.ravel(column).tolist() for column in columns.values()]
    times = [round((index + 1) * settings.dt, 6) for index in range(len(steps[0]))]
    return [dict(zip(("time", *columns), record, strict=True)) for record in zip(times, *steps, strict=True)]


def firing(settings: Settings, currents: Any) -> tuple[Any, Any, Any]:
    """For each of ``currents [B]``: Hz, one over the mean interval between spikes (0 for fewer than two);
    whether firing goes on to the end; and V in mV there."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    cell = neuron(settings)
    params = cell.init(None, 1)
    x_BD = jnp.asarray(currents, jnp.float32)[:, None]
    discarded = round(settings.discard / settings.dt)
    total = discarded + round(settings.measured / settings.dt)

    def step(before: Any, t: Any) -> tuple[Any, None]:
        carry, count, first, last = before
        after, v = cell.step(params, carry, x_BD)
        spike = (carry.v < THRESHOLD) & (v >= THRESHOLD) & (t >= discarded)
        first = jnp.where(spike & (count == 0), t, first)
        return (after, count + spike, first, jnp.where(spike, t, last)), None

    none = jnp.zeros(x_BD.shape, jnp.int32)
    start = (cell.initial_carry(params, x_BD.shape[:1]), none, none, none)
    (end, *spikes), _ = jax.jit(lambda: jax.lax.scan(step, start, jnp.arange(total)))()
    count, first, last = map(np.ravel, spikes)
    rates = np.where(count > 1, (count - 1) / np.maximum(last - first, 1), 0) / (settings.dt / 1000)
    goes_on = (count > 0) & (last >= total - LAST / settings.dt)
    return rates, goes_on, np.ravel(end.v)


def measure(settings: Settings) -> Findings:
    """The three known answers, the spikes and the frequency-current curve."""
    import numpy as np

    curve = np.arange(0, settings.highest + settings.spacing / 2, settings.spacing).round(6)
    rates, goes_on, v = firing(settings, [*curve, KNOWN_CURRENT])
    onset = float(curve[goes_on[:-1]][0]) if goes_on[:-1].any() else math.nan
    answers = [
        _answer("resting potential without input", float(v[0]), "mV", -66, -64),
        _answer(f"firing rate at {KNOWN_CURRENT:g} uA/cm^2", float(rates[-1]), "Hz", 66, 70),
        _answer("repetitive firing begins at", onset, "uA/cm^2", 6.0, 6.5),
    ]
    spikes = trace(settings)
    points = [
        {"current": float(current), "rate": float(rate), "repetitive": int(on)}
        for current, rate, on in zip(curve, rates, goes_on, strict=False)
    ]
    words = f"V and the gates under {settings.current:g} µA/cm² from time 0 on"
    pictures = {
        "spikes": (spikes, _draw_spikes(spikes, words), words),
        "frequency_current": (points, _draw_curve(points), "Firing rate by current"),
    }
    rows = [
        [
            answer["name"],
            f"{answer['value']:.2f} {answer['unit']}",
            f"{answer['low']:g} to {answer['high']:g} {answer['unit']}",
            "yes" if answer["as_expected"] else "NO",
        ]
        for answer in answers
    ]
    return Findings({"answers": answers}, ["known answer", "measured", "expected", "so"], rows, pictures)


def _answer(name: str, value: float, unit: str, low: float, high: float) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "low": low, "high": high, "as_expected": low <= value <= high}


def _draw_spikes(spikes: list[dict[str, float]], title: str) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.2), layout="constrained", dpi=110)
    upper, lower = figure.subplots(2, 1, sharex=True)
    times = [record["time"] for record in spikes]
    upper.plot(times, [record["V"] for record in spikes], color="black", linewidth=1.2)
    upper.set(ylabel="V (mV)")
    for gate in ("m", "h", "n"):
        lower.plot(times, [record[gate] for record in spikes], label=gate, linewidth=1.2)
    lower.set(xlabel="time (ms)", ylabel="gate", ylim=(0, 1))
    figure.legend(*lower.get_legend_handles_labels(), loc="outside lower center", frameon=False, ncols=3)
    for axes in (upper, lower):
        axes.grid(alpha=0.25)
    figure.suptitle(title, size=11)
    return _png(figure)


def _draw_curve(points: list[dict[str, Any]]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout="constrained", dpi=110)
    axes = figure.subplots()
    axes.plot([point["current"] for point in points], [point["rate"] for point in points], ".-", linewidth=1)
    axes.set(xlabel="current (µA/cm²)", ylabel="firing rate (Hz)")
    axes.grid(alpha=0.25)
    return _png(figure)


def _png(figure: Any) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()
