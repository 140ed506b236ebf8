"""Sec-GPC to the letter of the W3C text (L1 to L5), and the `gpc` member of a call (I25)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from gateway.signals import gpc
from gateway.terms import Malformed


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = examples(150)
NOT_THE_SIGNAL = [
    b"true",
    b"yes",
    b'"1"',
    b"01",
    b"1.0",
    b"1;p=2",
    "１".encode(),  # full width
    "¹".encode(),
    b"1\xa0",
    b"\x0b1",
    b"1\x00",
    b"1\r\nSec-GPC: 1",
    b"-1",
    b"+1",
    b"11",
    b"?1",
    b"11, 0",
    b"\xff\xfe",
    b"1" * 100_000,
]


@pytest.mark.parametrize(
    "values", [[b"1"], [b"1", b"1"], [b"0", b"1"], [b"1", b"0"], [b"junk", b"1"], [b"1", b"\xff"]], ids=brief
)
def test_a_visitor_whose_proxy_sends_two_headers_is_heard(values):
    assert gpc.read_gpc_header(values) is True


@pytest.mark.parametrize("values", [[], [b""], [b"0"], [b"0", b"0"], [b"", b"0"]], ids=brief)
def test_a_visitor_who_says_nothing_is_neither_heard_nor_counted(values):
    assert gpc.read_gpc_header(values) is False


@pytest.mark.parametrize("value", NOT_THE_SIGNAL, ids=brief)
def test_a_value_that_is_not_the_one_character_is_counted_and_not_the_signal(value):
    assert gpc.read_gpc_header([value]) == Malformed("gpc", "value")
    assert gpc.read_gpc_header([b"0", value]) == Malformed("gpc", "value")


@pytest.mark.parametrize("value", [b" 1", b"1 ", b"\t1", b"1\t", b" \t 1 \t ", b"1  "], ids=brief)
def test_a_visitor_is_heard_with_blanks_around_the_value_which_are_no_part_of_it(value):
    assert gpc.read_gpc_header([value]) is True
    assert gpc.read_member(value.decode()) is True


@pytest.mark.parametrize("value", [b"1, 1", b"1,1", b"0, 1", b"1 ,0", b"junk,1", b"1,", b",\t1"], ids=brief)
def test_a_visitor_behind_a_proxy_that_folds_two_fields_into_one_is_heard(value):
    assert gpc.read_gpc_header([value]) is True
    assert gpc.read_member(value.decode()) is True


@pytest.mark.parametrize("value", [b" ", b"0, 0", b"\t0 ", b"0,", b","], ids=brief)
def test_a_folded_nothing_is_neither_heard_nor_counted(value):
    assert gpc.read_gpc_header([value]) is False


@pytest.mark.parametrize("value", [b"0, 11", b"11", b'"1"', b"1;p, 0", b"1.0,01", b"1 1"], ids=brief)
def test_folding_does_not_turn_other_values_into_the_signal(value):
    assert gpc.read_gpc_header([value]) == Malformed("gpc", "value")


@pytest.mark.parametrize("value", [True, 1, "1"], ids=brief)
def test_a_caller_may_say_the_signal_as_text_boolean_or_number(value):
    assert gpc.read_member(value) is True


@pytest.mark.parametrize("value", [None, False, "", "0"], ids=brief)
def test_a_caller_without_the_signal_says_nothing(value):
    assert gpc.read_member(value) is False


@pytest.mark.parametrize(
    "value", ["true", "yes", '"1"', "01", "1.0", "1\xa0", "１", "\x00", "11, 0", "1" * 100_000], ids=brief
)
def test_a_caller_with_an_odd_text_is_malformed_not_silent(value):
    assert gpc.read_member(value) == Malformed("gpc", "value")


@pytest.mark.parametrize("value", [0, 2, -1, 0.5, float("nan"), [], ["1"], {"1": 1}, b"1", frozenset()], ids=brief)
def test_a_caller_with_a_wrong_type_is_malformed_not_silent(value):
    assert gpc.read_member(value) == Malformed("gpc", "type")


@QUICKLY
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"1", b"0", b"", b"0, 1", b" 1\t"])), max_size=6))
def test_the_header_is_heard_exactly_when_one_value_in_it_is_the_character_one(values):
    said = {part.strip(b" \t") for value in values for part in value.split(b",")}
    assert (gpc.read_gpc_header(values) is True) == (b"1" in said)
    if b"1" not in said:
        assert gpc.read_gpc_header(values) == (False if said <= gpc.NO_SIGNAL else Malformed("gpc", "value"))


@QUICKLY
@given(st.lists(st.binary(max_size=40), max_size=4))
def test_nothing_that_stands_beside_it_loses_a_signal(values):
    assert gpc.read_gpc_header([*values, b"1"]) is True
    assert gpc.read_gpc_header([b",".join([*values, b" 1"])]) is True


@QUICKLY
@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.just("1"))))
def test_any_value_of_the_member_is_answered(value):
    assert gpc.read_member(value) in {True, False, Malformed("gpc", "value"), Malformed("gpc", "type")}
