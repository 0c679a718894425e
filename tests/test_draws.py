"""Random search: ranges become values that depend on the path and the seed alone."""

import numpy as np
import pytest

from rnnlab.config.draws import expand_draws
from rnnlab.core.errors import InputError
from rnnlab.training.sweep import combinations, run_grid


def values(assignments, path):
    (text,) = [each.partition("=")[2] for each in assignments if each.startswith(f"{path}=")]
    return [float(each) for each in text.split(",")]


def test_values_are_in_the_range_and_do_not_depend_on_the_others():
    alone = expand_draws(["learning_rate=log:1e-4:1e-1", "draws=500"])
    beside = expand_draws(["epochs=3", "dropout=uniform:0:0.5", "learning_rate=log:1e-4:1e-1", "draws=500"])
    rates = values(alone, "learning_rate")
    assert values(beside, "learning_rate") == rates
    assert min(rates) > 1e-4
    assert max(rates) < 1e-1
    assert abs(np.mean(np.log10(rates)) + 2.5) < 0.2  # five standard errors of 3 / √12
    assert beside[0] == "epochs=3"
    assert beside[-1] == "sweep=paired"
    assert 0.2 < np.mean(values(beside, "dropout")) < 0.3
    assert expand_draws(["draws=2", "draw_seed=5", "x=log:1:2"]) != expand_draws(["draws=2", "x=log:1:2"])
    assert expand_draws(["epochs=3"]) == ["epochs=3"]


def test_paired_values_go_together_and_a_single_one_with_all():
    grid = {"learning_rate": (1.0, 2.0, 3.0), "dropout": (0.5,), "clip_norm": (4.0, 5.0, 6.0)}
    assert combinations(grid, "paired") == [(1.0, 0.5, 4.0), (2.0, 0.5, 5.0), (3.0, 0.5, 6.0)]
    assert len(combinations(grid)) == 9
    runs = run_grid([7, 8], grid, "paired")
    assert runs.seed.tolist() == [7, 8] * 3
    assert runs.hyperparams["clip_norm"].tolist() == [4, 4, 5, 5, 6, 6]


@pytest.mark.parametrize(
    ("assignments", "told"),
    [
        (["learning_rate=log:1e-4:1e-1"], "is a range; accepted: with draws=8"),
        (["draws=3"], "nothing is drawn"),
        (["draws=0", "x=log:1:2"], "draws: '0' is not accepted"),
        (["draws=x", "x=log:1:2"], "draws: 'x' is not accepted"),
        (["draws=3", "x=log:0:2"], "accepted: log:LOW:HIGH, LOW above 0"),
        (["draws=3", "x=uniform:2:2"], "'uniform:2:2' is not a range"),
        (["draws=3", "x=uniform:a:2"], "'uniform:a:2' is not a range"),
    ],
)
def test_a_mistake_is_one_line(assignments, told):
    with pytest.raises(InputError) as caught:
        expand_draws(assignments)
    assert told in str(caught.value)
