"""What a TC string says of the person: consent, refusal, an unanswered banner, and consents that ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from gateway.signals import tcf
from gateway.terms import SIGNAL_PURPOSES, Stated


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = examples(150)
OPTED_OUT = dict.fromkeys(SIGNAL_PURPOSES, Stated.OPTED_OUT)
ALLOWED = dict.fromkeys(SIGNAL_PURPOSES, Stated.ALLOWED)
NEEDED = (1, 3, 4)
BEFORE, SINCE = "2026-02-28T23:59:59.900Z", "2026-03-01T00:00:00.000Z"


def flags(*numbers, count=24):
    return [number in numbers for number in range(1, count + 1)]


def european(**changes):
    """A person who consented to everything in a string of today; the vendors are 2 and 5."""
    return {
        "Version": 2,
        "Created": SINCE,
        "LastUpdated": SINCE,
        "CmpId": 31,
        "CmpVersion": 1,
        "ConsentScreen": 1,
        "ConsentLanguage": "EN",
        "VendorListVersion": 159,
        "PolicyVersion": 5,
        "IsServiceSpecific": True,
        "UseNonStandardStacks": False,
        "SpecialFeatureOptins": flags(1, count=12),
        "PurposeConsents": flags(*range(1, 12)),
        "PurposeLegitimateInterests": flags(2, 7),
        "PurposeOneTreatment": False,
        "PublisherCountryCode": "DE",
        "VendorConsents": [2, 5],
        "VendorLegitimateInterests": [2, 7],
        "PublisherRestrictions": [],
        "VendorsDisclosed": [2, 5, 7],
    } | changes


def canadian(**changes):
    """A person who gave express consent to everything but purpose 1, which TCF Canada does not use."""
    return {
        "Version": 1,
        "Created": SINCE,
        "LastUpdated": SINCE,
        "CmpId": 31,
        "CmpVersion": 1,
        "ConsentScreen": 1,
        "ConsentLanguage": "FR",
        "VendorListVersion": 116,
        "TcfPolicyVersion": 2,
        "UseNonStandardStacks": False,
        "SpecialFeatureExpressConsent": flags(1, count=12),
        "PurposesExpressConsent": flags(*range(2, 10)),
        "PurposesImpliedConsent": flags(2, 7),
        "VendorExpressConsent": [2, 5],
        "VendorImpliedConsent": [2, 7],
        "PubRestrictions": [],
    } | changes


def refusal(**changes):
    """A person who refused, or a banner that nobody answered: the strings are the same."""
    nothing = {"SpecialFeatureOptins": flags(count=12), "PurposeConsents": flags(), "VendorConsents": []}
    return european(**nothing) | changes


def read(fields):
    reading = tcf.read_eu(tcf.write_eu(fields))
    assert reading.ok
    return reading


def read_canadian(fields):
    reading = tcf.read_ca(tcf.write_ca(fields))
    assert reading.ok
    return reading


def test_a_person_who_accepted_everything_allows_sale_sharing_and_ads():
    assert read(european()).choices == ALLOWED


def test_the_least_that_allows_is_storage_profiles_and_advertising_for_one_vendor():
    assert read(european(PurposeConsents=flags(*NEEDED), VendorConsents=[5])).choices == ALLOWED


@pytest.mark.parametrize("missing", NEEDED, ids=brief)
def test_a_person_who_held_back_one_needed_purpose_is_opted_out(missing):
    held_back = set(range(1, 25)) - {missing}
    assert read(european(PurposeConsents=flags(*held_back))).choices == OPTED_OUT


def test_a_person_who_refused_every_vendor_is_opted_out():
    assert read(european(VendorConsents=[])).choices == OPTED_OUT


def test_a_person_who_refused_or_has_not_answered_is_opted_out_and_has_not_acted():
    reading = read(refusal())
    assert reading.choices == OPTED_OUT
    assert not tcf.answered(reading.sections["tcfeuv2"])


@pytest.mark.parametrize(
    "consent",
    [
        {"PurposeConsents": flags(9)},
        {"VendorConsents": [5]},
        {"SpecialFeatureOptins": flags(2, count=12)},
        {"PublisherConsents": flags(1)},
        {"NumCustomPurposes": 1, "PublisherCustomConsents": [True], "PublisherCustomLegitimateInterests": [False]},
    ],
    ids=brief,
)
def test_a_person_who_consented_to_anything_has_answered(consent):
    assert tcf.answered(read(refusal(**consent)).sections["tcfeuv2"])


def test_legitimate_interest_is_the_untouched_default_and_no_answer():
    fields = refusal(
        PurposeLegitimateInterests=flags(2, 7, 8, 9, 10),
        VendorLegitimateInterests=[1, 2, 3],
        PublisherLegitimateInterests=flags(2, 7),
    )
    reading = read(fields)
    assert reading.choices == OPTED_OUT
    assert not tcf.answered(reading.sections["tcfeuv2"])


@pytest.mark.parametrize("policy", [0, 2, 3], ids=brief)
def test_a_consent_under_a_policy_that_ended_is_no_consent(policy):
    reading = read(european(PolicyVersion=policy))
    assert reading.choices == OPTED_OUT
    assert reading.sections["tcfeuv2"]["PurposeConsents"] == flags(*range(1, 12))  # it stays readable
    assert not tcf.in_force(reading.sections["tcfeuv2"])


@pytest.mark.parametrize("policy", [4, 5, 6, 63], ids=brief)
def test_a_consent_under_a_policy_since_2_2_counts(policy):
    assert read(european(PolicyVersion=policy)).choices == ALLOWED


def test_a_consent_for_every_site_at_once_is_no_consent():
    reading = read(european(IsServiceSpecific=False))
    assert reading.choices == OPTED_OUT
    assert tcf.purposes_consented(reading.sections["tcfeuv2"]) == set(range(1, 12))


def without_disclosed_vendors(text):
    return ".".join(segment for segment in text.split(".") if not segment.startswith("I"))


@pytest.mark.parametrize(("created", "expected"), [(BEFORE, ALLOWED), (SINCE, OPTED_OUT)], ids=brief)
def test_since_march_2026_a_string_that_names_no_disclosed_vendors_is_no_consent(created, expected):
    fields = european(Created=created, LastUpdated=created)
    reading = tcf.read_eu(without_disclosed_vendors(tcf.write_eu(fields)))
    assert reading.ok
    assert "tcfeuv2.VendorsDisclosed" in reading.absent
    assert reading.choices == expected


def test_an_update_of_an_old_string_does_not_change_when_it_was_created():
    text = without_disclosed_vendors(tcf.write_eu(european(Created=SINCE, LastUpdated=BEFORE)))
    assert tcf.read_eu(text).choices == OPTED_OUT


@pytest.mark.parametrize(("created", "counted"), [(BEFORE, {2, 5}), (SINCE, {5})], ids=brief)
def test_since_march_2026_a_vendor_that_was_not_shown_to_the_person_has_no_consent(created, counted):
    fields = read(european(Created=created, VendorsDisclosed=[5, 7])).sections["tcfeuv2"]
    assert tcf.vendors_consented(fields) == counted


def test_writing_a_string_again_does_not_bring_an_ended_consent_back():
    """A written string has a segment of disclosed vendors; what was absent must not turn into a yes."""
    ended = tcf.read_eu(without_disclosed_vendors(tcf.write_eu(european())))
    again = tcf.read_eu(tcf.write_eu(ended.sections["tcfeuv2"]))
    assert "tcfeuv2.VendorsDisclosed" not in again.absent
    assert again.choices == ended.choices == OPTED_OUT


def test_the_precise_place_is_a_special_feature_of_its_own():
    fields = read(european()).sections["tcfeuv2"]
    assert tcf.PRECISE_GEOLOCATION in tcf.special_features_consented(fields)
    refused = read(european(SpecialFeatureOptins=flags(2, count=12))).sections["tcfeuv2"]
    assert tcf.special_features_consented(refused) == {2}


NOT_ALLOWED, REQUIRE_CONSENT, REQUIRE_INTEREST = 0, 1, 2


def advertisers(**changes):
    """Whom such a string lets advertise; the vendors consented to are 2 and 5."""
    return tcf.advertisers(read(european(**changes)))


@pytest.mark.parametrize("purpose", NEEDED, ids=brief)
@pytest.mark.parametrize(
    ("vendor", "kinds", "may"),
    [
        (2, [NOT_ALLOWED], {5}),
        (2, [REQUIRE_CONSENT], {2, 5}),
        (2, [REQUIRE_INTEREST], {5}),
        (7, [REQUIRE_INTEREST], {2, 5}),  # an interest is no consent
        (7, [REQUIRE_CONSENT], {2, 5}),
        (2, [REQUIRE_CONSENT, NOT_ALLOWED], {5}),
        (5, [REQUIRE_INTEREST, REQUIRE_CONSENT], {2}),
    ],
    ids=brief,
)
def test_a_publisher_restricts_what_a_vendor_may(vendor, purpose, kinds, may):
    restrictions = [{"key": purpose, "type": kind, "ids": [vendor]} for kind in kinds]
    assert advertisers(PublisherRestrictions=restrictions) == may


def test_a_restriction_of_another_purpose_changes_nothing():
    restrictions = [{"key": 2, "type": NOT_ALLOWED, "ids": [2]}, {"key": 7, "type": REQUIRE_INTEREST, "ids": [5]}]
    assert advertisers(PublisherRestrictions=restrictions) == {2, 5}


@pytest.mark.parametrize("purpose", [1, 3, 4, 5, 6], ids=brief)
def test_legitimate_interest_in_profiles_and_storage_is_ignored(purpose):
    fields = refusal(
        PurposeLegitimateInterests=flags(*range(1, 25)),
        VendorLegitimateInterests=[2],
        PublisherRestrictions=[{"key": purpose, "type": REQUIRE_INTEREST, "ids": [2]}],
    )
    assert tcf.advertisers(read(fields)) == frozenset()


@pytest.mark.parametrize("ended", [{"PolicyVersion": 3}, {"IsServiceSpecific": False}], ids=brief)
def test_no_vendor_may_anything_by_a_string_that_ended(ended):
    restrictions = [{"key": 2, "type": REQUIRE_INTEREST, "ids": [2]}]
    assert advertisers(PublisherRestrictions=restrictions, **ended) == frozenset()


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        (european(), False),
        (european(SpecialFeatureOptins=flags(2, count=12)), True),
        (european(SpecialFeatureOptins=flags(count=12), VendorConsents=[]), True),
        (european(SpecialFeatureOptins=flags(count=12), PolicyVersion=3), True),
        (refusal(), False),  # or a banner that nobody answered: R7 keeps the point anyway
        (refusal(SpecialFeatureOptins=flags(1, count=12)), False),
    ],
    ids=["all", "the other feature only", "no vendor", "an ended policy", "nothing", "the place alone"],
)
def test_a_person_who_answered_and_left_the_precise_place_out_refused_it(fields, refused):
    reading = read(fields)
    assert tcf.precise_refused(reading) is refused
    for broken in (tcf.read_eu(tcf.write_eu(fields) + "="), tcf.read_eu(tcf.write_eu(fields) + ".")):
        assert (broken.ok, tcf.precise_refused(broken)) == (False, refused)


def test_a_person_in_canada_who_left_the_precise_place_out_refused_it():
    assert not tcf.precise_refused(read_canadian(canadian()))
    assert tcf.precise_refused(read_canadian(canadian(SpecialFeatureExpressConsent=flags(2, count=12))))


@pytest.mark.parametrize("text", ["", "junk", "C", "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA"])
def test_what_shows_no_special_features_refuses_no_place(text):
    assert not tcf.precise_refused(tcf.read_eu(text))
    assert not tcf.precise_refused(tcf.read_v1(text))


def test_a_person_in_canada_who_consented_expressly_allows():
    reading = read_canadian(canadian())
    assert reading.choices == ALLOWED
    fields = reading.sections["tcfcav1"]
    assert tcf.purposes_consented(fields) == set(range(2, 10))
    assert tcf.vendors_consented(fields) == {2, 5}
    assert tcf.special_features_consented(fields) == {1}
    assert tcf.in_force(fields)
    assert tcf.answered(fields)


HELD_BACK = {
    "choosing advertising": {"PurposesExpressConsent": flags(3)},
    "profiles": {"PurposesExpressConsent": flags(4)},
    "all but implied": {"PurposesExpressConsent": flags(), "PurposesImpliedConsent": flags(*range(1, 25))},
    "every vendor": {"VendorExpressConsent": []},
    "every vendor but implied": {"VendorExpressConsent": [], "VendorImpliedConsent": [2, 5]},
}


@pytest.mark.parametrize("held_back", HELD_BACK)
def test_a_person_in_canada_who_held_something_back_is_opted_out(held_back):
    assert read_canadian(canadian(**HELD_BACK[held_back])).choices == OPTED_OUT


def test_a_person_in_canada_with_implied_consent_only_has_not_acted():
    nothing = {
        "SpecialFeatureExpressConsent": flags(count=12),
        "PurposesExpressConsent": flags(),
        "VendorExpressConsent": [],
    }
    assert not tcf.answered(read_canadian(canadian(**nothing)).sections["tcfcav1"])
    acted = canadian(**nothing, PubPurposesExpressConsent=flags(1))
    assert tcf.answered(read_canadian(acted).sections["tcfcav1"])


def test_a_canadian_string_lets_nobody_advertise():
    assert tcf.advertisers(read_canadian(canadian())) == frozenset()


@pytest.mark.parametrize("fields", [{}, {"PurposeConsents": flags(1)}, {"Gpc": True}], ids=brief)
def test_fields_that_say_nothing_of_vendors_let_none_do_anything(fields):
    assert not tcf.vendors_consented(fields)
    assert not tcf.in_force(fields)


FLAGS = st.lists(st.booleans(), min_size=24, max_size=24)


@QUICKLY
@given(FLAGS, FLAGS, st.sets(st.integers(1, 12)), st.sets(st.integers(1, 12)), st.integers(0, 7), st.booleans())
def test_allowed_is_said_exactly_when_each_condition_holds(purposes, interests, vendors, disclosed, policy, specific):
    fields = european(
        PurposeConsents=purposes,
        PurposeLegitimateInterests=interests,
        VendorConsents=sorted(vendors),
        VendorsDisclosed=sorted(disclosed),
        PolicyVersion=policy,
        IsServiceSpecific=specific,
    )
    holds = all(purposes[purpose - 1] for purpose in NEEDED) and vendors & disclosed and policy >= 4 and specific
    assert read(fields).choices == (ALLOWED if holds else OPTED_OUT)
