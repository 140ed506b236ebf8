"""One US section: what a person in each state said, in each of the forms in which it arrives."""

import json
from dataclasses import replace

import pytest

from gateway.signals.bits import ALPHABET, bits_of, fibonacci_range_bits, number_bits, text_of
from gateway.signals.gpp import us
from gateway.signals.gpp.layouts import BY_NAME
from gateway.signals.gpp.us import read_us_section, write_us_section
from gateway.signals.heard import UNKNOWN, stated
from gateway.terms import SIGNAL_PURPOSES, Stated

SALE, SHARING, ADS = SIGNAL_PURPOSES
OUT, DID_NOT, NOT_APPLICABLE = 1, 2, 0
WITH_HEADER = ("usmd", "usin", "usky", "usri")
WITHOUT_SUBSECTIONS = ("usva", "usut", "usfl")


def said(name, version=None, **more):
    """Fields of a section that says nothing of any choice, but what is given."""
    section = BY_NAME[name]
    core = section.cores[version] if version else section.newest
    fields = {field.name: [0] * field.count if field.count else 0 for field in core.fields}
    known = {"Version": version or max(section.cores), "MspaVersion": 1, "MspaCoveredTransaction": 2}
    return {name: known.get(name, value) for name, value in fields.items()} | more


def string(name, version=None, **more):
    return write_us_section(BY_NAME[name], said(name, version, **more))


# --- what is said --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "field", "purposes"),
    [
        ("usnat", "SaleOptOut", {SALE}),
        ("usnat", "SharingOptOut", {SHARING}),
        ("usnat", "TargetedAdvertisingOptOut", {ADS}),
        ("usca", "SaleOptOut", {SALE}),
        ("usca", "SharingOptOut", {SHARING, ADS}),  # California has no word for targeted advertising
        *((name, "SaleOptOut", {SALE}) for name in BY_NAME if name not in {"usnat", "usca"}),
        # nor the states one for sharing
        *((name, "TargetedAdvertisingOptOut", {SHARING, ADS}) for name in BY_NAME if name not in {"usnat", "usca"}),
    ],
)
def test_a_person_who_opted_out_of_one_thing_is_heard_for_what_stands_for_it(name, field, purposes):
    reading = read_us_section(BY_NAME[name], string(name, **{field: OUT}))
    assert (reading.error, reading.choices) == ("", stated(opted_out=purposes))


@pytest.mark.parametrize("name", BY_NAME)
def test_a_person_who_did_not_opt_out_is_allowed_and_one_whom_nobody_asked_is_not(name):
    opt_outs = [field for field in said(name) if field in {f for names in us.SPEAKS.values() for f in names}]
    asked = read_us_section(BY_NAME[name], string(name, **dict.fromkeys(opt_outs, DID_NOT)))
    assert asked.choices == stated(allowed=SIGNAL_PURPOSES)
    assert read_us_section(BY_NAME[name], string(name, **dict.fromkeys(opt_outs, NOT_APPLICABLE))).choices == UNKNOWN


@pytest.mark.parametrize(
    "name", [name for name, section in BY_NAME.items() if "Gpc" in {s.name for s in section.subsections}]
)
def test_global_privacy_control_in_its_subsection_opts_out_of_everything(name):
    """With "did not opt out" beside it, it is legal and an opt-out."""
    nothing_said = {"SaleOptOut": DID_NOT}
    off = read_us_section(BY_NAME[name], string(name, **nothing_said, Gpc=False))
    assert (off.ok, off.choices[SALE], off.sections[name]["Gpc"]) == (True, Stated.ALLOWED, False)
    on = read_us_section(BY_NAME[name], string(name, **nothing_said, Gpc=True))
    assert (on.ok, on.opted_out, on.sections[name]["Gpc"]) == (True, frozenset(SIGNAL_PURPOSES), True)


@pytest.mark.parametrize("name", WITHOUT_SUBSECTIONS)
@pytest.mark.parametrize("behind", ["Y", "YA", "YAAA", "*.YA", ".YA", "QA.YA"])
def test_a_control_that_the_reference_leaves_unread_in_three_states_is_heard(name, behind):
    """The reference library has no such subsection there."""
    reading = read_us_section(BY_NAME[name], f"{string(name, SaleOptOut=DID_NOT)}.{behind}")
    assert (reading.ok, reading.opted_out) == (False, frozenset(SIGNAL_PURPOSES))


def test_a_second_control_counts_where_the_first_is_off():
    reading = read_us_section(BY_NAME["usca"], f"{string('usca')}.QA.YA")
    assert (reading.error, reading.opted_out) == ("subsection", frozenset(SIGNAL_PURPOSES))


@pytest.mark.parametrize("name", ["usin", "usky", "usri"])
@pytest.mark.parametrize("control", ["Y", "YA", "Y=", "YA.YA", "QA.YA", "YA.qqo", "AAA.YA"])
def test_a_control_in_a_state_that_has_only_a_sensitive_subsection_is_heard(name, control):
    reading = read_us_section(BY_NAME[name], f"{string(name, SaleOptOut=DID_NOT)}.{control}")
    assert (reading.error, reading.opted_out) == ("subsection", frozenset(SIGNAL_PURPOSES))


@pytest.mark.parametrize("name", ["usin", "usky", "usri"])
def test_what_stands_behind_a_control_that_is_not_the_states_is_read_as_its_own(name):
    reading = read_us_section(BY_NAME[name], f"{string(name, SaleOptOut=DID_NOT)}.QA.qqo")
    assert reading.sections[name]["SensitiveDataProcessing"] == [2] * 8
    assert (reading.error, reading.opted_out, reading.absent) == ("subsection", frozenset(), ())


@pytest.mark.parametrize("behind", ["AA", "gA", "oA"])
def test_a_subsection_of_another_type_is_no_control(behind):
    """`oA` has the bit of the control set behind type 2."""
    reading = read_us_section(BY_NAME["usca"], f"{string('usca', SaleOptOut=DID_NOT)}.{behind}")
    assert (reading.error, reading.choices, reading.sections["usca"]["Gpc"]) == ("subsection", UNKNOWN, False)


@pytest.mark.parametrize("name", BY_NAME)
def test_what_is_absent_is_named_and_shown_as_the_specification_has_it_by_default(name):
    reading = read_us_section(BY_NAME[name], string(name))
    subsections = BY_NAME[name].subsections
    assert reading.absent == tuple(f"{name}.{layout.name}" for layout in subsections)
    for layout in subsections:
        defaults = {"GpcSegmentType": 1, "Gpc": False, "SensitiveDataProcessing": [0] * 8}
        assert {field.name: reading.sections[name][field.name] for field in layout.fields}.items() <= defaults.items()


# --- the national section has two layouts ----------------------------------------------------


def test_the_version_of_the_national_section_is_told_by_its_length():
    first, second = string("usnat", 1, SaleOptOut=OUT), string("usnat", 2, SaleOptOut=OUT)
    assert (len(first), len(second)) == (11, 12)
    for text, items in ((first, 12), (second, 16)):
        reading = read_us_section(BY_NAME["usnat"], text)
        assert (reading.error, reading.opted_out) == ("", {SALE})
        assert len(reading.sections["usnat"]["SensitiveDataProcessing"]) == items


def test_version_1_padded_to_the_length_of_version_2_is_still_version_1():
    text = string("usnat", 1, MspaServiceProviderMode=2, SaleOptOut=OUT) + "A"
    reading = read_us_section(BY_NAME["usnat"], text)
    assert (reading.error, reading.sections["usnat"]["MspaServiceProviderMode"]) == ("", 2)


def test_a_new_string_that_was_cut_by_one_character_is_not_taken_for_an_old_one():
    whole = string("usnat", 2, SaleOptOut=OUT, SharingOptOut=DID_NOT, SensitiveDataProcessing=[0] * 12 + [2] * 4)
    reading = read_us_section(BY_NAME["usnat"], whole[:11])
    assert not reading.ok
    assert reading.choices == stated(opted_out={SALE})


# --- sections 24 to 27 have two forms -----------------------------------------------------------


def as_specified(section, text, named=(1,), version=1):
    """The library's form behind the header subsection that the specification wants."""
    bits = number_bits(section.id, 6) + number_bits(version, 6) + fibonacci_range_bits(named)
    return f"{text_of(bits, 6)}.{text}"


@pytest.mark.parametrize("name", WITH_HEADER)
def test_a_string_in_the_form_of_the_specification_is_read_as_in_that_of_the_library(name):
    section = BY_NAME[name]
    for more, named in (({}, ()), ({"Gpc": True}, (1,)), ({"SensitiveDataProcessing": [1, 2, 0, 1, 2, 0, 1, 2]}, (1,))):
        if not more.keys() <= {layout.name for layout in section.subsections}:
            continue
        text = string(name, SaleOptOut=OUT, TargetedAdvertisingOptOut=DID_NOT, **more)
        specified = as_specified(section, text, named)
        assert specified[0] == ALPHABET[section.id]
        assert read_us_section(section, specified) == read_us_section(section, text)
        assert read_us_section(section, specified).ok


@pytest.mark.parametrize("name", WITH_HEADER)
@pytest.mark.parametrize(
    ("named", "version", "error"), [((), 1, "subsection"), ((1, 2), 1, "subsection"), ((1,), 2, "version")]
)
def test_a_header_that_tells_of_other_subsections_makes_a_string_not_valid_and_an_opt_out_still_counts(
    name, named, version, error
):
    section = BY_NAME[name]
    behind = {"Gpc": False} if name == "usmd" else {"SensitiveDataProcessing": [0] * 8}
    text = string(name, SaleOptOut=OUT, TargetedAdvertisingOptOut=DID_NOT, **behind)
    reading = read_us_section(section, as_specified(section, text, named, version))
    assert (reading.error, reading.choices) == (error, stated(opted_out={SALE}))


@pytest.mark.parametrize("behind", ["AAAA", "AAAB", "B"])
def test_a_header_subsection_has_one_of_the_three_paddings_and_zeros_in_it(behind):
    front, _, text = as_specified(BY_NAME["usmd"], string("usmd", SaleOptOut=OUT, Gpc=False)).partition(".")
    reading = read_us_section(BY_NAME["usmd"], f"{front}{behind}.{text}")
    assert (reading.error, reading.choices) == ("padding", stated(opted_out={SALE}))


@pytest.mark.parametrize("header", ["Y", "YB", "YBAB", "YBAByA", "YBABwAA", "YBAA", "YB*A", "YB____"])
def test_a_broken_header_subsection_never_allows(header):
    text = string("usmd", SaleOptOut=DID_NOT, TargetedAdvertisingOptOut=DID_NOT, Gpc=False)
    reading = read_us_section(BY_NAME["usmd"], f"{header}.{text}")
    assert (reading.ok, set(reading.choices.values())) == (False, {Stated.UNKNOWN})
    opted_out = string("usmd", SaleOptOut=OUT, Gpc=False)
    assert read_us_section(BY_NAME["usmd"], f"{header}.{opted_out}").opted_out == {SALE}


FIRST_DRAFT, OF_THE_LIBRARY = "a Version in front", "the sensitive items in the core"


def in_a_draft(name, coding, padding=8, **more):
    """A core as it was coded before: by the fields of the specification's table of October 2025, or of the library's
    pull requests of June 2026, in their order.
    """
    fields = [
        ("MspaVersion", 6),
        ("MspaCoveredTransaction", 2),
        ("MspaMode", 2),
        ("ProcessingNotice", 2),
        ("SaleOptOutNotice", 2),
        ("TargetedAdvertisingOptOutNotice", 2),
        ("SaleOptOut", 2),
        ("TargetedAdvertisingOptOut", 2),
        *([] if name == "usmd" else [("KnownChildSensitiveDataConsents", 2)]),
        ("AdditionalDataProcessingConsent", 2),
    ]
    told = {"Version": 1, "MspaVersion": 1, "MspaCoveredTransaction": 2, **dict.fromkeys(NOTICES_2025, 1), **more}
    in_front, behind = ([("Version", 6)], "") if coding == FIRST_DRAFT else ([], "10" * 8)
    return text_of("".join(number_bits(told.get(n, 0), width) for n, width in (*in_front, *fields)) + behind, padding)


NOTICES_2025 = ("ProcessingNotice", "SaleOptOutNotice", "TargetedAdvertisingOptOutNotice")
DRAFTS = [(name, FIRST_DRAFT) for name in WITH_HEADER] + [
    (name, OF_THE_LIBRARY) for name in WITH_HEADER if name != "usmd"
]


@pytest.mark.parametrize(("name", "coding"), DRAFTS)
@pytest.mark.parametrize("padding", [6, 8, 24])
@pytest.mark.parametrize("headed", [False, True])
def test_a_no_in_a_coding_that_was_given_up_is_heard_and_a_yes_in_it_is_none(name, coding, padding, headed):
    section = BY_NAME[name]
    for told, refused in (
        ({"SaleOptOut": OUT, "TargetedAdvertisingOptOut": DID_NOT}, {SALE}),
        ({"SaleOptOut": DID_NOT, "TargetedAdvertisingOptOut": OUT}, {SHARING, ADS}),
        ({"SaleOptOut": OUT, "TargetedAdvertisingOptOut": OUT}, set(SIGNAL_PURPOSES)),
        ({"SaleOptOut": DID_NOT, "TargetedAdvertisingOptOut": DID_NOT}, set()),
        (dict.fromkeys(NOTICES_2025, 2) | {"SaleOptOut": OUT}, {SALE}),
    ):
        core = in_a_draft(name, coding, padding, **told)
        reading = read_us_section(section, as_specified(section, core, ()) if headed else core)
        assert (reading.error, reading.opted_out) == ("version", refused), told
        assert Stated.ALLOWED not in reading.choices.values()


@pytest.mark.parametrize(("name", "coding"), DRAFTS)
def test_a_control_behind_a_core_that_was_given_up_is_heard(name, coding):
    core = in_a_draft(name, coding, SaleOptOut=DID_NOT)
    for behind in ("Y", "YA"):
        assert read_us_section(BY_NAME[name], f"{core}.{behind}").opted_out == frozenset(SIGNAL_PURPOSES)


@pytest.mark.parametrize("name", ["usin", "usky", "usri"])
def test_the_sensitive_items_of_the_librarys_draft_are_kept(name):
    assert (
        read_us_section(BY_NAME[name], in_a_draft(name, OF_THE_LIBRARY)).sections[name]["SensitiveDataProcessing"]
        == [2] * 8
    )


@pytest.mark.parametrize("name", WITH_HEADER)
@pytest.mark.parametrize("longer", ["A", "AA", "AAA", "AAAA"])
def test_a_no_in_todays_coding_is_heard_in_the_length_of_a_draft_too(name, longer):
    for field, refused in (("SaleOptOut", {SALE}), ("TargetedAdvertisingOptOut", {SHARING, ADS})):
        reading = read_us_section(
            BY_NAME[name], string(name, **dict.fromkeys(NOTICES_2025, 1), **{field: OUT}) + longer
        )
        assert not reading.ok
        assert reading.opted_out >= refused


def test_the_library_of_today_reads_something_else_in_the_first_draft():
    """Control: read by today's layout, this no to a sale is none, and a notice stands where the no would be."""
    section = replace(BY_NAME["usri"], drafts=())
    told = dict.fromkeys(NOTICES_2025, 2) | {"SaleOptOut": OUT}
    assert read_us_section(section, in_a_draft("usri", FIRST_DRAFT, **told)).opted_out == frozenset()


def test_a_header_subsection_alone_says_nothing():
    for header in ("YBAA", "YBABwA", "Y"):
        reading = read_us_section(BY_NAME["usmd"], header)
        assert (reading.ok, reading.choices) == (False, UNKNOWN)


@pytest.mark.parametrize("name", ["usin", "usky", "usri"])
def test_a_sensitive_subsection_behind_a_number_of_its_own_is_read(name):
    """iabgpp-rs writes 2 bits in front of it; its 18 bits fill three characters, with no zero left behind."""
    items = [1, 2, 0, 1, 2, 0, 1, 2]
    bits = "01" + "".join(number_bits(item, 2) for item in items)
    reading = read_us_section(BY_NAME[name], f"{string(name)}.{text_of(bits, 6)}")
    assert (reading.error, reading.sections[name]["SensitiveDataProcessing"]) == ("", items)


@pytest.mark.parametrize("behind", ["AAB", "AAC", "qqp"])
def test_a_sensitive_subsection_with_ones_behind_it_is_not_valid(behind):
    """Its number is 1 (iabgpp-rs 583f10c, `optional_segment_type = 1`); nothing else may stand in front."""
    assert not read_us_section(BY_NAME["usin"], f"{string('usin', SaleOptOut=DID_NOT)}.{behind}").ok


# --- what is not valid ---------------------------------------------------------------------------------------------


def with_bits(text, at, piece):
    bits = bits_of(text)
    return text_of(bits[:at] + piece + bits[at + len(piece) :], 6)


NEITHER = string("usva", TargetedAdvertisingOptOut=OUT, SaleOptOut=DID_NOT)
BROKEN = {
    "version 0": (with_bits(NEITHER, 0, "000000"), "version"),
    "version 2": (with_bits(NEITHER, 0, "000010"), "version"),
    "a reserved notice": (with_bits(NEITHER, 6, "11"), "reserved"),
    "a reserved sale": (with_bits(NEITHER, 12, "11"), "reserved"),
    "a reserved item of a list": (with_bits(NEITHER, 18, "11"), "reserved"),
    "nothing said of the agreement": (with_bits(NEITHER, 34, "00"), "reserved"),
    "a one behind the last field": (with_bits(NEITHER, 41, "1"), "padding"),
    "a one far behind": (NEITHER + "AAAB", "padding"),
    "zeros of no padding": (NEITHER + "AA", "length"),
    "cut in the lists": (NEITHER[:4], "truncated"),
    "cut by one character": (NEITHER[:6], "truncated"),
    "an empty part behind": (NEITHER + ".", "subsection"),
    "a part that it does not have": (NEITHER + ".QA", "subsection"),
}


@pytest.mark.parametrize(("text", "error"), BROKEN.values(), ids=BROKEN)
def test_an_opt_out_in_a_broken_section_is_heard_and_nothing_is_allowed(text, error):
    assert read_us_section(BY_NAME["usva"], NEITHER).choices[SALE] is Stated.ALLOWED
    reading = read_us_section(BY_NAME["usva"], text)
    assert (reading.error, reading.choices) == (error, stated(opted_out={SHARING, ADS}))


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("junk", ["=", "==", "+", "/", " ", "%3D", "*AAAA", "é", "\ud800"], ids=ascii)
def test_an_opt_out_in_front_of_letters_that_no_section_has_is_heard_and_nothing_is_allowed(name, junk):
    said_no = string(name, SaleOptOut=OUT, **({} if name == "usca" else {"TargetedAdvertisingOptOut": DID_NOT}))
    reading = read_us_section(BY_NAME[name], said_no + junk)
    assert (reading.error, reading.choices) == ("alphabet", stated(opted_out={SALE}))


@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in {"usin", "usky", "usri"}])
@pytest.mark.parametrize("junk", ["=", "+", "%3D"])
def test_a_control_in_front_of_letters_that_no_section_has_is_heard(name, junk):
    core = string(name, SaleOptOut=DID_NOT)
    for text in (f"{core}.YA{junk}", f"{core}{junk}.YA{junk}"):
        assert read_us_section(BY_NAME[name], text).choices == stated(SIGNAL_PURPOSES)


@pytest.mark.parametrize(
    ("text", "error"), [("", "empty"), (".", "empty"), ("*", "alphabet"), ("A" * 20_000, "size"), ("B", "truncated")]
)
def test_what_is_no_section_says_nothing(text, error):
    reading = read_us_section(BY_NAME["usva"], text)
    assert (reading.error, reading.choices) == (error, UNKNOWN)


# --- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "more", "match"),
    [
        ("usva", {"SaleOptOut": 3}, "usva.SaleOptOut: 3 is reserved"),
        ("usva", {"SaleOptOut": 4}, "usva.SaleOptOut: 4 does not fit"),
        ("usva", {"SaleOptOut": -1}, "usva.SaleOptOut"),
        ("usva", {"SaleOptOut": None}, "usva.SaleOptOut: wants one number"),
        ("usva", {"SaleOptOut": "1"}, "usva.SaleOptOut: wants one number"),
        ("usva", {"SaleOptOut": [1, 1]}, "usva.SaleOptOut: wants one number"),
        ("usva", {"SensitiveDataProcessing": [0] * 7}, "wants 8 numbers"),
        ("usva", {"SensitiveDataProcessing": [0] * 7 + [3]}, "3 is reserved"),
        ("usva", {"Version": 2}, "usva has no version 2"),
        ("usva", {"Version": "1"}, "usva has no version '1'"),
        ("usnat", {"Version": 3}, "usnat has no version 3"),
        ("usmd", {"MspaVersion": 2}, "usmd has no version 2"),
    ],
)
def test_what_no_field_can_hold_is_not_written(name, more, match):
    with pytest.raises(ValueError, match=match):
        string(name, **more)


@pytest.mark.parametrize("name", BY_NAME)
def test_no_field_is_filled_in_for_a_person(name):
    """A blank string of the reference claims that the agreement covers the transaction."""
    for field in said(name).keys() - {"Version", "MspaVersion"}:
        with pytest.raises(ValueError, match=field):
            write_us_section(BY_NAME[name], {key: value for key, value in said(name).items() if key != field})


def test_a_subsection_is_left_out_where_it_is_absent_or_has_no_field():
    fields = said("usca") | {"GpcSegmentType": 1, "Gpc": False}
    assert write_us_section(BY_NAME["usca"], fields).endswith(".QA")
    assert "." not in write_us_section(BY_NAME["usca"], fields, ("usca.Gpc",))
    assert "." not in write_us_section(BY_NAME["usca"], said("usca"))


@pytest.mark.parametrize("name", BY_NAME)
def test_the_precise_location_of_a_layout_is_an_item_that_it_has(name, vectors):
    """By the specification's own words for the items."""
    parts = json.loads((vectors / "layouts.json").read_text())["sections"][name]["subsections"]
    items = next(
        (field["items"] for part in parts.values() for field in part if field["field"] == "SensitiveDataProcessing"), []
    )
    named = [index for index, item in enumerate(items) if "eolocation" in item]
    assert named == ([] if BY_NAME[name].precise is None else [BY_NAME[name].precise])
