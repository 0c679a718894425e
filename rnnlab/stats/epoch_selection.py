"""One value per run from its values by epoch ``[R, E]``; NaN where a run has none."""

import numpy as np


def first_reached(values: np.ndarray, threshold: float) -> np.ndarray:
    """The first column ``[R]`` where ``values [R, E]`` are at ``threshold`` or above; -1 where none is."""
    # float32, as metrics are: 9 of 10 reach a threshold of 0.9
    reached = np.asarray(values, np.float32) >= np.float32(threshold)
    return np.where(reached.any(axis=1), reached.argmax(axis=1), -1) if reached.shape[1] else np.full(len(values), -1)


def at_best_validation(validation_loss: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``values [R, E]`` at the epoch of each run's lowest finite ``validation_loss [R, E]``."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    losses = np.where(np.isfinite(validation_loss), validation_loss, np.inf)
    selected = values[np.arange(len(values)), np.argmin(losses, axis=1)]
    return np.where(np.isfinite(losses).any(axis=1), selected, np.nan)


def best_over_epochs(values: np.ndarray, higher_is_better: bool) -> np.ndarray:
    """The best of the finite ``values [R, E]`` over epochs."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    worst = -np.inf if higher_is_better else np.inf
    candidates = np.where(np.isfinite(values), values, worst)
    best = candidates.max(axis=1) if higher_is_better else candidates.min(axis=1)
    return np.where(np.isfinite(best), best, np.nan)


def last_epoch(values: np.ndarray) -> np.ndarray:
    """``values [R, E]`` at the last epoch."""
    return values[:, -1] if values.shape[1] else np.full(len(values), np.nan)
