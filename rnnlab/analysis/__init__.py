"""What a cell with trained parameters does: pure functions of (cell, params, time-major inputs, lengths).

run = load_run(DIR)
one = subject(run, "lstm", seed=3, epoch="best", batch_size=run.examples("validation", 32))
gate_use(*one.given)["f"].shut
"""

from rnnlab.analysis.fixed_points import fixed_points, visited
from rnnlab.analysis.gates import gate_use, time_scales
from rnnlab.analysis.jacobian import gradient_by_lag, spectrum, state_map
from rnnlab.analysis.measure import PARTS, Measured, Subject, subject
from rnnlab.analysis.path_distance import path_distances
from rnnlab.analysis.pca import components
from rnnlab.analysis.trajectories import drift, trajectory

__all__ = [
    "PARTS",
    "Measured",
    "Subject",
    "components",
    "drift",
    "fixed_points",
    "gate_use",
    "gradient_by_lag",
    "path_distances",
    "spectrum",
    "state_map",
    "subject",
    "time_scales",
    "trajectory",
    "visited",
]
