"""The US Privacy string: what a browser's or an ad server's four characters say."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from gateway.signals.heard import UNKNOWN, stated
from gateway.signals.usprivacy import read_usprivacy, write_usprivacy
from gateway.terms import SIGNAL_PURPOSES, Purpose, Stated


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = examples(150)
OPTED_OUT, SALE_ALLOWED = stated(opted_out=SIGNAL_PURPOSES), stated(allowed=[Purpose.SALE])
BY_LETTER = {"Y": OPTED_OUT, "N": SALE_ALLOWED, "-": UNKNOWN}
VALID = ["1" + "".join(letters) for letters in itertools.product("YN-", repeat=3)]


@pytest.mark.parametrize("text", VALID)
def test_the_third_character_says_whether_a_person_opted_out(text):
    """An opt-out is of all three purposes (R25); the string knows no sharing, so an allow is of sale alone."""
    reading = read_usprivacy(text)
    assert (reading.error, reading.choices) == ("", BY_LETTER[text[2]])
    assert reading.sections == {
        "uspv1": {"Version": 1, "Notice": text[1], "OptOutSale": text[2], "LspaCovered": text[3]}
    }


@pytest.mark.parametrize("text", VALID)
def test_in_small_letters_it_is_not_valid_and_an_opt_out_counts(text):
    reading = read_usprivacy(text.lower())
    if text.lower() == text:  # nothing but dashes
        assert reading.ok
    else:
        assert (reading.error, reading.opted_out) == ("case", read_usprivacy(text).opted_out)
        assert reading.sections == read_usprivacy(text).sections


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("2YYN", "version"),
        ("0NYY", "version"),
        ("9-Y-", "version"),
        ("ZYYN", "version"),
        ("-YYN", "version"),
        ("\u0661YYN", "version"),  # a digit one, but not of ASCII
        ("2yyn", "version"),
        ("1yyn", "case"),
        ("1YyN", "case"),
        ("1XYN", "reserved"),
        ("1YY1", "reserved"),
        ("1 Y ", "reserved"),
        ("1\x00Y\x00", "reserved"),
    ],
    ids=brief,
)
def test_an_opt_out_in_a_string_that_is_not_valid_is_heard(text, error):
    reading = read_usprivacy(text)
    assert (reading.error, reading.choices) == (error, OPTED_OUT)


@pytest.mark.parametrize("behind", ["N", "\n", "; Path=/", "="], ids=repr)
def test_an_opt_out_with_something_behind_it_is_heard_and_an_allow_is_not(behind):
    assert (read_usprivacy(f"1YYN{behind}").error, read_usprivacy(f"1YYN{behind}").opted_out) == (
        "length",
        frozenset(SIGNAL_PURPOSES),
    )
    assert set(read_usprivacy(f"1YNN{behind}").choices.values()) == {Stated.UNKNOWN}


@pytest.mark.parametrize("text", ["1YY", "1-Y", "1ny"])
def test_an_opt_out_whose_last_character_was_cut_off_is_heard_and_an_allow_is_not(text):
    reading = read_usprivacy(text)
    assert (reading.error, reading.opted_out, reading.sections) == ("length", frozenset(SIGNAL_PURPOSES), {})
    assert set(read_usprivacy(f"{text[:2]}N").choices.values()) == {Stated.UNKNOWN}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "empty"),
        (" ", "length"),
        ("1", "length"),
        ("1Y", "length"),
        ("1YN", "length"),
        (" 1Y", "length"),
        (" 1YYN", "length"),
        ('"1YYN"', "length"),
        ("1ßY", "length"),
        ("Y" * 1_000_000, "length"),
        ("1Y N", "reserved"),
        ("1YXN", "reserved"),
        ("1YŸN", "reserved"),
        ("1YßN", "reserved"),  # its upper case is two letters, of which none is a Y
        ("1Y–N", "reserved"),  # a dash that is not a hyphen
        ("2YNN", "version"),
        ("1ynn", "case"),
    ],
    ids=brief,
)
def test_a_string_that_is_not_valid_never_allows(text, error):
    reading = read_usprivacy(text)
    assert (reading.error, reading.choices) == (error, UNKNOWN)


@QUICKLY
@given(st.text(max_size=2) | st.text(min_size=4, max_size=4) | st.text("1YNyn- ", min_size=4, max_size=4))
def test_any_text_is_answered_and_only_the_27_valid_ones_may_allow(text):
    reading = read_usprivacy(text)
    assert reading.ok is (text in VALID)
    assert reading.ok or Stated.ALLOWED not in reading.choices.values()
    assert reading.opted_out == (set(SIGNAL_PURPOSES) if text[2:3] in {"y", "Y"} else set())


@pytest.mark.parametrize("text", VALID)
def test_whatever_can_be_said_is_written_and_nothing_else(text):
    assert write_usprivacy(*text[1:]) == text


@pytest.mark.parametrize(
    "letters", [("y", "N", "N"), ("X", "Y", "N"), ("Y", "", "N"), ("Y", "YY", "N"), ("1", "Y", "N")]
)
def test_another_character_is_not_written(letters):
    with pytest.raises(ValueError, match="is Y, N or -"):
        write_usprivacy(*letters)


@pytest.mark.parametrize("letters", [("Y", "YY", ""), ("NN", "N", ""), ("", "", "NNY")])
def test_three_characters_in_the_wrong_places_are_not_written(letters):
    with pytest.raises(ValueError, match="is Y, N or -"):
        write_usprivacy(*letters)
