"""The laws of one step, for every row of ``cases.CASES``. Adding a cell is adding a row.

``python tests/test_cells.py --write-golden`` writes golden/cells.json anew; read the difference before committing it.
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cases import (
    CASES,
    OVER_TIME,
    D,
    H,
    assert_trees_close,
    assert_trees_equal,
    generator,
    name_of,
    random_carry,
    random_inputs,
    random_params,
    rows,
)

from rnnlab.cells.ops import dot
from rnnlab.cells.registry import CELLS, count_parameters, factory_options, make_cell
from rnnlab.models.recurrent_model import make_model

GOLDEN = Path(__file__).parent / "golden" / "cells.json"
# Sums of at most H + D + 2 numbers of size 1 in float32, each good to 6e-8, through functions of slope at most 1;
# XLA's tanh and exp are good to a few units in the last place.
FLOAT32 = {"rtol": 1e-5, "atol": 2e-6}
WITHOUT_U = [name for name, entry in CELLS.items() if "u_init" not in factory_options(entry.factory)]

FIXED = ("lambda_re_log", "lambda_im", "scale", "scale_c")  # HiPPO's eigenvalues; gains of a normalization

every_case = pytest.mark.parametrize("case", CASES, ids=name_of)
# Where other options of a cell add nothing, and cells of one kind little:
one_of_each = pytest.mark.parametrize("case", rows(OVER_TIME, pytest.mark.exhaustive), ids=name_of)


def drawn(case, *batch, inputs=D):
    """``(cell, params, carry, x)``, all random, none at its initial value."""
    draw, cell = generator(case.name, *batch), case.make()
    params = random_params(cell, draw, inputs)
    return cell, params, random_carry(cell, params, draw, batch), random_inputs(draw, *batch, inputs)


def described(tree):
    return {
        jax.tree_util.keystr(path): f"{leaf.dtype.name}{list(leaf.shape)}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def structure(case):
    """Names, shapes and types of a case's parameters, and of its carry for a batch of 2."""
    cell = case.make()
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), D))
    carry = jax.eval_shape(lambda p: cell.initial_carry(p, (2,)), params)
    return {"params": described(params), "carry": described(carry)}


def test_every_cell_has_a_row():
    assert {case.name for case in CASES} >= set(CELLS)


def test_golden_file_has_no_other_rows():
    assert list(json.loads(GOLDEN.read_text())) == [case.name for case in CASES]


@every_case
def test_structure_is_the_golden_one(case):
    assert structure(case) == json.loads(GOLDEN.read_text())[case.name]


@every_case
def test_count_is_the_papers_formula(case):
    for d, h in ((D, H), (7, 6), (2, 10)):  # heads divide h
        cell = case.make(h)
        shapes = jax.eval_shape(lambda key, cell=cell, d=d: cell.init(key, d), jax.random.key(0))
        assert count_parameters(shapes) == case.count(d, h), (d, h)


@pytest.mark.parametrize(
    ("name", "count"),
    [("lstm", 52_610), ("lstm1", 44_210), ("lstm2", 43_910), ("lstm3", 14_210), ("lstm4", 14_210), ("lstm5", 14_510)],
)
def test_counts_of_table_a(name, count):
    """Akandeh & Salem: D = 28, H = 100 and a 10-way softmax on the last h."""
    model = make_model(make_cell(name, 100), 28, 10, per_step=False)
    assert count_parameters(jax.eval_shape(model.init, jax.random.key(0))) == count


def test_model_adds_an_embedding_and_a_readout():
    model = make_model(make_cell("lstm", 7), 11, 3, per_step=True, embedding_size=5)
    count = 11 * 5 + 4 * (5 * 7 + 7 * 7 + 7) + 7 * 3 + 3
    assert count_parameters(jax.eval_shape(model.init, jax.random.key(0))) == count


@every_case
def test_initial_carry_is_zero_or_the_rows(case):
    cell, params, *_ = drawn(case)
    for batch in ((), (2,), (2, 3)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(cell.initial_carry(params, batch)):
            assert leaf.shape[: len(batch)] == batch
            if case.start is None:
                assert not np.any(leaf)
            else:
                np.testing.assert_allclose(leaf, case.start[path[-1].name], rtol=1e-6)


def widened(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def as_dicts(carry):
    """A carry as the transcriptions write it, without what is None."""
    if hasattr(carry, "_asdict"):
        return {name: value for name, value in carry._asdict().items() if value is not None}
    return tuple(as_dicts(layer) for layer in carry)


def part(tree, *index):
    """One element of every leaf. In NumPy: an index into a JAX array is a program to compile."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], tree)


@every_case
def test_step_equals_the_papers_equations(case):
    cell, params, carry, x = drawn(case, 2)
    after, h = cell.step(params, carry, x)
    assert cell.hidden_size == H == h.shape[-1]
    decided = as_dicts(cell.gates(params, carry, x)) if cell.gates is not None else {}
    for element in (0, 1):
        alone, its_x = widened(part((carry, x), element))
        expected, expected_h, gates = case.transcription(widened(params), alone, its_x)
        np.testing.assert_allclose(h[element], expected_h, **FLOAT32)
        assert_trees_close(part(as_dicts(after), element), expected, **FLOAT32)
        assert_trees_close(part(decided, element), gates, **FLOAT32)


@pytest.mark.parametrize("name", CELLS)
def test_gates_are_in_one_order(name):
    """a, r, z, i, f, candidate, o; a cell that lacks one skips it. LEM has time steps."""
    cell = make_cell(name, H)
    if cell.gates is None or name == "hodgkin_huxley":
        return
    params = jax.eval_shape(lambda: cell.init(jax.random.key(0), D))
    carry = jax.eval_shape(lambda p: cell.initial_carry(p, (2,)), params)
    fields = jax.eval_shape(cell.gates, params, carry, jax.ShapeDtypeStruct((2, D), jnp.float32))._fields
    order = ("a", "r", "z", "i", "f", "candidate", "o", "dt_z", "dt_y")
    assert fields == tuple(gate for gate in order if gate in fields)


@one_of_each
def test_leading_axes_agree(case):
    cell, params, carry, x = drawn(case, 2, 3)
    together = cell.step(params, carry, x)
    for b in range(3):
        column = slice(None), b
        assert_trees_close(part(together, *column), cell.step(params, *part((carry, x), *column)), **FLOAT32)
    for a, b in ((0, 2), (1, 0)):
        assert_trees_close(part(together, a, b), cell.step(params, *part((carry, x), a, b)), **FLOAT32)


@pytest.mark.parametrize(
    "case",
    rows([case for case in CASES if case.ids], pytest.mark.exhaustive, [case.name for case in OVER_TIME]),
    ids=name_of,
)
def test_ids_are_one_hot_rows(case):
    vocabulary = 6
    cell, params, carry, _ = drawn(case, 2, inputs=vocabulary)
    ids = np.array([5, 2])
    by_row = cell.step(params, carry, np.eye(vocabulary, dtype=np.float32)[ids])
    assert_trees_close(cell.step(params, carry, ids.astype(np.int32)), by_row, **FLOAT32)
    # one id without batch axes, and as a byte
    assert_trees_close(cell.step(params, part(carry, 1), np.uint8(2)), part(by_row, 1), **FLOAT32)


@pytest.mark.parametrize(
    ("case", "ids"),
    rows([(case, ids) for case in OVER_TIME for ids in (False, True) if case.ids or not ids], pytest.mark.exhaustive),
    ids=name_of,
)
def test_carry_and_output_are_float32_whatever_the_parameters(case, ids):
    cell, params, carry, x = drawn(case, 2)
    x = np.array([2, 0], np.int32) if ids else jnp.asarray(x, jnp.bfloat16)
    low = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), params)
    after, h = cell.step(low, carry, x)
    for leaf in jax.tree.leaves((after, h, cell.initial_carry(low, (2,)))):
        assert leaf.dtype == jnp.float32
    # bfloat16 has 8 bits: each of some ten factors is off by up to 2^-9
    rounded = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), low)
    assert_trees_close((after, h), cell.step(rounded, carry, x), rtol=0.03, atol=0.03)


def test_products_accumulate_in_float32():
    """4,000 products of bfloat16 numbers are exact in float32; a bfloat16 sum of them would keep two digits."""
    draw = generator("accumulate")
    x = jnp.asarray(draw.uniform(0.5, 1.5, (2, 4000)), jnp.bfloat16)
    w = jnp.asarray(draw.uniform(0.5, 1.5, (4000, 3)), jnp.bfloat16)
    product = dot(x, w)
    assert product.dtype == jnp.float32
    np.testing.assert_allclose(product, np.asarray(x, np.float64) @ np.asarray(w, np.float64), rtol=1e-5)
    rows = dot(np.array([7, 3999]), w)  # by ids: the same type, nothing lost
    assert rows.dtype == jnp.float32
    np.testing.assert_array_equal(rows, np.asarray(w, np.float32)[[7, 3999]])


@one_of_each
def test_jit_agrees_and_new_values_do_not_recompile(case):
    traces = []
    cell, params, carry, x = drawn(case, 2)

    @jax.jit
    def step(*arguments):
        traces.append(1)
        return cell.step(*arguments)

    after, h = step(params, carry, x)
    assert_trees_close((after, h), cell.step(params, carry, x), **FLOAT32)
    once_more = step(params, after, 2 * x)  # the carry comes back as it went in, weak types included
    assert_trees_close(once_more, cell.step(params, after, 2 * x), **FLOAT32)
    assert len(traces) == 1


@one_of_each
def test_init_depends_on_the_key_alone(case):
    # orthogonal blocks, which take a second to compile, have a test of their own
    drawn_alike = case.name.startswith("cerebral_lstm") or case.name.split()[0] in WITHOUT_U
    options = {} if drawn_alike else {"u_init": "glorot_uniform"}

    def init(seed):  # by a factory of its own, so nothing is left over from other draws
        return case.make(**options).init(jax.random.key(seed, impl="unsafe_rbg"), D)

    first, other = init(3), init(4)
    assert_trees_equal(first, init(3))
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(other), strict=True):
        fixed = case.name.startswith("hodgkin") or path[-1].name in FIXED
        if path[-1].name.startswith("b") or fixed:
            np.testing.assert_array_equal(a, b)
        else:
            assert np.mean(a == b) < 0.1, path


if __name__ == "__main__":
    if sys.argv[1:] != ["--write-golden"]:
        sys.exit("usage: python tests/test_cells.py --write-golden")
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps({case.name: structure(case) for case in CASES}, indent=1) + "\n")
