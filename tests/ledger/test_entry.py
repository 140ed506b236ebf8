import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.people import email, phone

from gateway.ledger import entry
from gateway.ledger.subjects import Choice, LeafSecrets, Subject, public_leaf

AT = datetime(2026, 11, 24, 12, 34, 56, 789_000, UTC)
EVENT, RS, RD = bytes(range(16)), b"r" * 32, b"d" * 32
NOTICE = entry.Notice(b"n" * 32, "7", "en")


DETAILS = b'{"at":"2026-11-24T12:34:56.789+00:00"}'


SOMEBODY = Subject("email", email(1), ())


def leaf(subject=SOMEBODY, **changed):
    said = {"kind": "opt_out", "purposes": ("sharing", "sale"), "source": "form", "at": AT}
    return public_leaf(subject, Choice(**said | changed), LeafSecrets(EVENT, RS, RD), DETAILS)


def test_the_bytes_of_an_entry_never_change_under_the_people_in_it():
    golden = (
        b'{"d":"bhOl58saC90AO-ziC5QYz1mCh0vImzJB4f1oDwWpxh8","e":"opt_out","i":"AAECAwQFBgcICQoLDA0ODw",'
        b'"j":"US-CA","m":"web","n":"bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4","nl":"en","nv":"7",'
        b'"p":["sale","sharing"],"r":"applied","s":"Sq-rl8lCBimFPXG_pM24okhX_HjmbtF7hZc3z-1YHn4","src":"form",'
        b'"t":"2026-11-24T12:34Z","v":1}'
    )
    assert leaf(place="US-CA", notice=NOTICE, manner="web") == golden


def test_what_was_not_said_leaves_no_trace_in_the_entry():
    assert set(json.loads(leaf())) == {"d", "e", "i", "p", "r", "s", "src", "t", "v"}


def test_the_hour_is_known_to_the_minute_and_no_finer():
    assert json.loads(leaf())["t"] == "2026-11-24T12:34Z"
    assert b":56" not in leaf()
    assert b"789" not in leaf()
    assert leaf() == leaf(at=AT.replace(second=0, microsecond=0))


def test_whoever_reads_the_log_finds_no_identifier_in_it():
    body = leaf(subject=Subject("phone", phone(1), ()))
    for spelled in (phone(1), phone(1)[1:], email(1), "phone", "email"):
        assert spelled.encode() not in body
        assert hashlib.sha256(spelled.encode()).hexdigest().encode() not in body
        assert entry.b64(hashlib.sha256(spelled.encode()).digest()).encode() not in body


def test_two_entries_about_one_person_do_not_look_alike():
    first, second = (entry.subject_commitment(rs, "email", email(1)) for rs in (b"1" * 32, b"2" * 32))
    assert first != second


def test_the_order_in_which_purposes_were_named_is_not_told():
    assert leaf(purposes=("sale", "sharing")) == leaf(purposes=("sharing", "sale"))


def test_an_entry_is_plain_ascii_whatever_the_place_or_language_says():
    body = leaf(notice=entry.Notice(b"n" * 32, "é", "fr-日本"))
    assert body.isascii()
    assert json.loads(body)["nl"] == "fr-日本"


@given(st.dictionaries(st.text(st.characters(max_codepoint=127), min_size=1), st.text() | st.integers(0, 2**53 - 1)))
def test_reading_an_entry_and_writing_it_again_gives_the_same_bytes(members):
    body = entry.canonical(members)
    assert body.isascii()
    assert entry.canonical(json.loads(body)) == body
    assert b": " not in entry.canonical({"a": 1, "b": 2})


ANY = st.text(st.characters(codec=None, exclude_categories=())) | st.integers(0, 2**53 - 1) | st.none() | st.just([])


@given(st.dictionaries(st.text(st.characters(max_codepoint=127)), ANY | st.lists(ANY, max_size=3)))
def test_an_entrys_bytes_are_those_that_json_has_given_since_the_first(members):
    """Whatever wrote older entries: the bytes are what was hashed."""
    kept = {name: value for name, value in members.items() if value not in (None, "", [])}
    assert entry.canonical(members) == json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()


def test_an_entry_too_long_for_a_tile_is_refused_before_it_is_stored():
    room = entry.MAX_BYTES - len(entry.canonical({"a": "x"})) + 1
    assert len(entry.canonical({"a": "x" * room})) == entry.MAX_BYTES
    with pytest.raises(ValueError, match="65536 bytes"):
        entry.canonical({"a": "x" * (room + 1)})


def test_the_owner_opens_their_entry_with_nothing_but_an_hmac():
    s = hmac.new(RS, b"phone\x00" + phone(1).encode(), hashlib.sha256).digest()
    assert entry.subject_commitment(RS, "phone", phone(1)) == s


@pytest.mark.parametrize(
    "opening",
    [
        (b"x" * 32, "phone", phone(1)),
        (RS, "email", phone(1)),
        (RS, "phone", phone(2)),
        (RS, "phone", phone(1)[1:]),
        (RS, "phon", "e" + phone(1)),
        (RS, "", "phone" + phone(1)),
    ],
)
def test_nothing_else_opens_it(opening):
    assert entry.subject_commitment(*opening) != entry.subject_commitment(RS, "phone", phone(1))


def test_details_and_subject_commitments_are_never_mistaken_for_each_other():
    assert entry.details_commitment(RS, b"x") != entry.subject_commitment(RS, "", "x")
    assert entry.details_commitment(RS, b"x") == hmac.digest(RS, b"consent/details/1\x00x", "sha256")
    assert entry.details_commitment(RS, b"x") != entry.details_commitment(RS, b"y")


def test_a_notice_is_logged_by_its_hash_and_a_share_by_its_count():
    shown = json.loads(entry.document(event=EVENT, kind="choices", notice=NOTICE, at=AT))
    assert (shown["e"], shown["k"], shown["n"]) == ("doc", "choices", entry.b64(b"n" * 32))
    told = entry.disclosure(
        event=EVENT, to="teemo", purposes=["sale"], classes=["b", "a"], count=3, hashed=b"h" * 32, at=AT
    )
    assert json.loads(told) == {
        "v": 1,
        "i": entry.b64(EVENT),
        "e": "disclosure",
        "to": "teemo",
        "p": ["sale"],
        "c": ["a", "b"],
        "count": 3,
        "h": entry.b64(b"h" * 32),
        "t": "2026-11-24T12:34Z",
    }
