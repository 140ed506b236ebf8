"""TC strings of the reference libraries and of public test suites, field by field.

The references are cmpapi 3.2.0 for `gpp_*.json` and `generated_tcfeuv2.jsonl`, core 1.5.21 for `tcf_strings.json`. Each
disagreement stands here by its string, with our reason.
"""

import json

import pytest

from gateway.signals import tcf
from gateway.terms import SIGNAL_PURPOSES, Stated

OPTED_OUT = dict.fromkeys(SIGNAL_PURPOSES, Stated.OPTED_OUT)
ALLOWED = dict.fromkeys(SIGNAL_PURPOSES, Stated.ALLOWED)

# cmpapi fills what is not there with defaults and today's date; to us a string without a core is no string.
ONLY_DISCLOSED = (
    "IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAAAAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgB"
    "C3ZAYzUw"
)
ONLY_PUBLISHER = "ZAAgH9794ulA"
NO_CORE = {
    "": "truncated",
    ONLY_DISCLOSED: "version",
    ONLY_PUBLISHER: "version",
    f"{ONLY_DISCLOSED}.{ONLY_PUBLISHER}": "version",
    f"{ONLY_PUBLISHER}.{ONLY_DISCLOSED}": "version",
}
# core 1.5.21 reads these two.
NOT_VALID_TO_US = {
    "CO4VGswO4VGswAfZCBDEAzCsAP_AAH_AAAigGUNf": "range",  # restrictions name vendors 7 and 730 twice: ids must rise
    "CP0xeHPP0xeHPBcABBENAgCAAPAAAAAAAGcgAAAA": "letters",  # a country in lower case, which 6 bits from A cannot say
}
# core 1.5.21 refuses these for their CMP id of 0 or 1, which is a number like any other in the layout.
REFUSED_FOR_THE_CMP_ID = ("invalid value 0 passed for cmpId ", "invalid value 1 passed for cmpId ")
# Our name for each field of core 1.5.21; a bitfield is compared as the numbers of its set bits.
NUMBERS = {
    "version": "Version",
    "created": "Created",
    "lastUpdated": "LastUpdated",
    "cmpId": "CmpId",
    "cmpVersion": "CmpVersion",
    "consentScreen": "ConsentScreen",
    "consentLanguage": "ConsentLanguage",
    "vendorListVersion": "VendorListVersion",
    "policyVersion": "PolicyVersion",
    "isServiceSpecific": "IsServiceSpecific",
    "useNonStandardTexts": "UseNonStandardStacks",
    "purposeOneTreatment": "PurposeOneTreatment",
    "publisherCountryCode": "PublisherCountryCode",
}
BITS = {
    "specialFeatureOptins": "SpecialFeatureOptins",
    "purposeConsents": "PurposeConsents",
    "purposeLegitimateInterests": "PurposeLegitimateInterests",
    "publisherConsents": "PublisherConsents",
}
SPANS = {
    "vendorConsents_ranges": "VendorConsents",
    "vendorLegitimateInterests_ranges": "VendorLegitimateInterests",
    "vendorsDisclosed_ranges": "VendorsDisclosed",
}


@pytest.fixture
def rows(vectors):
    """The vectors of one file of the GPP suites."""
    return lambda name: json.loads((vectors / "gpp" / f"gpp_{name}.json").read_text())["vectors"]


@pytest.fixture
def generated(vectors):
    """The differential set: encoded by cmpapi, decoded again by core."""
    return [json.loads(line) for line in (vectors / "gpp" / "generated_tcfeuv2.jsonl").read_text().splitlines()]


@pytest.fixture
def collected(vectors):
    """Strings found in public test suites."""
    return json.loads((vectors / "tcf_strings.json").read_text())["vectors"]


def numbers(flags):
    return [number for number, flag in enumerate(flags, 1) if flag]


def ids(spans):
    return [vendor for first, last in spans for vendor in range(first, last + 1)]


def as_core_shows(fields):
    """Our fields in the shape of core 1.5.21, vendor lists as ids."""
    return {
        **{theirs: fields[ours] for theirs, ours in NUMBERS.items()},
        **{theirs: numbers(fields[ours]) for theirs, ours in BITS.items()},
        **{theirs: fields[ours] for theirs, ours in SPANS.items()},
    }


def disagreements(rows, read, name):
    """The strings that we and cmpapi read differently, with our error."""
    found = {}
    for row in rows:
        reading, reference = read(row["encoded"]), row["reference_decoded"]
        agrees = not reading.ok if "error" in reference else reading.sections.get(name) == reference
        if not agrees:
            found[row["encoded"]] = reading.error
    return found


def test_every_string_of_the_differential_set_is_read_as_the_reference_wrote_it(generated, figure):
    assert len(generated) == 300
    for row in generated:
        reading = tcf.read_eu(row["tc"])
        assert reading.ok, row["tc"]
        fields = reading.sections["tcfeuv2"]
        assert {name: fields[name] for name in row["fields"]} == row["fields"]
        assert reading.absent == ("tcfeuv2.VendorsAllowed",)
    figure("tcfeuv2, differential", f"{len(generated)} of {len(generated)} strings read as cmpapi wrote them")


def test_every_string_of_the_differential_set_is_written_again_letter_for_letter(generated):
    for row in generated:
        assert tcf.write_eu(tcf.read_eu(row["tc"]).sections["tcfeuv2"]) == row["tc"]


def test_a_person_of_the_differential_set_is_allowed_exactly_with_all_that_is_needed(generated):
    """Counted from the fields that the reference was given, not from those that we read."""
    allowed = 0
    for row in generated:
        given = row["fields"]
        consents = all(given["PurposeConsents"][purpose - 1] for purpose in (1, 3, 4))
        vendors = set(given["VendorConsents"])
        if given["Created"] >= "2026-03-01":
            vendors &= set(given["VendorsDisclosed"])
        expected = consents and vendors and given["PolicyVersion"] >= 4 and given["IsServiceSpecific"]
        assert tcf.read_eu(row["tc"]).choices == (ALLOWED if expected else OPTED_OUT), row["tc"]
        allowed += bool(expected)
    assert 0 < allowed < len(generated)


def test_every_tcfeuv2_string_of_the_suites_is_read_as_the_reference_reads_it(rows, figure):
    found = disagreements(rows("tcfeuv2"), tcf.read_eu, "tcfeuv2")
    assert found == NO_CORE
    figure("tcfeuv2, suites", f"{len(rows('tcfeuv2')) - len(found)} of {len(rows('tcfeuv2'))} strings as cmpapi")


def test_the_fields_of_section_2_stand_in_the_order_of_the_reference(rows):
    for row in rows("tcfeuv2"):
        if reading := tcf.read_eu(row["encoded"]).sections:
            assert list(reading["tcfeuv2"]) == list(row["reference_decoded"])


def test_every_tcfcav1_string_of_the_suites_is_read_as_the_reference_reads_it(rows, figure):
    found = disagreements(rows("tcfcav1"), tcf.read_ca, "tcfcav1")
    assert found == {"": "truncated"}  # cmpapi fills in defaults and today's date
    figure("tcfcav1, suites", f"{len(rows('tcfcav1')) - len(found)} of {len(rows('tcfcav1'))} strings as cmpapi")


def test_a_canadian_string_is_written_as_the_reference_writes_it(rows):
    """The earlier coding becomes that of the specification, as in cmpapi 3.2.0; the later one stays."""
    texts = {row["encoded"] for row in rows("tcfcav1") if row["kind"] == "encode"}
    written = {text: tcf.write_ca(tcf.read_ca(text).sections["tcfcav1"]) for text in texts}
    same = [text for text in texts if written[text] == text]
    assert len(same) >= 4
    for text in texts:
        assert tcf.read_ca(written[text]).sections == tcf.read_ca(text).sections
        assert len(written[text]) <= len(text)
    both = {json.dumps(tcf.read_ca(text).sections) for text in texts}
    assert len(both) < len(texts)  # control: the set holds one content in both codings


def test_the_string_that_aborts_the_reference_is_read_at_once(vectors):
    """The earlier coding, whose ranges explode when taken for Fibonacci codes."""
    rows = json.loads((vectors / "gpp" / "gpp_full.json").read_text())["vectors"]
    (row,) = [row for row in rows if row["encoded"].startswith("DBABDA~BQMC4o")]
    reading = tcf.read_ca(row["encoded"].partition("~")[2])
    expected = row["expected"][0]["TcfCaV1"]["core"]
    fields = reading.sections["tcfcav1"]
    assert reading.ok
    assert fields["VendorExpressConsent"] == expected["vendor_express_consents"]
    assert fields["VendorImpliedConsent"] == expected["vendor_implied_consents"]
    assert numbers(fields["PurposesExpressConsent"]) == expected["purpose_express_consents"]
    assert reading.choices == ALLOWED


def test_no_broken_v1_string_of_the_suite_is_read(rows):
    found = {row["encoded"]: tcf.read_v1(row["encoded"]) for row in rows("tcfeuv1")}
    assert [reading.error for reading in found.values()] == ["truncated", "truncated", "version"]
    assert all(not reading.sections for reading in found.values())


def test_the_example_of_the_v1_specification_is_read_and_never_allows(vectors):
    """Consent to purposes 1 to 3 and to every vendor but 9, in a string that no longer counts."""
    rows = json.loads((vectors / "gpp" / "gpp_full.json").read_text())["vectors"]
    (row,) = [row for row in rows if "~BOEFEAy" in row["encoded"]]
    reading = tcf.read_v1(row["encoded"].partition("~")[2])
    expected = row["expected"][0]["TcfEuV1"]
    fields = reading.sections["tcfeuv1"]
    assert reading.ok
    assert fields["VendorConsents"] == expected["vendor_consents"] == [*range(1, 9), *range(10, 2012)]
    assert numbers(fields["PurposesAllowed"]) == expected["purposes_allowed"]
    assert (fields["CmpId"], fields["ConsentScreen"], fields["ConsentLanguage"]) == (7, 3, "EN")
    assert reading.choices == OPTED_OUT


def test_strings_of_public_suites_are_read_as_core_reads_them(collected, figure):
    decoded = [row for row in collected if "decoded" in row]
    assert len(decoded) == 83
    refused = {}
    for row in decoded:
        reading, reference = tcf.read_eu(row["tc"]), dict(row["decoded"])
        if not reading.ok:
            refused[row["tc"][:40]] = reading.error
            continue
        assert ("tcfeuv2.VendorsDisclosed" not in reading.absent) == reference.pop("has_dv_segment")
        spans = {name: ids(reference[name]) for name in SPANS}
        assert as_core_shows(reading.sections["tcfeuv2"]) == reference | spans, row["tc"]
    assert refused == NOT_VALID_TO_US
    figure("TC strings, suites", f"{len(decoded) - len(refused)} of {len(decoded)} strings as core reads them")


def test_what_core_cannot_decode_never_allows(collected):
    """Hashes out of lock files, strings cut off, names in capitals; and strings of a CMP without a number."""
    broken = [row for row in collected if "error" in row]
    assert len(broken) == 51
    for row in broken:
        reading = tcf.read_eu(row["tc"])
        assert Stated.ALLOWED not in reading.choices.values()
        if row["error"] not in REFUSED_FOR_THE_CMP_ID:
            assert not reading.ok, row["tc"]
