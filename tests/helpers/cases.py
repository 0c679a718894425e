"""The table of cells under test, one row for each cell and interesting combination of options, and random fillings."""

import inspect
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from helpers import newer_transcriptions as newer
from helpers import transcriptions as paper
from rnnlab.cells import make_cell, stack
from rnnlab.core.types import Cell

D, H = 3, 4  # no two dimensions of a test alike


class Case(NamedTuple):
    """A row: how the cell is made, its number of parameters, and its independent transcription."""

    name: str
    make: Callable[..., Cell]  # (hidden_size, **options)
    count: Callable[[int, int], int]  # (D, H) -> parameters, written out by hand
    transcription: Callable[[Any, Any, Any], tuple[Any, Any, dict]]
    over_time: bool = True  # False: differs from another row only inside the step, so time adds nothing
    start: Mapping[str, float] | None = None  # of the carry, by name; None: zero
    ids: bool = True  # False: takes features alone


def row(name, count, transcription, *, over_time=True, start=None, **options):
    """The cell that is the first word of ``name``, with ``options``.

    ``transcription`` is one, or a function in ``transcriptions`` that gets those of the options that it takes.
    """

    def make(hidden_size=H, **more):
        return make_cell(name.split()[0], hidden_size, **options, **more)

    if getattr(paper, transcription.__name__, None) is transcription:
        accepted = inspect.signature(transcription).parameters
        transcription = transcription(**{option: value for option, value in options.items() if option in accepted})
    return Case(name, make, count, transcription, over_time, start)


def variation(*arguments, **options):
    """A row that differs from another of the same cell only inside the step."""
    return row(*arguments, over_time=False, **options)


def unlike_layers(hidden_size=H, **options):
    """An LSTM of another width below a GRU."""
    return stack(
        [make_cell("lstm", hidden_size + 1, **options), make_cell("gru", hidden_size, reset="before", **options)]
    )


def connected(connections, *names):
    """Layers of one width."""

    def make(hidden_size=H, **options):
        return stack([make_cell(name, hidden_size, **options) for name in names], connections=connections)

    return make


def cerebral_below(hidden_size=H, **options):
    """A cerebral LSTM3 of another width below an LSTM."""
    return stack([make_cell("cerebral(lstm3)", hidden_size + 1, **options), make_cell("lstm", hidden_size, **options)])


def full(d, h):
    """One gate that sees x and h and has a bias."""
    return d * h + h * h + h


# Hodgkin & Huxley's rates at -65 mV: a / (a + b).
AT_REST = {
    "v": -65.0,
    "m": 2.5 / (np.exp(2.5) - 1) / (2.5 / (np.exp(2.5) - 1) + 4),
    "h_gate": 0.07 / (0.07 + 1 / (1 + np.exp(3))),
    "n": 0.1 / (np.e - 1) / (0.1 / (np.e - 1) + 0.125),
}

XLSTM_START = {"c": 0.0, "n": 0.0, "m": -1e30, "h": 0.0}
OTHER = {"activation": "sigmoid", "gate": "hard_sigmoid"}
SLIM = {  # parameters
    1: lambda d, h: full(d, h) + 3 * (h * h + h),
    2: lambda d, h: full(d, h) + 3 * h * h,
    3: lambda d, h: full(d, h) + 3 * h,
    4: lambda d, h: full(d, h) + 3 * h,
    5: lambda d, h: full(d, h) + 6 * h,
}

CASES = [
    row("rnn", full, paper.rnn),
    variation("rnn relu", full, paper.rnn, activation="relu"),
    variation("rnn sigmoid", full, paper.rnn, activation="sigmoid"),
    row("lstm", lambda d, h: 4 * full(d, h), paper.lstm),
    variation("lstm relu", lambda d, h: 4 * full(d, h), paper.lstm, activation="relu"),
    variation("lstm sigmoid, hard gates", lambda d, h: 4 * full(d, h), paper.lstm, **OTHER),
    variation("lstm without bias", lambda d, h: 4 * (d * h + h * h), paper.lstm, bias=False),
    row(
        "lstm with biases of c and h alone",
        lambda d, h: 4 * (d * h + h * h) + 2 * h,
        paper.lstm,
        bias=False,
        state_bias=True,
    ),
    variation("lstm recurrent output gate", lambda d, h: 3 * full(d, h) + h * h, paper.lstm, output_gate="recurrent"),
    variation(
        "lstm recurrent output gate without bias",
        lambda d, h: 3 * (d * h + h * h) + h * h,
        paper.lstm,
        output_gate="recurrent",
        bias=False,
    ),
    row("lstm_1997", lambda d, h: 3 * full(d, h), paper.lstm_1997),
    variation("lstm_1997 sigmoid, hard gates", lambda d, h: 3 * full(d, h), paper.lstm_1997, **OTHER),
    row("peephole_lstm", lambda d, h: 4 * full(d, h) + 3 * h, paper.peephole_lstm),
    row(
        "peephole_lstm as printed",
        lambda d, h: 4 * full(d, h) + 3 * h * h,
        paper.peephole_lstm,
        peephole="full",
        output_peephole="previous",
    ),
    variation(
        "peephole_lstm full current", lambda d, h: 4 * full(d, h) + 3 * h * h, paper.peephole_lstm, peephole="full"
    ),
    variation(
        "peephole_lstm diagonal previous",
        lambda d, h: 4 * full(d, h) + 3 * h,
        paper.peephole_lstm,
        output_peephole="previous",
    ),
    variation("peephole_lstm sigmoid, hard gates", lambda d, h: 4 * full(d, h) + 3 * h, paper.peephole_lstm, **OTHER),
    row("gru", lambda d, h: 3 * full(d, h) + h, paper.gru),
    row("gru before", lambda d, h: 3 * full(d, h), paper.gru, reset="before"),
    variation("gru sigmoid, hard gates", lambda d, h: 3 * full(d, h) + h, paper.gru, **OTHER),
    variation("gru before sigmoid, hard gates", lambda d, h: 3 * full(d, h), paper.gru, reset="before", **OTHER),
    row("gru printed", lambda d, h: 2 * (d * h + h * h), paper.gru, variant="printed", reset="before"),
    *(row(f"lstm{n}", count, paper.slim(n)) for n, count in SLIM.items()),
    variation(
        "lstm1 relu, hard gates", SLIM[1], paper.slim(1, "relu", "hard_sigmoid"), activation="relu", gate="hard_sigmoid"
    ),
    variation("lstm4 sigmoid, hard gates", SLIM[4], paper.slim(4, **OTHER), **OTHER),
    row("biological_lstm", lambda d, h: 3 * (full(d, h) + h * h) + h, paper.biological_lstm),
    variation("biological_lstm hard gates", lambda d, h: 3 * (full(d, h) + h * h) + h, paper.biological_lstm, **OTHER),
    row(  # without a key there is no noise, but steps are counted; a delta that float32 sees in the fourth digit
        "biological_lstm silent noise",
        lambda d, h: 3 * (full(d, h) + h * h) + h,
        paper.biological_lstm,
        delta=0.3,
        noise=0.1,
        activation="sigmoid",
    ),
    row("cerebral_lstm", lambda d, h: 8 * full(d, h), paper.cerebral_lstm),
    row(
        "cerebral_lstm printed, identical",
        lambda d, h: 8 * full(d, h),
        paper.cerebral_lstm,
        variant="printed",
        paths="identical",
        activation="sigmoid",
    ),
    variation(
        "cerebral_lstm noise",
        lambda d, h: 8 * full(d, h),
        paper.cerebral_lstm,
        paths="noise",
        noise_std=0.01,
        activation="relu",
    ),
    variation("cerebral_lstm sigmoid, hard gates", lambda d, h: 8 * full(d, h), paper.cerebral_lstm, **OTHER),
    row("cerebral_lstm tied", lambda d, h: 4 * full(d, h), paper.cerebral_lstm(tied=True), paths="tied"),
    row("hodgkin_huxley", lambda d, h: d * h, paper.hodgkin_huxley, start=AT_REST),
    variation(
        "hodgkin_huxley rk4, substeps",
        lambda d, h: d * h,
        paper.hodgkin_huxley,
        integrator="rk4",
        dt=0.05,
        substeps=3,
        start=AT_REST,
    ),
    row("qrnn", lambda d, h: 3 * (2 * d * h + h), paper.qrnn),
    row("qrnn f, window 1", lambda d, h: 2 * (d * h + h), paper.qrnn, pooling="f", window=1),
    row(  # without a key nothing is kept, but steps are counted
        "qrnn ifo, window 3, silent zoneout",
        lambda d, h: 4 * (3 * d * h + h),
        paper.qrnn,
        pooling="ifo",
        window=3,
        zoneout=0.3,
    ),
    variation("qrnn sigmoid, hard gates", lambda d, h: 3 * (2 * d * h + h), paper.qrnn, **OTHER),
    row("grid_lstm", lambda d, h: 2 * d * h + 2 * 4 * (2 * h * h + h), paper.grid_lstm),
    row(
        "grid_lstm two layers, priority",
        lambda d, h: 2 * d * h + 2 * 2 * 4 * (2 * h * h + h),
        paper.grid_lstm(layers=2, priority=True),
        layers=2,
        priority="depth",
    ),
    variation(
        "grid_lstm three layers tied",
        lambda d, h: 2 * d * h + 2 * 4 * (2 * h * h + h),
        paper.grid_lstm,
        layers=3,
        tied=True,
    ),
    variation(
        "grid_lstm feed-forward depth",
        lambda d, h: d * h + 2 * (4 + 1) * (2 * h * h + h),
        paper.grid_lstm(layers=2, memory=False),
        layers=2,
        depth="feedforward",
    ),
    variation(
        "grid_lstm feed-forward depth tied, priority",
        lambda d, h: d * h + (4 + 1) * (2 * h * h + h),
        paper.grid_lstm(layers=2, tied=True, memory=False, priority=True),
        layers=2,
        tied=True,
        depth="feedforward",
        priority="depth",
    ),
    variation(
        "grid_lstm printed, sigmoid, hard gates",
        lambda d, h: 2 * d * h + 2 * 4 * (2 * h * h + h),
        paper.grid_lstm(printed=True, **OTHER),
        variant="printed",
        **OTHER,
    ),
    variation("grid_lstm one dimension", lambda d, h: 4 * full(d, h), paper.grid_lstm_of_time, dims=1),
    row("grid_lstm_2d", lambda d, h: 2 * h + 3 * 4 * (3 * h * h + h), paper.grid_lstm_nd),
    variation(
        "grid_lstm_2d two layers, priority",
        lambda d, h: 2 * h + 2 * 3 * 4 * (3 * h * h + h),
        paper.grid_lstm_nd(layers=2, priority=True),
        layers=2,
        priority="depth",
    ),
    variation(
        "grid_lstm_2d two layers tied, feed-forward depth",
        lambda d, h: h + (2 * 4 + 1) * (3 * h * h + h),
        paper.grid_lstm_nd(layers=2, tied=True, memory=False, printed=True, **OTHER),
        layers=2,
        tied=True,
        depth="feedforward",
        variant="printed",
        **OTHER,
    ),
    row("min_gru", lambda d, h: 2 * (d * h + h), newer.min_gru()),
    row("min_gru linear", lambda d, h: 2 * (d * h + h), newer.min_gru(log=False), variant="linear"),
    variation("min_lstm", lambda d, h: 3 * (d * h + h), newer.min_lstm()),
    variation("min_lstm linear", lambda d, h: 3 * (d * h + h), newer.min_lstm(log=False), variant="linear"),
    row("lru", lambda d, h: 3 * h + 2 * d * h + 2 * h * h + d * h, newer.lru()),
    variation(
        "lru gated, 6 states",
        lambda d, h: 3 * 6 + 2 * d * 6 + 2 * 6 * h + d * h + h * h + h,
        newer.lru(with_gate=True),
        state_size=6,
        output="gated",
    ),
    variation("s5", lambda d, h: 3 * h + 2 * d * h + 2 * h * h + d * h + h * h + h, newer.s5()),
    variation(
        "s5 linear, 6 states",
        lambda d, h: 3 * 6 + 2 * d * 6 + 2 * 6 * h + d * h,
        newer.s5(with_gate=False),
        state_size=6,
        output="linear",
    ),
    variation("rg_lru", lambda d, h: d * h + 2 * h * h + 4 * h, newer.rg_lru()),
    row("slstm", lambda d, h: 4 * full(d, h), newer.slstm(), start=XLSTM_START),
    variation(
        "slstm exponential forget gate, 2 heads",
        lambda d, h: 4 * (d * h + h * h // 2 + h),
        newer.slstm(heads=2, forget="exp"),
        forget="exp",
        heads=2,
        start=XLSTM_START,
    ),
    variation("mlstm", lambda d, h: 4 * (d * h + h) + 2 * (d + 1), newer.mlstm(), start=XLSTM_START),
    row(
        "mlstm exponential forget gate, 2 heads",
        lambda d, h: 4 * (d * h + h) + 4 * (d + 1),
        newer.mlstm(heads=2, forget="exp"),
        forget="exp",
        heads=2,
        start=XLSTM_START,
    ),
    row("mgu", lambda d, h: 2 * full(d, h), newer.mgu),
    variation("janet", lambda d, h: 2 * full(d, h), newer.janet(0.4), beta=0.4),
    variation("ugrnn", lambda d, h: 2 * full(d, h), newer.ugrnn),
    row("mut1", lambda d, h: 3 * full(d, h) - h * h, newer.mut(1)),
    variation("mut2", lambda d, h: 3 * full(d, h), newer.mut(2)),
    variation("mut3", lambda d, h: 3 * full(d, h), newer.mut(3)),
    row("indrnn", lambda d, h: d * h + 2 * h, newer.indrnn),
    row("sru", lambda d, h: 4 * d * h + 4 * h, newer.sru),
    variation("brc", lambda d, h: 3 * d * h + 2 * h, newer.brc(False)),
    row("nbrc", lambda d, h: 3 * d * h + 2 * h * h, newer.brc(True)),
    row("lem", lambda d, h: 4 * full(d, h), newer.lem(0.7), dt=0.7),
    row("cornn", lambda d, h: d * h + 2 * h * h + h, newer.cornn()),
    row("projected_lstm", lambda d, h: 8 * full(d, h) + 2 * h * h, newer.projected_lstm),
    variation(
        "projected_lstm 5 cells",
        lambda d, h: 4 * (d * 5 + h * 5 + 5) + 5 * h,
        newer.projected_lstm,
        state_size=5,
    ),
    row("layer_norm_lstm", lambda d, h: 4 * full(d, h) + 18 * h, newer.layer_norm_lstm),
    row("layer_norm_gru", lambda d, h: 3 * (d * h + h * h) + 12 * h, newer.layer_norm_gru),
    variation("greff_lstm", lambda d, h: 4 * full(d, h) + 3 * h, newer.greff_lstm("V")),
    *(
        variation(
            f"greff_lstm {name}",
            lambda d, h, blocks=blocks, more=more: blocks * full(d, h) + more(h),
            newer.greff_lstm(name),
            variant=name,
        )
        for name, blocks, more in [
            ("NIG", 3, lambda h: 2 * h),
            ("NFG", 3, lambda h: 2 * h),
            ("NOG", 3, lambda h: 2 * h),
            ("NIAF", 4, lambda h: 3 * h),
            ("NOAF", 4, lambda h: 3 * h),
            ("NP", 4, lambda h: 0),
            ("CIFG", 3, lambda h: 2 * h),
        ]
    ),
    row("greff_lstm FGR", lambda d, h: 4 * full(d, h) + 3 * h + 9 * h * h, newer.greff_lstm("FGR"), variant="FGR"),
    variation("grid_lstm_nd", lambda d, h: 2 * h + 3 * 4 * (3 * h * h + h), paper.grid_lstm_nd),
    Case(
        "stack of lstm and gru",
        unlike_layers,
        lambda d, h: 4 * full(d, h + 1) + 3 * full(h + 1, h),
        paper.stacked(paper.lstm(), paper.gru(reset="before")),
    ),
    Case(
        "stack residual",
        connected("residual", "lstm", "rnn", "lstm3"),
        lambda d, h: 4 * full(d, h) + full(h, h) + full(h, h) + 3 * h,
        paper.stacked(paper.lstm(), paper.rnn(), paper.slim(3), connections="residual"),
    ),
    Case(
        "stack dense",
        connected("dense", "rnn", "lstm", "rnn"),
        lambda d, h: full(d, h) + 4 * full(d + h, h) + full(d + 2 * h, h),
        paper.stacked(paper.rnn(), paper.lstm(), paper.rnn(), connections="dense"),
        ids=False,
    ),
    row("cerebral(lstm)", lambda d, h: 8 * full(d, h), paper.cerebral(paper.lstm())),
    variation(
        "cerebral(lstm) tied", lambda d, h: 4 * full(d, h), paper.cerebral(paper.lstm(), tied=True), paths="tied"
    ),
    variation(
        "cerebral(lstm) noise",
        lambda d, h: 8 * (d * h + h * h),
        paper.cerebral(paper.lstm(bias=False)),
        paths="noise",
        noise_std=0.01,
        bias=False,
    ),
    variation(
        "cerebral(peephole_lstm) as printed",
        lambda d, h: 2 * (4 * full(d, h) + 3 * h * h),
        paper.cerebral(paper.peephole_lstm("full", "previous")),
        peephole="full",
        output_peephole="previous",
    ),
    row("cerebral(gru)", lambda d, h: 2 * (3 * full(d, h) + h), paper.cerebral(paper.gru(), adding=False)),
    variation(
        "cerebral(gru) tied",
        lambda d, h: 3 * full(d, h),
        paper.cerebral(paper.gru(reset="before"), adding=False, tied=True),
        reset="before",
        paths="tied",
    ),
    variation("cerebral(rnn)", lambda d, h: 2 * full(d, h), paper.cerebral(paper.rnn(), adding=False)),
    variation("cerebral(lstm_1997)", lambda d, h: 2 * 3 * full(d, h), paper.cerebral(paper.lstm_1997())),
    *(
        variation(f"cerebral(lstm{n})", lambda d, h, count=count: 2 * count(d, h), paper.cerebral(paper.slim(n)))
        for n, count in SLIM.items()
    ),
    row(
        "cerebral(biological_lstm) silent noise",
        lambda d, h: 2 * (3 * (full(d, h) + h * h) + h),
        paper.cerebral(paper.biological_lstm(delta=0.3, activation="sigmoid")),
        delta=0.3,
        noise=0.1,
        activation="sigmoid",
    ),
    variation(
        "cerebral(grid_lstm) two layers",
        lambda d, h: 2 * (2 * d * h + 2 * 2 * 4 * (2 * h * h + h)),
        paper.cerebral(paper.grid_lstm(layers=2)),
        layers=2,
    ),
    Case(
        "cerebral in a stack",
        cerebral_below,
        lambda d, h: 2 * (full(d, h + 1) + 3 * (h + 1)) + 4 * full(h + 1, h),
        paper.stacked(paper.cerebral(paper.slim(3)), paper.lstm()),
    ),
]
OVER_TIME = [case for case in CASES if case.over_time]
UNLIKE = {  # each with a carry, a step or a scan of its own kind
    "lstm", "gru", "biological_lstm silent noise", "cerebral_lstm", "qrnn", "grid_lstm_2d", "stack of lstm and gru",
    "cerebral(lstm)",
}  # fmt: skip


def rows(cases, further, fast=UNLIKE):
    """Parameters of a test, of which those of other cases than ``fast`` have the mark ``further``."""
    listed = [row if isinstance(row, tuple) and not hasattr(row, "make") else (row,) for row in cases]
    return [pytest.param(*row, marks=[] if row[0].name in fast else further) for row in listed]


def name_of(value):
    """Ids for pytest."""
    return value.name.replace(" ", "-") if isinstance(value, Case) else None


def generator(*names):
    """Random numbers that belong to a test alone: the same on every machine, whatever else runs."""
    return np.random.RandomState(zlib.crc32("/".join(map(str, names)).encode()))


def filled(draw, tree, deviation=0.7, dtype=np.float32):
    """A tree of arrays (or shapes) filled with normal draws.

    Counts (the biological carry's ``t``) with integers; a neuron's potential with mV and its gates with parts of one.
    """

    neuron = any(getattr(path[-1], "name", "") == "h_gate" for path, _ in jax.tree_util.tree_leaves_with_path(tree))

    def fill(path, leaf):
        name = getattr(path[-1], "name", "")
        if name == "n" and not neuron:  # the normalizer of an xLSTM: a sum of exponentials
            return draw.uniform(1, 2, leaf.shape).astype(dtype)
        if name == "t":
            return draw.randint(1, 50, leaf.shape).astype(dtype)
        if neuron and name == "v":  # a grid has a matrix of this name
            return draw.uniform(-80, -40, leaf.shape).astype(dtype)
        if neuron and name in ("m", "h_gate", "n"):
            return draw.uniform(0.05, 0.4, leaf.shape).astype(dtype)  # all open at once would outrun the largest dt
        return (deviation * draw.standard_normal(leaf.shape)).astype(dtype)

    return jax.tree_util.tree_map_with_path(fill, tree)


def random_params(case_or_cell, draw, inputs=D, **options):
    """Parameters none of which is at its initial value: biases and peepholes are random too."""
    cell = case_or_cell.make() if isinstance(case_or_cell, Case) else case_or_cell
    return filled(draw, jax.eval_shape(lambda: cell.init(jax.random.key(0), inputs)), **options)


def random_carry(cell, params, draw, batch, **options):
    return filled(draw, jax.eval_shape(lambda: cell.initial_carry(params, batch)), **options)


def random_inputs(draw, *shape, dtype=np.float32):
    return draw.standard_normal(shape).astype(dtype)


def assert_trees_close(ours, theirs, **tolerance):
    """Same structure, and every leaf close; NaN is never close to anything."""
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(ours), jax.tree.leaves(theirs), strict=True):
        where = jax.tree_util.keystr(path)
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), equal_nan=False, err_msg=where, **tolerance)


def assert_trees_equal(ours, theirs):
    assert_trees_close(ours, theirs, rtol=0, atol=0)
