"""Groups of runs made from plain arrays."""

import numpy as np

from rnnlab.stats.summary import Group


def group(arm, values, metric=("train", "loss"), *, diverged=(), first=1, seeds=None, **hyperparams) -> Group:
    """``values [n, E]`` of one metric, or a dict of them, for the epochs from ``first`` on."""
    values = values if isinstance(values, dict) else {metric: np.asarray(values, np.float64)}
    count, epochs = next(iter(values.values())).shape
    seeds = np.arange(count) if seeds is None else np.asarray(seeds)
    steps = 10 * (np.arange(epochs) + first)
    return Group(arm, hyperparams, seeds, np.arange(epochs) + first, values, np.isin(np.arange(count), diverged), steps)
