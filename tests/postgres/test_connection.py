"""A connection to PostgreSQL in sqlite3's clothes: what it answers, what it takes for committed, whose ledger it is."""

import os
import socket
import sqlite3
import threading
import time
from functools import partial

import psycopg
import pytest
from support import postgres_server

from gateway.ledger import log_records
from gateway.ledger.folder_store import store_in
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


@pytest.mark.parametrize(
    ("was", "then"), [("off", "on"), ("local", "on"), ("remote_write", "on"), ("remote_apply", "remote_apply")]
)
def test_no_setting_of_a_role_has_a_commit_reported_before_it_is_kept(url, was, then):
    with psycopg.connect(url, autocommit=True) as office:
        office.execute("CREATE ROLE tuned LOGIN SUPERUSER")
        try:
            office.execute(f"ALTER ROLE tuned SET synchronous_commit = {was}")
            for writes in (True, False):
                db = PostgresConnection(url.replace("//postgres@", "//tuned@"), "rows", writes=writes)
                assert db.execute("SHOW synchronous_commit").fetchone() == (then,)
                db.end()
        finally:
            office.execute("DROP ROLE tuned")


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


def test_a_limit_below_nothing_is_none_and_a_new_rows_number_is_told(db):
    db.execute("CREATE TABLE numbered (id INTEGER PRIMARY KEY, w TEXT) STRICT")
    given = "INSERT INTO numbered (w) VALUES (?) RETURNING id"
    assert [db.execute(given, (word,)).fetchone() for word in "abc"] == [(1,), (2,), (3,)]
    counted = [len(db.execute("SELECT id FROM numbered LIMIT ?", (most,)).fetchall()) for most in (-1, 0, 2)]
    assert counted == [3, 0, 2]


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


def test_a_commit_of_a_transaction_in_which_a_refusal_was_passed_over_is_not_taken_for_one(db):
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO t (n) VALUES (1)")
    for sql in ("INSERT INTO t (n) VALUES (1)", "SELECT 1"):
        with pytest.raises(sqlite3.Error):
            db.execute(sql).fetchone()
    with pytest.raises(sqlite3.Error):
        db.execute("COMMIT")
    assert not db.in_transaction
    assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_what_stood_behind_a_refused_statement_was_not_run_and_is_not_nothing(db):
    db.execute("BEGIN IMMEDIATE")
    sent = []
    with pytest.raises(sqlite3.Error):
        for sql in ("INSERT INTO nowhere VALUES (1)", "SELECT 1", "SELECT 1"):
            sent.append(db.execute(sql))
        sent[0].fetchone()
    for each in sent[1:]:
        with pytest.raises(sqlite3.Error):
            each.fetchone()
    db.execute("ROLLBACK")


def test_whom_a_connection_forgot_it_remembers_alone_and_no_table_of_the_server_does(db, url):
    log_records.watch_deletes(db)
    db.execute("BEGIN IMMEDIATE")
    log_records.remember_forgotten(db, 3, [b"ann"])
    db.execute("COMMIT")
    assert db.execute("SELECT place, key FROM temp.forgotten").fetchall() == [(3, b"ann")]
    other = PostgresConnection(url, "rows", writes=False)
    assert other.execute("SELECT name FROM sqlite_schema ORDER BY name").fetchall() == [("t",)]
    other.end()
    log_records.forget_deletes(db)
    assert db.execute("SELECT place FROM temp.forgotten").fetchall() == []


def test_a_machine_that_is_gone_is_not_waited_for_for_a_quarter_of_an_hour(url):
    for more, wanted in (("", 10_000), ("?tcp_user_timeout=7000", 7000)):
        made = PostgresConnection(url + more, "rows", writes=False)
        with socket.socket(fileno=os.dup(made._db.fileno())) as end:
            assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == wanted
        made.end()


def committed_while_the_standby_is_away(db, url, *, alone=False):
    """A commit whose wait for its standby was cancelled: the server reports it as done. `alone`: of one statement,
    without a transaction around it.
    """
    with psycopg.connect(url, autocommit=True) as office:
        office.execute("ALTER SYSTEM SET synchronous_standby_names = 'away'")
        try:
            office.execute("SELECT pg_reload_conf()")
            outcome = []
            for number in range(1000):  # until the server has read it, a commit waits for nobody
                last = partial(db.execute, "INSERT INTO t (n) VALUES (?)", (number,))
                if not alone:
                    db.execute("BEGIN IMMEDIATE")
                    last()
                    last = partial(db.execute, "COMMIT")
                thread = threading.Thread(target=_tried, args=(outcome, last))
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


@pytest.mark.parametrize("alone", [False, True])
def test_a_commit_that_no_longer_waited_for_the_standby_is_not_taken_for_one(db, url, alone):
    assert isinstance(committed_while_the_standby_is_away(db, url, alone=alone), PostgresError)
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


def test_a_server_that_reads_a_table_by_several_workers_refuses_no_function_of_ours(db):
    """Of a large ledger it does so by itself, as it makes an index, too."""
    db.execute("CREATE TABLE many (body BLOB NOT NULL) STRICT")
    db.execute("INSERT INTO many SELECT CAST('{\"i\":' || n || '}' AS BLOB) FROM generate_series(1, 20000) n")
    for name in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
        db.execute(f"SET {name} = 0")
    valid = "json_valid(CAST(body AS TEXT))"
    assert db.execute(f"SELECT count(*) FROM many WHERE {valid}").fetchone() == (20000,)
    db.execute(
        f"CREATE INDEX many_body ON many (json_extract(CAST(body AS TEXT), '$.i')) WHERE CASE WHEN {valid} THEN 1 END = 1"
    )


def test_whoever_begins_to_write_waits_until_the_standby_has_what_the_server_shows(postgres, tmp_path):
    """Of a server that was started anew nobody knows it otherwise: it shows commits that no standby has."""
    store, opened = store_in(postgres_server.installed(postgres, tmp_path / "data")), []
    with psycopg.connect(postgres_server.office_url(store.folder), autocommit=True) as office:
        office.execute("ALTER SYSTEM SET synchronous_standby_names = 'away'")
        try:
            office.execute("SELECT pg_reload_conf()")
            for _ in range(100):  # until the server has read it
                thread = threading.Thread(target=lambda: opened.append(store.open_to_write()))
                thread.start()
                if until(partial(_waiting, office, thread)) is not True:
                    break
                opened.pop().close()
            assert (opened, thread.is_alive()) == ([], True)
        finally:
            office.execute("ALTER SYSTEM RESET synchronous_standby_names")
            office.execute("SELECT pg_reload_conf()")
        thread.join(60)
    opened.pop().close()


def many_behind(db, forgets):
    """Many rows again and again, behind a statement on which the driver forgets what it prepared."""
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT INTO t (n) VALUES (?)", [(each,) for each in range(100)])
    for each in forgets:
        db.execute(each)
    assert db.execute("SELECT 1").fetchone() == (1,)  # until here all has been heard
    for begun in range(1000, 1300, 100):
        db.executemany("INSERT INTO t (n) VALUES (?)", [(begun + each,) for each in range(100)])
    db.execute("COMMIT")
    return db.execute("SELECT count(*) FROM t").fetchone()


FORGETS = {
    "a table gone": ("CREATE TEMP TABLE gone (n INTEGER) STRICT", "DROP TABLE temp.gone"),
    "a job taken back": ("SAVEPOINT job", "INSERT INTO t (n) VALUES (9999)", "ROLLBACK TO job", "RELEASE job"),
}


@pytest.mark.parametrize("forgets", FORGETS.values(), ids=FORGETS)
def test_many_rows_are_written_behind_what_makes_the_driver_forget_its_statements(db, forgets):
    assert many_behind(db, forgets) == (400,)


def test_a_driver_that_is_not_made_to_forget_at_once_takes_what_is_gone_for_prepared(db, monkeypatch):
    """Control."""
    monkeypatch.setattr(PostgresConnection, "_forget_prepared", lambda _: None)
    with pytest.raises(PostgresError, match="prepared statement"):
        many_behind(db, FORGETS["a table gone"])
