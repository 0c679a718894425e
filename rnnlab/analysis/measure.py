"""The analyses of one saved run: scalars for a table, lines for a figure, points for a scatter plot."""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnlab.analysis.fixed_points import fixed_points, sample_states
from rnnlab.analysis.gates import gate_saturation, time_scales
from rnnlab.analysis.jacobian import gradient_by_lag, spectrum
from rnnlab.analysis.lyapunov import lyapunov
from rnnlab.analysis.path_distance import path_distances
from rnnlab.analysis.pca import components
from rnnlab.analysis.trajectories import drift, to_vector, trajectory, valid_steps
from rnnlab.core.errors import InputError
from rnnlab.core.types import Array, Cell, Params, Split
from rnnlab.runs.saved_run import SavedRun

FEW_EXAMPLES = 4  # where Jacobians or gradients are computed
STARTS = 24  # of the search for fixed points
MAX_STATE = 600  # largest state whose Jacobians are computed
MAX_PCA_EXAMPLES = 40  # drawn in the plane of the principal components


class Subject(NamedTuple):
    """A trained cell and a batch: ``f(*subject.args)`` for every f that takes (cell, params, xs, lengths)."""

    cell: Cell
    params: Params
    xs: Array  # [T, B, D], or ids [T, B]: the inputs of the cell
    lengths: Array | None
    classes: Array | None  # [B] int, in classification

    @property
    def args(self) -> tuple[Cell, Params, Array, Array | None]:
        """Cell, parameters, inputs and lengths."""
        return self.cell, self.params, self.xs, self.lengths

    def first(self, count: int) -> "Subject":
        """The same with the first ``count`` examples of length 1 or more."""
        rows = np.arange(self.xs.shape[1]) if self.lengths is None else np.flatnonzero(np.asarray(self.lengths))
        rows = rows[:count]
        lengths, classes = (None if array is None else array[rows] for array in (self.lengths, self.classes))
        return Subject(self.cell, self.params, self.xs[:, rows], lengths, classes)


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
    """The trained cell of one run, and its inputs for ``batch`` (from ``run.examples``).

    ``cell``: ``run.cell(arm, **hyperparams)``, to share its compiled functions between calls. Raises InputError for
    what the run does not have, and for parameters that are not finite.
    """
    cell = run.cell(arm, **hyperparams) if cell is None else cell
    params, embed = run.params(arm, seed, epoch, **hyperparams), run.model(arm, **hyperparams).embed
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(params)):
        raise InputError(f"epoch: {epoch} of arm {arm}, seed {seed}: its parameters are not finite, the run diverged")
    assert embed is not None
    classes = batch.targets if run.dataset.task in ("classification", "multiclass_classification") else None
    return Subject(cell, params.cell, embed(params, jnp.asarray(batch.inputs)), batch.lengths, classes)


class Measurement(NamedTuple):
    """What an analysis returns for one run; ``note`` says why it is empty."""

    scalars: Mapping[str, float] = MappingProxyType({})
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]] = MappingProxyType({})  # name -> (x, y)
    points: Sequence[Mapping[str, Any]] = ()  # records with the same keys
    note: str = ""


def measure_gates(one: Subject) -> Measurement:
    """Saturation and time scales by gate, over the units of all layers; a point for each unit."""
    saturation, scales = gate_saturation(*one.args), time_scales(*one.args)
    if not saturation:
        return Measurement(note="the cell has no gates")
    scalars: dict[str, float] = {}
    for gate in dict.fromkeys(name.rpartition(".")[2] for name in saturation):
        layers = [layer for name, layer in saturation.items() if name.rpartition(".")[2] == gate]
        scalars[f"{gate} < 0.1"] = float(np.concatenate([layer.left_saturated for layer in layers]).mean())
        scalars[f"{gate} > 0.9"] = float(np.concatenate([layer.right_saturated for layer in layers]).mean())
    if scales:
        scalars["time scale"] = float(np.nanmedian(np.concatenate(list(scales.values()))))
    points = []
    for name, units in saturation.items():
        layer, _, gate = name.rpartition(".")
        for unit, (left, right, mean) in enumerate(zip(*units, strict=True)):
            scale = scales[name][unit] if name in scales and not np.isnan(scales[name][unit]) else ""
            point = {"layer": layer or 1, "gate": gate, "unit": unit, "left_saturated": left, "right_saturated": right}
            points.append({**point, "mean": mean, "time_scale": scale})
    return Measurement(scalars, points=points)


def measure_state(one: Subject) -> Measurement:
    """Range and drift of c in all layers that have one, else of h, else of the whole state; a line for each layer."""
    drifts = drift(*one.args)
    for leaf in ("c", "h"):
        if selected := {name: value for name, value in drifts.items() if _field(name) == leaf}:
            drifts = selected
            break
    name, layers = _field(next(iter(drifts))), list(drifts.values())
    scalars = {
        f"largest |{name}|": max(layer.largest for layer in layers),
        f"{name} per step": float(np.mean([layer.per_step for layer in layers])),
        f"{name} rising": float(np.mean([layer.rising for layer in layers])),
    }
    steps = np.arange(1, one.xs.shape[0] + 1)
    return Measurement(scalars, {f"rms {name}": (steps, layer.rms) for name, layer in drifts.items()})


def _field(name: str) -> str:
    """The field of a carry's leaf ``name``, which of a complex one is a part, ``c.real`` or ``c.imag``."""
    return re.sub(r"(^|\.)(real|imag)$", "", name).rpartition(".")[2] or "state"


def measure_paths(one: Subject) -> Measurement:
    """Distances between the parameters and the states of the two paths, by layer."""
    scalars: dict[str, float] = {}
    lines = {}
    for layer, distance in path_distances(*one.args).items():
        prefix = "" if one.cell.layers is None else f"{layer}."
        scalars |= {f"{prefix}parameters": distance.parameters, f"{prefix}relative": distance.relative}
        if distance.state is not None:
            scalars[f"{prefix}rms state"] = float(np.sqrt(np.nanmean(distance.state**2)))
            lines[f"{prefix}state distance"] = np.arange(1, len(distance.state) + 1), distance.state
    return Measurement(scalars, lines, note="" if scalars else "the cell does not have two paths")


def measure_lags(one: Subject) -> Measurement:
    """Gradient norm by lag: the mean of its logarithm over a few examples."""
    gradient = gradient_by_lag(*one.first(FEW_EXAMPLES).args)
    measured = ~np.isnan(gradient.log10).all(1)
    means = np.nanmean(gradient.log10[measured], axis=1)
    lags = gradient.lags[measured]
    scalars = {
        f"log10, lag {lag}": float(mean) for lag, mean in zip(lags, means, strict=True) if lag in (1, 10, 100, lags[-1])
    }
    return Measurement(scalars, {"log10 gradient": (lags, means)})


def measure_jacobian(one: Subject) -> Measurement:
    """Spectral radius and gain along a few trajectories; a point for each eigenvalue of the first example."""
    few = one.first(FEW_EXAMPLES)
    if note := _too_large(few):
        return Measurement(note=note)
    jacobians = spectrum(*few.args)
    slow = (np.abs(jacobians.eigenvalues) > 0.99).sum(-1).mean()
    scalars = {
        "radius": float(jacobians.radius.mean()),
        "gain": float(jacobians.gain.mean()),
        "|eigenvalue| > 0.99": slow,
    }
    points = [
        {"step": int(step) + 1, "real": value.real, "imaginary": value.imag}
        for step, values in zip(jacobians.steps[:, 0], jacobians.eigenvalues[:, 0], strict=True) for value in values
    ]  # fmt: skip
    return Measurement(scalars, points=points)


def measure_lyapunov(one: Subject) -> Measurement:
    """Exponents per step, mean over a few examples; the number of them that are above 0."""
    exponents = lyapunov(*one.first(FEW_EXAMPLES).args)
    means = np.nanmean(exponents, axis=0)
    scalars = {"largest": float(means[0])}
    if len(means) == 1:
        return Measurement(scalars)
    scalars |= {"above 0": float(np.mean((exponents > 0).sum(1))), "mean": float(means.mean())}
    return Measurement(scalars, {"exponent": (np.arange(1, len(means) + 1), means)})


def measure_fixed_points(one: Subject) -> Measurement:
    """Fixed points at the typical input; points in the plane of the first principal components of the state."""
    few = one.first(FEW_EXAMPLES)
    if note := _too_large(few):
        return Measurement(note=note)
    run = trajectory(*few.args)
    search = fixed_points(one.cell, one.params, typical_input(one), sample_states(run.after, run.valid, STARTS))
    scalars = {
        "log10 least q": float(np.log10(max(search.q.min(), 1e-45))),
        "log10 median q": float(np.log10(max(np.median(search.q), 1e-45))),
        "fixed": float(len(search.distinct)),
        "stable": float(search.stable.sum()),
    }
    if len(search.distinct):
        scalars["mean radius"] = float(np.abs(search.eigenvalues[:, 0]).mean())
    states = np.asarray(to_vector(run.after, 2), np.float64)[np.asarray(run.valid)]
    center = states.mean(0)
    plane = np.linalg.svd(states - center, full_matrices=False)[2][:2]
    kinds = {"trajectory": states, "slow": search.ends[~search.fixed]}
    kinds |= {
        "stable": search.ends[search.distinct[search.stable]],
        "unstable": search.ends[search.distinct[~search.stable]],
    }
    points = [
        {"kind": kind, **_in_plane(row)} for kind, rows in kinds.items() for row in (rows - center) @ plane.T
    ]  # fmt: skip
    return Measurement(scalars, points=points)


def measure_components(one: Subject) -> Measurement:
    """Explained variance and dimension of the outputs; a point for each step of the first examples."""
    pca = components(*one.args, count=2)
    scalars = {"component 1": float(pca.explained[0]), "dimension": pca.dimension}
    if len(pca.explained) > 1:
        scalars = {"components 1, 2": float(pca.explained[:2].sum()), **scalars}
    steps, examples = np.nonzero(~np.isnan(pca.scores[:, :MAX_PCA_EXAMPLES, 0]))
    points = [
        {"example": int(b), "step": int(t) + 1, "class": "" if one.classes is None else int(one.classes[b]),
         **_in_plane(pca.scores[t, b])}
        for b, t in sorted(zip(examples, steps, strict=True))
    ]  # fmt: skip
    return Measurement(scalars, points=points)


def typical_input(one: Subject) -> Array:
    """The mean of all valid inputs ``[D]``; the most frequent id where inputs are ids."""
    valid = np.asarray(one.xs)[np.asarray(valid_steps(one.xs, one.lengths))]
    if np.issubdtype(valid.dtype, np.integer):
        return jnp.asarray(np.bincount(valid).argmax(), one.xs.dtype)
    return jnp.asarray(valid.mean(0), one.xs.dtype)


def _in_plane(scores: np.ndarray) -> dict[str, float]:
    return {"component_1": scores[0], "component_2": scores[1] if len(scores) > 1 else 0.0}


def _too_large(one: Subject) -> str:
    size = to_vector(one.cell.initial_carry(one.params, ())).shape[-1]
    return "" if size <= MAX_STATE else f"the state has {size} values, more than {MAX_STATE}"


ANALYSES: dict[str, Callable[[Subject], Measurement]] = {
    "gates": measure_gates,
    "state": measure_state,
    "paths": measure_paths,
    "lags": measure_lags,
    "jacobian": measure_jacobian,
    "lyapunov": measure_lyapunov,
    "fixed_points": measure_fixed_points,
    "components": measure_components,
}
