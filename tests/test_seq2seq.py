"""Sequence to sequence against NumPy, its decoders against exhaustive search, and a run from start to sample."""

import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import transcriptions as paper
from helpers.cases import generator

import experiments.seq2seq as study
from rnnlab.cells import count_parameters, make_cell, stack
from rnnlab.cells.unroll import unroll
from rnnlab.cells.wrappers.recurrent_dropout import dropout_mask
from rnnlab.cli.main import _parser, main
from rnnlab.cli.run import configuration
from rnnlab.config.document import from_json, to_json
from rnnlab.config.experiment import Arm
from rnnlab.core.errors import InputError
from rnnlab.data import registry as data
from rnnlab.models.attention import ATTENTION
from rnnlab.models.decoding import beam, greedy
from rnnlab.models.recurrent_model import Dropout, make_model
from rnnlab.models.seq2seq import make_seq2seq
from rnnlab.runs import arm_trainer
from rnnlab.runs.saved_run import load_run
from rnnlab.runs.validate import validate
from rnnlab.training.arm_spec import build_model
from rnnlab.training.tasks import TASKS

V, B, Q, A, H, E = 5, 3, 4, 3, 6, 2
START = 4
SLOW = pytest.mark.slow
FLOAT32 = {"rtol": 2e-5, "atol": 2e-6}  # some fifty sums of float32 each
CELLS = {"none": ("lstm", "lstm"), "additive": ("gru", "lstm"), "dot": ("lstm", "lstm")}


def a_model(attention, encoder=None, decoder=None, *, width=H, prompt_length=Q, **options):
    made = [encoder or make_cell(CELLS[attention][0], width), decoder or make_cell(CELLS[attention][1], H)]
    return make_seq2seq(*made, V, V, prompt_length=prompt_length, attention=attention, **options)


def drawn(model, *names, deviation=0.9, dtype=np.float32):
    """Parameters none of which is at its initial value."""
    draw = generator("seq2seq", *names)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(deviation * draw.standard_normal(leaf.shape), dtype), shapes)


def some_ids(*names, steps=Q + A):
    ids = generator("ids", *names).randint(0, V, (B, steps)).astype(np.int32)
    if steps > Q:
        ids[:, Q] = START
    return ids


def one_by_one(step, params, carry, xs):
    """The outputs and the last carry of a transcribed cell."""
    hs = []
    for x in xs:
        after, h, _ = step(params, carry, x)
        carry = SimpleNamespace(**after)
        hs.append(h)
    return np.array(hs), carry


def by_hand(attention, params, ids, valid=Q):
    """Logits ``[A, V]`` of one example from the papers' equations, in float64, one step and one score at a time."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    cells = {"lstm": paper.lstm(), "gru": paper.gru()}
    reader, writer = (cells[name] for name in CELLS[attention])
    xs = np.eye(V)[ids] if params.embedding is None else params.embedding[ids]
    zero = SimpleNamespace(c=np.zeros(H), h=np.zeros(params.encoder.u.shape[0]))
    read, carry = one_by_one(reader, params.encoder, zero, xs[:valid])
    if CELLS[attention][0] != CELLS[attention][1]:  # nothing to go on from
        carry = SimpleNamespace(c=np.zeros(H), h=np.zeros(H))
    written, _ = one_by_one(writer, params.decoder, carry, xs[Q:])
    logits = []
    for query in written:
        out = query
        if attention != "none":
            a = params.attention
            if attention == "dot":
                scores = np.array([np.sum(query * h) for h in read])
            else:
                scores = np.array([np.sum(a.v * np.tanh(query @ a.w_q + h @ a.w_k)) for h in read])
            shares = np.exp(scores) / np.sum(np.exp(scores))
            context = sum(share * h for share, h in zip(shares, read, strict=True))
            assert 0.01 < shares.max() < 0.9999 or valid == 1  # all of them matter
            out = np.tanh(np.concatenate([context, query]) @ a.w)
        logits.append(out @ params.w + params.b)
    return np.array(logits)


@pytest.mark.parametrize("embedding_size", [0, E])
@pytest.mark.parametrize("attention", ATTENTION)
def test_a_teacher_forced_pass_is_the_papers_equations(attention, embedding_size):
    """Also with questions of different lengths, whose padding holds one id or another."""
    model = a_model(attention, width=H + 1 if attention == "additive" else H, embedding_size=embedding_size)
    params, ids = drawn(model, attention, deviation=0.5), some_ids(attention)
    apply = jax.jit(model.apply)
    _, logits = apply(params, ids, None, None)
    assert logits.shape == (B, Q + A, V)
    assert not logits[:, :Q].any()
    lengths = np.array([1, Q, 2])
    padded = [apply(params, np.where((np.arange(Q + A) >= lengths[:, None]) & (np.arange(Q + A) < Q), junk, ids),
                    lengths, None)[1] for junk in (0, 3)]  # fmt: skip
    np.testing.assert_array_equal(*padded)
    for row in range(B):
        np.testing.assert_allclose(logits[row, Q:], by_hand(attention, params, ids[row]), **FLOAT32)
        np.testing.assert_allclose(padded[0][row, Q:], by_hand(attention, params, ids[row], lengths[row]), **FLOAT32)


@pytest.mark.parametrize("attention", ["additive", pytest.param("dot", marks=SLOW)])
def test_an_empty_question_is_answered_from_nothing(attention):
    """And neither its logits nor its gradients are spoiled."""
    model = a_model(attention)
    params, ids = drawn(model, attention), some_ids(attention)

    def total(params, encoder):
        return jnp.sum(model.apply(params._replace(encoder=encoder), ids, np.array([0, Q, 0]), None)[1][::2])

    of_all, of_encoder = jax.jit(jax.grad(total, argnums=(0, 1)))(params, params.encoder)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(of_all))
    assert not any(leaf.any() for leaf in jax.tree.leaves(of_encoder))


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["additive", pytest.param("dot", marks=SLOW)])
def test_gradients_are_finite_differences(attention):
    with jax.enable_x64(True):
        model = a_model(attention, width=H + 1 if attention == "additive" else H, embedding_size=E)
        params, ids, draw = drawn(model, attention, dtype=np.float64), some_ids(attention), generator("slopes")
        weights, lengths = draw.standard_normal((B, Q + A, V)), np.array([2, Q, 3])

        @jax.jit
        def loss(params):
            return jnp.vdot(model.apply(params, ids, lengths, None)[1], weights)

        leaves, treedef = jax.tree.flatten(params)
        for position, slope in enumerate(jax.tree.leaves(jax.grad(loss)(params))):
            assert slope.dtype == np.float64
            moved = draw.standard_normal(slope.shape)

            def at(distance, position=position, moved=moved):
                near = [leaf + distance * moved if n == position else leaf for n, leaf in enumerate(leaves)]
                return float(loss(jax.tree.unflatten(treedef, near)))

            # error: 1e-10 of curvature, and rounding: 1e-16 * |loss| / 1e-5
            np.testing.assert_allclose((at(1e-5) - at(-1e-5)) / 2e-5, np.vdot(slope, moved), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("encoder", "decoder", "handed"),
    [
        ("lstm", "peephole_lstm", True), ("lstm", "gru", False), ("stack", "stack", True),
        *(pytest.param(*row, marks=pytest.mark.exhaustive) for row in [
            ("lstm", "lstm", True), ("rnn", "gru", True), ("lstm wide", "lstm", False), ("stack", "lstm", False),
            ("bidirectional(lstm)", "lstm", False),
        ]),
    ],
)  # fmt: skip
def test_the_last_carry_is_handed_over_where_it_fits(encoder, decoder, handed):
    made = {
        "lstm wide": make_cell("lstm", H + 1),
        "stack": stack([make_cell("lstm", H), make_cell("lstm", H)]),
    }
    cells = [made[name] if name in made else make_cell(name, H) for name in (encoder, decoder)]
    model, ids = a_model("additive", *cells), some_ids("handed")
    params = drawn(model, encoder, decoder)
    memory, carry = model.encode(params, ids[:, :Q], None)
    last, hs = unroll(cells[0], params.encoder, ids[:, :Q].T)
    expected = last if handed else cells[1].initial_carry(params.decoder, (B,))
    assert jax.tree.structure(carry) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(carry), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, **FLOAT32)
    np.testing.assert_allclose(memory.hs, jnp.swapaxes(hs, 0, 1), **FLOAT32)
    plain = a_model("none", *cells)
    if handed:
        plain.apply(drawn(plain), ids, None, None)
    else:
        with pytest.raises(
            InputError, match=r"^decoder: starts with .*\[6\].*ends with .*; accepted: .* or attention$"
        ):
            plain.apply(drawn(plain), ids, None, None)


@pytest.mark.parametrize("attention", ATTENTION)
def test_parameters_are_as_many_as_the_docstring_says(attention):
    encoder, decoder = make_cell("gru" if attention == "additive" else "lstm", H), make_cell("lstm", H)
    model = a_model(attention, encoder, decoder, embedding_size=E)
    count = {"none": 0, "dot": 2 * H * H, "additive": 2 * H * H + 2 * H * H + H}[attention]
    cells = sum(
        count_parameters(jax.eval_shape(lambda key, cell=cell: cell.init(key, E), jax.random.key(0)))
        for cell in (encoder, decoder)
    )
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    assert count_parameters(shapes) == V * E + cells + count + H * V + V
    if attention == "additive":  # no two blocks are drawn alike
        start = jax.tree.leaves_with_path(jax.jit(model.init)(jax.random.key(1, impl="unsafe_rbg")))
        drawn_values = [float(leaf.ravel()[0]) for path, leaf in start if path[-1].name not in ("b", "b_n")]
        assert len(drawn_values) == 10
        assert len(set(drawn_values)) == 10


@pytest.mark.slow
def test_dropout_has_one_mask_of_the_inputs_for_question_and_answer():
    W = 6
    key, rates = jax.random.key(5), {"inputs": 0.5, "recurrent": 0.4, "readout": 0.3}
    plain, ids = a_model("dot", embedding_size=W), some_ids("dropped")[:1]
    params = drawn(plain)
    mask = dropout_mask(jax.random.split(key, 4)[0], (1, W), 0.5)
    assert 0 < np.count_nonzero(mask) < W
    rates = [{"inputs": 0.5}, dict.fromkeys(rates, 0.0), *({name: rate} for name, rate in rates.items())]
    dropped = [a_model("dot", embedding_size=W, dropout=Dropout(key, **each)) for each in rates]

    @jax.jit
    def logits(params):
        masked = params._replace(embedding=params.embedding * mask)
        of_plain = [plain.apply(each, ids, None, None)[1] for each in (masked, params)]
        return of_plain, [model.apply(params, ids, None, None)[1] for model in dropped]

    (masked, whole), (inputs, none, *others) = logits(params)
    np.testing.assert_allclose(inputs, masked, **FLOAT32)
    np.testing.assert_allclose(none, whole, **FLOAT32)
    assert not any(np.allclose(other, whole) for other in others)
    with pytest.raises(InputError, match=r"^dropout: input dropout requires"):
        a_model("dot", dropout=Dropout(key, inputs=0.5)).apply(drawn(a_model("dot")), ids, None, None)


def test_what_cannot_be_put_together_is_told():
    with pytest.raises(InputError, match=r"^attention: dot of an encoder's 7 units with a decoder's 6; accepted: "):
        a_model("dot", width=H + 1)
    with pytest.raises(InputError, match=r"^attention: unknown value 'dott'; did you mean 'dot'"):
        make_seq2seq(make_cell("rnn", H), make_cell("rnn", H), V, V, prompt_length=Q, attention="dott")
    with pytest.raises(InputError, match=r"^decoder: the cell needs the whole sequence"):
        make_seq2seq(make_cell("rnn", H), SimpleNamespace(hidden_size=H, step=None), V, V, prompt_length=Q)


# decoding

MODELS = {attention: a_model(attention) for attention in ATTENTION}
MODELS["stream"] = make_model(make_cell("lstm", H), V, V, per_step=True)
EVERY = np.array(list(itertools.product(range(V), repeat=A)), np.int32)  # all answers
N = 24  # questions
WIDE = V ** (A - 1)


def of_every_answer(model, params, questions, lengths=None):
    """The log-probability ``[N, V ** A, A]`` of each id of each answer, by a teacher-forced pass over all of them."""
    ids = np.array([[[*question, START, *answer[:-1]] for answer in EVERY] for question in questions], np.int32)
    told = None if lengths is None else np.repeat(lengths, len(EVERY))
    _, logits = jax.jit(model.apply)(params, ids.reshape(-1, Q + A), told, None)
    logits = np.asarray(logits, np.float64)[:, Q:].reshape(N, len(EVERY), A, V)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.take_along_axis(log_p, EVERY[None, ..., None], -1)[..., 0]


def narrow_by_hand(log_p, width):
    """The answers and log-probabilities of a beam, with every beginning in a dict; ``log_p [V ** A, A]``."""
    kept = {(): 0.0}
    for t in range(A):
        longer = {}
        for answer, each in zip(EVERY.tolist(), log_p, strict=True):
            if tuple(answer[:t]) in kept:
                longer[tuple(answer[: t + 1])] = kept[tuple(answer[:t])] + each[t]
        kept = dict(sorted(longer.items(), key=lambda item: -item[1])[:width])
    return kept


def place(ids):
    """Which of EVERY an answer is."""
    return np.asarray(ids) @ V ** np.arange(A)[::-1]


# Draws for which greedy decoding and a beam of 2 miss the likeliest answer to some of the questions.
DRAWS = {"none": "0", "additive": "3", "stream": "5", "dot": "0"}


def asked(name):
    """A model's parameters and the questions that it is asked."""
    questions = generator("asked", name).randint(0, V, (N, Q)).astype(np.int32)
    return drawn(MODELS[name], "asked", name, DRAWS[name], deviation=1.0), questions


@pytest.mark.slow
@pytest.mark.parametrize("name", ["additive", pytest.param("none", marks=SLOW), pytest.param("stream", marks=SLOW)])
def test_decoding_against_every_answer_there_is(name):
    """Greedy decoding follows the likeliest id, a narrow beam the likeliest beginnings, a wide one misses nothing."""
    model, (params, questions) = MODELS[name], asked(name)
    lengths = None if name == "stream" else 1 + np.arange(N) % Q

    @jax.jit
    def decode(questions):
        one = greedy(model, params, questions, START, A, lengths=lengths)
        return one, *(beam(model, params, questions, START, A, width, lengths=lengths) for width in (1, 2, WIDE))

    one, *beams = decode(questions)
    of_ids = of_every_answer(model, params, questions, lengths)
    of_all = of_ids.sum(-1)
    for row in range(N):
        for found, width in zip(beams, (1, 2), strict=False):
            kept = narrow_by_hand(of_ids[row], width)
            assert list(map(tuple, np.asarray(found.ids[row]).tolist())) == list(kept)
            np.testing.assert_allclose(found.log_probability[row], list(kept.values()), rtol=1e-4)
    np.testing.assert_array_equal(one.ids, beams[0].ids[:, 0])
    np.testing.assert_allclose(one.log_probability, beams[0].log_probability[:, 0], rtol=1e-5)

    best = np.argsort(-of_all, axis=1)[:, :WIDE]
    np.testing.assert_array_equal(beams[2].ids[:, 0], EVERY[best[:, 0]])
    np.testing.assert_allclose(beams[2].log_probability, np.take_along_axis(of_all, best, 1), rtol=1e-4)
    own = np.take_along_axis(of_all, place(beams[2].ids), 1)  # each is that of its own ids
    np.testing.assert_allclose(own, beams[2].log_probability, rtol=1e-4)
    assert all(len(np.unique(row)) == WIDE for row in place(beams[2].ids))
    for narrow in beams[:2]:  # else this test could not tell them apart
        assert (place(narrow.ids[:, 0]) != best[:, 0]).any()


def test_an_answer_ends_where_stop_is():
    stop = 1
    model, (params, questions) = MODELS["dot"], asked("dot")
    of_ids = of_every_answer(model, params, questions)
    # what follows the end costs nothing; only one continuation of it is an answer
    after = np.concatenate([np.zeros((len(EVERY), 1), bool), np.cumsum(EVERY[:, :-1] == stop, 1) > 0], 1)
    whole = np.all(~after | np.equal(EVERY, stop), axis=1)
    of_all = np.where(whole, np.where(after, 0, of_ids).sum(-1), -np.inf)

    @jax.jit
    def decode(questions):
        of_beams = (beam(model, params, questions, START, A, width, stop=stop) for width in (WIDE, 1))
        return greedy(model, params, questions, START, A, stop=stop), *of_beams

    first, found, one = decode(questions)
    np.testing.assert_array_equal(found.ids[:, 0], EVERY[np.argmax(of_all, axis=1)])
    np.testing.assert_allclose(found.log_probability, -np.sort(-of_all, axis=1)[:, :WIDE], rtol=1e-4)
    np.testing.assert_array_equal(one.ids[:, 0], first.ids)
    np.testing.assert_allclose(first.log_probability, of_all[range(N), place(first.ids)], rtol=1e-4)
    ended = (np.asarray(found.ids[:, :3]) == stop).any(-1)
    assert ended.any()
    assert not ended.all()


def test_a_beam_wider_than_there_are_answers():
    params, questions = asked("none")
    short = jax.jit(lambda questions: beam(MODELS["none"], params, questions, START, 1, V + 2))(questions)
    assert np.isfinite(short.log_probability).sum(axis=1).tolist() == [V] * N
    assert [sorted(row) for row in np.asarray(short.ids[:, :V, 0]).tolist()] == [list(range(V))] * N


@pytest.mark.parametrize("wrong", [{"length": 0}, {"length": -1}, {"width": 0}])
def test_nothing_to_decode_is_told(wrong):
    model, sizes = MODELS["none"], {"length": A, "width": 2, **wrong}
    with pytest.raises(InputError, match=r"^(length|width): (0|-1) is out of range; accepted: 1 or more$"):
        beam(model, drawn(model), some_ids(steps=Q), START, **sizes)
    if sizes["length"] < 1:
        with pytest.raises(InputError, match=r"^length: "):
            greedy(model, drawn(model), some_ids(steps=Q), START, sizes["length"])


@pytest.mark.slow
def test_solved_counts_the_answers_that_greedy_decoding_writes():
    """Answers that are the model's own, but for one id here and there, each fed back as it is asked for."""
    model, draw = MODELS["additive"], generator("solved")
    params, questions = drawn(model, "solved"), draw.randint(0, V, (40, Q)).astype(np.int32)
    written = np.asarray(jax.jit(lambda questions: greedy(model, params, questions, START, A))(questions).ids)
    answers = written.copy()
    altered = draw.permutation(40)[:13]
    answers[altered, draw.randint(0, A, 13)] += 1
    answers %= V
    inputs = np.concatenate([questions, np.full((40, 1), START), answers[:, :-1]], 1).astype(np.int32)
    targets = np.concatenate([np.zeros((40, Q)), answers], 1).astype(np.int32)
    weights = np.concatenate([np.zeros((40, Q)), np.ones((40, A))], 1).astype(np.float32)
    task = TASKS["sequence_to_sequence"]
    sums = task.sums(model.apply(params, inputs, None, None)[1], targets, weights)
    metrics = task.compute(jax.tree.map(np.asarray, sums))
    assert metrics["solved"] == pytest.approx(27 / 40) == np.mean((written == answers).all(1))
    assert task.primary_metric == "solved"


# data


@pytest.mark.parametrize(
    ("name", "options", "question"),
    [
        ("reversal", {"length": 6}, 6), ("sorting", {"length": 1, "alphabet": 3}, 1),
        ("memorization", {"length": 5, "alphabet": 3}, 5), ("addition", {"digits": 4}, 9),
    ],
)  # fmt: skip
def test_the_answer_is_fed_back_one_step_late(name, options, question):
    sizes = {"examples": 50, "held_out": 20}
    blank, fed = (data.load_dataset(name, **options, **sizes, teacher_forcing=fed) for fed in (False, True))
    assert (blank.prompt_length, fed.prompt_length) == (0, question)
    assert (blank.task, fed.task) == ("sequence_labeling", "sequence_to_sequence")
    assert fed.source["generator"]["teacher_forcing"]
    for one, other in ((blank.train, fed.train), (blank.validation, fed.validation), (blank.test, fed.test)):
        np.testing.assert_array_equal(other.inputs[:, : question + 1], one.inputs[:, : question + 1])
        np.testing.assert_array_equal(other.targets[:, question:], one.targets[:, question + 1 :])
        np.testing.assert_array_equal(other.inputs[:, question + 1 :], other.targets[:, question:-1])
        asked = np.arange(other.inputs.shape[1]) >= question
        np.testing.assert_array_equal(other.weights, np.tile(asked, (len(one.inputs), 1)))
        assert other.inputs.shape == other.targets.shape == other.weights.shape


# arms

TINY = replace(
    study.CONFIG, arms={"dot": Arm("lstm", attention="dot")}, seeds=(3, 4), epochs=2, steps_per_epoch=4, hidden_size=4,
    batch_size=16, data_options={"length": 3, "alphabet": 3, "teacher_forcing": True, "examples": 80, "held_out": 30},
)  # fmt: skip


BOTH = "bidirectional(lstm)"


def with_arm(arm, **changes):
    return replace(TINY, arms={"a": arm}, **changes)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (with_arm(Arm("lstm", attention="dott")), "arms.a.attention: unknown value 'dott'; did you mean 'dot'"),
        (with_arm(Arm("lstm", decoder="gru")), "arms.a.decoder: gru needs an attention; accepted: attention=none"),
        (with_arm(Arm("lstm", decoder="gruu", attention="dot")), "did you mean 'gru'"),
        (with_arm(Arm("lstm", attention="dot", options={"reset": "before"})), "option of cell lstm or lstm: unknown"),
        (with_arm(Arm("lstm", decoder="gru", attention="none")), "arms.a: decoder: starts with RNNCarry(h=[4])"),
        (with_arm(Arm("lstm", attention="dot"), data_options={"length": 3}), "arms.a: attention: dot, but reversal"),
        (with_arm(Arm("lstm", attention="none"), data="digits", data_options={}), "but digits has no prompt"),
        (with_arm(Arm("lstm", attention="dot"), dropout=(0.5,)), "arms.a: dropout: input dropout requires"),
        (with_arm(Arm(BOTH)), "arms.a: cell: bidirectional(lstm) is bidirectional"),
        (with_arm(Arm("lstm", decoder=BOTH, attention="additive")), "arms.a: decoder: the cell needs the whole"),
        (with_arm(Arm(BOTH, decoder="lstm", attention="dot")), "arms.a: attention: dot of an encoder's 8"),
        (with_arm(Arm("gru", attention="dot"), recurrent_dropout=(0.5,)), "arms.a: recurrent_dropout: "),
    ],
)  # fmt: skip
def test_an_arm_that_cannot_be_is_told(config, said):
    with pytest.raises(InputError) as caught:
        validate(config)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_encoder_and_decoder_take_their_own_options():
    arm = Arm("lstm", decoder="gru", attention="dot", layers=2, options={"forget_bias": 2.5, "reset": "before"})
    config = with_arm(arm, embedding_size=3, options={"u_init": "glorot_uniform"})
    assert arm.cells == ("lstm", "gru")
    assert Arm("rnn", attention="none").cells == ("rnn", "rnn")
    assert from_json(to_json(config), type(config)) == config
    experiment = validate(config)
    params = jax.jit(build_model(experiment.specs["a"], {}).init)(jax.random.key(0, impl="unsafe_rbg"))
    assert params.embedding.shape == (5, 3)
    assert [layer.u.shape for layer in params.encoder] == [(4, 4, 4)] * 2
    assert [layer.u.shape for layer in params.decoder] == [(4, 3, 4)] * 2
    np.testing.assert_array_equal(params.encoder[1].b[1], np.full(4, 2.5))
    assert params.decoder[0].b_n is None  # reset="before"
    assert dict(experiment.specs["a"].options) == {"u_init": "glorot_uniform", "forget_bias": 2.5, "reset": "before"}


def test_the_path_of_a_users_decoder_is_kept_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "seq2seq", "--set", "arms.lstm.decoder=own.py:own"]
    config = configuration(_parser().parse_args(arguments))
    assert config.arms["lstm"] == Arm("lstm", decoder=f"{tmp_path}/own.py:own", attention="none")
    assert config.arms["gru-dot"] == Arm("gru", attention="dot")


# runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two arms on the command line, stopped after the first epoch of the second, and resumed."""
    folder = tmp_path_factory.mktemp("seq2seq")
    options = [f"data_options.{name}={value}" for name, value in TINY.data_options.items()]
    arguments = ["run", "seq2seq", "--arms", "lstm-dot,stream", "--seeds", "3:5", "--epochs", "40", "--out",
                 f"{folder}/run", "--set", *options, "data_options.examples=400", "batch_size=16", "hidden_size=16",
                 "learning_rate=2e-2"]  # fmt: skip
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnnlab.cli.report.write", lambda directory, config: 0)
        epoch = arm_trainer._ArmTrainer._epoch

        def stopped(training, *rest):
            training.stop.requested = (training.store.name, training.position.epoch) == ("stream", 2) and not asked
            asked.extend([1] if training.stop.requested else [])
            return epoch(training, *rest)

        patch.setattr(arm_trainer._ArmTrainer, "_epoch", stopped)
        assert main(arguments) == 130
        assert main(["resume", f"{folder}/run"]) == 0
    return folder / "run"


@pytest.mark.slow
def test_a_run_learns_and_its_solved_is_what_greedy_decoding_writes(trained):
    """load_run generates nothing: the questions come from here."""
    rows = pq.read_table(trained / "metrics.parquet").to_pylist()
    saved, test = load_run(trained), data.load_dataset("reversal", **TINY.data_options).test
    for arm, seed in itertools.product(("lstm-dot", "stream"), (3, 4)):
        (told,) = [row["value"] for row in rows if (row["arm"], row["seed"], row["epoch"], row["split"], row["metric"])
                   == (arm, seed, 40, "test", "solved")]  # fmt: skip
        written = greedy(saved.model(arm), saved.params(arm, seed, "last"), test.inputs[:, :3], 4, 3).ids
        assert told == pytest.approx(np.mean((np.asarray(written) == test.targets[:, 3:]).all(1)))
        assert told > 0.9 or arm == "stream"
    assert json.loads((trained / "summary.json").read_text())["headline"] == "test_solved_at_best_validation"


def said(capsys, *arguments) -> str:
    capsys.readouterr()
    assert main(["sample", *map(str, arguments)]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.slow
def test_sample_shows_questions_answers_and_what_is_wrong(trained, capsys):
    dataset = data.load_dataset("reversal", **{**TINY.data_options, "examples": 400})
    out = said(capsys, trained, "--arm", "all", "--beam", 4, "--questions", 7, "--seed", 4)
    blocks = [[line for line in part.split("\n") if line] for part in out.split("\n\n")]
    assert len(blocks) == 8
    right = dict.fromkeys(["lstm-dot", "lstm-dot, beam 4", "stream", "stream, beam 4"], 0)
    for block, inputs in zip(blocks[:7], dataset.test.inputs, strict=False):
        question, answer = (" ".join(map(str, ids)) for ids in (inputs[:3], inputs[2::-1]))
        assert [line.split("  ", 1)[1].strip() for line in block[:2]] == [question, answer]
        for line, label in zip(block[2:], right, strict=True):
            assert line.startswith(f"{label} ")
            assert line.endswith(answer) != line.endswith("wrong")
            right[label] += line.endswith(answer)
    assert [line.split()[-4:-1] for line in blocks[7]] == [[str(n), "of", "7"] for n in right.values()]
    assert said(capsys, trained, "--arm", "lstm-dot").count("question") == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--prompt", "1 2"], "--prompt: does not apply to a run of sequence_to_sequence"), (["--top-k", "1"], "-k"),
        (["--temperature", "1"], "--temperature: "), (["--length", "9"], "--length: "), (["--key", "0"], "--key: "),
        (["--arm", "stream", "--beam", "0"], "--beam: '0' is not accepted; accepted: a whole number from 1"),
        (["--arm", "stream", "--beam", "x"], "--beam: 'x'"), (["--arm", "stream", "--questions", "0"], "--quest"),
        (["--arm", "gru"], "lstm-dot, stream, all"), ([], "--arm: the run has several"),
        (["--arm", "stream", "--seed", "7"], "seed: 7"), (["--arm", "stream", "--epoch", "3"], "best, last"),
    ],
)  # fmt: skip
def test_what_sample_is_refused(trained, capsys, arguments, told):
    capsys.readouterr()
    assert main(["sample", str(trained), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert err.count("\n") == 1
