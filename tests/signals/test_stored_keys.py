"""The keys under which an app keeps signals on a phone (signals.md 1.9, 3.3, 8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.signals import gpp
from gateway.signals.stored_keys import read, section_key, write_gpp

STORED = {
    "IABGPP_HDR_Version": "1",
    "IABGPP_HDR_GppString": "DBABTA~1YYN",
    "IABGPP_HDR_Sections": "6",
    "IABGPP_GppSID": "6",
    "IABGPP_6_String": "1YYN",
    "IABUSPrivacy_String": "1YYN",
    "IABTCF_TCString": "CPSG_8A",
    "IABTCF_gdprApplies": 0,
    "IABTCF_AddtlConsent": "2~1~dv.",
    "IABTCF_PurposeConsents": "101",
    "something_else": "1YYN",
}


def test_what_an_app_found_on_its_phone_becomes_the_signals_of_a_call():
    assert read(STORED) == {
        "gpp": "DBABTA~1YYN",
        "gpp_sid": "6",
        "us_privacy": "1YYN",
        "tc": "CPSG_8A",
        "gdpr": 0,  # a zero is an answer: the law does not apply
        "ac": "2~1~dv.",
    }


@pytest.mark.parametrize("empty", [None, ""], ids=repr)
def test_a_key_that_holds_nothing_says_nothing(empty):
    assert read(dict.fromkeys(STORED, empty)) == {}
    assert read({}) == {}


@pytest.mark.parametrize("value", [1, True, "1", "true", "TRUE", " 1 "], ids=repr)
def test_a_person_whose_data_google_was_told_to_restrict_is_heard(value):
    assert read({"gad_rdp": value}) == {"rdp": True}


@pytest.mark.parametrize("value", [0, False, "0", "", None, "no", 2, [1], {"1": 1}], ids=repr)
def test_any_other_value_of_that_key_says_nothing(value):
    assert read({"gad_rdp": value}) == {}


@given(
    st.dictionaries(
        st.sampled_from([*STORED, "gad_rdp"]) | st.text(), st.none() | st.text() | st.integers() | st.lists(st.text())
    )
)
def test_whatever_is_stored_is_answered(stored):
    assert set(read(stored)) <= {"gpp", "gpp_sid", "us_privacy", "tc", "gdpr", "ac", "rdp"}


def test_a_string_is_written_whole_and_by_section_as_the_specification_names_the_keys():
    sections = {6: "1YYN", 8: "BABQAABI.QA"}
    text = gpp.write(sections)
    assert write_gpp(text, sections, [8]) == {
        "IABGPP_HDR_Version": "1",
        "IABGPP_HDR_GppString": text,
        "IABGPP_HDR_Sections": "6_8",
        "IABGPP_GppSID": "8",
        "IABGPP_6_String": "1YYN",
        "IABGPP_8_String": "BABQAABI.QA",
    }
    assert read(write_gpp(text, gpp.split(text), [6, 8])) == {"gpp": text, "gpp_sid": "6_8"}


def test_where_no_section_applies_the_key_says_so():
    assert write_gpp("DBAA", {}, [-1])["IABGPP_GppSID"] == "-1"
    assert read(write_gpp("DBAA", {}, [-1])) == {"gpp": "DBAA", "gpp_sid": "-1"}


def test_the_string_of_one_section_lies_under_its_id():
    assert section_key(7) == "IABGPP_7_String"
