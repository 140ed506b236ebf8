"""A phone or a tablet is one device however its id is written."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.people import GAID, IDFV

from gateway.choice.identity import AD_IDS, UUIDS, read_identifier
from gateway.terms import Malformed

QUICKLY = examples(80)
IMEI = "490154203237518"  # the example of the IMEI's check digit that everybody prints
UDID = "00008020-008d4548007b4f26"


@pytest.mark.parametrize("spelling", [GAID, GAID.upper(), GAID.replace("-", ""), f" {GAID}\n", f"{{{GAID.upper()}}}"])
def test_a_person_is_found_by_any_spelling_of_the_ad_id(spelling):
    for kind in UUIDS:
        assert read_identifier(kind, spelling) == read_identifier(kind, GAID)
        assert read_identifier(kind, spelling).names[0] == (kind, GAID)


@pytest.mark.parametrize("kind", AD_IDS)
def test_an_ad_id_hashed_in_lower_or_upper_case_is_found_by_the_raw_one(kind):
    for spelling in (GAID, GAID.upper()):
        hashed = hashlib.sha256(spelling.encode()).hexdigest()
        assert read_identifier("ad_id_sha256", hashed).names[0] in read_identifier(kind, GAID).names
    assert read_identifier(kind, GAID).looser == ()


def test_an_ad_id_without_letters_has_two_digests_of_an_algorithm():
    assert len(read_identifier("gaid", "12345678-9012-3456-7890-987654321098").names) == 1 + 2 * 3


def test_a_person_is_found_by_any_digest_of_the_ad_id_that_a_partner_may_send():
    names = read_identifier("gaid", GAID).names
    for form in (GAID, GAID.upper(), GAID.replace("-", ""), GAID.replace("-", "").upper()):
        for algorithm in ("sha256", "sha1", "md5"):
            digest = hashlib.new(algorithm, form.encode(), usedforsecurity=False).hexdigest()
            assert read_identifier(f"ad_id_{algorithm}", digest).names[0] in names


@pytest.mark.parametrize(
    "spelling", [f"GAID: {GAID}", f"urn:uuid:{GAID}", f'"{GAID}"', f"{{{GAID}}}", GAID.replace("-", "\u2010"),
                 f"advertising id={GAID.upper()}", "".join(chr(ord(each) + 0xFEE0) for each in GAID), f"\ufeff{GAID}"],
)  # fmt: skip
def test_an_ad_id_with_what_stands_around_it_is_that_ad_id(spelling):
    assert read_identifier("gaid", spelling) == read_identifier("gaid", GAID)


@pytest.mark.parametrize("label", ["IMEI:", "IMEI: ", "IMEI ", "imei=", "IMEI1: ", "urn:gsma:imei:", "IMEI/SV: "])
def test_an_imei_with_its_label_is_that_imei_and_what_the_label_had_said_still_denies(label):
    found, bare = read_identifier("imei", f"{label}352099001761481"), read_identifier("imei", "352099001761481")
    assert (found.value, found.names[: found.exact]) == (bare.value, bare.names)
    assert read_identifier("imei", "352099001761481").names[0] in found.names


@pytest.mark.parametrize("label", ["S/N: ", "SN:", "Serial number: ", "serial no. = ", "Serial#"])
def test_a_serial_number_with_its_label_is_that_number(label):
    found = read_identifier("serial", f"{label}C02XL0GTJGH5")
    assert found.value == "C02XL0GTJGH5"


def test_a_serial_number_that_was_kept_with_its_label_still_denies():
    assert ("serial", "SN:C02XL0GTJGH5") in read_identifier("serial", "SN:C02XL0GTJGH5").looser


def test_an_idfv_or_app_set_id_is_no_ad_id_and_has_no_ad_id_digest():
    for kind in ("idfv", "appset"):
        assert read_identifier(kind, IDFV).names == ((kind, IDFV),)


@pytest.mark.parametrize("value", ["x", GAID[:-1], GAID + "0", GAID.replace("3", "g"), f"{GAID} {GAID}"])
def test_what_is_no_uuid_is_malformed(value):
    assert read_identifier("gaid", value) == Malformed("gaid", "value")


@pytest.mark.parametrize("spelling", [IMEI, IMEI[:14], f"{IMEI[:14]}0", f"{IMEI[:14]}07", "49-015420-323751-8",
                                      "49 015420 323751 8"])  # fmt: skip
def test_a_phone_is_one_phone_by_its_imei_with_or_without_check_digit_or_software_version(spelling):
    assert read_identifier("imei", spelling).names == read_identifier("imei", int(IMEI)).names == (("imei", IMEI),)


def test_another_serial_number_of_the_same_model_is_another_phone():
    assert read_identifier("imei", "490154203237519") == read_identifier("imei", IMEI)
    assert read_identifier("imei", "490154203237526") != read_identifier("imei", IMEI)


@pytest.mark.slow
@QUICKLY
@given(st.integers(10**13, 10**14 - 1))
def test_a_computed_check_digit_is_luhns(number):
    found = read_identifier("imei", str(number))
    if hasattr(found, "value"):
        doubled = "".join(str(int(d) * (2 if i % 2 else 1)) for i, d in enumerate(found.value))
        assert sum(map(int, doubled)) % 10 == 0


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("imei", f"352099001761481{between}490154203237518") for between in ",;/|-. "),
        ("imei", "IMEI: 352099001761481/IMEI2: 490154203237518"),
        *((kind, f"AB12CD{between}EF34GH") for kind in ("serial", "udid", "imei") for between in ",;|"),
    ],
)
def test_two_devices_in_one_value_are_no_third_one(kind, value):
    assert read_identifier(kind, value) == Malformed(kind, "value")


def test_a_phone_without_an_imei_is_known_by_its_meid():
    assert read_identifier("imei", "a0000009296af9").names == (("imei", "A0000009296AF9"),)


@pytest.mark.parametrize("spelling", [UDID, UDID.upper(), UDID.replace("-", "")])
def test_a_udid_is_one_with_or_without_its_hyphen(spelling):
    assert read_identifier("udid", spelling) == read_identifier("udid", UDID)
    assert read_identifier("udid", "AB12" * 10).value == "ab12" * 10


def test_a_serial_number_has_no_case():
    assert read_identifier("serial", "r58m123abc") == read_identifier("serial", "R58M123ABC")
    assert read_identifier("serial", "X=1") != read_identifier("serial", "X")


@pytest.mark.parametrize("value", ["two words", "sérial", "a\x1bb", "ab" * 65])
def test_a_device_number_is_one_word_of_plain_letters(value):
    for kind in ("imei", "serial", "udid"):
        assert read_identifier(kind, value) == Malformed(kind, "value")
