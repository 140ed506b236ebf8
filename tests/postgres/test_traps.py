"""What a server, its operator or its settings do to a connection of ours, one by one: nothing of it passes for a commit,
and none of it keeps the gateway from going on with a new connection.
"""

import contextlib
import re
import socket
import sqlite3
import threading
import time

import psycopg
import pytest
from support import postgres_server
from support.postgres_proxy import PostgresProxy

from gateway.ledger.errors import LedgerRefused
from gateway.ledger.folder_store import store_in
from gateway.postgres import address
from gateway.postgres.connection import PostgresConnection
from gateway.postgres.silence import HeardConnection

pytestmark = pytest.mark.slow


@pytest.fixture
def url(postgres):
    return postgres_server.fresh_url(postgres)


def connected(url):
    made = PostgresConnection(url, "rows", writes=True)
    made.make()
    made.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY) STRICT")
    return made


def office(url, sql, *given):
    with psycopg.connect(url, autocommit=True) as db:
        return db.execute(sql, given)


def count(url):
    with psycopg.connect(url, autocommit=True) as db:  # a test's limits of transactions are not for it
        return db.execute("SELECT count(*) FROM rows.t").fetchone()[0]


def began(db):
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO t VALUES (1)").rowcount  # noqa: B018 - it has arrived


def test_time_limits_of_the_database_are_not_those_of_the_gateways_sessions(url):
    name = url.rpartition("/")[2]
    for limit in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        office(url, f"ALTER DATABASE {name} SET {limit} = '50ms'")
    with psycopg.connect(url) as control, pytest.raises(psycopg.errors.QueryCanceled):
        control.execute("SELECT pg_sleep(0.3)")
    db = connected(url)
    began(db)
    db.execute("SELECT pg_sleep(0.3)").fetchall()
    time.sleep(0.3)
    db.execute("COMMIT")
    office(url, f"ALTER DATABASE {name} RESET ALL")  # who counts may take its time
    assert count(url) == 1
    db.end()


def test_a_server_that_only_reads_is_none_to_write_to(url):
    connected(url).end()
    office(url, f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on")
    db = PostgresConnection(url, "rows", writes=True)
    with pytest.raises(sqlite3.Error, match="25006"):
        began(db)
    db.end()
    assert count(url) == 0


@pytest.mark.parametrize("how", ["SELECT pg_terminate_backend(%s)", "SELECT pg_cancel_backend(%s)"])
def test_a_session_that_is_ended_by_its_operator_has_kept_nothing_and_says_so(url, how):
    db = connected(url)
    began(db)
    office(url, how, db._db.info.backend_pid)
    time.sleep(0.1)
    if "cancel" in how:  # it came between two statements, and meant none
        db.execute("COMMIT")
        assert count(url) == 1
    else:
        with pytest.raises(sqlite3.Error):
            db.execute("COMMIT")
        assert (db.usable, count(url)) == (False, 0)
    db.end()


def test_who_stands_still_amid_a_transaction_is_ended_and_the_row_is_free(url, monkeypatch):
    monkeypatch.setattr("gateway.postgres.connection.WRITES_WITHIN", 200)
    db = connected(url)
    began(db)
    time.sleep(0.6)
    other = connected(url)
    began(other)
    other.execute("COMMIT")
    with pytest.raises(sqlite3.Error):
        db.execute("COMMIT")
    assert count(url) == 1
    for each in (db, other):
        each.end()


@pytest.mark.parametrize("ends", [True, False], ids=["ended", "control: nobody ends it"])
def test_who_stands_still_amid_statements_sent_together_is_ended_by_whoever_waits(url, monkeypatch, ends):
    """The server takes such a one for working: no time of its own ends it."""
    monkeypatch.setattr("gateway.postgres.connection.WRITES_WITHIN", 200)
    monkeypatch.setattr("gateway.postgres.silence.STANDS_STILL", 0.5 if ends else 3600.0)
    db, other = connected(url), connected(url)
    began(db)
    db.execute("INSERT INTO t VALUES (2)")
    other.execute("SET lock_timeout = 3000")
    with contextlib.nullcontext() if ends else pytest.raises(sqlite3.Error):
        began(other)
        other.execute("COMMIT")
    with pytest.raises(sqlite3.Error) if ends else contextlib.nullcontext():
        db.execute("COMMIT")
    assert count(url) == (1 if ends else 2)
    for each in (db, other):
        each.end()


def test_who_works_is_waited_for(url, monkeypatch):
    monkeypatch.setattr("gateway.postgres.silence.STANDS_STILL", 0.5)
    db, other = connected(url), connected(url)
    began(db)
    working = threading.Thread(target=lambda: db.execute("SELECT pg_sleep(3)").fetchall() and db.execute("COMMIT"))
    working.start()
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO t VALUES (2)")
    other.execute("COMMIT")
    working.join(60)
    assert count(url) == 2
    for each in (db, other):
        each.end()


def test_who_works_where_nobody_may_be_ended_is_waited_for(url, monkeypatch):
    monkeypatch.setattr("gateway.postgres.silence.STANDING", "SELECT no_such_function(%s, %s)")
    db = connected(url)
    assert db.execute("SELECT 7 FROM pg_sleep(4)").fetchone() == (7,)
    db.end()


def test_who_serves_holds_up_others_for_a_shorter_time(url, monkeypatch):
    monkeypatch.setattr("gateway.postgres.connection.SERVES_WITHIN", 200)
    db = connected(url)
    db.hasten()
    began(db)
    time.sleep(0.6)
    with pytest.raises(sqlite3.Error):
        db.execute("COMMIT")
    assert count(url) == 0
    db.end()


def test_who_folds_what_others_wrote_holds_up_nobody_and_may_take_as_long_as_it_takes(url, monkeypatch):
    monkeypatch.setattr("gateway.postgres.connection.SERVES_WITHIN", 200)
    db = connected(url)
    db.hasten()
    with db.moment():
        assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)
        time.sleep(0.6)
        assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)
    assert db.execute("SELECT current_setting('idle_in_transaction_session_timeout')").fetchone() == ("200ms",)
    db.end()


def test_who_listens_hears_behind_any_silence(url):
    db = connected(url)
    db.listen()
    assert [db.heard(0.05) for _ in range(3)] == [False] * 3
    office(url, "SELECT pg_notify('gateway_ledger', '7')")
    assert db.heard(5)
    assert not db.heard(0)
    db.end()


def test_a_host_that_accepts_and_says_nothing_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address.name_url(tmp_path, f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none")
        began_at = time.monotonic()
        with pytest.raises(LedgerRefused, match="cannot be used now"):
            store_in(tmp_path).open_to_write()
        assert time.monotonic() - began_at < 10


def test_of_two_hosts_the_one_that_says_nothing_is_passed_over(url):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, _, rest = url.rpartition("@")[2].partition("/")
        both = (
            f"postgresql://postgres@127.0.0.1:{silent.getsockname()[1]},{host}/{rest}?target_session_attrs=read-write"
        )
        db = connected(both)
        began(db)
        db.execute("COMMIT")
        db.end()
    assert count(url) == 1


def test_of_a_machine_that_says_nothing_no_other_one_is_asked_what_it_is_at(url):
    """The other one would answer, and of its own sessions: here it is the same server, beside the way that is closed."""
    proxy = PostgresProxy(url)
    host = re.search(r"@([^/]+)/", url)[1]
    db = connected(re.sub("@([^/]+)/", rf"@\1,{host}/", proxy.url))
    began(db)
    threading.Timer(0.5, setattr, (proxy, "frozen", True)).start()
    began_at = time.monotonic()
    with pytest.raises(sqlite3.Error):
        db.execute("SELECT pg_sleep(30)").fetchall()
    assert time.monotonic() - began_at < 20
    proxy.close()
    db.end()


def test_what_takes_long_on_the_server_and_a_commit_that_waits_for_its_standby_are_left_alone(url):
    db = connected(url)
    began(db)
    office(url, "ALTER SYSTEM SET synchronous_standby_names = 'away'")
    try:
        office(url, "SELECT pg_reload_conf()")
        db.execute("SELECT pg_sleep(2.5)").fetchall()
        waiting = threading.Thread(target=db.execute, args=("COMMIT",))
        waiting.start()
        waiting.join(5)
        assert (waiting.is_alive(), db.usable) == (True, True)
    finally:
        office(url, "ALTER SYSTEM RESET synchronous_standby_names")
        office(url, "SELECT pg_reload_conf()")
    waiting.join(60)
    assert (count(url), db.usable) == (1, True)
    db.end()


def test_the_control_that_nobody_is_asked_what_the_server_is_at_cuts_off_what_takes_long(url, monkeypatch):
    monkeypatch.setattr(HeardConnection, "_works", lambda _: False)
    db = connected(url)
    with pytest.raises(sqlite3.Error):
        db.execute("SELECT pg_sleep(30)")
    db.end()
