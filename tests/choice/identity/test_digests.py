"""A digest is the same person in hex of any case and in either base64."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.people import email

from gateway.choice.identity import DIGESTS, Limited, read_identifier
from gateway.terms import Malformed

QUICKLY = examples(80)
SHA256 = hashlib.sha256(email(1).encode()).hexdigest()


def spellings(raw):
    for encoded in (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()):
        yield from (encoded, encoded.rstrip("="))
    yield from (raw.hex(), raw.hex().upper(), raw.hex().capitalize(), f" {raw.hex()}\n")


@QUICKLY
@given(st.sampled_from(sorted(DIGESTS)), st.binary(min_size=32, max_size=32))
def test_a_digest_is_one_name_in_every_spelling(kind, raw):
    raw = raw[: DIGESTS[kind]]
    [found] = {read_identifier(kind, spelling) for spelling in spellings(raw)}
    assert found == Limited(kind) or found.names == ((kind, raw.hex()),)


@pytest.mark.parametrize("kind", ["email_sha256", "email_sha1", "email_md5"])
def test_a_person_known_by_a_digest_alone_is_found_by_the_address(kind):
    hashed = hashlib.new(kind.rpartition("_")[2], email(1).encode()).digest()
    for spelling in spellings(hashed):
        assert read_identifier(kind, spelling).names[0] in read_identifier("email", email(1)).names


WRONG = ["x", "0", "g" * 64, SHA256[:-1], SHA256 + "0", "é" * 64, "=" * 44, "A" * 42, SHA256[:-1] + " 0"]


@pytest.mark.parametrize("value", WRONG)
def test_what_is_no_digest_of_its_size_is_malformed(value):
    assert read_identifier("email_sha256", value) == Malformed("email_sha256", "value")


@pytest.mark.parametrize(
    ("kind", "value"), [("email_sha1", SHA256), ("email_md5", SHA256[:40]), ("email_md5", email(1))]
)
def test_a_digest_of_another_kind_or_a_raw_address_is_malformed(kind, value):
    assert read_identifier(kind, value) == Malformed(kind, "value")


@pytest.mark.parametrize("value", [SHA256, SHA256[:32]])
def test_the_kind_comes_from_the_field_and_what_only_looks_hashed_is_no_address(value):
    assert read_identifier("email", value) == Malformed("email", "value")
    assert read_identifier("phone", value) == Malformed("phone", "value")
    assert read_identifier("account", value).names == (("account", value),)


def test_the_same_bytes_under_another_kind_are_another_name():
    assert read_identifier("email_sha256", SHA256).names != read_identifier("phone_sha256", SHA256).names
