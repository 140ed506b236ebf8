"""Requests of the DAA's TokenChoices and AppChoices tools: whose identifier, and what its owner asked (7.4)."""

import hashlib
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.adchoices import write_adchoices
from support.people import GAID, email

from gateway.choice import identity
from gateway.signals import adchoices
from gateway.signals.adchoices import TokenChoice, read_app, read_token
from gateway.terms import Malformed

OURS = 7
RAW = email(1).encode()
DIGESTS = {name: getattr(hashlib, name)(RAW).hexdigest() for name in ("md5", "sha1", "sha256", "sha512")}
MAIL = {"action": "opt-out", "idt": "email", **DIGESTS, "pref": "null"}
LIMIT, ALLOW, NO_PREFERENCE = 0, 1, 2


def wish(preference, **more):
    """What a request with a preference comes to, for each digest alike."""
    read = read_token({**MAIL, "action": "prefString", "pref": preference, **more}, participant=OURS)
    return read if isinstance(read, Malformed) else {choice.opted_out for choice in read}


def test_a_person_who_opts_an_address_out_is_opted_out_by_each_digest_that_is_kept():
    assert read_token(MAIL) == [
        TokenChoice("email_sha256", DIGESTS["sha256"], opted_out=True),
        TokenChoice("email_sha1", DIGESTS["sha1"], opted_out=True),
        TokenChoice("email_md5", DIGESTS["md5"], opted_out=True),
    ]


def test_a_phone_is_known_by_its_sha256_and_an_uid2_by_its_source():
    digest = hashlib.sha256(b"4155550101").hexdigest()
    read = read_token({"action": "opt-out", "idt": "phone", "sha256": digest, "md5": "0" * 32, "UID2": "abc"})
    assert read == [
        TokenChoice("phone_sha256", digest, opted_out=True),
        TokenChoice("eid", "abc", opted_out=True, source="uidapi.com"),
    ]


def test_every_kind_is_one_that_keys_are_made_of():
    tables = [*adchoices.PARAMETERS.values(), *adchoices.APP_PARAMETERS.values()]
    for kind, source in {kind for table in tables for kind in table.values()}:
        assert kind in identity.KINDS
        assert bool(source) == (kind in identity.SOURCED)


def test_the_address_of_a_call_as_the_tool_sends_it_is_read():
    address = f"action=opt-out&idt=email&md5={DIGESTS['md5']}&sha1=%25sha1-ID&sha256=&sha512=x&pref=null"
    read = read_token(dict(parse_qsl(address, keep_blank_values=True)))
    assert read == [TokenChoice("email_md5", DIGESTS["md5"], opted_out=True)]


@pytest.mark.parametrize("action", ["opt-out", "optout", "OPT-OUT", "revoke", "", None, "null"])
def test_every_way_to_ask_for_an_opt_out_is_one_and_silence_is_one_too(action):
    assert all(choice.opted_out for choice in read_token({**MAIL, "action": action}))
    assert all(choice.opted_out for choice in read_token({**MAIL, "action": action, "pref": "111"}))


@pytest.mark.parametrize("action", ["opt-in", "optin", "delete", "out", "prefStrings", "%action"])
def test_what_is_not_known_to_be_an_opt_out_is_refused_and_never_an_opt_in(action):
    assert read_token({**MAIL, "action": action}) == Malformed("token_choices", "action")


@pytest.mark.parametrize(
    ("preference", "limited"),
    [
        ("010-1--", True),
        ("0", True),
        ("-----0", True),
        ("1", False),
        ("11--", False),
        ("--", False),
        ("", False),
        ("null", False),
        (None, False),
    ],
)
def test_a_wish_to_limit_any_category_is_an_opt_out_for_we_cannot_follow_it_singly(preference, limited):
    assert wish(preference) == {limited}


@pytest.mark.parametrize(
    ("statement", "limited"),
    [
        ((1, LIMIT), True),
        ((1, ALLOW), False),
        ((1, NO_PREFERENCE), False),
        ((1, NO_PREFERENCE, [(OURS, LIMIT)]), True),
        ((1, NO_PREFERENCE, [(OURS + 1, LIMIT)]), False),
        ((1, NO_PREFERENCE, [], [(25, LIMIT)]), True),
        ((1, NO_PREFERENCE, [], [(25, ALLOW)]), False),
    ],
)
def test_a_preference_may_be_an_adchoices_signal(statement, limited):
    assert wish(write_adchoices(*statement)) == {limited}


def test_a_broken_signal_counts_where_an_opt_out_was_read_in_it_and_is_malformed_else():
    assert wish(write_adchoices(1, LIMIT) + "==") == {True}
    assert wish(write_adchoices(1, ALLOW) + "==") == Malformed("token_choices", "preference")
    assert wish("010x") == Malformed("token_choices", "preference")


@pytest.mark.parametrize("stated", ["", "ip", "ami", None, 5])
def test_an_identifier_type_that_we_do_not_keep_is_malformed(stated):
    assert read_token({**MAIL, "idt": stated}) == Malformed("token_choices", "identifier_type")


@pytest.mark.parametrize(
    "digests", [{}, {"sha512": "ab"}, {"md5": "%md5-ID", "sha1": "", "sha256": "null"}, {"md5": 5, "sha256": ["ab"]}]
)
def test_a_request_that_names_nobody_is_malformed(digests):
    assert read_token({"action": "opt-out", "idt": "email", **digests}) == Malformed("token_choices", "identifier")


@pytest.mark.parametrize(("system", "kind"), [("ios", "idfa"), ("android", "gaid"), ("Android", "gaid")])
def test_an_app_users_advertising_id_is_of_the_system_that_the_address_is_for(system, kind):
    assert read_app({"os": system, "adid": GAID}) == [TokenChoice(kind, GAID, opted_out=True)]


def test_an_old_phones_open_udid_is_opted_out_and_the_hashes_that_are_no_kind_of_ours_are_left():
    asked = {"os": "ios", "adid": "%adid", "o-udid": "ab" * 20, "md5-ad-id": "0" * 32, "md5-mac-b": "1" * 32}
    assert read_app(asked) == [TokenChoice("udid", "ab" * 20, opted_out=True)]


def test_an_app_call_without_a_system_or_an_id_is_malformed():
    assert read_app({"adid": GAID}) == Malformed("app_choices", "system")
    assert read_app({"os": "ios", "md5-ad-id": "0" * 32}) == Malformed("app_choices", "identifier")


def test_an_identifier_does_not_show_when_a_choice_is_printed():
    assert DIGESTS["sha256"] not in repr(read_token(MAIL))


NAMES = st.sampled_from(["action", "idt", "pref", "md5", "sha256", "UID2", "os", "adid"]) | st.text(max_size=5)
VALUES = (
    st.sampled_from(["opt-out", "prefString", "email", "phone", "ios", "0", "-"])
    | st.text()
    | st.none()
    | st.lists(st.text())
)


@given(st.dictionaries(NAMES, VALUES))
def test_any_request_is_answered(parameters):
    for read in (read_token(parameters, participant=OURS), read_app(parameters)):
        assert isinstance(read, Malformed) or all(choice.value and choice.kind in identity.KINDS for choice in read)
