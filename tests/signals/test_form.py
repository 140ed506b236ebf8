"""The body of the choices form: a person is never refused for what the form lacks."""

from dataclasses import replace
from functools import partial
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.times import within

from gateway.signals.form import MAX_BYTES, MAX_FIELDS, TEXT, ChoicesForm, read_form


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


QUICKLY = examples(150)
FIELDS = tuple(name for name in ChoicesForm.__dataclass_fields__ if name not in {"cut", "fault"})


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


EACH = ("phone", "email", "ad_id")


def test_of_a_body_over_the_limit_is_read_what_came_whole_and_it_is_said():
    assert read_form(b"phone=1" + b"&" * (MAX_BYTES - 7)).fault == "fields"
    part = read_form(b"phone=4155550123&action=ticked&purpose=sale&email=" + b"a" * MAX_BYTES)
    assert part == ChoicesForm("opt_out", ("sale",), "4155550123", cut=EACH, fault="size")


def test_of_a_body_with_too_many_fields_the_first_are_read_and_it_is_said():
    assert read_form(b"&".join([b"phone=1"] * MAX_FIELDS)) == ChoicesForm(phone="1")
    part = read_form(b"&".join([b"phone=1"] * MAX_FIELDS + [b"email=a@example.com"]))
    assert part == ChoicesForm(phone="1", cut=EACH, fault="fields")


PARTS = (
    b'--a\r\nContent-Disposition: form-data; name="phone"\r\n\r\n+1 415 555 0123\r\n'
    b'--a\r\nContent-Disposition: form-data; name="action"\r\n\r\nopt_out\r\n'
    b'--a\r\nContent-Disposition: form-data; name="email"\r\n\r\nana@example.com\r\n--a--\r\n'
)
READ = ChoicesForm("opt_out", (), "+1 415 555 0123", "ana@example.com", fault="type")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data; boundary=a", PARTS),
        ('Multipart/Form-Data; boundary="a"', PARTS),
        ("text/plain;charset=UTF-8", b"phone=%2B1+415+555+0123&action=opt_out&email=ana%40example.com"),
        ("text/plain", b"phone=+1 415 555 0123\r\naction=opt_out\r\nemail=ana@example.com\r\n"),
        ("", b"phone=%2B1+415+555+0123&action=opt_out&email=ana@example.com"),
    ],
)
def test_a_form_is_read_however_a_script_sends_it(kind, body):
    assert read_form(body, kind) == READ


@pytest.mark.parametrize("length", range(0, len(PARTS) - 4, 7))
def test_of_parts_that_were_cut_off_no_half_value_is_read(length):
    part = read_form(PARTS[:length], "multipart/form-data; boundary=a")
    assert part.phone in {"", READ.phone}
    assert part.email in {"", READ.email}
    assert (part.cut, part.fault) == (EACH, "fields")


@pytest.mark.parametrize("kind", ["application/json", "image/png", "multipart/form-data", ""])
def test_what_nobody_can_read_says_so_of_each_field(kind):
    assert read_form(b'{"phone": "+14155550123"}', kind).cut == EACH
    assert read_form(b"", kind).fault


@pytest.mark.parametrize("body", [b"%" * MAX_BYTES, b"&" * MAX_BYTES, b"=" * MAX_BYTES, b"a" * 50_000_000], ids=brief)
def test_a_hostile_body_does_not_hold_the_next_person_up(body):
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=a"):
        assert isinstance(within(0.5, partial(read_form, body, kind)), ChoicesForm)


@QUICKLY
@given(st.binary(max_size=400), st.sampled_from(["text/plain", "multipart/form-data; boundary=a", ""]))
def test_any_bytes_are_read(body, kind):
    assert isinstance(read_form(body), ChoicesForm)
    assert read_form(body, kind).fault


@QUICKLY
@given(st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=40)))
def test_what_a_browser_encodes_comes_out_as_the_person_typed_it(values):
    form = read_form(urlencode(values).encode())
    for name in FIELDS:
        text = values.get(name, "").replace("\x00", "").strip()
        assert getattr(form, name) == (text if name != "purpose" else (text,) if text else ())
