"""The life of one run, without I/O: its initial state, training steps, evaluation. ``sweep`` maps these over runs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from rnnlab.core.types import Array, Carry, Params, Split
from rnnlab.training.arm_spec import ArmSpec, build_model, build_optimizer
from rnnlab.training.batches import resets_of, take, target_weights
from rnnlab.training.keys import source_key
from rnnlab.training.probes import PROBES
from rnnlab.training.state import BestParams, Run, TrainState
from rnnlab.training.tasks import TASKS, MetricSums


def init_state(spec: ArmSpec, run: Run) -> TrainState:
    """The state before the first step; initial values drawn from the seed's ``init`` stream."""
    model = build_model(spec, run.hyperparams)
    params = model.init(source_key("init", run.seed, spec.seed_source))
    best = BestParams(params, loss=jnp.float32(jnp.inf), epoch=jnp.int32(0))
    opt_state = build_optimizer(spec, run.hyperparams).init(params)
    carry = model.initial_carry(params, spec.batch_size) if spec.batch_sampling == "contiguous" else None
    return TrainState(params, opt_state, jnp.int32(0), jnp.int32(-1), _zero_sums(spec), best, carry)


def train_steps(
    spec: ArmSpec, run: Run, state: TrainState, indices: Array, split: Split, start: Array | int, stop: Array | int,
    axis: str | None = None,
) -> TrainState:  # fmt: skip
    """Training steps ``start`` to ``stop`` (traced: one program serves any stretch) on the batches ``indices [S, B]``.

    ``axis``: a mapped axis whose devices share every batch; each takes its part, all compute the same state. The first
    step with a non-finite loss or gradient changes nothing and marks the run as diverged; it stays frozen.
    """
    task, dropout_key = TASKS[spec.data.task], source_key("dropout", run.seed, spec.seed_source)
    optimizer = build_optimizer(spec, run.hyperparams)

    def step(s: Array, state: TrainState) -> TrainState:
        batch = take(split, indices[s] if axis is None else _own_part(indices[s], axis))
        model = build_model(spec, run.hyperparams, jax.random.fold_in(dropout_key, state.step))
        before = _fresh_at(s == 0, state.carry, lambda: model.initial_carry(state.params, spec.batch_size))

        def mean_loss(params: Params) -> tuple[Array, tuple[MetricSums, Carry]]:
            carry, logits = model.apply(params, batch.inputs, batch.lengths, before, **resets_of(batch))
            sums = task.sums(logits, batch.targets, target_weights(batch))
            count = sums.count if axis is None else jax.lax.psum(jax.lax.stop_gradient(sums.count), axis)
            return sums.loss / count, (sums, carry if model.with_state or before is not None else None)

        (loss, (sums, carry)), gradient = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
        if axis is not None:
            loss, sums, gradient = jax.lax.psum((loss, sums, gradient), axis)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        after = TrainState(
            params if model.with_state is None else model.with_state(params, carry),
            opt_state,
            state.step + 1,
            state.diverged_at,
            jax.tree.map(jnp.add, state.sums, sums),
            state.best,
            None if before is None else carry,
        )
        finite = jnp.isfinite(loss)
        for leaf in jax.tree.leaves(gradient):
            finite &= jnp.all(jnp.isfinite(leaf))
        alive = (state.diverged_at < 0) & finite
        frozen = state._replace(diverged_at=jnp.where(state.diverged_at < 0, state.step, state.diverged_at))
        return jax.tree.map(lambda new, old: jnp.where(alive, new, old), after, frozen)

    return jax.lax.fori_loop(start, stop, step, state)


def evaluate(
    spec: ArmSpec, run: Run, params: Params, split: Split, among: Array | None = None, axis: str | None = None
) -> MetricSums:
    """Metric sums over a whole split, or its rows ``among [N]``, batch by batch; padding has weight zero.

    The devices of ``axis`` take turns. With contiguous batches the split is read like the training text: in B streams
    that carry their state along.
    """
    model, task = build_model(spec, run.hyperparams), TASKS[spec.data.task]
    examples = split.targets.shape[0] if among is None else len(among)
    streams = spec.batch_sampling == "contiguous"
    batch = min(spec.batch_size if streams else spec.eval_batch_size, examples)
    steps = -(-examples // batch)
    if not streams:
        batch = -(-examples // steps)  # batches of equal size: least padding

    def add(index: Array, state: tuple[MetricSums, Carry]) -> tuple[MetricSums, Carry]:
        sums, carry = state
        if axis is not None:
            index = index * jax.lax.axis_size(axis) + jax.lax.axis_index(axis)
        rows = index + jnp.arange(batch) * steps if streams else index * batch + jnp.arange(batch)
        within = jnp.minimum(rows, examples - 1)
        part = take(split, within if among is None else among[within])
        valid = (rows < examples).astype(jnp.float32)
        weights = target_weights(part)
        weights = weights * valid.reshape(-1, *[1] * (weights.ndim - 1))
        after, logits = model.apply(params, part.inputs, part.lengths, carry, **resets_of(part))
        return jax.tree.map(jnp.add, sums, task.sums(logits, part.targets, weights)), after if streams else None

    carry = model.initial_carry(params, batch) if streams else None
    turns = steps if axis is None else -(-steps // jax.lax.axis_size(axis))
    sums = jax.lax.fori_loop(0, turns, add, (_zero_sums(spec), carry))[0]
    return sums if axis is None else jax.lax.psum(sums, axis)


def _own_part(rows: Array, axis: str) -> Array:
    """The rows ``[B]`` of a batch that this device of ``axis`` computes."""
    return rows.reshape(jax.lax.axis_size(axis), -1)[jax.lax.axis_index(axis)]


def probe(spec: ArmSpec, run: Run, params: Params, split: Split) -> dict[str, Array]:
    """The measurements of the arm's probes on the first batch of ``split``, by name."""
    model = build_model(spec, run.hyperparams)
    batch = jax.tree.map(lambda leaf: leaf[: spec.batch_size], split)
    measured: dict[str, Array] = {}
    for name in spec.probes:
        measured |= PROBES[name](model, TASKS[spec.data.task], params, batch)
    return measured


def update_best(state: TrainState, validation: MetricSums, epoch: Array) -> TrainState:
    """Keep the parameters if their validation loss is the lowest so far, and reset the training sums."""
    loss = validation.loss / validation.count
    better = (state.diverged_at < 0) & (loss < state.best.loss)
    now = BestParams(state.params, loss, epoch)
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), now, state.best)
    return state._replace(best=best, sums=jax.tree.map(jnp.zeros_like, state.sums))


def _zero_sums(spec: ArmSpec) -> MetricSums:
    """Zero for every sum of the task."""
    one = jnp.zeros((1, 1), jnp.int32)
    task = TASKS[spec.data.task]
    logits = jnp.zeros((1, 1, spec.data.output_size), jnp.float32)
    sums = jax.eval_shape(task.sums, logits, logits if task.vector_targets else one, one)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.float32), sums)


def _fresh_at(start: Array, carry: Carry, initial: Callable[[], Carry]) -> Carry:
    """``carry``, or the initial one where ``start``; None if no carry is kept between batches."""
    return None if carry is None else jax.tree.map(lambda new, old: jnp.where(start, new, old), initial(), carry)
