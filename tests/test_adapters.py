"""Flax cells in the lab and lab cells in Flax: the values of Flax's own RNN, to rounding."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers.cases import filled, generator

from rnnlab.cells import make_cell, stack
from rnnlab.cells.from_flax import flax_factory
from rnnlab.cells.to_flax import LinenCell, LinenLayer, NNXCell, NNXLayer
from rnnlab.cells.unroll import unroll
from rnnlab.cli.main import main
from rnnlab.core.errors import InputError

B, T, D, H = 3, 6, 2, 5
LENGTHS = np.array([6, 2, 4])
XS = jax.random.normal(jax.random.key(1), (B, T, D))
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
CEREBRAL, NOISY = make_cell("cerebral_lstm", H), make_cell("biological_lstm", H, noise=0.5)
STACKED = stack([make_cell("gru", 4), make_cell("lstm3", 6)])


def time_major(cell, params, **options):
    return unroll(cell, params, XS.swapaxes(0, 1), **options)[1].swapaxes(0, 1)


@pytest.mark.parametrize(
    "cell", [CEREBRAL, *(pytest.param(cell, marks=pytest.mark.slow) for cell in (NOISY, STACKED))],
    ids=["cerebral", "noisy", "stacked"],
)  # fmt: skip
def test_linens_rnn_runs_our_cells(cell):
    layer = nn.RNN(LinenCell(cell), return_carry=True)
    variables = layer.init(jax.random.key(2), XS)
    carry, hs_BTH = layer.apply(variables, XS, seq_lengths=LENGTHS)
    params = variables["params"]["cell"]["cell"]
    ours, hs_TBH = unroll(cell, params, XS.swapaxes(0, 1), lengths=LENGTHS)
    for b, length in enumerate(LENGTHS):
        np.testing.assert_allclose(hs_BTH[b, :length], hs_TBH[:length, b], **CLOSE)
    for a, b in zip(jax.tree.leaves(carry), jax.tree.leaves(ours), strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)


def test_nnxs_rnn_runs_our_cells_and_a_layer_of_ours_gives_the_same():
    rnn = nnx.RNN(NNXCell(CEREBRAL, D, rngs=nnx.Rngs(0)))
    params = rnn.cell.params
    np.testing.assert_allclose(rnn(XS), time_major(CEREBRAL, params), **CLOSE)
    layer = NNXLayer(CEREBRAL, D, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(layer(XS), rnn(XS), **CLOSE)
    linen = LinenLayer(CEREBRAL, reverse=True).apply({"params": {"cell": params}}, XS, LENGTHS)
    np.testing.assert_allclose(linen, time_major(CEREBRAL, params, lengths=LENGTHS, reverse=True), **CLOSE)


@pytest.mark.slow
def test_both_directions_and_two_training_steps_of_each_kind():
    both = nn.Bidirectional(*(nn.RNN(LinenCell(make_cell("gru", H))) for _ in range(2)))
    variables = both.init(jax.random.key(0), XS)
    assert both.apply(variables, XS).shape == (B, T, 2 * H)
    bidirectional = NNXLayer(make_cell("bidirectional(gru)", H), D, rngs=nnx.Rngs(0))
    assert bidirectional(XS).shape == (B, T, 2 * H)

    def trained(value, params):
        optimizer, losses = optax.sgd(0.1), []
        state = optimizer.init(params)
        for _ in range(3):
            loss, gradient = jax.jit(jax.value_and_grad(value))(params)
            updates, state = optimizer.update(gradient, state)
            params = optax.apply_updates(params, updates)
            losses.append(float(loss))
        return losses

    optimizer = nnx.Optimizer(bidirectional, optax.sgd(0.1), wrt=nnx.Param)
    value, gradient = nnx.value_and_grad(lambda module: jnp.mean((module(XS) - 0.3) ** 2))(bidirectional)
    optimizer.update(bidirectional, gradient)
    assert jnp.mean((bidirectional(XS) - 0.3) ** 2) < value
    bidirectional.set_params(filled(generator("layer"), bidirectional.params))
    np.testing.assert_allclose(bidirectional(XS), time_major(bidirectional.cell, bidirectional.params), **CLOSE)
    linen = trained(lambda v: jnp.mean((both.apply(v, XS) - 0.3) ** 2), variables)
    graph, state = nnx.split(bidirectional)
    nnx_losses = trained(lambda s: jnp.mean((nnx.merge(graph, s)(XS) - 0.3) ** 2), state)
    for losses in (linen, nnx_losses):
        assert losses[2] < losses[1] < losses[0]


LINEN = ["LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell", "MGUCell"]
NNX = ["LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell"]


@pytest.mark.parametrize("name", [LINEN[1], *(pytest.param(name, marks=pytest.mark.slow) for name in LINEN[2:])])
def test_linen_cells_give_what_linens_rnn_gives(name):
    cell = make_cell(f"flax.linen:{name}", H)
    params = cell.init(jax.random.key(0), D)
    expected = nn.RNN(getattr(nn, name)(H)).apply({"params": {"cell": params}}, XS, seq_lengths=LENGTHS)
    found = time_major(cell, params, lengths=LENGTHS)
    for b, length in enumerate(LENGTHS):
        np.testing.assert_allclose(found[b, :length], expected[b, :length], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [NNX[0], *(pytest.param(name, marks=pytest.mark.slow) for name in NNX[1:])])
def test_nnx_cells_give_what_nnxs_rnn_gives_and_the_fast_gradient_is_the_plain_one(name):
    cell = make_cell(f"flax.nnx:{name}", H)
    params = cell.init(jax.random.key(0), D)
    graph, state, rest = nnx.split(getattr(nnx, name)(D, H, rngs=nnx.Rngs(3)), nnx.Param, ...)
    nnx.replace_by_pure_dict(state, params)
    np.testing.assert_allclose(
        time_major(cell, params), nnx.RNN(nnx.merge(graph, state, rest))(XS), rtol=1e-6, atol=1e-7
    )
    fast, plain = (
        jax.grad(lambda p, how=how: jnp.sum(jnp.sin(time_major(cell, p, backward=how))))(params)
        for how in ("auto", "scan")
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), fast, plain)
    ids = jnp.array([[0], [1]])
    rows = unroll(cell, params, jax.nn.one_hot(ids, D))[1]
    np.testing.assert_allclose(unroll(cell, params, ids)[1], rows, rtol=1e-6)


class Leaky(nn.RNNCellBase):
    """A user's linen cell."""

    features: int
    leak: float = 0.5
    counts: bool = False

    @nn.compact
    def __call__(self, carry, inputs):
        if self.counts:
            self.variable("seen", "steps", lambda: 0)
        h = self.leak * carry + nn.tanh(nn.Dense(self.features)(inputs))
        return h, h

    @nn.nowrap
    def initialize_carry(self, rng, input_shape):
        return jnp.zeros((*input_shape[:-1], self.features))

    @property
    def num_feature_axes(self):
        return 1


class Block(nn.Module):
    """No recurrent cell."""

    features: int


@pytest.mark.slow
def test_flax_cells_are_arms_like_any_other_and_their_options_are_swept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("from flax.linen import GRUCell as Mine\n")
    command = [
        "run", "mnist_slim", "--data", "digits", "--arms", "Mine,GRUCell",
        "--cell", "mine.py:Mine", "--cell", "flax.nnx:GRUCell", "--seeds", "2", "--epochs", "1", "--out", "run",
        "--set", "steps_per_epoch=2", "hidden_size=3", "learning_rate=0.01",
    ]  # fmt: skip
    assert main(command) == 0
    assert main(["resume", "run", "--epochs", "2"]) == 0
    assert main(["analyze", "run", "--examples", "2", "--what", "state"]) == 0
    options = flax_factory(Leaky)(H, leak=jnp.float32(0.25))
    assert unroll(options, options.init(jax.random.key(0), D), XS)[1].shape == (B, T, H)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: make_cell("flax.linen:GRUCel", 3), "did you mean 'GRUCell'?"),
        (lambda: make_cell("flax.linen:Dense", 3), "class of flax.linen: unknown value 'Dense'"),
        (lambda: flax_factory(Block), "Block has no initialize_carry"),
        (lambda: flax_factory(Leaky)(3, leek=0.1), "did you mean 'leak'?"),
        (lambda: flax_factory(Leaky)(3, counts=True).init(jax.random.key(0), 2), "state that is no parameter (seen)"),
        (lambda: NNXCell(make_cell("bidirectional(gru)", 3), 2, rngs=nnx.Rngs(0)), "needs the whole sequence"),
    ],
)
def test_what_is_no_cell_is_one_line(make, told):
    with pytest.raises(InputError) as caught:
        make()
    assert told in str(caught.value)
