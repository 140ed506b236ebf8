"""What an ad call's address carries: said on another site, so it holds for this request alone."""

from urllib.parse import urlencode

import pytest
from support.signals import (
    ADCHOICES_OUT,
    GPP_ALLOWED,
    GPP_GPC,
    GPP_OUT,
    TC_CONSENT,
    TC_NOT_PRECISE,
    TC_SOME,
    TC_WITHOUT_ANY,
    brief,
    web,
)
from support.times import within

from gateway.signals import gpp
from gateway.signals.hear import MAX_VALUES, PARAMETERS
from gateway.signals.heard import Heard, KeptFor, Said
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Malformed, Purpose, Source

FULL, ADS = frozenset(SIGNAL_PURPOSES), frozenset(AD_CHOICE_PURPOSES)
SALE, PRECISE = frozenset({Purpose.SALE}), frozenset({Purpose.SENSITIVE})
URL = {"us_privacy": "1YYN", "gpp": GPP_GPC, "gdpr_consent": TC_SOME, "adchoices_signal": ADCHOICES_OUT}


def address(*parameters):
    return web(query=urlencode(parameters).encode())


@pytest.mark.parametrize("name", [*URL])
def test_what_an_ad_calls_address_carries_was_said_elsewhere_and_holds_for_this_request(name):
    heard = address(("page", "2"), (name, URL[name]))
    assert heard.denied in (ADS, FULL)
    assert not heard.keeps


@pytest.mark.parametrize("query", [b"gdpr_consent=" + TC_CONSENT.encode(), b"us_privacy=1YNN", b"gpp=${GPP_STRING}"])
def test_an_allow_in_an_address_ends_nothing(query):
    assert web(query=query) == Heard()


def test_a_precise_point_refused_in_an_address_stays_here_for_this_request():
    assert address(("gdpr_consent", TC_NOT_PRECISE)).said == (Said(Source.TCF, PRECISE, KeptFor.MOMENT),)


def test_the_sections_that_apply_are_read_from_the_address():
    refused = gpp.write_gpp_string({"tcfeuv2": TC_WITHOUT_ANY})
    assert address(("gpp", refused), ("gpp_sid", "2")).denied == FULL
    assert address(("gpp", refused), ("gpp_sid", "6")) == Heard()
    assert address(("gpp_sid", "7,6"), ("gpp", GPP_OUT)).denied == SALE
    for lists in (["6", "2"], ["2", "6"]):  # of two lists neither hides what the other says
        assert address(*(("gpp_sid", each) for each in lists), ("gpp", refused)).denied == FULL
    assert address(("gpp_sid", "x"), ("gpp", GPP_OUT)).malformed == (Malformed("gpp_sid", "type"),)


def test_where_the_gdpr_does_not_apply_a_consent_string_without_any_consent_says_nothing():
    unanswered = ("gdpr_consent", TC_WITHOUT_ANY)
    assert address(unanswered).said == (Said(Source.TCF, FULL, KeptFor.MOMENT),)
    assert address(("gdpr", "1"), unanswered).denied == FULL
    for pairs in ([("gdpr", "0"), unanswered], [unanswered, ("gdpr", "0")]):
        assert address(*pairs) == Heard()
    assert address(("gdpr", "0"), ("gdpr_consent", TC_SOME)).denied == FULL
    assert address(("gdpr", "0"), ("us_privacy", "1YYN")).denied == FULL


def test_an_address_is_read_to_its_end():
    assert address(*[("a", "1")] * 500, ("us_privacy", "1YYN")).denied == FULL


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_a_flood_of_one_signal_in_an_address_denies_this_request_and_is_counted(name):
    values = [(name, f"{number}" * 5) for number in range(MAX_VALUES + 1)]
    counted = Malformed(PARAMETERS[name], "count")
    assert counted not in address(*values[:-1]).malformed
    flood = address(*values)
    assert (flood.denied, flood.keeps, flood.malformed[-1]) == (FULL, False, counted)


def test_an_opt_out_in_a_flood_denies_wherever_it_stands():
    flood = [("us_privacy", f"1YN{letter}") for letter in "ABCDEFGHIJKLMNOPQ"]
    for place in (0, MAX_VALUES, len(flood)):
        assert address(*flood[:place], ("us_privacy", "1YYN"), *flood[place:]).denied == FULL


def test_the_same_value_said_often_is_said_once():
    assert address(*[("us_privacy", "1YNN")] * 100) == Heard()
    assert address(*[("us_privacy", "1YNN")] * 100, ("us_privacy", "1YYN")).said == (
        Said(Source.US_PRIVACY, FULL, KeptFor.MOMENT),
    )


@pytest.mark.parametrize(
    "query",
    [
        b"&".join(b"gpp=" + GPP_ALLOWED.encode() + b"%d" % number for number in range(3_000)),
        b"gpp_sid=" + b"7," * 32_000 + b"&gpp=" + GPP_OUT.encode(),
        b"&" * 64_000,
        b"gdpr=0&" * 9_000,
    ],
    ids=brief,
)  # fmt: skip
def test_a_long_address_does_not_hold_the_next_visitor_up(query):
    within(0.5, lambda: web(query=query))
