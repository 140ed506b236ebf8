"""One fault at a time, in every row and column of people whose rows `gateway verify` looks at all at once."""

import contextlib

import pytest
from support import inside
from support.everybody import story
from support.tampering import laid_open

from gateway.app import composition
from gateway.ledger import verify
from gateway.ledger.standing_rows import ROW_TABLES

# Somebody of every sort: by an entry that is about them, or by a way to one who said nothing.
WHO = {
    "a browser with GPC": "SELECT key FROM detail WHERE seq = 2",
    "an address that changed its mind": "SELECT key FROM detail WHERE seq = 10",
    "a digest of that address": "SELECT min(alias) FROM name WHERE canonical = (SELECT key FROM detail WHERE seq = 10)",
    "a phone of an account, that spoke": "SELECT key FROM detail WHERE seq = 14",
    "a digest of that phone": "SELECT min(alias) FROM name WHERE canonical = (SELECT key FROM detail WHERE seq = 14)",
    "a device of the account": "SELECT key FROM detail WHERE seq = 13",
    "the account": "SELECT min(account) FROM link",
}
OTHER = {"state": 2, "purpose": "profiling", "age_band": "adult", "held": "device"}
A_ROW = {
    "own_choice": ("profiling", 1, 3, 5, None, "", 0, 0),
    "travelled_choice": ("profiling", b"o" * 16, b"v" * 16, 3),
    "device_state": ("device", "sale", 3),
    "grant_choice": ("teemo", "sale", "ad_id", "opted_in", 3, None, ""),
    "told": ("privacy", 20_000, 3),
    "age": ("adult", "adult", 3, 0),
    "link": (b"i" * 16, 5, None, 3, None, 0),
    "release": (3,),
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """A ledger whose changes are taken back one after the other."""
    folder = tmp_path_factory.mktemp("planted")
    composition.migrate(folder)
    with composition.open_house(folder, inside.settings(), dev=True) as house:
        story(house)
    with laid_open(folder) as db:
        yield db


@contextlib.contextmanager
def planted(db, sql, values=()):
    """What is found after one statement; it is taken back."""
    db.execute("BEGIN")
    try:
        assert db.execute(sql, values).rowcount, sql
        yield verify.examine(db, lambda _: None, None).different
    finally:
        db.execute("ROLLBACK")


def other(column, value):
    if column in OTHER and value != OTHER[column]:
        return OTHER[column]
    if isinstance(value, bytes):
        return b"x" * 16
    if column == "changed":
        return 0
    return 7 if value is None else "other" if isinstance(value, str) else value + 1


def rows_of(db, who):
    """(table, where, values, columns, row) of everything of somebody."""
    key = db.execute(WHO[who]).fetchone()[0]
    for table, columns in ROW_TABLES.items():
        where = " AND ".join(f"{column} IS ?" for column in columns)
        for row in db.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE {columns[0]} = ?", (key,)).fetchall():
            yield table, where, columns, row


def test_without_a_fault_nothing_is_found(ledger):
    """Control."""
    with planted(ledger, "UPDATE head SET one = 1") as found:
        assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("who", WHO)
def test_a_row_with_another_value_in_any_column_is_found(ledger, who):
    tried = 0
    for table, where, columns, row in list(rows_of(ledger, who)):
        for column, value in zip(columns, row, strict=True):
            changed = (other(column, value), *row)
            with planted(ledger, f"UPDATE {table} SET {column} = ? WHERE {where}", changed) as found:
                assert found, (table, column, value)
            tried += 1
    assert tried >= 20


@pytest.mark.parametrize("who", WHO)
def test_a_row_that_is_missing_is_found(ledger, who):
    for table, where, _, row in list(rows_of(ledger, who)):
        with planted(ledger, f"DELETE FROM {table} WHERE {where}", row) as found:
            assert found, (table, row)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("table", A_ROW)
def test_a_row_too_many_is_found(ledger, who, table):
    key = ledger.execute(WHO[who]).fetchone()[0]
    columns = ROW_TABLES[table]
    into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    with planted(ledger, into, (key, *A_ROW[table])) as found:
        assert any(text.startswith(table) for text in found), found


MOVED = {
    "an own choice to a stranger": "UPDATE own_choice SET key = randomblob(16) WHERE seq = 2 AND purpose = 'sale'",
    "an own choice to somebody known": "UPDATE own_choice SET key = (SELECT min(account) FROM link) WHERE seq = 2"
    " AND purpose = 'sharing'",
    "a travelled row to a browser": "UPDATE travelled_choice SET key = (SELECT key FROM detail WHERE seq = 2)"
    " WHERE purpose = 'sale' AND key = (SELECT key FROM detail WHERE seq = 13)",
    "a standing to a stranger": "UPDATE standing SET key = randomblob(16) WHERE seq = 4",
    "a link to another account": "UPDATE link SET account = randomblob(16) WHERE identifier = (SELECT key FROM detail"
    " WHERE seq = 13)",
    "what two browsers said to each other": "UPDATE detail SET key = (SELECT key FROM detail d WHERE d.seq ="
    " 5 - detail.seq) WHERE seq IN (2, 3)",
    "the events of two entries": "UPDATE detail SET event = randomblob(16) WHERE seq IN (2, 3)",
    "an entry's time within its minute": "UPDATE detail SET at = at + 1 WHERE seq = 2",
    "an entry's time to another minute": "UPDATE detail SET at = at + 60000 WHERE seq = 2",
    # Rows that look like those of a simple person once their columns are written one after the other.
    "a purpose that holds an entry": "UPDATE travelled_choice SET purpose = 'sale:1', seq = 4 WHERE purpose = 'sale'"
    " AND key = (SELECT key FROM detail WHERE seq = 13)",
    "an origin that holds a part of the via": "UPDATE travelled_choice SET origin = substr(origin, 1, 15), via ="
    " CAST(substr(origin, 16, 1) || via AS BLOB) WHERE purpose = 'sale' AND key = (SELECT key FROM detail WHERE seq = 13)",
    "an own choice of no known purpose": "UPDATE own_choice SET purpose = 'other' WHERE seq = 2 AND purpose = 'sale'",
    "two rows in the words of one": "UPDATE travelled_choice SET purpose = (SELECT 'sale:' || seq || ',' || CAST(origin"
    " || via AS TEXT) || 'sharing' FROM travelled_choice t WHERE t.key = travelled_choice.key AND purpose = 'sale')"
    " WHERE purpose = 'sharing' AND key = (SELECT key FROM detail WHERE seq = 13)",
}


@pytest.mark.parametrize("what", MOVED)
def test_what_was_moved_to_somebody_else_or_written_otherwise_is_found(ledger, what):
    with planted(ledger, MOVED[what]) as found:
        assert found
    if what == "two rows in the words of one":
        with planted(ledger, "DELETE FROM travelled_choice WHERE purpose = 'sale'") as found:
            assert found
