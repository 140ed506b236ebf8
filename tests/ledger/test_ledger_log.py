"""Today's ledger as a state follows it; a number that is given to something else is told once, as that."""

import contextlib

import pytest
from support import states
from support.acts import Play, Refused
from support.people import email, phone
from support.universes import acts_of

from gateway.ledger import ledger_log
from gateway.ledger.ledger_log import LedgerLog
from gateway.state.upkeep import HostState

SEEDS = range(3)


def lived(seed, length=60):
    """A made-up universe's ledger."""
    who, acts = acts_of(seed, length)
    play = Play(who)
    for act in acts:
        with contextlib.suppress(Refused):
            play.act(act)
    return play.ledger.db


@pytest.mark.parametrize("seed", SEEDS)
def test_a_state_made_from_the_beginning_is_what_one_that_was_kept_is(tmp_path, seed):
    db = lived(seed)
    with contextlib.closing(HostState(tmp_path)) as state:
        assert states.wrongs_of(state, db) == []


def test_a_number_that_names_something_else_now_is_told_at_its_later_place_alone(story, who, do):
    first, second = who("email", email(1)), who("email", email(2))
    story.says(first)

    def again(tx):
        [turn] = tx.db.execute("SELECT max(turn) FROM name").fetchone()
        tx.db.execute("DELETE FROM name WHERE turn = ?", (turn,))
        return turn

    do(again)
    story.says(who("phone", phone(1)))
    story.says(second)
    told = do(lambda tx: [record for _, record in LedgerLog(tx.db).read(0)])
    about = [record.seq for record in told if record.key == second.key]
    assert about == sorted(about)
    assert {0}.isdisjoint(about)


def test_who_is_forgotten_is_known_to_the_connection_that_did_it_alone(story, who, do, house):
    story.says(who("email", email(1)))
    before = do(lambda tx: LedgerLog(tx.db).head)

    def forget(tx):
        tx.db.execute("DELETE FROM looser_name WHERE canonical = ?", (who("email", email(1)).key,))
        tx.db.execute("DELETE FROM name WHERE canonical = ?", (who("email", email(1)).key,))
        found = LedgerLog(tx.db).changed(before)
        ledger_log.forget_deletes(tx.db)
        return found, LedgerLog(tx.db).changed(before)

    known, unknown = do(forget)
    assert who("email", email(1)).key in known
    assert unknown is None
