"""Features and real targets with mean 0 and standard deviation 1 in the training split."""

from collections.abc import Mapping
from typing import Any

import numpy as np

SOURCE = "standardized"  # the key of Dataset.source: {"inputs": {"mean": [D], "std": [D]}, "targets": ... [K]}
CONSTANT = 1e-9  # a smaller standard deviation, relative to the mean, is rounding


def statistics(values: np.ndarray, valid: np.ndarray | None) -> dict[str, list[float]]:
    """``mean`` and ``std [D]`` of ``values [..., D]`` where ``valid [...]`` (None: everywhere); std 1 if constant.

    Rounded to nine digits, so that they do not depend on a machine's order of summation.
    """
    rows = (values.reshape(-1, values.shape[-1]) if valid is None else values[valid]).astype(np.float64)
    mean, std = rows.mean(axis=0), rows.std(axis=0)
    std = np.where(std > CONSTANT * np.abs(mean), std, 1.0)
    return {name: [float(f"{number:.9g}") for number in each] for name, each in (("mean", mean), ("std", std))}


def standardized(values: np.ndarray, found: Mapping[str, Any]) -> np.ndarray:
    """``values [..., D]`` minus the mean, divided by the standard deviation; float32."""
    with np.errstate(over="ignore", invalid="ignore"):  # of steps past an example's length
        return ((values - np.asarray(found["mean"])) / np.asarray(found["std"])).astype(np.float32)


def standardize_inputs(source: Mapping[str, Any], inputs: np.ndarray) -> np.ndarray:
    """``inputs [..., D]`` as a model of the data set with that ``source`` reads them; others unchanged.

    ``source``: `Dataset.source`, or what env.json recorded of it.
    """
    found = source.get(SOURCE, {}).get("inputs")
    return inputs if found is None else standardized(np.asarray(inputs), found)


def restore_targets(source: Mapping[str, Any], outputs: np.ndarray) -> np.ndarray:
    """``outputs [..., K]`` of a model of the data set with that ``source`` in the targets' unit; others unchanged."""
    found = source.get(SOURCE, {}).get("targets")
    return outputs if found is None else outputs * np.asarray(found["std"]) + np.asarray(found["mean"])
