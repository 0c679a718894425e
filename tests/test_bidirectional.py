"""Bidirectional cells: against one element at a time in NumPy, and in models."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import transcriptions as paper
from helpers.cases import D, H, assert_trees_close, assert_trees_equal, filled, generator, random_inputs

from rnnlab.cells import bidirectional, make_cell, stack
from rnnlab.cells.unroll import unroll
from rnnlab.config.experiment import Arm, Config
from rnnlab.core.errors import InputError
from rnnlab.models.recurrent_model import make_model
from rnnlab.runs.validate import validate
from rnnlab.training.tasks import TASKS

T = 5
LENGTHS = np.array([5, 2, 0, 3], np.int32)
B = len(LENGTHS)
# Five steps of float32, as in test_unroll.py.
FLOAT32 = {"rtol": 2e-5, "atol": 1e-5}
both_ways = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])


def drawn(*names, cell=None, dtype=np.float32):
    """``(cell, params, carry, xs)`` of a bidirectional LSTM, all random; the two directions have unlike parameters."""
    draw = generator("bidirectional", *names)
    cell = cell or bidirectional(make_cell("lstm", H))
    params = filled(draw, jax.eval_shape(lambda: cell.init(jax.random.key(0), D)), dtype=dtype)
    carry = filled(draw, jax.eval_shape(lambda: cell.initial_carry(params, (B,))), dtype=dtype)
    return cell, params, carry, random_inputs(draw, T, B, D, dtype=dtype)


def one_way(params, carry, xs, backwards):
    """One element, one direction, in float64: ``(c, h)`` at the end and ``hs [T, H]`` in the order of ``xs``."""
    step = paper.lstm()
    params, carry = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (params, carry))
    hs = np.zeros((len(xs), H))
    for t in reversed(range(len(xs))) if backwards else range(len(xs)):
        after, hs[t], _ = step(params, carry, xs[t].astype(np.float64))
        carry = carry._replace(**after)
    return carry, hs


@both_ways
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])
def test_each_direction_is_a_run_of_each_element_alone(reverse, lengths):
    cell, params, carry, xs = drawn(reverse)
    run = jax.jit(lambda xs: unroll(cell, params, xs, carry, lengths=lengths, reverse=reverse))
    after, hs = run(xs)
    assert hs.shape == (T, B, 2 * H)
    assert cell.hidden_size == 2 * H
    for b, length in enumerate([T] * B if lengths is None else lengths):
        for half, way in enumerate(("forward", "backward")):
            start, end = (jax.tree.map(lambda leaf, b=b: np.asarray(leaf)[b], getattr(c, way)) for c in (carry, after))
            expected, out = one_way(getattr(params, way), start, xs[:length, b], (way == "backward") != reverse)
            np.testing.assert_allclose(hs[:length, b, half * H : (half + 1) * H], out, **FLOAT32)
            assert_trees_close(end, expected, **FLOAT32)
        assert not np.any(hs[length:, b])


def test_padding_changes_no_output_carry_or_gradient():
    """Whatever it holds, NaN too; the last output included."""
    cell, params, carry, xs = drawn("padding")
    draw = generator("bidirectional", "weights")
    weights, more = random_inputs(draw, T, B, 2 * H), random_inputs(draw, B, 2 * H)

    @jax.jit
    def run(params, carry, xs):
        def pull(params, carry, xs):
            after, hs = unroll(cell, params, xs, carry, lengths=LENGTHS)
            last = cell.last_output(hs, LENGTHS)
            total = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(after))
            return jnp.vdot(hs, weights) + jnp.vdot(last, more) + total, (after, hs, last)

        return jax.value_and_grad(pull, (0, 1, 2), has_aux=True)(params, carry, xs)

    padding = (np.arange(T)[:, None] >= LENGTHS)[..., None]
    found = run(params, carry, np.where(padding, np.float32(np.nan), xs))
    assert_trees_equal(found, run(params, carry, np.where(padding, 1e4, xs).astype(np.float32)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_the_last_output_has_read_the_whole_sequence():
    """The forward half at the last valid step, the backward half at the first; of no steps, nothing."""
    cell, params, carry, xs = drawn("final")
    after, hs = unroll(cell, params, xs, carry, lengths=LENGTHS)
    last_output = np.asarray(cell.last_output(hs, LENGTHS))
    for b, length in enumerate(LENGTHS):
        if length:  # the last h of each direction is in its carry
            expected = [after.forward.h[b], after.backward.h[b]]
            np.testing.assert_array_equal(last_output[b], np.concatenate(expected))
    assert not np.any(last_output[2])
    after, hs = unroll(cell, params, xs, carry)
    np.testing.assert_array_equal(cell.last_output(hs, None), np.concatenate([after.forward.h, after.backward.h], -1))

    model = make_model(cell, D, 3, per_step=False)
    whole = filled(generator("readout"), jax.eval_shape(model.init, jax.random.key(0)))._replace(cell=params)
    _, logits = model.apply(whole, np.swapaxes(xs, 0, 1), LENGTHS, carry)
    np.testing.assert_allclose(logits, last_output @ whole.w + whole.b, **FLOAT32)


def test_gradients_are_finite_differences():
    with jax.enable_x64(True):
        cell, params, carry, xs = drawn("differences", dtype=np.float64)
        draw = generator("bidirectional", "directions")
        weights = draw.standard_normal((B, 2 * H))

        @jax.jit
        def loss(everything):
            params, carry, xs = everything
            after, hs = unroll(cell, params, xs, carry, lengths=LENGTHS)
            return jnp.vdot(cell.last_output(hs, LENGTHS), weights) + jnp.sum(hs**2) + jnp.sum(after.backward.c**2)

        leaves, tree = jax.tree.flatten((params, carry, xs))
        slopes = jax.tree.leaves(jax.jit(jax.grad(loss))((params, carry, xs)))
        for position, (leaf, slope) in enumerate(zip(leaves, slopes, strict=True)):
            direction = draw.standard_normal(leaf.shape)
            moved = [
                [other + distance * direction if n == position else other for n, other in enumerate(leaves)]
                for distance in (1e-5, -1e-5)
            ]
            up, down = (float(loss(jax.tree.unflatten(tree, near))) for near in moved)
            # error: 1e-10 of curvature, and rounding: 1e-16 * |loss| / 1e-5
            np.testing.assert_allclose((up - down) / 2e-5, np.vdot(slope, direction), rtol=1e-6, atol=1e-7)


def test_torch_agrees():
    torch = pytest.importorskip("torch")
    cell, params, _, xs = drawn("torch")
    theirs = torch.nn.LSTM(D, H, bidirectional=True)
    order = [0, 1, 2, 3]  # theirs: i, f, g, o, as ours
    with torch.no_grad():
        for way, suffix in (("forward", ""), ("backward", "_reverse")):
            own = getattr(params, way)
            for name, block in (("ih", own.w), ("hh", own.u)):
                weight = torch.tensor(np.concatenate([block[:, gate].T for gate in order]))
                getattr(theirs, f"weight_{name}_l0{suffix}").copy_(weight)
            getattr(theirs, f"bias_ih_l0{suffix}").copy_(torch.tensor(own.b.reshape(-1)))
            getattr(theirs, f"bias_hh_l0{suffix}").zero_()
        some = LENGTHS > 0  # they refuse a sequence of no steps
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            torch.tensor(xs[:, some]), torch.tensor(LENGTHS[some]), enforce_sorted=False
        )
        out, (last, _) = theirs(packed)
        out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, total_length=T)
    _, hs = unroll(cell, params, xs, lengths=LENGTHS)
    np.testing.assert_allclose(hs[:, some], out.numpy(), **FLOAT32)
    np.testing.assert_allclose(cell.last_output(hs, LENGTHS)[some], np.concatenate(last.numpy(), -1), **FLOAT32)


def test_the_directions_start_apart_from_the_cells_own_draws():
    inner = make_cell("lstm", H)
    params = bidirectional(inner).init(jax.random.key(7), D)
    keys = jax.random.split(jax.random.key(7))
    for own, key in zip(params, keys, strict=True):
        assert_trees_equal(own, inner.init(key, D))
    assert np.mean(np.asarray(params.forward.w) == params.backward.w) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])
def test_layers_run_one_after_another(lengths):
    """A stack with a bidirectional layer anywhere: each layer reads the whole sequence that the one below has made."""
    below, above = bidirectional(make_cell("rnn", H)), make_cell("lstm", 2 * H)
    for connections in ("plain", "residual", "dense"):
        whole, params, carry, xs = drawn("layers", connections, cell=stack([below, above], connections=connections))
        after, hs = unroll(whole, params, xs, carry, lengths=lengths)
        first, low = unroll(below, params[0], xs, carry[0], lengths=lengths)
        seen = jnp.concatenate([xs, low], -1) if connections == "dense" else low
        second, high = unroll(above, params[1], seen, carry[1], lengths=lengths)
        assert_trees_equal((after, hs), ((first, second), low + high if connections == "residual" else high))
        assert whole.last_output is None
    top = stack([above, below])
    assert top.hidden_size == 2 * H
    np.testing.assert_array_equal(top.last_output(hs, lengths), below.last_output(hs, lengths))


def test_a_stack_may_be_read_both_ways():
    layers = stack([make_cell("lstm", H), make_cell("rnn", H)])
    cell, params, carry, xs = drawn("inside", cell=bidirectional(layers))
    _, hs = unroll(cell, params, xs, carry, lengths=LENGTHS)
    for half, (way, reverse) in enumerate((("forward", False), ("backward", True))):
        _, alone = unroll(layers, getattr(params, way), xs, getattr(carry, way), lengths=LENGTHS, reverse=reverse)
        np.testing.assert_array_equal(hs[..., half * H : (half + 1) * H], alone)


@pytest.mark.slow
def test_what_comes_next_is_learned_by_those_who_read_it():
    """The answer at each step is the symbol of the next one: a cell of one direction cannot but guess."""
    draw = generator("bidirectional", "next")
    ids = draw.randint(0, 4, (32, 6)).astype(np.int32)
    asked = np.ones(ids.shape, np.float32)
    asked[:, -1] = 0

    def accuracy(cell):
        model, optimizer = make_model(cell, 4, 4, per_step=True), optax.adam(0.05)
        params = model.init(jax.random.key(0))

        def loss(params):
            sums = TASKS["sequence_labeling"].sums(model.apply(params, ids, None, None)[1], np.roll(ids, -1, 1), asked)
            return sums.loss / sums.count, sums

        def step(_, state):
            params, opt_state = state
            updates, opt_state = optimizer.update(jax.grad(loss, has_aux=True)(params)[0], opt_state)
            return optax.apply_updates(params, updates), opt_state

        params, _ = jax.jit(lambda state: jax.lax.fori_loop(0, 60, step, state))((params, optimizer.init(params)))
        sums = loss(params)[1]
        return sums.correct / sums.count

    inner = make_cell("lstm", 8, u_init="glorot_uniform")
    assert accuracy(bidirectional(inner)) > 0.99
    assert accuracy(inner) < 0.75  # it can only learn the 32 texts by heart


def refused(action, *parts):
    with pytest.raises(InputError) as caught:
        action()
    line = str(caught.value)
    assert "\n" not in line
    assert all(part in line for part in parts), line


def test_it_has_no_step():
    cell, _, _, xs = drawn("step")
    assert cell.step is None
    model = make_model(cell, D, 3, per_step=False)
    whole = model.init(jax.random.key(0))
    refused(lambda: model.carry_history(whole, np.swapaxes(xs, 0, 1)), "whole sequence")


def test_a_language_model_refuses_bidirectional_cells():
    config = Config(
        experiment="probe", arms={"plain": Arm("lstm"), "ahead": Arm("bidirectional(lstm)")}, data="pydoc",
        seeds=(0,), sequence_length=8, hidden_size=4, batch_size=16,
    )  # fmt: skip
    told = ("arms.ahead: cell", "bidirectional(lstm)", "language_modeling", "pydoc", "accepted")
    refused(lambda: validate(config), *told)
    refused(lambda: validate(replace(config, batch_sampling="contiguous")), *told)
    layers = {"ahead": Arm("bidirectional(lstm)", layers=2)}
    refused(lambda: validate(replace(config, arms=layers)), *told)
    validate(replace(config, arms={"plain": Arm("lstm")}))


def test_bidirectional_cells_refuse_recurrent_dropout_alone():
    config = Config(
        experiment="probe", arms={"both": Arm("bidirectional(lstm)", layers=2)}, data="digits", seeds=(0,),
        hidden_size=4,
    )  # fmt: skip
    refused(lambda: validate(replace(config, recurrent_dropout=(0.2,))), "arms.both", "recurrent_dropout", "accepted")
    validate(replace(config, dropout=(0.2,), readout_dropout=(0.1, 0.2), layer_dropout=(0.3,)))
