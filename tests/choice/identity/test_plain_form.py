"""What is found of an id by one look at it is what the readers find of it, name by name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.choice.identity import (
    AD_IDS,
    NormalIdentifier,
    account_of,
    alike,
    as_account,
    device,
    plain_form,
    read_identifier,
    says_who,
)

UUID, HEX = "38400000-8cf0-11bd-b23e-10b96e40000d", "0123456789abcdef" * 4
WORDS = st.from_regex(re.compile(r"[A-Za-z0-9]{1,70}", re.ASCII), fullmatch=True)
DIGITS = st.from_regex(re.compile(r"[0-9]{1,17}(x|ext)?[0-9]{0,6}|0x[0-9a-f]{1,66}", re.ASCII), fullmatch=True)
DIGESTS = st.sampled_from([32, 40, 64, 24, 33]).flatmap(
    lambda size: st.text("0123456789abcdefABCDEF", min_size=size, max_size=size)
)
REPEATED = st.builds(
    lambda letter, size: letter * size, st.sampled_from("0af1uZ"), st.sampled_from([6, 22, 32, 40, 64])
)
UUIDS = st.uuids().map(str) | st.uuids().map(lambda each: str(each).upper())
ODD = st.sampled_from([
    *device.SENTINEL_WORDS, *device.OPT_OUTS, *(each for some in device.DIGESTS_OF_NOTHING.values() for each in some),
    device.ZERO_ID, UUID.replace("-", ""), f"x{HEX[:32]}", "aGVsbG8", "amFuZUBleGFtcGxlLmNvbQ", "4155550107x12",
])  # fmt: skip


def names_read(value: str) -> set[tuple[str, str]]:
    """Of each kind that a value could be, by the readers, but for digests of ad ids."""
    read = [(each["type"], read_identifier(each["type"], each["value"])) for each in alike(value) + as_account(value)]
    return {
        name
        for kind, found in read
        if isinstance(found, NormalIdentifier)
        for name in (found.names[:1] if kind in AD_IDS else found.names)
    }


@given(WORDS | DIGITS | DIGESTS | REPEATED | UUIDS | ODD)
def test_one_look_finds_what_the_readers_find(value):
    form = plain_form(value)
    if form is not None:
        assert {*form.names, *account_of(value)} == names_read(value)
        assert form.has_form == bool(alike(value))
        assert not says_who(value)


@pytest.mark.parametrize("value", [UUID, UUID.upper(), HEX[:32], HEX[:40], HEX, "u7f3k9q2z", "e" * 32])
def test_what_nearly_all_ids_are_is_found_by_one_look(value):
    assert plain_form(value) is not None


@pytest.mark.parametrize(
    "value", [None, 7, "jane@example.com", "+14155550107", "4155550107", f"idfa: {UUID}", "0x" + HEX, "203.0.113.7"]
)
def test_what_has_to_be_read_is_left_to_the_readers(value):
    assert plain_form(value) is None
