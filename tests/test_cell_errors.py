"""What a user is told who asks for a cell that cannot be: one line that names the mistake and what is accepted."""

import pytest

from rnnlab.cells.registry import CELLS, cell_factory, factory_options, make_cell, stack
from rnnlab.core.errors import InputError


def message(action, *parts):
    """The error's one line, which holds all of ``parts``."""
    with pytest.raises(InputError) as caught:
        action()
    line = str(caught.value)
    assert "\n" not in line
    for part in parts:
        assert part in line, line
    return line


def test_unknown_cell():
    line = message(lambda: make_cell("lsmt1", 4), "cell", "'lsmt1'", "did you mean 'lstm1'?", "file.py:function")
    assert all(name in line for name in CELLS)


def test_unknown_cell_that_is_close_to_nothing():
    assert "did you mean" not in message(lambda: make_cell("@@", 4), "accepted")


def test_unknown_option():
    message(lambda: make_cell("lstm", 4, forget_bia=1.0), "lstm", "'forget_bia'", "did you mean 'forget_bias'?", "bias")
    message(lambda: make_cell("rnn", 4, forget_bias=1.0), "rnn", "accepted: activation, w_init, u_init")


@pytest.mark.parametrize("name", CELLS)
def test_hidden_and_key_are_not_options(name):
    """They are the lab's to give, so an experiment's options cannot name them."""
    assert not {"hidden_size", "key"} & set(factory_options(CELLS[name]))


@pytest.mark.parametrize("hidden_size", [0, -1, True, 2.0, "8", None], ids=repr)
def test_hidden_is_a_whole_number_from_1(hidden_size):
    message(lambda: make_cell("lstm", hidden_size), "hidden_size", repr(hidden_size), "from 1")


@pytest.mark.parametrize("name", CELLS)
def test_a_single_unit_will_do(name):
    assert make_cell(name, 1).hidden_size == 1


CHOICES = [
    ("lstm", "activation", "tanhh", "'tanh'", {}),
    ("rnn", "activation", "hard_sigmoid", "tanh, sigmoid, relu", {}),
    ("lstm", "gate", "sigmoidal", "'sigmoid'", {}),
    ("gru", "gate", "relu", "sigmoid, hard_sigmoid", {}),
    ("lstm", "output_gate", "recurent", "'recurrent'", {}),
    ("peephole_lstm", "peephole", "fulll", "'full'", {}),
    ("peephole_lstm", "output_peephole", "next", "current, previous", {}),
    ("gru", "variant", "print", "'printed'", {}),
    ("gru", "reset", "befor", "'before'", {}),
    ("gru", "reset", "after", "'before'", {"variant": "printed"}),
    ("cerebral_lstm", "paths", "identicall", "'identical'", {}),
    ("cerebral_lstm", "variant", "papper", "code, printed", {}),
    ("cerebral_lstm", "w_init", "orthogonal", "author", {}),
    ("cerebral_lstm", "u_init", "orthogonal", "author", {}),
    ("qrnn", "pooling", "of", "f, fo, ifo", {}),
    ("qrnn", "window", 0, "a whole number from 1", {}),
    ("qrnn", "window", 2.0, "a whole number from 1", {}),
    ("qrnn", "window", True, "a whole number from 1", {}),
    ("qrnn", "zoneout", 1.0, "0 or more and below 1", {}),
    ("qrnn", "zoneout", -0.1, "0 or more and below 1", {}),
    ("grid_lstm", "layers", 0, "a whole number from 1", {}),
    ("grid_lstm", "layers", "2", "a whole number from 1", {}),
    ("grid_lstm", "dims", 3, "1 or 2", {}),
    ("grid_lstm", "dims", True, "1 or 2", {}),
    ("grid_lstm", "tied", "yes", "True or False", {}),
    ("grid_lstm", "priority", "time", "none, depth", {}),
    ("grid_lstm", "depth", "feed-forward", "'feedforward'", {}),
    ("grid_lstm", "variant", "print", "'printed'", {}),
    ("grid_lstm", "layers", 2, "accepted with dims=1: 1", {"dims": 1}),
    ("grid_lstm", "priority", "depth", "accepted with dims=1: 'none'", {"dims": 1}),
    ("grid_lstm", "depth", "feedforward", "accepted with dims=1: 'lstm'", {"dims": 1}),
    ("grid_lstm_2d", "patch", 0, "a whole number from 1", {}),
    ("grid_lstm_2d", "patch", 2.0, "a whole number from 1", {}),
    ("grid_lstm_2d", "priority", "row", "none, depth", {}),
    ("grid_lstm_nd", "shape", "8x", "as in 8x8", {}),
    ("grid_lstm_nd", "shape", "0x4", "as in 8x8", {}),
    ("grid_lstm_nd", "shape", 8, "as in 8x8", {}),
    ("qrnn", "scan", "paralel", "'parallel'", {}),
    ("lstm", "w_init", "glorot", "'glorot_", {}),
    ("lstm3", "u_init", "orthogonl", "'orthogonal'", {}),
    ("biological_lstm", "w_init", None, "glorot_uniform", {}),
    ("lstm5", "activation", ["tanh"], "tanh, sigmoid, relu", {}),
]


@pytest.mark.parametrize(("name", "option", "value", "accepted", "more"), CHOICES)
def test_unknown_value_of_an_option(name, option, value, accepted, more):
    field = "w_init" if option == "u_init" and name == "cerebral_lstm" else option  # the error names the pair
    message(lambda: make_cell(name, 4, **{option: value}, **more), field, accepted)


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_refuses_unknown_activations_gates_and_initializers(name):
    # the cerebral author's weights are drawn together: both names change, or none
    others = {"w_init": "lecun_normal", "u_init": "lecun_normal"} if name == "cerebral_lstm" else {}
    for option in {"activation", "gate", "w_init", "u_init"} & set(factory_options(CELLS[name])):
        options = {**others, option: "no such"}
        message(lambda options=options: make_cell(name, 4, **options), option, "'no such'")


@pytest.mark.parametrize(
    "cells", [[], ["lstm"], [make_cell("lstm", 3), None], (CELLS["lstm"],)], ids=["empty", "names", "none", "factory"]
)
def test_a_stack_is_of_cells(cells):
    message(lambda: stack(cells), "stack", "accepted: a sequence of one Cell or more")


GOOD = """
from typing import NamedTuple
from rnnlab.cells.rnn import rnn

def mine(hidden, *, activation="tanh", scale=1.0):
    cell = rnn(hidden, activation=activation)
    return cell._replace(hidden_size=hidden)

def noisy(hidden, *, key=None):
    seen.append(key)
    return rnn(hidden)

def wrong(hidden):
    return "a cell"

seen = []
number = 3
"""


@pytest.fixture
def file(tmp_path):
    """A user's file."""
    path = tmp_path / "my cells.py"
    path.write_text(GOOD)
    return path


def test_a_cell_from_a_file(file):
    cell = make_cell(f"{file}:mine", 5, activation="relu")
    assert cell.hidden_size == 5
    assert list(factory_options(cell_factory(f"{file}:mine"))) == ["activation", "scale"]
    message(lambda: make_cell(f"{file}:mine", 5, activaton="relu"), "activaton", "did you mean 'activation'?")
    message(lambda: make_cell(f"{file}:mine", 0), "hidden_size")


def test_a_cell_from_a_file_gets_the_key_that_it_asks_for(file):
    name = f"{file}:noisy"
    assert not factory_options(cell_factory(name))
    make_cell(name, 5, key="a key")
    make_cell(f"{file}:mine", 5, key="a key")  # and one that does not ask gets none


def test_missing_file(tmp_path):
    message(lambda: make_cell(f"{tmp_path / 'none.py'}:mine", 5), "none.py", "no file", "path/to/file.py:function")
    message(lambda: make_cell(f"{tmp_path}/.py:mine", 5), "no file")
    (tmp_path / "folder.py").mkdir()
    message(lambda: make_cell(f"{tmp_path}/folder.py:mine", 5), "no file")


def test_missing_function(file):
    line = message(lambda: make_cell(f"{file}:mime", 5), "my cells.py", "'mime'", "did you mean 'mine'?")
    assert line.endswith("accepted: mine, noisy, wrong")  # not what the file imports, nor its other names
    message(lambda: make_cell(f"{file}:number", 5), "'number'", "accepted: mine")
    message(lambda: make_cell(f"{file}:", 5), "accepted: mine")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("def mine(hidden)\n", ["SyntaxError"]),
        ("import no_such_module_at_all\n", ["ModuleNotFoundError", "no_such_module_at_all"]),
        ("1 / 0\n", ["ZeroDivisionError", "division"]),
        ("raise ValueError('first line\\nsecond line')\n", ["ValueError", "first line"]),
        ("import sys\nsys.exit('no accelerator here')\n", ["SystemExit", "no accelerator here"]),
    ],
    ids=["syntax", "import", "arithmetic", "two lines", "exit"],
)
def test_a_file_that_raises(tmp_path, text, parts):
    path = tmp_path / "broken.py"
    path.write_text(text)
    message(lambda: make_cell(f"{path}:mine", 5), "broken.py", "cannot be imported", *parts)


def test_a_file_may_use_dataclasses(tmp_path):
    """Python's own machinery for them looks the module up by its name."""
    path = tmp_path / "classes.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from rnnlab.cells.rnn import rnn\n\n@dataclass\nclass Settings:\n    width: int\n\n"
        "def mine(hidden):\n    return rnn(Settings(hidden).width)\n"
    )
    assert make_cell(f"{path}:mine", 5).hidden_size == 5


@pytest.mark.parametrize(
    ("text", "part"),
    [("def mine(hidden, *, size):\n    pass\n", "size"), ("def mine():\n    pass\n", "mine")],
    ids=["an option without default", "no hidden"],
)
def test_a_function_that_cannot_be_called_with_a_size_alone(tmp_path, text, part):
    path = tmp_path / "other.py"
    path.write_text(text)
    message(lambda: make_cell(f"{path}:mine", 5), "other.py", part)


def test_a_cell_that_does_not_say_its_width(tmp_path):
    """Cell.hidden_size is 0 unless given; a readout of no units would fail far from the mistake."""
    path = tmp_path / "narrow.py"
    path.write_text(
        "from rnnlab.cells.rnn import rnn\n\ndef mine(hidden):\n    return rnn(hidden)._replace(hidden_size=0)\n"
    )
    message(lambda: make_cell(f"{path}:mine", 5), "hidden_size")


def test_a_function_that_returns_no_cell(file):
    message(lambda: make_cell(f"{file}:wrong", 5), "wrong", "returned str", "rnnlab.core.types.Cell")
