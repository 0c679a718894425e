"""Combined cells by their names, the random numbers of their parts, dropout between layers, and what is refused."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import (
    D,
    H,
    assert_trees_close,
    assert_trees_equal,
    filled,
    generator,
    random_carry,
    random_inputs,
    random_params,
)

from rnnlab.cells import CELLS, bidirectional, cell_factory, cerebral, factory_options, make_cell, stack
from rnnlab.cells.lstm import lstm
from rnnlab.cells.unroll import unroll
from rnnlab.cells.wrappers.cerebral import PathParams
from rnnlab.cells.wrappers.recurrent_dropout import dropout_mask
from rnnlab.cli.main import main
from rnnlab.config.cell_name import absolute_name, arm_name, parse_name, write_name
from rnnlab.config.experiment import Arm, Config
from rnnlab.core.errors import InputError
from rnnlab.report.write import read_summary
from rnnlab.runs.saved_run import load_run
from rnnlab.runs.validate import validate
from rnnlab.training.arm_spec import build_model
from rnnlab.training.single_run import init_state, train_steps
from rnnlab.training.sweep import run_grid

B, T = 3, 5
KEY = jax.random.key(11, impl="threefry2x32")
FLOAT32 = {"rtol": 2e-5, "atol": 5e-6}

CONFIG = Config(
    experiment="probe", arms={"a": Arm("lstm", layers=2)}, options={"u_init": "glorot_uniform"}, data="digits",
    seeds=(0,), steps_per_epoch=2, batch_size=8, hidden_size=5, optimizer="sgd", learning_rate=(0.5,),
)  # fmt: skip


def refused(action, *parts):
    with pytest.raises(InputError) as caught:
        action()
    line = str(caught.value)
    assert "\n" not in line
    assert "accepted" in line
    for part in parts:
        assert part in line, line


@pytest.mark.parametrize(
    ("text", "combinators", "cell", "arm"),
    [
        ("gru", (), "gru", "gru"),
        ("cerebral(gru)", ("cerebral",), "gru", "cerebral-gru"),
        (" bidirectional( cerebral (lstm3) )", ("bidirectional", "cerebral"), "lstm3", "bidirectional-cerebral-lstm3"),
        ("a (copy)/own.py:mine", (), "a (copy)/own.py:mine", "mine"),
        ("cerebral(a (copy)/own.py:mine)", ("cerebral",), "a (copy)/own.py:mine", "cerebral-mine"),
        ("cerebral()", ("cerebral",), "", "cerebral-"),
    ],
)
def test_a_name_is_taken_apart(text, combinators, cell, arm):
    name = parse_name(text)
    assert name == (combinators, cell)
    assert parse_name(write_name(name)) == name
    assert arm_name(text) == arm
    assert str(name.file) == ("a (copy)/own.py" if cell.endswith("mine") else "None")


def test_the_file_in_a_name_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute_name("cerebral(own.py:mine)") == f"cerebral({tmp_path}/own.py:mine)"
    assert absolute_name("bidirectional(cerebral(gru))") == "bidirectional(cerebral(gru))"


def layers(**options):
    return stack([make_cell("rnn", 3), make_cell("rnn", 4)], **options)


REFUSED_NAMES = {
    "cerebal(gru)": ("'cerebal'", "did you mean 'cerebral'"), "stack(gru)": ("'stack'", "bidirectional"),
    "(gru)": ("combinator",), "cerebral(gruu)": ("did you mean 'gru'", "cerebral(CELL)"),
    "cerebral()": ("cell", "''"), "cerebral(gru": ("parentheses",), "cerebral(gru))": ("parentheses",),
    "cerebral(bidirectional(lstm))": ("whole sequence", "bidirectional(cerebral(CELL))"),
    "bidirectional(bidirectional(lstm))": ("bidirectional already",),
    "cerebral(cerebral(lstm))": ("paths", "noise_std"), "cerebral(cerebral_lstm)": ("paths", "noise_std"),
    "cerebral(qrnn)": ("field h", "c, ahead, t"), "cerebral(hodgkin_huxley)": ("field h", "v, m, h_gate, n"),
    "cerebral(nowhere.py:mine)": ("nowhere.py",),
}  # fmt: skip
INNER = make_cell("lstm", 3)
REFUSED = [
    *((lambda name=name: make_cell(name, 4), parts) for name, parts in REFUSED_NAMES.items()),
    *(
        (lambda combinator=combinator, wrong=wrong: combinator(wrong), (combinator.__name__, part))
        for combinator in (cerebral, bidirectional)
        for wrong, part in [
            (None, "a Cell"), ([INNER], "a Cell"), (lambda part: "lstm", "str"),
            (lstm, "hidden_size 0"),  # the factory in place of a cell
        ]
    ),
    (lambda: cerebral(cerebral(INNER)), ("two paths already",)),
    (lambda: cerebral(make_cell("cerebral_lstm", 3)), ("two paths already",)),
    (lambda: cerebral(stack([INNER, INNER])), ("stack cerebral cells",)),
    (lambda: cerebral(stack([bidirectional(INNER)])), ("whole sequence",)),
    (lambda: cerebral(INNER, paths="identicall"), ("paths", "'identical'")),
    (lambda: cerebral(INNER, paths="noise", noise_std=-1.0), ("noise_std",)),
    (lambda: cerebral(INNER, noise_std=0.1), ("noise_std", "paths=independent", "paths=noise")),
    (lambda: make_cell("cerebral(biological_lstm)", 3, delt=0.5), ("did you mean 'delta'",)),
    (lambda: layers(connections="dence"), ("connections", "did you mean 'dense'")),
    (lambda: layers(dropout=1.0), ("dropout", "below 1")),
    (lambda: layers(connections="residual"), ("widths are [3, 4]", "one width")),
    (lambda: stack([INNER], connections="dense"), ("connections", "two layers")),
    (lambda: stack([INNER], dropout=0.2), ("dropout", "two layers")),
]  # fmt: skip


@pytest.mark.parametrize(("action", "parts"), REFUSED)
def test_cells_that_cannot_be_combined_are_refused(action, parts):
    refused(action, *parts)


def test_dense_connections_refuse_one_hot_ids():
    cell = stack([make_cell("rnn", 3), make_cell("rnn", 4)], connections="dense")
    params = random_params(cell, generator("ids"))
    refused(lambda: cell.step(params, cell.initial_carry(params, (2,)), np.int32([0, 1])), "one-hot", "embedding")


@pytest.mark.parametrize("combinator", ["cerebral", "bidirectional"])
def test_a_combined_cell_has_the_options_of_both(combinator):
    name = f"{combinator}(biological_lstm)"
    own = ["paths", "noise_std"] if combinator == "cerebral" else []
    options = factory_options(cell_factory(name))
    assert list(options) == [*factory_options(CELLS["biological_lstm"].factory), *own]
    assert options["delta"].default == 1e-3
    cell = make_cell(name, 3, delta=0.5)
    nothing = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(lambda: cell.init(KEY, D)))
    carry, _ = unroll(cell, nothing, jnp.zeros((2, 1, D)))
    c = carry.c[0] if combinator == "cerebral" else jnp.stack([part.c[0] for part in carry])
    np.testing.assert_allclose(c, np.full((2, 3), 2 * 0.5 * (0.5 + 0.5)), rtol=1e-6)  # two steps of open half gates


OWN = """
from typing import NamedTuple
import jax
from rnnlab.cells.rnn import rnn

class Shared(NamedTuple):
    eps: float

def mine(hidden, *, activation: str = "tanh", gain: float = 1.0):
    cell = rnn(hidden, activation=activation)
    def step(params, carry, x):
        return cell.step(params, carry, x * gain)
    return cell._replace(step=step)

def other(hidden, noise_std: float = 0.1):
    return rnn(hidden)

def nothing():
    return rnn(3)

def wrong(hidden):
    return "a cell"

def fails(hidden):
    raise RuntimeError("not today")

def bare(hidden):
    return rnn(hidden)._replace(initial_carry=lambda params, batch: params.b)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my (own) cells.py"
    path.write_text(OWN)
    return path


def test_a_cell_of_ones_own_is_combined(file):
    name = f"bidirectional(cerebral({file}:mine))"
    assert list(factory_options(cell_factory(name))) == ["activation", "gain", "paths", "noise_std"]
    cell = make_cell(name, 4, gain=2.0, paths="tied")
    plain = make_cell("bidirectional(rnn)", 4)
    draw = generator("own")
    params = random_params(plain, draw)
    xs = random_inputs(draw, T, B, D)
    same = type(params)(*(PathParams(jax.tree.map(lambda leaf: leaf[None], p)) for p in params))
    _, expected = unroll(plain, params, 2 * xs)
    np.testing.assert_allclose(unroll(cell, same, xs)[1], expected, **FLOAT32)


@pytest.mark.parametrize(
    ("function", "parts"),
    [
        ("other", ("both have options called noise_std",)),
        ("nothing", ("takes no size",)), ("wrong", ("returned str",)),
        ("fails", ("not today",)), ("bare", ("is not a NamedTuple",)), ("mein", ("did you mean 'mine'",)),
    ],
)  # fmt: skip
def test_users_cells_that_cannot_be_combined_are_refused(file, function, parts):
    with pytest.raises(InputError) as caught:
        make_cell(f"cerebral({file}:{function})", 4)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


@pytest.mark.slow
def test_the_paths_of_a_noisy_cell_draw_from_keys_of_their_own():
    """Each path's memory is that of a cell alone with the path's key; without a key both are silent."""
    options = {"delta": 0.3, "noise": 0.5}
    cell, draw = make_cell("cerebral(biological_lstm)", H, key=KEY, **options), generator("noisy paths")
    params = random_params(make_cell("biological_lstm", H, **options), draw)
    twice = PathParams(jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params))
    x, start = random_inputs(draw, B, D), cell.initial_carry(twice, (B,))
    after, _ = cell.step(twice, start, x)
    for path in (0, 1):
        alone = make_cell("biological_lstm", H, key=jax.random.fold_in(KEY, path), **options)
        expected, _ = alone.step(params, alone.initial_carry(params, (B,)), x)
        np.testing.assert_allclose(after.c[:, path], expected.c, **FLOAT32)
    assert np.abs(after.c[:, 0] - after.c[:, 1]).min() > 1e-4
    silent, _ = make_cell("cerebral(biological_lstm)", H, **options).step(twice, start, x)
    np.testing.assert_array_equal(silent.c[:, 0], silent.c[:, 1])


def test_the_directions_of_a_noisy_cell_draw_from_keys_of_their_own():
    cell, draw = make_cell("bidirectional(qrnn)", H, zoneout=0.5, key=KEY), generator("noisy directions")
    params, xs = random_params(cell, draw), random_inputs(draw, T, B, D)
    _, hs = unroll(cell, params, xs)
    for half, (own, reverse) in enumerate(zip(params, (False, True), strict=True)):
        alone = make_cell("qrnn", H, zoneout=0.5, key=jax.random.fold_in(KEY, half))
        np.testing.assert_array_equal(hs[..., half * H :][..., :H], unroll(alone, own, xs, reverse=reverse)[1])


def by_hand(cells, params, xs, carry, masks):
    """A loop over time: two layers, the upper reads what the mask leaves of the lower."""
    lower, upper = carry
    hs = []
    for x in xs:
        lower, h = cells[0].step(params[0], lower, x)
        upper, h = cells[1].step(params[1], upper, h * masks)
        hs.append(h)
    return (lower, upper), jnp.stack(hs)


@pytest.mark.parametrize("lengths", [None, np.array([5, 2, 3])], ids=["whole", "padded"])
def test_one_mask_between_layers_serves_all_time_steps(lengths):
    cells, draw = [make_cell("lstm", H + 1), make_cell("rnn", H)], generator("between")
    cell = stack(cells, dropout=0.5, key=KEY)
    params = random_params(cell, draw)
    carry, xs = random_carry(cell, params, draw, (B,)), random_inputs(draw, T, B, D)
    mask = dropout_mask(jax.random.fold_in(KEY, 0), (B, H + 1), 0.5)
    assert 0 < np.sum(mask == 0) < mask.size
    assert len({row.tobytes() for row in np.asarray(mask)}) == B
    expected, hs = by_hand(cells, params, xs, carry, mask)
    found, out = unroll(cell, params, xs, carry, lengths=lengths)
    if lengths is None:
        assert_trees_close(found, expected, **FLOAT32)
    for b, length in enumerate([T] * B if lengths is None else lengths):
        np.testing.assert_allclose(out[:length, b], hs[:length, b], **FLOAT32)
    silent, none = stack(cells, dropout=0.5), stack(cells)
    assert_trees_equal(unroll(silent, params, xs, carry), unroll(none, params, xs, carry))


def test_what_is_dropped_reaches_no_layer_above_and_the_top_is_whole():
    """Three layers: each mask its own; a residual connection carries what is left of h on."""
    cells, draw = [make_cell("rnn", H)] * 3, generator("three")
    masks = [dropout_mask(jax.random.fold_in(KEY, layer), (B, H), 0.5) for layer in (0, 1)]
    assert np.any(masks[0] != masks[1])
    for connections in ("plain", "residual", "dense"):
        cell = stack(cells, connections=connections, dropout=0.5, key=KEY)
        params = random_params(cell, draw)
        carry, x = random_carry(cell, params, draw, (B,)), random_inputs(draw, B, D)
        _, first = cells[0].step(params[0], carry[0], x)
        low = first * masks[0]
        _, second = cells[1].step(params[1], carry[1], np.concatenate([x, low], -1) if connections == "dense" else low)
        high = second * masks[1] + (low if connections == "residual" else 0)
        seen = np.concatenate([x, low, high], -1) if connections == "dense" else high
        _, third = cells[2].step(params[2], carry[2], seen)
        expected = third + high if connections == "residual" else third
        np.testing.assert_allclose(cell.step(params, carry, x)[1], expected, **FLOAT32)


def test_a_training_step_draws_masks_once_not_once_a_time_step():
    """What depends on the key alone stays out of the loop."""
    cells = [make_cell("lstm", H), make_cell("lstm", H)]
    params = random_params(stack(cells), generator("once"))

    def loss(params, xs, rate):
        return jnp.sum(unroll(stack(cells, dropout=rate, key=KEY), params, xs)[1] ** 2)

    def draws(jaxpr, looped=False):
        found = []
        for equation in jaxpr.eqns:
            if equation.primitive.name == "random_bits":
                found.append(looped)
            inside = looped or equation.primitive.name in ("scan", "while")
            for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: hasattr(v, "jaxpr")):
                inner = getattr(value, "jaxpr", value)
                found += draws(inner, inside) if hasattr(inner, "eqns") else []
        return found

    xs = jnp.ones((T, B, D))
    assert draws(jax.make_jaxpr(loss)(params, xs, 0.5).jaxpr) == [False]
    assert draws(jax.make_jaxpr(jax.value_and_grad(loss))(params, xs, 0.5).jaxpr) == [False]


def test_layer_dropout_is_a_number_that_trains_and_never_evaluates():
    config = replace(CONFIG, layer_dropout=(0.0, 0.5))
    experiment = validate(config)
    runs, inputs = run_grid(config.seeds, experiment.grids["a"]), experiment.dataset.train.inputs[:B]
    assert runs.hyperparams["layer_dropout"].tolist() == [0, 0.5]

    def answer(rate, key):
        hyperparams = {"learning_rate": 0.5, "layer_dropout": jnp.float32(rate)}
        model = build_model(experiment.specs["a"], hyperparams, key)
        params = filled(generator("layer dropout"), jax.eval_shape(model.init, KEY))
        return np.asarray(jax.jit(model.apply)(params, inputs, None, None)[1])

    np.testing.assert_array_equal(answer(0.5, None), answer(0.0, None))
    np.testing.assert_allclose(answer(0.0, KEY), answer(0.0, None), **FLOAT32)
    assert np.abs(answer(0.5, KEY) - answer(0.0, None)).max() > 1e-3
    assert np.abs(answer(0.5, KEY) - answer(0.5, jax.random.fold_in(KEY, 1))).max() > 1e-3


@pytest.mark.slow
def test_layer_dropout_rides_the_run_axis():
    def trained(**changes):
        config = replace(CONFIG, **changes)
        experiment = validate(config)
        spec, runs = experiment.specs["a"], run_grid(config.seeds, experiment.grids["a"])
        split, plan = jax.tree.map(jnp.asarray, experiment.dataset.train), jnp.arange(16).reshape(2, 8)
        return jax.jit(jax.vmap(lambda run: train_steps(spec, run, init_state(spec, run), plan, split, 0, 2).params))(
            runs
        )

    both, plain = trained(layer_dropout=(0.0, 0.5)), trained()
    assert_trees_close(jax.tree.map(lambda leaf: leaf[:1], both), plain, rtol=1e-4, atol=1e-5)
    assert np.abs(both.cell[1].w[0] - both.cell[1].w[1]).max() > 1e-3


def test_an_arm_whose_layers_are_connected():
    arms = {"a": Arm("rnn", layers=3, connections="dense"), "b": Arm("rnn", layers=3, connections="residual")}
    experiment = validate(replace(CONFIG, arms=arms))
    counts = {}
    for name, spec in experiment.specs.items():
        model = build_model(spec, {})
        counts[name] = [p.w.shape for p in jax.eval_shape(model.init, jax.random.key(0)).cell]
    assert counts == {"a": [(8, 5), (13, 5), (18, 5)], "b": [(8, 5), (5, 5), (5, 5)]}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"arms": {"a": Arm("rnn", connections="dense")}}, ("arms.a.connections", "arms.a.layers from 2")),
        ({"arms": {"a": Arm("rnn", layers=2, connections="dens")}}, ("arms.a.connections", "did you mean 'dense'")),
        ({"arms": {"a": Arm("rnn")}, "layer_dropout": (0.2,)}, ("arms.a", "layer_dropout", "arms.a.layers from 2")),
        ({"arms": {"a": Arm("rnn", hyperparams={"layer_dropout": 0.2})}}, ("arms.a", "layer_dropout")),
        ({"layer_dropout": (1.0,)}, ("layer_dropout", "below 1")),
        (
            {"arms": {"a": Arm("rnn", layers=2, connections="dense")}, "data": "pydoc", "sequence_length": 4},
            ("arms.a: connections", "one-hot", "embedding"),
        ),
        ({"arms": {"a": Arm("cerebral(gru)", options={"path": "tied"})}}, ("cerebral(gru)", "did you mean 'paths'")),
        ({"arms": {"a": Arm("cerebral(gru)", options={"noise_std": (0.1, -1.0)})}}, ("arms.a", "noise_std")),
        ({"arms": {"a": Arm("cerebral(qrnn)")}, "options": {}}, ("arms.a", "field h")),
    ],
)
def test_arms_that_cannot_be_combined_are_refused(changes, parts):
    config = replace(CONFIG, **changes)
    refused(lambda: (config.check(), validate(config)), *parts)


def test_the_noise_of_the_paths_can_be_swept():
    arm = Arm("cerebral(gru)", options={"paths": "noise", "noise_std": (0.0, 0.5)})
    config = replace(CONFIG, arms={"a": arm})
    experiment = validate(config)
    spec = experiment.specs["a"]
    assert spec.swept_options == ("noise_std",)
    params = jax.jit(jax.vmap(lambda run: init_state(spec, run).params.cell.paths))(
        run_grid((0,), experiment.grids["a"])
    )
    apart = np.abs(np.asarray(params.w[:, 0]) - params.w[:, 1]).max(axis=(1, 2, 3))
    assert apart[0] == 0
    assert apart[1] > 0.5


@pytest.mark.slow
def test_combined_cells_from_the_command_line_to_a_saved_run(file, tmp_path, capsys):
    """Run, report, resume, load; and a file that was edited since is noticed inside a combined name too."""
    directory, cells = tmp_path / "run", ["cerebral(gru)", f"bidirectional({file}:mine)"]
    arguments = ["run", "mnist_slim", "--quick", "--data", "digits", "--seeds", "1", "--epochs", "1", "--out",
                 str(directory), "--cell", cells[0], "--cell", cells[1], "--arms", "cerebral(gru),bidirectional-mine",
                 "--set", "hidden_size=4", "steps_per_epoch=3", "arms.bidirectional-mine.options.gain=1,2",
                 "arms.cerebral-gru.layers=2", "arms.cerebral-gru.connections=residual",
                 "arms.cerebral-gru.hyperparams.layer_dropout=0.1", "probes=paths"]  # fmt: skip
    assert main(arguments) == 0
    rows = read_summary(directory)["results"]
    assert [(row["arm"], row.get("gain")) for row in rows] == [
        ("cerebral-gru", None), ("bidirectional-mine", 1), ("bidirectional-mine", 2),
    ]  # fmt: skip
    recorded = json.loads((directory / "env.json").read_text())["dataset"]["cells"]
    assert list(recorded) == [cells[1]]
    assert main(["resume", str(directory), "--trust"]) == 0
    assert main(["report", str(directory)]) == 0
    saved = load_run(directory)
    inputs = random_inputs(generator("saved"), 2, 8, 8)
    for arm, hyperparams in (("cerebral-gru", {}), ("bidirectional-mine", {"gain": 2})):
        logits = saved.model(arm, **hyperparams).apply(saved.params(arm, 0, "last", **hyperparams), inputs, None, None)[
            1
        ]
        assert np.isfinite(logits).all()
    file.write_text(OWN + "# edited\n")
    refused(lambda: load_run(directory).model("bidirectional-mine", gain=1), "changed since the run started")
    assert main(["resume", str(directory), "--trust"]) == 2
    assert "changed since the run started" in capsys.readouterr().err


NOT_WRAPPED = {  # by cerebral: two paths already, no step, or a state whose h is not the output
    "cerebral": {"cerebral_lstm", "hodgkin_huxley", "qrnn", "sru", "lru", "s5", "mlstm"},
    "bidirectional": set(),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("combinator", NOT_WRAPPED)
def test_every_cell_is_wrapped_with_finite_gradients_or_refused_in_a_line(combinator, name):
    if name in NOT_WRAPPED[combinator]:
        return refused(lambda: make_cell(f"{combinator}({name})", 4))
    cell = make_cell(f"{combinator}({name})", 4)
    params = random_params(cell, generator(name))
    xs = random_inputs(generator(name), T, B, D)
    slopes = jax.grad(lambda params: jnp.sum(unroll(cell, params, xs)[1] ** 2))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(slopes))
