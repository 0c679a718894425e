"""Words: tokenizer, vocabulary and rows on hand-written reviews; types of the options of data sets."""

from typing import Literal

import numpy as np
import pytest
from helpers.data import error_of

from rnnlab import data
from rnnlab.data import word_vocabulary
from rnnlab.data.options import check_options, options_of
from rnnlab.data.word_vocabulary import Options, encode_reviews

# Counts: film 4, good 3, bad 2, zebra 1, apple 1. Ids: film 3, good 4, bad 5, apple 6, zebra 7.
TRAIN = ["Film good zebra", "good, film... BAD", "bad film", "good film apple"]
OTHER = ["apple never good", "film " * 5 + "bad", "unseen"]


def rows(options: Options, train=TRAIN, other=OTHER) -> list[list[int]]:
    return encode_reviews(train, [other], options).parts[1].inputs.tolist()


# tokenizer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A Film!  by\tMoe\nSzyslak", ["a", "film", "by", "moe", "szyslak"]),
        ("it's <br />don't", ["it's", "br", "don't"]),
        ('!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n ', []),
        ("a-b_c/d", ["a", "b", "c", "d"]),
        ("ÄRGER café\u00a0x\r\x0b", ["ärger", "café\u00a0x\r\x0b"]),  # Keras splits at filtered characters only
        ("", []),
    ],
)
def test_tokens_are_those_of_the_keras_tokenizer(text, words):
    assert [word.decode() for word in word_vocabulary.tokens(text)] == words


# vocabulary


def test_ids_follow_frequency_in_the_training_part_then_code_points():
    encoded = encode_reviews(TRAIN, [OTHER], Options("all", 4))
    assert encoded.words == ("<pad>", "<start>", "<unknown>", "film", "good", "bad", "apple", "zebra")
    assert encoded.distinct == 5
    assert encoded.parts[0].inputs.tolist() == [[1, 3, 4, 7], [1, 4, 3, 5], [0, 1, 5, 3], [1, 4, 3, 6]]
    assert encoded.parts[1].inputs.tolist() == [[1, 6, 2, 4], [3, 3, 3, 5], [0, 0, 1, 2]]
    assert all(part.inputs.dtype == np.int32 and part.lengths is None for part in encoded.parts)


def test_ties_do_not_depend_on_the_order_of_appearance():
    assert encode_reviews(["m z b a y", "é"], [], Options("all", 4)).words[3:] == ("a", "b", "m", "y", "z", "é")


def test_vocabulary_includes_the_reserved_ids():
    encoded = encode_reviews(TRAIN, [OTHER], Options(5, 4))
    assert encoded.words == ("<pad>", "<start>", "<unknown>", "film", "good")
    assert encoded.distinct == 5
    assert encoded.parts[0].inputs.tolist() == [[1, 3, 4, 2], [1, 4, 3, 2], [0, 1, 2, 3], [1, 4, 3, 2]]


def test_vocabulary_is_at_most_the_number_of_distinct_words():
    assert len(encode_reviews(TRAIN, [], Options(4, 4)).words) == 4
    assert encode_reviews(TRAIN, [], Options(8, 4)).words == encode_reviews(TRAIN, [], Options("all", 4)).words
    for size in (3, 9, -1):
        line = error_of(encode_reviews, TRAIN, [], Options(size, 4))
        assert line == f"data_options.vocabulary: {size} is out of range; accepted: 4 to 8 or 'all'"


def test_words_below_min_count_are_unknown():
    encoded = encode_reviews(TRAIN, [OTHER], Options("all", 4, min_count=2))
    assert (encoded.words[3:], encoded.distinct) == (("film", "good", "bad"), 3)
    assert encoded.parts[0].inputs[0].tolist() == [1, 3, 4, 2]
    assert encode_reviews(TRAIN, [], Options("all", 4, min_count=4)).words[3:] == ("film",)
    assert "data_options.min_count: 5: " in error_of(encode_reviews, TRAIN, [], Options("all", 4, min_count=5))
    assert "accepted: 1 to 4" in error_of(encode_reviews, TRAIN, [], Options("all", 4, min_count=5))
    assert "min_count: 0 is out of range" in error_of(encode_reviews, TRAIN, [], Options("all", 4, min_count=0))


def test_stop_words_are_removed_before_anything_else():
    train = ["The film and the plot", "The plot is the film of films", "the the the plot"]
    other = ["and the film was the plot of the year"]
    with_stop_words = encode_reviews(train, [other], Options("all", 4))
    assert with_stop_words.words[3] == "the"
    without = encode_reviews(train, [other], Options("all", 4, stop_words=False))
    assert without.words[3:] == ("plot", "film", "films")
    assert without.parts[1].inputs.tolist() == [[1, 4, 3, 2]]  # nine tokens become three before they are cut to four


# rows


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options("all", 3), [[6, 2, 4], [3, 3, 5], [0, 1, 2]]),
        (Options("all", 3, keep="first"), [[1, 6, 2], [1, 3, 3], [0, 1, 2]]),
        (Options("all", 3, start=False), [[6, 2, 4], [3, 3, 5], [0, 0, 2]]),
        (Options("all", 3, unknown="drop"), [[1, 6, 4], [3, 3, 5], [0, 0, 1]]),
        (Options("all", 3, padding="back"), [[6, 2, 4], [3, 3, 5], [1, 2, 0]]),
        (Options("all", 3, padding="back", keep="first"), [[1, 6, 2], [1, 3, 3], [1, 2, 0]]),
        (Options("all", 3, start=False, unknown="drop"), [[0, 6, 4], [3, 3, 5], [0, 0, 0]]),
        (Options("all", 1), [[4], [5], [2]]),
        (Options("all", 1, keep="first"), [[1], [1], [1]]),
    ],
)
def test_rows_are_cut_and_padded_as_the_options_say(options, expected):
    assert rows(options) == expected


def test_masked_padding_is_at_the_end_and_lengths_exclude_it():
    part = encode_reviews(TRAIN, [OTHER], Options("all", 4, "masked", start=False, unknown="drop")).parts[1]
    assert part.inputs.tolist() == [[6, 4, 0, 0], [3, 3, 3, 5], [0, 0, 0, 0]]
    assert part.lengths is not None
    assert part.lengths.tolist() == [2, 4, 1]  # a text without words still has one step
    assert part.lengths.dtype == np.int32
    part = encode_reviews(TRAIN, [OTHER], Options("all", 4, "masked")).parts[1]
    assert part.lengths is not None
    assert part.lengths.tolist() == [4, 4, 2]


def test_length_has_a_range():
    assert encode_reviews(TRAIN, [], Options("all", word_vocabulary.MAX_LENGTH)).parts[0].inputs.shape == (4, 4000)
    for length in (0, -3, 4001):
        line = error_of(encode_reviews, TRAIN, [], Options("all", length))
        assert line == f"data_options.length: {length} is out of range; accepted: 1 to 4,000"


# options of any data set


def loader(
    *, number: int = 3, flag: bool = True, word: Literal["a", "b"] = "a", both: int | Literal["all"] = 1
) -> None:
    pass


def test_options_are_the_keyword_parameters_of_the_loader():
    assert list(options_of(loader)) == ["number", "flag", "word", "both"]
    defaults = {"pydoc": 32, "moes_tavern": 20, "tiny_shakespeare": 32, "text:x": 32}
    assert {name: data.dataset_options(name)["sequence_length"].default for name in defaults} == defaults
    assert "data: unknown value 'imbd'; did you mean 'imdb'?" in error_of(data.dataset_options, "imbd")


def test_options_of_the_declared_types_pass():
    check_options("x", loader, {"number": -2, "flag": False, "word": "b", "both": "all"})
    check_options("x", loader, {"both": 5})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"numbr": 1}, "data_options: option of data x: unknown value 'numbr'; did you mean 'number'?"),
        ({"number": True}, "data_options.number: True is not valid; accepted: an integer"),
        ({"number": 2.0}, "data_options.number: 2.0 is not valid; accepted: an integer"),
        ({"number": "all"}, "data_options.number: 'all' is not valid; accepted: an integer"),
        ({"flag": 1}, "data_options.flag: 1 is not valid; accepted: true or false"),
        ({"flag": "yes"}, "data_options.flag: 'yes' is not valid; accepted: true or false"),
        ({"word": "c"}, "data_options.word: unknown value 'c'; accepted: a, b"),
        ({"word": 1}, "data_options.word: unknown value '1'; accepted: a, b"),
        ({"both": "al"}, "data_options.both: 'al' is not valid; accepted: an integer or 'all'"),
        ({"both": None}, "data_options.both: None is not valid; accepted: an integer or 'all'"),
        ({"both": [1]}, "data_options.both: [1] is not valid"),
    ],
)
def test_unknown_options_and_other_types_are_refused(options, message):
    assert error_of(check_options, "x", loader, options).startswith(message)


def test_images_have_no_sequence_length():
    assert "option of data digits: unknown value 'sequence_length'; accepted: pixels, permuted" in error_of(
        data.load_dataset, "digits", sequence_length=5
    )


def test_line_breaks_leave_a_word_unless_they_are_dropped():
    texts = ["a<br /><br />b brave br"]
    kept, dropped = (
        encode_reviews(texts, [], Options("all", 8, start=False, line_breaks=each)) for each in (True, False)
    )
    assert set(kept.words[3:]) == {"a", "b", "br", "brave"}
    assert set(dropped.words[3:]) == {"a", "b", "brave"}
    assert (dropped.parts[0].inputs > 0).sum() == 3
