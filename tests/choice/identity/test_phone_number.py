"""A number is one number however it is written, and half a number is nobody's."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.people import phone

from gateway.choice.identity import Limited, NormalIdentifier, read_identifier
from gateway.choice.identity.kinds import LAST_TEN, TEN_ABROAD
from gateway.terms import Malformed

QUICKLY = examples(80)
ANA = "+14155550123"


def digests(*forms):
    hashed = ("sha256", "sha1", "md5")
    return tuple(
        (f"phone_{name}", hashlib.new(name, form.encode(), usedforsecurity=False).hexdigest())
        for form in forms
        for name in hashed
    )


def last_ten(form):
    return (LAST_TEN, hashlib.sha256(form.encode()).hexdigest())


SPELLINGS = [
    "+14155550123",
    "(415) 555-0123",
    "415.555.0123",
    "1 415 555 0123",
    "tel:+1-415-555-0123",
    "001 415 555 0123",
    "４１５５５５０１２３",
    "٤١٥٥٥٥٠١٢٣",
    "＋1 415 555 0123",
    4155550123,
    "415-555-0123 ext. 7",
    "(415) 555-0123 x7",
    "4155550123;ext=7",
    "TEL:415-555-0123",
    "\u202a+1 (415) 555-0123\u202c",
    "011 1 415 555 0123",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_person_is_found_by_any_spelling_of_the_number(spelling):
    assert read_identifier("phone", spelling) == read_identifier("phone", phone(23))
    assert read_identifier("phone", spelling).value == ANA


def test_a_number_is_known_by_its_digests_with_and_without_plus_and_as_ten_digits():
    found = read_identifier("phone", ANA)
    assert found.names == (*digests(ANA, "14155550123"), last_ten("4155550123"), *digests("4155550123"))
    assert found.looser == digests("4155550123")


def test_a_number_of_another_country_has_no_national_digest():
    found = read_identifier("phone", "+442079460123")
    assert found.names[: found.exact] == digests("+442079460123", "442079460123")
    assert [kind for kind, _ in found.looser] == [TEN_ABROAD]


@pytest.mark.parametrize(
    ("written", "country", "value"),
    [("020 7946 0123", "GB", "+442079460123"), ("020 7946 0123", "gb", "+442079460123"),
     ("+44 (0)20 7946 0123", "US", "+442079460123"), ("0044 20 7946 0123", "US", "+442079460123"),
     ("0044 20 7946 0123", "DE", "+442079460123"), ("0011 44 20 7946 0123", "AU", "+442079460123"),
     ("0491 570 006", "AU", "+61491570006"), ("02 3661 8300", "IT", "+390236618300"),
     ("(415) 555-0123", "CA", ANA), ("+1 415 555 0123", "nowhere", ANA), ("+1 415 555 0123", "", ANA)],
)  # fmt: skip
def test_a_national_number_is_read_in_the_country_of_the_call_and_an_international_one_in_any(written, country, value):
    assert read_identifier("phone", written, country=country).value == value


@pytest.mark.parametrize("country", ["nowhere", "", "\x00", "US-CA"])
def test_a_national_number_of_no_country_is_malformed(country):
    assert read_identifier("phone", "020 7946 0123", country=country) == Malformed("phone", "value")


def test_the_letters_of_a_vanity_number_are_its_digits():
    assert read_identifier("phone", "(415) 555-ANNA") == read_identifier("phone", "(415) 555-2662")
    assert read_identifier("phone", "1-415-KITCHEN").value == "+14155482436"


HALF = ["5550123", "555-0123", "+1 5550123", "911", "123", "+1234567890", "41555501234", "+1415555012", "374-93-828222"]
JUNK = [
    "x",
    "++1",
    "+999 1234567",
    "'; DROP TABLE",
    "+" * 1000,
    "FLOWERS",
    "call 415 555 0123",
    "ana@example.com",
    "415 555 0123 is mine",
    "415 555 0123, 415 555 0124",
    "4155550123/4155550124",
    "4155550123;4155550124",
    "4155550123;555-0124",
    "4155550123;ext=4155550124",
    "4155550123 EXT 4155550124",
    "4155550123,,4155550124",
    "tel:4155550123;phone-context=+1;x=4155550124",
    "0x4155550123",
    "-",
    "()",
]
LOCAL = [("7946 0123", "GB"), ("01 23 45", "FR"), ("5550123", "CA")]
NOBODYS = ["1234567890", "(123) 456-7890", "0123456789", "415 055 0123", "415 155 0123"]


@pytest.mark.parametrize("value", [*HALF, *JUNK, *NOBODYS])
def test_half_a_number_two_numbers_or_a_text_is_malformed(value):
    assert read_identifier("phone", value) == Malformed("phone", "value")


@pytest.mark.parametrize(("value", "country"), LOCAL)
def test_a_number_without_its_area_code_would_be_many_peoples(value, country):
    assert read_identifier("phone", value, country=country) == Malformed("phone", "value")


@pytest.mark.parametrize("value", ["0", "0000000000", "1111111111", "+1 555 555 5555", "999-999-9999", "4" * 300])
def test_one_digit_over_and_over_is_what_people_type_who_give_no_number(value):
    assert read_identifier("phone", value) == Limited("phone")


def test_one_digit_over_and_over_that_a_carrier_could_give_out_is_somebodys():
    assert isinstance(read_identifier("phone", "22 22 22 22", country="DK"), NormalIdentifier)


@QUICKLY
@given(st.integers(0, 9999), st.integers(0, 9999))
def test_two_people_with_different_last_digits_have_no_name_in_common(one, other):
    first, second = (read_identifier("phone", f"+1415555{number:04d}") for number in (one, other))
    assert (first == second) == (one == other) == bool(set(first.names) & set(second.names))


CALLING_CODES = st.sampled_from(["1", "41", "44", "49", "61"])


@QUICKLY
@given(CALLING_CODES, CALLING_CODES, st.from_regex(r"[2-9]\d{5,9}", fullmatch=True))
def test_people_of_two_countries_share_only_the_ten_digits_of_a_north_american(one, other, digits):
    found = [read_identifier("phone", f"+{code}{digits}") for code in (one, other)]
    if one == other or not all(isinstance(read_, NormalIdentifier) for read_ in found):
        return
    shared = set(found[0].names) & set(found[1].names)
    assert shared <= {*found[0].looser, *found[1].looser}


def test_a_norwegian_and_a_north_american_number_may_share_one_looser_name_and_nothing_else():
    norwegian, american = read_identifier("phone", "+4722345678"), read_identifier("phone", "+14722345678")
    assert set(norwegian.names) & set(american.names) == set(american.looser)


def test_a_number_from_abroad_shares_no_name_with_an_american_one_of_the_same_ten_digits():
    """Whose own no would be the other's."""
    vietnamese, american = read_identifier("phone", "+84902234567"), read_identifier("phone", "+14902234567")
    assert set(vietnamese.names) & set(american.names) == set()


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_name_and_no_repr_holds_the_number(spelling):
    found = read_identifier("phone", spelling)
    assert repr(found) == "Identifier(phone)"
    assert {(kind, len(bytes.fromhex(value))) for kind, value in found.names} == {
        ("phone_sha256", 32),
        ("phone_sha1", 20),
        ("phone_md5", 16),
        (LAST_TEN, 32),
    }
