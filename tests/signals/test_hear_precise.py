"""A precise point that a person refused: it stays here in this answer, and no signal ever says `limit` (L64)."""

import pytest
from support.signals import TC_NOT_PRECISE, TC_WITHOUT_ANY, gpp_string

from gateway.signals import gpp
from gateway.signals.hear import from_call
from gateway.signals.heard import KeptFor, Said
from gateway.terms import SIGNAL_PURPOSES, Purpose, Source

FULL, PRECISE = frozenset(SIGNAL_PURPOSES), frozenset({Purpose.SENSITIVE})


def test_a_refused_precise_point_denies_in_this_answer_and_is_written_nowhere():
    sensitive = [0] * 9
    sensitive[2] = 1  # usca: precise geolocation, opted out (GPP Sections/US-*)
    signals = {"gpp": gpp_string("usca", SensitiveDataProcessing=sensitive)}
    heard = from_call(signals)
    assert heard.said == (Said(Source.GPP, PRECISE, KeptFor.MOMENT),)
    assert heard.to_remember() is None
    for elsewhere in ([6], [-1], []):  # a refusal can only tighten, whichever law it was said under
        assert from_call(signals | {"gpp_sid": elsewhere}) == heard


NOT_PRECISE = {
    "tc": ({"tc": TC_NOT_PRECISE}, Source.TCF),
    "tc where the gdpr does not apply": ({"tc": TC_NOT_PRECISE, "gdpr": 0}, Source.TCF),
    "gpp": ({"gpp": gpp.write_gpp_string({"tcfeuv2": TC_NOT_PRECISE}), "gpp_sid": [2]}, Source.GPP),
    "gpp of no section": ({"gpp": gpp.write_gpp_string({"tcfeuv2": TC_NOT_PRECISE}), "gpp_sid": [-1]}, Source.GPP),
    "a cookie": ({"cookies": "euconsent-v2=" + TC_NOT_PRECISE}, Source.TCF),
    "a phone's string": ({"stored": {"IABTCF_TCString": TC_NOT_PRECISE}}, Source.TCF),
    "a phone's section": ({"stored": {"IABGPP_2_String": TC_NOT_PRECISE}}, Source.GPP),
}


@pytest.mark.parametrize("case", NOT_PRECISE)
def test_a_consent_to_all_but_the_precise_point_keeps_that_point_here(case):
    """Special feature 1 (IAB TCF v2)."""
    signals, source = NOT_PRECISE[case]
    assert from_call(signals).said == (Said(source, PRECISE, KeptFor.MOMENT),)


def test_a_banner_that_nobody_answered_refuses_no_precise_point():
    assert PRECISE.isdisjoint(from_call({"tc": TC_WITHOUT_ANY}).denied)


def test_gpc_never_limits_sensitive_data():
    """L64: GPC alone does not say `limit`; nor does any signal but a precise point that GPP or TCF refuses."""
    signals = {"gpc": "1", "us_privacy": "1YYN", "cookies": "OptanonConsent=groups=SPD_BG:0", "att": 2, "gpp": "?"}
    assert from_call(signals).denied == FULL
