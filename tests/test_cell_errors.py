"""Errors of cells: one line that names the mistake and what is accepted."""

import pytest

from rnnlab.cells import CELLS, cell_factory, factory_options, make_cell, stack
from rnnlab.core.errors import InputError


def message(action, *parts):
    """The error, one line that contains all of ``parts``."""
    with pytest.raises(InputError) as caught:
        action()
    line = str(caught.value)
    assert "\n" not in line
    for part in parts:
        assert part in line, line
    return line


@pytest.mark.parametrize("name", CELLS)
def test_hidden_size_and_key_are_not_options(name):
    """They come from the lab, so an experiment's options cannot name them."""
    assert not {"hidden_size", "key"} & set(factory_options(CELLS[name].factory))


@pytest.mark.parametrize("name", CELLS)
def test_one_unit_is_enough(name):
    assert make_cell(name, 1).hidden_size == 1


OPTIONS = [  # cell, option, value, what is accepted, other options
    ("lstm", "output_gate", "recurent", "'recurrent'", {}),
    ("peephole_lstm", "peephole", "fulll", "'full'", {}),
    ("peephole_lstm", "output_peephole", "next", "current, previous", {}),
    ("gru", "variant", "print", "'printed'", {}),
    ("gru", "reset", "befor", "'before'", {}),
    ("gru", "reset", "after", "'before'", {"variant": "printed"}),
    ("cerebral_lstm", "paths", "identicall", "'identical'", {}),
    ("cerebral_lstm", "variant", "papper", "code, printed", {}),
    ("cerebral_lstm", "w_init", "orthogonal", "author", {}),
    ("qrnn", "pooling", "of", "f, fo, ifo", {}),
    ("qrnn", "window", 0, "a whole number from 1", {}),
    ("qrnn", "zoneout", 1.0, "0 or more and below 1", {}),
    ("qrnn", "zoneout", -0.1, "0 or more and below 1", {}),
    ("grid_lstm", "layers", 0, "a whole number from 1", {}),
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
    ("grid_lstm_nd", "shape", "8x", "as in 8x8", {}),
    ("grid_lstm_nd", "shape", 8, "as in 8x8", {}),
    ("greff_lstm", "variant", "NPP", "did you mean 'NP'?", {}),
    ("projected_lstm", "state_size", -1, "a whole number from 1", {}),
    ("cornn", "gamma", -1, "0 or more", {}),
    ("qrnn", "scan", "paralel", "'parallel'", {}),
    ("biological_lstm", "w_init", None, "glorot_uniform", {}),
    ("lstm5", "activation", ["tanh"], "tanh, sigmoid, relu", {}),
]
REFUSED = [
    (lambda: make_cell("lsmt1", 4), ("cell", "'lsmt1'", "did you mean 'lstm1'?", "file.py:function", *CELLS)),
    (lambda: make_cell("lstm", 4, forget_bia=1.0), ("lstm", "'forget_bia'", "did you mean 'forget_bias'?")),
    (lambda: make_cell("rnn", 4, forget_bias=1.0), ("rnn", "accepted: activation, w_init, u_init")),
    (lambda: make_cell("lstm2", 4, forget_bias=1.0), ("accepted: activation, gate, w_init, u_init",)),
    *(
        (lambda size=size: make_cell("lstm", size), ("hidden_size", repr(size), "a whole number from 1"))
        for size in (0, -1, True, 2.0, "8", None)
    ),
    *(
        (lambda cells=cells: stack(cells), ("stack", "accepted: a sequence of one or more Cells"))
        for cells in ([], ["lstm"], [make_cell("lstm", 3), None], (CELLS["lstm"].factory,))
    ),
    *(
        (
            lambda name=name, option=option, value=value, more=more: make_cell(name, 4, **{option: value}, **more),
            (option, accepted),
        )
        for name, option, value, accepted, more in OPTIONS
    ),
]


@pytest.mark.parametrize(("action", "parts"), REFUSED)
def test_a_mistake_is_one_line_that_names_it_and_what_is_accepted(action, parts):
    message(action, *parts)


def test_a_name_that_is_close_to_nothing_gets_no_suggestion():
    assert "did you mean" not in message(lambda: make_cell("@@", 4), "accepted")


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_refuses_unknown_activations_gates_and_initializers(name):
    # the cerebral author's weights are drawn together: both names change, or none
    others = {"w_init": "lecun_normal", "u_init": "lecun_normal"} if name == "cerebral_lstm" else {}
    for option in {"activation", "gate", "w_init", "u_init"} & set(factory_options(CELLS[name].factory)):
        options = {**others, option: "no such"}
        message(lambda options=options: make_cell(name, 4, **options), option, "'no such'")


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


def test_a_cell_from_a_file_gets_a_key_if_it_takes_one(file):
    name = f"{file}:noisy"
    assert not factory_options(cell_factory(name))
    make_cell(name, 5, key="a key")
    make_cell(f"{file}:mine", 5, key="a key")  # and one that takes none gets none


FILES = [  # the user's file, the function that is named, what the error says
    (None, "mine", ["no file", "path/to/file.py:function"]),
    (GOOD, "mime", ["'mime'", "did you mean 'mine'?", "accepted: mine, noisy, wrong"]),  # nor what it imports
    (GOOD, "number", ["'number'", "accepted: mine"]),
    (GOOD, "", ["accepted: mine"]),
    (GOOD, "wrong", ["wrong", "returned str", "an rnnlab Cell"]),
    ("def mine(hidden)\n", "mine", ["cannot be imported", "SyntaxError"]),
    ("import no_such_module_at_all\n", "mine", ["cannot be imported", "ModuleNotFoundError", "no_such_module_at_all"]),
    ("raise ValueError('first line\\nsecond line')\n", "mine", ["cannot be imported", "ValueError", "first line"]),
    ("import sys\nsys.exit('no accelerator here')\n", "mine", ["cannot be imported", "SystemExit: no accelerator"]),
    ("def mine(hidden, *, size):\n    pass\n", "mine", ["size"]),
    ("def mine():\n    pass\n", "mine", ["mine"]),
    (
        "from rnnlab.cells.rnn import rnn\n\ndef mine(hidden):\n    return rnn(hidden)._replace(hidden_size=0)\n",
        "mine",
        ["hidden_size 0"],
    ),
]


@pytest.mark.parametrize(("text", "function", "parts"), FILES)
def test_a_mistake_in_a_users_file_is_one_line(tmp_path, text, function, parts):
    path = tmp_path / "own.py"
    if text is not None:
        path.write_text(text)
    message(lambda: make_cell(f"{path}:{function}", 5), *parts, *([] if "size" in parts[0] else ["own.py"]))


def test_a_file_may_use_dataclasses(tmp_path):
    """Python's own machinery for them looks the module up by its name."""
    path = tmp_path / "classes.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from rnnlab.cells.rnn import rnn\n\n@dataclass\nclass Settings:\n    width: int\n\n"
        "def mine(hidden):\n    return rnn(Settings(hidden).width)\n"
    )
    assert make_cell(f"{path}:mine", 5).hidden_size == 5
