"""The forms of values: every way that a yes, a no or a record is written, and nothing that is not one."""

import base64
import gzip
import json
import math
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from gateway.signals.cmp_cookies import values


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = examples(150)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("value", [True, 1, "1", "true", "TRUE", " yes ", "allow", "granted", "opt_in"], ids=brief)
def test_a_yes_is_a_yes_in_every_spelling(value):
    assert values.truth(value) is True


@pytest.mark.parametrize("value", [False, 0, "0", "false", "No", "deny", "denied", "opt_out", "rejected"], ids=brief)
def test_a_no_is_a_no_in_every_spelling(value):
    assert values.truth(value) is False


@pytest.mark.parametrize(
    "value",
    [None, "", "Auto", "wait", "2", -1, 2, 0.0, 1.0, math.nan, [], [True], {}, {"true": True}, "1" * 5000, 10**400],
    ids=brief,
)
def test_all_else_is_neither(value):
    assert values.truth(value) is None


@pytest.mark.parametrize(
    ("pairs", "states"),
    [
        ([], {}),
        ([("a", "yes"), ("b", "no"), ("c", "wait")], {"a": True, "b": False}),
        ([("a", "no"), ("a", "yes")], {"a": False}),
        ([("a", "yes"), ("a", "no")], {"a": False}),
        ([("a", "wait"), ("a", "yes")], {"a": True}),
        ([("a", "no"), ("a", "wait")], {"a": False}),
    ],
    ids=brief,
)
def test_a_name_that_says_both_says_no(pairs, states):
    assert values.truths(pairs) == states


@pytest.mark.parametrize("wrappings", [0, 1, 2], ids=brief)
@pytest.mark.parametrize("quotes", ["", '"'], ids=brief)
def test_json_is_read_however_often_a_site_encoded_it(wrappings, quotes):
    text = json.dumps({"marketing": False, "by": "example.com"})
    for _ in range(wrappings):
        text = quote(text)
    assert values.json_object(f"{quotes}{text}{quotes}") == {"marketing": False, "by": "example.com"}


def test_a_percent_sign_inside_json_stays_what_it_is():
    assert values.json_object('{"page":"/a%22b","marketing":false}') == {"page": "/a%22b", "marketing": False}


def test_of_equal_names_in_json_a_no_wins_and_else_the_last():
    assert values.json_object('{"a":false,"a":true,"b":1,"b":2,"c":true,"c":false}') == {"a": False, "b": 2, "c": False}


@pytest.mark.parametrize("value", ["", "[]", "1", "null", '"x"', "{", "{a:1}", "[" * 5000, "%7B", "\x00"], ids=brief)
def test_what_is_no_object_is_refused(value):
    with pytest.raises(ValueError):
        values.json_object(value)


@pytest.mark.parametrize(
    "text",
    ["eyJhIjoiPz8_In0", "eyJhIjoiPz8/In0=", "eyJhIjoiPz8_In0=", "eyJhIjoiPz8%2FIn0%3D", "eyJhIjoiPz8%252FIn0%253D"],
    ids=brief,
)
def test_base64_is_read_in_both_alphabets_with_and_without_padding(text):
    assert values.base64_object(text) == {"a": "???"}


@pytest.mark.parametrize("text", ["", "a", "!!!!", "eyJh", "W10=", "bnVsbA==", "é", "eyJh IjoxfQ=="], ids=brief)
def test_base64_of_no_object_is_refused(text):
    with pytest.raises(ValueError):
        values.base64_object(text)


def test_gzip_is_unpacked_up_to_what_a_consent_tool_ever_writes():
    text = json.dumps({f"vendor.{number}": number % 7 < 3 for number in range(3_000)})
    packed = gzip.compress(text.encode(), mtime=0)
    assert len(text) < values.MAX_UNZIPPED
    assert values.unzipped(packed) == text


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\x1f\x8b",
        b"plain",
        gzip.compress(b"x" * 60_000, mtime=0),
        gzip.compress(base64.b64encode(bytes(index * index % 251 for index in range(60_000))), mtime=0),
        gzip.compress(b"complete", mtime=0)[:-4],
    ],
    ids=["nothing", "header", "plain", "ratio", "size", "cut"],
)
def test_what_unpacks_to_too_much_or_not_at_all_is_refused(packed):
    with pytest.raises(ValueError):
        values.unzipped(packed)


@pytest.mark.parametrize(
    ("text", "separator", "between", "pairs"),
    [
        ("a:yes,b:no", ",", ":", [("a", "yes"), ("b", "no")]),
        ("{a:'x', b: \"y\"}", ",", ":", [("a", "x"), ("b", "y")]),
        ("!a=true!b=wait", "!", "=", [("", ""), ("a", "true"), ("b", "wait")]),
        ("c1:0|ts:1|id", "|", ":", [("c1", "0"), ("ts", "1"), ("id", "")]),
        ("a:b:c", ",", ":", [("a", "b:c")]),
        ("", ",", ":", [("", "")]),
    ],
    ids=brief,
)
def test_a_list_is_read_pair_by_pair(text, separator, between, pairs):
    assert values.pairs(text, separator, between) == pairs


def test_a_list_is_read_to_its_two_hundred_and_fifty_sixth_pair():
    pairs = values.pairs(",".join(f"c{number}:0" for number in range(10_000)), ",", ":")
    assert len(pairs) == values.MAX_FIELDS
    assert pairs[-1] == ("c255", "0")


@QUICKLY
@given(JSON)
def test_members_of_any_type_are_taken_for_what_they_are_or_for_nothing(value):
    assert values.record(value) == (value if isinstance(value, dict) else {})
    assert values.string(value) == (value if isinstance(value, str) else "")
    assert values.names(value) <= {item for item in (value if isinstance(value, list) else []) if isinstance(item, str)}
    assert values.truth(value) in {True, False, None}


@QUICKLY
@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_any_record_survives_each_of_its_forms(record):
    text = json.dumps(record)
    assert values.json_object(text) == record
    assert values.json_object(quote(text)) == record
    assert values.base64_object(base64.b64encode(text.encode()).decode()) == record


@QUICKLY
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    for form in (values.json_object, values.base64_object, values.unbase64):
        try:
            form(text)
        except ValueError:
            continue
    assert isinstance(values.plain(text), str)
