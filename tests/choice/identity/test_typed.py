"""Whatever a person writes into a field, the address or number in it is found, and what was passed over is said."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.people import email, phone

from gateway.choice.identity import NormalIdentifier, read_identifier, typed
from gateway.choice.identity.reading import MOST

ANA, BOB = phone(23), phone(24)
JANE, JOE = email(1), email(2)


def values(kind, text, country="US"):
    """In normal form, and whether nothing was passed over."""
    found, whole = typed(kind, text, country)
    return {read_identifier(each, value, country=country).value for each, value in found}, whole


@pytest.mark.parametrize(
    ("kind", "text", "people"),
    [
        ("phone", "+1 415 555 0123 (mobile)", {ANA}),
        ("phone", "Phone: 415-555-0123", {ANA}),
        ("phone", "home 4155550123", {ANA}),
        ("phone", "“415 555 0123”", {ANA}),
        ("phone", "415-555-0123/415-555-0124", {ANA, BOB}),
        ("phone", "(415) 555 0123, (415) 555 0124", {ANA, BOB}),
        ("phone", "4155550123 4155550124", {ANA, BOB}),
        *(
            ("phone", f"4155550123{between}4155550124", {ANA, BOB})
            for between in (";", "; ", " ; ", ",", ",,", " ext ", "x", "#", ";ext=", "/", " or ", " & ")
        ),
        ("phone", "+14155550123;+14155550124", {ANA, BOB}),
        ("phone", "415-555-0123;ext=7", {ANA}),
        ("phone", "tel:4155550123;phone-context=+1", {ANA}),
        ("phone", "415 555 0123 call after 5pm", {ANA}),
        ("phone", JANE, {JANE}),
        ("email", f"Jane Doe <{JANE}>", {JANE}),
        ("email", f'"Jane Doe" <{JANE}>', {JANE}),
        ("email", f"mailto:{JANE}", {JANE}),
        ("email", f"{JANE};", {JANE}),
        ("email", f"{JANE}, {JOE}", {JANE, JOE}),
        ("email", f"{JANE} {JOE}", {JANE, JOE}),
        ("email", f"“{JANE}”", {JANE}),
        ("email", "'o'brien@example.com'", {"o'brien@example.com"}),
        ("email", "me: o'brien@example.com.", {"o'brien@example.com"}),
        ("email", JANE.replace("@", "＠"), {JANE}),
        ("email", ANA, {ANA}),
        ("email", "4155550123@example.com, x", {"4155550123@example.com"}),
    ],
)
def test_a_person_is_found_in_what_they_wrote(kind, text, people):
    assert values(kind, text) == (people, True)


@pytest.mark.parametrize("text", [f"Jane {JANE}", f"{JANE} or 415 555 0123"])
def test_an_address_behind_a_blank_is_found_though_the_text_without_blanks_reads_as_another_one(text):
    assert isinstance(read_identifier("email", text), NormalIdentifier), (
        "the control: one reading alone would opt out nobody"
    )
    assert JANE in values("email", text)[0]


@pytest.mark.parametrize(
    "text", ["415-555-0123 and 555-0124", "415-555-0123;555-0124", "4155550123 ext 5550124", f"{JANE}x@, 415 555 0123"]
)
def test_a_person_is_told_where_a_part_could_not_be_read(text):
    found, whole = values("phone", text)
    assert ANA in found
    assert not whole


@pytest.mark.parametrize("text", ["call me", "☎", "12/24/2026", "555-0123", "+1" + "5" * 300, "a@b@c", "@", "me(at)"])
def test_nobody_is_found_where_nobody_stands(text):
    assert values("email", text) == values("phone", text) == (set(), False)


@pytest.mark.parametrize(
    "text", ["jane(at)example.com", "jane [at] example [dot] com", "jane at example dot com", "jane_at_example.com"]
)
def test_an_address_with_words_for_its_signs_is_read(text):
    assert values("email", text) == ({"jane@example.com"}, True)
    assert "@" in text or values("phone", "jane (at) example.com") == ({"jane@example.com"}, True)


def test_a_national_number_in_a_text_is_read_in_the_country_that_was_given():
    assert values("phone", "mobile: 020 7946 0123", "gb") == ({"+442079460123"}, True)


def test_a_list_without_end_costs_no_more_than_a_few():
    found, whole = typed("phone", " ".join(phone(number) for number in range(26)), "US")
    assert (len(found), whole) == (MOST, False)


@examples(300)
@given(st.sampled_from(["email", "phone"]), st.text(max_size=320) | st.text("@.+1 45()<>,;'”ax", max_size=80))
def test_whatever_is_written_nothing_raises_and_what_is_found_can_be_read(kind, text):
    found, whole = typed(kind, text, "US")
    assert all(isinstance(read_identifier(each, value), NormalIdentifier) for each, value in found)
    assert found or not whole


@pytest.mark.parametrize(
    "text",
    [
        '"' + " " * 318 + "x",
        "\u201c" * 320,
        "a@" * 160,
        "1 " * 160,
        "(" * 320,
        "a at " + "a." * 150 + " ",
        "_at" * 100,
        "( at" * 80,
    ],
    ids=lambda text: text[:4],
)
def test_no_text_of_a_forms_length_holds_the_service_up(text):
    before = time.thread_time()
    typed("email", text, "US")
    assert time.thread_time() - before < 0.02  # by cubes the blanks took 0.08 s
