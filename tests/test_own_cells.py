"""Cells of a user's own file: mistakes are told before anything is trained or written, in one line that says where."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.analysis.path_distance import path_distances
from rnnlab.analysis.trajectories import state_leaves
from rnnlab.cells import make_cell
from rnnlab.cells.complex_pairs import ComplexPair
from rnnlab.cli.main import main
from rnnlab.config.experiment import Arm, Config
from rnnlab.core.errors import InputError
from rnnlab.data.registry import load_dataset
from rnnlab.runs.hyperparam_grid import hyperparam_grids
from rnnlab.runs.validate import arm_specs
from rnnlab.training.arm_spec import build_model, build_optimizer

ROOT = Path(__file__).resolve().parent.parent
BASE = """
from typing import NamedTuple
import jax
import jax.numpy as jnp
import numpy as np
from rnnlab.cells.ops import dot
from rnnlab.core.types import Cell

class Carry(NamedTuple):
    c: jax.Array
    h: jax.Array

def base(hidden, **fields):
    def init(key, inputs):
        return {"w": jnp.ones((inputs, hidden)), "u": jnp.ones((hidden, hidden))}

    def initial_carry(params, batch):
        return Carry(jnp.zeros((*batch, hidden)), jnp.zeros((*batch, hidden)))

    def step(params, carry, x):
        h = jnp.tanh(dot(x, params["w"]) + carry.h @ params["u"])
        return Carry(carry.c + h, h), h

    return Cell(init, initial_carry, step, hidden_size=hidden)._replace(**fields)

def with_param(hidden, name, value):
    return base(hidden, init=lambda key, inputs: {**base(hidden).init(key, inputs), name: value})

def with_step(hidden, step):
    return base(hidden, step=lambda params, carry, x: step(carry, carry.h))

def starting(hidden, c):
    return base(hidden, initial_carry=lambda params, batch: Carry(c(batch), jnp.zeros((*batch, hidden))))

LIST = []  # a cell may be anything but one

"""
H, B = 3, 2  # of all runs
COMMAND = [
    "run", "quickstart", "--quick", "--data", "digits", "--seeds", "1", "--cell", "own.py:mine", "--arms", "mine",
    "--set", f"hidden_size={H}", "steps_per_epoch=2", f"batch_size={B}",
]  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr("rnnlab.cli.devices.check_flags", lambda: None)  # they are tried in another process
    return tmp_path


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(capsys, folder, *arguments):
    """The one line with which ``arguments`` are answered, nothing having been written."""
    before = files(folder)
    capsys.readouterr()
    code = main(list(arguments))
    out, err = capsys.readouterr()
    err = "".join(line for line in err.splitlines(keepends=True) if not line.startswith("imports "))
    assert (code, out, err.count("\n"), err[:7]) == (2, "", 1, "error: "), (code, out, err)
    assert files(folder) == before
    return err


NO_FLOATS = "accepted: an array of float32, complex64"
SAME = "accepted: float32[2,3], as given"
PYTHON = "Python (if, while, int(), float(), NumPy) reads the value of an array"
SWEPT = "leak has several values, which makes it an array; accepted: jnp.where, jax.lax.cond, jax.numpy, or one value"
MISTAKES = {  # what the function ``mine`` of a file returns -> where it is wrong, what came, what is accepted
    # parameters
    'with_param(hidden, "gain", jnp.ones((0, 3)))': "init: parameter 'gain' is float32[0,3], of size zero; accepted: "
    "sizes from 1",
    'with_param(hidden, "u", jnp.ones((3, 3), jnp.float16))': f"init: parameter 'u' is float16[3,3]; {NO_FLOATS}",
    'with_param(hidden, "u", jnp.eye(3, dtype=int))': f"init: parameter 'u' is int32[3,3]; {NO_FLOATS}",
    'with_param(hidden, "inner", {"gain": 1.0})': f"init: parameter 'inner.gain' is 1.0 (float); {NO_FLOATS}",
    "base(hidden, init=lambda key, inputs: None)": "init returns None; accepted: a dictionary",
    # the first carry
    "starting(hidden, lambda batch: jnp.zeros(hidden))": "initial_carry: leaf 'c' is float32[3]; accepted: the batch "
    "axes first, [2, ...]",
    "starting(hidden, lambda batch: jnp.zeros((hidden, *batch)))": "leaf 'c' is float32[3,2]; accepted: the batch axes",
    "starting(hidden, lambda batch: jnp.zeros((*batch, 0)))": "leaf 'c' is float32[2,0], of size zero",
    "starting(hidden, lambda batch: jnp.zeros((*batch, 4), jnp.bfloat16))": "initial_carry: leaf 'c' is bfloat16[2,4]; "
    "accepted: an array of float32, complex64, int32, uint32, bool",
    "starting(hidden, lambda batch: 0)": "initial_carry: leaf 'c' is 0 (int); accepted: an array of float32",
    # what a step returns
    "with_step(hidden, lambda carry, h: ({'h': h}, h))": "step returns the carry dict of 'h' float32[2,3]; accepted: "
    "Carry of 'c' float32[2,3], 'h' float32[2,3], as given",
    "with_step(hidden, lambda carry, h: (Carry(jnp.concatenate([h, h], -1), h), h))": "step: carry 'c' becomes "
    f"float32[2,6]; {SAME}",
    "with_step(hidden, lambda carry, h: (Carry(h.astype(jnp.bfloat16), h), h))": "step: carry 'c' becomes "
    f"bfloat16[2,3]; {SAME}",
    "with_step(hidden, lambda carry, h: (Carry(h * 1j, h), h))": f"step: carry 'c' becomes complex64[2,3]; {SAME}",
    "with_step(hidden, lambda carry, h: h)": "step returns float32[2,3]; accepted: a pair (carry, output)",
    "with_step(hidden, lambda carry, h: (carry, h, h))": "step returns a tuple of 3; accepted: a pair",
    "with_step(hidden, lambda carry, h: (carry, h[:, :2]))": "step: the output is float32[2,2]; accepted: float32[2,3]",
    "with_step(hidden, lambda carry, h: (carry, h * 1j))": "step: the output is complex64[2,3]; accepted: float32[2,3]",
    "with_step(hidden, lambda carry, h: (carry, None))": "step: the output is None (NoneType); accepted: float32[2,3]",
    "base(hidden, step=None, scan=lambda params, carry, xs, lengths, reverse: (carry, xs))": "scan: the output is "
    "float32[8,2,8]; accepted: float32[8,2,3]",
    # what its functions take
    "base(hidden, step=lambda carry, x: (carry, x))": "step takes (carry, x); accepted: (params, carry, x)",
    "base(hidden, init=lambda key: {})": "init takes (key); accepted: (key, inputs)",
    "base(hidden, initial_carry=jnp.zeros(3))": "initial_carry is Array([0., 0., 0.], dtype=float32); accepted: a "
    "function (params, batch)",
    # code that fails, and where
    'with_step(hidden, lambda carry, h: LIST["u"])': "step fails at own.py, line 38: TypeError: list indices",
    "with_step(hidden, lambda carry, h: h @ jnp.ones((4, 3)))": "dot_general requires contracting dimensions to have "
    "the same shape, got (3,) and (4,).\n",
    "with_step(hidden, lambda carry, h: (carry, h if h.sum() > 0 else -h))": f"step fails at own.py, line 38: "
    f"TracerBoolConversionError: {PYTHON} that is known only when the compiled program runs; accepted: jnp.where, "
    "jax.lax.cond, jax.numpy\n",
    "base(hidden) if leak < 9 else None": f"its function fails at own.py, line 38: TracerBoolConversionError: {PYTHON}",
    "with_step(hidden, lambda carry, h: (carry, h if leak > 0.5 else -h))": SWEPT,
    "with_step(hidden, lambda carry, h: (carry, h * np.exp(leak)))": SWEPT,
    "LIST[hidden]": "its function fails at own.py, line 38: IndexError: list index out of range",
    "exit(3)": "its function fails at own.py, line 38: SystemExit: 3",
    # no Cell
    "LIST": "own.py:mine returned list; accepted: an rnnlab Cell",
    "base(hidden, step=None)": "it has neither a step nor a scan; accepted: Cell(init, initial_carry, step",
    "base(hidden, hidden_size=None)": "it has hidden_size None; accepted: the width of its output, from 1",
    # what it declares, which only the analysis and probes call
    "base(hidden, gates=lambda params, carry, x: {'f': x})": "gates returns dict of 'f' float32[2,8]; accepted: a "
    "NamedTuple of float32 arrays",
    "base(hidden, gates=lambda params, carry, x: carry, retention=lambda gates: gates.f)": "retention fails at "
    "own.py, line 38: AttributeError",
    "base(hidden, gates=lambda params, carry, x: carry, retention=lambda gates: gates.h)": "retention returns "
    "float32[2,3]; accepted: a dictionary of float32 arrays by gate",
    "base(hidden, paths=lambda params: [params['w'], params['u']])": "paths returns list of '0' float32[8,3], '1' "
    "float32[3,3]; accepted: a list with a vector for each path, of one size",
    "base(hidden, paths=lambda params: None)": "paths returns NoneType of no leaves; accepted: a list",
    "base(hidden, last_output=lambda hs, lengths: hs)": "last_output returns float32[8,2,3]; accepted: float32[2,3]",
    "base(hidden, no_decay=lambda params: {'w': True})": "no_decay returns PyTreeDef({'w': *}); accepted: a bool for "
    "each parameter, PyTreeDef({'u': *, 'w': *})",
    "base(hidden, no_decay=lambda params: {'w': 'yes', 'u': True})": "no_decay returns 'yes' (str) for a parameter; "
    "accepted: a bool",
}


@pytest.mark.parametrize("returned", MISTAKES)
def test_a_mistake_is_told_before_training(here, capsys, returned):
    (here / "own.py").write_text(BASE + f"def mine(hidden, *, leak: float = 0.1):\n    return {returned}\n")
    sweep = ["arms.mine.options.leak=0.1,0.9"] if "leak" in returned else []
    line = refused(capsys, here, *COMMAND, "weight_decay=0.1", *sweep)
    assert f"{here}/own.py:mine" in line
    assert MISTAKES[returned] in line


FLOAT64 = (
    "error: JAX_ENABLE_X64: rnnlab trains in float32; accepted: JAX_ENABLE_X64=0, and no jax_enable_x64 in a file that "
    "is imported\n"
)


@pytest.mark.slow
def test_float64_is_refused_without_blaming_the_cell(here):
    (here / "own.py").write_text(BASE + "mine = base\n")
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    environment |= {"JAX_ENABLE_X64": "1", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "experiments", *COMMAND]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", FLOAT64)
    assert list(files(here)) == ["own.py"]


def test_float64_that_a_cells_file_switches_on_is_refused(here, capsys):
    (here / "own.py").write_text(BASE + 'jax.config.update("jax_enable_x64", True)\nmine = base\n')
    try:
        assert refused(capsys, here, *COMMAND) == FLOAT64
    finally:
        jax.config.update("jax_enable_x64", False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("declared", "spared"),
    [("", {"bias"}), ("._replace(no_decay=leaves_named('beta', 'w'))", {"beta", "w"})],
    ids=["by dimensions", "declared"],
)
def test_weight_decay_spares_vectors_or_what_the_cell_declares_whatever_the_name(here, declared, spared):
    """Without a gradient, what decays shrinks."""
    (here / "own.py").write_text(
        "from rnnlab.cells.ops import leaves_named\n"
        + BASE
        + "def mine(hidden):\n    params = dict(beta=jnp.ones((2, 2)), "
        f"bias=jnp.ones(2), w=jnp.ones((4, 3)))\n    return base(hidden, init=lambda key, inputs: params){declared}\n"
    )
    config = Config(
        experiment="probe", arms={"mine": Arm(f"{here}/own.py:mine")}, data="digits", seeds=(0,), steps_per_epoch=1,
        hidden_size=H,
    )  # fmt: skip
    (spec,) = arm_specs(config, load_dataset("digits"), hyperparam_grids(config)).values()
    hyperparams = {"learning_rate": jnp.float32(0.5), "weight_decay": jnp.float32(0.2)}
    params = build_model(spec, hyperparams).init(jax.random.key(0))
    optimizer = build_optimizer(spec, hyperparams)
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    assert {name for name, update in updates.cell.items() if not update.any()} == spared
    assert all(np.allclose(update, -0.1) for name, update in updates.cell.items() if name not in spared)


def test_states_are_named_by_fields_and_keys_and_a_cell_without_any_is_left_out():
    one = jnp.ones(1)
    carry = {"c": one, "inner": ({"h": one}, one), "t": one, "count": jnp.ones(1, int)}
    assert list(state_leaves(carry)) == ["c", "inner.1.h", "inner.2"]
    assert list(state_leaves(ComplexPair(one, one))) == ["real", "imag"]
    with pytest.raises(InputError, match="no floating leaf"):
        state_leaves({"t": one})


def test_the_states_of_two_paths_are_compared_only_where_each_path_has_one(here):
    """c [B, H] has no axis of paths; its first two units are none."""
    (here / "own.py").write_text(
        BASE + "def mine(hidden):\n    return base(hidden, paths=lambda params: [params['w'][0], 3 * params['w'][1]])\n"
    )
    cell = make_cell("own.py:mine", H)
    (distance,) = path_distances(cell, cell.init(jax.random.key(0), 2), jnp.ones((4, 2, 2))).values()
    assert distance.state is None
    assert distance.parameters == pytest.approx(2 * 3**0.5)
