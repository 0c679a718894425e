"""The scan with a faster gradient against the plain one: values and gradients of any step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnlab.cells import make_cell, stack
from rnnlab.cells.unroll import unroll
from rnnlab.cells.weight_gradients import plain_scan, scan
from rnnlab.core.types import Array, Cell
from rnnlab.models.recurrent_model import make_model

T, B, D, H = 6, 3, 5, 4
LENGTHS = np.array([6, 2, 4])


def cell_called(name: str) -> Cell:
    if name == "stack":
        return stack([make_cell("lstm", H), make_cell("gru", H)], connections="residual")
    if name == "relu":
        return make_cell("lstm", H, activation="relu", gate="hard_sigmoid")
    if name == "noisy":
        return make_cell("biological_lstm", H, noise=0.1, key=jax.random.key(3))
    return make_cell(name, H)


def drawn(cell: Cell, dtype=jnp.float32):
    params = cell.init(jax.random.key(0), D)
    keys = jax.random.split(jax.random.key(1), 3)
    moved = [leaf + 0.3 * jax.random.normal(keys[0], leaf.shape) for leaf in jax.tree.leaves(params)]
    params = jax.tree.unflatten(jax.tree.structure(params), [leaf.astype(dtype) for leaf in moved])
    carry = jax.tree.map(
        lambda leaf: leaf + 0.1 * jax.random.normal(keys[1], leaf.shape), cell.initial_carry(params, (B,))
    )
    return params, carry, jax.random.normal(keys[2], (T, B, D))


def gradients(cell: Cell, params, carry, xs, **options):
    """The loss and its gradient to parameters, carry and inputs: of the faster scan, then of the plain one."""

    def loss(plain, params, carry, xs):
        after, hs = unroll(cell, params, xs, carry, backward="scan" if plain else "auto", **options)
        weights = jnp.sin(jnp.arange(hs.size, dtype=hs.dtype).reshape(hs.shape))
        return jnp.sum(weights * hs) + sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(after))

    over = (1, 2) if jnp.issubdtype(xs.dtype, jnp.integer) else (1, 2, 3)
    found = jax.jit(jax.value_and_grad(loss, over), static_argnums=0)
    return found(False, params, carry, xs), found(True, params, carry, xs)


def same(ours, theirs, rtol=1e-5):
    for mine, plain in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert mine.dtype == plain.dtype
        np.testing.assert_allclose(mine, plain, rtol=rtol, atol=rtol * (1e-3 + float(jnp.max(jnp.abs(plain)))))


FEW = ("lstm", "gru")
REST = [
    pytest.param(
        name, marks=pytest.mark.slow if name in ("stack", "noisy", "cerebral_lstm") else pytest.mark.exhaustive
    )
    for name in (
        "lstm4",
        "peephole_lstm",
        "relu",
        "cerebral(gru)",
        "lstm3",
        "biological_lstm",
        "cerebral_lstm",
        "grid_lstm",
        "grid_lstm_2d",
        "hodgkin_huxley",
        "stack",
        "noisy",
    )
]


@pytest.mark.parametrize("name", [*FEW, *REST])
def test_every_cell_has_the_gradient_of_the_plain_scan(name):
    cell = cell_called(name)
    same(*gradients(cell._replace(scan=None), *drawn(cell)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", pytest.param("cerebral(gru)", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("reverse", [False, True])
def test_padding_and_direction(name, reverse):
    cell = cell_called(name)
    params, carry, xs = drawn(cell)
    xs = xs.at[jnp.arange(T)[:, None] >= LENGTHS].set(jnp.nan)
    ours, plain = gradients(cell, params, carry, xs, lengths=LENGTHS, reverse=reverse)
    same(ours, plain)
    assert np.isfinite(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(ours)])).all()
    same(*gradients(cell, *drawn(cell), reverse=reverse))


def test_ids_gather_their_rows():
    cell = make_cell("lstm", H)
    params, carry, _ = drawn(cell)
    same(*gradients(cell, params, carry, jnp.array([[0, 4, 2], [4, 4, 1], [0, 0, 3]], jnp.int32)))


@pytest.mark.parametrize(("rows", "once"), [(T * B - 1, True), (T * B, False)])
def test_a_table_of_few_rows_is_multiplied_once_for_each_row(rows, once):
    model = make_model(make_cell("lstm", H), rows, 2, per_step=True, embedding_size=D)
    ids, lengths = jax.random.randint(jax.random.key(2), (B, T), 0, rows), jnp.asarray(LENGTHS)
    params = model.init(jax.random.key(0))

    def loss(plain, params):
        outer = make_model(make_cell("lstm", H), rows, 2, per_step=True, embedding_size=D, backward=plain)
        return jnp.sum(jnp.sin(outer.apply(params, ids, lengths)[1]))

    found = jax.jit(jax.value_and_grad(loss, 1), static_argnums=0)
    same(found("auto", params), found("scan", params))
    program = str(jax.make_jaxpr(jax.grad(loss, 1), static_argnums=0)("auto", params))
    assert (f"f32[{rows},4,{H}]" in program) == once


@pytest.mark.parametrize("name", ["lstm", pytest.param("gru", marks=pytest.mark.slow)])
def test_half_precision_parameters(name):
    cell = make_cell(name, H)
    same(*gradients(cell, *drawn(cell, jnp.bfloat16)), rtol=0.05)


class Odd(NamedTuple):
    """A carry with a count of steps in integers."""

    h: Array
    n: Array


def odd_step(params, carry, x):
    """What cells of others may do: a jitted helper, one weight in several places, products either way, a loop."""
    w, u, table = params
    turned = jax.jit(lambda h: (u @ h.T).T)(carry.h)
    twice = jnp.tanh(carry.h @ u) @ u.T + jnp.sum(u) * jnp.einsum("bh,hk->bk", carry.h, u)
    looped = jax.lax.fori_loop(0, 2, lambda _, v: jnp.sin(v @ u), carry.h)
    rows = table[carry.n % len(table)] + table[x["id"]]
    h = jnp.tanh(jax.nn.relu(x["x"] * jnp.exp(-table[0, :1])) @ w + turned + 0.3 * twice + looped + rows + u[0])
    return Odd(h, carry.n + 1), {"h": h, "n": carry.n}


def test_steps_that_no_one_thought_of():
    keys = jax.random.split(jax.random.key(2), 4)
    params = [0.4 * jax.random.normal(k, s) for k, s in zip(keys, [(D, H), (H, H), (3, H)], strict=False)]
    xs = {"x": jax.random.normal(keys[3], (T, B, D)), "id": jnp.arange(T * B).reshape(T, B) % 3}
    start = Odd(0.1 * jnp.ones((B, H)), jnp.arange(B))

    def loss(over_time, params, h, x):
        after, out = over_time(odd_step, params, start._replace(h=h), {**xs, "x": x})
        return jnp.sum(out["h"] * jnp.cos(jnp.arange(H))) + jnp.sum(after.h**3), (after.n, out["n"])

    found = [jax.value_and_grad(loss, (1, 2, 3), True)(s, params, start.h, xs["x"]) for s in (scan, plain_scan)]
    same(*found)


@pytest.mark.slow
def test_what_a_step_closes_over_has_a_gradient():
    cell = make_cell("lstm", H)
    params, carry, xs = drawn(cell)

    def loss(gain, over_time):
        return jnp.sum(over_time(lambda p, c, x: cell.step(p, c, x * gain), params, carry, xs)[1] ** 2)

    gain = jnp.linspace(0.5, 2.0, D)
    same(*(jax.grad(loss)(gain, scan) for scan in (scan, plain_scan)))


@pytest.mark.slow
def test_gradients_of_gradients_and_over_runs():
    cell = make_cell("gru", H)
    params, carry, xs = drawn(cell)

    def slope(plain, params):
        def loss(p):
            return jnp.sum(unroll(cell, p, xs, carry, backward="scan" if plain else "auto")[1] ** 2)

        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(jax.grad(loss)(params)))

    same(*(jax.grad(lambda p, plain=plain: slope(plain, p))(params) for plain in (False, True)))
    runs = jax.tree.map(lambda leaf: jnp.stack([leaf, -0.5 * leaf]), params)
    each = [slope(True, jax.tree.map(lambda leaf, n=n: leaf[n], runs)) for n in range(2)]
    np.testing.assert_allclose(jax.vmap(lambda p: slope(False, p))(runs), each, rtol=1e-5)


def loops(jaxpr):
    """The scans of a jaxpr, wherever they are."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: hasattr(v, "jaxpr")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from loops(inner)


@pytest.mark.parametrize(
    "name", ["lstm", "cerebral_lstm", *(pytest.param(n, marks=pytest.mark.slow) for n in ("peephole_lstm", "lstm4"))]
)
def test_no_weight_rides_a_loop(name):
    """What the whole is for: weights are neither stacked over time nor summed step by step; few arrays are stored."""
    cell = make_cell(name, H)
    params, carry, xs = drawn(cell)
    program = jax.make_jaxpr(jax.grad(lambda p: jnp.sum(unroll(cell, p, xs, carry)[1] ** 2)))(params)
    forward, backward = loops(program.jaxpr)
    matrices = {leaf.shape for leaf in params if leaf is not None and leaf.shape[0] in (D, H) and leaf.ndim > 1}
    assert matrices
    for program in (forward, backward):
        shapes = [v.aval.shape for v in program.outvars]
        assert not matrices & set(shapes)  # summed
        assert not matrices & {shape[1:] for shape in shapes}  # stacked
    stacked = [v.aval.shape[2:] for v in forward.outvars if v.aval.shape[:2] == (T, B)]
    paths = 2 if name == "cerebral_lstm" else 1
    # gates, candidate, c and act(c) of each path, h before and after, and one more where h is a sum
    assert sum(int(np.prod(shape)) for shape in stacked) / H <= 8 * paths + 2
