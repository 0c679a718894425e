"""How often rules decide: wrongly at the edge of what they test at most 5 %, rightly the more often the more runs."""

import math

import numpy as np
import pytest

from rnnlab import claims
from rnnlab.claims import all_of, any_of, in_most, last, sooner
from rnnlab.claims.rules import outcome
from tests.helpers.groups import group

LOSS = ("train", "loss")
END = last(*LOSS)
REACH = claims.epochs_to("validation", "solved", 0.9)
SIMULATIONS = 600
FAR = 50.0  # standard deviations from the edge: a part that is certainly true
CORRELATED = 0.7


def apart(random, n, shift):
    """Groups a and b whose difference has this mean and a standard deviation of 1."""
    b = random.normal(size=(n, 1))
    return group("a", b + shift + random.normal(size=(n, 1))), group("b", b)


def parts(random, n, shifts):
    """As many comparisons "a above b" as ``shifts``, whose differences are correlated, each from its own shift."""
    shared, own = random.normal(size=(n, 1)), random.normal(size=(n, len(shifts)))
    d = np.asarray(shifts) + math.sqrt(CORRELATED) * shared + math.sqrt(1 - CORRELATED) * own
    zero = group("b", np.zeros((n, 1)))
    return [claims.higher(group("a", d[:, [column]]), zero, END) for column in range(len(shifts))]


def trend(random, n, slope):
    """Noisy lines over ten epochs; the slope has a standard deviation of about 1 / 9."""
    return group("a", slope * np.arange(10) + random.normal(size=(n, 10)))


def chain(random, n, steps):
    level = np.cumsum([0, *steps])[::-1]
    return claims.ordered(
        [group(name, random.normal(size=(n, 1)) + m) for name, m in zip("abc", level, strict=True)], END
    )


def solving(random, n, late=0.0):
    """Epochs to solve, of 12; a third of equal runs never do."""
    epochs = np.ceil(random.gamma(4, 2 + late, n))
    reached = np.array([[0.95 if epoch <= column else 0.1 for column in range(1, 10)] for epoch in epochs])
    return group("a", reached, ("validation", "solved"))


def coin(random, n, p):
    return group("a", (random.uniform(size=(n, 1)) < p).astype(float))


PLATEAU = claims.slope(*LOSS)
# rule -> (what it may at most wrongly say, a draw of it at its edge); exact: the size is 5 % there, not only at most
EDGES = {
    "difference": ("holds", lambda r, n: claims.higher(*apart(r, n, 0), END), True),
    "difference, refuted": ("fails", lambda r, n: claims.higher(*apart(r, n, 0), END), True),
    "noninferior by 0.5": ("holds", lambda r, n: claims.no_worse(*apart(r, n, -0.5), END, within=0.5), True),
    "equivalent within 3": ("holds", lambda r, n: claims.equivalent(*apart(r, n, 3), END, within=3), True),
    "equivalent within 3, refuted": ("fails", lambda r, n: claims.equivalent(*apart(r, n, 3), END, within=3), False),
    "equivalent within 0.01, refuted": ("fails", lambda r, n: claims.equivalent(*apart(r, n, 0.01), END, within=0.01),
                                        True),
    "slope": ("holds", lambda r, n: claims.above(trend(r, n, 0), PLATEAU, 0), True),
    "plateau": ("holds", lambda r, n: claims.about(trend(r, n, 0.5), PLATEAU, 0, within=0.5), True),
    "order of 3, last two equal": ("holds", lambda r, n: chain(r, n, [0, FAR]), True),
    "order of 3, refuted": ("fails", lambda r, n: chain(r, n, [0, 0]), False),
    "sooner, a third censored": ("holds", lambda r, n: sooner(solving(r, n), solving(r, n), REACH), False),
    "sign test": ("holds", lambda r, n: in_most(coin(r, n, 0.5), END, above=0.5), False),
    **{f"all of {k}, one at the edge": ("holds", lambda r, n, k=k: all_of(*parts(r, n, [0, *[FAR] * (k - 1)])), True)
       for k in (2, 5, 16)},
    **{f"all of {k}, all at the edge": ("holds", lambda r, n, k=k: all_of(*parts(r, n, [0] * k)), False)
       for k in (2, 5, 16)},
    **{f"all of {k}, refuted": ("fails", lambda r, n, k=k: all_of(*parts(r, n, [0] * k)), False) for k in (2, 5, 16)},
    **{f"any of {k}": ("holds", lambda r, n, k=k: any_of(*parts(r, n, [0] * k)), False) for k in (2, 5, 16)},
    **{f"any of {k}, refuted": ("fails", lambda r, n, k=k: any_of(*parts(r, n, [0, *[-FAR] * (k - 1)])), True)
       for k in (2, 5, 16)},
}  # fmt: skip

# rule -> a draw of it where the claim is true
TRUE = {
    "difference of 1": lambda r, n: claims.higher(*apart(r, n, 1), END),
    "equivalent within 1.5": lambda r, n: claims.equivalent(*apart(r, n, 0), END, within=1.5),
    "slope of 0.1": lambda r, n: claims.above(trend(r, n, 0.1), PLATEAU, 0),
    "plateau within 0.2": lambda r, n: claims.about(trend(r, n, 0), PLATEAU, 0, within=0.2),
    "order of 3, steps of 1.5": lambda r, n: chain(r, n, [1.5, 1.5]),
    "sooner": lambda r, n: sooner(solving(r, n), solving(r, n, 2), REACH),
    "sign test, 0.9": lambda r, n: in_most(coin(r, n, 0.9), END, above=0.5),
    **{f"all of {k}, all by 1.5": lambda r, n, k=k: all_of(*parts(r, n, [1.5] * k)) for k in (2, 5, 16)},
    "any of 5, all by 1": lambda r, n: any_of(*parts(r, n, [1] * 5)),
}


def rate(draw, n: int, reached: str, simulations: int = SIMULATIONS) -> float:
    """The fraction of ``simulations`` with this outcome."""
    random = np.random.RandomState(n)
    return sum(outcome(draw(random, n), 0.05) == reached for _ in range(simulations)) / simulations


def rows(names):
    """Parts of 2 and of 5 are like those of 16."""
    between = [name for name in names if "of 5" in name or "of 2" in name]
    return [pytest.param(name, marks=pytest.mark.exhaustive if name in between else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", rows(EDGES))
def test_no_rule_decides_wrongly_in_more_than_5_percent_at_its_edge(name):
    reached, draw, exact = EDGES[name]
    error = 3 * math.sqrt(0.05 * 0.95 / SIMULATIONS)
    for n in (4, 8):
        size = rate(draw, n, reached)
        assert size <= 0.05 + error
        assert not exact or size >= 0.025 - error


@pytest.mark.parametrize("name", rows(TRUE))
def test_a_true_claim_is_found_the_more_often_the_more_runs_there_are(name):
    few, more, many = (rate(TRUE[name], n, "holds", 500) for n in (4, 8, 16))
    assert few < more < many or (more > 0.98 and few < many)
    assert many > 0.6


@pytest.mark.slow
def test_the_seeds_that_a_conjunction_asks_for_give_80_percent_power():
    _, seeds = claims.rules.outlook(chain(np.random.RandomState(0), 400, [1, 1]), 0.05, 0.8)
    assert 0.78 < rate(lambda r, n: chain(r, n, [1, 1]), int(seeds), "holds", 500) < 0.97
