"""One run, no I/O: its initial state, a stretch of training steps, an evaluation. ``sweep`` maps these over runs."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from rnnlab.core.types import Array, BestParams, Carry, Key, MetricSums, Model, Params, Run, Split, Task, TrainState
from rnnlab.train.keys import drawn_indices, shuffled_indices, stream_key

BATCH_SAMPLING = ("shuffled", "drawn", "contiguous")


Probe = Callable[[Model, Task, Params, Split], dict[str, Array]]


class Recipe(NamedTuple):
    """What the runs of one arm share: code and shapes. Their numbers come in as ``run.numbers``."""

    make_model: Callable[[Mapping[str, Array], Key | None], Model]  # (numbers, key or None in evaluation) -> model
    make_optimizer: Callable[[Mapping[str, Array]], optax.GradientTransformation]
    task: Task
    batch_size: int  # examples in a training step
    steps: int  # training steps in an epoch
    eval_batch_size: int  # most examples at once in an evaluation
    batch_sampling: str = "shuffled"  # of BATCHES: how an epoch's examples are laid out
    probes: tuple[Probe, ...] = ()


def init_state(recipe: Recipe, run: Run) -> TrainState:
    """The state before the first step; initial values from the seed's stream ``init``."""
    model = recipe.make_model(run.hyperparams, None)
    params = model.init(stream_key("init", run.seed))
    best = BestParams(params, loss=jnp.float32(jnp.inf), epoch=jnp.int32(0))
    opt_state = recipe.make_optimizer(run.hyperparams).init(params)
    carry = model.initial_carry(params, recipe.batch_size) if recipe.batch_sampling == "contiguous" else None
    return TrainState(params, opt_state, jnp.int32(0), jnp.int32(-1), _no_sums(recipe.task), best, carry)


def batch_indices(recipe: Recipe, run: Run, epoch: Array | int, examples: int) -> Array:
    """Which examples each step of an epoch takes, ``[S, B] int32``.

    "shuffled": every example at most once; the ragged end of the order is left out. "drawn": each batch at random
    without replacement, whatever the others hold. "contiguous": the examples, which lie end to end in a text, as B
    streams, so that an example goes on where the one before it in its row of the plan ended.
    """
    if recipe.batch_sampling == "drawn":
        return drawn_indices(run.seed, epoch, examples, recipe.steps, recipe.batch_size)
    if recipe.batch_sampling == "contiguous":
        return jnp.arange(recipe.steps)[:, None] + jnp.arange(recipe.batch_size) * (examples // recipe.batch_size)
    order = shuffled_indices(run.seed, epoch, examples)
    return order[: recipe.steps * recipe.batch_size].reshape(recipe.steps, recipe.batch_size)


def train_steps(
    recipe: Recipe, run: Run, state: TrainState, plan: Array, split: Split, start: Array | int, stop: Array | int
) -> TrainState:
    """Steps ``start`` to ``stop`` (traced: one program serves any stretch) of the epoch that ``plan [S, B]`` lays out.

    A step whose loss or gradient is not finite changes nothing and marks the run as died; so it stays for good.
    """
    dropout_key = stream_key("dropout", run.seed)
    optimizer = recipe.make_optimizer(run.hyperparams)

    def step(s: Array, state: TrainState) -> TrainState:
        batch = _take(split, plan[s])
        model = recipe.make_model(run.hyperparams, jax.random.fold_in(dropout_key, state.step))
        before = _fresh_at(s == 0, state.carry, lambda: model.initial_carry(state.params, recipe.batch_size))

        def mean_loss(params: Params) -> tuple[Array, tuple[MetricSums, Carry]]:
            carry, logits = model.apply(params, batch.inputs, batch.lengths, before)
            sums = recipe.task.sums(logits, batch.targets, target_weights(batch))
            return sums.loss / sums.count, (sums, None if before is None else carry)

        (loss, (sums, carry)), gradient = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        after = TrainState(
            optax.apply_updates(state.params, updates),
            opt_state,
            state.step + 1,
            state.diverged_at,
            jax.tree.map(jnp.add, state.sums, sums),
            state.best,
            carry,
        )
        finite = jnp.isfinite(loss)
        for leaf in jax.tree.leaves(gradient):
            finite &= jnp.all(jnp.isfinite(leaf))
        alive = (state.diverged_at < 0) & finite
        frozen = state._replace(diverged_at=jnp.where(state.diverged_at < 0, state.step, state.diverged_at))
        return jax.tree.map(lambda new, old: jnp.where(alive, new, old), after, frozen)

    return jax.lax.fori_loop(start, stop, step, state)


def evaluate(recipe: Recipe, run: Run, params: Params, split: Split) -> MetricSums:
    """Sums over a whole split, one batch of examples at a time; the padding of the last batch weighs nothing.

    With contiguous batches the split is read as the training text is: in B streams that hand their carry on.
    """
    model = recipe.make_model(run.hyperparams, None)
    examples = split.targets.shape[0]
    streams = recipe.batch_sampling == "contiguous"
    batch = min(recipe.batch_size if streams else recipe.eval_batch_size, examples)
    steps = -(-examples // batch)
    if not streams:
        batch = -(-examples // steps)  # as many steps of even size: least padding

    def add(index: Array, state: tuple[MetricSums, Carry]) -> tuple[MetricSums, Carry]:
        sums, carry = state
        rows = index + jnp.arange(batch) * steps if streams else index * batch + jnp.arange(batch)
        part = _take(split, jnp.minimum(rows, examples - 1))
        valid = (rows < examples).astype(jnp.float32)
        weights = target_weights(part) * valid.reshape(-1, *[1] * (part.targets.ndim - 1))
        after, logits = model.apply(params, part.inputs, part.lengths, carry)
        return jax.tree.map(jnp.add, sums, recipe.task.sums(logits, part.targets, weights)), after if streams else None

    carry = model.initial_carry(params, batch) if streams else None
    return jax.lax.fori_loop(0, steps, add, (_no_sums(recipe.task), carry))[0]


def target_weights(batch: Split) -> Array:
    """What each target of the batch weighs, float32 in the shape of its targets."""
    return jnp.ones(batch.targets.shape, jnp.float32) if batch.weights is None else batch.weights


def probe(recipe: Recipe, run: Run, params: Params, split: Split) -> dict[str, Array]:
    """What the recipe's probes measure on the first batch of ``split``, by name."""
    model = recipe.make_model(run.hyperparams, None)
    batch = jax.tree.map(lambda leaf: leaf[: recipe.batch_size], split)
    found: dict[str, Array] = {}
    for measure in recipe.probes:
        found |= measure(model, recipe.task, params, batch)
    return found


def update_best(state: TrainState, validation: MetricSums, epoch: Array) -> TrainState:
    """Remember the parameters if they are the best on validation so far, and begin the next epoch's sums."""
    loss = validation.loss / validation.count
    better = (state.diverged_at < 0) & (loss < state.best.loss)
    now = BestParams(state.params, loss, epoch)
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), now, state.best)
    return state._replace(best=best, sums=jax.tree.map(jnp.zeros_like, state.sums))


def _no_sums(task: Task) -> MetricSums:
    """Zero for everything that the task sums."""
    one = jnp.zeros((1, 1), jnp.int32)
    return jax.tree.map(
        lambda _: jnp.float32(0), jax.eval_shape(task.sums, one[..., None].astype(jnp.float32), one, one)
    )


def _fresh_at(start: Array, carry: Carry, initial: Callable[[], Carry]) -> Carry:
    """``carry``, or the initial one where ``start``; None where none is handed on."""
    return None if carry is None else jax.tree.map(lambda new, old: jnp.where(start, new, old), initial(), carry)


def _take(split: Split, rows: Array) -> Split:
    return jax.tree.map(lambda leaf: leaf[rows], split)
