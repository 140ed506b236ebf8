"""Identifiers: one person is found under every spelling, and a withheld id is nobody's key."""

import hashlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.people import GAID, IDFV, ZERO, email, phone

from gateway.choice.identity import AD_IDS, DIGESTS, KINDS, PLAIN, UUIDS, Identifier, Limited, Undeclared, read
from gateway.terms import Malformed

QUICKLY = settings(max_examples=150, deadline=1000)
CALLING_CODES = {"+1": "US", "+61": "AU", "+44": "GB"}  # the country in which a national number of the vectors is read
NINE_DIGITS = "+1234567890"  # UID2 takes it; it is one digit short of any number of its country
SHA1 = 40


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def cases(vectors):
    """The cases of one kind among the outside identifier vectors."""
    found = json.loads((vectors / "enforcement" / "identifier_vectors.json").read_text())["cases"]
    return lambda kind: [case for case in found if case["kind"] == kind]


def test_every_published_email_digest_of_our_normal_form_is_a_name_of_the_raw_address(cases):
    ours = [case for case in cases("email") if case["normalised"] == case["input"].strip().lower()]
    assert len(ours) >= 8
    for case in ours:
        names = read("email", case["input"]).names
        assert names[0] == ("email_sha256", case["sha256_hex"]), case["id"]
        for kind, digest in (("email_sha1", "sha1_hex"), ("email_md5", "md5_hex")):
            assert digest not in case or (kind, case[digest]) in names, case["id"]
        for spelling in (case["sha256_hex"], case["sha256_hex"].upper(), case["sha256_base64"]):
            assert read("email_sha256", spelling).names[0] == names[0], case["id"]


def test_every_published_phone_digest_with_or_without_plus_is_a_name_of_the_raw_number(cases):
    ours = [case for case in cases("phone") if case["input"] != NINE_DIGITS and case["input"][0] in "+1(0"]
    seen = set()
    for case in ours:
        code = next(
            (code for code in CALLING_CODES if (case["normalised"] or "").lstrip("+").startswith(code[1:])), None
        )
        if code is None or case["consumer"].startswith("LiveRamp"):  # LiveRamp drops the country: nobody's full number
            continue
        found = read("phone", case["input"], country=CALLING_CODES[code])
        assert ("phone_sha256", case["sha256_hex"]) in found.names, case["id"]
        if case["normalised"].startswith("+"):
            assert found.value == case["normalised"]
            assert found.names[0] == ("phone_sha256", case["sha256_hex"])
        seen.add(case["normalised"])
    assert len(seen) >= 6
    assert read("phone", NINE_DIGITS) == Malformed("phone", "value")


def test_every_published_ad_id_digest_in_either_case_is_a_name_of_the_raw_id(cases):
    ours = [case for case in cases("maid") if "{" not in case["input"]]
    assert len(ours) >= 6
    for case in ours:
        for kind in AD_IDS:
            found = read(kind, case["input"])
            assert ("ad_id_sha256", case["sha256_hex"]) in found.names, case["id"]
            assert found.names[0] == (kind, case["input"].lower()), case["id"]


def test_every_published_sentinel_is_limited_and_nobodys_key(cases):
    zeroes, hashes = cases("maid_sentinel"), cases("hash_sentinel")
    assert zeroes
    assert len(hashes) >= 4
    for case in zeroes:
        for kind in UUIDS:
            assert read(kind, case["input"]) == Limited(kind)
    for case in hashes:
        size = len(case["input"]) // 2
        kinds = [kind for kind in DIGESTS if DIGESTS[kind] == size]
        assert kinds, case["id"]
        for kind in kinds:
            assert read(kind, case["input"]) == Limited(kind), case["id"]
            assert read(kind, case["input"].upper()) == Limited(kind), case["id"]


@pytest.mark.parametrize("size", sorted(set(DIGESTS.values())))
def test_a_hash_of_nothing_or_of_a_zero_id_is_limited_in_every_algorithm(size):
    algorithm = {32: hashlib.sha256, 20: hashlib.sha1, 16: hashlib.md5}[size]
    kind = next(kind for kind in DIGESTS if DIGESTS[kind] == size)
    for nothing in ("", ZERO, ZERO.replace("-", ""), "null"):
        assert read(kind, algorithm(nothing.encode()).hexdigest()) == Limited(kind)
    for flat in ("0", "f"):
        assert read(kind, flat * 2 * size) == Limited(kind)
    assert isinstance(read(kind, algorithm(b"person1@example.com").hexdigest()), Identifier)


@pytest.mark.parametrize("kind", ["email", "phone", *UUIDS, *DIGESTS])
def test_an_empty_value_is_a_withheld_one(kind):
    assert read(kind, "") == read(kind, " \t ") == Limited(kind)


@pytest.mark.parametrize("spelling", [GAID, GAID.upper(), GAID.replace("-", ""), f" {GAID}\n"])
def test_a_person_is_found_by_any_spelling_of_the_ad_id(spelling):
    assert read("gaid", spelling).names == read("gaid", GAID).names


@pytest.mark.parametrize("spelling", ["ANA@example.com", " ana@EXAMPLE.com ", "\tana@example.com\n"])
def test_a_person_is_found_by_any_spelling_of_the_address(spelling):
    assert read("email", spelling) == read("email", "ana@example.com")


def test_a_composed_and_a_decomposed_letter_are_one_address():
    composed, decomposed = "jos\u00e9@example.com", "jose\u0301@example.com"
    assert composed != decomposed
    assert read("email", composed) == read("email", decomposed)


@pytest.mark.parametrize(
    "spelling",
    ["+14155550123", "(415) 555-0123", "415.555.0123", "1 415 555 0123", "tel:+1-415-555-0123", "４１５５５５０１２３"],
)
def test_a_person_is_found_by_any_spelling_of_the_number(spelling):
    assert read("phone", spelling).names == read("phone", phone(23)).names


def test_a_national_number_is_read_in_the_country_of_the_call():
    assert read("phone", "020 7946 0123", country="GB").value == "+442079460123"
    assert read("phone", "+44 20 7946 0123").value == "+442079460123"
    assert read("phone", "020 7946 0123", country="nowhere") == Malformed("phone", "value")


def test_two_people_have_no_name_in_common():
    one, other = read("email", email(1)), read("email", email(2))
    assert not set(one.names) & set(other.names)
    assert not set(read("gaid", GAID).names) & set(read("idfv", IDFV).names)


def test_an_idfv_is_no_ad_id_and_has_no_ad_id_digest():
    assert read("idfv", IDFV).names == (("idfv", IDFV),)
    assert ("ad_id_sha256", sha256(IDFV)) in read("idfa", IDFV).names


@pytest.mark.parametrize("kind", PLAIN)
def test_an_opaque_id_keeps_its_case_and_may_be_a_number(kind):
    assert read(kind, " Ab1 ").names == ((kind, "Ab1"),)
    assert read(kind, 42) == read(kind, "42")
    assert read(kind, "") == Malformed(kind, "empty")


@pytest.mark.parametrize("kind", ["cookie", "eid"])
def test_a_sourced_id_is_another_id_at_another_source(kind):
    one, other = (read(kind, "x1", source=source) for source in ("ads.example.com", "other.example.com"))
    assert one.names != other.names
    for missing in (None, "", 7, "h" * 256):
        assert read(kind, "x1", source=missing) == Malformed(kind, "source")


def test_a_partner_id_counts_once_its_kind_is_declared():
    assert read("id:ramp", "x1", declared=("ramp",)).names == (("id:ramp", "x1"),)
    assert read("id:ramp", "x1") == Undeclared("id:")
    assert read("id:ramp", "x1", declared=("rampart",)) == Undeclared("id:")


@pytest.mark.parametrize("kind", ["ssn", "", "Email", "gaid ", "id", "\x00", pytest.param("x" * 100_000, id="huge")])
def test_a_kind_that_nobody_declared_is_undeclared_and_is_not_echoed(kind):
    assert read(kind, "x1") == Undeclared("other")


HOSTILE = {
    "email": ["x", "@", "a@", "@b", "a@b@c", "a b@example.com", "a\n@example.com", "a" * 65 + "@example.com"],
    "phone": ["x", "0", "++1", "123", "+999 1234567", "'; DROP TABLE", "4" * 300, "+" * 1000],
    "gaid": ["x", GAID[:-1], GAID + "0", GAID.replace("3", "g"), "null", "٣" + GAID[1:]],
    "email_sha256": ["x", "0", "g" * 64, sha256("a")[:-1], sha256("a") + "0", "é" * 64, "=" * 44, "A" * 42],
    "email_sha1": [sha256("a"), "x" * 40],
    "email_md5": [sha256("a")[:SHA1], "x" * 32],
}


@pytest.mark.parametrize(
    ("kind", "value"), [(kind, value) for kind, values in HOSTILE.items() for value in values], ids=repr
)
def test_a_value_that_is_no_such_identifier_is_malformed(kind, value):
    assert read(kind, value) == Malformed(kind, "value")


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_that_is_too_long_or_holds_a_nul_is_malformed(kind):
    for value in ("a" * 1025, "\x00", "a\x00@example.com", "9" * 5_000_000):
        start = time.perf_counter()
        assert read(kind, value, source="s") == Malformed(kind, "value")
        assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(("kind", "value"), [(None, "x"), ("email", None), ("email", True), ("account", 1.5), ([], {})])
def test_a_wrong_type_is_malformed(kind, value):
    assert read(kind, value) == Malformed("identifier", "type")


def test_an_identifier_in_a_traceback_shows_no_value():
    assert repr(read("email", email(1))) == "Identifier(email)"


@QUICKLY
@given(st.sampled_from([*KINDS, "id:x", "id:", "zzz"]), st.one_of(st.text(), st.integers(), st.none(), st.floats()))
def test_any_value_of_any_kind_is_answered(kind, value):
    found = read(kind, value, source="s", declared=("x",))
    assert isinstance(found, Identifier | Limited | Undeclared | Malformed)
    if isinstance(found, Identifier):
        assert found.names
        assert read(kind, f" {value} ", source="s", declared=("x",)) == found


@QUICKLY
@given(st.binary(min_size=32, max_size=32).map(bytes.hex))
def test_a_digest_is_one_name_in_hex_of_any_case(digest):
    found = read("ad_id_sha256", digest)
    assert found == read("ad_id_sha256", digest.upper())
    assert found == Limited("ad_id_sha256") or found.names == (("ad_id_sha256", digest),)
