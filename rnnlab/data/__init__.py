"""Data: name and options -> ``Dataset`` with train, validation and test splits. May import core and config."""

from rnnlab.data.files import data_dir
from rnnlab.data.registry import DATASETS, DatasetEntry, dataset_options, describe, load_dataset, prepare

__all__ = ["DATASETS", "DatasetEntry", "data_dir", "dataset_options", "describe", "load_dataset", "prepare"]
