"""A Cookie header parser that loses nothing."""

from http.cookies import SimpleCookie  # noqa: TID251 - as what others write with, never to read

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.times import within

from gateway.signals import cookies


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = examples(150)
OPT_OUT = ("usprivacy", "1YYN")
# Values that make other parsers drop the whole header.
ODD = [
    b"cmapi_cookie_privacy=permit 1,2,3",
    b'cc_cookie={"level":["necessary"],"revision":0}',
    b"name[with]brackets=1",
    b"name with blanks=1",
    b"=no name",
    b"noequals",
    b'open="never closed',
    b"a=b=c==",
    b"\xff\xfe=\x80",
    b"nul=\x00",
    b"comma=1,2",
    b";;;; ;",
    b"path=/; expires=Wed, 21 Oct 2026 07:28:00 GMT",
    "späße=ü".encode(),
    b"x=" + b"%" * 4000,
]


@pytest.mark.parametrize("odd", ODD, ids=brief)
def test_an_opt_out_cookie_is_found_beside_any_odd_cookie(odd):
    for header in (odd + b"; usprivacy=1YYN", b"usprivacy=1YYN; " + odd, odd + b";usprivacy=1YYN;" + odd):
        jar, cut = cookies.parse_cookies([header])
        assert OPT_OUT in jar
        assert not cut


def test_every_duplicate_is_kept_in_order_so_that_any_opt_out_can_win():
    jar, _ = cookies.parse_cookies([b"usprivacy=1YNN; a=1; usprivacy=1YYN", b"usprivacy=1---"])
    assert jar == [("usprivacy", "1YNN"), ("a", "1"), OPT_OUT, ("usprivacy", "1---")]


def test_two_cookie_headers_are_one_jar():
    assert cookies.parse_cookies([b"a=1", b"usprivacy=1YYN"])[0] == [("a", "1"), OPT_OUT]


def test_a_value_keeps_its_equals_signs_quotes_and_percent_signs():
    jar, _ = cookies.parse_cookies([b'OptanonConsent=isGpcEnabled=1&groups=C0004%3A0; q="x y"; e='])
    assert jar == [("OptanonConsent", "isGpcEnabled=1&groups=C0004%3A0"), ("q", '"x y"'), ("e", "")]


def test_a_header_over_sixteen_kilobytes_is_read_to_there_and_says_so():
    before = b"usprivacy=1YYN; a="
    jar, cut = cookies.parse_cookies([before + b"x" * (cookies.MAX_BYTES - len(before))])
    assert not cut
    jar, cut = cookies.parse_cookies([before + b"x" * cookies.MAX_BYTES + b"; late=1"])
    assert cut
    assert OPT_OUT in jar
    assert "late" not in dict(jar)


@pytest.mark.parametrize(
    "header", [b";" * 10_000_000, b"=" * 10_000_000, b"a=1;" * 2_500_000, b"\xff" * 10_000_000], ids=brief
)
def test_a_hostile_header_does_not_hold_the_next_visitor_up(header):
    _, cut = within(0.5, lambda: cookies.parse_cookies([header]))
    assert cut


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("1YYN", "1YYN"),
        ('"1YYN"', "1YYN"),
        ("1YY%4E", "1YYN"),
        ('"1YY%4e"', "1YYN"),
        ('"', '"'),
        ('""', ""),
        ('"a', '"a'),
        ("%", "%"),
        ("%zz", "%zz"),
        ("", ""),
        ("%221YYN%22", "1YYN"),
        (r'"a\054b"', "a,b"),
        (r'"{\"marketing\":false}"', '{"marketing":false}'),
        (r'"\\\"\345"', '\\"å'),
        (r'"\09"', "09"),
        ('"\\"', "\\"),
        (r"a\054b", r"a\054b"),
    ],
    ids=brief,
)
def test_a_value_is_unwrapped_of_quotes_and_percent_encoding(raw, value):
    assert cookies.unwrap(raw) == value


@pytest.mark.parametrize(
    ("header", "left"),
    [
        (b"gw=secret", b""),
        (b"gw=secret; a=1", b"a=1"),
        (b"a=1; gw=secret", b"a=1"),
        (b"a=1; gw=one; b=2; gw=two", b"a=1; b=2"),
        (b"a=1;gw = spaced;b=2", b"a=1;b=2"),
        (b"gw2=kept; xgw=kept", b"gw2=kept; xgw=kept"),
        (b"a=gw=secret", b"a=gw=secret"),
        (b"", b""),
    ],
    ids=brief,
)
def test_the_site_gets_the_header_without_our_cookie_and_otherwise_as_it_stands(header, left):
    assert cookies.without(header, b"gw") == left


@QUICKLY
@given(st.lists(st.binary(max_size=300), max_size=5))
def test_any_bytes_are_parsed(headers):
    jar, cut = cookies.parse_cookies(headers)
    assert not cut
    assert all(name and name == name.strip(" \t") and ";" not in name + value for name, value in jar)


@QUICKLY
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_no_bytes_around_an_opt_out_cookie_can_hide_it(before, after):
    assert OPT_OUT in cookies.parse_cookies([before + b";usprivacy=1YYN;" + after])[0]


NAMES = st.text("abgw_", min_size=1, max_size=3)
VALUES = st.text(" abc=%\"',{}", max_size=6)


@QUICKLY
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_taking_a_cookie_out_leaves_every_other_one(pairs):
    header = "; ".join(f"{name}={value}" for name, value in pairs).encode()
    left, _ = cookies.parse_cookies([cookies.without(header, b"gw")])
    assert left == [(name, value.strip()) for name, value in pairs if name != "gw"]


@QUICKLY
@given(st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]), min_size=1, max_size=40))
def test_whatever_a_python_server_writes_is_read_as_it_was_meant(value):
    written = SimpleCookie({"prefs": value})["prefs"].OutputString()
    ((name, raw), *_), _ = cookies.parse_cookies([written.encode("latin-1")])
    assert (name, cookies.unquoted(raw)) == ("prefs", value)


@QUICKLY
@given(st.text(max_size=200))
def test_any_value_is_unwrapped(value):
    assert isinstance(cookies.unwrap(value), str)
