"""One fault at a time, in every place of the state of a host and in each word that stands beside the entries, of somebody
of every sort: `gateway verify` finds it without the vault.
"""

import contextlib

import pytest
from support import inside
from support.everybody import story
from support.led import leads_nowhere
from support.planted_sides import names_of, said_otherwise, said_too, unsaid
from support.tampering import done, laid_open

from gateway.app import composition
from gateway.app.state_check import FollowingState, following
from gateway.fold.record import (
    GrantName,
    KeptAge,
    KeptEnd,
    KeptNo,
    KeptNotice,
    KeyAge,
    LinkSaid,
    NamesLearnt,
    SaidIn,
    SaidOut,
)
from gateway.fold.state import Allowed, Bit, GrantGiven, KeyRow, LinkEdge
from gateway.ledger.audit import verify
from gateway.state import fronts
from gateway.state.fronts import crowd_key, unpack_crowd
from gateway.state.lookup import StateMoment
from gateway.state.packed_rows import HEAD_KEY, pack_edge, pack_tail, tail_of, unpack_edge, unpack_head, unpack_tail
from gateway.state.upkeep import HostState
from gateway.terms import DataClass, GrantKind, NoticeKind, Purpose

# Somebody of every sort: by an entry that is about them, or by a way to one who said nothing: by the entry of whoever
# has it as a name.
WHO = {
    "a browser with GPC": "SELECT key FROM detail WHERE seq = 2",
    "an address that changed its mind": "SELECT key FROM detail WHERE seq = 10",
    "a digest of that address": 10,
    "a phone of an account, that spoke": "SELECT key FROM detail WHERE seq = 14",
    "a digest of that phone": 14,
    "a device of the account": "SELECT key FROM detail WHERE seq = 13",
    "the account": "SELECT min(account) FROM link_event",
}
X = b"x" * 16
NO, YES = Bit(X, 3, 3, "form", "", 3), Allowed(3, "", informed=False, parental=False)
OTHERWISE = {
    "own": {Purpose.MARKETING_MAIL: NO}, "orders": {Purpose.MARKETING_MAIL: NO}, "ins": {Purpose.MARKETING_MAIL: YES}, "kept": {(Purpose.SALE, X, X): NO},
    "states": {("device", "", Purpose.SALE): ()}, "told": {"privacy": 20_000}, "age": KeyAge("adult", "adult"),
    "grants": {GrantName("acme", Purpose.SALE, DataClass.AD_ID, GrantKind.OPTED_IN): GrantGiven(3, "", None)},
    "places": ("US-OR",), "words": {"a": "adult"}, "since": 7, "targets": {X: 1}, "names": {X: 1}, "owners": {X: 1}, "looser": {X: 1},
    "box": X, "spellings": {X: 1}, "accounts": {X: 1}, "members": {X: 1}, "start": 7, "until": 7, "claimed": True,
    "begun": 7, "ended": 7, "whole": 7, "past": 7, "up": {Purpose.SALE: (NO,)}, "down": {Purpose.SALE: (NO,)},
}  # fmt: skip
LAST_CHANGES, EDGE_CHANGE, STANDS = 16, 8, 1  # bytes that a row, and an edge, begin with; a flag in the next one


class Planted(StateMoment):
    """A state in which something else lies in some places; None: nothing."""

    def __init__(self, state, places):
        super().__init__(state._current(), state.epoch)
        self._planted = places

    def packed(self, place):
        return self._planted[place] if place in self._planted else super().packed(place)

    def places(self):
        there = {*super().places()} - {place for place, packed in self._planted.items() if packed is None}
        return iter(there | {place for place, packed in self._planted.items() if packed is not None})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A ledger whose changes are taken back one after the other, and the state that follows it."""
    folder = tmp_path_factory.mktemp("planted")
    composition.migrate(folder)
    with composition.open_house(folder, inside.settings(), dev=True) as house:
        story(house)
        epoch = house.keeper.state.epoch
    with laid_open(folder) as db, contextlib.closing(HostState(folder, epoch)) as state:
        yield db, state


@pytest.fixture
def key(made, who):
    if isinstance(WHO[who], str):
        return made[0].execute(WHO[who]).fetchone()[0]
    [its] = made[0].execute("SELECT key FROM detail WHERE seq = ?", (WHO[who],)).fetchone()
    return min(names_of(made[0], its))


def found_with(made, places):
    db, state = made
    with Planted(state, places) as moment:
        return verify.examine(db, lambda _: None, None, FollowingState(moment).look(db)).different


def lying(made, place):
    with made[1].moment() as moment:
        return moment.packed(place)


def told_of(place):
    keys = " and key ".join(f"{each.hex()[:8]}…" for each in (place[:16], place[16:]) if each)
    return f"the state of this host has not of key {keys} what the log folds to"


def test_without_a_fault_nothing_is_found(made):
    """Control."""
    assert found_with(made, {}) == []
    assert found_with(made, {place: lying(made, place) for place in (HEAD_KEY, X) if lying(made, place)}) == []


@pytest.mark.slow
@pytest.mark.parametrize("who", WHO)
def test_a_row_that_says_anything_else_in_any_of_its_words_is_found(made, key, who):
    packed = lying(made, key)
    row, front = unpack_tail(tail_of(packed)), packed[: len(packed) - len(tail_of(packed))]
    for name in KeyRow._fields:
        planted = front + pack_tail(row._replace(**{name: OTHERWISE[name]}))
        assert told_of(key) in found_with(made, {key: planted}), name


@pytest.mark.slow
@pytest.mark.parametrize("who", WHO)
def test_a_front_that_says_anything_else_in_any_byte_is_found_and_one_may_be_missing(made, key, who):
    packed = lying(made, key)
    for at in range(LAST_CHANGES, len(packed) - len(tail_of(packed))):
        flipped = packed[at] ^ (2 if at == LAST_CHANGES else 1)
        assert found_with(made, {key: packed[:at] + bytes([flipped]) + packed[at + 1 :]}) == [told_of(key)], at
    flags = packed[LAST_CHANGES] & ~STANDS
    missing = packed[:LAST_CHANGES] + bytes([flags]) + packed[LAST_CHANGES + 1 :]
    assert found_with(made, {key: missing}) == [], "each check reads for itself"


@pytest.mark.parametrize("who", WHO)
def test_a_row_that_is_missing_is_found(made, key, who):
    assert found_with(made, {key: None}) == [told_of(key)]


def test_a_row_or_an_edge_too_many_is_found(made):
    for place in (X, made[0].execute(WHO["the account"]).fetchone()[0] + X):
        keys = " and key ".join(f"{each.hex()[:8]}…" for each in (place[:16], place[16:]) if each)
        planted = pack_edge(LinkEdge(), 0) if len(place) > len(X) else lying(made, place) or b"row"
        assert found_with(made, {place: planted}) == [
            f"the state of this host has something of {'key ' + keys}, and the log nothing"
        ]


def test_an_edge_that_says_anything_else_in_any_of_its_words_or_is_missing_is_found(made):
    account, device = (made[0].execute(WHO[who]).fetchone()[0] for who in ("the account", "a device of the account"))
    place = account + device
    edge = unpack_edge(lying(made, place))[0]
    assert found_with(made, {place: None}) == [told_of(place)]
    for name in LinkEdge._fields:
        planted = pack_edge(edge._replace(**{name: OTHERWISE[name]}), 0)
        assert found_with(made, {place: planted}) == [told_of(place)], name
    later = pack_edge(edge, 99)
    assert later[:EDGE_CHANGE] != lying(made, place)[:EDGE_CHANGE]
    assert found_with(made, {place: later}) == [], "when this host folded it is nothing that the log says"


@pytest.mark.parametrize("what", [{"voids": {"dark": 3}}, {"entries": 7}])
def test_a_head_that_says_anything_else_is_found(made, what):
    head = unpack_head(lying(made, HEAD_KEY))
    said = ["the head of this host's state is not what the log folds to"]
    with Planted(made[1], {}) as moment:
        moment.head = head._replace(**what)
        assert verify.examine(made[0], lambda _: None, None, FollowingState(moment).look(made[0])).different == said
    assert found_with(made, {HEAD_KEY: head.pack()[:-1] + b"x"}) == said


@pytest.mark.parametrize("garbled", [b"", b"row", b"\xc1" * 90])
@pytest.mark.parametrize("who", WHO)
def test_what_cannot_be_read_is_found(made, key, who, garbled):
    assert found_with(made, {key: garbled}) == [told_of(key)]


@pytest.mark.parametrize("wrong", [{"counts": {}}, {"last": {}}, {"known": None}, {"known": X}])
def test_whoever_speaks_for_an_account_of_many_is_compared_too(folder, monkeypatch, wrong):
    monkeypatch.setattr(fronts, "CROWD", 1)
    monkeypatch.setattr("gateway.state.transactions.FORMS._forms", {})  # those of before are of other limits
    with composition.open_house(folder, inside.settings(), dev=True) as house:
        story(house)
        epoch = house.keeper.state.epoch
    with laid_open(folder) as db, contextlib.closing(HostState(folder, epoch)) as state:
        made, account = (db, state), db.execute(WHO["the account"]).fetchone()[0]
        crowd, _ = unpack_crowd(lying(made, crowd_key(account)))
        row = unpack_tail(tail_of(lying(made, account)))
        assert found_with(made, {crowd_key(account): crowd.pack(row)}) == []
        for name, value in wrong.items():
            setattr(crowd, name, value)
        assert found_with(made, {crowd_key(account): crowd.pack(row)}) == [told_of(account)]
        assert found_with(made, {crowd_key(account): None}) == [told_of(account)]


# What stands beside entries, and rests on no hash: whoever changes it there has not changed what was folded from it.
BESIDE = {
    "a name that nobody learnt": said_too(2, NamesLearnt((X,))),
    "a name of somebody else": said_otherwise(NamesLearnt, same=(X,)),
    "a name that is forgotten": unsaid(NamesLearnt),
    "a looser form": said_too(2, NamesLearnt(looser=(X,))),
    "a mailbox": said_too(10, NamesLearnt(mailbox=X)),
    "a link to another account": said_otherwise(LinkSaid, 13, account=X),
    "a link to another account in reports": "UPDATE link_event SET account = randomblob(16) WHERE seq = 13",
    "a link of another time": said_otherwise(LinkSaid, 13, start=60_000),
    "a link of another time in reports": "UPDATE link_event SET start = start - 60000 WHERE seq = 13",
    "a link that is over": said_otherwise(LinkSaid, 13, until=60_000),
    "a link that is over in reports": "UPDATE link_event SET until = start WHERE seq = 13",
    "a link by an app's word": said_otherwise(LinkSaid, 13, claimed=True),
    "a link that is forgotten": unsaid(LinkSaid, 13),
    "a link that is forgotten in reports": "DELETE FROM link_event WHERE seq = 13",
    "a yes of a parent": said_otherwise(SaidIn, 11, parental=True),
    "an installation": said_otherwise(SaidOut, 14, mark="a"),
    "an installation of somebody who said one thing": said_otherwise(SaidOut, 2, mark="a"),
    "a no that is heard, not said": said_otherwise(SaidOut, 2, signal=True),
    "a no that stayed": said_too(2, lambda key: KeptNo(Purpose.SALE, key, key), X),
    "an end that stayed": said_too(2, KeptEnd(Purpose.SALE, no=True)),
    "an age that stayed": said_too(2, KeptAge(KeyAge("adult", "adult"))),
    "a day that stayed": said_too(2, KeptNotice(NoticeKind.PRIVACY, 20_000)),
    "a key that leads nowhere": leads_nowhere(10),
    "what two browsers said to each other": "UPDATE detail SET key = (SELECT key FROM detail d WHERE d.seq ="
    " 5 - detail.seq) WHERE seq IN (2, 3)",
    "an entry about somebody else": "UPDATE detail SET key = randomblob(16) WHERE seq = 2",
    "an entry that is no account's": "UPDATE detail SET event = randomblob(16) WHERE seq = 2",
    "an entry's time to another minute": "UPDATE detail SET at = at + 60000 WHERE seq = 2",
    "a screen that nobody voided": "INSERT INTO voided_ui VALUES ('dark', 14, 1795521600000)",
}


@pytest.mark.parametrize("what", BESIDE)
def test_what_stands_beside_the_entries_and_was_changed_is_found(made, what):
    db, state = made
    db.execute("BEGIN")
    try:
        assert done(db, BESIDE[what]), what
        with following(db, state) as now:
            assert now.moment, "the log tells of no change"
            assert verify.examine(db, lambda _: None, None, now.look(db)).different
    finally:
        db.execute("ROLLBACK")
