"""Strings of other formats inside cookies: each reaches its own reader, with the sections that apply to it."""

import json
from urllib.parse import quote

import pytest

from gateway.signals.cmp_cookies.values import Carried

GPP = "DBABLA~BVQVAAAABgA.YA"
TC = "CPzvOIAPzvOIAAAAAAENBdCAAAAAAAAAAAAAAAAAAAAA.IAAA"
AC = "2~2.3.4~dv.1.5"


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:60]


def uri(value):
    return quote(json.dumps(value, separators=(",", ":")))


@pytest.mark.parametrize(
    ("header", "carried"),
    [
        ("usprivacy=1YYN", [Carried("us_privacy", "1YYN")]),
        ("us_privacy=1YNN", [Carried("us_privacy", "1YNN")]),
        ('us-privacy="1Y%4EN"', [Carried("us_privacy", "1YNN")]),
        ("usprivacy=junk", [Carried("us_privacy", "junk")]),
        ("usprivacy=1YNN; usprivacy=1YYN", [Carried("us_privacy", "1YNN"), Carried("us_privacy", "1YYN")]),
        (f"usprivacy={uri({'uspString': '1YYN', 'optOutDate': None})}", [Carried("us_privacy", "1YYN")]),
        ("__cmpccpausps=1YYN", [Carried("us_privacy", "1YYN")]),
        (f"euconsent-v2={TC}", [Carried("tc", TC)]),
        (f"euconsent={TC}", [Carried("tc", TC)]),
        (f"dm-euconsent-v2={TC}", [Carried("tc", TC)]),
        (f"eupubconsent-v2={TC}", [Carried("tc", TC)]),
        (f"addtl_consent={AC}", [Carried("ac", AC)]),
        (f"server_addtl_consent={quote(AC)}", [Carried("ac", AC)]),
        ("OTAdditionalConsentString=1~", [Carried("ac", "1~")]),
        (f"gpp={GPP}", [Carried("gpp", GPP)]),
        (f"gpp={GPP}; gpp_sid=8", [Carried("gpp", GPP, (8,))]),
        (f"gpp_sid=8%2C7; gpp={quote(GPP, safe='')}", [Carried("gpp", GPP, (7, 8))]),
        ("gpp=DBAA; gpp_sid=-1", [Carried("gpp", "DBAA", (-1,))]),
        (f"gpp={GPP}; gpp_sid=7; gpp_sid=9", [Carried("gpp", GPP, (7, 9))]),
        (f"gpp={GPP}; gpp_sid=x,,9999,-2", [Carried("gpp", GPP)]),
        (f"gpp={GPP}; __gpp_sid=7", [Carried("gpp", GPP)]),
        (f"__gpp={GPP}; __gpp_sid=2,6", [Carried("gpp", GPP, (2, 6))]),
        (f"__gpp={GPP}; __gpp_sid=7_8", [Carried("gpp", GPP, (7, 8))]),
        (f"IABGPP_HDR_GppString={GPP}", [Carried("gpp", GPP)]),
        (f"IABGPP_HDR_GppString={GPP}; IABGPP_GppSID=7_8", [Carried("gpp", GPP, (7, 8))]),
        (f"IABGPP_HDR_GppString={GPP}; gpp_sid=7", [Carried("gpp", GPP)]),
        ("cmp=t=1691869618&j=0&u=1YYN", [Carried("us_privacy", "1YYN")]),
        ("cmp=t%3D1691869618%26j%3D0%26u%3D1YNN", [Carried("us_privacy", "1YNN")]),
        ("cmp=accepted", []),
        (f"FCCDCF={uri([None, None, None, [TC, AC, 'a-uuid'], None])}", [Carried("tc", TC), Carried("ac", AC)]),
        (
            f"FCCDCF={uri([None, [GPP, [7]], [json.dumps(['1YYN'])]])}",
            [Carried("gpp", GPP), Carried("us_privacy", "1YYN")],
        ),
        (f"FCCDCF={uri([[[32, json.dumps(['00000000-0000', [1764000000]])]]])}", []),
        (f"uc_ccpa={uri({'ccpaString': '1YYN', 'timestamp': 1764000000})}", [Carried("us_privacy", "1YYN")]),
        (f"uc_tcf={uri({'tcString': TC, 'vendors': []})}", [Carried("tc", TC)]),
        ('uc_usprivacy="1YYN"', None),
        (f"__cmpconsentx36865={TC}", [Carried("tc", TC)]),
        ("__cmpconsent77=BPxYLuWPxYLuWAfNhBENABAAAAAfqAHAAUABUAD", []),
        (
            f"fides_consent={uri({'consent': {}, 'fides_string': f'{TC},{AC},{GPP}'})}",
            [Carried("tc", TC), Carried("ac", AC), Carried("gpp", GPP)],
        ),
        (f"fides_consent={uri({'consent': {}, 'fides_string': f',,{GPP}'})}", [Carried("gpp", GPP)]),
        (f"fides_consent={uri({'consent': {}, 'fides_string': None})}", []),
    ],
    ids=brief,
)
def test_a_string_in_a_cookie_reaches_its_own_reader(states, header, carried):
    found = [each for state in states(header) for each in getattr(state, "carried", ())]
    assert found == (carried or [])


@pytest.mark.parametrize(("length", "section_ids"), [(4096, (7,)), (4097, None)], ids=brief)
def test_section_ids_longer_than_any_cookie_name_no_section_so_that_all_count(states, length, section_ids):
    (state,) = states(f"gpp={GPP}; gpp_sid={'7'.ljust(length, ',')}")
    assert state.carried == (Carried("gpp", GPP, section_ids),)


@pytest.mark.parametrize(
    "name", ["gpp", "__gpp", "IABGPP_HDR_GppString", "euconsent-v2", "addtl_consent", "usprivacy"], ids=brief
)
def test_an_unreplaced_macro_is_as_good_as_absent(states, name):
    assert states(f"{name}=${{GPP_STRING_123}}") == []
    assert states(f"{name}=$%7BGPP_STRING_123%7D") == []


def test_a_cookie_that_carries_says_nothing_by_itself(told):
    assert told(f"usprivacy=1YYN; gpp={GPP}; euconsent-v2={TC}") == "nothing + nothing + nothing"


def test_strings_beyond_what_a_cookie_ever_holds_are_left(states):
    (state,) = states(f"FCCDCF={uri(['1YYN'] * 500)}")
    assert len(state.carried) == 16


@pytest.mark.parametrize("name", ["FCCDCF", "uc_ccpa", "uc_tcf"], ids=brief)
def test_a_wrapped_string_in_another_form_is_malformed(told, name):
    assert told(f"{name}=<html>") == "malformed"
