"""One run, no I/O: its initial state, a stretch of training steps, an evaluation. ``sweep`` maps these over runs."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rnnlab.rng import epoch_order, stream_key
from rnnlab.types import Array, Best, Key, Model, Params, Run, Split, Sums, Task, TrainState


class Recipe(NamedTuple):
    """What the runs of one arm share: code and shapes. Their numbers come in as ``run.numbers``."""

    make_model: Callable[[Mapping[str, Array], Key | None], Model]  # (numbers, key or None in evaluation) -> model
    make_optimiser: Callable[[Mapping[str, Array]], optax.GradientTransformation]
    task: Task
    batch: int  # examples in a training step
    steps: int  # training steps in an epoch
    eval_batch: int  # examples at once in an evaluation


def init_state(recipe: Recipe, run: Run) -> TrainState:
    """The state before the first step; initial values from the seed's stream ``init``."""
    params = recipe.make_model(run.numbers, None).init(stream_key("init", run.seed))
    best = Best(params, loss=jnp.float32(jnp.inf), epoch=jnp.int32(0))
    opt_state = recipe.make_optimiser(run.numbers).init(params)
    return TrainState(params, opt_state, jnp.int32(0), jnp.int32(-1), _no_sums(), best)


def epoch_plan(recipe: Recipe, run: Run, epoch: Array, examples: int) -> Array:
    """Which examples each step of an epoch takes, ``[S, B] int32``; the ragged end of the order is left out."""
    order = epoch_order(run.seed, epoch, examples)
    return order[: recipe.steps * recipe.batch].reshape(recipe.steps, recipe.batch)


def train_steps(
    recipe: Recipe, run: Run, state: TrainState, plan: Array, split: Split, start: Array, stop: Array
) -> TrainState:
    """Steps ``start`` to ``stop`` (traced: one program serves any stretch) of the epoch that ``plan [S, B]`` lays out.

    A step whose loss or gradient is not finite changes nothing and marks the run as died; so it stays for good.
    """
    dropout_key = stream_key("dropout", run.seed)
    optimiser = recipe.make_optimiser(run.numbers)

    def step(s: Array, state: TrainState) -> TrainState:
        batch = _take(split, plan[s])
        model = recipe.make_model(run.numbers, jax.random.fold_in(dropout_key, state.step))

        def mean_loss(params: Params) -> tuple[Array, Sums]:
            logits = model.apply(params, batch.inputs, batch.lengths)
            sums = recipe.task.sums(logits, batch.targets, jnp.ones(batch.targets.shape, jnp.float32))
            return sums.loss / sums.count, sums

        (loss, sums), gradient = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
        updates, opt_state = optimiser.update(gradient, state.opt_state, state.params)
        after = TrainState(
            optax.apply_updates(state.params, updates),
            opt_state,
            state.step + 1,
            state.died,
            jax.tree.map(jnp.add, state.sums, sums),
            state.best,
        )
        finite = jnp.isfinite(loss)
        for leaf in jax.tree.leaves(gradient):
            finite &= jnp.all(jnp.isfinite(leaf))
        alive = (state.died < 0) & finite
        frozen = state._replace(died=jnp.where(state.died < 0, state.step, state.died))
        return jax.tree.map(lambda new, old: jnp.where(alive, new, old), after, frozen)

    return jax.lax.fori_loop(start, stop, step, state)


def evaluate(recipe: Recipe, run: Run, params: Params, split: Split) -> Sums:
    """Sums over a whole split, ``eval_batch`` examples at a time; the padding of the last batch weighs nothing."""
    model = recipe.make_model(run.numbers, None)
    examples = split.targets.shape[0]
    batch = min(recipe.eval_batch, examples)

    def add(index: Array, sums: Sums) -> Sums:
        rows = index * batch + jnp.arange(batch)
        part = _take(split, jnp.minimum(rows, examples - 1))
        valid = (rows < examples).astype(jnp.float32)
        weights = jnp.broadcast_to(valid.reshape(-1, *[1] * (part.targets.ndim - 1)), part.targets.shape)
        logits = model.apply(params, part.inputs, part.lengths)
        return jax.tree.map(jnp.add, sums, recipe.task.sums(logits, part.targets, weights))

    return jax.lax.fori_loop(0, -(-examples // batch), add, _no_sums())


def close_epoch(state: TrainState, validation: Sums, epoch: Array) -> TrainState:
    """Remember the parameters if they are the best on validation so far, and begin the next epoch's sums."""
    loss = validation.loss / validation.count
    better = (state.died < 0) & (loss < state.best.loss)
    now = Best(state.params, loss, epoch)
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), now, state.best)
    return state._replace(best=best, sums=_no_sums())


def _no_sums() -> Sums:
    return Sums(jnp.float32(0), jnp.float32(0), jnp.float32(0))


def _take(split: Split, rows: Array) -> Split:
    return jax.tree.map(lambda leaf: leaf[rows], split)
