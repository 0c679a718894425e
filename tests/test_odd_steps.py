"""What a step may hold beside products, and where it runs: all has the plain scan's values and derivatives."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.generated_steps import GENERATORS, OPERATIONS, check, clipped, drawn_case
from jax.sharding import PartitionSpec as P

from rnnlab.cells import make_cell
from rnnlab.cells.unroll import unroll
from rnnlab.cells.weight_gradients import plain_scan, scan
from rnnlab.core.errors import InputError

T, B, D, H = 4, 2, 3, 2


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def arguments(t=T, b=B, d=D, h=H):
    draw = np.random.default_rng(0)
    w, u, start, xs = (draw.standard_normal(shape) for shape in ((d, h), (h, h), (b, h), (t, b, d)))
    return (jnp.asarray(w), jnp.asarray(u)), jnp.asarray(start), jnp.asarray(xs)


def tanh_step(params, h, x):
    h = jnp.tanh(x @ params[0] + h @ params[1])
    return h, h


def loss(over_time, step, params, h, xs):
    after, hs = over_time(step, params, h, xs)
    return jnp.sum(jnp.sin(hs) * hs) + jnp.sum(after)


def assert_as_plain(derive, step=tanh_step, of=None, rtol=1e-9):
    ours, plain = (derive(partial(loss, s, step))(*(of or arguments())) for s in (scan, plain_scan))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=1e-12), ours, plain)


def squared(f, argnum):
    return lambda *a: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(jax.grad(f, argnum)(*a)))


@pytest.mark.parametrize(("inner", "outer"), [(0, 2), (2, 0), (0, 0), (0, 1)])
def test_second_derivatives_are_the_plain_scans(float64, inner, outer):
    assert_as_plain(lambda f: jax.jit(jax.grad(squared(f, inner), outer)))


@pytest.mark.parametrize(
    "derive",
    [
        lambda f: jax.jacfwd(f, 2),
        pytest.param(lambda f: jax.hessian(f, 1), marks=pytest.mark.slow),
        pytest.param(lambda f: jax.jacfwd(jax.jacfwd(f, 2), 0), marks=pytest.mark.exhaustive),
        pytest.param(
            lambda f: jax.grad(lambda *a: jnp.sum(jax.jacfwd(f, 2)(*a) ** 2), 0), marks=pytest.mark.exhaustive
        ),
        lambda f: lambda *a: jax.jvp(jax.jit(f), a, a),
        lambda f: jax.grad(lambda *a: jax.jvp(jax.grad(f, 2), a, a)[1].sum(), 1),
    ],
    ids=["jacfwd", "hessian", "forward over forward", "reverse over forward", "jvp of jit", "three orders"],
)
def test_forward_mode_and_its_mixtures_are_the_plain_scans(float64, derive):
    assert_as_plain(derive)


@pytest.mark.slow
def test_a_batch_of_gradients_is_the_gradient_of_a_batch(float64):
    params, h, xs = arguments()
    runs = jax.tree.map(lambda leaf: jnp.stack([leaf, -0.5 * leaf]), params)

    def both(s):
        f = partial(loss, s, tanh_step)
        over = (0, None, None)
        whole = jax.grad(lambda runs: jnp.sum(jax.vmap(f, over)(runs, h, xs)))(runs)
        tangent = jax.vmap(lambda p: jax.jvp(f, (p, h, xs), (p, h, xs))[1])(runs)
        return jax.vmap(jax.grad(f), over)(runs, h, xs), whole, tangent

    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9), both(scan), both(plain_scan))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if place < 2 else pytest.mark.exhaustive)
        for place, name in enumerate(name for name in OPERATIONS if "clipped" in name or "stopped" in name)
    ],
)
def test_custom_and_stopped_gradients_are_kept_at_every_step(float64, name):
    check(drawn_case(1, [name, "product"], "reverse"))
    check(drawn_case(1, [name, "product"], "reverse over reverse"))


def test_a_gradient_clipped_inside_a_step_is_clipped_at_every_step(float64):
    def step(params, h, x):
        h = jnp.tanh(clipped(x) @ clipped(params[0]) + h @ clipped(params[1]))
        return h, 9 * h

    assert_as_plain(lambda f: jax.jit(jax.grad(f, (0, 1, 2))), step)


@pytest.mark.parametrize(
    "generator", [GENERATORS[0], *(pytest.param(each, marks=pytest.mark.slow) for each in GENERATORS[1:])]
)
def test_a_factor_drawn_from_a_key_in_xs_is_drawn_once(float64, generator):
    params, h, xs = arguments()
    keys = jax.random.split(jax.random.key(0, impl=generator), T)

    def step(params, h, x):
        x, key = x
        return tanh_step(params, h, jnp.where(jax.random.bernoulli(key, 0.5, x.shape), 2 * x, 0))

    ours, plain = (jax.grad(lambda p, s=s: loss(s, step, p, h, (xs, keys)))(params) for s in (scan, plain_scan))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9), ours, plain)


@pytest.mark.slow
def test_constants_of_jitted_functions_are_kept(float64):
    table = jnp.asarray([[0.5, 2.0]])
    masked = jax.jit(lambda v: v * table)

    def step(params, h, x):
        h = masked(jnp.tanh(x @ params[0] + h @ masked(params[1])) @ jax.scipy.linalg.expm(params[1]))
        return jnp.tanh(h), h

    assert_as_plain(lambda f: jax.jit(jax.grad(f, (0, 2))), step)


def test_host_callbacks_are_called(float64):
    def step(params, h, x):
        mask = jax.pure_callback(
            lambda n: np.asarray(n) > 0, jax.ShapeDtypeStruct(x.shape, bool), jax.lax.stop_gradient(x)
        )
        return tanh_step(params, h, jnp.where(mask, x, 0))

    assert_as_plain(lambda f: jax.jit(jax.grad(f, (0, 2))), step)


def test_collectives_over_a_mapped_axis(float64):
    def step(params, h, x):
        h = jnp.tanh(x @ params[0] + jax.lax.pmean(h, "row") @ params[1])
        return h, h

    params, h, xs = arguments()

    def mapped(s):
        over = jax.vmap(partial(loss, s, step), (None, 0, 1), axis_name="row")
        return jax.grad(lambda p: jnp.sum(over(p, h, xs)))(params)

    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9), mapped(scan), mapped(plain_scan))


@pytest.mark.slow
@pytest.mark.parametrize("explicit", [False, True])
def test_explicit_meshes_and_checked_shard_maps(explicit):
    params, h, xs = arguments()
    kind = jax.sharding.AxisType.Explicit if explicit else jax.sharding.AxisType.Auto
    mesh = jax.make_mesh((1,), ("data",), axis_types=(kind,))
    if explicit:
        place = partial(jax.device_put, device=jax.NamedSharding(mesh, P()))
        params, h, xs = jax.tree.map(place, (params, h, xs))

        def gradient(s):
            with jax.set_mesh(mesh):
                return jax.jit(jax.grad(partial(loss, s, tanh_step)))(params, h, xs)

    else:

        def gradient(s):
            def shard(params, h, xs):
                return jax.lax.psum(loss(s, tanh_step, params, h, xs), "data")

            specs = (P(), P("data"), P(None, "data"))
            return jax.grad(jax.shard_map(shard, mesh=mesh, in_specs=specs, out_specs=P()))(params, h, xs)

    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), gradient(scan), gradient(plain_scan))


def test_a_symbolic_batch_can_be_exported():
    params, _, _ = arguments()
    (b,) = jax.export.symbolic_shape("b")

    def gradient(xs):
        return jax.grad(lambda p: loss(scan, tanh_step, p, jnp.zeros((xs.shape[1], H)), xs))(params)

    exported = jax.export.export(jax.jit(gradient))(jax.ShapeDtypeStruct((T, b, D), jnp.float32))
    xs = arguments()[2].astype(jnp.float32)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), exported.call(xs), gradient(xs))


@pytest.mark.slow
@pytest.mark.parametrize("size", ["t", "b", "d", "h"])
def test_axes_of_length_zero(float64, size):
    assert_as_plain(lambda f: jax.grad(f, (0, 1, 2)), of=arguments(**{size: 0}))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda h: h, "must return a pair"),
        (lambda h: (h, h, h), "must return a pair"),
        (lambda h: ((h, h), h), "another structure"),
    ],
)
def test_a_step_that_returns_something_else_is_refused(result, message):
    with pytest.raises(InputError, match=message):
        scan(lambda p, h, x: result(tanh_step(p, h, x)[0]), *arguments())


def test_the_switch_takes_the_plain_scan():
    cell = make_cell("lstm", H)
    params, xs = cell.init(jax.random.key(0), D), arguments()[2]
    jaxpr = jax.make_jaxpr(lambda p: unroll(cell, p, xs, backward="scan"))(params)
    assert "custom_jvp_call" not in str(jaxpr)
    assert "custom_jvp_call" in str(jax.make_jaxpr(lambda p: unroll(cell, p, xs))(params))
    with pytest.raises(InputError, match="backward"):
        unroll(cell, params, xs, backward="plain")


SLOW, EXHAUSTIVE = pytest.mark.slow, pytest.mark.exhaustive


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(0, marks=SLOW),
        *(pytest.param(n, marks=EXHAUSTIVE) for n in range(2, 300, 2)),
    ],
)
def test_generated_steps_have_the_plain_scans_values_and_derivatives(float64, first):
    for seed in (first, first + 1):
        check(drawn_case(seed))


def readout(params, h, x):
    h = jnp.tanh(x + h @ params[0])
    return h, jax.nn.logsumexp(h @ params[1], -1)


def attention(params, h, x):
    h = jnp.tanh(x + jax.nn.softmax((h @ params[0]) @ params[1].T) @ params[1])
    return h, h


@pytest.mark.parametrize(("step", "weight"), [(readout, (16, 500)), (attention, (25, 16))])
def test_a_gradient_takes_at_most_half_as_much_memory_again_as_the_plain_scans(step, weight):
    params, h, xs = (jnp.ones((16, 16)), jnp.ones(weight)), jnp.ones((8, 16)), jnp.ones((20, 8, 16))

    def bytes_of(over_time):
        gradient = jax.jit(jax.grad(partial(loss, over_time, step), (0, 1, 2)))
        return gradient.lower(params, h, xs).compile().memory_analysis().temp_size_in_bytes

    assert bytes_of(scan) <= 1.5 * bytes_of(plain_scan)
