"""The LSTM's kernel, interpreted: the values and derivatives of the scan, and when it is taken."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.cells import lstm_kernel
from rnnlab.cells.lstm import lstm
from rnnlab.cells.unroll import unroll
from rnnlab.core.types import Split
from rnnlab.models.recurrent_model import make_model
from rnnlab.training.arm_spec import ArmSpec, DataShape
from rnnlab.training.sweep import Sweep, run_grid

T, B, D = 6, 3, 4


@pytest.fixture
def taken(monkeypatch):
    """The kernel wherever a cell has one, and for how many units it was asked."""
    asked = []
    monkeypatch.setattr(lstm_kernel, "pays", lambda units: asked.append(units) or True)
    return asked


def draw(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def loss_of(cell, lengths, reverse, backward):
    def loss(params, xs, carry):
        (c, h), hs = unroll(cell, params, xs, carry, lengths=lengths, reverse=reverse, backward=backward)
        weights = jnp.cos(jnp.arange(hs.size, dtype=jnp.float32)).reshape(hs.shape)
        return jnp.sum(hs * weights) + jnp.sum(c * weights[0]) + jnp.sum(h * weights[1] ** 2)

    return loss


def agree(found, wanted):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-6), found, wanted)


@pytest.mark.parametrize(
    ("units", "batch", "options"),
    [(16, 16, {}), (5, B, {"bias": False}), (20, 17, {"forget_bias": 3.0})],
)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_kernel_is_the_scan_with_its_gradient(units, batch, options, reverse, masked, taken):
    cell = lstm(units, **options)
    params = cell.init(jax.random.key(0), D)
    xs, carry = (
        draw((T, batch, D)),
        jax.tree.map(lambda leaf: draw(leaf.shape, 1), cell.initial_carry(params, (batch,))),
    )
    lengths = jnp.arange(batch) % (T + 1) if masked else None
    if masked:  # whatever padding holds
        xs = jnp.where((jnp.arange(T)[:, None] < lengths)[..., None], xs, jnp.nan)
    both = [
        jax.value_and_grad(loss_of(cell, lengths, reverse, backward), (0, 1, 2))(params, xs, carry)
        for backward in ("auto", "scan")
    ]
    agree(*both)
    assert taken == [units]  # and never for the plain scan


def test_runs_are_programs_beside_each_other_and_ids_are_rows(taken):
    cell = lstm(8)
    params = jax.vmap(lambda key: cell.init(key, 11))(jax.random.split(jax.random.key(0), 3))
    ids = jax.random.randint(jax.random.key(1), (3, T, B), 0, 11)
    carry = cell.initial_carry(jax.tree.map(lambda leaf: leaf[0], params), (B,))

    def gradient(backward):
        loss = loss_of(cell, None, False, backward)
        return jax.vmap(lambda params, ids: jax.value_and_grad(loss)(params, ids, carry))(params, ids)

    agree(gradient("auto"), gradient("scan"))
    assert taken == [8]


def test_other_derivatives_are_those_of_the_scan(taken):
    cell = lstm(6)
    params = cell.init(jax.random.key(0), D)
    xs, carry = draw((T, B, D)), cell.initial_carry(params, (B,))
    direction = jax.tree.map(lambda leaf: draw(leaf.shape, 2), params)

    def derivatives(backward):
        loss = lambda params: loss_of(cell, None, False, backward)(params, xs, carry)  # noqa: E731
        forward = jax.jvp(loss, (params,), (direction,))
        over_reverse = jax.jvp(jax.grad(loss), (params,), (direction,))
        along = lambda params: jnp.vdot(jax.grad(loss)(params).u, direction.u)  # noqa: E731
        of_gradient = jax.grad(along)
        return forward, over_reverse, of_gradient(params)

    agree(derivatives("auto"), derivatives("scan"))
    assert taken


def test_it_is_taken_only_for_the_cell_that_it_is():
    assert lstm(4).fused is not None
    for options in (
        {"activation": "relu"},
        {"gate": "hard_sigmoid"},
        {"state_bias": True},
        {"output_gate": "recurrent"},
    ):
        assert lstm(4, **options).fused is None


def test_it_pays_on_a_gpu_while_triton_is_there(monkeypatch):
    assert not lstm_kernel.pays(8)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert lstm_kernel.pays(lstm_kernel.MAX_UNITS)
    assert not lstm_kernel.pays(lstm_kernel.MAX_UNITS + 1)
    monkeypatch.setattr(lstm_kernel, "TRITON", "jax.experimental.pallas.no_such_backend")
    assert not lstm_kernel.pays(8)


@pytest.mark.parametrize("embedding_size", [None, pytest.param(5, marks=pytest.mark.slow)])
def test_a_sweep_trains_the_same_with_it(embedding_size, taken, monkeypatch):
    data = DataShape("letters", "classification", 9, 3, has_token_inputs=True)
    spec = ArmSpec(data=data, cell="lstm", hidden_size=6, steps_per_epoch=2, batch_size=4, eval_batch_size=4,
                   embedding_size=embedding_size, optimizer="sgd")  # fmt: skip
    drawn = np.random.default_rng(0)
    split = Split(drawn.integers(0, 9, (8, T)).astype(np.int32), drawn.integers(0, 3, 8).astype(np.int32),
                  drawn.integers(1, T + 1, 8).astype(np.int32))  # fmt: skip

    runs = run_grid(range(3), {"learning_rate": (0.1,)})

    def trained():
        sweep = Sweep(spec, runs, {"train": split}, devices=jax.devices()[:1], runs_per_device=2)
        return sweep.to_host(sweep.train(sweep.init(), sweep.batch_indices(1), 0, 2).params)

    with_kernel = trained()
    assert set(taken) == {6}
    monkeypatch.setattr(lstm_kernel, "pays", lambda units: False)
    agree(with_kernel, trained())


def test_dropped_and_zoned_cells_have_none(taken):
    model = make_model(lstm(6), 5, 2, per_step=False, embedding_size=3)
    params = model.init(jax.random.key(0))
    model.apply(params, jnp.zeros((2, T), jnp.int32), None, None)
    assert taken
    taken.clear()
    model.apply(params, jnp.zeros((2, T), jnp.int32), None, None, resets=jnp.zeros((2, T), bool))
    assert not taken
