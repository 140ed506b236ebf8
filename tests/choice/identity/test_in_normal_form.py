"""What is in normal form as it stands is not looked at further, and comes to the same as if it were."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.people import phone

from gateway.choice.identity import NormalIdentifier, email_address, phone_number, read_identifier

NEVER = re.compile(r"(?!)")
ADDRESSES = st.tuples(
    st.text(alphabet='abzAZ09_.+-" !é', max_size=12), st.text(alphabet="abzXN09_.-é。", max_size=20)
).map("@".join)  # fmt: skip
DOMAINS = ("gmail.com", "googlemail.com", "Example.com", "xn--bcher-kva.example", "a.xn--b", "example.com.", "-")
KNOWN = st.tuples(st.text(alphabet="ab.+_-9", max_size=8), st.sampled_from(DOMAINS)).map("@".join)
DIGITS = st.text(alphabet="0123456789", min_size=9, max_size=11)
NUMBERS = st.tuples(st.sampled_from(["+1", "+", "1", "+1 ", "+44"]), DIGITS).map("".join)


def same(monkeypatch, kind, text):
    short = read_identifier(kind, text)
    with monkeypatch.context() as patched:
        for room in (email_address, phone_number):
            for name in ("PLAIN_LOCAL", "PLAIN_DOMAIN", "NORMAL"):
                patched.setattr(room, name, NEVER, raising=False)
        assert read_identifier(kind, text) == short, text
    return short


def test_an_address_in_normal_form_is_read_as_any_other():
    with pytest.MonkeyPatch.context() as monkeypatch:
        found = []
        given(ADDRESSES | KNOWN)(examples(600)(lambda text: found.append(same(monkeypatch, "email", text))))()
    assert any(isinstance(each, NormalIdentifier) for each in found)


def test_a_number_in_normal_form_is_read_as_any_other():
    with pytest.MonkeyPatch.context() as monkeypatch:
        for text in ("+12222222222", "+14155550100", "+18005551234", "+15005550006", "+11234567890", phone(1)):
            same(monkeypatch, "phone", text)
        found = []
        given(NUMBERS)(examples(600)(lambda text: found.append(same(monkeypatch, "phone", text))))()
    assert any(isinstance(each, NormalIdentifier) for each in found)


@pytest.mark.parametrize(
    ("room", "name", "wider", "kind", "text"),
    [
        (email_address, "PLAIN_LOCAL", r".+", "email", "two words@example.com"),
        (email_address, "PLAIN_DOMAIN", r".+", "email", "a@example.com."),
        (phone_number, "NORMAL", r"\+[0-9]+", "phone", "+4401632960001"),
    ],
)
def test_a_form_that_takes_more_for_normal_would_be_found(monkeypatch, room, name, wider, kind, text):
    monkeypatch.setattr(room, name, re.compile(wider))
    with pytest.raises(AssertionError):
        same(monkeypatch, kind, text)
