"""Mixed precision: matmuls read bfloat16, all else stays float32, and results stay close."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.quickstart import CONFIG
from rnnlab.cells.registry import CELLS, make_cell
from rnnlab.cells.unroll import unroll
from rnnlab.cells.wrappers.mixed_precision import mixed_precision
from rnnlab.config.experiment import Arm
from rnnlab.runs.validate import validate
from rnnlab.training.arm_spec import build_model
from rnnlab.training.single_run import init_state
from rnnlab.training.state import Run

T, B, D, H = 5, 3, 8, 4
WITHOUT = ("hodgkin_huxley", "grid_lstm_nd")  # products, or the inputs that are drawn here
FEW = ("lstm", "qrnn", "mlstm")
NAMES = [
    *FEW,
    *(pytest.param(name, marks=pytest.mark.exhaustive) for name in CELLS if name not in (*WITHOUT, *FEW)),
    "bidirectional(lstm)",
]


def products_of(jaxpr):
    """The operand and result types of every matrix product, those of loops and calls too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield tuple(str(v.aval.dtype) for v in (*equation.invars, *equation.outvars))
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns")):
            if hasattr(inner := getattr(inner, "jaxpr", inner), "eqns"):
                yield from products_of(inner)


def drawn(cell):
    xs = jax.random.normal(jax.random.key(1), (T, B, D))
    return cell.init(jax.random.key(0), D), xs


@pytest.mark.parametrize("name", NAMES)
def test_products_read_bfloat16_and_everything_else_is_float32(name):
    plain = make_cell(name, H)
    cell = mixed_precision(plain, "bfloat16")
    params, xs = drawn(plain)
    traced = jax.make_jaxpr(lambda params, xs: unroll(cell, params, xs))(params, xs)
    of_weights, of_memory = ("bfloat16",) * 2 + ("float32",), ("float32",) * 3
    assert set(products_of(traced.jaxpr)) == {of_weights, *([of_memory] if name == "mlstm" else [])}
    carry, hs = unroll(cell, params, xs)
    assert {leaf.dtype for leaf in jax.tree.leaves((carry, hs)) if leaf.dtype != jnp.int32} == {jnp.dtype("float32")}
    found, exact = np.asarray(hs), np.asarray(unroll(plain, params, xs)[1])
    assert 0 < np.max(np.abs(found - exact)) < 0.02


@pytest.mark.parametrize(
    "name", ["lstm", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gru", "cerebral_lstm", "qrnn"))]
)
def test_gradients_are_float32_and_near_those_of_exact_products(name):
    plain = make_cell(name, H)
    params, xs = drawn(plain)

    def gradient(cell, backward):
        def loss(params):
            return jnp.sum(unroll(cell, params, xs, backward=backward)[1] ** 2)

        return jax.tree.leaves(jax.jit(jax.grad(loss))(params))

    exact = gradient(plain, "auto")
    for backward in ("auto", "scan"):
        for found, wanted in zip(gradient(mixed_precision(plain, "bfloat16"), backward), exact, strict=True):
            assert found.dtype == jnp.float32
            assert np.linalg.norm(found - wanted) < 0.03 * np.linalg.norm(wanted)


def test_float32_is_the_cell_itself():
    cell = make_cell("lstm", H)
    assert mixed_precision(cell, "float32") is cell


def test_the_config_decides_for_every_layer_and_parameters_stay_float32():
    arms = {"one": Arm("lstm"), "two": Arm("lstm", layers=2)}
    config = replace(CONFIG, arms=arms, compute_dtype="bfloat16")
    for name, spec in validate(config).specs.items():
        assert spec.compute_dtype == "bfloat16"
        model = build_model(spec, {"learning_rate": jnp.float32(0.1)})
        state = init_state(spec, Run(jnp.uint32(0), {"learning_rate": jnp.float32(0.1)}))
        ids = jnp.zeros((2, 4), jnp.int32)
        found = list(products_of(jax.make_jaxpr(model.apply)(state.params, ids).jaxpr))
        assert found.count(("bfloat16", "bfloat16", "float32")) == (1 if name == "one" else 3)  # W x is a gather
        assert found.count(("float32", "float32", "float32")) == 1  # the readout
        assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
