"""The parts of an analysis of one saved run: numbers for a table, lines for a figure, points for a scatter."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from rnnlab.analysis.fixed_points import fixed_points, visited
from rnnlab.analysis.gates import gate_use, time_scales
from rnnlab.analysis.jacobian import gradient_by_lag, spectrum
from rnnlab.analysis.path_distance import path_distances
from rnnlab.analysis.pca import components
from rnnlab.analysis.trajectories import drift, to_vector, trajectory, valid_steps
from rnnlab.core.types import Array, Cell, Params, Split
from rnnlab.runs.saved_run import SavedRun

FEW = 4  # examples where Jacobians or gradients are computed
STARTS = 24  # of the search for fixed points
WIDEST = 600  # numbers in a memory whose Jacobians are computed


class Subject(NamedTuple):
    """What is analysed: ``f(*subject.given)`` for any f of this room that takes (cell, params, xs, lengths)."""

    cell: Cell
    params: Params
    xs: Array  # [T, B, D], or ids [T, B]: what the cell reads
    lengths: Array | None
    classes: Array | None  # [B] int, where an example has one

    @property
    def given(self) -> tuple[Cell, Params, Array, Array | None]:
        """Cell, its parameters, inputs and lengths."""
        return self.cell, self.params, self.xs, self.lengths

    def first(self, count: int) -> "Subject":
        """The same with the first ``count`` examples of length 1 or more."""
        rows = np.arange(self.xs.shape[1]) if self.lengths is None else np.flatnonzero(np.asarray(self.lengths))
        rows = rows[:count]
        cut = (None if part is None else part[rows] for part in (self.lengths, self.classes))
        return Subject(self.cell, self.params, self.xs[:, rows], *cut)


def subject(
    run: SavedRun,
    arm: str,
    seed: int,
    epoch: str | int = "best",
    *,
    batch: Split,
    cell: Cell | None = None,
    **hyperparams: float,
) -> Subject:
    """One run's cell with its parameters and what it reads of ``batch_size`` (``run.examples``).

    ``cell``, if given, is ``run.cell(arm, **numbers)``: with the same one a second call compiles nothing anew. Raises
    InputError for what the run does not have.
    """
    cell = run.cell(arm, **hyperparams) if cell is None else cell
    params, embed = run.params(arm, seed, epoch, **hyperparams), run.model(arm, **hyperparams).embed
    assert embed is not None
    classes = batch.targets if run.dataset.task == "classification" else None
    return Subject(cell, params.cell, embed(params, jnp.asarray(batch.inputs)), batch.lengths, classes)


class Measured(NamedTuple):
    """``hyperparams`` for a table; ``lines`` by name, each (x, y); ``points``, records that share their keys; ``note`` why
    there is nothing."""

    hyperparams: Mapping[str, float] = MappingProxyType({})
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]] = MappingProxyType({})
    points: Sequence[Mapping[str, Any]] = ()
    note: str = ""


def measure_gates(one: Subject) -> Measured:
    """Saturation and time scale by letter, over the units of all layers; a point for each unit."""
    used, scales = gate_use(*one.given), time_scales(*one.given)
    if not used:
        return Measured(note="the cell shows no gates")
    hyperparams: dict[str, float] = {}
    for letter in dict.fromkeys(name.rpartition(".")[2] for name in used):
        mine = [use for name, use in used.items() if name.rpartition(".")[2] == letter]
        hyperparams[f"{letter} < 0.1"] = float(np.concatenate([use.shut for use in mine]).mean())
        hyperparams[f"{letter} > 0.9"] = float(np.concatenate([use.open for use in mine]).mean())
    if scales:
        hyperparams["time scale"] = float(np.nanmedian(np.concatenate(list(scales.values()))))
    points = []
    for name, use in used.items():
        layer, _, letter = name.rpartition(".")
        for unit, (shut, wide, mean) in enumerate(zip(use.shut, use.open, use.mean, strict=True)):
            scale = scales[name][unit] if name in scales and not np.isnan(scales[name][unit]) else ""
            known = {"layer": layer or 1, "gate": letter, "unit": unit}
            points.append({**known, "shut": shut, "open": wide, "mean": mean, "time_scale": scale})
    return Measured(hyperparams, points=points)


def measure_state(one: Subject) -> Measured:
    """Range and drift of c, in all layers that have one; else of h, or of all there is. A line for each layer."""
    found = drift(*one.given)
    for wanted in ("c", "h"):
        if mine := {name: value for name, value in found.items() if name.rpartition(".")[2] == wanted}:
            found = mine
            break
    name, parts = next(iter(found)).rpartition(".")[2], list(found.values())
    hyperparams = {
        f"largest |{name}|": max(part.largest for part in parts),
        f"{name} a step": float(np.mean([part.per_step for part in parts])),
        f"{name} rising": float(np.mean([part.rising for part in parts])),
    }
    steps = np.arange(1, one.xs.shape[0] + 1)
    return Measured(hyperparams, {f"rms {name}": (steps, value.rms) for name, value in found.items()})


def measure_paths(one: Subject) -> Measured:
    """Distance of the paths' parameters and states by layer."""
    hyperparams: dict[str, float] = {}
    lines = {}
    for layer, apart in path_distances(*one.given).items():
        prefix = "" if hasattr(one.params, "_fields") else f"{layer}."
        hyperparams |= {f"{prefix}parameters": apart.parameters, f"{prefix}relative": apart.relative}
        if apart.state is not None:
            hyperparams[f"{prefix}rms state"] = float(np.sqrt(np.nanmean(apart.state**2)))
            lines[f"{prefix}state distance"] = np.arange(1, len(apart.state) + 1), apart.state
    return Measured(hyperparams, lines, note="" if hyperparams else "the cell has no two paths")


def measure_lags(one: Subject) -> Measured:
    """Gradient norm by lag, mean of the logarithm over a few examples."""
    found = gradient_by_lag(*one.first(FEW).given)
    known = ~np.isnan(found.log10).all(1)
    means = np.nanmean(found.log10[known], axis=1)
    lags = found.lags[known]
    tens = {
        f"log10, lag {lag}": float(mean) for lag, mean in zip(lags, means, strict=True) if lag in (1, 10, 100, lags[-1])
    }
    return Measured(tens, {"log10 gradient": (lags, means)})


def measure_jacobian(one: Subject) -> Measured:
    """Spectral radius and gain along a few trajectories; a point for each eigenvalue of the first example."""
    few = one.first(FEW)
    if note := _too_wide(few):
        return Measured(note=note)
    found = spectrum(*few.given)
    slow = (np.abs(found.eigenvalues) > 0.99).sum(-1).mean()
    hyperparams = {"radius": float(found.radius.mean()), "gain": float(found.gain.mean()), "|eigenvalue| > 0.99": slow}
    points = [
        {"step": int(step) + 1, "real": value.real, "imaginary": value.imag}
        for step, values in zip(found.steps[:, 0], found.eigenvalues[:, 0], strict=True) for value in values
    ]  # fmt: skip
    return Measured(hyperparams, points=points)


def measure_fixed_points(one: Subject) -> Measured:
    """Fixed points at the mean input (the commonest id); points in the plane of the first components of the memory."""
    few = one.first(FEW)
    if note := _too_wide(few):
        return Measured(note=note)
    went = trajectory(*few.given)
    found = fixed_points(one.cell, one.params, typical_input(one), visited(went.after, went.valid, STARTS))
    hyperparams = {
        "log10 least q": float(np.log10(max(found.q.min(), 1e-45))),
        "log10 median q": float(np.log10(max(np.median(found.q), 1e-45))),
        "fixed": float(len(found.distinct)),
        "stable": float(found.stable.sum()),
    }
    if len(found.distinct):
        hyperparams["radius there"] = float(np.abs(found.eigenvalues[:, 0]).mean())
    states = np.asarray(to_vector(went.after, 2), np.float64)[np.asarray(went.valid)]
    centre = states.mean(0)
    plane = np.linalg.svd(states - centre, full_matrices=False)[2][:2]
    kinds = {"trajectory": states, "slow": found.ends[~found.fixed]}
    kinds |= {"stable": found.ends[found.distinct[found.stable]], "unstable": found.ends[found.distinct[~found.stable]]}
    points = []
    for kind, rows in kinds.items():
        for first, *rest in (rows - centre) @ plane.T:
            points.append({"kind": kind, "component_1": first, "component_2": rest[0] if rest else 0.0})
    return Measured(hyperparams, points=points)


def measure_components(one: Subject) -> Measured:
    """Variance and dimension of the outputs; a point for each step of a few dozen examples."""
    found = components(*one.given, count=2)
    hyperparams = {"component 1": float(found.explained[0]), "dimension": found.dimension}
    if len(found.explained) > 1:
        hyperparams = {"components 1, 2": float(found.explained[:2].sum()), **hyperparams}
    points = []
    for b in range(min(found.scores.shape[1], 40)):
        for t in range(found.scores.shape[0]):
            if np.isnan(found.scores[t, b, 0]):
                continue
            first, *rest = found.scores[t, b]
            label = "" if one.classes is None else int(one.classes[b])
            place = {"example": b, "step": t + 1, "class": label}
            points.append({**place, "component_1": first, "component_2": rest[0] if rest else 0.0})
    return Measured(hyperparams, points=points)


def typical_input(one: Subject) -> Array:
    """The mean of all valid inputs ``[D]``; of ids the commonest."""
    used = np.asarray(one.xs)[np.asarray(valid_steps(one.xs, one.lengths))]
    if np.issubdtype(used.dtype, np.integer):
        return jnp.asarray(np.bincount(used).argmax(), one.xs.dtype)
    return jnp.asarray(used.mean(0), one.xs.dtype)


def _too_wide(one: Subject) -> str:
    size = to_vector(one.cell.initial_carry(one.params, ())).shape[-1]
    return "" if size <= WIDEST else f"a memory of {size} numbers; up to {WIDEST} are done"


PARTS: dict[str, Callable[[Subject], Measured]] = {
    "gates": measure_gates,
    "state": measure_state,
    "paths": measure_paths,
    "lags": measure_lags,
    "jacobian": measure_jacobian,
    "fixed_points": measure_fixed_points,
    "components": measure_components,
}
