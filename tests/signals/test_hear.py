"""All that one request says, heard together: any opt-out wins, and what cannot be read denies a call."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.signals.hear import Heard, Said, from_call, from_web
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Malformed, Purpose, Source


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = settings(max_examples=150, deadline=1000)
FULL = frozenset(SIGNAL_PURPOSES)
ADS = frozenset(AD_CHOICE_PURPOSES)
GPC = Said(Source.GPC, FULL, remember=True)
USP = Said(Source.US_PRIVACY, FULL, remember=True)


def web(*headers, **options):
    return from_web([(name.encode(), value.encode("latin-1")) for name, value in headers], **options)


def test_a_visitor_with_gpc_is_heard_and_remembered():
    heard = web(("host", "example.com"), ("sec-gpc", "1"))
    assert heard.said == (GPC,)
    assert heard.gpc
    assert heard.denied == FULL
    assert heard.to_remember() == GPC


def test_a_visitor_whose_proxy_sends_two_headers_is_heard():
    assert web(("sec-gpc", "0"), ("sec-gpc", "1")).gpc
    assert web(("sec-gpc", "1"), ("sec-gpc", "0")).gpc


def test_a_folded_signal_is_counted_and_by_setting_heard():
    assert web(("sec-gpc", "1, 1")) == Heard(malformed=(Malformed("gpc", "value"),))
    assert web(("sec-gpc", "1, 1"), accept_folded_gpc=True).gpc


def test_a_visitor_who_says_nothing_is_heard_as_nothing():
    heard = web(("host", "example.com"), ("cookie", "session=1"), ("sec-gpc", "0"), ("dnt", "0"))
    assert (heard.said, heard.malformed, heard.to_remember()) == ((), (), None)
    assert heard.cookies == (("session", "1"),)


def test_do_not_track_denies_now_and_is_neither_gpc_nor_remembered():
    heard = web(("dnt", "1"))
    assert heard.denied == FULL
    assert not heard.gpc
    assert heard.to_remember() is None


@pytest.mark.parametrize("name", ["usprivacy", "us_privacy", "us-privacy"], ids=brief)
@pytest.mark.parametrize("value", ["1YYN", "1yyn", '"1YYN"', "1YY%4E"], ids=brief)
def test_a_do_not_sell_cookie_stops_sale_sharing_and_ads(name, value):
    assert web(("cookie", f"a=1; {name}={value}; b=2")).said == (USP,)


@pytest.mark.parametrize("order", [["1YYN", "1YNN"], ["1YNN", "1YYN"]], ids=brief)
def test_of_two_cookies_of_one_name_the_opt_out_wins(order):
    one, two = order
    assert web(("cookie", f"usprivacy={one}; usprivacy={two}")).denied == FULL
    assert web(("cookie", f"usprivacy={one}"), ("cookie", f"usprivacy={two}")).denied == FULL


def test_a_sale_group_cookie_is_remembered_and_an_ads_default_is_not():
    sale = web(("cookie", "OptanonConsent=groups=SPD_BG%3A0"))
    assert sale.to_remember() == Said(Source.CMP_COOKIE, FULL, remember=True)
    ads = web(("cookie", "OptanonConsent=groups=C0004%3A0"))
    assert ads.denied == ADS
    assert ads.to_remember() is None


def test_an_allowing_cookie_beside_gpc_changes_nothing():
    heard = web(("sec-gpc", "1"), ("cookie", "usprivacy=1YNN; OptanonConsent=groups=C0004%3A1"))
    assert heard.said == (GPC,)


def test_a_cookie_that_cannot_be_read_is_counted_and_hides_no_other():
    heard = web(("cookie", "usprivacy=junk; OptanonConsent=junk; usprivacy=1YYN"))
    assert heard.said == (USP,)
    assert heard.malformed == (Malformed("us_privacy", "format"), Malformed("cmp_cookie", "format"))


def test_a_header_that_was_cut_off_is_counted():
    assert web(("cookie", "a=" + "x" * 20_000)).malformed == (Malformed("cookies", "size"),)


def test_the_strongest_source_is_written_with_the_purposes_of_all():
    heard = Heard((Said(Source.US_PRIVACY, ADS, remember=True), Said("dnt", FULL, remember=False), GPC))
    assert heard.to_remember() == Said(Source.US_PRIVACY, FULL, remember=True)
    only = Heard((Said(Source.CMP_COOKIE, ADS, remember=True), Said("dnt", FULL, remember=False)))
    assert only.to_remember().purposes == ADS  # a passing signal adds nothing to what is written


def test_no_cookie_value_stands_in_the_text_of_what_was_heard():
    assert "person1" not in repr(web(("cookie", "session=person1")))


@pytest.mark.parametrize(
    "signals",
    [{"gpc": "1"}, {"gpc": 1}, {"gpc": True}, {"gpc": "1", "us_privacy": "1YNN", "att": 3}],
    ids=brief,
)
def test_a_caller_that_passes_gpc_on_is_heard(signals):
    assert from_call(signals).said == (GPC,)


@pytest.mark.parametrize(
    "cookies",
    [
        "usprivacy=1YYN",
        "x=\xff; usprivacy=1YYN",
        "x=€; usprivacy=1YYN",
        {"b64": base64.b64encode(b"x=\xff; usprivacy=1YYN").decode()},
    ],
    ids=brief,
)
def test_a_caller_that_passes_the_cookie_header_on_is_heard(cookies):
    heard = from_call({"cookies": cookies})
    assert heard.said == (USP,)
    assert heard.malformed == ()


@pytest.mark.parametrize("signals", [{"att": 0}, {"att": 1}, {"att": 2}, {"lmt": 1}, {"dnt": "1"}], ids=brief)
def test_a_device_setting_denies_in_this_answer_only(signals):
    heard = from_call(signals)
    assert heard.denied == FULL
    assert heard.to_remember() is None
    assert not heard.gpc


@pytest.mark.parametrize(
    "signals",
    [
        {},
        {"gpc": None, "us_privacy": None, "cookies": None, "att": None},
        {"gpc": "0", "us_privacy": "1YNN", "att": 3, "lmt": 0, "dnt": 0},
        {"us_privacy": "1---"},
        {"gpp_sid": [7], "gdpr": 1},
        {"cookies": ""},
    ],
    ids=brief,
)
def test_a_call_that_says_no_opt_out_denies_nothing(signals):
    assert from_call(signals) == Heard()


@pytest.mark.parametrize(
    ("signals", "malformed"),
    [
        ({"gpc": "yes"}, Malformed("gpc", "value")),
        ({"gpc": {"value": "1"}}, Malformed("gpc", "type")),
        ({"us_privacy": "1XXX"}, Malformed("us_privacy", "format")),
        ({"us_privacy": 1}, Malformed("us_privacy", "type")),
        ({"us_privacy": ["1YNN"]}, Malformed("us_privacy", "type")),
        ({"cookies": 7}, Malformed("cookies", "type")),
        ({"cookies": ["usprivacy=1YNN"]}, Malformed("cookies", "type")),
        ({"cookies": {"b64": "***"}}, Malformed("cookies", "type")),
        ({"cookies": {"b64": "é"}}, Malformed("cookies", "type")),
        ({"cookies": {"b64": None}}, Malformed("cookies", "type")),
        ({"cookies": {}}, Malformed("cookies", "type")),
        ({"cookies": "usprivacy=junk"}, Malformed("us_privacy", "format")),
        ({"cookies": "a=" + "x" * 20_000}, Malformed("cookies", "size")),
        ({"att": 9}, Malformed("att", "value")),
        ({"lmt": "on"}, Malformed("lmt", "value")),
        ({"dnt": []}, Malformed("dnt", "value")),
        ({"gpp": 5}, Malformed("gpp", "unread")),
        ({"tc": {}}, Malformed("tc", "unread")),
    ],
    ids=brief,
)
def test_a_signal_that_cannot_be_read_denies_and_is_not_remembered(signals, malformed):
    heard = from_call(signals)
    assert heard.malformed == (malformed,)
    assert heard.denied == FULL
    assert heard.to_remember() is None


def test_a_malformed_signal_beside_gpc_does_not_hide_it():
    heard = from_call({"us_privacy": "junk", "gpc": "1"})
    assert heard.said[0] == GPC
    assert heard.to_remember() == GPC


def test_no_signal_ever_limits_sensitive_data():
    """L64: GPC alone does not say `limit`."""
    heard = from_call(
        {"gpc": "1", "us_privacy": "1YYN", "cookies": "OptanonConsent=groups=SPD_BG:0", "att": 2, "gpp": "?"}
    )
    assert heard.denied == FULL
    assert Purpose.SENSITIVE not in heard.denied


HEADERS = st.lists(
    st.tuples(st.sampled_from([b"cookie", b"sec-gpc", b"dnt", b"x-other"]), st.binary(max_size=100)), max_size=6
)


@QUICKLY
@given(HEADERS, st.booleans())
def test_any_headers_are_heard_and_never_hide_gpc(headers, folded):
    heard = from_web(headers, accept_folded_gpc=folded)
    assert heard.denied <= FULL
    assert from_web([*headers, (b"sec-gpc", b"1")], accept_folded_gpc=folded).to_remember().source is Source.GPC


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = st.sampled_from(["gpc", "us_privacy", "cookies", "att", "lmt", "dnt", "gpp", "tc", "ac", "gdpr", "zzz"])
MALFORMED_DENIES = "malformed"


@QUICKLY
@given(st.dictionaries(MEMBERS, JSON, max_size=5))
def test_any_signals_are_heard_and_whatever_is_malformed_denies_everything(signals):
    heard = from_call(signals)
    assert heard.denied in (frozenset(), ADS, FULL)
    if heard.malformed:
        assert heard.denied == FULL
        assert any(said.source == MALFORMED_DENIES for said in heard.said)
    assert from_call({**signals, "gpc": "1"}).gpc


@QUICKLY
@given(st.dictionaries(MEMBERS, JSON, max_size=3), st.dictionaries(MEMBERS, JSON, max_size=3))
def test_one_more_signal_never_opens_anything(first, more):
    added = {**more, **first}
    assert from_call(first).denied <= from_call(added).denied
