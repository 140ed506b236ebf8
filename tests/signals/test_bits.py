"""Bits of base64url: every coding of the specification by its own examples, and counts that nobody can blow up."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.times import within

from gateway.signals.bits import (
    ALPHABET,
    FIBONACCI,
    MAX_CHARACTERS,
    MAX_ID,
    Bits,
    Unreadable,
    bits_of,
    fibonacci_bits,
    fibonacci_range_bits,
    flag_bits,
    lengths,
    number_bits,
    runs,
    text_of,
)

BITS = st.text("01", max_size=200)
IDS = st.sets(st.integers(1, MAX_ID), max_size=30).map(sorted)


def refused(read):
    """The code of why something is not readable."""
    with pytest.raises(Unreadable) as caught:
        read()
    return caught.value.code


# --- base64url -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bits"),
    [("", ""), ("A", "000000"), ("B", "000001"), ("-", "111110"), ("_", "111111"), ("DBABM", "000011000001000000000001001100")],
    ids=["nothing", "A", "B", "minus", "underscore", "header"],
)  # fmt: skip
def test_each_letter_is_six_bits(text, bits):
    assert bits_of(text) == bits
    assert text_of(bits, 6) == (text or "")


@given(st.text(ALPHABET, max_size=60))
def test_the_letters_of_any_string_are_its_bits_in_order(text):
    assert bits_of(text) == "".join(format(ALPHABET.index(letter), "06b") for letter in text)
    assert text_of(bits_of(text), 6) == text


@pytest.mark.parametrize("text", ["=", "AA==", "+", "/", " A", "A\n", "é", "Ａ", "\x00", "A~", "💥"], ids=ascii)
def test_a_letter_of_another_alphabet_is_not_readable(text):
    assert refused(lambda: bits_of(text)) == "alphabet"


def test_a_string_longer_than_any_signal_is_not_looked_at():
    assert len(bits_of("A" * MAX_CHARACTERS)) == 6 * MAX_CHARACTERS
    assert refused(lambda: bits_of("*" * (MAX_CHARACTERS + 1))) == "size"


@given(BITS.filter(bool), st.sampled_from([6, 8, 24]))
def test_a_string_in_any_padding_begins_with_its_bits_and_ends_in_zeros(bits, pad_to):
    text = text_of(bits, pad_to)
    assert bits_of(text).startswith(bits)
    assert "1" not in bits_of(text)[len(bits) :]
    assert len(text) in lengths(len(bits))


@pytest.mark.parametrize(
    ("bits", "characters"), [(3, {1, 2, 4}), (40, {7, 8}), (46, {8}), (52, {9, 10, 12}), (60, {10, 11, 12}), (24, {4})]
)
def test_a_layout_has_a_length_in_each_of_three_paddings(bits, characters):
    """The first two as in GPP Sections/US-*: GPC 1 / 2, usva 7 / 7, usca 8 / 8, usor 9 / 10, usnat version 1 10 /
    11."""
    assert lengths(bits) == characters


# --- numbers and flags ---------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 40).flatmap(lambda width: st.tuples(st.integers(0, 2**width - 1), st.just(width)))))
def test_numbers_are_read_as_they_were_written_one_behind_the_other(numbers):
    reader = Bits("".join(number_bits(value, width) for value, width in numbers))
    assert [reader.number(width) for _, width in numbers] == [value for value, _ in numbers]
    assert refused(lambda: reader.number(1)) == "truncated"


@pytest.mark.parametrize(("value", "width"), [(-1, 6), (64, 6), (4, 2), (2**36, 36)])
def test_a_number_that_does_not_fit_is_an_error_and_never_another_number(value, width):
    with pytest.raises(ValueError, match=f"{value} does not fit into {width} bits"):
        number_bits(value, width)


@given(st.lists(st.booleans(), max_size=40))
def test_flags_are_read_as_they_were_written(flags):
    reader = Bits(flag_bits(flags))
    assert reader.flags(len(flags)) == flags
    assert refused(reader.flag) == "truncated"
    one_by_one = Bits(flag_bits(flags))
    assert [one_by_one.flag() for _ in flags] == flags


def test_a_list_of_numbers_past_the_end_is_cut_off_and_not_filled_up():
    assert Bits("011011").numbers(2, 3) == [1, 2, 3]
    assert refused(lambda: Bits("011011").numbers(2, 4)) == "truncated"
    assert refused(lambda: Bits("0110").flags(5)) == "truncated"


def test_a_reader_stays_where_it_was_when_it_cannot_read():
    reader = Bits("101")
    reader.number(1)
    for read in (lambda: reader.number(3), lambda: reader.flags(3), reader.fibonacci):
        refused(read)
        assert reader.at == 1
    assert reader.number(2) == 1


def test_what_is_left_is_zero_or_not():
    reader = Bits("1000")
    assert not reader.rest_is_zero()
    reader.number(1)
    assert reader.rest_is_zero()
    assert Bits("").rest_is_zero()


# --- Fibonacci -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "code"), [(1, "11"), (2, "011"), (3, "0011"), (4, "1011"), (7, "01011"), (8, "000011")]
)
def test_the_codes_of_the_specification(value, code):
    """GPP specification, data types."""
    assert fibonacci_bits(value) == code
    assert Bits(code).fibonacci() == value


@given(st.integers(1, MAX_ID), BITS)
def test_every_number_up_to_the_largest_id_has_a_code_that_ends_at_its_second_one(value, behind):
    code = fibonacci_bits(value)
    assert code.endswith("11")
    assert "11" not in code[:-1]
    reader = Bits(code + behind)
    assert reader.fibonacci() == value
    assert reader.at == len(code)


@pytest.mark.parametrize(
    "code", ["", "0", "1", "10", "0101010101", "0" * 100 + "11"], ids=lambda code: f"code {code[:12]}"
)
def test_a_code_that_never_ends_is_not_readable(code):
    assert refused(Bits(code).fibonacci) == "fibonacci"


def test_the_longest_code_is_that_of_the_largest_term():
    assert Bits("0" * (len(FIBONACCI) - 1) + "11").fibonacci() == FIBONACCI[-1]
    assert refused(Bits("0" * len(FIBONACCI) + "11").fibonacci) == "fibonacci"


@given(IDS)
def test_a_range_is_read_as_it_was_written(ids):
    bits = fibonacci_range_bits(ids)
    reader = Bits(bits + "1")
    assert reader.fibonacci_range(most=100, limit=MAX_ID) == ids
    assert reader.at == len(bits)


def test_the_ranges_of_the_other_reference_are_read_as_it_reads_them(vectors):
    """iabgpp-rs 33ea52a, whose ids have 8 bits."""
    rows = json.loads((vectors / "gpp" / "gpp_full.json").read_text())["vectors"]
    named = [
        row
        for row in rows
        if row["origin"]["path"] == "iab_gpp/src/core/mod.rs" and row["origin"]["line"] in range(305, 313)
    ]
    assert len(named) == 8
    for row in named:
        ids = json.loads(row["expected_rs"].removeprefix("vec!").strip()) if "[" in row["expected_rs"] else []
        assert Bits(row["encoded"].replace(" ", "")).fibonacci_range(most=100, limit=255) == ids


@pytest.mark.parametrize(
    ("ids", "most", "limit", "readable"),
    [
        ([5], 1, 5, True),
        ([6], 1, 5, False),
        ([4, 5], 2, 5, True),
        ([4, 5], 1, 5, False),
        ([1, 3], 1, 5, False),
        ([*range(1, 6)], 5, 5, True),
        ([*range(1, 7)], 6, 5, False),
    ],
)
def test_a_range_holds_to_its_limits(ids, most, limit, readable):
    reader = Bits(fibonacci_range_bits(ids))
    if readable:
        assert reader.fibonacci_range(most, limit) == ids
    else:
        assert refused(lambda: reader.fibonacci_range(most, limit)) == "range"


def test_a_range_that_asks_for_millions_of_ids_ends_at_once():
    """One short string makes the reference allocate until it dies."""
    group = "1" + "11" + fibonacci_bits(FIBONACCI[-1])
    bomb = number_bits(4095, 12) + group * 4095
    assert within(0.1, lambda: refused(lambda: Bits(bomb).fibonacci_range(most=MAX_ID, limit=2**62))) == "range"


@given(IDS)
def test_runs_are_the_ids_again_and_never_touch(ids):
    spans = runs(ids)
    assert [each for first, last in spans for each in range(first, last + 1)] == ids
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(spans))


def test_the_same_id_twice_is_written_once():
    assert fibonacci_range_bits([3, 2, 3]) == fibonacci_range_bits([2, 3])
