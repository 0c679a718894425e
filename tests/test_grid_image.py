"""Grids inside a time step: what becomes of them when a dimension is idle or two change places; what they refuse."""

import jax
import numpy as np
import pytest
from helpers import transcriptions as paper
from helpers.cases import H, assert_trees_close, generator, random_carry, random_inputs, random_params

from rnnlab.cells.grid_block import GridCarry, GridParams
from rnnlab.cells.registry import make_cell
from rnnlab.cells.unroll import unroll
from rnnlab.config.experiment import Arm, Config
from rnnlab.core.errors import InputError
from rnnlab.runs.validate import validate

B = 2
# Both sides sum the same few float32 terms, perhaps in another order, over at most six blocks.
FLOAT32 = {"rtol": 2e-5, "atol": 5e-6}


def drawn(name, inputs, **options):
    draw, cell = generator("grid image", name, *options), make_cell(name, H, **options)
    params = random_params(cell, draw, inputs)
    return draw, cell, params, random_carry(cell, params, draw, (B,))


def test_a_step_of_two_dimensions_is_the_papers():
    """Of unlike sizes, two features at a place, two layers; with the carry handed on to a second step."""
    draw, cell, params, carry = drawn("grid_lstm_nd", 12, shape="2x3", layers=2, priority="depth")
    theirs = paper.grid_lstm_nd((2, 3), layers=2, priority=True)
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (params, carry))
    starts = [jax.tree.map(lambda leaf, b=b: leaf[b], wide[1]) for b in range(B)]
    for x in random_inputs(draw, 2, B, 12):
        gates = cell.gates(params, carry, x)
        carry, h = cell.step(params, carry, x)
        for b in range(B):
            after, expected, decided = theirs(wide[0], starts[b], x[b].astype(np.float64))
            starts[b] = GridCarry(**after)
            np.testing.assert_allclose(h[b], expected, **FLOAT32)
            assert_trees_close(jax.tree.map(lambda leaf, b=b: leaf[b], carry), starts[b], **FLOAT32)
            assert_trees_close({n: g[b] for n, g in gates._asdict().items()}, decided, **FLOAT32)


@pytest.mark.parametrize("options", [{}, {"depth": "feedforward", "tied": True, "layers": 2}], ids=["lstm", "tied"])
def test_an_image_on_its_side_is_read_by_the_exchanged_dimensions(options):
    """Rows read as columns, by weights that have changed places: the same corner sees the same image."""
    rows, columns, patch = 2, 3, 2
    draw, cell, params, _ = drawn("grid_lstm_2d", columns * patch, patch=patch, **options)
    exchanged = [1, 0, *range(2, params.u.shape[2])]
    blocks = params.u.reshape(len(params.u), 3, H, *params.u.shape[2:])
    turned = params._replace(
        u=blocks[:, [1, 0, 2]][:, :, :, exchanged].reshape(params.u.shape),
        b=params.b[:, exchanged],
        v=None if params.v is None else params.v.reshape(-1, 3, H, H)[:, [1, 0, 2]].reshape(params.v.shape),
        extents=type(params.extents)((rows,)),
    )
    image = random_inputs(draw, rows, B, columns, patch)
    on_its_side = np.moveaxis(image, 2, 0).swapaxes(1, 2)
    h = unroll(cell, params, image.reshape(rows, B, -1))[1][-1]
    np.testing.assert_allclose(unroll(cell, turned, on_its_side.reshape(columns, B, -1))[1][-1], h, **FLOAT32)
    unlike = params._replace(extents=turned.extents)
    assert np.abs(unroll(cell, unlike, on_its_side.reshape(columns, B, -1))[1][-1] - h).max() > 0.01


def without_a_side(params, side):
    """The weights of a grid that lacks a dimension beside depth."""
    left = [n for n in range(3) if n != side]
    blocks = params.u.reshape(len(params.u), 3, H, *params.u.shape[2:])[:, left][:, :, :, left]
    return GridParams(params.w, blocks.reshape(len(params.u), 2 * H, 2, 4, H), None, params.b[:, left], None)


@pytest.mark.parametrize("priority", ["none", "depth"])
def test_one_column_is_the_grid_of_time_and_depth(priority):
    """Nothing comes along the row; with priority depth would still see what leaves along it, so that is taken out."""
    draw, cell, params, carry = drawn("grid_lstm_2d", 5, patch=5, layers=2, priority=priority)
    if priority == "depth":
        params.u[:, H : 2 * H, 2] = 0
    plain = make_cell("grid_lstm", H, layers=2, priority=priority)
    xs = random_inputs(draw, 3, B, 5)
    after, hs = unroll(cell, params, xs, carry)
    start = jax.tree.map(lambda leaf: leaf[:, 0], carry)
    end, expected = unroll(plain, without_a_side(params, 1), xs, start)
    np.testing.assert_allclose(hs, expected, **FLOAT32)
    assert_trees_close(jax.tree.map(lambda leaf: leaf[:, 0], after), end, **FLOAT32)


def test_one_row_is_the_grid_of_time_and_depth_over_its_columns():
    draw, cell, params, _ = drawn("grid_lstm_2d", 8, patch=2, layers=2)
    x = random_inputs(draw, B, 4, 2)
    plain = make_cell("grid_lstm", H, layers=2)
    expected = unroll(plain, without_a_side(params, 0), np.swapaxes(x, 0, 1))[1][-1]
    _, h = cell.step(params, cell.initial_carry(params, (B,)), x.reshape(B, -1))
    np.testing.assert_allclose(h, expected, **FLOAT32)


def test_an_output_sees_every_pixel_of_its_row_and_of_those_before():
    draw, cell, params, carry = drawn("grid_lstm_2d", 4)
    xs = random_inputs(draw, 3, B, 4)
    jacobian = jax.jit(jax.jacrev(lambda xs: unroll(cell, params, xs, carry)[1][:, 0]))(xs)  # [t, H, s, B, column]
    seen = np.abs(jacobian[:, :, :, 0]).max(1) > 0
    for t in range(3):
        assert seen[t, : t + 1].all()
        assert not seen[t, t + 1 :].any()


def test_a_shape_of_one_size_is_so_many_columns():
    draw, cell, params, carry = drawn("grid_lstm_2d", 6, patch=2)
    nd, x = make_cell("grid_lstm_nd", H, shape="3"), random_inputs(draw, B, 6)
    for one, sizes in ((cell, (3,)), (nd, (3,)), (make_cell("grid_lstm_nd", H), (6,))):
        assert jax.eval_shape(lambda one=one: one.init(jax.random.key(0), 6)).extents.sizes == sizes
    assert_trees_close(nd.step(params, carry, x), cell.step(params, carry, x), **FLOAT32)


@pytest.mark.parametrize(
    ("cell", "options", "told"),
    [
        ("grid_lstm_2d", {"patch": 3}, r"patch: 3 does not divide the 8 features of a row; accepted: 1, 2, 4, 8"),
        ("grid_lstm_2d", {"patch": 16}, r"patch: 16 does not divide .*; accepted: 1, 2, 4, 8"),
        (
            "grid_lstm_nd",
            {"shape": "2x3"},
            r"shape: 2x3 has 6 places, .* 8 features of a step; accepted: .* 1, 2, 4, 8",
        ),
    ],
)
def test_a_grid_that_does_not_fit_the_data_is_refused_before_anything_is_trained(cell, options, told):
    config = Config(
        experiment="probe", arms={"odd": Arm(cell, options=options)}, data="digits", seeds=(0,), hidden_size=4
    )
    with pytest.raises(InputError, match=rf"^arms\.odd: {told}$"):
        validate(config)
