"""States that nobody can be shown to have chosen: they begin in doubt, and end only by the word of who began them
(R26).

A consent tool has two of them, what it says of ads and what it says of sale.
"""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.signals import TC_CONSENT, TC_SOME, brief, gpp_string

from gateway.signals import gpp
from gateway.signals.hear import from_call
from gateway.signals.heard import KeptFor, Said
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Source

QUICKLY = examples(150)
FULL, ADS = frozenset(SIGNAL_PURPOSES), frozenset(AD_CHOICE_PURPOSES)


def ketch(**purposes):
    return "_ketch_consent_v1_=" + base64.b64encode(json.dumps(purposes).encode()).decode()


def didomi(**purposes):
    return "didomi_token=" + base64.b64encode(json.dumps({"purposes": purposes}).encode()).decode()


@pytest.mark.parametrize(
    ("signals", "source"),
    [
        ({"att": 3}, Source.DEVICE),
        ({"lmt": "0"}, Source.DEVICE),
        ({"tc": TC_CONSENT}, Source.TCF),
        ({"gpp": gpp.write_gpp_string({"tcfeuv2": TC_CONSENT})}, Source.GPP),
        ({"stored": {"IABGPP_2_String": TC_CONSENT}}, Source.GPP),
        ({"ac": "2~7~dv.9"}, Source.ADDITIONAL_CONSENT),
        ({"cookies": "OptanonConsent=interactionCount=1&groups=C0004:1"}, "cmp_cookie:onetrust:ads"),
        ({"cookies": "OptanonConsent=groups=SPD_BG:1"}, "cmp_cookie:onetrust:sale"),
        ({"cookies": "cmplz_marketing=allow"}, "cmp_cookie:complianz:ads"),
        ({"cookies": "notice_preferences=2:"}, "cmp_cookie:trustarc:ads"),
        ({"cookies": ketch(data_sales="granted")}, "cmp_cookie:ketch:sale"),
        ({"cookies": didomi(enabled=["advertising"])}, "cmp_cookie:didomi:ads"),
        ({"cookies": "euconsent-v2=" + TC_CONSENT}, Source.TCF),
    ],
    ids=brief,
)
def test_a_state_ends_when_its_own_source_says_the_opposite(signals, source):
    assert from_call(signals).ended == {source}
    assert from_call(signals).said == ()


ENDS_NOTHING = {
    "an iphone that has not asked": {"att": 0},
    "silence": {"att": None, "gpc": "0", "dnt": "0", "us_privacy": "1---", "gpp": "DBAA"},
    "a consent that was cut": {"tc": TC_CONSENT[:-3]},
    "a consent under another law": {"gpp": gpp.write_gpp_string({"tcfeuv2": TC_CONSENT}), "gpp_sid": [7]},
    "a string that knows no consents": {"gpp": gpp_string("usnat"), "us_privacy": "1YNN"},
    "a signal that cannot be read": {"adchoices": "junk"},
    "a tool's default off": {"cookies": "OptanonConsent=interactionCount=0&groups=C0004:0"},
    "a tool's default on": {"cookies": "OptanonConsent=interactionCount=0&groups=C0004:1"},
    "groups without the one for ads": {"cookies": "OptanonConsent=groups=C0001:1"},
    "no groups": {"cookies": "OptanonConsent=groups=&isGpcEnabled=0"},
    "a tool outside its region": {"cookies": "CookieConsent=-1"},
    "services of none": {"cookies": "klaro={}"},
    "services without one for ads": {"cookies": 'klaro={"session":true}'},
    "a gpc that was not sent": {"cookies": "gpcishonored=false; gpcsignal=false; OneTrustWPCCPAGoogleOptOut=false"},
    "a regional default": {"cookies": "_tracking_consent=3.AMPS_USCA_f_f_A"},
    "a level that was implied": {"cookies": "notice_preferences=2:; notice_behavior=implied,us"},
    "an unanswered banner": {"cookies": "cookieyes-consent=consent:yes,action:,advertisement:yes"},
    "a service that still waits": {"cookies": "tarteaucitron=!criteo=wait"},
    "an id that is opaque": {"cookies": "consentUUID=u_1; osano_consentmanager=AbCdEf"},
    "a tool's cookie that cannot be read": {"cookies": "OptanonConsent=junk"},
    "two cookies of one tool that differ": {"cookies": "OptanonConsent=groups=C0004:1; OptanonConsent=groups=C0004:0"},
    "a default off beside an acceptance": {
        "cookies": "OptanonConsent=interactionCount=1&groups=C0004:1; OptanonConsent=interactionCount=0&groups=C0004:0"
    },
    "two groups for ads that differ": {"cookies": "OptanonConsent=groups=C0004:1,4:0"},
    "a consent beside damage": {"tc": TC_CONSENT, "cookies": "euconsent-v2=junk"},
    "a consent where its law does not apply": {"tc": TC_CONSENT, "gdpr": 0},
    "a flag that cannot be read beside one that lifts": {"att": 9, "lmt": 0},
    "two switches of which one was never asked": {"lmt": 0, "att": 0},
    "do not track beside a phone without a limit": {"att": 3, "dnt": 1},
    "two switches that differ": {"att": 3, "lmt": 1},
    "two switches that differ the other way": {"att": 2, "lmt": 0},
    "two strings that differ": {"tc": TC_CONSENT, "cookies": "euconsent-v2=" + TC_SOME},
}


@pytest.mark.parametrize("case", ENDS_NOTHING)
def test_silence_a_default_damage_or_a_refusal_beside_it_ends_no_state(case):
    assert from_call(ENDS_NOTHING[case]).ended == frozenset()


@pytest.mark.parametrize(
    ("cookie", "began", "ended"),
    [
        (ketch(data_sales="denied", advertising="granted"), ("cmp_cookie:ketch:sale", FULL), "cmp_cookie:ketch:ads"),
        (ketch(data_sales="granted", advertising="denied"), ("cmp_cookie:ketch:ads", ADS), "cmp_cookie:ketch:sale"),
        (
            "OptanonConsent=groups=SPD_BG:1,C0004:0",
            ("cmp_cookie:onetrust:ads", ADS), "cmp_cookie:onetrust:sale",
        ),
    ],
    ids=["sale off", "ads off", "groups that differ"],
)  # fmt: skip
def test_a_tool_that_puts_on_the_one_and_off_the_other_ends_only_the_one(cookie, began, ended):
    heard = from_call({"cookies": cookie})
    assert heard.said == (Said(*began, KeptFor.STATE),)
    assert heard.ended == {ended}


def test_an_acceptance_in_one_tool_ends_nothing_of_another():
    heard = from_call({"cookies": "cmplz_marketing=deny; OptanonConsent=groups=C0004:1"})
    assert heard.said == (Said("cmp_cookie:complianz:ads", ADS, KeptFor.STATE),)
    assert heard.ended == {"cmp_cookie:onetrust:ads"}


GROUPS = st.dictionaries(
    st.sampled_from(["C0001", "C0004", "4", "SPD_BG", "OSSTA_BG"]), st.sampled_from(["0", "1", ""])
)
WORDS = {"C0004": "ads", "4": "ads", "SPD_BG": "sale", "OSSTA_BG": "sale"}


@QUICKLY
@given(GROUPS, st.sampled_from(["", "&interactionCount=0", "&interactionCount=2"]))
def test_only_a_word_that_is_on_and_nowhere_off_ends_a_state_and_never_by_the_tool_itself(groups, counted):
    """Of whatever groups a site has."""
    written = ",".join(f"{name}:{state}" for name, state in groups.items())
    on, off = ({WORDS[name] for name in groups if groups[name] == state and name in WORDS} for state in ("1", "0"))
    ends = set() if counted == "&interactionCount=0" else on - off
    heard = from_call({"cookies": f"OptanonConsent=groups={written}{counted}"})
    assert heard.ended == {f"cmp_cookie:onetrust:{word}" for word in ends}
