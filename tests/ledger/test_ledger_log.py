"""Today's ledger as a state follows it."""

import contextlib

import pytest
from support import states
from support.acts import Play, Refused
from support.people import email, gaid, named
from support.universes import acts_of

from gateway.ledger import log_records
from gateway.ledger.log_records import LedgerLog
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


def test_who_is_forgotten_is_known_to_the_connection_that_did_it_alone(story, who, do, house):
    story.says(who("email", email(1)))
    before = do(lambda tx: LedgerLog(tx.db).head)

    def forget(tx):
        tx.tell_forgotten([who("email", email(1)).key])
        found = LedgerLog(tx.db).changed(before)
        log_records.forget_deletes(tx.db)
        return found, LedgerLog(tx.db).changed(before)

    known, unknown = do(forget)
    assert who("email", email(1)).key in known
    assert unknown is None


def test_of_whoever_said_much_no_more_is_read_to_know_their_kind():
    play = Play({"once": named("gaid", gaid(1)), "often": named("gaid", gaid(2))})
    for who in ("once", *["often"] * 40):
        play.act({"act": "choose", "kind": "opt_out", "who": [who], "purposes": ["sale"]})

    def steps(who):
        db, taken = play.ledger.db, []
        db.set_progress_handler(lambda: taken.append(1), 1)
        found = LedgerLog(db).kinds([play.who[who].key])
        db.set_progress_handler(None, 1)
        return found, len(taken)

    (once, few), (often, many) = map(steps, ("once", "often"))
    assert {kind for _, kind in (*once, *often)} == {"gaid"}
    assert 0 < many < 2 * few
