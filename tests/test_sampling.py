"""Sampling: characters are drawn from the model's distribution, and the command refuses wrong options."""

import shutil
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.cells import make_cell, stack
from rnnlab.cli.main import main
from rnnlab.core.types import Model
from rnnlab.models.recurrent_model import make_model
from rnnlab.models.sampling import generate
from rnnlab.runs.progress import TerminalProgressMeter
from rnnlab.training.keys import STREAMS

V = 5
LOGITS = np.array([0.3, -1.2, 1.1, 0.0, 0.8], np.float32)
MODELS = {
    "stacked": make_model(stack([make_cell("lstm", 6), make_cell("lstm", 6)]), V, V, per_step=True, embedding_size=3),
    "cerebral": make_model(make_cell("cerebral_lstm", 6), V, V, per_step=True),
}


def drawn(model: Model):
    """Parameters of the model's shapes, without the cost of its initializers."""
    draw = np.random.default_rng(25)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: jnp.asarray(3 * draw.normal(size=leaf.shape), leaf.dtype), shapes)
    return params._replace(b=jnp.zeros(params.b.shape))  # with a bias one id would win for ever


@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_whole_sequence_read_anew_for_every_character(name):
    model, key, prompt, length = MODELS[name], jax.random.key(3), [1, 4, 2], 9
    params = drawn(model)
    whole = jax.jit(lambda ids: model.apply(params, ids[None], None, None)[1][0])
    for temperature in (0, 0.7):
        ids = np.zeros(len(prompt) + length, np.int32)  # what is still to come changes nothing before it
        ids[: len(prompt)] = prompt
        for t in range(length):
            logits = whole(ids)[len(prompt) + t - 1]
            draw = jax.random.categorical(jax.random.fold_in(key, t), logits / 0.7)
            ids[len(prompt) + t] = draw if temperature else jnp.argmax(logits)
        found = jax.jit(lambda t=temperature: generate(model, params, jnp.array(prompt), key, length, t))()
        assert found.tolist() == ids[len(prompt) :].tolist()
        assert len(set(found.tolist())) > 2


def always(logits: np.ndarray) -> Model:
    """A model that expects the same whatever it reads."""

    def apply(params, inputs, lengths, carry):
        return jnp.zeros(()), jnp.broadcast_to(jnp.asarray(logits), (*inputs.shape, len(logits)))

    return Model(None, apply, None, None)


def shares(length: int = 6000, logits: np.ndarray = LOGITS, seed: int = 0, **options) -> np.ndarray:
    ids = generate(always(logits), None, jnp.array([0]), jax.random.key(seed), length, **options)
    return np.bincount(np.asarray(ids), minlength=len(logits)) / length


@pytest.mark.slow
@pytest.mark.parametrize("top_k", [0, 3, V])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_characters_are_drawn_as_often_as_expected(temperature, top_k):
    expected = np.exp(LOGITS / temperature)
    expected[np.argsort(LOGITS)[: V - (top_k or V)]] = 0
    expected /= expected.sum()
    found = shares(temperature=temperature, top_k=top_k)
    # five standard deviations of a share among 6,000 draws
    assert np.all(np.abs(found - expected) <= 5 * np.sqrt(expected * (1 - expected) / 6000))


def test_a_higher_temperature_is_less_certain():
    entropies = []
    for temperature in (0, 0.3, 1, 3, 1e300):
        found = shares(1000, temperature=temperature)
        entropies.append(-np.sum(found * np.log(np.maximum(found, 1e-9))))
    assert entropies[0] == 0
    assert all(one < other for one, other in pairwise(entropies))
    assert entropies[-1] > 0.99 * np.log(V)


@pytest.mark.parametrize("options", [{"temperature": 0}, {"top_k": 1}, {"temperature": 0, "top_k": 3},
                                     {"temperature": 1e-300}])  # fmt: skip
def test_temperature_0_or_top_1_takes_the_most_likely_id(options):
    assert shares(50, **options).tolist() == [0, 0, 1, 0, 0]
    assert shares(50, logits=1e38 * LOGITS, **options).tolist() == [0, 0, 1, 0, 0]


def test_a_shorter_text_begins_a_longer_one():
    short, long = (generate(always(LOGITS), None, jnp.array([0]), jax.random.key(1), n).tolist() for n in (5, 30))
    assert long[:5] == short


def test_of_equals_the_lowest():
    for options in ({"temperature": 0}, {"top_k": 1}):
        assert shares(50, logits=np.float32([0, 2, 2, 1]), **options).tolist() == [0, 1, 0, 0]


def test_the_stream_is_its_own():
    assert len(set(STREAMS.values())) == len(STREAMS)
    assert (STREAMS["init"], STREAMS["data"], STREAMS["dropout"]) == (0, 1, 2)  # recorded runs depend on them


RATES = ["learning_rate=0.03", "learning_rate=1e-5"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``run``, two layers that have learnt "abcb" at one of two learning rates, its text gone; ``digits``."""
    folder = tmp_path_factory.mktemp("sampled")
    (folder / "text.txt").write_text("abcb" * 200)
    small = ["hidden_size=8", "batch_size=8", "steps_per_epoch=9", "keep_params_every=4"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TerminalProgressMeter, "end", lambda *arguments: None)
        patch.setattr("rnnlab.cli.report.write", lambda directory, config: 0)
        common = ["run", "quickstart", "--quick", "--arms", "lstm", "--out"]
        assert main([*common, f"{folder}/run", "--data", f"text:{folder}/text.txt", "--seeds", "3:5", "--epochs", "8",
                     "--set", "arms.lstm.layers=2", "arms.lstm.cell=rnn", "sequence_length=9",
                     "learning_rate=0.03,1e-5",
                     *small]) == 0  # fmt: skip
    (folder / "text.txt").unlink()
    return folder


def said(capsys, *arguments) -> str:
    capsys.readouterr()
    assert main(["sample", *map(str, arguments)]) == 0, capsys.readouterr().err
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.slow
def test_what_was_learnt_is_written(folder, capsys):
    arguments = [folder / "run", "--seed", 4, "--temperature", 0, "--length", 12]
    assert said(capsys, *arguments, "--prompt", "abc", "--set", RATES[0]) == "abcbabcbabcbabc\n"
    other = said(capsys, *arguments, "--epoch", "8", "--top-k", "2", "--set", RATES[1])
    assert other[0] == "a"  # no line break is known
    assert other[:12] not in "abcb" * 4


def test_a_key_is_a_text(folder, capsys):
    arguments = [folder / "run", "--set", RATES[1], "--length", 40, "--epoch", "last"]
    text = said(capsys, *arguments)
    assert len(text) == 42
    beside = said(capsys, *arguments, "--arm", "all", "--key", 0, "--seed", 3)
    assert [line.rstrip() for line in text.split("\n")] == beside.split("\n")[1 : 1 + len(text.split("\n"))]
    assert beside.startswith("lstm")
    others = [said(capsys, *arguments, "--key", 1), said(capsys, *arguments, "--seed", 4)]
    assert len({text, *others}) == 3


@pytest.mark.parametrize(
    ("arguments", "accepted"),
    [
        (["--arm", "gru"], "lstm, all"), (["--seed", "5"], "3, 4"), (["--seed", "x"], "whole number"),
        (["--prompt", ""], "one or more characters"), (["--prompt", "abXc\n"], r"'\n' 'X' not in"),
        (["--length", "0"], "from 1"), (["--length", "ten"], "from 1"), (["--length", "9" * 20], "1000000"),
        (["--temperature", "-1"], "from 0"), (["--temperature", "nan"], "finite"), (["--temperature", "inf"], "finite"),
        (["--temperature", "hot"], "a number"), (["--top-k", "-1"], "from 0 to 3"), (["--top-k", "4"], "from 0 to 3"),
        (["--epoch", "3"], "best, last, 4, 8"), (["--epoch", "frist"], "best, last, 4, 8"), (["--epoch", "²"], "best"),
        (["--key", "-1"], "from 0"), (["--set", "learning_rate"], "name=value"), (["--set", "x=1"], "learning_rate"),
        (["--set", "learning_rate=1"], "0.03, 1e-05"), (["--set", "learning_rate=fast"], "a number"),
        (["--nope"], "--help"), (["--length"], "--help"),
        (["--beam", "3"], "--beam: does not apply to a run of language_modeling"), (["--questions", "3"], "--q"),
    ],
)  # fmt: skip
def test_a_wrong_option(folder, capsys, arguments, accepted):
    assert accepted in refused(capsys, folder / "run", "--set", RATES[0], *arguments)


def refused(capsys, *arguments) -> str:
    capsys.readouterr()
    assert main(["sample", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_swept_numbers_must_be_named(folder, capsys):
    assert "learning_rate: arm lstm was run with several" in refused(capsys, folder / "run")


def test_what_is_no_run(folder, tmp_path, capsys):
    assert "config.json: missing" in refused(capsys, tmp_path)
    assert "no such directory" in refused(capsys, tmp_path / "nowhere")
    assert "DIR" in refused(capsys)


def copy(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder / "run", tmp_path / "run")


def test_a_run_without_a_checkpoint(folder, tmp_path, capsys):
    directory = copy(folder, tmp_path)
    shutil.rmtree(directory / "checkpoints")
    assert "none yet" in refused(capsys, directory, "--set", RATES[0])
    assert "none in" in refused(capsys, directory, "--arm", "all")


def test_a_run_of_another_vocabulary_or_task(folder, tmp_path, capsys):
    env = copy(folder, tmp_path) / "env.json"
    text = env.read_text()
    wider = text.replace('_size": 3', '_size": 4').replace('"b",', '"b", "bb",')
    env.write_text(wider)
    assert "checkpoint" in refused(capsys, env.parent, "--set", RATES[0])
    env.write_text(text.replace('"language_modeling"', '"classification"'))
    assert "language model" in refused(capsys, env.parent, "--set", RATES[0])


@pytest.mark.slow
def test_arms_side_by_side(folder, tmp_path, capsys, monkeypatch):
    """Two arms of which one has a checkpoint: the other is named and left out."""
    monkeypatch.setattr("rnnlab.runs.saved_run.SavedRun.saved", lambda run, arm: arm != "cerebral")
    monkeypatch.setattr(
        "rnnlab.runs.saved_run.SavedRun.params", lambda run, arm, *a, **k: run.model(arm).init(jax.random.key(0))
    )
    (tmp_path / "poem.txt").write_text("a rose is\n" * 90)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnnlab.runs.run._train", lambda *arguments: False)
        arguments = ["run", "quickstart", "--quick", "--arms", "lstm,cerebral,lstm-stacked", "--out",
                     f"{tmp_path}/run", "--data", f"text:{tmp_path}/poem.txt", "--set", "batch_size=4",
                     "arms.lstm.cell=rnn", "arms.lstm-stacked.cell=rnn"]  # fmt: skip
        assert main(arguments) == 130
    assert "lstm, cerebral, lstm-stacked, all" in refused(capsys, tmp_path / "run")
    capsys.readouterr()
    assert main(["sample", str(tmp_path / "run"), "--arm", "all", "--length", "5", "--prompt", "a ro"]) == 0
    out, err = capsys.readouterr()
    assert "cerebral" in err
    assert out.split("\n")[0].split() == ["lstm", "lstm-stacked"]
    assert out.split("\n")[1].count("a ro") == 2
