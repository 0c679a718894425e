"""The Hodgkin-Huxley neuron: the membrane of the squid's giant axon as a recurrent cell."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnlab.cells.ops import dot, zeros
from rnnlab.core.errors import InputError, check_count, check_number, choose, is_static
from rnnlab.core.types import Array, Cell, Key

REST = -65.0  # mV, where the neuron starts
# ms, measured with the default constants and currents up to 150 uA/cm^2: rk4 overflows at 0.085 (at 10 uA/cm^2 at
# 0.095); exponential_euler never does, but fires at 66 Hz with 0.25 and 65 Hz with 0.3 instead of 68 Hz.
LARGEST_DT = {"exponential_euler": 0.2, "rk4": 0.08}


class HodgkinHuxleyParams(NamedTuple):
    """``w [D, H]``: the current density in uA/cm^2 that each input drives into each neuron, per unit of the input."""

    w: Array


class HodgkinHuxleyCarry(NamedTuple):
    """Each ``[..., H]``: the potential ``v`` in mV; the gates ``m`` and ``h_gate`` of sodium, ``n`` of potassium."""

    v: Array
    m: Array
    h_gate: Array
    n: Array


class HodgkinHuxleyGates(NamedTuple):
    """The gates after the step, each ``[..., H]``."""

    m: Array
    h_gate: Array
    n: Array


def hodgkin_huxley(
    hidden_size: int,
    *,
    dt: float = 0.025,
    substeps: int = 1,
    integrator: str = "exponential_euler",
    capacitance: float = 1.0,
    g_na: float = 120.0,
    g_k: float = 36.0,
    g_l: float = 0.3,
    e_na: float = 50.0,
    e_k: float = -77.0,
    e_l: float = -54.387,
) -> Cell:
    """Hodgkin-Huxley neurons, one per unit, driven by the input current (Rahman et al. 2016, eq. 13-16).

        I = C dV/dt + g_K n^4 (V - E_K) + g_Na m^3 h (V - E_Na) + g_L (V - E_L)      (13)
        dn/dt = a_n(V) (1 - n) - b_n(V) n                                            (14)
        dm/dt = a_m(V) (1 - m) - b_m(V) m                                            (15)
        dh/dt = a_h(V) (1 - h) - b_h(V) h                                            (16)

        a_n = 0.01 (V + 55) / (1 - exp(-(V + 55) / 10))      b_n = 0.125 exp(-(V + 65) / 80)
        a_m = 0.1 (V + 40) / (1 - exp(-(V + 40) / 10))       b_m = 4 exp(-(V + 65) / 18)
        a_h = 0.07 exp(-(V + 65) / 20)                       b_h = 1 / (1 + exp(-(V + 35) / 10))

    A step advances time by ``substeps * dt`` with I = x W and outputs V. ``exponential_euler`` updates the gates with V
    fixed, then V with the new gates fixed, each exactly (first order overall); ``rk4`` is the classical Runge-Kutta
    method. ``dt`` is at most LARGEST_DT, measured with the default constants: larger conductances need a smaller one.

    Units: V and E mV, I uA/cm^2, C (``capacitance``) uF/cm^2, g mS/cm^2, rates 1/ms, dt ms.
    Shapes: x [..., D], v, m, h_gate and n [..., H].
    Departures: V in the modern convention, rest near -65 mV; neurons start at -65 mV with their gates in equilibrium.
        The neurons are not connected to each other. Only W is trained: it starts at 1 where d = h modulo min(D, H),
        else 0, so that with D = 1 the input is the current.
    """
    choose("integrator", integrator, LARGEST_DT)
    if is_static(dt) and not 0 < dt <= LARGEST_DT[integrator]:
        accepted = f"above 0 and at most {LARGEST_DT[integrator]:g} ms; {integrator} is inaccurate or unstable beyond"
        raise InputError(f"dt: {dt} is out of range; accepted: {accepted}")
    check_count("substeps", substeps)
    if is_static(capacitance) and not 0 < capacitance < float("inf"):
        raise InputError(f"capacitance: {capacitance} is out of range; accepted: above 0 uF/cm^2")
    for name, value in (("g_na", g_na), ("g_k", g_k), ("g_l", g_l)):
        check_number(name, value)

    def init(key: Key, inputs: int) -> HodgkinHuxleyParams:
        fewer = min(inputs, hidden_size)
        d, h = jnp.arange(inputs)[:, None] % fewer, jnp.arange(hidden_size) % fewer
        return HodgkinHuxleyParams((d == h).astype(jnp.float32))

    def initial_carry(params: HodgkinHuxleyParams, batch: tuple[int, ...]) -> HodgkinHuxleyCarry:
        v = zeros(params.w, *batch, hidden_size) + REST
        return HodgkinHuxleyCarry(v, *(a / (a + b) for a, b in rates(v)))

    def conductances(gates: HodgkinHuxleyGates) -> tuple[Array, Array]:
        """Of sodium and potassium."""
        return g_na * gates.m**3 * gates.h_gate, g_k * gates.n**4

    def potential_slope(v: Array, gates: HodgkinHuxleyGates, current: Array) -> Array:
        """dV/dt of eq. 13."""
        na, k = conductances(gates)
        return (current - k * (v - e_k) - na * (v - e_na) - g_l * (v - e_l)) / capacitance

    def slopes(state: HodgkinHuxleyCarry, current: Array) -> HodgkinHuxleyCarry:
        gates = HodgkinHuxleyGates(*state[1:])
        opened = (a * (1 - gate) - b * gate for gate, (a, b) in zip(gates, rates(state.v), strict=True))
        return HodgkinHuxleyCarry(potential_slope(state.v, gates, current), *opened)

    def exponential_euler(state: HodgkinHuxleyCarry, current: Array) -> HodgkinHuxleyCarry:
        """y + y' (1 - exp(-k dt)) / k, which solves y' = k (y_inf - y) for constant k."""
        both = zip(state[1:], rates(state.v), strict=True)
        gates = HodgkinHuxleyGates(*(g + dt * (a * (1 - g) - b * g) / linoid(dt * (a + b)) for g, (a, b) in both))
        na, k = conductances(gates)
        decay = (na + k + g_l) / capacitance
        v = state.v + dt * potential_slope(state.v, gates, current) / linoid(dt * decay)
        return HodgkinHuxleyCarry(v, *gates)

    def rk4(state: HodgkinHuxleyCarry, current: Array) -> HodgkinHuxleyCarry:
        def moved(slope: HodgkinHuxleyCarry, time: float) -> HodgkinHuxleyCarry:
            return jax.tree.map(lambda y, dy: y + time * dy, state, slope)

        k1 = slopes(state, current)
        k2 = slopes(moved(k1, dt / 2), current)
        k3 = slopes(moved(k2, dt / 2), current)
        k4 = slopes(moved(k3, dt), current)
        return moved(jax.tree.map(lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, k1, k2, k3, k4), dt)

    forward: Callable[[HodgkinHuxleyCarry, Array], HodgkinHuxleyCarry]
    forward = rk4 if integrator == "rk4" else exponential_euler

    def step(params: HodgkinHuxleyParams, carry: HodgkinHuxleyCarry, x: Array) -> tuple[HodgkinHuxleyCarry, Array]:
        current = dot(x, params.w)
        if substeps == 1:
            carry = forward(carry, current)
        else:
            carry = jax.lax.fori_loop(0, substeps, lambda _, state: forward(state, current), carry)
        return carry, carry.v

    def gates(params: HodgkinHuxleyParams, carry: HodgkinHuxleyCarry, x: Array) -> HodgkinHuxleyGates:
        return HodgkinHuxleyGates(*step(params, carry, x)[0][1:])

    return Cell(init, initial_carry, step, hidden_size, gates=gates)


def rates(v: Array) -> tuple[tuple[Array, Array], ...]:
    """Opening and closing rate in 1/ms of the gates m, h and n at the potential ``v`` in mV."""
    m = linoid((v + 40) / 10), 4 * jnp.exp(-(v + 65) / 18)
    h = 0.07 * jnp.exp(-(v + 65) / 20), jax.nn.sigmoid((v + 35) / 10)
    n = 0.1 * linoid((v + 55) / 10), 0.125 * jnp.exp(-(v + 65) / 80)
    return m, h, n


def linoid(x: Array) -> Array:
    """``x / (1 - exp(-x))``, 1 at x = 0. A series near 0 (next term x^8 / 1.2e6) keeps gradients exact."""
    near = jnp.abs(x) < 0.1
    away = jnp.where(near, 1.0, x)  # a masked 0 / 0 would still make the gradient NaN
    series = 1 + x / 2 + x**2 / 12 - x**4 / 720 + x**6 / 30240
    return jnp.where(near, series, away / -jnp.expm1(-away))
