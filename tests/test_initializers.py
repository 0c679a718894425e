"""Initial values: limits and deviations of every initializer, biases, and the two cerebral paths."""

import itertools

import jax
import numpy as np
import pytest
from helpers.cases import H

from rnnlab.cells import CELLS, factory_options, make_cell, stack
from rnnlab.cells.initializers import INITIALIZERS

N_IN, GATES, HIDDEN = 60, 4, 40  # unlike fans, so that one cannot stand for the other
UNIFORM = {
    "glorot_uniform": np.sqrt(6 / (60 + 40)),
    "keras_glorot_uniform": np.sqrt(6 / (60 + 4 * 40)),
    "tf1_xavier": np.sqrt(6 / (4 * (60 + 40))),
    "tf1_xavier_two_layers": np.sqrt(6 / (2 * 4 * (60 + 40))),  # a receptive field of [2, 4]
    "torch_uniform": 1 / np.sqrt(40),
}
NORMAL = {"glorot_normal": np.sqrt(2 / (60 + 40)), "lecun_normal": 1 / np.sqrt(60)}
ORTHOGONAL = {"orthogonal", "keras_orthogonal"}
DRAWN = [name for name in CELLS if "w_init" in factory_options(CELLS[name].factory)]  # a neuron's weights are not
RECURRENT = [name for name in DRAWN if "u_init" in factory_options(CELLS[name].factory)]  # no matrix of h elsewhere


def test_cells_without_an_initializer():
    assert set(CELLS) - set(DRAWN) == {"hodgkin_huxley", "lru", "s5"}  # these two draw as their papers do
    assert set(DRAWN) - set(RECURRENT) == {
        "qrnn", "min_gru", "min_lstm", "rg_lru", "mlstm", "indrnn", "sru", "brc",
    }  # fmt: skip


def draw(name, seed=0, shape=(N_IN, GATES, HIDDEN)):
    block = np.asarray(INITIALIZERS[name](jax.random.key(seed), shape))
    assert block.shape == shape
    assert block.dtype == np.float32
    return block


def test_every_initializer_has_a_row():
    assert set(INITIALIZERS) == {*UNIFORM, *NORMAL, *ORTHOGONAL}


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform(name):
    limit, block = UNIFORM[name], draw(name)
    # 9,600 draws: the largest is within 0.1 % of the limit, deviation and mean are known to 0.6 % of it
    assert 0.997 * limit < block.max() <= limit
    assert -limit <= block.min() < -0.997 * limit
    assert abs(block.std() / (limit / np.sqrt(3)) - 1) < 0.03
    assert abs(block.mean()) < 0.03 * limit
    assert np.mean(block == draw(name, 1)) < 0.01


@pytest.mark.parametrize("name", NORMAL)
def test_normal(name):
    deviation, block = NORMAL[name], draw(name)
    assert abs(block.std() / deviation - 1) < 0.04  # known to 0.7 %
    assert abs(block.mean()) < 0.05 * deviation
    assert abs(np.mean(np.abs(block) < deviation) - 0.683) < 0.03  # 0.577 were it uniform
    assert np.abs(block).max() > 3 * deviation  # not truncated
    assert np.mean(block == draw(name, 1)) < 0.01


def test_tf1_xavier_of_the_tutorial():
    """PAPERS: sqrt(3 / 2048) for [4, 512, 512], half of a gate's Glorot limit."""
    block = draw("tf1_xavier", shape=(512, 4, 512))
    assert 0.999 < block.max() / np.sqrt(3 / 2048) <= 1
    glorot = draw("glorot_uniform", shape=(512, 4, 512))
    assert abs(glorot.std() / block.std() - 2) < 0.01


@pytest.mark.parametrize("shape", [(40, 3, 40), (60, 3, 40), (20, 3, 40)], ids=["square", "tall", "wide"])
def test_every_gates_block_is_orthogonal(shape):
    block = draw("orthogonal", shape=shape)
    for gate in range(3):
        matrix = block[:, gate].astype(np.float64)
        gram = matrix.T @ matrix if shape[0] >= shape[2] else matrix @ matrix.T
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)  # a float32 QR
    assert np.abs(block[:, 0] - block[:, 1]).max() > 0.1
    assert np.abs(block - draw("orthogonal", 1, shape)).max() > 0.1


def test_keras_orthogonal_is_joint():
    """The rows of ``recurrent_kernel [H, G*H]`` are orthonormal; a gate's own block is not."""
    block = draw("keras_orthogonal", shape=(40, 4, 40)).astype(np.float64)
    rows = block.reshape(40, 160)
    np.testing.assert_allclose(rows @ rows.T, np.eye(40), atol=1e-5)
    assert np.abs(block[:, 0] @ block[:, 0].T - np.eye(40)).max() > 0.1


@pytest.mark.parametrize(
    "name", ["lstm", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in RECURRENT if name != "lstm")]
)
def test_cells_take_the_initializers_named(name):
    """w has D inputs and as many gates as see x, u has H inputs and its own gates; neither takes the other's name."""
    options = {"grid_lstm_2d": {"patch": 60}, "grid_lstm_nd": {"shape": "1"}}.get(name, {})  # w sees what a place gets
    w, u = make_cell(name, 40, w_init="tf1_xavier", u_init="glorot_normal", **options).init(jax.random.key(1), 60)[:2]
    gates = w.size // (60 * 40) // (2 if name == "cerebral_lstm" else 1)
    assert 0.98 < np.abs(w).max() / np.sqrt(6 / (gates * (60 + 40))) <= 1
    assert np.abs(np.std(u) / np.sqrt(2 / 80) - 1) < 0.08  # 1,600 draws or more: known to 1.8 %
    assert np.abs(u).max() > 2.5 * np.sqrt(2 / 80)  # normal


def test_a_qrnn_draws_its_window_as_one_block():
    """The product of K inputs has K*D inputs, as the author's one linear layer over them has; there is no u."""
    w = make_cell("qrnn", 40, window=3, w_init="tf1_xavier").init(jax.random.key(1), 60).w
    assert w.shape == (60, 3, 3, 40)
    for tap in range(3):
        assert 0.98 < np.abs(w[:, tap]).max() / np.sqrt(6 / (3 * (3 * 60 + 40))) <= 1
        assert abs(np.corrcoef(w[:, tap].ravel(), w[:, tap - 1].ravel())[0, 1]) < 0.06  # 7,200 draws
    defaults = factory_options(CELLS["qrnn"].factory)
    assert defaults["w_init"].default == "glorot_uniform"
    assert "u_init" not in defaults


@pytest.mark.parametrize("tied", [False, True])
def test_layers_of_a_grid_start_apart(tied):
    u = make_cell("grid_lstm", 20, layers=2, tied=tied, u_init="glorot_normal").init(jax.random.key(0), 20).u
    assert u.shape == (1 if tied else 2, 40, 2, 4, 20)
    blocks = np.asarray(u).reshape(-1, 20, 8, 20).swapaxes(1, 2).reshape(-1, 400)  # by layer and source, then gate
    assert np.abs(np.corrcoef(blocks) - np.eye(len(blocks))).max() < 0.25  # 400 draws: five deviations


@pytest.mark.parametrize("name", sorted(RECURRENT))
def test_default_initializers(name):
    """Glorot-uniform inputs and orthogonal recurrences for all but the author's own draws for his cell."""
    defaults = factory_options(CELLS[name].factory)
    expected = ("author", "author") if name == "cerebral_lstm" else ("glorot_uniform", "orthogonal")
    assert (defaults["w_init"].default, defaults["u_init"].default) == expected


FORGET_BIASES = {  # cell -> default; the row of f is the second, after i, or the first
    "lstm": 1.0,
    "peephole_lstm": 1.0,
    "lstm1": 1.0,
    "lstm3": 1.0,
    "lstm5": 1.0,
    "biological_lstm": 0.0,
    "cerebral_lstm": 0.0,
    "qrnn": 0.0,
    "grid_lstm": 1.0,
    "grid_lstm_2d": 1.0,
    "grid_lstm_nd": 1.0,
    "min_lstm": 0.0,
    "slstm": 1.0,
    "layer_norm_lstm": 1.0,
    "projected_lstm": 1.0,
    "greff_lstm": 1.0,
    "janet": 1.0,
    "ugrnn": 1.0,
    "sru": 0.0,
    "mlstm": 3.0,
}


def cheap(name):
    """Options that spare an orthogonal draw, which takes a second to compile."""
    return {"u_init": "glorot_uniform"} if name in RECURRENT and name != "cerebral_lstm" else {}


INPUT_BIASES = {"lstm", "lstm_1997", "cerebral_lstm"}  # 0 by default


def test_cells_with_a_forget_or_an_input_bias():
    for option, cells in (("forget_bias", set(FORGET_BIASES)), ("input_bias", INPUT_BIASES)):
        assert {name for name in CELLS if option in factory_options(CELLS[name].factory)} == cells


@pytest.mark.parametrize("name", DRAWN)
def test_biases_start_at_zero_but_the_forget_and_input_gates(name):
    given = {"forget_bias": 0.6} if name in FORGET_BIASES else {}
    given |= {"input_bias": -0.3} if name in INPUT_BIASES else {}
    for options, forget, entry in ((given, 0.6, -0.3), ({}, FORGET_BIASES.get(name), 0.0)):
        params = make_cell(name, H, **cheap(name), **options).init(jax.random.key(0, impl="unsafe_rbg"), 3)
        biases = {
            field: np.array(value)
            for field, value in params._asdict().items()
            if field.startswith("b") and value is not None
        }
        assert biases or name in ("brc", "nbrc")  # printed without
        f = 0 if name in ("qrnn", "janet", "ugrnn", "sru") else 1  # after i, which these lack
        if name in FORGET_BIASES:
            of_gates = biases["b_gates" if name == "mlstm" else "b"]
            assert (of_gates[..., f, :] == np.float32(forget)).all()
            of_gates[..., f, :] = 0
        if name in INPUT_BIASES:
            assert (biases["b"][..., 0, :] == np.float32(entry)).all()
            biases["b"][..., 0, :] = 0
        assert not any(value.any() for value in biases.values())


@pytest.mark.parametrize("peephole", ["full", "diagonal"])
def test_peepholes_start_small_and_not_at_zero(peephole):
    cell = make_cell("peephole_lstm", 60, peephole=peephole, u_init="glorot_uniform")
    p = np.asarray(cell.init(jax.random.key(0), 3).p)
    limit = np.sqrt(6 / (60 + 60)) if peephole == "full" else np.sqrt(6 / (1 + 60))
    assert 0.95 < np.abs(p).max() / limit <= 1
    rows = p.reshape(-1, 3, 60)
    assert np.abs(rows[:, 0] - rows[:, 1]).max() > 0.1 * limit  # every gate its own


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in RECURRENT),
        ("peephole_lstm", {"peephole": "full"}),
        ("grid_lstm", {"depth": "feedforward"}),
    ],
)
def test_no_two_weights_share_a_key(name, options):
    """One key gives one stream of numbers, whatever the shape: two leaves drawn from it would be proportional."""
    cell = make_cell(name, 20, w_init="glorot_uniform", u_init="glorot_uniform", **options)
    params = cell.init(jax.random.key(0), 20)._asdict().items()
    weights = {
        n: np.ravel(value) for n, value in params if isinstance(value, jax.Array) and not n.startswith(("b", "scale"))
    }
    assert len(weights) >= 2
    for (n, a), (m, b) in itertools.combinations(weights.items(), 2):
        shared = min(a.size, b.size)  # 40 numbers or more: chance correlates them by 0.16
        assert abs(np.corrcoef(a[:shared], b[:shared])[0, 1]) < 0.65, (n, m)


def paths_of(seed, inputs=30, hidden_size=40, **options):
    """``(upper, lower)``: dicts of w, u, b."""
    params = make_cell("cerebral_lstm", hidden_size, **options).init(jax.random.key(seed), inputs)
    axes = {"w": 1, "u": 1, "b": 0}
    return [{n: np.take(np.asarray(getattr(params, n)), path, axes[n]) for n in axes} for path in (0, 1)]


def test_the_authors_deviations():
    """Of his draws over [D + H, H] in torch, whose fan in is the second size, H: 1/sqrt(H) for gates, and
    5/3 * sqrt(2 / (D + 2H)) for the candidate. test_oracles.py holds the same against his package."""
    for path in paths_of(0, 150, 50):
        for name in ("w", "u"):
            deviations = np.std(path[name], axis=(0, 2))  # of 2,500 draws or more: known to 1.4 %
            gate, candidate = 1 / np.sqrt(50), 5 / 3 * np.sqrt(2 / (150 + 2 * 50))
            np.testing.assert_allclose(deviations, [gate, gate, candidate, gate], rtol=0.08)
            assert np.abs(path[name]).max() > 3 * gate  # normal


@pytest.mark.parametrize("init", [{}, {"w_init": "glorot_uniform", "u_init": "glorot_normal"}], ids=["author", "named"])
def test_cerebral_paths(init):
    upper, lower = paths_of(0, **init)
    for name in ("w", "u"):
        assert abs(np.corrcoef(upper[name].ravel(), lower[name].ravel())[0, 1]) < 0.1  # 4,800 draws or more
        assert np.abs(np.std(upper[name]) / np.std(lower[name]) - 1) < 0.1
    upper, lower = paths_of(0, paths="identical", **init)
    for name in ("w", "u", "b"):
        np.testing.assert_array_equal(upper[name], lower[name])


def test_cerebral_noise_has_deviation_noise_std():
    """On every weight and bias of the lower path; the upper is what it would have been."""
    noise_std = 0.01
    upper, lower = paths_of(0, paths="noise", noise_std=noise_std)
    identical, _ = paths_of(0, paths="identical")
    noise = {name: lower[name] - upper[name] for name in upper}
    for name, count in (("w", 4800), ("u", 6400), ("b", 160)):
        np.testing.assert_array_equal(upper[name], identical[name])
        assert abs(noise[name].std() / noise_std - 1) < 5 / np.sqrt(2 * count), name
        assert abs(noise[name].mean()) < 5 * noise_std / np.sqrt(count), name
        assert np.all(noise[name] != 0)
    assert abs(np.corrcoef(noise["w"].ravel(), noise["u"].ravel()[:4800])[0, 1]) < 0.1  # a key each
    weights, added = (np.concatenate([np.ravel(tree[name]) for name in ("w", "u")]) for tree in (upper, noise))
    assert abs(np.corrcoef(weights, added)[0, 1]) < 0.05  # 11,200 numbers: chance gives 0.01
    upper, lower = paths_of(0, paths="noise", noise_std=0.0)
    for name in upper:
        np.testing.assert_array_equal(upper[name], lower[name])


def test_layers_of_a_stack_start_apart():
    one = make_cell("rnn", 6, u_init="glorot_uniform")
    below, above = stack([one, one]).init(jax.random.key(0), 6)
    assert np.mean(below.w == above.w) < 0.1
    assert np.mean(below.u == above.u) < 0.1
