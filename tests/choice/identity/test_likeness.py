"""What a value could be by its form: each spelling that an identifier's own reader takes is looked up under its
kind."""

import base64
import hashlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.people import GAID, IDFV, email, phone

from gateway.choice.identity import (
    DIGESTS,
    UUIDS,
    NormalIdentifier,
    alike,
    as_account,
    could_be,
    read_identifier,
    says_who,
)
from gateway.choice.identity.kinds import ALGORITHMS

SPELLED = {
    **{kind: [GAID, GAID.upper(), GAID.replace("-", ""), "{" + GAID + "}", f" {IDFV} "] for kind in UUIDS},
    "email": [email(1), email(1).upper(), "jane.roe+x@example.com"],
    "phone": [phone(1), phone(1)[1:], "(415) 555-0101", "415-555-0101", 14155550101, "tel:+14155550101"],
    "imei": ["490154203237518", 490154203237518, "49-015420-323751-8", "4901542032375180"],
    "udid": ["00008030-001a2b3c4d5e6f70", "00008030001A2B3C4D5E6F70", hashlib.sha1(b"x").hexdigest()],
}  # fmt: skip


def digests(kind):
    raw = next(made for make in ALGORITHMS.values() if len(made := make(b"x").digest()) == DIGESTS[kind])
    text = base64.b64encode(raw).decode()
    return [raw.hex(), raw.hex().upper(), text, text.rstrip("="), text.replace("+", "-").replace("/", "_")]


@pytest.mark.parametrize("kind", [*SPELLED, *DIGESTS])
def test_a_spelling_that_its_reader_takes_is_looked_up_under_that_kind(kind):
    for value in SPELLED.get(kind) or digests(kind):
        assert isinstance(read_identifier(kind, value), NormalIdentifier), value
        assert kind in could_be(value), value


def test_the_kinds_of_other_forms_are_not_among_them():
    """So that no account or serial number denies by chance."""
    assert set(could_be(GAID)) == {*UUIDS}
    for word in ("account-7", "R58N12ABCDE", "", None, True, 2.5, [GAID], {"id": GAID}, "x" * 400, "1001", "\ud800"):
        assert could_be(word) == ()


WORDED = (
    "{}(at){}.{}",
    "{} [at] {} [dot] {}",
    "{}{{AT}}{}(DOT){}",
    "{} at {} dot {}",
    "{}_at_{}.{}",
    "{}-at-{}.{}",
    "{}[@]{}.{}",
    "{} (arroba) {} (punto) {}",
)


def hidden():
    """An id in what programs put around it, by the kind and the plain value that has to be asked about."""
    sha = hashlib.sha256(b"x")
    for text in (
        f"maid:{GAID}",
        f"gps_adid = {GAID}",
        f"advertising identifier of this phone: {GAID}",
        f'"{GAID}"',
        f"({GAID})",
        f"[{GAID}]",
        f"urn:uuid:{GAID}",
        f"user_{GAID}",
        f"{GAID}-v2",
        f"{GAID};1",
        GAID.replace("-", "_"),
        GAID.replace("-", ":"),
        GAID.replace("-", "\u2010"),
        GAID.replace("-", "\uff0d"),
        f"{GAID[:5]}\u200b{GAID[5:]}",
        f"id='{GAID}'",
        "".join(chr(0xFEE0 + ord(each)) for each in GAID),
    ):
        yield "gaid", text, GAID
    grouped = ":".join(sha.hexdigest()[at : at + 2] for at in range(0, 64, 2))
    raw = base64.b64encode(sha.digest()).decode()
    for text in (
        f"hem={sha.hexdigest()}",
        f"0x{sha.hexdigest()}",
        f'"{sha.hexdigest()}"',
        grouped,
        f"sha256-{raw}",
        f"u_{sha.hexdigest()}",
    ):
        yield "email_sha256", text, sha.hexdigest()
    for text in (
        "phone=4155550101",
        "ph:14155550101",
        '"4155550101"',
        "[415-555-0101]",
        "4155550101x1",
        "415_555_0101",
        14155550101.0,
    ):
        yield "phone", text, phone(1)
    raw = uuid.UUID(GAID)
    for own in (raw.bytes, raw.bytes_le, GAID.encode(), GAID.upper().encode()):
        yield "gaid", base64.b64encode(own).decode(), GAID
        yield "gaid", base64.urlsafe_b64encode(own).decode().rstrip("="), GAID
    md5 = hashlib.md5(b"x", usedforsecurity=False)
    for text in (str(uuid.UUID(md5.hexdigest())), "{" + str(uuid.UUID(md5.hexdigest())).upper() + "}"):
        yield "email_md5", text, md5.hexdigest()
    yield "email_sha256", base64.b64encode(sha.hexdigest().encode()).decode(), sha.hexdigest()
    for text in (
        *(each.format("jane", "example", "com") for each in WORDED),
        base64.b64encode(b"jane@example.com").decode(),
        base64.urlsafe_b64encode(b"Jane@Example.com").decode().rstrip("="),
        "uid=" + base64.b64encode(b"jane@example.com").decode(),
    ):
        yield "email", text, "jane@example.com"
    yield "phone", base64.b64encode(phone(1).encode()).decode(), phone(1)
    for text in ("dev:490154203237518", '"490154203237518"'):
        yield "imei", text, "490154203237518"
    for text in ("ud:00008030-001a2b3c4d5e6f70", '"00008030-001a2b3c4d5e6f70"'):
        yield "udid", text, "00008030-001a2b3c4d5e6f70"


@pytest.mark.parametrize(("kind", "text", "plain"), list(dict.fromkeys(hidden())))
def test_what_stands_around_an_id_hides_none(kind, text, plain):
    named = {
        found.names[0]
        for each in alike(text)
        if each["type"] == kind and isinstance(found := read_identifier(kind, each["value"]), NormalIdentifier)
    }
    assert read_identifier(kind, plain).names[0] in named


@pytest.mark.parametrize(
    "text",
    [
        "jane(at)example.com",
        "jane [at] example [dot] com",
        "amFuZUBleGFtcGxlLmNvbQ==",
        "jane\uff20example.com",
        "jane\ufe6bexample.com",
        "\uff0b14155550101",
        "jane%40example.com",
    ],
)
def test_an_address_or_a_number_that_is_written_otherwise_is_plainly_no_id(text):
    assert says_who(text)


def test_a_value_is_listed_under_each_kind_but_those_that_are_asked_about_anyway():
    digests_of_its_size = {kind for kind, size in DIGESTS.items() if size == 16}
    assert {each["type"] for each in alike(GAID, ["gaid"])} == {*UUIDS, *digests_of_its_size} - {"gaid"}
    assert {each["value"] for each in alike(GAID)} == {GAID}


@pytest.mark.parametrize(
    "value",
    [email(1), phone(1), "40.71,-74.0", "40.7128 / -74.0060", "203.0.113.7", "2001:db8::7", "https://example.com/a"],
)
def test_what_is_plainly_no_id_is_told_apart(value):
    assert says_who(value)


@pytest.mark.parametrize(
    "value", [GAID, "1001", 1002, "R58N12ABCDE", "a-b:c.d", "1.2.3", hashlib.sha256(b"x").hexdigest(), "", None]
)
def test_an_id_or_a_word_tells_plainly_of_nobody(value):
    assert not says_who(value)


@pytest.mark.parametrize(
    "value",
    [
        "look at this one",
        "meet-at-noon",
        "YWJjZGVmZw==",
        "R58N12ABCDE",
        "attribute",
        "a(at)",
        "x" * 22,
        "507f1f77bcf86cd799439011",
    ],
)
def test_a_word_like_any_other_is_no_address(value):
    assert not {"email", "phone"} & set(could_be(value))
    assert not says_who(value)


def test_an_accounts_id_is_looked_up_in_a_field_of_others_ids_unless_it_may_be_any_number():
    for value in ("user-1001", GAID, "100000000001", 100000000001, "janedoe"):
        assert as_account(value) == [{"type": "account", "value": value}]
    for value in ("1003", 1003, "4155550", "abc", "", None, ["user-1001"], {"id": "user-1001"}):
        assert as_account(value) == []
    assert as_account("user-1001", ["account"]) == []


@given(st.one_of(st.text(max_size=60), st.integers(), st.floats(), st.binary(), st.lists(st.text())))
def test_whatever_a_stranger_sends_has_a_form_or_none_and_no_fault(value):
    assert set(could_be(value)) <= {*UUIDS, *DIGESTS, "email", "phone", "imei", "udid"}
    assert says_who(value) in {True, False}
