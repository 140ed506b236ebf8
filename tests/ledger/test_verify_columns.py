"""Every column of every table of a ledger is doctored, one by one: `gateway verify --vault` finds it, or the manual says why
it cannot (`gateway help verify`). A new table, or column, has to be in one of the two.
"""

import contextlib
import os
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from support import inside
from support.everybody import AT, story
from support.people import email, named, phone
from support.tampering import laid_open

from gateway.app import composition
from gateway.app.state_check import following
from gateway.desk import notices
from gateway.fold.record import NoticeBounced, NoticeGiven
from gateway.keys import secret_files
from gateway.keys.person_keys import Vault
from gateway.ledger.acts import links, office_acts, records
from gateway.ledger.acts.office_acts import Belief, ListedRequest, ListPart
from gateway.ledger.audit import verify
from gateway.ledger.log_records import all_sides
from gateway.ledger.side import REWRITE, pack_side
from gateway.ledger.subjects import Choice, milliseconds
from gateway.state.upkeep import HostState
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, NoticeKind, Told

COMPARED = {
    "deletion_row", "detail", "entry", "head", "link_event", "mention_piece", "mention_run", "side", "told_event",
    "void_act", "voided_choice", "voided_ui",
}  # fmt: skip
ELSEWHERE = {"tile": "test_verify", "restated": "test_prune"}  # of more entries than here
# What no entry says: the manual has each by its name.
LOOSE = {
    ("deletion_row", "id"), ("deletion_row", "matched"), ("detail", "kind"), ("detail", "received"),
    ("detail", "request"),
    ("link_event", "at"), ("link_event", "turn"), ("link_event", "until"), ("side", "anew"), ("side", "mark"),
    ("mention_run", "level"),
}  # fmt: skip
# What lies in no row here: one number that cannot be another, and what the manual has with what is beside it.
UNSAID = {
    ("head", "one"), ("mention_run", "becomes"),
    ("deletion_row", "decided"), ("deletion_row", "answered"), ("deletion_row", "answered_at"),
}  # fmt: skip
MANUAL = (Path(composition.__file__).parent.parent / "manual" / "verify.md").read_text()


def everything(house):
    """An entry of every kind whose rows are compared."""
    story(house)
    people, now = house.consent.people, milliseconds(AT)

    def who(kind, value):
        return people.name([named(kind, value)]).subjects[0]

    belief = Belief(b"b" * 32, ("Ada Park", "Ben Cole"))
    part = ListPart("US-CA", "f.csv", "email", date(2026, 11, 20), AT)
    listed = [ListedRequest(str(number), who("email", email(number)).key) for number in (7, 8, 9, 10)]
    over = replace(part, file="g.csv", at=AT + timedelta(minutes=3))
    later = replace(part, file="h.csv", at=AT + timedelta(minutes=5))
    letter = Choice(ChoiceKind.OPT_OUT, SIGNAL_PURPOSES, "letter", AT, received=AT)
    for job in (
        lambda tx: records.write_choice(tx, who("email", email(9)), letter, os.urandom(16)),
        lambda tx: office_acts.void_consents(tx, "dark", b"h" * 32, AT),
        lambda tx: office_acts.void_consents(tx, "darker", b"h" * 32, AT),
        lambda tx: office_acts.void_choices(tx, [2, 3], belief, AT),
        lambda tx: office_acts.void_choices(tx, [4], belief, AT),
        lambda tx: notices.note_told(
            tx, who("account", "ann"), NoticeKind.PRIVACY, AT.date(), Told.SENT, AT, os.urandom(16)
        ),
        lambda tx: notices.note_told(
            tx, who("account", "ben"), NoticeKind.CPNI, date(2026, 11, 1), Told.BOUNCED, AT, os.urandom(16)
        ),
        lambda tx: links.release(tx, who("phone", phone(1)), now),
        lambda tx: office_acts.take_part(tx, part, listed, {}),
        lambda tx: office_acts.end_part(tx, over, listed[:2]),
        lambda tx: office_acts.end_part(tx, later, listed[2:3]),
    ):
        house.writer.submit(job).result(60)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("columns")
    composition.migrate(folder)
    with composition.open_house(folder, inside.settings(), dev=True) as house:
        everything(house)
        epoch = house.keeper.state.epoch
    with (
        laid_open(folder) as db,
        contextlib.closing(HostState(folder, epoch)) as state,
        contextlib.closing(Vault(folder, secret_files.load_secrets(folder).wraps)) as vault,
    ):
        yield db, state, vault


def told(whole):
    db, state, vault = whole
    with following(db, state) as now:
        return [*verify.examine(db, lambda _: None, vault, now.look(db)).different, *([] if now.moment else [now.why])]


def keys_of(db, table):
    """What a row is told by."""
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[5]] or ["rowid"]


def columns(db, table):
    return [(row[1], row[2]) for row in db.execute(f"PRAGMA table_info({table})")]


def doctored(db, table):
    """The ways, by the column: another value in one row, and that of another row; no column: a row is gone."""
    keys = ", ".join(keys_of(db, table))
    yield "", f"DELETE FROM {table} WHERE ({keys}) = (SELECT {keys} FROM {table} LIMIT 1)"
    for column, kind in columns(db, table):
        other = {
            "INTEGER": "CASE {0} WHEN 1 THEN 0 ELSE {0} + 60000 END",
            "TEXT": "{0} || 'x'",
            "BLOB": "CASE {0} WHEN x'' THEN x'78' ELSE zeroblob(length({0})) END",
        }[kind].format(column)
        one = f"SELECT {keys} FROM {table} WHERE {column} IS NOT NULL ORDER BY 1 LIMIT 1"
        yield column, f"UPDATE OR IGNORE {table} SET {column} = {other} WHERE ({keys}) = ({one})"
        its = f"SELECT {column} FROM {table} WHERE ({keys}) = ({one})"
        unlike = f"SELECT {column} FROM {table} WHERE {column} <> ({its}) LIMIT 1"
        yield (
            column,
            f"UPDATE OR IGNORE {table} SET {column} = ({unlike}) WHERE ({keys}) = ({one}) AND EXISTS ({unlike})",
        )


def is_found(whole, sql):
    """None: it changes nothing."""
    db = whole[0]
    db.execute("BEGIN")
    try:
        return bool(told(whole)) if db.execute(sql).rowcount else None
    finally:
        db.execute("ROLLBACK")


def test_without_a_fault_nothing_is_found(whole):
    """Control."""
    assert told(whole) == []


@pytest.mark.parametrize("table", sorted(COMPARED))
def test_whatever_is_changed_gone_or_another_rows_is_found_or_the_manual_says_that_it_is_not(whole, table):
    ways = [way for way in doctored(whole[0], table) if table != "head" or way[0]]  # without it there is no ledger
    found = [(column, is_found(whole, sql)) for column, sql in ways]
    assert any(each for _, each in found)
    changed = {column for column, each in found if each is not None}
    never = {column for column, _ in columns(whole[0], table)} - changed
    assert never == {column for of, column in UNSAID if of == table}, "what nothing here changes is held by nothing"
    assert {column for column, each in found if each is False} == {column for of, column in LOOSE if of == table}


def test_a_notice_that_came_back_and_is_told_as_one_that_was_given_is_found_and_the_other_way_round(whole):
    """By what their sealed details say, with no state that would show it."""
    db, _, vault = whole
    for word, other in ((NoticeBounced, NoticeGiven), (NoticeGiven, NoticeBounced)):
        db.execute("BEGIN")
        said_as_another(db, word, other)
        [found] = verify.examine(db, lambda _: None, vault).different
        db.execute("ROLLBACK")
        assert found.endswith("do not open to what it commits to"), word


def said_as_another(db, word, other):
    """What the two say is alike but for the word."""
    [row] = [row for row in all_sides(db) if any(isinstance(each.said, word) for each in row.records())]
    said = [each._replace(said=other(*each.said)) if isinstance(each.said, word) else each for each in row.records()]
    db.execute(REWRITE, (pack_side(said, row.side.at, row.side.peppers), row.place))


def test_every_other_table_and_column_has_its_name_in_the_manual(whole):
    rows = whole[0].execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    others = {name for (name,) in rows} - COMPARED - {*ELSEWHERE}
    named_there = MANUAL[MANUAL.index("What it does not prove") : MANUAL.index("Whoever hangs together")]
    assert {name for name in others if f"`{name}`" not in named_there} == set()
    assert {each for each in LOOSE if f"`{'.'.join(each)}`" not in named_there} == set()
