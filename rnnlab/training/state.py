"""What training changes, and what tells one run of an arm from another. In a sweep every leaf has a leading axis R."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from rnnlab.core.types import AnyArray, Array, Carry, Params
from rnnlab.training.tasks import MetricSums


class Run(NamedTuple):
    """One run of an arm: a seed and the hyperparameters that ride the run axis."""

    seed: AnyArray  # uint32
    hyperparams: Mapping[str, AnyArray]  # float32: learning_rate and whatever else is swept


class BestParams(NamedTuple):
    """The parameters of the epoch with the lowest validation loss."""

    params: Params
    loss: Array  # validation loss in nats, the selection criterion
    epoch: Array  # int32, counted from 1; 0 before the first epoch


class TrainState(NamedTuple):
    """Everything that changes while a run trains. Arrays only."""

    params: Params
    opt_state: Any
    step: Array  # int32, training steps done
    diverged_at: Array  # int32, first step with a non-finite loss or gradient; -1 if there was none
    sums: MetricSums  # of the training split, over the current epoch
    best: BestParams
    carry: Carry  # the cell's carry after the last step with contiguous batches; else None
