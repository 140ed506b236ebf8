"""A withheld id is nobody's key: it reads as limited, in every spelling and under every hash."""

import hashlib
import json

import pytest
from support.people import GAID, ZERO, email

from gateway.choice.identity import DIGESTS, SOURCED, UUIDS, Limited, NormalIdentifier, read_identifier
from gateway.choice.identity.kinds import ALGORITHMS, DEVICES

WORDS = ["null", "NULL", "(null)", "nil", "None", "NaN", "undefined", "unknown", "UNKNOWN", " Unknown ", "n/a"]
MAC = "02:00:00:00:00:00"


@pytest.mark.parametrize("kind", ["email", "phone", *UUIDS, *DEVICES, *DIGESTS])
def test_an_empty_value_is_a_withheld_one(kind):
    assert read_identifier(kind, "") == read_identifier(kind, " \t ") == Limited(kind)


@pytest.mark.parametrize("word", WORDS)
def test_a_programs_word_for_nothing_is_nobody(word):
    for kind in ("account", "email", "phone", *UUIDS, *DEVICES, *DIGESTS, *SOURCED):
        assert read_identifier(kind, word, source="s") == Limited(kind)


@pytest.mark.parametrize("zero", [ZERO, ZERO.replace("-", ""), f"{{{ZERO}}}", "0", "00000000", "0000-0000"])
def test_a_zero_id_is_limited_in_every_spelling(zero):
    for kind in UUIDS:
        assert read_identifier(kind, zero) == read_identifier(kind, 0) == Limited(kind)


@pytest.mark.parametrize("digit", "f1a")
def test_an_id_of_one_digit_over_and_over_is_limited(digit):
    for kind in UUIDS:
        for spelling in (ZERO.replace("0", digit), ZERO.replace("0", digit.upper()).replace("-", "")):
            assert read_identifier(kind, spelling) == Limited(kind)


def test_every_published_sentinel_is_limited_and_nobodys_key(vectors):
    cases = json.loads((vectors / "enforcement" / "identifier_vectors.json").read_text())["cases"]
    seen = 0
    for case in cases:
        size = len(case["input"]) // 2
        kinds = {"maid_sentinel": UUIDS, "hash_sentinel": [kind for kind in DIGESTS if DIGESTS[kind] == size]}
        for kind in kinds.get(case["kind"], ()):
            assert (
                read_identifier(kind, case["input"]) == read_identifier(kind, case["input"].upper()) == Limited(kind)
            ), case["id"]
            seen += 1
    assert seen == 5 + 3 + 3 + 3 + 3


@pytest.mark.parametrize("kind", DIGESTS)
def test_a_hash_of_nothing_is_limited_in_every_algorithm(kind):
    algorithm = kind.rpartition("_")[2]
    nothings = [
        "",
        ZERO,
        ZERO.replace("-", ""),
        "null",
        "NULL",
        "None",
        "unknown",
        "undefined",
        "(null)",
        MAC,
        MAC.replace(":", ""),
        "0",
        "000000000000000",
    ]
    for nothing in nothings:
        hashed = hashlib.new(algorithm, nothing.encode()).hexdigest()
        assert read_identifier(kind, hashed) == read_identifier(kind, hashed.upper()) == Limited(kind), nothing
    for digit in "0f1":
        assert read_identifier(kind, digit * 2 * DIGESTS[kind]) == Limited(kind)
    assert isinstance(read_identifier(kind, hashlib.new(algorithm, email(1).encode()).hexdigest()), NormalIdentifier)


PLACEHOLDERS = [
    "0123456789ABCDEF",
    "0123456789abcdef",
    "1234567890ABCDEF",
    "00000000",
    "1111111111",
    "********",
    "9774d56d682e549c",
    MAC,
    "02-00-00-00-00-00",
    "020000000000",
    "000000000000000",
    "12345678",
]


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_number_that_a_factory_left_in_is_limited(placeholder):
    for kind in DEVICES:
        assert read_identifier(kind, placeholder) == Limited(kind)


@pytest.mark.parametrize("value", ["012345678901234", "123456789012345", "01-234567-890123-4", "0000000000000018"])
def test_a_counted_or_zero_imei_is_limited_whatever_its_check_digit(value):
    assert read_identifier("imei", value) == Limited("imei")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_old_phones_hashed_hardware_address_is_limited_once_the_system_withholds_the_address(algorithm):
    """iOS 7 answered one address to all, and libraries went on hashing it into UDIDs."""
    for spelling in (MAC, MAC.replace(":", "")):
        assert read_identifier("udid", hashlib.new(algorithm, spelling.encode()).hexdigest()) == Limited("udid")


@pytest.mark.parametrize("value", ["0", "-1", "NOID", "OPT_OUT", "optout", "opt-out", ZERO, ZERO.replace("-", "")])
def test_an_opted_out_cookie_or_partner_id_is_limited(value):
    for kind in SOURCED:
        assert read_identifier(kind, value, source="ads.example.com") == Limited(kind)


def test_an_opted_out_partner_id_of_a_declared_kind_is_limited():
    assert read_identifier("id:ramp", "optout", declared=("ramp",)) == Limited("other")


def test_a_short_or_plain_id_of_somebody_is_no_sentinel():
    for kind, value in (
        ("account", "1"),
        ("account", "777"),
        ("account", "11111111"),
        ("serial", "11"),
        ("serial", "12345"),
        ("cookie", "1"),
        ("udid", "abcabcab"),
        ("gaid", GAID),
    ):
        assert isinstance(read_identifier(kind, value, source="s"), NormalIdentifier), (kind, value)
