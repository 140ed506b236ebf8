"""A ledger that is moved onto the log stands for the same: the same tree, the same standings, the same openings."""

import contextlib

import pytest
from support.acts import Play, Refused
from support.lives import PEOPLE, Ledger
from support.people import email, named
from support.states import as_dict, key_rows
from support.universes import acts_of

from gateway.fold import reading
from gateway.ledger.engine.choice_record import split_boxes
from gateway.ledger.engine.ledger_as_log import ledger_records
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.log_records import records_of
from gateway.ledger.proof import merkle, openings
from gateway.ledger.proof.merkle import Frontier
from gateway.ledger.side import read_side, records_of_side
from gateway.terms import ChoiceKind, Purpose

LATER = 10**13


def universe(seed, length=150):
    who, acts = acts_of(seed, length, without=("prune",))
    play = Play(who)
    for act in acts:
        with contextlib.suppress(Refused):
            play.act(act)
    return play.ledger


@pytest.mark.parametrize("seed", range(5))
def test_what_stands_by_the_log_is_what_stood_by_the_ledger(seed):
    ledger = universe(seed)
    with contextlib.closing(ledger.db):
        moved, before = list(ledger_records(ledger.db)), as_dict(records_of(ledger.db))
    said = [each for seq, record in enumerate(moved) for each in records_of_side(seq, record.side)]
    after = as_dict(said)
    assert len(said) > 50
    assert {*key_rows(after)} == {*key_rows(before)}
    for key in key_rows(before):
        assert reading.standing_of(key, after.get, LATER) == reading.standing_of(key, before.get, LATER)
        assert reading.grants_of(key, after.get, LATER) == reading.grants_of(key, before.get, LATER)


def test_the_tree_is_the_same_and_each_box_opens_as_before():
    ledger = Ledger({"ann": PEOPLE.name([named("email", email(1))]).subjects[0]})
    with contextlib.closing(ledger.db) as db:
        events = [
            ledger.choose(ChoiceKind.OPT_OUT, "ann", purpose).event for purpose in (Purpose.SALE, Purpose.SENSITIVE)
        ]
        ledger.tx.append(b'{"e":"document"}')
        ledger.tx.write_head()
        moved, (size, packed) = list(ledger_records(db)), db.execute("SELECT size, frontier FROM head").fetchone()
        frontier = Frontier()
        for record in moved:
            frontier.append(merkle.leaf_hash(record.leaf))
        assert (frontier.size, frontier.pack()) == (size, packed)
        for event, record in zip(events, moved, strict=False):
            opened = openings.open_boxes(ledger.tx.persons.keys(record.key), event, *split_boxes(record.boxes))
            assert opened.rs
            assert opened.details
    assert (moved[2].key, split_boxes(moved[2].boxes), records_of_side(2, moved[2].side)) == (b"", (b"", b""), [])
    assert read_side(moved[2].side).at == read_side(moved[1].side).at


def test_one_that_was_pruned_is_not_moved():
    ledger = universe(1)
    with contextlib.closing(ledger.db) as db:
        for trigger in db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'entry'"
        ).fetchall():
            db.execute(f"DROP TRIGGER {trigger[0]}")
        db.execute("DELETE FROM entry WHERE seq < 3")
        with pytest.raises(LedgerRefused, match="pruned"):
            list(ledger_records(db))


def test_an_empty_one_has_nothing_to_move():
    with contextlib.closing(Ledger({}).db) as db:
        assert list(ledger_records(db)) == []
