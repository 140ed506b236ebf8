"""Whom a person's consent string lets advertise: what every string of a request says yes to, and nobody beside a no."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import strings
from support.examples import examples
from support.signals import (
    OPT_OUTS,
    TC_CONSENT,
    TC_NOT_PRECISE,
    TC_SOME,
    TC_WITHOUT_ANY,
    gpp_string,
    tc_string,
    web,
)

from gateway.signals import gpp, tcf
from gateway.signals.hear import from_call
from gateway.signals.heard import Heard, KeptFor, Said
from gateway.terms import SIGNAL_PURPOSES, Malformed, Purpose, Source

QUICKLY = examples(150)
FULL = frozenset(SIGNAL_PURPOSES)
BOTH = frozenset({2, 5})  # whom TC_CONSENT names
TOLD = {"SharingNotice": 1, "SaleOptOutNotice": 1, "TargetedAdvertisingOptOutNotice": 1}
ONLY_FIVE = tc_string(VendorConsents=[5, 9], VendorsDisclosed=[5, 9])
ONLY_TWELVE = tc_string(VendorConsents=[12], VendorsDisclosed=[12])


def in_gpp(tc, **others):
    return gpp.write_gpp_string({"tcfeuv2": tc, **others})


WAYS = {
    "a call": {"tc": TC_CONSENT},
    "a call that says where it applies": {"tc": TC_CONSENT, "gdpr": 1, "gpp_sid": [2]},
    "gpp": {"gpp": in_gpp(TC_CONSENT)},
    "gpp of europe": {"gpp": in_gpp(TC_CONSENT), "gpp_sid": [2]},
    "a bare string as gpp": {"gpp": TC_CONSENT},
    "a cookie": {"cookies": "euconsent-v2=" + TC_CONSENT},
    "a phone": {"stored": {"IABTCF_TCString": TC_CONSENT, "IABTCF_gdprApplies": 1}},
    "a phone's section": {"stored": {"IABGPP_2_String": TC_CONSENT, "IABGPP_GppSID": "2"}},
    "all but the precise point": {"tc": TC_NOT_PRECISE},
}


@pytest.mark.parametrize("way", WAYS)
def test_whom_a_person_consented_to_may_advertise_however_the_string_came(way):
    assert from_call(WAYS[way]).vendors == BOTH


NOBODY = {
    "nothing": {},
    "no string": {"us_privacy": "1YNN"},
    "one box ticked": {"tc": TC_SOME},
    "none ticked": {"tc": TC_WITHOUT_ANY},
    "no vendor": {"tc": tc_string(VendorConsents=[])},
    "vendors that were not disclosed": {"tc": tc_string(VendorsDisclosed=[])},
    "an old policy": {"tc": tc_string(PolicyVersion=3)},
    "consent for all sites": {"tc": tc_string(IsServiceSpecific=False)},
    "where the gdpr does not apply": {"tc": TC_CONSENT, "gdpr": 0},
    "beside the sections that apply": {"tc": TC_CONSENT, "gpp_sid": [-1]},
    "gpp where it does not apply": {"gpp": in_gpp(TC_CONSENT), "gpp_sid": [-1]},
    "gpp with a section that nobody knows": {"gpp": gpp.write_gpp_string({"tcfeuv2": TC_CONSENT, 99: "BAAA"})},
    "a damaged string": {"tc": TC_CONSENT[:-9] + "~"},
    "canada's string": {"gpp": gpp.write_gpp_string({"tcfcav1": strings.ca_fields(Random(7)) | {
        "PurposesExpressConsent": [True] * strings.PURPOSES, "VendorExpressConsent": [2, 5]}})},
}  # fmt: skip


@pytest.mark.parametrize("case", NOBODY)
def test_without_a_consent_in_force_nobody_may_advertise(case):
    assert from_call(NOBODY[case]).vendors == frozenset()


def test_a_person_of_whom_two_strings_are_there_consented_to_whoever_is_in_both():
    assert from_call({"tc": TC_CONSENT, "gpp": in_gpp(ONLY_FIVE)}).vendors == {5}
    assert from_call({"tc": ONLY_FIVE, "cookies": "euconsent-v2=" + TC_CONSENT}).vendors == {5}
    assert from_call({"tc": TC_CONSENT, "stored": {"IABTCF_TCString": ONLY_TWELVE}}).vendors == frozenset()
    unknown_beside = gpp.write_gpp_string({"tcfeuv2": ONLY_FIVE, 99: "BAAA"})
    assert from_call({"tc": TC_CONSENT, "gpp": unknown_beside}).vendors == frozenset()


@pytest.mark.parametrize("member", sorted(OPT_OUTS.keys() - {"tc"}))
def test_a_person_who_refuses_anywhere_lets_nobody_advertise(member):
    for value in OPT_OUTS[member]:
        assert from_call({member: value, "tc": TC_CONSENT}).vendors == frozenset(), value


def test_a_notice_that_was_not_given_lets_nobody_advertise():
    for notice, vendors in ((1, BOTH), (2, frozenset())):
        virginia = gpp_string("usva", **TOLD | {"SaleOptOutNotice": notice})
        assert from_call({"tc": TC_CONSENT, "gpp": virginia}).vendors == vendors


def test_a_visitor_is_heard_by_cookie_and_a_malformed_signal_beside_it_lets_nobody_in():
    consented = ("cookie", "euconsent-v2=" + TC_CONSENT)
    assert web(consented).vendors == BOTH
    assert web(consented, ("sec-gpc", "1")).vendors == frozenset()
    assert web(consented, ("sec-gpc", "yes")).vendors == frozenset()


def test_a_string_in_an_address_was_said_elsewhere_and_can_only_narrow():
    address = b"gdpr_consent=" + ONLY_FIVE.encode()
    assert web(query=address).vendors == frozenset()
    assert web(("cookie", "euconsent-v2=" + TC_CONSENT), query=address).vendors == {5}


@pytest.mark.parametrize("purpose", [1, 3, 4])
@pytest.mark.parametrize(("kind", "left"), [(0, {5}), (1, {2, 5}), (2, {5})])
def test_a_vendor_whom_the_publisher_restricts_may_not_advertise(purpose, kind, left):
    """Not allowed, consent required, legitimate interest required: for these purposes there is only consent."""
    restricted = tc_string(PublisherRestrictions=[{"key": purpose, "type": kind, "ids": [2]}])
    assert from_call({"tc": restricted}).vendors == left


@QUICKLY
@given(st.randoms(use_true_random=False), st.sets(st.integers(1, 12), max_size=6))
def test_all_vendors_at_once_are_those_who_may_one_by_one(random, disclosed):
    restrictions = [
        {"key": random.choice([1, 2, 3, 4]), "type": random.randint(0, 2), "ids": random.sample(range(1, 12), 3)}
        for _ in range(random.randint(0, 3))
    ]
    vendors = sorted({1, *random.sample(range(1, 12), 4)})
    reading = tcf.read_eu(
        tc_string(VendorConsents=vendors, VendorsDisclosed=sorted({1} | disclosed), PublisherRestrictions=restrictions)
    )
    (fields,) = reading.sections.values()
    barred = {one for each in restrictions if each["key"] != 2 and each["type"] != 1 for one in each["ids"]}
    assert tcf.advertisers(reading) == tcf.vendors_consented(fields) - barred == {*vendors} & {1, *disclosed} - barred


def test_a_refusal_costs_no_look_at_the_vendors(monkeypatch):
    monkeypatch.setattr(tcf, "advertisers", None)
    for signals in ({"tc": TC_SOME}, {"tc": TC_CONSENT, "gpc": "1"}, {"us_privacy": "1YNN"}):
        assert from_call(signals).vendors == frozenset()


# --- two doors ------------------------------------------------------------------------------------------------------

VENDORS = st.frozensets(st.integers(1, 4), max_size=3)
DENIALS = st.lists(
    st.builds(Said, st.just(Source.GPP), st.frozensets(st.sampled_from(Purpose), min_size=1), st.sampled_from(KeptFor)),
    max_size=1,
)
MALFORMED = st.lists(st.just(Malformed("gpp", "size")), max_size=1)


def heard(vendors, denials, malformed):
    refused = malformed or any(not said.purposes.isdisjoint(FULL) for said in denials)
    return Heard(tuple(denials), tuple(malformed), vendors=frozenset() if refused else vendors)


HEARD = st.builds(heard, VENDORS, DENIALS, MALFORMED)


@QUICKLY
@given(HEARD, HEARD)
def test_by_two_doors_whoever_both_let_in_may_advertise_and_nobody_where_one_refuses(one, other):
    both = one.beside(other)
    assert both.vendors == other.beside(one).vendors
    if both.malformed or not both.denied.isdisjoint(FULL):
        assert both.vendors == frozenset()
    elif one.vendors and other.vendors:
        assert both.vendors == one.vendors & other.vendors
    else:
        assert both.vendors == one.vendors | other.vendors


def test_a_caller_who_can_only_tighten_lets_nobody_in():
    assert from_call({"tc": TC_CONSENT}).without_endings().vendors == frozenset()
