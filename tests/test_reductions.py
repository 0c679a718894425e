"""Reductions: a cell with terms removed or weights shared equals another cell, or a known sequence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import D, H, assert_trees_close, generator, random_carry, random_inputs, random_params

from rnnlab.cells import count_parameters, make_cell, stack
from rnnlab.cells.cerebral_lstm import CerebralCarry, CerebralParams
from rnnlab.cells.grid_block import GridCarry, GridParams
from rnnlab.cells.gru import GRUParams
from rnnlab.cells.lstm import LSTMCarry, LSTMParams
from rnnlab.cells.peephole_lstm import PeepholeParams
from rnnlab.cells.slim_lstm import SlimParams
from rnnlab.cells.unroll import unroll
from rnnlab.cells.wrappers.cerebral import PathParams

B, T = 2, 4
# Both sides sum the same few float32 terms, perhaps in another order, over four steps.
FLOAT32 = {"rtol": 2e-5, "atol": 5e-6}


def run(cell, params, xs, carry):
    """``(carry, hs)``, a step at a time."""
    hs = []
    for x in xs:
        carry, h = cell.step(params, carry, x)
        hs.append(h)
    return carry, jnp.stack(hs)


def an_lstm(*names):
    """``(cell, params, carry, xs)`` of a full LSTM with random everything."""
    draw, cell = generator("reductions", *names), make_cell("lstm", H)
    params = random_params(cell, draw)
    return cell, params, random_carry(cell, params, draw, (B,)), random_inputs(draw, T, B, D)


@pytest.mark.parametrize("peephole", ["full", "diagonal"])
@pytest.mark.parametrize("output_peephole", ["current", "previous"])
def test_zero_peepholes_give_the_lstm(peephole, output_peephole):
    cell, params, carry, xs = an_lstm(peephole, output_peephole)
    peeping = make_cell("peephole_lstm", H, peephole=peephole, output_peephole=output_peephole)
    p = np.zeros((H, 3, H) if peephole == "full" else (3, H), np.float32)
    blind = PeepholeParams(params.w, params.u, p, params.b)
    assert_trees_close(run(peeping, blind, xs, carry), run(cell, params, xs, carry), **FLOAT32)
    seeing = blind._replace(p=p + 1)
    assert np.abs(run(peeping, seeing, xs, carry)[1] - run(cell, params, xs, carry)[1]).max() > 0.01


@pytest.mark.parametrize("output_peephole", ["current", "previous"])
def test_diagonal_matrices_give_diagonal_peepholes(output_peephole):
    _, params, carry, xs = an_lstm("diagonal matrices", output_peephole)
    p = random_inputs(generator("peepholes"), 3, H)
    matrices = np.stack([np.diag(row) for row in p], axis=1)
    diagonal = make_cell("peephole_lstm", H, output_peephole=output_peephole)
    full = make_cell("peephole_lstm", H, peephole="full", output_peephole=output_peephole)
    assert_trees_close(
        run(full, PeepholeParams(params.w, params.u, matrices, params.b), xs, carry),
        run(diagonal, PeepholeParams(params.w, params.u, p, params.b), xs, carry),
        **FLOAT32,
    )


@pytest.mark.parametrize("variant", [1, 2, 3, 4, 5])
def test_an_lstm_with_terms_removed_is_the_slim_one(variant):
    cell, params, carry, xs = an_lstm("slim", variant)
    i_f_o, candidate = [0, 1, 3], 2  # LSTMParams order: i, f, c~, o
    w, u, b = params.w.copy(), params.u.copy(), params.b.copy()
    w[:, i_f_o] = 0
    if variant in (2, 4):
        b[i_f_o] = 0
    u_gates = None
    if variant == 3:
        u[:, i_f_o] = 0
    if variant in (4, 5):
        u_gates = random_inputs(generator("u_gates", variant), 3, H)
        for gate, row in zip(i_f_o, u_gates, strict=True):
            u[:, gate] = np.diag(row)
    slim = SlimParams(
        params.w[:, candidate],
        u if variant in (1, 2) else u[:, [candidate]],
        u_gates,
        b if variant in (1, 3, 5) else b[[candidate]],
    )
    got = run(make_cell(f"lstm{variant}", H), slim, xs, carry)
    assert_trees_close(got, run(cell, LSTMParams(w, u, b), xs, carry), **FLOAT32)


def test_a_forget_gate_of_one_gives_the_lstm_of_1997():
    cell, params, carry, xs = an_lstm("1997")
    params.w[:, 1], params.u[:, 1], params.b[1] = 0, 0, 40  # a logistic function of 40 is 1 in float32
    others = [0, 2, 3]
    old = LSTMParams(params.w[:, others], params.u[:, others], params.b[others])
    assert_trees_close(run(make_cell("lstm_1997", H), old, xs, carry), run(cell, params, xs, carry), **FLOAT32)


def test_a_recurrent_output_gate_is_one_without_input_and_bias():
    cell, params, carry, xs = an_lstm("output gate")
    recurrent = make_cell("lstm", H, output_gate="recurrent")
    fewer = LSTMParams(params.w[:, :3], params.u, params.b[:3])
    params.w[:, 3], params.b[3] = 0, 0
    assert_trees_close(run(recurrent, fewer, xs, carry), run(cell, params, xs, carry), **FLOAT32)


def test_no_bias_is_zero_bias():
    cell, params, carry, xs = an_lstm("bias")
    params.b[:] = 0
    bare = make_cell("lstm", H, bias=False)
    assert_trees_close(run(bare, params._replace(b=None), xs, carry), run(cell, params, xs, carry), **FLOAT32)


def a_gru(*names, **options):
    draw, cell = generator("reductions", *names), make_cell("gru", H, **options)
    params = random_params(cell, draw)
    return cell, params, random_carry(cell, params, draw, (B,)), random_inputs(draw, T, B, D)


def test_reset_before_and_after_agree_on_a_diagonal_matrix():
    """``(r * h) U_n = r * (h U_n)`` where U_n is diagonal, and only there."""
    before, params, carry, xs = a_gru("reset", reset="before")
    after = make_cell("gru", H)
    unlike = run(after, params._replace(b_n=np.zeros(H, np.float32)), xs, carry)[1]
    assert np.abs(unlike - run(before, params, xs, carry)[1]).max() > 0.01
    params.u[:, 2] = np.diag(np.diag(params.u[:, 2]))
    with_bias = params._replace(b_n=np.zeros(H, np.float32))
    assert_trees_close(run(after, with_bias, xs, carry), run(before, params, xs, carry), **FLOAT32)


def test_the_printed_gru_is_a_standard_one_with_shared_weights_and_the_other_update_gate():
    printed, params, carry, xs = a_gru("printed", variant="printed", reset="before")
    standard = make_cell("gru", H, reset="before")
    same = GRUParams(  # 1 - s(a) = s(-a)
        np.stack([params.w[:, 0], -params.w[:, 1], params.w[:, 0]], 1),
        np.stack([params.u[:, 0], -params.u[:, 1], params.u[:, 0]], 1),
        np.zeros((3, H), np.float32),
        None,
    )
    assert_trees_close(run(printed, params, xs, carry), run(standard, same, xs, carry), **FLOAT32)


def test_identical_cerebral_paths_are_an_lstm_whose_doubled_output_feeds_back():
    """``h = 2 * o * tanh(c)``, and that h, not half of it, is what the gates of the next step see."""
    lstm, params, carry, xs = an_lstm("cerebral")
    cerebral = make_cell("cerebral_lstm", H)
    twice = CerebralParams(np.stack([params.w] * 2, 1), np.stack([params.u] * 2, 1), np.stack([params.b] * 2))
    start = cerebral.initial_carry(twice, (B,))._replace(c=np.stack([carry.c] * 2, 1), h=carry.h)
    after, hs = run(cerebral, twice, xs, start)
    for x, h in zip(xs, hs, strict=True):
        single, half = lstm.step(params, carry, x)
        carry = LSTMCarry(single.c, 2 * half)
        np.testing.assert_allclose(h, 2 * half, **FLOAT32)
    for path in (0, 1):
        np.testing.assert_allclose(after.c[:, path], carry.c, **FLOAT32)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["code", "printed"])
def test_a_tied_path_is_two_identical_ones(variant):
    """From one key: half the parameters, the same outputs and cell states, and the sum of the two gradients."""
    twice, tied = (make_cell("cerebral_lstm", H, paths=paths, variant=variant) for paths in ("identical", "tied"))
    both, one = (cell.init(jax.random.key(5), D) for cell in (twice, tied))
    assert 2 * count_parameters(one) == count_parameters(both)
    draw = generator("tied", variant)
    xs, weights = random_inputs(draw, T, B, D), random_inputs(draw, T, B, H)
    (carry, hs), (tied_carry, tied_hs) = unroll(twice, both, xs), unroll(tied, one, xs)
    np.testing.assert_allclose(tied_hs, hs, **FLOAT32)
    for path in (0, 1):
        np.testing.assert_allclose(tied_carry.c[:, 0], carry.c[:, path], **FLOAT32)
    gradients = jax.grad(lambda p: jnp.vdot(unroll(twice, p, xs)[1], weights))(both)
    tied_gradients = jax.grad(lambda p: jnp.vdot(unroll(tied, p, xs)[1], weights))(one)
    for of_both, of_one, axis in zip(gradients, tied_gradients, (1, 1, 0), strict=True):
        np.testing.assert_allclose(of_one, np.sum(of_both, axis, keepdims=True), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("variant", ["code", "printed"])
@pytest.mark.parametrize(
    "hidden_size", [pytest.param(H, marks=pytest.mark.slow), 33]
)  # 33: blocks of vector instructions end within a path
def test_identical_cerebral_paths_get_bit_equal_gradients(variant, hidden_size):
    cell = make_cell("cerebral_lstm", hidden_size, paths="identical", variant=variant)
    params = cell.init(jax.random.key(5), D)
    draw = generator("bit equal", variant, hidden_size)
    xs, weights = random_inputs(draw, T, B, D), random_inputs(draw, T, B, hidden_size)
    gradients = jax.jit(jax.grad(lambda p: jnp.vdot(unroll(cell, p, xs)[1], weights)))(params)
    for leaf, axis in zip(gradients, (1, 1, 0), strict=True):
        upper, lower = np.split(np.asarray(leaf), 2, axis)
        assert np.abs(upper).max() > 0
        np.testing.assert_array_equal(upper, lower)


def test_the_printed_cerebral_cell_state_has_no_memory():
    draw = generator("no memory")
    for variant, remembers in (("code", True), ("printed", False)):
        cell = make_cell("cerebral_lstm", H, variant=variant)
        params = random_params(cell, draw)
        carry, x = random_carry(cell, params, draw, (B,)), random_inputs(draw, B, D)
        h = cell.step(params, carry, x)[1]
        other = cell.step(params, carry._replace(c=carry.c + 1), x)[1]
        assert bool(np.abs(h - other).max() > 0) == remembers


@pytest.mark.slow
@pytest.mark.parametrize("paths", ["independent", pytest.param("tied", marks=pytest.mark.slow)])
def test_the_cerebral_structure_around_an_lstm_is_the_cerebral_lstm(paths):
    """From the same weights: outputs, memories, gates, and gradients."""
    draw, options = generator("cerebral structure", paths), {"activation": "sigmoid", "paths": paths}
    of_lstm, written_out = make_cell("cerebral(lstm)", H, **options), make_cell("cerebral_lstm", H, **options)
    params = random_params(of_lstm, draw)
    w, u, b, _ = params.paths
    same = CerebralParams(np.moveaxis(w, 0, 1), np.moveaxis(u, 0, 1), b)
    carry, xs = random_carry(of_lstm, params, draw, (B,)), random_inputs(draw, T, B, D)
    weights = random_inputs(draw, T, B, H)
    start = CerebralCarry(*carry)
    assert_trees_close(
        tuple(of_lstm.gates(params, carry, xs[0])), tuple(written_out.gates(same, start, xs[0])), **FLOAT32
    )
    (after, hs), (end, expected) = run(of_lstm, params, xs, carry), run(written_out, same, xs, start)
    np.testing.assert_allclose(hs, expected, **FLOAT32)
    assert_trees_close(tuple(after), tuple(end), **FLOAT32)
    found = jax.grad(lambda p: jnp.vdot(unroll(of_lstm, p, xs, carry)[1], weights))(params).paths
    known = jax.grad(lambda p: jnp.vdot(unroll(written_out, p, xs, start)[1], weights))(same)
    moved = (np.moveaxis(known.w, 1, 0), np.moveaxis(known.u, 1, 0), known.b)
    assert_trees_close(tuple(found[:3]), moved, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_cerebral_paths_start_as_the_cell_does():
    own = {"forget_bias": 2.0, "u_init": "glorot_uniform"}
    inner, upper_key, lower_key = make_cell("lstm", H, **own), *jax.random.split(jax.random.key(5))
    noisy = {"noise": {"noise_std": 0.125}}
    for paths in ("independent", "identical", "noise", "tied"):
        found = (
            make_cell("cerebral(lstm)", H, paths=paths, **own, **noisy.get(paths, {})).init(jax.random.key(5), D).paths
        )
        upper = inner.init(upper_key, D)
        assert_trees_close(jax.tree.map(lambda leaf: leaf[0], found), upper, rtol=0, atol=0)
        if paths == "tied":
            assert {len(leaf) for leaf in jax.tree.leaves(found)} == {1}
            continue
        lower = jax.tree.map(lambda leaf: leaf[1], found)
        if paths != "noise":
            expected = inner.init(lower_key, D) if paths == "independent" else upper
            assert_trees_close(lower, expected, rtol=0, atol=0)
    wide = make_cell("cerebral(lstm)", 64, paths="noise", **own, **noisy["noise"]).init(jax.random.key(5), 64).paths
    noise = [np.asarray(leaf[1]) - leaf[0] for leaf in jax.tree.leaves(wide)]
    for draws in noise:  # 256 of them know their deviation to 5 %
        assert 0.11 < np.std(draws) < 0.14
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05  # w and u have one shape, not one noise


def test_identical_cerebral_paths_of_a_gru_are_the_gru():
    """Of which the shared h is the mean; added up, a state that is kept would double at every step."""
    single, params, carry, xs = a_gru("cerebral")
    twice = PathParams(jax.tree.map(lambda leaf: np.stack([leaf, leaf]), params))
    for cell, both in (
        (make_cell("cerebral(gru)", H), twice),
        (make_cell("cerebral(gru)", H, paths="tied"), jax.tree.map(lambda leaf: leaf[:1], twice)),
    ):
        assert_trees_close(run(cell, both, xs, carry), run(single, params, xs, carry), **FLOAT32)
    keeping = params._replace(b=params.b + np.float32([[0], [40], [0]]))  # z = 1
    twice = PathParams(jax.tree.map(lambda leaf: np.stack([leaf, leaf]), keeping))
    after, _ = run(make_cell("cerebral(gru)", H), twice, xs, carry)
    np.testing.assert_allclose(after.h, carry.h, **FLOAT32)


@pytest.mark.parametrize(("name", "hidden_size"), [("lstm", 33), ("gru", H)])
def test_identical_paths_of_any_cell_get_bit_equal_gradients(name, hidden_size):
    cell = make_cell(f"cerebral({name})", hidden_size, paths="identical", u_init="glorot_uniform")
    params = cell.init(jax.random.key(5), D)
    draw = generator("bit equal", name)
    xs, weights = random_inputs(draw, T, B, D), random_inputs(draw, T, B, hidden_size)
    gradients = jax.jit(jax.grad(lambda p: jnp.vdot(unroll(cell, p, xs)[1], weights)))(params)
    for upper, lower in jax.tree.leaves(gradients):
        assert np.abs(upper).max() > 0
        np.testing.assert_array_equal(upper, lower)


def test_dense_connections_that_are_cut_leave_a_plain_stack():
    """Rows of zeros for what comes from below the layer below."""
    draw, cells = generator("dense"), [make_cell("lstm", H), make_cell("rnn", H), make_cell("gru", H)]
    plain, dense = stack(cells), stack(cells, connections="dense")
    params = random_params(plain, draw)
    carry, xs = random_carry(plain, params, draw, (B,)), random_inputs(draw, T, B, D)

    def padded(p, below):
        return p._replace(w=np.concatenate([np.zeros((below, *p.w.shape[1:]), np.float32), p.w]))

    cut = (params[0], padded(params[1], D), padded(params[2], D + H))
    assert_trees_close(run(dense, cut, xs, carry), run(plain, params, xs, carry), **FLOAT32)


@pytest.mark.parametrize(
    "connections", ["dense", *(pytest.param(each, marks=pytest.mark.slow) for each in ("plain", "residual"))]
)
def test_the_scan_of_a_stack_of_qrnns_is_its_steps(connections):
    draw, cells = generator("qrnns", connections), [make_cell("qrnn", H), make_cell("qrnn", H, window=3)]
    cell = stack(cells, connections=connections, dropout=0.5, key=jax.random.key(1))
    params = random_params(cell, draw)
    carry, xs = random_carry(cell, params, draw, (B,)), random_inputs(draw, T, B, D)
    expected = run(cell, params, xs, carry)
    assert_trees_close(cell.scan(params, carry, xs, None, False), expected, **FLOAT32)
    assert_trees_close(unroll(cell, params, xs, carry, lengths=np.full(B, T)), expected, **FLOAT32)
    assert stack([cells[0], make_cell("lstm", H)]).scan is None


def a_biological(*names, **options):
    draw, cell = generator("reductions", *names), make_cell("biological_lstm", H, **options)
    params = random_params(cell, draw)
    return cell, params, random_carry(cell, params, draw, (B,)), random_inputs(draw, T, B, D)


def test_without_delta_the_biological_state_stays():
    cell, params, carry, xs = a_biological("delta", delta=0.0)
    after, hs = run(cell, params, xs, carry)
    np.testing.assert_array_equal(after.c, carry.c)
    assert np.abs(hs[1] - hs[0]).max() > 0.01  # while the output gate goes on reading x


def test_the_biological_state_grows_by_at_most_two_deltas():
    """Where b_c = 0, as it starts: two gates between 0 and 1."""
    cell, params, carry, xs = a_biological("growth", delta=0.25)
    assert not np.any(cell.init(jax.random.key(0), D).b_c)
    params = params._replace(b_c=np.zeros(H, np.float32))
    growths = []
    for x in 10 * xs:  # gates near 0 and near 1
        after, _ = cell.step(params, carry, x)
        growths.append(after.c - carry.c)
        carry = after
    assert np.min(growths) >= 0
    assert np.max(growths) <= 2 * 0.25 + 1e-6  # a sum of float32 numbers of size 1
    assert np.max(growths) > 0.4


@pytest.mark.parametrize("tied", [False, True])
def test_a_grid_of_time_alone_is_the_lstm(tied):
    lstm, params, carry, xs = an_lstm("grid of time")
    grid = make_cell("grid_lstm", H, dims=1, tied=tied)
    same = GridParams(params.w, params.u[None, :, None], None, params.b[None, None], None)
    after, hs = run(grid, same, xs, GridCarry(carry.c[:, None], carry.h[:, None]))
    expected, expected_hs = run(lstm, params, xs, carry)
    np.testing.assert_array_equal(hs, expected_hs)
    np.testing.assert_array_equal(after.c[:, 0], expected.c)
    np.testing.assert_array_equal(after.h[:, 0], expected.h)


@pytest.mark.parametrize("depth", ["lstm", "feedforward"])
def test_a_grid_whose_depth_hands_on_the_new_h_is_a_stack(depth):
    """With relu, which leaves h = o * relu(c) as it is. Depth's memory is written with h alone and read whole."""
    draw, layers = generator("grid stack", depth), 2
    grid = make_cell("grid_lstm", H, layers=layers, depth=depth, priority="depth", activation="relu")
    params = random_params(grid, draw)
    new_h = np.concatenate([np.eye(H), np.zeros((H, H))]).astype(np.float32)  # of H' = [h_t', h_d]
    if depth == "feedforward":
        params.v[:], params.b_v[:] = new_h, 0
    else:
        params.u[:, :, 1] = 0
        params.u[:, :, 1, 2] = new_h
        params.b[:, 1] = np.array([40, -40, 0, 40], np.float32)[:, None]  # i = 1, f = 0, o = 1 in float32
    stacked = stack([make_cell("lstm", H, activation="relu")] * layers)
    time, b = params.u[:, :, 0], params.b[:, 0]
    first = np.einsum("dh,hgk->dgk", params.w[:, 0], time[0, H:])
    same = (LSTMParams(first, time[0, :H], b[0]), LSTMParams(time[1, H:], time[1, :H], b[1]))
    carry, xs = random_carry(grid, params, draw, (B,)), random_inputs(draw, T, B, D)
    after, hs = run(grid, params, xs, carry)
    start = tuple(LSTMCarry(carry.c[:, layer], carry.h[:, layer]) for layer in range(layers))
    expected, expected_hs = run(stacked, same, xs, start)
    assert np.abs(hs).max() > 0.1
    np.testing.assert_allclose(hs, expected_hs, **FLOAT32)
    for layer in range(layers):
        assert_trees_close(tuple(leaf[:, layer] for leaf in after), tuple(expected[layer]), **FLOAT32)


def test_layers_of_a_tied_grid_are_layers_with_equal_weights():
    draw, options = generator("tied grid"), {"layers": 2, "depth": "feedforward"}
    tied, free = make_cell("grid_lstm", H, tied=True, **options), make_cell("grid_lstm", H, **options)
    params = random_params(tied, draw)
    twice = GridParams(params.w, *(np.concatenate([leaf, leaf]) for leaf in params[1:5]))
    carry, xs = random_carry(tied, params, draw, (B,)), random_inputs(draw, T, B, D)
    assert_trees_close(run(tied, params, xs, carry), run(free, twice, xs, carry), **FLOAT32)


def logistic(a):
    return 1 / (1 + np.exp(-a))


@pytest.mark.parametrize("steps", [1, 5])
def test_a_qrnn_is_a_convolution_and_a_pooling(steps):
    """Over the whole sequence in float64, inputs before the first zero."""
    draw = generator("convolution", steps)
    cell = make_cell("qrnn", H, window=3, pooling="ifo")
    params, xs = random_params(cell, draw), random_inputs(draw, steps, B, D)
    w, b = params.w.astype(np.float64), params.b.astype(np.float64)
    padded = np.concatenate([np.zeros((2, B, D)), xs])
    a = sum(np.einsum("tbd,dgh->tbgh", padded[2 - k : 2 - k + steps], w[:, k]) for k in range(3)) + b
    c, expected = np.zeros((B, H)), []
    for i, f, z, o in np.moveaxis(a, 2, 1):
        c = logistic(f) * c + logistic(i) * np.tanh(z)
        expected.append(logistic(o) * c)
    np.testing.assert_allclose(unroll(cell, params, xs)[1], np.stack(expected), **FLOAT32)


def test_a_qrnn_of_window_1_and_constant_forget_gate_is_an_exponential_average():
    draw = generator("average")
    cell = make_cell("qrnn", H, window=1, pooling="f")
    params, xs = random_params(cell, draw), random_inputs(draw, T, B, D)
    params.w[:, 0, 0] = 0
    f, z = logistic(params.b[0]), np.tanh(xs @ params.w[:, 0, 1] + params.b[1])
    expected = sum((1 - f) * f ** (T - 1 - t) * z[t] for t in range(T))
    np.testing.assert_allclose(unroll(cell, params, xs)[1][-1], expected, **FLOAT32)
