"""Whole Flax models as arms: trained as by hand, with state and dropout; resumed exactly; what has no cell says so."""

import os
import signal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers.cases import assert_trees_equal

import rnnlab
from rnnlab.cli.main import main
from rnnlab.core.errors import InputError
from rnnlab.training.batches import batch_indices


class Conv(nn.Module):
    hidden_size: int
    output_size: int
    rate: float = 0.0
    slope: float = 0.0

    @nn.compact
    def __call__(self, xs, train):
        h = nn.Conv(self.hidden_size, (3,))(xs)
        h = nn.BatchNorm(use_running_average=not train, momentum=0.5)(h)
        h = nn.Dropout(self.rate, deterministic=not train)(jnp.where(h > 0, h, self.slope * h))
        return nn.Dense(self.output_size)(h.mean(1))


class Net(nnx.Module):
    def __init__(self, input_size, hidden_size, output_size, *, rate: float = 0.5, rngs):
        self.inner = nnx.Linear(input_size, hidden_size, rngs=rngs)
        self.norm, self.drop = nnx.BatchNorm(hidden_size, rngs=rngs), nnx.Dropout(rate, rngs=rngs)
        self.out = nnx.Linear(hidden_size, output_size, rngs=rngs)

    def __call__(self, xs):
        return self.out(self.drop(nnx.tanh(self.norm(self.inner(xs)))).mean(1))


class Attending(nn.Module):
    output_size: int

    @nn.compact
    def __call__(self, ids, lengths):
        h = nn.Embed(20, 8)(ids)
        mask = jnp.arange(ids.shape[1]) < lengths[:, None]
        h = nn.MultiHeadDotProductAttention(2)(h, mask=mask[:, None, None, :])
        return nn.Dense(self.output_size)(jnp.sum(h * mask[..., None], axis=1))


class Wrong(nn.Module):
    output_size: int

    @nn.compact
    def __call__(self, xs):
        return nn.Dense(self.output_size + 1)(xs.mean(1))


DRAW = np.random.default_rng(0)
DATA = rnnlab.Dataset.from_arrays(DRAW.normal(size=(80, 4, 3)).astype(np.float32), DRAW.integers(0, 2, 80),
                                  standardize=False)  # fmt: skip
SMALL = {"hidden_size": 5, "batch_size": 8, "progress": False, "optimizer": "sgd", "learning_rate": 0.1}


def test_it_is_training_by_hand():
    found = rnnlab.train({"conv": Conv}, DATA, seeds=2, epochs=1, **SMALL)
    first, last = (jax.tree.map(lambda leaf: leaf[1], found.params("conv", epoch)) for epoch in ("first", "last"))
    spec = found._source.spec("conv")
    module, trained, state = Conv(5, 2), first.trained, first.state

    def loss(trained, xs, labels):
        logits, new = module.apply({"params": trained, **state}, xs, train=True, mutable=["batch_stats"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), new

    for rows in np.asarray(batch_indices(spec, jnp.uint32(1), 1, len(DATA.train.targets))):
        gradient, state = jax.grad(loss, has_aux=True)(trained, DATA.train.inputs[rows], DATA.train.targets[rows])
        trained = jax.tree.map(lambda p, d: p - 0.1 * d, trained, gradient)
    for mine, wanted in zip(jax.tree.leaves(last), jax.tree.leaves((trained, state)), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-4, atol=1e-6)
    (row,) = found.summary().to_pylist()
    assert row["parameters"] == sum(leaf.size for leaf in jax.tree.leaves(trained))
    best = jax.tree.map(lambda leaf: leaf[1], found.params("conv"))
    logits = module.apply({"params": best.trained, **best.state}, DATA.test.inputs, train=False)
    np.testing.assert_allclose(found.predict(DATA.test.inputs)[1], jax.nn.softmax(logits), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("model", [Conv, Net])
def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path, model):
    class Interrupts(rnnlab.ProgressMeter):
        def move(self, done, epoch, seconds_left, note):
            if epoch == 2:
                os.kill(os.getpid(), signal.SIGINT)

    settings = {**SMALL, "seeds": 3, "epochs": 3, "options": {"rate": 0.5}}
    whole = rnnlab.train({"m": model}, DATA, **settings)
    other = {**settings, "progress": Interrupts(), "directory": tmp_path / "run"}
    assert not rnnlab.train({"m": model}, DATA, **other).complete
    resumed = rnnlab.train({"m": model}, DATA, directory=tmp_path / "run", resume=True, **settings)
    assert resumed.metrics.equals(whole.metrics)
    assert_trees_equal(resumed.params("m", "last"), whole.params("m", "last"))
    states = whole.params("m", "last").state
    assert any(np.ptp(leaf, axis=0).any() for leaf in jax.tree.leaves(states))  # each run has its own
    dry = rnnlab.train({"m": model}, DATA, **{**settings, "options": {"rate": 0.0}})
    assert not dry.metrics.equals(whole.metrics)


@pytest.mark.slow
def test_a_diverged_run_is_frozen_with_its_state_and_the_others_go_on():
    found = rnnlab.train({"m": Conv}, DATA, seeds=2, epochs=2, **{**SMALL, "learning_rate": [0.1, 1e30]})
    alone = rnnlab.train({"m": Conv}, DATA, seeds=2, epochs=2, **SMALL)
    rates = found.runs("m")["learning_rate"].to_pylist()
    (kept,) = {tuple(n for n, rate in enumerate(rates) if rate == 0.1)}
    last = found.params("m", "last")
    assert_trees_equal(jax.tree.map(lambda leaf: leaf[list(kept)], last), alone.params("m", "last"))
    assert {row["diverged"] for row in found.summary().to_pylist()} == {0, 2}
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(last.state))


@pytest.mark.slow
def test_ids_and_lengths_reach_an_attention_layer_and_options_are_swept():
    ids, lengths = DRAW.integers(0, 20, (60, 6)), DRAW.integers(1, 7, 60)
    data = rnnlab.Dataset.from_arrays(ids, DRAW.integers(0, 3, 60), lengths)
    found = rnnlab.train({"attending": Attending}, data, seeds=2, epochs=1, **SMALL)
    altered = np.where(np.arange(6) < lengths[:, None], ids, 0)[:9]
    np.testing.assert_array_equal(
        found.predict(ids[:9], lengths=lengths[:9]), found.predict(altered, lengths=lengths[:9])
    )
    swept = rnnlab.train({"conv": Conv}, DATA, seeds=2, epochs=1, **SMALL, options={"slope": [0.0, 0.5]})
    assert swept.runs("conv")["slope"].to_pylist() == [0.0, 0.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("model", "settings", "said"),
    [
        (Conv, {"compute_dtype": "bfloat16"}, "compute_dtype: Conv is"), (Conv, {"dropout": 0.5}, "dropout: Conv is a"),
        (Wrong, {}, "Wrong gives"), (Conv, {"options": {"speed": 1.0}}, "speed"),
        (Conv, {"options": {"rate": [0.1, 0.2]}}, "fails"),
    ],
)  # fmt: skip
def test_what_a_whole_model_has_not_is_one_line(model, settings, said):
    with pytest.raises(InputError, match=said):
        rnnlab.train({"m": model}, DATA, seeds=2, epochs=1, **{**SMALL, **settings})


@pytest.mark.slow
def test_the_command_line_trains_reports_exports_and_analyze_says_that_there_is_no_cell(tmp_path, monkeypatch, capsys):
    (tmp_path / "nets.py").write_text(
        "import flax.linen as nn\n\n\nclass Mean(nn.Module):\n    output_size: int\n\n    @nn.compact\n"
        "    def __call__(self, xs):\n        return nn.Dense(self.output_size)(xs.mean(1))\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["--data", "digits", "--cell", "nets.py:Mean", "--arms", "Mean,rnn-tanh", "--seeds", "2", "--epochs", "1"]
    assert main(["run", "mnist_slim", *words[:4], "--arms", "Mean,lstm-tanh", *words[6:], "--out", "run",
                 "--set", "learning_rate=1e-2"]) == 0  # fmt: skip
    assert main(["report", "run"]) == 0
    assert main(["export", "run", "--arm", "Mean", "--format", "stablehlo", "--steps", "8"]) == 0
    capsys.readouterr()
    assert main(["analyze", "run", "--arm", "Mean"]) == 2
    assert capsys.readouterr().err.count("whole model") == 1
