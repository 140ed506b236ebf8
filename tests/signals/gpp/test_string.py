"""The whole GPP string: its header, which of its sections count, and what nobody here can read."""

from random import Random

import pytest
from support.strings import us_fields

from gateway.signals import gpp
from gateway.signals.bits import fibonacci_range_bits, number_bits, text_of
from gateway.signals.gpp import MAX_CHARACTERS, MAX_SECTIONS, header, us
from gateway.signals.gpp.layouts import BY_NAME, IDS
from gateway.signals.heard import UNKNOWN, stated
from gateway.terms import SIGNAL_PURPOSES, Stated

SALE, SHARING, ADS = SIGNAL_PURPOSES
QUIET = {
    "Version": 1, "SaleOptOutNotice": 1, "SharingOptOutNotice": 1, "SensitiveDataLimitUseNotice": 0,
    "SensitiveDataProcessing": [0] * 9, "KnownChildSensitiveDataConsents": [0, 0], "PersonalDataConsents": 0,
    "MspaCoveredTransaction": 2, "MspaOptOutOptionMode": 0, "MspaServiceProviderMode": 0,
}  # fmt: skip


def california(opt_out):
    return us.write_us_section(BY_NAME["usca"], QUIET | {"SaleOptOut": opt_out, "SharingOptOut": opt_out})


CALIFORNIA_OPTED_OUT, CALIFORNIA_ALLOWS = california(1), california(2)
ALLOWS_ALL = stated(allowed=SIGNAL_PURPOSES)
OPTED_OUT_OF_ALL = stated(opted_out=SIGNAL_PURPOSES)


RAW_MINNESOTA = us.write_us_section(BY_NAME["usmn"], us_fields(Random(23), BY_NAME["usmn"]) | {"SaleOptOut": 1})


def string(**raw):
    """Sections by name with their strings as they stand."""
    return gpp.write_gpp_string(raw)


def test_the_strings_of_these_tests_say_what_they_should():
    assert gpp.read_gpp_string(string(usca=CALIFORNIA_ALLOWS)).choices == ALLOWS_ALL
    assert gpp.read_gpp_string(string(usca=CALIFORNIA_OPTED_OUT)).choices == OPTED_OUT_OF_ALL


# --- the header ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "specified", "library"),
    [([2], "DBABM", "DBABMA"), ([2, 6], "DBACNY", "DBACNYA"), ([5, 6], "DBABjw", "DBABjw"), ([], "DBAA", "DBAA")],
)
def test_the_headers_of_the_specification_are_read_and_the_librarys_are_written(ids, specified, library):
    """GPP specification, "GPP String Format"."""
    assert header(ids) == library
    for text in (specified, library, specified + "A" * (-len(specified) % 4)):
        assert list(gpp.split_gpp_string("~".join([text, *["raw"] * len(ids)]))) == ids


def made(sections, type_=3, version=1, tail=""):
    return text_of(number_bits(type_, 6) + number_bits(version, 6) + fibonacci_range_bits(sections) + tail, 6)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "empty"),
        ("~", "truncated"),
        ("~1YNN", "truncated"),
        ("1YNN", "header"),
        ("undefined", "header"),
        ("D", "truncated"),
        ("DB", "truncated"),
        ("DBA", "truncated"),
        ("DBAB", "truncated"),
        ("DBABA", "fibonacci"),
        (made([6], type_=2) + "~1YNN", "header"),
        (made([6], version=2) + "~1YNN", "header_version"),
        ("DBAA~", "section_count"),
        ("dbabta~1YNN", "header"),
        ("DBABTA%7E1YNN", "alphabet"),
        (" DBABTA~1YNN", "alphabet"),
        (made([5001]) + "~raw", "range"),
        (made([*range(1, MAX_SECTIONS + 2)]) + "~raw" * (MAX_SECTIONS + 1), "range"),
        ("DB" + text_of("1" * 12 + "1" + "1" * 400, 6), "range"),
        ("A" * (MAX_CHARACTERS + 1), "size"),
        ("~" * MAX_CHARACTERS, "truncated"),
    ],
)
def test_what_has_no_readable_header_says_nothing(text, error):
    reading = gpp.read_gpp_string(text)
    assert (reading.error, reading.choices, reading.sections) == (error, UNKNOWN, {})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (made([6], tail="0" * 30 + "1") + "~1YNN", "padding"),
        (made([6]) + "AAAA~1YNN", "padding"),
        ("DBABTA~1YNN~1YNN", "section_count"),
        ("DBACNYA~1YNN", "section_count"),
    ],
)
def test_behind_a_faulty_header_nothing_is_allowed(text, error):
    reading = gpp.read_gpp_string(text)
    assert (reading.error, reading.choices) == (error, UNKNOWN)
    with pytest.raises(ValueError, match=error):
        gpp.split_gpp_string(text)


def test_a_string_of_no_sections_is_valid_and_says_nothing():
    """Seen in the field with `gpp_sid=-1`."""
    for section_ids in (None, [-1]):
        reading = gpp.read_gpp_string("DBAA", section_ids)
        assert (reading.error, reading.choices, reading.sections) == ("", UNKNOWN, {})


def test_a_bare_tc_string_is_taken_for_section_2():
    tc = "CPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAAAAAAAAAAAA.IAAA.YAAAAAAAAAAA"
    assert gpp.read_gpp_string(tc) == gpp.read_gpp_string(string(tcfeuv2=tc))
    assert gpp.read_gpp_string(tc, [7]) == gpp.read_gpp_string(string(tcfeuv2=tc), [7])


@pytest.mark.parametrize(
    ("name", "raw"),
    [("usca", ""), ("28", ""), ("usca", " "), ("uspv1", "1Y"), ("tcfeuv2", "."), ("tcfcav1", "*"), ("tcfeuv1", "A")],
)
def test_a_section_that_cannot_be_read_is_told_and_what_the_others_opt_out_of_still_counts(name, raw):
    number = IDS.get(name, 28)
    alone = gpp.read_gpp_string(f"{header([number])}~{raw}")
    assert not alone.ok
    assert Stated.ALLOWED not in alone.choices.values()
    both = {number: raw, 23: RAW_MINNESOTA}
    reading = gpp.read_gpp_string("~".join([header(both), *(both[each] for each in sorted(both))]))
    assert not reading.ok
    assert reading.choices[SALE] is Stated.OPTED_OUT


@pytest.mark.parametrize(
    "text",
    ["DBABTAA~1YYN", "DBABTA~1YYN~", "DBABTA~1YYN~1YNN", "DBACNYA~1YYN", "DBABTA=~1YYN"],
    ids=["a letter too many", "a delimiter too many", "a section too many", "a section too few", "padded"],
)
def test_an_opt_out_behind_a_faulty_header_is_heard(text):
    assert gpp.read_gpp_string("DBABTA~1YYN").choices == OPTED_OUT_OF_ALL
    reading = gpp.read_gpp_string(text)
    assert (reading.ok, reading.choices) == (False, OPTED_OUT_OF_ALL)


@pytest.mark.parametrize("text", ["DBABLA~BVVVVVVVVVU=.YA=", "DBABUYA~BlWg.YA", "DBABLA~BVVVVVVVVVU.YA+"])
def test_a_control_or_an_opt_out_in_front_of_what_does_not_belong_there_is_heard(text):
    reading = gpp.read_gpp_string(text)
    assert (reading.ok, reading.choices) == (False, OPTED_OUT_OF_ALL)


# --- which sections count ------------------------------------------------------------------------------------------


def test_an_applicable_section_that_allows_does_and_one_that_does_not_apply_cannot():
    text = string(usca=CALIFORNIA_ALLOWS)
    assert gpp.read_gpp_string(text, [8]).choices == ALLOWS_ALL
    for section_ids in ([7], [-1], [], [9, 10]):
        assert gpp.read_gpp_string(text, section_ids).choices == UNKNOWN


def test_an_opt_out_counts_in_a_section_that_does_not_apply():
    """It shows the person's will all the same."""
    text = string(usca=CALIFORNIA_OPTED_OUT, uspv1="1YNN")
    for section_ids in (None, [8], [6], [-1], [], [6, 8]):
        assert gpp.read_gpp_string(text, section_ids).choices == OPTED_OUT_OF_ALL


def test_where_one_section_allows_and_another_opts_out_the_opt_out_holds():
    assert gpp.read_gpp_string(string(usca=CALIFORNIA_ALLOWS, uspv1="1YYN")).choices == OPTED_OUT_OF_ALL
    assert gpp.read_gpp_string(string(usca=CALIFORNIA_OPTED_OUT, uspv1="1YNN"), [6]).choices[SALE] is Stated.OPTED_OUT


UNTOUCHED_TC = "CPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAAAAAAAAAAAA.IAAA.YAAAAAAAAAAA"


def test_a_consent_string_without_any_consent_denies_where_it_applies_and_is_nobodys_act():
    text = string(tcfeuv2=UNTOUCHED_TC)
    applies = gpp.read_gpp_string(text, [2])
    assert (applies.choices, applies.unanswered) == (OPTED_OUT_OF_ALL, frozenset(SIGNAL_PURPOSES))
    assert gpp.read_gpp_string(text, [7]).opted_out <= applies.unanswered


def test_an_opt_out_beside_a_tools_default_is_still_the_persons_act():
    reading = gpp.read_gpp_string(string(tcfeuv2=UNTOUCHED_TC, usca=CALIFORNIA_OPTED_OUT))
    assert (reading.choices, reading.unanswered) == (OPTED_OUT_OF_ALL, frozenset())


def test_what_is_absent_is_named_over_all_sections():
    reading = gpp.read_gpp_string(string(usca=CALIFORNIA_ALLOWS, tcfeuv2=UNTOUCHED_TC))
    assert reading.absent == ("tcfeuv2.VendorsAllowed", "usca.Gpc")


# --- sections that no reader knows ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [3, 4, 28, 300, 5000])
@pytest.mark.parametrize("raw", ["BACgAABI.QA", "1YYN", "{}", "*", "=="])
def test_an_unknown_section_is_kept_and_written_back_as_it_came(number, raw):
    text = gpp.write_gpp_string({number: raw})
    reading = gpp.read_gpp_string(text)
    assert (reading.error, reading.sections) == ("", {str(number): {"String": raw}})
    assert gpp.write_gpp_string(reading.sections) == text
    assert gpp.split_gpp_string(text) == {number: raw}


def test_while_an_unknown_section_applies_nothing_is_allowed_and_opt_outs_stand():
    allowing, refusing = {"usca": CALIFORNIA_ALLOWS, 28: "AAAA"}, {"usca": CALIFORNIA_OPTED_OUT, 28: "AAAA"}
    for section_ids in (None, [8, 28], [28]):
        assert gpp.read_gpp_string(gpp.write_gpp_string(allowing), section_ids).choices == UNKNOWN
        assert gpp.read_gpp_string(gpp.write_gpp_string(refusing), section_ids).choices == OPTED_OUT_OF_ALL
    assert gpp.read_gpp_string(gpp.write_gpp_string(allowing), [8]).choices == ALLOWS_ALL


# --- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "match"),
    [
        ({"usxx": "raw"}, "no section 'usxx'"),
        ({0: "raw"}, "no section 0"),
        ({5001: "raw"}, "no section 5001"),
        ({"-1": "raw"}, "no section '-1'"),
        ({"usca": "one", 8: "other"}, "named twice"),
        ({"usca": ""}, "is ASCII and has no ~"),
        ({"usca": "one~other"}, "is ASCII and has no ~"),
        ({28: "é"}, "is ASCII and has no ~"),
        ({28: {"Version": 1}}, "written from its string only"),
        ({"tcfeuv1": {"Version": 1}}, "written from its string only"),
        ({"uspv1": {"Notice": "Y", "OptOutSale": "X", "LspaCovered": "N"}}, "is Y, N or -"),
    ],
)
def test_what_no_reader_would_take_is_not_written(sections, match):
    with pytest.raises(ValueError, match=match):
        gpp.write_gpp_string(sections)


def test_sections_that_were_kept_apart_are_joined_as_they_stand_and_read_as_one():
    assert gpp.joined({8: CALIFORNIA_OPTED_OUT, 6: "1YNN"}) == string(usca=CALIFORNIA_OPTED_OUT, uspv1="1YNN")
    for beside in ({28: "é"}, {9: "~"}, {6: ""}, {0: "raw"}, {5001: "raw"}, {2: "junk"}):
        assert gpp.read_gpp_string(gpp.joined({8: CALIFORNIA_OPTED_OUT} | beside)).choices == OPTED_OUT_OF_ALL
    assert gpp.joined({}) == "DBAA"


def test_sections_are_written_in_the_order_of_their_ids_however_they_are_named():
    raw = {"usca": CALIFORNIA_ALLOWS, 300: "raw", "6": "1YNN", "tcfeuv2": {"String": UNTOUCHED_TC}}
    text = gpp.write_gpp_string(raw)
    assert gpp.split_gpp_string(text) == {2: UNTOUCHED_TC, 6: "1YNN", 8: CALIFORNIA_ALLOWS, 300: "raw"}
    assert list(gpp.split_gpp_string(text)) == [2, 6, 8, 300]
