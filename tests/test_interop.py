"""Weights of PyTorch and Keras: the same outputs, there and back the same arrays."""

import jax
import numpy as np
import pytest
from helpers.cases import assert_trees_equal, filled, generator, random_inputs

from rnnlab.cells import make_cell, stack
from rnnlab.cells.unroll import unroll
from rnnlab.core.errors import InputError
from rnnlab.interop import cerebral, keras
from rnnlab.interop.torch import from_state_dict, to_state_dict

T, B, D, H = 5, 3, 2, 4
XS = random_inputs(generator("interop"), T, B, D)


def drawn(cell):
    return filled(generator("interop", cell.hidden_size), jax.eval_shape(lambda: cell.init(jax.random.key(0), D)))


def several(name, layers, both):
    parts = [make_cell(f"bidirectional({name})" if both else name, H) for _ in range(layers)]
    return stack(parts) if layers > 1 else parts[0]


@pytest.mark.parametrize("both", [False, True], ids=["one direction", "both"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_there_and_back(name, layers, both):
    params = drawn(several(name, layers, both))
    state = to_state_dict(params)
    assert len(state) == 4 * layers * (1 + both)
    assert_trees_equal(from_state_dict(name, state), params)


@pytest.mark.slow
@pytest.mark.parametrize("both", [False, True], ids=["one direction", "both"])
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_pytorch_gives_our_outputs_and_we_give_its(name, both):
    torch = pytest.importorskip("torch")
    cell = several(name, 2, both)
    params = drawn(cell)
    module = getattr(torch.nn, name.upper())(D, H, num_layers=2, bidirectional=both)
    own = {key: value.numpy().copy() for key, value in module.state_dict().items()}
    module.load_state_dict({key: torch.tensor(value) for key, value in to_state_dict(params).items()})
    with torch.no_grad():
        np.testing.assert_allclose(unroll(cell, params, XS)[1], module(torch.tensor(XS))[0], rtol=1e-5, atol=2e-6)
        module.load_state_dict({key: torch.tensor(value) for key, value in own.items()})
        theirs = module(torch.tensor(XS))[0]
    np.testing.assert_allclose(unroll(cell, from_state_dict(name, own), XS)[1], theirs, rtol=1e-5, atol=2e-6)


@pytest.mark.slow
def test_the_authors_cerebral_lstm_gives_our_outputs_and_we_give_its():
    torch, package = pytest.importorskip("torch"), pytest.importorskip("cerebral_lstm")
    cell = several("cerebral_lstm", 2, False)
    params = drawn(cell)
    module = package.CerebralLSTM(D, H, num_layers=2)
    own = {key: value.numpy().copy() for key, value in module.state_dict().items()}
    with torch.no_grad():
        theirs = module(torch.tensor(XS))[0]
        module.load_state_dict({key: torch.tensor(value) for key, value in cerebral.to_state_dict(params).items()})
        np.testing.assert_allclose(unroll(cell, params, XS)[1], module(torch.tensor(XS))[0], rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(unroll(cell, cerebral.from_state_dict(own), XS)[1], theirs, rtol=1e-5, atol=2e-6)


def test_cerebral_there_and_back():
    params = drawn(several("cerebral_lstm", 2, False))
    state = cerebral.to_state_dict(params)
    assert_trees_equal(cerebral.from_state_dict(state), params)
    for altered, said in [
        ({**state, "more": 0}, "more cannot be used"), ({}, "layers.0.W_ui is missing"),
        ({**state, "layers.1.b_lo": np.zeros(H + 1)}, "accepted: .H . D, H"),
        ({key: value for key, value in state.items() if key != "layers.0.W_lo"}, "layers.0.W_lo is missing"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=said):
            cerebral.from_state_dict(altered)
    with pytest.raises(InputError, match="two paths"):
        cerebral.to_state_dict(drawn(make_cell("cerebral_lstm", H, paths="tied")))


def kerass_step(cell, weights, h, c, x):
    """One step as Keras's layers document it, gate by gate."""
    kernel, recurrent, bias = weights
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    if cell == "lstm":
        i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c
    (xz, xr, xn), (hz, hr, hn) = (np.split(v, 3, axis=-1) for v in (x @ kernel + bias[0], h @ recurrent + bias[1]))
    z, r = sigmoid(xz + hz), sigmoid(xr + hr)
    return z * h + (1 - z) * np.tanh(xn + r * hn), c


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_keras_weights_give_keras_s_equations(name):
    cell = make_cell(name, H)
    params = drawn(cell)
    weights = keras.to_weights(params)
    assert_trees_equal(keras.from_weights(name, weights), params)
    h = c = np.zeros((B, H))
    for x, ours in zip(XS, unroll(cell, params, XS)[1], strict=True):
        h, c = kerass_step(name, weights, h, c, x)
        np.testing.assert_allclose(ours, h, rtol=1e-4, atol=1e-5)


STATE = {"weight_ih_l0": np.zeros((12, 2)), "weight_hh_l0": np.zeros((12, 4)), "bias_ih_l0": np.zeros(12)}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: to_state_dict(drawn(make_cell("cerebral_lstm", H))), "CerebralParams has no counterpart"),
        (lambda: to_state_dict(drawn(make_cell("gru", H, reset="before"))), "reset=before"),
        (lambda: to_state_dict(drawn(make_cell("lstm", H, bias=False))), "with biases"),
        (lambda: from_state_dict("gru", STATE), "bias_hh_l0 is missing"),
        (lambda: from_state_dict("lstm", {**STATE, "bias_hh_l0": np.zeros(12)}), "accepted: lstm with [4*H, ...]"),
        (lambda: from_state_dict("gru", {"fc.weight": np.zeros(3)}), "fc.weight cannot be used"),
        (lambda: from_state_dict("gru", {}), "weight_ih_l0 is missing"),
        (lambda: from_state_dict("qrnn", {}), "accepted: rnn, lstm, gru"),
        (lambda: keras.to_weights(drawn(make_cell("rnn", H))), "RNNParams has no counterpart"),
        (lambda: keras.from_weights("gru", [np.zeros((2, 12)), np.zeros((4, 12)), np.zeros(12)]), "reset_after=True"),
        (lambda: keras.from_weights("lstm", [np.zeros(3)]), "accepted: kernel, recurrent kernel and bias"),
    ],
)
def test_what_does_not_fit_is_one_line(make, told):
    with pytest.raises(InputError) as caught:
        make()
    assert told in str(caught.value)
