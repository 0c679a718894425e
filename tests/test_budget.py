"""Hidden sizes of equal numbers of parameters."""

import jax
import pytest

from experiments import landscape
from rnnlab.cells import CELLS, count_parameters, hidden_size_for, make_cell
from rnnlab.models.recurrent_model import make_model

CASES = [
    ("lstm", {}), ("lru", {"output": "gated"}), ("cerebral(gru)", {}), ("bidirectional(lstm1)", {}),
    ("greff_lstm", {"variant": "FGR"}), ("mlstm", {"heads": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), CASES)
def test_no_other_size_is_nearer(name, options):
    def count(size):
        model = make_model(make_cell(name, size, **options), 7, 5, per_step=False)
        return count_parameters(jax.eval_shape(model.init, jax.random.key(0)))

    unit = options.get("heads", 1)
    size = hidden_size_for(name, 5000, 7, 5, **options)
    others = range(max(unit, size - 8 * unit), size + 9 * unit, unit)
    assert all(abs(count(size) - 5000) <= abs(count(other) - 5000) for other in others)


def test_a_budget_below_one_unit_gives_one():
    assert hidden_size_for("lstm", 1, 50) == 1
    assert {"lstm", "mgu"} <= set(CELLS)


@pytest.mark.slow
@pytest.mark.parametrize("name", landscape.SIZES)
def test_the_sizes_of_the_landscape_are_of_equal_budgets(name):
    columns = ((5000, 8, 10), (10_000, 16, 103), (2000, 2, 1), (5000, 6, 6))
    assert landscape.SIZES[name] == tuple(
        hidden_size_for(name, *column, **landscape.OPTIONS.get(name, {})) for column in columns
    )
