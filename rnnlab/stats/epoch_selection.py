"""The number that stands for a run, from its numbers by epoch."""

import numpy as np


def first_reached(values: np.ndarray, success_threshold: float) -> np.ndarray:
    """The column of each run at which ``values [n, E]`` are first at ``success_threshold`` or above; -1 for a run that never is."""
    reached = np.asarray(values, np.float32) >= np.float32(
        success_threshold
    )  # float32, as metrics are: 9 of 10 reach a goal of 0.9
    return np.where(reached.any(axis=1), reached.argmax(axis=1), -1) if reached.shape[1] else np.full(len(values), -1)


def at_best_validation(validation_loss: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``values [n, E]`` of each run at the epoch of its lowest ``validation_loss [n, E]``; NaN if it has none."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    known = np.where(np.isfinite(validation_loss), validation_loss, np.inf)
    picked = values[np.arange(len(values)), np.argmin(known, axis=1)]
    return np.where(np.isfinite(known).any(axis=1), picked, np.nan)


def best_over_epochs(values: np.ndarray, higher_is_better: bool) -> np.ndarray:
    """The best of ``values [n, E]`` over epochs, selected on themselves; NaN for a run without any."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    worst = -np.inf if higher_is_better else np.inf
    known = np.where(np.isfinite(values), values, worst)
    best = known.max(axis=1) if higher_is_better else known.min(axis=1)
    return np.where(np.isfinite(best), best, np.nan)


def last_epoch(values: np.ndarray) -> np.ndarray:
    """``values [n, E]`` at the last epoch; NaN for a run that did not live to see it."""
    return values[:, -1] if values.shape[1] else np.full(len(values), np.nan)
