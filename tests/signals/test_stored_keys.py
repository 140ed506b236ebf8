"""The keys under which an app keeps signals on a phone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.signals import gpp
from gateway.signals.device import malformed, read_stored_keys, section_key, write_gpp

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
    assert read_stored_keys(STORED) == {
        "gpp": "DBABTA~1YYN",
        "gpp_sid": "6",
        "us_privacy": "1YYN",
        "tc": "CPSG_8A",
        "gdpr": 0,  # a zero is an answer: the law does not apply
        "ac": "2~1~dv.",
        "sections": {6: "1YYN"},
    }


@pytest.mark.parametrize("empty", [None, ""], ids=repr)
def test_a_key_that_holds_nothing_says_nothing(empty):
    assert read_stored_keys(dict.fromkeys(STORED, empty)) == {}
    assert read_stored_keys({}) == {}


@pytest.mark.parametrize("value", [1, True, "1", "true", "TRUE", " 1 "], ids=repr)
def test_a_person_whose_data_google_was_told_to_restrict_is_heard(value):
    assert read_stored_keys({"gad_rdp": value}) == {"rdp": True}


@pytest.mark.parametrize("value", [0, False, "0", "", None, "no", 2, [1], {"1": 1}], ids=repr)
def test_any_other_value_of_that_key_says_nothing(value):
    assert read_stored_keys({"gad_rdp": value}) == {}


@given(
    st.dictionaries(
        st.sampled_from([*STORED, "gad_rdp", "IABGPP_USP1_OptOut"]) | st.text(),
        st.none() | st.text() | st.integers() | st.lists(st.text()),
    )
)
def test_whatever_is_stored_is_answered(stored):
    assert set(read_stored_keys(stored)) <= {
        "gpp",
        "gpp_sid",
        "us_privacy",
        "tc",
        "gdpr",
        "ac",
        "rdp",
        "sections",
        "refused",
    }
    assert malformed(stored) in {True, False}


@pytest.mark.parametrize(
    "stored",
    [
        {"IABGPP_USP1_OptOut": "Y"}, {"IABGPP_USP1_OptOut": "y"}, {"IABTCF_PurposeConsents": "10"},
        {"IABTCF_PurposeConsents": "0000"}, {"IABTCF_PurposeConsents": "0111", "IABTCF_gdprApplies": 1},
        {"IABTCF_PurposeConsents": "1101"}, {"IABTCF_PurposeConsents": "1110"}, {"IABTCF_PurposeConsents": "1x11"[::-1]},
    ],
    ids=repr,
)  # fmt: skip
def test_a_person_whose_no_stands_in_one_field_alone_is_heard(stored):
    """Purposes 1, 3 and 4 are what advertising needs."""
    assert read_stored_keys(stored).pop("refused") is True


@pytest.mark.parametrize(
    "stored",
    [
        {"IABGPP_USP1_OptOut": "N"}, {"IABGPP_USP1_OptOut": "-"}, {"IABTCF_PurposeConsents": "1011"},
        {"IABTCF_PurposeConsents": "0000", "IABTCF_gdprApplies": 0}, {"IABTCF_PurposeConsents": ""},
        {"IABTCF_PurposeConsents": 0}, {"IABTCF_PurposeConsents": None},
    ],
    ids=repr,
)  # fmt: skip
def test_a_yes_in_one_field_and_one_that_does_not_apply_say_nothing(stored):
    assert "refused" not in read_stored_keys(stored)


@pytest.mark.parametrize(
    "stored",
    [{"IABGPP_7_String": 7}, {"IABGPP_7_String": []}, {"gad_rdp": "maybe"}, {"gad_rdp": 2}, {"gad_rdp": [1]}],
    ids=repr,
)
def test_a_key_with_what_it_never_holds_may_have_lost_an_opt_out(stored):
    assert malformed(stored)


@pytest.mark.parametrize(
    "stored", [{}, STORED, dict.fromkeys([*STORED, "gad_rdp"]), {"gad_rdp": False}, {"x": []}], ids=ascii
)
def test_what_apps_keep_is_in_order(stored):
    assert not malformed(stored)


def test_a_string_is_written_whole_and_by_section_as_the_specification_names_the_keys():
    sections = {6: "1YYN", 8: "BABQAABI.QA"}
    text = gpp.write_gpp_string(sections)
    assert write_gpp(text, sections, [8]) == {
        "IABGPP_HDR_Version": "1",
        "IABGPP_HDR_GppString": text,
        "IABGPP_HDR_Sections": "6_8",
        "IABGPP_GppSID": "8",
        "IABGPP_6_String": "1YYN",
        "IABGPP_8_String": "BABQAABI.QA",
    }
    assert read_stored_keys(write_gpp(text, gpp.split_gpp_string(text), [6, 8])) == {
        "gpp": text,
        "gpp_sid": "6_8",
        "sections": sections,
    }


def test_an_app_that_kept_only_a_section_is_read():
    assert read_stored_keys({"IABGPP_7_String": "BVVVVVVVVVU.YA", "IABGPP_GppSID": "7"}) == {
        "gpp_sid": "7",
        "sections": {7: "BVVVVVVVVVU.YA"},
    }


@pytest.mark.parametrize(
    "key",
    [
        "IABGPP__String",
        "IABGPP_7_string",
        "IABGPP_7777_String",
        "IABGPP_\u0667_String",
        "xIABGPP_7_String",
        "IABGPP_7_Stringx",
    ],
    ids=ascii,
)
def test_no_other_key_is_taken_for_a_sections(key):
    assert read_stored_keys({key: "BVVVVVVVVVU.YA"}) == {}


def test_where_no_section_applies_the_key_says_so():
    assert write_gpp("DBAA", {}, [-1])["IABGPP_GppSID"] == "-1"
    assert read_stored_keys(write_gpp("DBAA", {}, [-1])) == {"gpp": "DBAA", "gpp_sid": "-1"}


def test_the_string_of_one_section_lies_under_its_id():
    assert section_key(7) == "IABGPP_7_String"
