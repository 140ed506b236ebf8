"""A connection to PostgreSQL in sqlite3's clothes: what it answers, what it takes for committed, whose ledger it is."""

import sqlite3
import threading
import time
from functools import partial

import psycopg
import pytest
from support import postgres_server

from gateway.postgres.connection import PostgresConnection, PostgresError

pytestmark = pytest.mark.slow
WAITS = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = %s"


@pytest.fixture
def url(postgres):
    return postgres_server.fresh_url(postgres)


@pytest.fixture
def db(url):
    made = PostgresConnection(url, "rows", writes=True)
    made.make()
    made.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB, w TEXT) STRICT")
    yield made
    made.end()


def until(look):
    end = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def test_rows_come_back_as_sqlite_gives_them(db):
    db.execute("BEGIN IMMEDIATE")
    assert db.in_transaction
    assert db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(1, b"\x00\xff", "a"), (2, None, "\u00e4")]).rowcount == 2
    assert db.execute("UPDATE t SET b = x'01' WHERE n = ?2 AND w = ?1", ("a", 1)).rowcount == 1
    db.execute("COMMIT")
    assert not db.in_transaction
    assert [*db.execute("SELECT * FROM t ORDER BY n")] == [(1, b"\x01", "a"), (2, None, "\u00e4")]
    assert db.execute("SELECT sum(n), max(n > 1), min(n, 1) FROM t GROUP BY n ORDER BY n").fetchone() == (1, 0, 1)
    assert db.execute("SELECT 1 FROM t WHERE n = 9").fetchone() is None
    assert db.execute("SELECT n FROM t WHERE n > :low", {"low": 1}).fetchall() == [(2,)]


def test_what_is_read_within_one_moment_is_fetched_by_parts_and_stays(db, url):
    db.executemany("INSERT INTO t (n) VALUES (?)", [(each,) for each in range(5000)])
    reader = PostgresConnection(url, "rows", writes=False)
    reader.execute("BEGIN")
    rows = iter(reader.execute("SELECT n FROM t ORDER BY n"))
    assert next(rows) == (0,)
    db.execute("DELETE FROM t")
    assert len(reader.execute("SELECT n FROM t").fetchmany(4000)) == 4000
    assert sum(1 for _ in rows) == 4999
    with pytest.raises(sqlite3.Error):
        reader.execute("DELETE FROM t").fetchone()
    reader.end()


def test_a_refused_statement_takes_the_transaction_and_tells_no_value(db):
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO t (n, w) VALUES (1, 'ann@example.com')")
    with pytest.raises(sqlite3.IntegrityError) as refused:
        db.execute("INSERT INTO t (n, w) VALUES (1, 'ann@example.com')").rowcount  # noqa: B018
    assert "ann" not in str(refused.value)
    db.execute("ROLLBACK")
    assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_what_was_refused_is_told_at_the_commit_at_the_latest(db):
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO nowhere VALUES (1)")
    with pytest.raises(sqlite3.Error):
        db.execute("COMMIT")
    db.execute("ROLLBACK")
    assert db.execute("SELECT 1").fetchone() == (1,)


def committed_while_the_standby_is_away(db, url):
    """A commit whose wait for its standby was cancelled: the server reports it as done."""
    with psycopg.connect(url, autocommit=True) as office:
        office.execute("ALTER SYSTEM SET synchronous_standby_names = 'away'")
        try:
            office.execute("SELECT pg_reload_conf()")
            outcome = []
            for number in range(1000):  # until the server has read it, a commit waits for nobody
                db.execute("BEGIN IMMEDIATE")
                db.execute("INSERT INTO t (n) VALUES (?)", (number,))
                thread = threading.Thread(target=_tried, args=(outcome, lambda: db.execute("COMMIT")))
                thread.start()
                waits = until(partial(_waiting, office, thread))
                if waits is not True:
                    office.execute("SELECT pg_cancel_backend(%s)", waits)
                    thread.join(60)
                    return outcome[-1]
                thread.join(60)
        finally:
            office.execute("ALTER SYSTEM RESET synchronous_standby_names")
            office.execute("SELECT pg_reload_conf()")
    raise AssertionError("no commit ever waited")


def _waiting(office, thread):
    """The backend that waits for its standby; True: it waited for nobody."""
    return office.execute(WAITS, (office.info.dbname,)).fetchone() or not thread.is_alive()


def _tried(outcome, call):
    try:
        call()
    except sqlite3.Error as error:
        outcome.append(error)
    else:
        outcome.append(None)


def test_a_commit_that_no_longer_waited_for_the_standby_is_not_taken_for_one(db, url):
    assert isinstance(committed_while_the_standby_is_away(db, url), PostgresError)
    assert not db.usable


def test_the_control_a_connection_that_hears_no_notice_takes_it_for_one(db, url, monkeypatch):
    monkeypatch.setattr(db, "_noticed", None)
    db._db.remove_notice_handler(db._db._notice_handlers[0])
    assert committed_while_the_standby_is_away(db, url) is None


def test_the_ledger_is_one_machines_and_another_takes_it_over(url):
    first, second = (PostgresConnection(url, "shared", number, writes=True) for number in (11, 22))
    first.make()
    second.make()
    assert first.is_ours()
    assert not second.is_ours()
    for does in (second.prove_host, lambda: second.execute("BEGIN IMMEDIATE")):
        with pytest.raises(sqlite3.Error, match="another machine"):
            does()
    first.execute("BEGIN IMMEDIATE")
    first.execute("COMMIT")
    second.end()
    second = PostgresConnection(url, "shared", 22, writes=True)
    second.take_over()
    with pytest.raises(sqlite3.Error, match="another machine"):
        first.execute("BEGIN IMMEDIATE")
    assert not first.answers()
    second.execute("BEGIN IMMEDIATE")
    second.execute("COMMIT")
    first.end()
    second.end()
