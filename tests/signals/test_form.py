"""The body of the choices form: a person is never refused for what the form lacks."""

from dataclasses import replace
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.times import within

from gateway.signals.form import MAX_BYTES, MAX_FIELDS, TEXT, ChoicesForm, read_form
from gateway.terms import Malformed


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = examples(150)
FIELDS = tuple(name for name in ChoicesForm.__dataclass_fields__ if name != "cut")


def test_a_person_who_fills_everything_in_is_read_whole():
    values = {
        "action": "opt_out",
        "purpose": "sale",
        "phone": "+1 415 555 0123",
        "email": "ana@example.com",
        "country": "US",
        "state": "CA",
        "confirm": "c",
        "token": "t",
    }
    assert read_form(urlencode(values).encode()) == ChoicesForm(**values | {"purpose": ("sale",)})


def test_every_use_that_a_person_ticked_is_read_in_its_order():
    form = read_form(b"purpose=sale&purpose=&phone=4155550123&purpose=+profiling+")
    assert form.purpose == ("sale", "profiling")


@pytest.mark.parametrize(
    "body",
    [b"", b"&", b"=", b"phone=", b"phone=&email=+++", b"unknown=1", b"\x00", b"%00", b"phone=%00"],
    ids=brief,
)
def test_a_person_who_leaves_everything_empty_is_read_as_an_empty_form(body):
    assert read_form(body) == ChoicesForm()


@pytest.mark.parametrize(
    ("body", "phone"),
    [
        (b"phone=%2B1+415+555+0123", "+1 415 555 0123"),
        (b"phone=+4155550123+", " 4155550123"),  # a plus that arrived as a blank says where a number belongs
        (b"phone=&phone=4155550123", "4155550123"),
        (b"phone=415%00555%000123", "4155550123"),
        (b"PHONE=1&phone=4155550123", "4155550123"),
        ("phone=４１５５５５０１２３".encode(), "４１５５５５０１２３"),
        (b"__class__=x&phone=4155550123", "4155550123"),
    ],
    ids=brief,
)
def test_what_is_usable_is_taken(body, phone):
    assert read_form(body) == ChoicesForm(phone=phone)


def test_bytes_that_are_no_text_are_replaced_and_the_rest_is_read():
    form = read_form(b"email=%ff%fe&action=opt_out&phone=\xff4155550123")
    assert form.action == "opt_out"
    assert form.email == "��"
    assert form.phone.endswith("4155550123")


def test_a_long_field_is_cut_and_named_and_a_token_is_not():
    form = read_form(b"email=" + b"a" * 1000 + b"&token=" + b"t" * 1000)
    assert form == ChoicesForm(email="a" * TEXT, token="t" * 1000, cut=("email",))
    assert read_form(b"email=" + b"a" * TEXT).cut == ()


def test_a_second_value_of_a_field_is_named_as_cut_and_the_same_one_is_not():
    first = ChoicesForm(phone="4155550123")
    assert read_form(b"phone=4155550123&phone=4155550123&phone=") == first
    assert read_form(b"phone=4155550123&phone=4155550199") == replace(first, cut=("phone",))
    assert read_form(b"phone=+14155550123&phone=%2B14155550123").cut == ()  # one number, its plus escaped or not
    assert read_form(b"phone=4155550123&cut=phone") == first  # no word of the form's


def test_a_body_over_the_limit_is_malformed_and_one_at_the_limit_is_read():
    assert read_form(b"phone=1" + b"&" * (MAX_BYTES - 7)) != Malformed("form", "size")
    assert read_form(b"x" * (MAX_BYTES + 1)) == Malformed("form", "size")


def test_a_body_with_too_many_fields_is_malformed():
    assert read_form(b"&".join([b"phone=1"] * MAX_FIELDS)) == ChoicesForm(phone="1")
    assert read_form(b"&".join([b"phone=1"] * (MAX_FIELDS + 1))) == Malformed("form", "fields")


@pytest.mark.parametrize("body", [b"%" * MAX_BYTES, b"&" * MAX_BYTES, b"=" * MAX_BYTES, b"a" * 50_000_000], ids=brief)
def test_a_hostile_body_does_not_hold_the_next_person_up(body):
    assert isinstance(within(0.5, lambda: read_form(body)), ChoicesForm | Malformed)


@QUICKLY
@given(st.binary(max_size=400))
def test_any_bytes_are_read(body):
    assert isinstance(read_form(body), ChoicesForm | Malformed)


@QUICKLY
@given(st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=40)))
def test_what_a_browser_encodes_comes_out_as_the_person_typed_it(values):
    form = read_form(urlencode(values).encode())
    for name in FIELDS:
        text = values.get(name, "").replace("\x00", "").strip()
        assert getattr(form, name) == (text if name != "purpose" else (text,) if text else ())
