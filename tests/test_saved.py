"""A run's directory opened again: each run's own parameters and model, and nothing that is not there."""

import json
import shutil
from dataclasses import dataclass, replace

import jax
import numpy as np
import pytest

from rnnlab.config.document import base_from_json, from_json, to_json, training_hash
from rnnlab.config.experiment import Arm, Config
from rnnlab.core.errors import InputError
from rnnlab.runs.saved_run import load_run
from rnnlab.runs.validate import abstract_state, identity, validate
from rnnlab.storage import checkpoint, files
from rnnlab.training.keys import stream_key
from rnnlab.training.sweep import run_grid

CONFIG = Config(
    experiment="quickstart", arms={"stacked": Arm("lstm", layers=2), "cerebral": Arm("cerebral_lstm")}, data="",
    seeds=(7, 3), epochs=3, batch_size=4, hidden_size=3, learning_rate=(1e-2, 0.3), sequence_length=8,
    steps_per_epoch=2, keep_params_every=2,
    batch_sampling="contiguous",
)  # fmt: skip
EACH = [pytest.param("stacked", marks=pytest.mark.slow), "cerebral"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of CONFIG without its text, as if trained to states drawn at random; and these states."""
    folder = tmp_path_factory.mktemp("saved")
    text = folder / "text.txt"
    text.write_text("abcb" * 200)
    experiment = validate(replace(CONFIG, data=f"text:{text}"))
    text.unlink()
    directory = folder / "run"
    files.write_json(directory / "env.json", {"dataset": identity(experiment)})
    files.write_whole(directory / "config.json", to_json(experiment.config).encode())
    position = checkpoint.Position(4, 0, 6, 1.0, True, training_hash(experiment.config))
    draw = np.random.default_rng(0)
    states = {}
    for arm in CONFIG.arms:
        shapes = abstract_state(experiment.specs[arm], experiment.runs(arm))
        state = jax.tree.map(lambda leaf: draw.normal(size=leaf.shape).astype(leaf.dtype), shapes)
        states[arm] = state._replace(best=state.best._replace(epoch=np.ones(4, np.int32)))
        checkpoint.save(directory / "checkpoints" / arm, [states[arm]], position)
        kept = jax.tree.map(lambda leaf: leaf + 1, state.params)
        checkpoint.save_epoch(directory / "checkpoints" / arm, [kept], 2)
    return directory, states


def same(one, other) -> bool:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def row(tree, seed: int, learning_rate: float):
    return jax.tree.map(lambda leaf: leaf[[0.01, 0.3].index(learning_rate) * 2 + [7, 3].index(seed)], tree)


@pytest.mark.parametrize("arm", EACH)
def test_params_are_the_runs_own(trained, arm):
    directory, states = trained
    saved, state = load_run(directory), states[arm]
    kept = jax.tree.map(lambda leaf: leaf + 1, state.params)
    found = []
    for seed, rate in [(7, 0.01), (3, 0.3)]:
        mine = {name: saved.params(arm, seed, name, learning_rate=rate) for name in ("best", "last", 2)}
        assert same(mine["best"], row(state.best.params, seed, rate))
        assert same(mine["last"], row(state.params, seed, rate))
        assert same(mine[2], row(kept, seed, rate))
        assert same(mine["best"], saved.params(arm, seed=seed, learning_rate=rate))
        assert not same(mine["last"], mine[2])
        found.append(mine["last"])
    assert not same(*found)


@pytest.mark.parametrize("arm", EACH)
def test_the_first_are_the_initial_values(trained, arm):
    saved = load_run(trained[0])
    for seed in (7, 3):
        drawn = jax.jit(saved.model(arm).init)(stream_key("init", np.uint32(seed)))
        for a, b in zip(jax.tree.leaves(saved.params(arm, seed, "first", learning_rate=0.3)), jax.tree.leaves(drawn),
                        strict=True):  # fmt: skip
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)  # two programs


@pytest.mark.parametrize("arm", CONFIG.arms)
def test_the_model_is_the_arms(trained, arm):
    saved = load_run(trained[0])
    params = saved.params(arm, 3, learning_rate=0.3)
    _, logits = saved.model(arm).apply(params, np.array([[0, 1, 2, 1]]), None, None)  # no rate: it is for training
    assert logits.shape == (1, 4, 3)
    fresh = jax.eval_shape(saved.model(arm).init, jax.random.key(0))
    assert jax.tree.structure(fresh) == jax.tree.structure(params)
    assert [leaf.shape for leaf in jax.tree.leaves(fresh)] == [leaf.shape for leaf in jax.tree.leaves(params)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"arm": "lstm", "seed": 3}, "stacked, cerebral"),
        ({"arm": "stacked", "seed": 4}, "accepted: 7, 3"),
        ({"arm": "stacked", "seed": 3}, "learning_rate: arm stacked was run with several values; choose one of 0.01"),
        (
            {"arm": "stacked", "seed": 3, "learning_rate": 0.1},
            "learning_rate: 0.1 is not in arm stacked; accepted: 0.01",
        ),
        ({"arm": "stacked", "seed": 3, "learning_rate": 1e300}, "accepted: 0.01, 0.3"),
        ({"arm": "stacked", "seed": 3, "learning_rat": 0.3}, "did you mean 'learning_rate'"),
        ({"arm": "stacked", "seed": 3, "learning_rate": 0.3, "epoch": 1}, "accepted: first, best, last, 2"),
        ({"arm": "stacked", "seed": 3, "learning_rate": 0.3, "epoch": "frist"}, "accepted: first, best, last, 2"),
    ],
)
def test_what_the_run_does_not_have(trained, asked, said):
    with pytest.raises(InputError) as caught:
        load_run(trained[0]).params(**asked)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def damaged(trained, tmp_path, **changes):
    """A copy of the run whose env.json tells of another data set."""
    directory = shutil.copytree(trained[0], tmp_path / "run")
    told = json.loads((directory / "env.json").read_text())
    told["dataset"] |= changes
    (directory / "env.json").write_text(json.dumps(told))
    return directory


def test_a_checkpoint_of_another_vocabulary(trained, tmp_path):
    directory = damaged(trained, tmp_path, vocabulary=list("abcd"), input_size=4, output_size=4)
    for epoch in ("best", 2):
        with pytest.raises(InputError, match="checkpoint: "):
            load_run(directory).params("stacked", 3, epoch, learning_rate=0.3)


def test_a_checkpoint_of_another_arm(trained, tmp_path):
    directory = damaged(trained, tmp_path)
    shutil.rmtree(directory / "checkpoints" / "stacked")
    shutil.copytree(directory / "checkpoints" / "cerebral", directory / "checkpoints" / "stacked")
    with pytest.raises(InputError, match="checkpoint: "):
        load_run(directory).params("stacked", 3, learning_rate=0.3)


def test_a_checkpoint_of_another_config(trained, tmp_path):
    directory = damaged(trained, tmp_path)
    config = from_json((directory / "config.json").read_text(), Config)
    (directory / "config.json").write_text(to_json(replace(config, dropout=(0.1,))))
    with pytest.raises(InputError, match="belongs to config"):
        load_run(directory).params("stacked", 3, learning_rate=0.3)


def test_no_checkpoint_yet(trained, tmp_path):
    directory = damaged(trained, tmp_path)
    shutil.rmtree(directory / "checkpoints")
    assert not load_run(directory).saved("stacked")
    with pytest.raises(InputError, match="none yet"):
        load_run(directory).params("stacked", 3, learning_rate=0.3)


def test_no_epoch_yet(trained, tmp_path):
    directory, folder = damaged(trained, tmp_path), tmp_path / "run" / "checkpoints" / "stacked"
    position, state = checkpoint.position(folder), trained[1]["stacked"]
    state = state._replace(best=state.best._replace(epoch=np.zeros(4, np.int32)))
    checkpoint.save(folder, [jax.tree.map(np.asarray, state)], position._replace(step=7))
    with pytest.raises(InputError, match="no epoch had a finite validation loss"):
        load_run(directory).params("stacked", 3, learning_rate=0.3)
    assert same(
        load_run(directory).params("stacked", 3, "last", learning_rate=0.3), row(trained[1]["stacked"].params, 3, 0.3)
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vocabulary": list("ab")}, "vocabulary"), ({"task": "nothing"}, "task"), ({"examples": 3}, "env.json"),
        ({"examples": {"train": 9}}, "validation"), ({"input_size": None}, "env.json"),
    ],
)  # fmt: skip
def test_an_environment_that_does_not_fit(trained, tmp_path, changes, said):
    with pytest.raises(InputError) as caught:
        load_run(damaged(trained, tmp_path, **changes))
    assert "env.json" in str(caught.value)
    assert said in str(caught.value)


def test_what_is_no_run(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"no such directory|config\.json: missing"):
            load_run(path)


def untrained(tmp_path, config, told):
    """The directory of a run before its first checkpoint."""
    (tmp_path / "config.json").write_text(to_json(config))
    (tmp_path / "env.json").write_text(json.dumps({"dataset": told}))
    return load_run(tmp_path)


@pytest.mark.slow
def test_a_swept_option_of_the_cell_makes_the_model(tmp_path):
    arms = {"plain": Arm("rnn"), "bio": Arm("biological_lstm", options={"delta": (0.1, 0.9)})}
    config = replace(CONFIG, arms=arms, data="digits", batch_sampling="shuffled")
    saved = untrained(tmp_path, config, identity(validate(config)))
    with pytest.raises(InputError, match=r"delta: arm bio was run with several values; choose one of 0\.1, 0\.9"):
        saved.model("bio")
    params = jax.jit(saved.model("bio", delta=0.1).init)(jax.random.key(0))
    xs = np.random.default_rng(0).normal(size=(1, 3, 8)).astype(np.float32)
    first, second = (saved.model("bio", delta=delta).apply(params, 16 * xs, None, None)[1] for delta in (0.1, 0.9))
    assert not np.allclose(first, second)
    assert saved.hyperparams("bio") == {"learning_rate": (1e-2, 0.3), "delta": (0.1, 0.9)}
    assert list(run_grid(config.seeds, saved.hyperparams("bio")).seed[:3]) == [7, 3, 7]


@pytest.mark.parametrize("ids", [True, False])
def test_words_are_embedded_though_env_does_not_list_them(tmp_path, ids):
    sizes = {"train": 40, "validation": 20, "test": 20}
    told = {"name": "imdb", "task": "classification", "input_size": 20, "output_size": 2, "scale": 1.0, "cells": {}}
    told |= {"prompt_length": 0, "source": {}, "has_token_inputs": ids, "vocabulary": None, "examples": sizes}
    saved = untrained(tmp_path, replace(CONFIG, data="imdb", embedding_size=5, batch_sampling="shuffled"), told)
    params = jax.eval_shape(saved.model("stacked").init, jax.random.key(0))
    assert (params.embedding is not None) == ids


@pytest.mark.parametrize("decoder", [False, True])
def test_a_cell_that_was_edited(tmp_path, decoder):
    cell = tmp_path / "own.py"
    cell.write_text("from rnnlab.cells.registry import rnn\ndef own(hidden):\n    return rnn(hidden)\n")
    config = replace(CONFIG, arms={"own": Arm(f"{cell}:own")}, data="digits", batch_sampling="shuffled")
    if decoder:
        arms = {"own": Arm("rnn", decoder=f"{cell}:own", attention="none")}
        config = replace(config, arms=arms, data="reversal", data_options={"teacher_forcing": True, "examples": 40})
    saved = untrained(tmp_path, config, identity(validate(config)))
    saved.model("own")
    cell.write_text(cell.read_text() + "# edited\n")
    with pytest.raises(InputError, match="changed since the run started"):
        saved.model("own")


def test_of_sequence_to_sequence_there_is_no_one_cell(tmp_path):
    arms = {"pair": Arm("rnn", decoder="lstm", attention="dot")}
    config = replace(
        CONFIG, arms=arms, data="reversal", data_options={"teacher_forcing": True, "examples": 40},
        batch_sampling="shuffled",
    )  # fmt: skip
    with pytest.raises(InputError, match="accepted: an arm of one cell"):
        untrained(tmp_path, config, identity(validate(config))).cell("pair")


@dataclass(frozen=True)
class Study(Config):
    lags: tuple[int, ...] = (1, 2)


def test_a_studys_own_fields_are_left_out_but_hashed():
    study = Study(**{**CONFIG.__dict__, "lags": (4, 8)})
    config, found = base_from_json(to_json(study))
    assert config == CONFIG
    assert found == training_hash(study) == training_hash(replace(study, epochs=9))
    assert found != training_hash(replace(study, batch_size=9))
    with pytest.raises(InputError, match="altered"):
        base_from_json(to_json(study).replace("8", "9"))
