"""An experiment in words: its JSON, its hash, and overrides by path."""

import dataclasses
import json
from dataclasses import replace

import pytest

from rnnlab.cli import studies
from rnnlab.config.document import config_hash, from_json, to_json
from rnnlab.config.experiment import FORMAT, Arm, Config
from rnnlab.config.overrides import override, select_arms
from rnnlab.core.errors import InputError

BASE = Config(
    experiment="probe",
    arms={
        "a": Arm("lstm", hidden_size=7, layers=2, options={"forget_bias": (0.0, 1.5), "activation": "relu"}),
        "b": Arm(
            "rnn", options={"deep": True, "count": 3, "rate": 0.1}, hyperparams={"dropout": 0.1, "clip_norm": (1.0,)}
        ),
    },
    data="digits",
    seeds=(3, 5),
    learning_rate=(1e-3, 1 / 3),
    optimizer_options={"b1": (0.1, 0.2), "noise_std": 1e-8},
    clip_norm=(2.0,),
    options={"w_init": "orthogonal", "size": 4},
)

OTHER = {
    "experiment": "other", "arms": {"b": BASE.arms["b"], "c": Arm("gru")}, "data": "mnist", "seeds": (5, 3),
    "epochs": 11, "batch_size": 33, "hidden_size": 101, "learning_rate": (1e-3, 1 / 3 + 1e-16), "optimizer": "sgd",
    "optimizer_options": {"b1": (0.1, 0.3), "noise_std": 1e-8}, "clip_norm": (), "options": {"w_init": "orthogonal"},
    "sequence_length": 33, "embedding_size": 1, "steps_per_epoch": 1, "eval_batch_size": 501, "runs_per_device": 1,
    "keep_params_every": 1,
    "checkpoint_interval_s": 31.0, "data_options": {"length": 3}, "protocol": "tf1", "weight_decay": (0.1,),
    "dropout": (0.1,),
    "recurrent_dropout": (0.1,), "readout_dropout": (0.1,), "zoneout": (0.1,),
    "initial_state": "trained", "seed_source": "init", "layer_dropout": (0.1,), "lr_decay_epochs": 1,
    "lr_decay": 0.5, "lr_schedule": "linear", "lr_warmup_epochs": 1, "sweep": "paired",
    "batch_sampling": "drawn", "embedding_init": "normal", "probes": ("paths",), "success_threshold": 0.5,
    "compute_dtype": "bfloat16", "backward": "scan", "bptt": 5, "remat": True, "batch_devices": 2,
}  # fmt: skip


def refused(*assignments: str) -> str:
    def take() -> None:
        config = BASE
        for assignment in assignments:
            config = override(config, assignment)
        config.check()

    with pytest.raises(InputError) as caught:
        take()
    return str(caught.value)


@pytest.mark.parametrize("config", [BASE, *(studies.study(name).CONFIG for name in studies.trained())])
def test_json_gives_the_same_config_back(config):
    again = from_json(to_json(config), type(config))
    assert again == config
    assert repr(again) == repr(config)  # 1 == 1.0 == True, but they are different options
    assert config_hash(again) == config_hash(config)


@pytest.mark.parametrize("name", studies.trained())
def test_every_study_is_in_range_and_named_like_its_file(name):
    config = studies.study(name).CONFIG
    config.check()
    replace(config, **studies.study(name).QUICK).check()
    assert config.experiment == name


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Config)])
def test_the_hash_tells_every_field(field):
    assert OTHER[field] != getattr(BASE, field)
    assert config_hash(replace(BASE, **{field: OTHER[field]})) != config_hash(BASE)


@pytest.mark.parametrize(
    "arm",
    [
        Arm("lstm", hidden_size=8, layers=2, options=BASE.arms["a"].options),
        Arm("gru", hidden_size=7, layers=2, options=BASE.arms["a"].options),
        Arm("lstm", hidden_size=7, layers=1, options=BASE.arms["a"].options),
        Arm("lstm", hidden_size=7, layers=2, options={"activation": "relu"}),
        Arm("lstm", hidden_size=7, layers=2, connections="dense", options=BASE.arms["a"].options),
        replace(BASE.arms["a"], hyperparams={"learning_rate": (1e-2, 2e-2), "dropout": 0.3}),
        replace(BASE.arms["a"], attention="dot"),
        replace(BASE.arms["a"], decoder="gru"),
    ],
)
def test_the_hash_tells_every_field_of_an_arm(arm):
    assert config_hash(replace(BASE, arms={**BASE.arms, "a": arm})) != config_hash(BASE)


def test_the_hash_tells_the_order_of_arms():
    # the order of the arms is the order of the rows of metrics.parquet, and of "the last arm" that completes a run
    turned = replace(BASE, arms=dict(reversed(BASE.arms.items())))
    text = json.loads(to_json(turned))
    text["hash"] = config_hash(BASE)
    try:
        again = from_json(json.dumps(text), Config)
    except InputError:
        return
    assert list(again.arms) == list(BASE.arms)


def test_a_flipped_bit_anywhere_is_noticed():
    text = to_json(BASE).encode()
    for index in range(len(text)):
        altered = text[:index] + bytes([text[index] ^ 1]) + text[index + 1 :]
        with pytest.raises((InputError, UnicodeDecodeError)):
            from_json(altered.decode(), Config)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.99])
def test_a_truncated_config_is_noticed(part):
    text = to_json(BASE)
    with pytest.raises(InputError, match=r"config\.json"):
        from_json(text[: int(part * (len(text) - 2))], Config)


@pytest.mark.parametrize(
    "change",
    [
        {"format": FORMAT + 1}, {"format": None}, {"hash": "0" * 16}, {"config": []}, {"config": None},
    ],
)  # fmt: skip
def test_another_version_is_refused(change):
    with pytest.raises(InputError, match=r"config\.json"):
        from_json(json.dumps({**json.loads(to_json(BASE)), **change}), Config)


@pytest.mark.parametrize(
    "change",
    [
        {"odd": 1}, {"arms": {"a": 3}}, {"arms": []}, {"arms": {"a": {"cell": "lstm", "odd": 1, "options": {}}}},
        {"options": 3}, {"seeds": 3}, {"epochs": "ten"}, {"learning_rate": None},
    ],
)  # fmt: skip
def test_odd_fields_are_refused(change):
    document = json.loads(to_json(BASE))
    document["config"].update(change)
    with pytest.raises(InputError, match=r"config\.json"):
        from_json(json.dumps(document), Config)


@pytest.mark.parametrize("document", ["", "null", "3", "[]", '"text"', "{}", '{"config": {}}'])
def test_another_document_is_refused(document):
    with pytest.raises(InputError, match=r"config\.json"):
        from_json(document, Config)


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("hidden_size=64", "hidden_size", 64),
        ("learning_rate=1", "learning_rate", (1.0,)),
        ("learning_rate=1e-3,2e-3", "learning_rate", (1e-3, 2e-3)),
        ("seeds=4,2", "seeds", (4, 2)),
        ("clip_norm=", "clip_norm", ()),
        ("checkpoint_interval_s=2", "checkpoint_interval_s", 2.0),
        ("data=text:a=b", "data", "text:a=b"),
        ("optimizer=sgd", "optimizer", "sgd"),
    ],
)
def test_an_override_has_the_fields_type(assignment, path, value):
    found = getattr(override(BASE, assignment), path)
    assert (found, type(found)) == (value, type(value))
    assert not isinstance(found, tuple) or [type(item) for item in found] == [type(item) for item in value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("3", 3), ("3.5", 3.5), ("1e-2", 0.01), ("relu", "relu"), ("-2", -2),
        ("0.1,0.2", (0.1, 0.2)), ("1,2", (1.0, 2.0)),
    ],
)  # fmt: skip
def test_an_option_is_read_as_it_is_written(text, value):
    shared = override(BASE, f"options.new={text}").options["new"]
    own = override(BASE, f"arms.a.options.forget_bias={text}").arms["a"].options["forget_bias"]
    optimizer = override(BASE, f"optimizer_options.b1={text}").optimizer_options["b1"]
    for found in (shared, own, optimizer):
        assert (found, type(found)) == (value, type(value))


def test_an_override_changes_nothing_else():
    changed = override(BASE, "arms.a.options.forget_bias=0")
    assert changed.arms["b"] == BASE.arms["b"]
    assert changed.arms["a"].options == {"forget_bias": 0, "activation": "relu"}
    assert replace(changed, arms=BASE.arms) == BASE
    assert BASE.arms["a"].options["forget_bias"] == (0.0, 1.5)


@pytest.mark.parametrize(
    ("assignment", "named"),
    [
        ("foo", "foo"), ("=3", "--set"), ("", "--set"), ("hiden=3", "hidden_size"), ("hidden.x=3", "hidden_size"),
        ("hidden_size=", "hidden_size"), ("hidden_size=1.5", "1.5"), ("hidden_size=nan", "nan"),
        ("hidden_size=0", "hidden_size"),
        ("hidden_size=100000000000000000000", "hidden_size"),
        ("experiment=x", "experiment"), ("arms=3", "arms.NAME"), ("arms.a=3", "arms.a"), ("arms.z.hidden_size=3", "z"),
        ("arms.a.hiden=3", "hidden_size"), ("arms.a.hidden_size=-1", "arms.a.hidden_size"),
        ("arms.a.layers=0", "arms.a.layers"),
        ("arms.a.options=3", "options"), ("options=3", "options"), ("options.a.b=3", "options"),
        ("learning_rate=", "learning_rate"), ("learning_rate=1,x", "x"), ("learning_rate=-1", "-1"),
        ("learning_rate=nan", "nan"), ("learning_rate=inf", "inf"), ("learning_rate=1e999", "inf"),
        ("learning_rate=1,1", "learning_rate"), ("clip_norm=1,1", "clip_norm"), ("clip_norm=0", "clip_norm"),
        ("seeds=", "seeds"), ("seeds=1,1", "seeds"), ("seeds=-1", "seeds"), ("seeds=4294967296", "seeds"),
        ("epochs=0", "epochs"), ("batch_size=0", "batch_size"), ("sequence_length=0", "sequence_length"),
        ("embedding_size=-1", "embedding_size"),
        ("compute_dtype=float16", "compute_dtype"),
        ("eval_batch_size=0", "eval_batch_size"), ("steps_per_epoch=-1", "steps_per_epoch"),
        ("runs_per_device=-1", "runs_per_device"),
        ("dropout=1", "below 1"), ("recurrent_dropout=-0.1", "below 1"), ("readout_dropout=0.1,1.5", "below 1"),
        ("layer_dropout=1", "below 1"), ("arms.a.connections=dens", "did you mean 'dense'"),
        ("dropout=0.99999999", "below 1"), ("weight_decay=-1", "from 0"), ("lr_decay=0", "lr_decay"),
        ("lr_decay_epochs=-1", "lr_decay_epochs"), ("arms.a.hyperparams=3", "hyperparams.NAME"),
        ("data_options=3", "data_options"),
        ("protocol=x", "protocol"),
        ("keep_params_every=-1", "keep_params_every"), ("checkpoint_interval_s=0", "checkpoint_interval_s"),
        ("checkpoint_interval_s=nan", "checkpoint_interval_s"),
    ],
)  # fmt: skip
def test_a_wrong_override_names_what_is_wrong(assignment, named):
    message = refused(assignment)
    assert named in message
    assert "\n" not in message


def test_an_arms_own_number_is_an_override_away():
    changed = override(override(BASE, "arms.a.hyperparams.dropout=0.2"), "arms.a.hyperparams.learning_rate=1e-3,2e-3")
    assert changed.arms["a"].hyperparams == {"dropout": 0.2, "learning_rate": (1e-3, 2e-3)}
    assert changed.arms["a"].options == BASE.arms["a"].options
    assert changed.arms["b"] == BASE.arms["b"]
    assert override(BASE, "data_options.length=7").data_options == {"length": 7}
    replace(BASE, dropout=(0.0, 0.5), weight_decay=(0.0,)).check()  # zero is a rate, and a decay


@pytest.mark.parametrize("assignment", ["learning_rate=1e-60", "learning_rate=1e60", "learning_rate=0.1,0.10000000001"])
def test_numbers_are_refused_that_float32_cannot_tell(assignment):
    # they ride the run axis in float32: as zero, as infinity, as each other
    assert "learning_rate" in refused(assignment)


def test_arms_are_selected_in_the_order_asked_for():
    assert list(select_arms(BASE, ["b", "a"]).arms) == ["b", "a"]
    with pytest.raises(InputError, match="accepted: a, b"):
        select_arms(BASE, ["a", "z"])


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "..", "a\n"])
def test_an_arms_name_is_a_folders_name(name):
    with pytest.raises(InputError, match="name"):
        replace(BASE, arms={name: Arm("lstm")}).check()
