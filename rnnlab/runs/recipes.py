"""What the runs of one arm share on a data set: the model, and the recipe of its training."""

from collections.abc import Mapping

import jax

from rnnlab.runs.arms import Plan, arm_cell, arm_optimizer, combinations
from rnnlab.config.experiment import Config
from rnnlab.core.errors import InputError
from rnnlab.models.recurrent_model import Dropout, make_model
from rnnlab.train.probes import check_probes, choose_probes
from rnnlab.models.seq2seq import make_seq2seq
from rnnlab.train.tasks import TASKS
from rnnlab.train.single_run import Recipe
from rnnlab.core.types import Array, Dataset, Key, Model

DROPOUT = {"dropout": "inputs", "recurrent_dropout": "recurrent", "readout_dropout": "readout"}


def arm_model(config: Config, plan: Plan, dataset: Dataset, hyperparams: Mapping[str, Array], key: Key | None) -> Model:
    """The model of one arm; ``key`` of a training step, None in evaluation, where nothing is dropped.

    Raises InputError where the arm and the data set do not belong together.
    """
    rates = {field: hyperparams[name] for name, field in DROPOUT.items() if name in hyperparams}
    dropout = None
    if key is not None and rates:
        key, key_dropout = jax.random.split(key)
        dropout = Dropout(key_dropout, **rates)
    if plan.arm.attention:
        return _seq2seq(config, plan, dataset, hyperparams, key, dropout)
    cell, embedding_size = arm_cell(plan, plan.arm.cell, hyperparams, key), config.embedding_size if dataset.has_token_inputs else 0
    if cell.step is None and (dataset.prompt_length or dataset.task == "language_modeling"):
        raise InputError(
            f"cell: {plan.arm.cell} reads the text both ways, and so what is asked for; "
            f"accepted for {dataset.task} (data {dataset.name}): cells of one direction"
        )
    if plan.arm.connections == "dense" and dataset.has_token_inputs and not embedding_size:
        raise InputError(
            "connections: dense ones cannot hand on one-hot ids; accepted: with an embedding "
            "(embedding_size=64), or plain, residual"
        )
    return make_model(
        cell,
        dataset.input_size,
        dataset.output_size,
        per_step=TASKS[dataset.task].per_step,
        embedding_size=embedding_size,
        embedding_init=config.embedding_init,
        scale=dataset.scale,
        dropout=dropout,
    )


def _seq2seq(
    config: Config, plan: Plan, dataset: Dataset, hyperparams: Mapping[str, Array], key: Key | None, dropout: Dropout | None
) -> Model:
    if not dataset.prompt_length:
        raise InputError(
            f"attention: {plan.arm.attention}, but {dataset.name} feeds no answer back; accepted: data such as "
            "reversal or sorting, with data_options.fed=true"
        )
    encoder, decoder = plan.arm.cells
    own = None if key is None else jax.random.fold_in(key, plan.arm.layers)
    return make_seq2seq(
        arm_cell(plan, encoder, hyperparams, key),
        arm_cell(plan, decoder, hyperparams, own),
        dataset.input_size,
        dataset.output_size,
        prompt_length=dataset.prompt_length,
        attention=plan.arm.attention,
        embedding_size=config.embedding_size,
        embedding_init=config.embedding_init,
        dropout=dropout,
    )


def make_recipe(config: Config, plan: Plan, dataset: Dataset) -> Recipe:
    """What the runs of one arm share on ``dataset``.

    Raises InputError where batch or steps do not fit its size, or the arm's cell its task.
    """
    examples = dataset.train.targets.shape[0]
    if config.batch_size > examples:
        raise InputError(f"batch_size: {config.batch_size} is out of range; accepted: 1 to {examples}, the training examples")
    most = examples // config.batch_size
    if config.steps_per_epoch > most:
        raise InputError(
            f"steps_per_epoch: {config.steps_per_epoch} is out of range; accepted: 0 to {most}, a pass over the data"
        )
    task = TASKS[dataset.task]
    if config.batch_sampling == "contiguous" and dataset.task != "language_modeling":
        raise InputError(f"batch_sampling: contiguous, but {dataset.name} is no text to go on in; accepted: shuffled, drawn")
    if config.success_threshold and (not task.success_metric or dataset.validation_is_test):
        why = "validates on test" if task.success_metric else "asks for no answer that is right or wrong"
        raise InputError(f"success_threshold: {config.success_threshold:g}, but {dataset.name} {why}; accepted: 0, no goal")
    check_probes(config.probes, dataset)
    try:  # before anything is traced
        arm_model(config, plan, dataset, next(combinations(plan.hyperparams)), None)
    except InputError as error:
        raise InputError(f"arms.{plan.name}.{error}") from error
    steps = config.steps_per_epoch or most
    return Recipe(
        lambda hyperparams, key: arm_model(config, plan, dataset, hyperparams, key),
        lambda hyperparams: arm_optimizer(
            config, plan, hyperparams, steps, arm_model(config, plan, dataset, hyperparams, None).no_decay
        ),
        task,
        config.batch_size,
        steps,
        config.eval_batch_size,
        config.batch_sampling,
        choose_probes(config.probes),
    )
