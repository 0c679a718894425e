"""What the cells of a saved run do: (cell, params, time-major inputs, lengths) -> values of gates, memory, Jacobians.

run = load_run(DIR)
one = subject(run, "lstm", seed=3, epoch="best", batch=run.examples("validation", 32))
gate_saturation(*one.args)["f"].left_saturated

``ANALYSES`` maps each analysis to a function of a ``Subject``; ``figures`` draws its records. Imports core, cells,
train, runs and report.
"""

from rnnlab.analysis.fixed_points import fixed_points, sample_states
from rnnlab.analysis.gates import gate_saturation, time_scales
from rnnlab.analysis.jacobian import gradient_by_lag, spectrum, state_map
from rnnlab.analysis.lyapunov import lyapunov
from rnnlab.analysis.measure import ANALYSES, Measurement, Subject, subject
from rnnlab.analysis.path_distance import path_distances
from rnnlab.analysis.pca import components
from rnnlab.analysis.trajectories import drift, trajectory

__all__ = [
    "ANALYSES",
    "Measurement",
    "Subject",
    "components",
    "drift",
    "fixed_points",
    "gate_saturation",
    "gradient_by_lag",
    "lyapunov",
    "path_distances",
    "sample_states",
    "spectrum",
    "state_map",
    "subject",
    "time_scales",
    "trajectory",
]
