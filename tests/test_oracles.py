"""Cells against other people's code: flax always; torch and the author's cerebral_lstm where they are installed.

Gate orders and biases are mapped by name, one gate at a time. Both sides run in float32.
"""

import importlib
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from helpers.cases import D, H, assert_trees_close, generator, random_carry, random_inputs, random_params

from rnnlab.cells.lstm import LSTMParams
from rnnlab.cells.registry import make_cell
from rnnlab.cells.rnn import RNNCarry
from rnnlab.cells.unroll import unroll

B, T = 3, 5
LENGTHS = np.array([5, 2, 3])
# Two float32 programs that add the same few terms in other orders, over five steps.
FLOAT32 = {"rtol": 2e-5, "atol": 5e-6}
GRADIENTS = {"rtol": 1e-4, "atol": 2e-5}  # sums over 15 examples and steps


def optional(module):
    """The module, or a skip that says why."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install 'rnnlab[oracles]' (Python below 3.12)")
    return importlib.import_module(module)


def drawn(name, **options):
    draw, cell = generator("oracles", name), make_cell(name, H, **options)
    params = random_params(cell, draw)
    return cell, params, random_carry(cell, params, draw, (B,)), random_inputs(draw, T, B, D)


def dense(kernel, bias=None):
    return {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias}


def flax_lstm():
    cell, p, carry, xs = drawn("lstm")
    theirs = {}
    for position, gate in enumerate("ifgo"):  # ours: i, f, c~, o
        theirs[f"i{gate}"] = dense(p.w[:, position])
        theirs[f"h{gate}"] = dense(p.u[:, position], p.b[position])
    return cell, p, carry, xs, nn.LSTMCell(H), theirs, (carry.c, carry.h)


def flax_gru():
    """Flax's z keeps the old state too, and ``hn`` has the candidate's recurrent bias."""
    cell, p, carry, xs = drawn("gru")
    theirs = {}
    for position, gate in enumerate("rzn"):  # ours: r, z, n
        theirs[f"i{gate}"] = dense(p.w[:, position], p.b[position])
        theirs[f"h{gate}"] = dense(p.u[:, position], p.b_n if gate == "n" else None)
    return cell, p, carry, xs, nn.GRUCell(H), theirs, carry.h


def flax_rnn():
    cell, p, carry, xs = drawn("rnn")
    return cell, p, carry, xs, nn.SimpleCell(H), {"i": dense(p.w, p.b), "h": dense(p.u)}, carry.h


FLAX = pytest.mark.parametrize("build", [flax_lstm, flax_gru, flax_rnn], ids=lambda build: build.__name__)


def as_flax(carry):
    return carry.h if isinstance(carry, RNNCarry) else (carry.c, carry.h)


@FLAX
def test_flax_step(build):
    cell, params, carry, xs, module, theirs, their_carry = build()
    after, h = cell.step(params, carry, xs[0])
    their_after, their_h = module.apply({"params": theirs}, their_carry, xs[0])
    np.testing.assert_allclose(h, their_h, **FLOAT32)
    assert_trees_close(as_flax(after), their_after, **FLOAT32)


@FLAX
def test_flax_sequence_of_unlike_lengths(build):
    cell, params, carry, xs, module, theirs, their_carry = build()
    after, hs = unroll(cell, params, xs, carry, lengths=LENGTHS)
    their_after, their_hs = nn.RNN(module, time_major=True, return_carry=True).apply(
        {"params": {"cell": theirs}}, xs, initial_carry=their_carry, seq_lengths=LENGTHS
    )
    assert_trees_close(as_flax(after), their_after, **FLOAT32)
    for b, length in enumerate(LENGTHS):  # flax goes on past the end
        np.testing.assert_allclose(hs[:length, b], their_hs[:length, b], **FLOAT32)


@FLAX
def test_flax_in_reverse(build):
    cell, params, carry, xs, module, theirs, their_carry = build()
    _, hs = unroll(cell, params, xs, carry, lengths=LENGTHS, reverse=True)
    their_hs = nn.RNN(module, time_major=True, reverse=True, keep_order=True).apply(
        {"params": {"cell": theirs}}, xs, initial_carry=their_carry, seq_lengths=LENGTHS
    )
    for b, length in enumerate(LENGTHS):
        np.testing.assert_allclose(hs[:length, b], their_hs[:length, b], **FLOAT32)


def gate_rows(blocks):
    """``[N, G, H]`` or ``[G, H]`` as torch packs gates: ``[G*H, N]`` or ``[G*H]``."""
    return np.concatenate([np.asarray(blocks)[..., gate, :].T for gate in range(blocks.shape[-2])])


def torch_lstm(torch):
    """torch packs i, f, g, o: our order. It has two biases whose sum is ours."""
    cell, p, carry, xs = drawn("lstm")
    return cell, p, carry, xs, torch.nn.LSTM(D, H), [gate_rows(p.w), gate_rows(p.u), gate_rows(p.b)]


def torch_gru(torch):
    """torch packs r, z, n: our order. Only the candidate's recurrent bias is not a sum with the input's."""
    cell, p, carry, xs = drawn("gru")
    return cell, p, carry, xs, torch.nn.GRU(D, H), [gate_rows(p.w), gate_rows(p.u), gate_rows(p.b)]


def torch_rnn(torch):
    cell, p, carry, xs = drawn("rnn")
    return cell, p, carry, xs, torch.nn.RNN(D, H), [p.w.T, p.u.T, p.b]


@pytest.mark.parametrize("build", [torch_lstm, torch_gru, torch_rnn], ids=lambda build: build.__name__)
def test_torch_values_and_gradients(build):
    torch = optional("torch")
    cell, params, carry, xs, module, (w_ih, w_hh, b_ih) = build(torch)
    b_hh = np.zeros(len(b_ih), np.float32)
    if isinstance(module, torch.nn.GRU):
        b_hh[2 * H :] = params.b_n
    with torch.no_grad():
        for name, value in {"weight_ih": w_ih, "weight_hh": w_hh, "bias_ih": b_ih, "bias_hh": b_hh}.items():
            getattr(module, f"{name}_l0").copy_(torch.tensor(np.array(value)))
    weights = random_inputs(generator("torch", build.__name__), T, B, H)

    their_xs = torch.tensor(xs, requires_grad=True)
    start = {field: torch.tensor(value[None], requires_grad=True) for field, value in carry._asdict().items()}
    state = (start["h"], start["c"]) if "c" in start else start["h"]
    their_hs, _ = module(their_xs, state)
    (their_hs * torch.tensor(weights)).sum().backward()

    def loss(params, carry, xs):
        hs = unroll(cell, params, xs, carry)[1]
        return jnp.vdot(hs, weights), hs

    (_, hs), gradients = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(params, carry, xs)
    np.testing.assert_allclose(hs, their_hs.detach().numpy(), **FLOAT32)
    by_params, by_carry, by_xs = gradients
    rows = (lambda a: np.asarray(a).T) if isinstance(module, torch.nn.RNN) else gate_rows
    np.testing.assert_allclose(rows(by_params.w), module.weight_ih_l0.grad.numpy(), **GRADIENTS)
    np.testing.assert_allclose(rows(by_params.u), module.weight_hh_l0.grad.numpy(), **GRADIENTS)
    np.testing.assert_allclose(rows(by_params.b), module.bias_ih_l0.grad.numpy(), **GRADIENTS)
    if isinstance(module, torch.nn.GRU):
        np.testing.assert_allclose(by_params.b_n, module.bias_hh_l0.grad.numpy()[2 * H :], **GRADIENTS)
    for field, value in start.items():
        np.testing.assert_allclose(getattr(by_carry, field), value.grad.numpy()[0], **GRADIENTS)
    np.testing.assert_allclose(by_xs, their_xs.grad.numpy(), **GRADIENTS)


def test_torch_uniform_is_torchs():
    """``torch_uniform`` has the limits of torch's own draw."""
    torch = optional("torch")
    torch.manual_seed(0)
    module = torch.nn.LSTM(60, 40)
    cell = make_cell("lstm", 40, w_init="torch_uniform", u_init="torch_uniform")
    params: LSTMParams = cell.init(jax.random.key(0), 60)
    for ours, theirs in ((params.w, module.weight_ih_l0), (params.u, module.weight_hh_l0)):
        assert abs(float(np.abs(ours).max()) / theirs.abs().max().item() - 1) < 0.005  # 6,400 draws or more
        assert abs(float(np.std(ours)) / theirs.std().item() - 1) < 0.05


GATE_LETTERS = "ifco"  # ours: i, f, c~, o; the package's: W_ui, W_uf, W_uc, W_uo and W_li ...


def author_weights(params):
    """Our parameters under the package's names: ``W_* [H + D, H]`` acts on [h, x]."""
    named = {}
    for path, letter in enumerate("ul"):
        for position, gate in enumerate(GATE_LETTERS):
            w, u, b = params.w[:, path, position], params.u[:, path, position], params.b[path, position]
            named[f"W_{letter}{gate}"] = np.concatenate([u, w])
            named[f"b_{letter}{gate}"] = np.asarray(b)
    return named


@pytest.mark.parametrize("steps", [1, T], ids=["step", "steps"])
def test_the_authors_cell_values_and_gradients(steps):
    torch = optional("torch")
    package = optional("cerebral_lstm")
    cell, params, carry, xs = drawn("cerebral_lstm")
    xs = xs[:steps]
    module = package.CerebralLSTMCell(D, H)
    with torch.no_grad():
        for name, value in author_weights(params).items():
            getattr(module, name).copy_(torch.tensor(value))
    weights = random_inputs(generator("author", steps), steps, B, H)

    start = {
        "h": torch.tensor(carry.h, requires_grad=True),
        "upper": torch.tensor(carry.c[:, 0].copy(), requires_grad=True),
        "lower": torch.tensor(carry.c[:, 1].copy(), requires_grad=True),
    }
    h, cells, outputs = start["h"], (start["upper"], start["lower"]), []
    their_xs = torch.tensor(xs, requires_grad=True)
    for x in their_xs:
        h, cells = module(x, h, cells)
        outputs.append(h)
    (torch.stack(outputs) * torch.tensor(weights)).sum().backward()

    def loss(params, carry, xs):
        after, hs = unroll(cell, params, xs, carry)
        return jnp.vdot(hs, weights), (after, hs)

    (_, (after, hs)), gradients = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))(params, carry, xs)
    np.testing.assert_allclose(hs, torch.stack(outputs).detach().numpy(), **FLOAT32)
    for path in (0, 1):
        np.testing.assert_allclose(after.c[:, path], cells[path].detach().numpy(), **FLOAT32)
    by_params, by_carry, by_xs = gradients
    for name, value in author_weights(by_params).items():
        np.testing.assert_allclose(value, getattr(module, name).grad.numpy(), err_msg=name, **GRADIENTS)
    np.testing.assert_allclose(by_carry.h, start["h"].grad.numpy(), **GRADIENTS)
    np.testing.assert_allclose(by_carry.c[:, 0], start["upper"].grad.numpy(), **GRADIENTS)
    np.testing.assert_allclose(by_carry.c[:, 1], start["lower"].grad.numpy(), **GRADIENTS)
    np.testing.assert_allclose(by_xs, their_xs.grad.numpy(), **GRADIENTS)


def test_the_authors_initial_values():
    """Every weight matrix has the deviation that the package draws, at unlike D and H; biases are zero."""
    torch = optional("torch")
    package = optional("cerebral_lstm")
    inputs, hidden_size = 150, 50
    torch.manual_seed(0)
    module = package.CerebralLSTMCell(inputs, hidden_size)
    params = make_cell("cerebral_lstm", hidden_size).init(jax.random.key(0), inputs)
    for name, ours in author_weights(params).items():
        theirs = getattr(module, name).detach().numpy()
        if name.startswith("b_"):
            np.testing.assert_array_equal(ours, theirs)
            continue
        for rows in (slice(0, hidden_size), slice(hidden_size, None)):  # of h, of x: 2,500 draws or more, known to 2 %
            assert abs(np.std(ours[rows]) / np.std(theirs[rows]) - 1) < 0.1, name
            assert abs(np.mean(ours[rows])) < 0.1 * np.std(theirs[rows]), name
        assert np.abs(ours).max() > 3 * np.std(theirs), name  # normal, not uniform


def packed(blocks, order):
    """``[N, G, H]`` or ``[G, H]`` as torch packs gates, in its ``order`` of ours; a vector or a matrix as it is."""
    return gate_rows(np.asarray(blocks)[..., list(order), :])


def by_gates(order, recurrent=None):
    """What a cell of GateParams gives to a module whose gates are ``order`` of ours, the recurrent ones another."""

    def weights(p):
        mine = order if recurrent is None else recurrent
        given = {"weight_ih": packed(p.w, order), "weight_hh": packed(p.u, mine)}
        return given | ({"bias_ih": packed(p.b, order)} if hasattr(p, "b") else {})

    return weights


def mut1_weights(p):
    """The candidate's bias is outside of tanh(x W), with h."""
    given, (b_r, b_n, b_z) = by_gates((2, 0, 1), (0, 1))(p), p.b
    return given | {
        "bias_ih": np.concatenate([b_z, b_r, 0 * b_n]), "bias_hh": np.concatenate([0 * b_r, b_n]),
    }  # fmt: skip


def vector_and_matrix(p):
    return {"weight_ih": p.w.T, "vector_u": p.u, "bias_ih": p.b}


def brc_vectors(p):
    return {"weight_ih": packed(p.w, (0, 1, 2)), "weight_hh": np.ravel(p.u)}


def oscillators(p):
    return {"weight_ih": p.w.T, "weight_hh": p.u[:, 0].T, "weight_ch": p.u[:, 1].T, "bias_ih": p.b}


@pytest.mark.parametrize(
    ("name", "theirs", "weights", "options"),
    [
        ("mgu", "MGUCell", by_gates((0, 1)), {}),
        ("janet", "JANETCell", by_gates((0, 1)), {"beta": 0.4}),
        ("ugrnn", "UGRNNCell", by_gates((1, 0)), {}),
        ("mut1", "MUT1Cell", mut1_weights, {}),
        ("mut2", "MUT2Cell", by_gates((2, 0, 1)), {}),  # ours: r, n, z
        ("mut3", "MUT3Cell", by_gates((2, 0, 1)), {}),
        ("indrnn", "IndRNNCell", vector_and_matrix, {}),
        ("brc", "BRCell", brc_vectors, {}),
        ("nbrc", "NBRCell", by_gates((0, 1, 2), (0, 1)), {}),
        ("cornn", "coRNNCell", oscillators, {"dt": 0.1, "gamma": 2.0, "epsilon": 3.0}),
    ],
)
def test_torchrecurrents_cells_over_time(name, theirs, weights, options):
    """Not its LEM, whose y reads the z of the step before, where paper and authors' code read the new one."""
    torch, package = optional("torch"), optional("torchrecurrent")
    cell, params, carry, xs = drawn(name, **options)
    more = {"nonlinearity": torch.relu} if name == "indrnn" else options
    module = getattr(package, theirs)(D, H, **more)
    given = weights(params)
    with torch.no_grad():
        for field, value in module.named_parameters():
            if field == "beta":  # of JANET: given above
                continue
            value.copy_(torch.tensor(np.array(given.pop(field, np.zeros(value.shape))).reshape(value.shape)))
    assert not given
    outputs, state = [], torch.tensor(carry[0])
    if name in ("janet", "cornn"):  # (h, c): of JANET one and the same
        state = (state, torch.tensor(carry[-1]))
    for x in torch.tensor(xs):
        state = module(x, state)
        outputs.append((state[0] if isinstance(state, tuple) else state).detach().numpy())
    np.testing.assert_allclose(unroll(cell, params, xs, carry)[1], outputs, **FLOAT32)


def test_torchs_projection():
    torch = optional("torch")
    cell, p, carry, xs = drawn("projected_lstm", state_size=6)
    module = torch.nn.LSTM(D, 6, proj_size=H)
    with torch.no_grad():
        for field, value in {"ih": gate_rows(p.w), "hh": gate_rows(p.u), "hr": p.p.T}.items():
            getattr(module, f"weight_{field}_l0").copy_(torch.tensor(np.array(value)))
        module.bias_ih_l0.copy_(torch.tensor(gate_rows(p.b)))
        module.bias_hh_l0.zero_()
    hs, (_, c) = module(torch.tensor(xs), (torch.tensor(carry.h[None]), torch.tensor(carry.c[None])))
    after, ours = unroll(cell, p, xs, carry)
    np.testing.assert_allclose(ours, hs.detach().numpy(), **FLOAT32)
    np.testing.assert_allclose(after.c, c[0].detach().numpy(), **FLOAT32)


def test_linen_normalizes_alike():
    """``nn.LayerNorm`` over all gates together, and its epsilon."""
    cell, p, carry, xs = drawn("layer_norm_lstm")
    norm = nn.LayerNorm(epsilon=1e-5)

    def normalized(a, scale, bias):
        flat = {"params": {"scale": np.ravel(scale), "bias": np.ravel(bias)}}
        return norm.apply(flat, a.reshape(B, -1)).reshape(a.shape)

    a = normalized(np.einsum("bd,dgh->bgh", xs[0], p.w), p.scale[0], p.b_scale[0])
    a = a + normalized(np.einsum("bd,dgh->bgh", carry.h, p.u), p.scale[1], p.b_scale[1]) + p.b
    gates = cell.gates(p, carry, xs[0])
    np.testing.assert_allclose(gates.candidate, np.tanh(a[:, 2]), **FLOAT32)
    np.testing.assert_allclose(gates.i, jax.nn.sigmoid(a[:, 0]), **FLOAT32)
