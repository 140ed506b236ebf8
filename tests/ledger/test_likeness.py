"""Of people who are alike one is asked for: whoever is not quite like them is looked at, and what is said of one holds
for the others.
"""

import os

import pytest
from support import inside
from support.everybody import AT, story
from support.people import email, named, phone
from support.tampering import laid_open

from gateway.app import composition
from gateway.ledger import links, records, rows_check, verify
from gateway.ledger.links import Span
from gateway.ledger.standing_rows import ROW_TABLES
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind

ALIKE = 3  # households, each an account with a phone, an address and a device that its phone said no for


def household(house, number, speak=1):
    people, now = house.consent.people, milliseconds(AT)
    names = ("account", f"person{number}"), ("phone", phone(10 + number)), ("email", email(10 + number))
    names += (("gaid", f"38400000-8cf0-11bd-b23e-{number:012x}"),)
    account, *things = (people.name([named(*name)]).subjects[0] for name in names)
    said = Choice(ChoiceKind.OPT_OUT, SIGNAL_PURPOSES, "form", AT)
    house.writer.submit(lambda tx: links.link(tx, account, things, Span(now), now)).result(60)
    for thing in things[:speak]:
        house.writer.submit(lambda tx, thing=thing: records.write(tx, thing, said, os.urandom(16))).result(60)
    return [key for subject in (account, *things) for key in (*subject.keys, *subject.looser)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A ledger whose changes are taken back one after the other, and the keys of a household that is like others."""
    folder = tmp_path_factory.mktemp("alike")
    composition.migrate(folder)
    with composition.open_house(folder, inside.settings(), dev=True) as house:
        story(house)
        keys = [household(house, number) for number in range(ALIKE)][1]
    with laid_open(folder) as db:
        yield db, keys


def found(db, *statements):
    """What verify tells after some statements; they are taken back."""
    db.execute("BEGIN")
    try:
        for sql, values in statements:
            assert db.execute(sql, values).rowcount, sql
        return verify.examine(db, lambda _: None, None)
    finally:
        db.execute("ROLLBACK")


def test_households_that_are_alike_are_made_again_once(made):
    db, keys = made
    report = found(db)
    assert report.passed
    assert report.looked_at - report.replayed == 10 + (ALIKE - 1) * len(
        keys
    )  # and ten browsers, whom the fold tells of


def test_households_in_which_two_said_no_are_made_again_once_and_each_of_their_rows_is_looked_at(tmp_path):
    composition.migrate(tmp_path)
    with composition.open_house(tmp_path, inside.settings(), dev=True) as house:
        keys = [household(house, number, speak=2) for number in range(ALIKE)]
    with laid_open(tmp_path) as db:
        report = found(db)
        assert report.passed
        assert (report.looked_at, report.replayed) == (sum(map(len, keys)), len(keys[0]))
        rows = db.execute("SELECT key, purpose, origin, via FROM travelled_choice").fetchall()
        for row in rows[:: len(rows) // 5]:
            later = "UPDATE travelled_choice SET seq = seq + 1 WHERE (key, purpose, origin, via) = (?, ?, ?, ?)", row
            assert not found(db, later).passed, "each of several rows of a key counts"


def otherwise(column, value):
    if column in {"held", "purpose"}:
        return "device" if column == "held" else "profiling"
    if isinstance(value, bytes):
        return b"x" * 16
    return 7 if value is None else f"{value}x" if isinstance(value, str) else 0 if column == "changed" else value + 1


@pytest.mark.slow
def test_whoever_differs_in_any_column_of_any_row_is_like_nobody(made):
    db, keys = made
    tried = 0
    for table, columns in ROW_TABLES.items():
        where = " AND ".join(f"{column} IS ?" for column in columns)
        for key in (*keys[:3], keys[-1]):  # the account, its phone, a digest of that, the last one of the device
            sql = f"SELECT {', '.join(columns)} FROM {table} WHERE {columns[0]} = ?"
            for row in db.execute(sql, (key,)).fetchall():
                for column, value in zip(columns, row, strict=True):
                    change = f"UPDATE {table} SET {column} = ? WHERE {where}", (otherwise(column, value), *row)
                    assert not found(db, change).passed, (table, column, value)
                    tried += 1
                assert not found(db, (f"DELETE FROM {table} WHERE {where}", row)).passed, (table, row)
    assert tried > 60


MOVED = {
    "a no to another household": "UPDATE detail SET key = ?2 WHERE key = ?1 AND seq = (SELECT max(seq) FROM detail"
    " WHERE key = ?1)",
    "a link that began before": "UPDATE link_event SET start = start - 1 WHERE identifier = ?1 OR identifier = ?2",
    "a name of somebody else": "UPDATE name SET canonical = ?2 WHERE canonical = ?1",
}


@pytest.mark.parametrize("what", MOVED)
def test_whose_entries_say_something_else_is_like_nobody(made, what):
    db, keys = made
    spoke = next(
        key for key in keys if db.execute("SELECT count(*) FROM own_choice WHERE key = ?", (key,)).fetchone()[0]
    )
    assert not found(db, (MOVED[what], (spoke, b"s" * 16))).passed


def test_the_control_if_nobody_were_compared_with_whom_they_are_like_a_fault_would_pass(monkeypatch, made):
    db, _ = made
    accounts = db.execute("SELECT DISTINCT account FROM link").fetchall()
    faults = [("UPDATE standing SET own = 0, travelled = 0 WHERE key = ?", account) for account in accounts]
    assert not any(found(db, fault).passed for fault in faults)
    monkeypatch.setattr(rows_check.RowsCheck, "_differing", lambda *_: set())
    assert sum(found(db, fault).passed for fault in faults) >= ALIKE


def test_the_fold_alone_sees_a_no_that_no_row_says_and_a_yes_that_nobody_said(monkeypatch, made):
    """What the rules of the tables give is not asked for: they see nothing."""
    db, keys = made
    lifted = "UPDATE standing SET own = 0, travelled = 0 WHERE key = ?", (keys[0],)
    opened = "UPDATE standing SET own = own | 512 WHERE key = ?", (keys[0],)
    monkeypatch.setattr(rows_check, "of_keys", lambda *_: set())
    for fault in (lifted, opened):
        assert found(db, fault).different == [f"standing of key {keys[0].hex()[:8]}… is not what the entries give"]
    monkeypatch.setattr(rows_check, "too_open", lambda *_: set())
    assert found(db, lifted).passed, "control"
