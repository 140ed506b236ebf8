"""The US Privacy string: what a browser's or an ad server's four characters say of sale."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.signals import usprivacy
from gateway.signals.usprivacy import Sale
from gateway.terms import Malformed


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = settings(max_examples=150, deadline=1000)
MALFORMED = Malformed("us_privacy", "format")
BY_LETTER = {"Y": Sale.OPTED_OUT, "N": Sale.ALLOWED, "-": Sale.UNKNOWN}


def test_every_string_of_the_reference_encoder_is_read_as_it_was_meant(vectors):
    lines = (vectors / "gpp" / "generated_uspv1.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 27
    for row in rows:
        meant = BY_LETTER[row["fields"]["OptOutSale"]]
        assert usprivacy.read(row["section_string"]) is meant, row
        assert usprivacy.read(row["section_string"].lower()) is meant, row


@pytest.mark.parametrize("text", ["1YYN", "1yyn", "1YyN", " 1YYN ", "1YYN\r\n", "1-Y-", "1NYY", "1nYy"], ids=brief)
def test_a_person_who_opted_out_is_heard_in_any_case_and_with_blanks(text):
    assert usprivacy.read(text) is Sale.OPTED_OUT


@pytest.mark.parametrize("text", ["1---", "1Y--", "1N-N"], ids=brief)
def test_a_string_that_says_nothing_of_sale_is_not_an_allow(text):
    assert usprivacy.read(text) is Sale.UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1",
        "1YY",
        "1YYNN",
        "2YYN",
        "0YYN",
        "YYYN",
        "1XYN",
        "1YXN",
        "1YYX",
        "1 YN",
        "1Y\x00N",
        "１YYN",
        "1YYN; Path=/",
        '"1YYN"',
        "1ŸYN",
        "1ßY",  # its upper case is two letters
        "1Y–N",  # a dash that is not a hyphen
        "Y" * 1_000_000,
        " " * 1_000_000,
    ],
    ids=brief,
)
def test_a_string_that_cannot_be_read_is_no_consent(text):
    assert usprivacy.read(text) == MALFORMED


@QUICKLY
@given(st.one_of(st.text(), st.text("1YNyn- ", max_size=6)))
def test_any_text_is_answered_and_only_a_plain_n_allows(text):
    result = usprivacy.read(text)
    assert result == MALFORMED or isinstance(result, Sale)
    if result is Sale.ALLOWED:
        assert text.strip()[2] in "nN"
    if result is Sale.OPTED_OUT:
        assert text.strip()[2] in "yY"
