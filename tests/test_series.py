"""One series to forecast: windows, horizon and cuts, against the definition."""

import numpy as np
import pytest
from helpers.data import error_of

from rnnlab import data
from rnnlab.data.dataset import Dataset
from rnnlab.data.series import from_series
from rnnlab.data.standardize import restore_targets, standardize_inputs

PLACES = np.arange(200.0)  # the value tells the time


def values(dataset, split):
    """Inputs and targets of a split in the unit of the series, and the weights."""
    part = getattr(dataset, split)
    found = dataset.source["standardized"]["inputs"]
    inputs = part.inputs * np.array(found["std"]) + np.array(found["mean"])
    return inputs, restore_targets(dataset.source, part.targets), part.weights


@pytest.mark.parametrize(("length", "horizon", "context"), [(10, 1, 0), (10, 3, 4), (7, 2, 6), (1, 5, 0)])
def test_a_target_is_horizon_steps_later_and_is_forecast_once_from_its_own_part_of_the_series(length, horizon, context):
    dataset = from_series(PLACES, sequence_length=length, horizon=horizon, context=context, test_fraction=0.2)
    assert dataset.task == "forecasting"
    for split, (start, stop) in {"train": (0, 130), "validation": (130, 160), "test": (160, 200)}.items():
        inputs, targets, weights = values(dataset, split)
        np.testing.assert_allclose(targets, inputs + horizon, atol=1e-3)
        np.testing.assert_allclose(np.diff(inputs, axis=1), 1, atol=1e-3)
        assert inputs.min() > start - 0.1
        assert targets.max() < stop - 0.9
        forecast = np.round(targets[..., 0][weights > 0]).astype(int)
        np.testing.assert_array_equal(forecast, start + context + horizon + np.arange(len(forecast)))
        assert stop - forecast[-1] - 1 < length - context  # only an incomplete last window is missing


def test_statistics_are_those_of_the_training_part_and_persistence_is_the_error_of_the_present_value():
    series = np.stack([np.sin(PLACES), np.cos(PLACES) * 50 + 7], axis=1)
    dataset = Dataset.from_series(series, sequence_length=13, horizon=4, context=3)
    train, test = series[:140], series[170:]
    np.testing.assert_allclose(dataset.source["standardized"]["inputs"]["mean"], train.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(dataset.target_scale, train.std(axis=0), rtol=1e-6)
    error = np.sqrt(((test[7:27] - test[3:23]) ** 2).mean(axis=0)).mean()  # of the two windows: 0 to 12, 10 to 22
    assert dataset.source["persistence_rmse"]["test"] == pytest.approx(error)
    np.testing.assert_allclose(dataset.train.inputs[0], standardize_inputs(dataset.source, series[:13]), rtol=1e-6)
    raw = from_series(series, sequence_length=10, standardize=False)
    np.testing.assert_allclose(raw.train.inputs[0], series[:10], rtol=1e-6)


def test_the_membrane_potential_rests_at_minus_67_mv_and_spikes():
    dataset = data.load_dataset("membrane")
    inputs = values(dataset, "train")[0]
    assert inputs[0].mean() == pytest.approx(-66.8, abs=0.1)
    assert inputs.max() > 0
    assert dataset.source["split"] == "in time, 8400 / 1800 / 1800 steps"


@pytest.mark.parametrize(
    ("arrays", "options", "said"),
    [
        (
            {"series": PLACES[:, None, None]},
            {},
            "of shape [200, 1, 1]; accepted: [n] or [n, D] numbers",
        ),
        ({"series": np.where(PLACES == 17, np.nan, PLACES)}, {}, "series: nan at [17]"),
        ({"series": PLACES[:0]}, {}, "series: float64 of shape [0]"),
        ({"series": PLACES.astype(object)}, {}, "never unpickled"),
        ({"inputs": PLACES}, {}, "unknown value 'inputs'"),
        ({}, {}, "series: missing"),
        (
            {"series": PLACES},
            {"sequence_length": 31},
            "leave 30 for validation; sequence_length=31 and horizon=1 need",
        ),
        ({"series": PLACES}, {"horizon": 0}, "horizon: 0 is out of range; accepted: 1 or more"),
        ({"series": PLACES}, {"sequence_length": 8, "context": 8}, "context: 8 is out of range; accepted: 0 to 7"),
        ({"series": PLACES}, {"validation_fraction": 0.9}, "validation_fraction: 0.9 is out of range"),
    ],
)
def test_a_wrong_series_is_refused_in_one_line(arrays, options, said, tmp_path):
    np.savez(tmp_path / "own.npz", **arrays)
    assert said in error_of(data.load_dataset, f"series:{tmp_path}/own.npz", **options)
