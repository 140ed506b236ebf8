"""Writing TC strings: what is written is read again, in the padding and the shortest list that the reference writes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.examples import examples

from gateway.signals import tcf
from gateway.signals.bits import bits_of, text_of
from gateway.signals.tcf import tc_string


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = examples(150)
DATE = "2026-11-24T00:00:00.000Z"
MAX_ID = 65_535


def opening(version):
    return {
        "Version": version,
        "Created": DATE,
        "LastUpdated": DATE,
        "CmpId": 31,
        "CmpVersion": 1,
        "ConsentScreen": 0,
        "ConsentLanguage": "EN",
        "VendorListVersion": 159,
    }


EUROPEAN = opening(2) | {
    "PolicyVersion": 5,
    "IsServiceSpecific": True,
    "UseNonStandardStacks": False,
    "SpecialFeatureOptins": [False] * 12,
    "PurposeConsents": [True] * 24,
    "PurposeLegitimateInterests": [False] * 24,
    "PurposeOneTreatment": False,
    "PublisherCountryCode": "AA",
    "VendorConsents": [2],
    "VendorLegitimateInterests": [],
    "PublisherRestrictions": [],
}
CANADIAN = opening(1) | {
    "TcfPolicyVersion": 2,
    "UseNonStandardStacks": False,
    "SpecialFeatureExpressConsent": [False] * 12,
    "PurposesExpressConsent": [True] * 24,
    "PurposesImpliedConsent": [False] * 24,
    "VendorExpressConsent": [2],
    "VendorImpliedConsent": [],
    "PubRestrictions": [],
}
V1 = opening(1) | {"PurposesAllowed": [True] * 24, "VendorConsents": [2]}
DOORS = {
    "tcfeuv2": (tcf.read_eu, tcf.write_eu, EUROPEAN),
    "tcfcav1": (tcf.read_ca, tcf.write_ca, CANADIAN),
}


def numbers(width):
    return st.integers(0, 2**width - 1)


def bits(count):
    return st.lists(st.booleans(), min_size=count, max_size=count)


LETTERS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2)
DATES = numbers(36).map(
    lambda tenths: (
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=100 * tenths))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
)
SCATTERED = st.lists(st.integers(1, MAX_ID), unique=True, max_size=30)
DENSE = st.lists(st.integers(1, 300), unique=True, max_size=300)
RUNS = st.lists(st.tuples(st.integers(1, 9000), st.integers(0, 400)), max_size=5).map(
    lambda spans: {vendor for first, length in spans for vendor in range(first, first + length + 1)}
)
VENDORS = st.one_of(SCATTERED, DENSE, RUNS).map(sorted)
RESTRICTIONS = st.lists(
    st.fixed_dictionaries({"key": st.integers(1, 24), "type": st.integers(0, 2), "ids": VENDORS}), max_size=4
)
CUSTOM = st.integers(0, 63).flatmap(lambda count: st.tuples(st.just(count), bits(count), bits(count)))
OPENING = {
    "Created": DATES,
    "LastUpdated": DATES,
    "CmpId": numbers(12),
    "CmpVersion": numbers(12),
    "ConsentScreen": numbers(6),
    "ConsentLanguage": LETTERS,
    "VendorListVersion": numbers(12),
    "UseNonStandardStacks": st.booleans(),
}


@st.composite
def europeans(draw):
    count, consents, interests = draw(CUSTOM)
    drawn = st.fixed_dictionaries(
        {
            **OPENING,
            "PolicyVersion": numbers(6),
            "IsServiceSpecific": st.booleans(),
            "SpecialFeatureOptins": bits(12),
            "PurposeConsents": bits(24),
            "PurposeLegitimateInterests": bits(24),
            "PurposeOneTreatment": st.booleans(),
            "PublisherCountryCode": LETTERS,
            "VendorConsents": VENDORS,
            "VendorLegitimateInterests": VENDORS,
            "PublisherRestrictions": RESTRICTIONS,
            "PublisherConsents": bits(24),
            "PublisherLegitimateInterests": bits(24),
            "VendorsDisclosed": VENDORS,
        }
    )
    custom = {
        "NumCustomPurposes": count,
        "PublisherCustomConsents": consents,
        "PublisherCustomLegitimateInterests": interests,
    }
    return EUROPEAN | draw(drawn) | custom


@st.composite
def canadians(draw):
    count, express, implied = draw(CUSTOM)
    drawn = st.fixed_dictionaries(
        {
            **OPENING,
            "TcfPolicyVersion": numbers(6),
            "SpecialFeatureExpressConsent": bits(12),
            "PurposesExpressConsent": bits(24),
            "PurposesImpliedConsent": bits(24),
            "VendorExpressConsent": VENDORS,
            "VendorImpliedConsent": VENDORS,
            "PubRestrictions": RESTRICTIONS,
            "PubPurposesExpressConsent": bits(24),
            "PubPurposesImpliedConsent": bits(24),
            "DisclosedVendors": VENDORS,
        }
    )
    custom = {
        "NumCustomPurposes": count,
        "CustomPurposesExpressConsent": express,
        "CustomPurposesImpliedConsent": implied,
    }
    return CANADIAN | draw(drawn) | custom


def shown(reading, name):
    """The fields that were given, out of those that are read."""
    assert reading.ok, reading.error
    return reading.sections[name]


@pytest.mark.slow
@QUICKLY
@given(europeans())
def test_what_a_person_in_europe_chose_is_read_as_it_was_written(fields):
    text = tcf.write_eu(fields)
    read = shown(tcf.read_eu(text), "tcfeuv2")
    assert {name: read[name] for name in fields} == fields
    assert tcf.write_eu(read) == text


@pytest.mark.slow
@QUICKLY
@given(canadians())
def test_what_a_person_in_canada_chose_is_read_as_it_was_written(fields):
    text = tcf.write_ca(fields)
    read = shown(tcf.read_ca(text), "tcfcav1")
    assert {name: read[name] for name in fields} == fields
    assert tcf.write_ca(read) == text


@pytest.mark.slow
@QUICKLY
@given(canadians())
@example(CANADIAN | {"PubRestrictions": [{"key": 1, "type": 0, "ids": [1, 3, 9, 19, 4425]}]})  # such a one
@example(
    CANADIAN
    | {"PubRestrictions": [{"key": 1, "type": 0, "ids": [1, 5, 9, 19, 2195]}], "DisclosedVendors": [1, 2, 4, 5, 9]}
)
def test_the_earlier_coding_of_a_canadian_string_is_read_alike(fields):
    """Encoders before cmpapi 3.2.0 wrote fixed ranges. Told apart as cmpapi does: by who would have written it. A few
    cores both would have written, of other restrictions each; such a one is today's.
    """
    earlier = tc_string.TcForm(
        "tcfcav1",
        tc_string.CA.cores[::-1],
        {
            kind: tc_string.TcSegment(each.name, each.empty, each.layouts[::-1])
            for kind, each in tc_string.CA.segments.items()
        },
        tc_string.CA.always,
    )
    text = tc_string.encode(fields, earlier)
    read = shown(tcf.read_ca(text), "tcfcav1")
    others = {name for name in fields if read[name] != fields[name]}
    assert others <= {"PubRestrictions"}
    assert (
        not others or tcf.write_ca(read).partition(".")[0] == text.partition(".")[0]
    )  # of the core, where those stand


@QUICKLY
@given(VENDORS, bits(24))
def test_what_a_v1_string_says_is_read_and_never_allows(vendors, purposes):
    fields = V1 | {"VendorConsents": vendors, "PurposesAllowed": purposes}
    reading = tcf.read_v1(tc_string.encode(fields, tc_string.V1))
    assert shown(reading, "tcfeuv1") == fields
    assert set(reading.choices.values()) == {"opted_out"}


def test_every_segment_of_section_2_is_padded_to_whole_groups_of_four():
    for segment in tcf.write_eu(EUROPEAN).split("."):
        assert len(segment) % 4 == 0


def test_section_2_is_written_in_the_order_of_the_reference_with_empty_segments():
    core, disclosed, publisher = tcf.write_eu(EUROPEAN).split(".")
    assert (core[0], disclosed, publisher) == ("C", "IAAA", "YAAAAAAAAAAA")


def test_section_5_names_disclosed_vendors_only_where_there_are_any():
    core, publisher = tcf.write_ca(CANADIAN).split(".")
    assert (core[0], publisher) == ("B", "YAAAAAAAAAA")
    *_, disclosed = tcf.write_ca(CANADIAN | {"DisclosedVendors": [1, 2, 3]}).split(".")
    assert disclosed.startswith("I")


def listing(vendors):
    """The disclosed vendors of a written section 2: whether as a range, and in how many bits."""
    content = bits_of(tcf.write_eu(EUROPEAN | {"VendorsDisclosed": vendors}).split(".")[1])
    return content[3 + 16] == "1", content


@pytest.mark.parametrize(
    ("vendors", "as_range"),
    [
        ([], False),
        ([28], False),
        ([29], True),  # 12 bits of count and 17 of entry against 29 bits: a tie is a range
        ([1, 29], False),
        ([*range(1, 46)], True),  # 12 + 33 bits: a tie
        ([*range(1, 45)], False),
        ([MAX_ID], True),
        ([*range(1, MAX_ID, 2)], False),
    ],
    ids=brief,
)
def test_a_vendor_list_takes_the_shorter_form_and_a_range_where_both_are_equal(vendors, as_range):
    assert listing(vendors)[0] is as_range


def test_more_runs_than_a_range_can_count_are_a_bitfield():
    """In Fibonacci codes a range of 4,096 single vendors would be shorter, but its count has 12 bits."""
    vendors = [*range(1, MAX_ID, 15)]
    assert len(vendors) > 4095
    text = tcf.write_ca(CANADIAN | {"VendorExpressConsent": vendors})
    reading = tcf.read_ca(text)
    assert reading.sections["tcfcav1"]["VendorExpressConsent"] == vendors


def test_the_order_and_repetition_of_vendors_do_not_matter():
    assert tcf.write_eu(EUROPEAN | {"VendorConsents": [9, 2, 9]}) == tcf.write_eu(EUROPEAN | {"VendorConsents": {2, 9}})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Version", 1),
        ("Created", "2026-11-24"),
        ("Created", "yesterday"),
        ("Created", "1969-12-31T23:59:59.900Z"),
        ("Created", "2200-01-01T00:00:00.000Z"),
        ("Created", "2026-11-24T00:00:00.050Z"),
        ("Created", 0),
        ("CmpId", 4096),
        ("CmpId", -1),
        ("CmpId", "31"),
        ("ConsentScreen", 64),
        ("ConsentLanguage", "en"),
        ("ConsentLanguage", "E"),
        ("ConsentLanguage", "ENG"),
        ("ConsentLanguage", "É1"),
        ("PolicyVersion", 64),
        ("IsServiceSpecific", "yes"),
        ("IsServiceSpecific", 2),
        ("SpecialFeatureOptins", [True]),
        ("PurposeConsents", [True] * 25),
        ("PurposeConsents", [1, 3, 4] + [0] * 21),
        ("PurposeConsents", None),
        ("VendorConsents", [0]),
        ("VendorConsents", [MAX_ID + 1]),
        ("VendorConsents", ["2"]),
        ("VendorConsents", [1.5, 9]),
        ("VendorConsents", 2),
        ("PublisherRestrictions", [{"key": 25, "type": 0, "ids": [2]}]),
        ("PublisherRestrictions", [{"key": 0, "type": 0, "ids": [2]}]),
        ("PublisherRestrictions", [{"key": 1, "type": 3, "ids": [2]}]),
        ("PublisherRestrictions", [{"key": 1, "ids": [2]}]),
        ("PublisherRestrictions", [{"key": 1, "type": 1, "ids": [0]}]),
        ("PublisherRestrictions", [{"key": 1, "type": 1, "ids": []}] * 73),
        ("NumCustomPurposes", "1"),
        ("NumCustomPurposes", 64),
        ("PublisherCustomConsents", [True]),
        ("PublisherPurposesSegmentType", 1),
        ("VendorsAllowed", [0]),
        ("VendorConsent", [2]),
    ],
    ids=brief,
)
def test_a_field_that_does_not_fit_is_an_error_and_never_another_value(name, value):
    with pytest.raises(ValueError, match=name):
        tcf.write_eu(EUROPEAN | {name: value})


def test_more_vendors_than_a_reader_takes_are_not_written():
    every = [*range(1, MAX_ID + 1)]
    assert tcf.write_eu(EUROPEAN | {"VendorConsents": every})
    with pytest.raises(ValueError, match="too much for one string: range"):
        tcf.write_eu(EUROPEAN | {"VendorConsents": every, "VendorsDisclosed": every})
    odd = [*range(1, MAX_ID, 2)]
    with pytest.raises(ValueError, match="too much for one string: size"):
        tcf.write_eu(EUROPEAN | {"VendorConsents": odd, "VendorsDisclosed": odd})


@pytest.mark.parametrize("missing", EUROPEAN, ids=brief)
def test_no_field_of_the_core_is_filled_in_for_the_person(missing):
    fields = {name: value for name, value in EUROPEAN.items() if name != missing}
    with pytest.raises(ValueError, match=f"missing or unknown: {missing}"):
        tcf.write_eu(fields)


@pytest.mark.parametrize("name", DOORS, ids=brief)
@pytest.mark.parametrize("padding", [6, 8, 24], ids=brief)
def test_a_string_in_any_of_the_three_paddings_is_read_alike(name, padding):
    """Padded to 6 by the specification, to 8 and 6 in most of GPP, to 24 in TC strings."""
    read, write, fields = DOORS[name]
    written = write(fields)
    form = {"tcfeuv2": tc_string.EU, "tcfcav1": tc_string.CA}[name]
    cut = read(written).sections[name]
    core = text_of(tc_string._bits(cut, form.cores[0]), padding)
    rest = written.partition(".")[2]
    assert read(f"{core}.{rest}") == read(written)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)], ids=brief)
def test_segments_behind_the_core_are_read_in_any_order(order):
    parts = tcf.write_eu(EUROPEAN | {"VendorsDisclosed": [2, 7]}).split(".")
    text = ".".join(parts[index] for index in order)
    assert tcf.read_eu(text).sections["tcfeuv2"]["VendorsDisclosed"] == [2, 7]


def test_allowed_vendors_of_an_older_string_are_read_and_written_again_and_never_made_up():
    """TCF 2.2 removed them."""
    older = text_of("010" + format(2, "016b") + "0" + "01", 24)
    reading = tcf.read_eu(f"{tcf.write_eu(EUROPEAN)}.{older}")
    assert (reading.ok, reading.absent) == (True, ())
    assert reading.sections["tcfeuv2"]["VendorsAllowed"] == [2]
    written = tcf.write_eu(reading.sections["tcfeuv2"])
    assert tcf.read_eu(written) == reading
    assert len(written.split(".")) == len(tcf.write_eu(EUROPEAN).split(".")) + 1


@pytest.mark.parametrize("name", DOORS, ids=brief)
def test_a_segment_that_was_absent_is_not_made_up_when_the_string_is_written_again(name):
    read, write, fields = DOORS[name]
    for text in (write(fields), write(fields).partition(".")[0]):
        reading = read(text)
        assert write(reading.sections[name], reading.absent) == text


def test_what_is_absent_is_named_and_shown_as_the_reference_shows_it():
    reading = tcf.read_eu(tcf.write_eu(EUROPEAN).partition(".")[0])
    assert reading.absent == ("tcfeuv2.PublisherPurposes", "tcfeuv2.VendorsAllowed", "tcfeuv2.VendorsDisclosed")
    fields = reading.sections["tcfeuv2"]
    assert (fields["VendorsDisclosedSegmentType"], fields["VendorsDisclosed"]) == (1, [])
    assert (fields["PublisherPurposesSegmentType"], fields["PublisherConsents"]) == (3, [False] * 24)
    canadian = tcf.read_ca(tcf.write_ca(CANADIAN))
    assert canadian.absent == ("tcfcav1.DisclosedVendors",)
