"""From a config to arms: an arm's own numbers, protocols, a data set's options."""

import dataclasses
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from experiments import imdb_biological, quickstart
from rnnlab.cli import studies
from rnnlab.cli.main import _parser
from rnnlab.cli.run import configuration
from rnnlab.config.document import from_json, to_json
from rnnlab.config.experiment import Arm, Config
from rnnlab.config.overrides import override
from rnnlab.core.errors import InputError
from rnnlab.data.text import from_text
from rnnlab.runs.hyperparam_grid import hyperparam_grids
from rnnlab.runs.progress import NoProgressMeter
from rnnlab.runs.run import start
from rnnlab.runs.validate import validate
from rnnlab.training.sweep import run_grid

BASE = Config(
    experiment="probe", arms={"a": Arm("lstm"), "b": Arm("rnn")}, data="digits", seeds=(0,), learning_rate=(1e-2,),
    weight_decay=(0.1,), hidden_size=3, batch_size=8,
)  # fmt: skip


def with_numbers(**hyperparams):
    return replace(BASE, arms={"a": Arm("lstm", hyperparams=hyperparams), "b": Arm("rnn")})


def test_an_arms_own_numbers_stand_for_the_experiments():
    grids = hyperparam_grids(with_numbers(learning_rate=(0.5, 0.25), dropout=0.2, clip_norm=1))
    assert grids["a"] == {
        "learning_rate": (0.5, 0.25), "clip_norm": (1.0,), "weight_decay": (0.1,), "dropout": (0.2,),
    }  # fmt: skip
    assert grids["b"] == {"learning_rate": (1e-2,), "weight_decay": (0.1,)}
    runs = run_grid((0, 1), grids["a"])
    assert runs.hyperparams["learning_rate"].tolist() == [0.5, 0.5, 0.25, 0.25]
    np.testing.assert_array_equal(runs.hyperparams["dropout"], np.float32([0.2] * 4))


@pytest.mark.parametrize(
    ("hyperparams", "said"),
    [
        ({"droput": 0.1}, "did you mean 'dropout'"), ({"delta": 0.1}, "arms.a.hyperparams: "),
        ({"dropout": 1.0}, "below 1"), ({"dropout": -0.1}, "below 1"), ({"learning_rate": 0}, "above 0"),
        ({"clip_norm": (1.0, -1.0)}, "above 0"), ({"weight_decay": -1}, "from 0"), ({"dropout": ()}, "nothing"),
        ({"dropout": "x"}, "'x'"), ({"dropout": True}, "True"), ({"learning_rate": float("nan")}, "nan"),
        ({"learning_rate": (0.1, 0.1)}, "differ"),
    ],
)  # fmt: skip
def test_a_wrong_number_of_an_arm_is_named(hyperparams, said):
    with pytest.raises(InputError, match=r"^arms\.a\.hyperparams") as caught:
        hyperparam_grids(with_numbers(**hyperparams))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_arms_numbers_survive_json():
    config = with_numbers(learning_rate=(0.5, 0.25), dropout=0.2)
    again = from_json(to_json(config), Config)
    assert again == config
    assert hyperparam_grids(again)["a"] == hyperparam_grids(config)["a"]
    assert override(BASE, "arms.a.hyperparams.dropout=0.2") == with_numbers(dropout=0.2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch_sampling": "contigous"}, "did you mean 'contiguous'"), ({"probes": ("path",)}, "did you mean 'paths'"),
        ({"embedding_init": "keras_unifrom"}, "did you mean 'keras_uniform'"), ({"embedding_init": ""}, "normal"),
    ],
)  # fmt: skip
def test_names_that_there_are_not(change, said):
    (field,) = change
    with pytest.raises(InputError, match=f"^{field}: unknown value.*accepted: ") as caught:
        hyperparam_grids(replace(BASE, **change))
    assert said in str(caught.value)


def configured(*arguments):
    return configuration(_parser().parse_args(["run", *arguments]))


def test_a_protocol_comes_before_quick_and_before_every_other_assignment(monkeypatch):
    protocols = {"paper": {"epochs": 7, "batch_size": 9, "hidden_size": 11}, "other": {"sequence_length": 5}}
    monkeypatch.setattr(quickstart, "PROTOCOLS", protocols, raising=False)
    config = configured("quickstart", "--quick", "--set", "batch_size=10", "protocol=paper")
    assert (config.protocol, config.batch_size) == ("paper", 10)
    assert (config.epochs, config.hidden_size) == (quickstart.QUICK["epochs"], quickstart.QUICK["hidden_size"])
    assert configured("quickstart", "--set", "protocol=paper").epochs == 7
    last = configured("quickstart", "--set", "protocol=paper", "protocol=other")  # the name says what is in it
    assert last == replace(quickstart.CONFIG, protocol="other", sequence_length=5)
    assert from_json(to_json(config), Config) == config


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("quickstart", "--set", "protocol=x"), "(none)"), (("quickstart", "--set", "protocol="), "(none)"),
        (("imdb_biological", "--set", "protocol=validate_on_tset"), "did you mean 'validate_on_test'"),
    ],
)  # fmt: skip
def test_a_protocol_that_there_is_not(arguments, said):
    with pytest.raises(InputError, match=r"^protocol: unknown value") as caught:
        configured(*arguments)
    assert said in str(caught.value)


def test_quick_keeps_what_the_protocol_is_about():
    config = configured("imdb_biological", "--quick", "--set", "protocol=validate_on_test")
    assert config.protocol == "validate_on_test"
    assert config.data_options == {**imdb_biological.QUICK["data_options"], "validation": "test"}
    assert configured("imdb_biological", "--quick").data_options == imdb_biological.QUICK["data_options"]


@pytest.mark.parametrize("name", studies.trained())
def test_every_protocol_can_be_planned(name):
    study = studies.study(name)
    for protocol, changes in getattr(study, "PROTOCOLS", {}).items():
        assert {field.name for field in dataclasses.fields(Config)} > set(changes)
        hyperparam_grids(configured(name, "--set", f"protocol={protocol}"))
        hyperparam_grids(configured(name, "--quick", "--set", f"protocol={protocol}"))


def test_another_data_set_gets_those_options_that_it_takes():
    config = configured("imdb_biological", "--data", "digits")
    assert (config.data, config.data_options) == ("digits", {})
    assert configured("imdb_biological", "--data", "imdb").data_options == imdb_biological.DATA
    with pytest.raises(InputError, match="data_options"):
        validate(configured("imdb_biological", "--set", "data=digits"))


def test_options_of_the_data():
    changed = override(BASE, "data_options.sequence_length=3")
    for name in ("digits", "pydoc"):
        with pytest.raises(InputError, match=r"^data_options\.sequence_length: 3; accepted: --set sequence_length=T$"):
            validate(replace(changed, data=name))
    with pytest.raises(InputError, match=r"^data_options: option of data digits: unknown value 'length'"):
        validate(override(BASE, "data_options.length=3"))
    assert validate(replace(BASE, data="pydoc", sequence_length=7)).dataset.train.inputs.shape[1] == 7


def test_a_run_that_validates_on_test_records_it_once(tmp_path, monkeypatch):
    """Train and test rows alone; the gap is of the test split; the summary's headline is the last epoch's."""
    text = from_text("poem", "a rose is a rose. " * 40, "0" * 64, 4)
    dataset = text._replace(validation=text.test, validation_is_test=True)
    monkeypatch.setattr("rnnlab.runs.validate.load_dataset", lambda name, **options: dataset)
    arms = {"b": Arm("rnn", options={"u_init": "glorot_uniform"})}
    config = replace(BASE, arms=arms, data="pydoc", steps_per_epoch=2, epochs=2, sequence_length=4)
    assert start(validate(config), tmp_path / "run", NoProgressMeter())
    rows = pq.read_table(tmp_path / "run" / "metrics.parquet").to_pylist()
    assert {row["split"] for row in rows} == {"train", "test"}
    losses = {(row["epoch"], row["split"]): row["value"] for row in rows if row["metric"] == "loss"}
    gaps = [row for row in rows if row["metric"] == "gap"]
    assert [(row["epoch"], row["split"]) for row in gaps] == [(1, "test"), (2, "test")]
    for row in gaps:
        assert row["value"] == pytest.approx(losses[row["epoch"], "test"] - losses[row["epoch"], "train"], rel=1e-5)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["headline"] == "last_test_bits_per_character"
    (result,) = summary["results"]
    assert not any("validation" in name for name in result["metrics"])
    assert result["metrics"][summary["headline"]]["mean"] == pytest.approx(losses[2, "test"] / np.log(2), rel=1e-6)
