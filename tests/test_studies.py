"""The studies as they are written down: their arms are what their docstrings say, their references are read whole."""

import inspect
from dataclasses import replace

import jax
import numpy as np
import pytest

from experiments import cerebral_init, charlm_cerebral, imdb_lstm, long_lag
from rnnlab.cells.registry import count_parameters
from rnnlab.cli import studies
from rnnlab.cli.main import main
from rnnlab.core.errors import InputError
from rnnlab.core.types import Dataset, Split
from rnnlab.data.registry import load_dataset
from rnnlab.runs.hyperparam_grid import hyperparam_grid, hyperparam_grids
from rnnlab.runs.validate import arm_spec, validate
from rnnlab.training.arm_spec import build_model

LETTERS = Dataset(
    "moes_tavern", "language_modeling", 89, 89, *[Split(None, np.zeros(20_000, np.int32))] * 3, source={},
    vocabulary="x" * 89,
)  # fmt: skip


def parameters(config, arm: str, dataset: Dataset = LETTERS) -> int:
    grid = hyperparam_grid(config, arm)
    model = build_model(arm_spec(config, arm, dataset, grid), {name: values[0] for name, values in grid.items()})
    return count_parameters(jax.eval_shape(model.init, jax.random.key(0)))


@pytest.mark.parametrize("name", studies.trained())
def test_every_protocol_can_be_planned(name):
    study = studies.study(name)
    for protocol, changes in getattr(study, "PROTOCOLS", {None: {}}).items():
        config = replace(study.CONFIG, **changes)
        assert list(hyperparam_grids(config)) == list(config.arms)
        assert (protocol or "") in (inspect.getdoc(study) or "")
    assert study.CONFIG.protocol in getattr(study, "PROTOCOLS", {None: {}})


@pytest.mark.parametrize("name", ["algorithmic", "long_lag"])
def test_the_generated_data_of_every_protocol_serve_its_goal_and_probes(name):
    study = studies.study(name)
    for protocol, changes in study.PROTOCOLS.items():
        config = replace(study.CONFIG, **{**changes, "protocol": protocol, "batch_size": 4, "steps_per_epoch": None})
        experiment = validate(replace(config, data_options={**config.data_options, "examples": 8, "held_out": 4}))
        assert experiment.config.success_threshold > 0.9
        assert experiment.specs


def test_gates_of_the_long_lags_open_and_close_with_the_lag():
    for changes in long_lag.PROTOCOLS.values():
        options = changes["arms"]["lstm"].options
        closing = 1 - 1 / (1 + np.exp(-options["forget_bias"]))
        assert closing * changes["data_options"]["lag"] == pytest.approx(5, rel=0.06)
        assert options["input_bias"] == -options["forget_bias"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["long_lag", "--arms", "lstm,gru"],
        pytest.param(
            ["algorithmic", "--arms", "grid-tied", "--set", "protocol=addition"], marks=pytest.mark.exhaustive
        ),
    ],
)  # fmt: skip
def test_the_studies_that_are_solved_or_not_run_to_their_end(tmp_path, capsys, arguments):
    assert main(["run", *arguments[:3], "--quick", "--out", str(tmp_path / "run"), *arguments[3:]]) == 0
    shown = capsys.readouterr().out
    assert "median steps" in shown
    assert "of 2 (" in shown
    figures = {path.name for path in (tmp_path / "run" / "figures").iterdir()}
    assert ("lags.png" in figures) == ("lags.csv" in figures) == (arguments[0] == "long_lag")
    assert "probes.png" not in figures


CONTROLS = [
    ("charlm_cerebral", "tf1", "lstm-wide", "cerebral"), ("charlm_cerebral", "standard", "lstm-wide", "cerebral"),
    ("imdb_biological", "held_out", "lstm-wide", "biological"), ("imdb_cerebral", "batched", "lstm-wide", "cerebral"),
    ("imdb_lstm", "systems", "lstm-wide", "bidirectional"), ("long_lag", "lag100", "rnn-rates", "lstm_1997-rates"),
    ("long_lag", "lag100", "rnn-wide", "lstm"),
    ("seq2seq", "reversal", "lstm-wide", "lstm-additive"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "protocol", "control", "arm"), CONTROLS)
def test_a_control_has_as_many_parameters(name, protocol, control, arm):
    config = studies.planned(studies.study(name), protocol)
    if name == "seq2seq":
        dataset = load_dataset("reversal", **config.data_options)
    elif name == "long_lag":
        dataset = Dataset("adding", "regression", 2, 1, *[Split(np.zeros((6400, 9, 2)), np.zeros(6400))] * 3, source={})
    elif config.data == "imdb":
        # few words, as the embedding is not what is compared
        dataset = LETTERS._replace(name="imdb", task="classification", input_size=4, output_size=2)
    else:
        dataset = LETTERS
    assert parameters(config, control, dataset) == pytest.approx(parameters(config, arm, dataset), rel=0.03)


def test_tf1_has_the_tutorial_s_parameters():
    h, v = 512, 89
    assert parameters(charlm_cerebral.CONFIG, "lstm") == v * h + 4 * 2 * h * h + h * v + v
    assert parameters(charlm_cerebral.CONFIG, "lstm-stacked") == v * h + 8 * 2 * h * h + 2 * 2 * h + h * v + v


def test_the_arms_of_the_initialization_study():
    for config in (studies.planned(cerebral_init, protocol) for protocol in cerebral_init.PROTOCOLS):
        assert list(config.arms) == ["identical", "identical-odd", "noise", "independent", "lstm_doubled", "printed"]
        assert config.arms["noise"].options["noise_std"] == (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
        assert config.arms["identical-odd"].hidden_size == config.hidden_size + 1


def reference(folder, text="[0] loss : 4.25\n[1] loss : 3.5e-1\n\n"):
    for file in charlm_cerebral.FILES.values():
        (folder / file).write_text(text)
    return replace(charlm_cerebral.CONFIG, reference=str(folder))


def test_the_author_counts_epochs_from_zero(tmp_path):
    curves = charlm_cerebral.published_curves(reference(tmp_path))
    assert [curve.arm for curve in curves] == ["lstm", "lstm-stacked", "cerebral"]
    assert all((curve.split, curve.metric, curve.values) == ("train", "loss", {1: 4.25, 2: 0.35}) for curve in curves)
    assert charlm_cerebral.published_curves(charlm_cerebral.CONFIG) == []


@pytest.mark.parametrize("text", ["[0] loss 4.25\n", "4.25\n", "[0] loss : nan\n", "[0] loss : 4.25 [1]\n"])
def test_a_line_that_is_no_loss_is_named(tmp_path, text):
    with pytest.raises(InputError, match=r"reference: .*line 1.*accepted"):
        charlm_cerebral.published_curves(reference(tmp_path, text))


def test_a_missing_or_binary_reference_is_told_before_anything_is_trained(tmp_path, capsys):
    out, small = tmp_path / "run", ["--quick", "--arms", "lstm", "--set"]
    (tmp_path / "single_lstm.txt").write_bytes(b"\xff\xfe\x00")
    for folder in (tmp_path, tmp_path / "nowhere"):
        config = replace(charlm_cerebral.CONFIG, reference=str(folder))
        with pytest.raises(InputError, match=r"reference: .*accepted: a folder with single_lstm"):
            charlm_cerebral.published_curves(config)
    # on the study's own data only: here the embedded text takes its place, and no curve is set beside it
    assert main(["run", "charlm_cerebral", *small, "reference=nowhere", "epochs=x", "--out", str(out)]) == 2
    assert "error: epochs" in capsys.readouterr().err
    assert not out.exists()


def test_the_report_s_log_is_set_beside_the_plain_lstm():
    curves = imdb_lstm.published_curves(imdb_lstm.CONFIG)
    assert [(curve.arm, curve.split, len(curve.values)) for curve in curves] == [
        ("lstm", "train", 8), ("lstm", "test", 8), ("lstm", "train", 10),
    ]  # fmt: skip
    assert curves[1].values[5] == max(curves[1].values.values()) == 0.8540
    without = replace(imdb_lstm.CONFIG, arms={"lstm-all": imdb_lstm.CONFIG.arms["lstm-all"]})
    assert imdb_lstm.published_curves(without) == []
