"""Today's ledger as a state follows it: an older ledger gets its rows by the migration, in the order in which its own
triggers would have written them; and a number that is given to something else is told once, as that.
"""

import contextlib

import pytest
from support import states
from support.acts import Play, Refused
from support.people import email, phone
from support.universes import acts_of

from gateway.ledger import ledger_log, schema
from gateway.ledger.ledger_log import LedgerLog
from gateway.state.upkeep import HostState

MIGRATION = 23
SEEDS = range(3)


def lived(seed, length=60):
    """A made-up universe's ledger."""
    who, acts = acts_of(seed, length)
    play = Play(who)
    for act in acts:
        with contextlib.suppress(Refused):
            play.act(act)
    return play.ledger.db


def made_old(db):
    """As a gateway of before left it."""
    [sql] = [text for number, text in schema.migrations() if number == MIGRATION]
    words = [each.split() for each in schema.statements(sql)]
    made = [(word[at + 1], word[at + 2]) for word in words for at in range(len(word) - 2) if word[at] == "CREATE"]
    for what in ("TRIGGER", "INDEX", "TABLE"):
        for kind, name in made:
            if kind == what:
                db.execute(f"DROP {kind} {name}")
    return sql


def migrated(db):
    sql = made_old(db)
    for statement in schema.statements(sql):
        db.execute(statement)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_state_of_an_older_ledger_is_what_its_entries_make(tmp_path, seed):
    db = lived(seed)
    ends, dates = (
        db.execute(f"SELECT * FROM {table} ORDER BY turn").fetchall() for table in ("link_over", "dated_link")
    )
    migrated(db)
    assert db.execute("SELECT * FROM link_over ORDER BY turn").fetchall() == ends
    assert db.execute("SELECT * FROM dated_link ORDER BY turn").fetchall() == dates
    with contextlib.closing(HostState(tmp_path)) as state:
        assert states.wrongs_of(state, db) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_state_made_from_the_beginning_is_what_one_that_was_kept_is(tmp_path, seed):
    db = lived(seed)
    with contextlib.closing(HostState(tmp_path)) as state:
        assert states.wrongs_of(state, db) == []


def test_the_control_a_migration_without_names_is_found(tmp_path):
    db = lived(0)
    migrated(db)
    db.execute("DELETE FROM record WHERE told = 'name'")
    with contextlib.closing(HostState(tmp_path)) as state:
        assert states.wrongs_of(state, db) != []


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
