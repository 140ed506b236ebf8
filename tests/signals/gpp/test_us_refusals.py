"""What a US section refuses beside its opt-outs, line by line, in every state's section."""

import pytest

from gateway.signals import gpp
from gateway.signals.gpp import us
from gateway.signals.gpp.layouts import BY_NAME, SECTIONS
from gateway.signals.gpp.us import FULL, NOTHING, PRECISE, refused_now
from gateway.signals.hear import from_call
from gateway.signals.heard import KeptFor, Reading, Said
from gateway.terms import Source

EVERYTHING = FULL | PRECISE
NAMES = [section.name for section in SECTIONS]


def told(name, said=()):
    """A section's fields of a person who was given each notice and opted out of nothing, but for what is said."""
    fields = {field.name: [0] * field.count if field.count else 0 for field in BY_NAME[name].newest.fields}
    said_always = {"Version": 1, "MspaVersion": 1, "MspaCoveredTransaction": 2}
    fields |= {key: value for key, value in said_always.items() if key in fields}
    fields |= {key: 1 for key in fields if key.endswith("Notice")}
    fields |= {key: 2 for key in fields if key.endswith("OptOut")}
    return fields | dict(said)


def string(name, **said):
    return gpp.write_gpp_string({name: told(name, said)})


def refused(name, **said):
    reading = gpp.read_gpp_string(string(name, **said))
    assert reading.ok, said
    return refused_now(reading, None)


def items(count, at, value):
    """A list of zeros with one value, counted from 1 as the specification does."""
    return [value if index == at else 0 for index in range(1, count + 1)]


def sensitive(name, at, value):
    layouts = (BY_NAME[name].newest, *BY_NAME[name].subsections)
    counts = {field.name: field.count for layout in layouts for field in layout.fields}
    return {"SensitiveDataProcessing": items(counts["SensitiveDataProcessing"], at, value)}


@pytest.mark.parametrize("name", NAMES)
def test_a_person_who_was_told_and_opted_out_of_nothing_is_refused_nothing(name):
    assert refused(name) == NOTHING


def briefly(value):
    """A short name for a case; a set has no order of its own."""
    return "+".join(sorted(value)) or "nothing" if isinstance(value, frozenset) else repr(value)[:90]


NATIONAL = [
    ({"MspaServiceProviderMode": 1}, EVERYTHING),
    ({"MspaServiceProviderMode": 2}, NOTHING),
    ({"MspaOptOutOptionMode": 1, "MspaCoveredTransaction": 1}, NOTHING),
    ({"PersonalDataConsents": 2}, EVERYTHING),
    ({"PersonalDataConsents": 1}, NOTHING),
    ({"SaleOptOutNotice": 2}, FULL),
    ({"SharingOptOutNotice": 2}, FULL),
    ({"TargetedAdvertisingOptOutNotice": 2}, FULL),
    ({"SharingNotice": 2}, FULL),
    ({"SaleOptOutNotice": 0}, FULL),
    ({"SharingOptOutNotice": 0}, FULL),
    ({"TargetedAdvertisingOptOutNotice": 0}, FULL),
    ({"SharingNotice": 0}, FULL),
    ({"SaleOptOutNotice": 0, "SaleOptOut": 0}, NOTHING),
    ({"SharingNotice": 0, "SharingOptOutNotice": 0, "SharingOptOut": 0}, NOTHING),
    ({"SensitiveDataProcessingOptOutNotice": 2}, EVERYTHING),
    ({"SensitiveDataLimitUseNotice": 2}, EVERYTHING),
    ({"SensitiveDataLimitUseNotice": 0}, NOTHING),
    ({"SensitiveDataLimitUseNotice": 0, **sensitive("usnat", 8, 2)}, PRECISE),
    ({"SensitiveDataProcessingOptOutNotice": 0, **sensitive("usnat", 8, 2)}, PRECISE),
    ({"SensitiveDataLimitUseNotice": 0, **sensitive("usnat", 3, 2)}, FULL),
    (sensitive("usnat", 8, 2), NOTHING),
    (sensitive("usnat", 8, 1), NOTHING),  # said by `precise_refused`
    ({"KnownChildSensitiveDataConsents": [1, 0, 0]}, EVERYTHING),
    ({"KnownChildSensitiveDataConsents": [2, 0, 0]}, NOTHING),
    ({"KnownChildSensitiveDataConsents": [0, 1, 0]}, EVERYTHING),
    ({"KnownChildSensitiveDataConsents": [0, 2, 0]}, EVERYTHING),
    ({"KnownChildSensitiveDataConsents": [0, 0, 1]}, EVERYTHING),
    ({"KnownChildSensitiveDataConsents": [0, 0, 2]}, NOTHING),
]


@pytest.mark.parametrize(("said", "purposes"), NATIONAL, ids=briefly)
def test_each_line_of_the_national_section_refuses_what_both_products_deny(said, purposes):
    assert refused("usnat", Version=2, **said) == purposes


# Items that refuse even with consent; in the other states the genetic and the biometric one, 6 and 7.
NEVER = {
    "usnat": {6, 7, 9, 10, 12, 14, 16}, "usca": {1, 2, 5, 6, 7}, "usor": {5, 8, 9, 10}, "usde": {6, 7, 9},
    "usnj": {6, 7, 9, 10},
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in NAMES if name != "usmd"])
def test_a_person_who_refuses_a_sensitive_use_is_kept_out_of_it_altogether(name):
    """And what must never be in scope is refused even where somebody consented to it."""
    count = len(sensitive(name, 1, 1)["SensitiveDataProcessing"])
    version = {"Version": 2} if name == "usnat" else {}
    for at in range(1, count + 1):
        is_precise = BY_NAME[name].precise == at - 1
        never = at in NEVER.get(name, {6, 7})
        assert refused(name, **sensitive(name, at, 1), **version) == (NOTHING if is_precise else FULL), at
        assert refused(name, **sensitive(name, at, 2), **version) == (FULL if never else NOTHING), at


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"usnat", "usmd"}])
def test_any_word_about_a_known_child_is_a_refusal_in_every_states_section(name):
    (count,) = {f.count for f in BY_NAME[name].newest.fields if f.name == "KnownChildSensitiveDataConsents"}
    for value in (1, 2):
        for at in range(1, (count or 1) + 1):
            said = items(count, at, value) if count else value
            assert refused(name, KnownChildSensitiveDataConsents=said) == EVERYTHING, said


STATES_ALONE = [
    *((name, {"ProcessingNotice": 2}, FULL) for name in ("usfl", *NAMES[NAMES.index("usor") :])),
    *((name, {"SharingNotice": 2}, FULL) for name in ("usva", "usco", "usut", "usct", "usmt")),
    *((name, {"AdditionalDataProcessingConsent": 2}, EVERYTHING) for name in ("usfl", "ustx", "usmn", "usmd", "usri")),
    *((name, {"AdditionalDataProcessingConsent": 1}, NOTHING) for name in ("usfl", "ustx", "usmn", "usmd", "usri")),
    *((name, {"MspaMode": 2}, EVERYTHING) for name in ("usmd", "usin", "usky", "usri")),
    *((name, {"MspaMode": 1}, NOTHING) for name in ("usmd", "usin", "usky", "usri")),
    ("usva", {"SharingNotice": 0}, NOTHING),  # Virginia has no opt-out of sharing
    ("usut", {"SensitiveDataProcessingOptOutNotice": 2}, EVERYTHING),
    ("usut", {"SensitiveDataProcessingOptOutNotice": 0, **sensitive("usut", 8, 2)}, PRECISE),
    ("usia", {"SensitiveDataOptOutNotice": 2}, EVERYTHING),
    ("usia", {"SensitiveDataOptOutNotice": 0, **sensitive("usia", 1, 2)}, FULL),
    ("usca", {"SensitiveDataLimitUseNotice": 0, **sensitive("usca", 3, 2)}, PRECISE),
    ("usca", {"SensitiveDataLimitUseNotice": 0, **sensitive("usca", 4, 2)}, FULL),
    ("usor", {"SaleOptOutNotice": 0}, FULL),
    ("usor", {"TargetedAdvertisingOptOutNotice": 2}, FULL),
    ("usin", {"SaleOptOutNotice": 0}, FULL),
]


@pytest.mark.parametrize(("name", "said", "purposes"), STATES_ALONE, ids=briefly)
def test_each_states_own_fields_refuse_by_what_they_mean(name, said, purposes):
    assert refused(name, **said) == purposes


def test_a_section_refuses_only_where_it_applies():
    reading = gpp.read_gpp_string(string("usva", SaleOptOutNotice=2))
    assert refused_now(reading, [9]) == refused_now(reading, None) == FULL
    assert refused_now(reading, [-1]) == refused_now(reading, []) == refused_now(reading, [2]) == NOTHING


def test_a_section_that_is_said_to_apply_and_is_not_there_refuses():
    """Prebid.js denies; PBS-Java does for sections 8 and 12."""
    for number in (7, 8, 12, 27):
        assert refused_now(gpp.read_gpp_string("DBAA"), [number]) == FULL
        assert refused_now(gpp.read_gpp_string(string("usva")), [9, number]) == FULL
    assert refused_now(gpp.read_gpp_string("DBAA"), [2, 5, 6, 99, -1]) == NOTHING


def test_what_cannot_be_read_refuses_by_the_fields_in_front_of_the_damage():
    assert refused_now(Reading(sections={"usva": {"SaleOptOutNotice": 2}}, error="truncated"), [9]) == FULL
    assert refused_now(Reading(sections={"usva": {}}, error="truncated"), [9]) == NOTHING
    assert refused_now(us.read_us_section(BY_NAME["usva"], ""), None) == NOTHING


def test_a_refusal_holds_for_the_moment_and_is_nobodys_act():
    heard = from_call({"gpp": string("usva", MspaServiceProviderMode=1)})
    assert heard.said == (Said(Source.GPP, EVERYTHING, KeptFor.MOMENT),)
    assert not heard.keeps


def test_a_persons_opt_out_stays_a_choice_beside_a_refusal():
    heard = from_call({"gpp": string("usva", SaleOptOut=1, TargetedAdvertisingOptOut=1, SaleOptOutNotice=2)})
    assert heard.said == (Said(Source.GPP, FULL),)


def test_a_phone_that_keeps_one_section_alone_is_not_said_to_lack_the_others():
    section = string("usva").partition("~")[2]
    assert from_call({"stored": {"IABGPP_9_String": section, "IABGPP_GppSID": "9_8"}}).denied == NOTHING
