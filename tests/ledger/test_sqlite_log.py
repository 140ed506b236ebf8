"""The log's file on SQLite: its settings, its lock, and what is found out about a file that is not the one it was."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import threading

import pytest
from support.log_engines import EPOCH, NOW, OnSqlite, batch, leaves, put, record, request

from gateway import disk
from gateway.ledger import schema
from gateway.ledger.engine import sqlite_log
from gateway.ledger.engine.sqlite_log import FILE, LogFile, LogProof
from gateway.ledger.errors import LedgerRefused, NothingKept, StoreUnavailable
from gateway.ledger.watch import FileMoved

pytestmark = pytest.mark.anyio


@pytest.fixture
async def engine(tmp_path):
    made = OnSqlite(tmp_path)
    await made.make()
    yield made
    await made.end()


@pytest.fixture
async def handle(engine):
    return await engine.open()


@pytest.fixture
def file(tmp_path):
    """The writing connection alone, in this thread."""
    with schema.held(tmp_path):
        sqlite_log.make_log(tmp_path, bytes(16), EPOCH)
        made = LogFile(tmp_path, LogProof(bytes(16)))
        yield made
        made.let_go()


def test_every_setting_is_read_back(file):
    db = file.opened().db
    assert {name: db.execute(f"PRAGMA {name}").fetchone()[0] for name in sqlite_log.SETTINGS} == sqlite_log.SETTINGS
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert (sqlite_log.SETTINGS["synchronous"], sqlite_log.SETTINGS["busy_timeout"]) == (2, 0)


def test_a_build_that_ignores_a_setting_is_not_trusted(file, monkeypatch):
    monkeypatch.setitem(sqlite_log.SETTINGS, "mmap_size", 7)
    monkeypatch.setitem(sqlite_log.SETTINGS, "no_such_setting", 1)
    with pytest.raises(LedgerRefused, match="reads back as"):
        file.opened()


def test_a_record_is_not_replaced_either(file):
    db = file.opened().db
    file.put(batch(request("a")))
    file.commit(b"")
    with file._begun(NOW) as tx:
        assert tx.head.size == 1
        for harm in ("INSERT OR REPLACE INTO record VALUES (0, x'', x'', x'', x'')", "DELETE FROM record"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(harm)
    db.execute("ROLLBACK")


def test_a_file_of_a_newer_version_is_left_alone(file):
    with contextlib.closing(sqlite3.connect(file._path)) as db:
        db.execute("PRAGMA user_version = 2")
    with pytest.raises(LedgerRefused, match="version 2"):
        file.opened()


@pytest.mark.parametrize("harm", ["DELETE FROM record WHERE seq = 1", "INSERT INTO record VALUES (2, '', '', '', '')"])
def test_a_head_that_is_not_of_its_records_is_refused(file, harm):
    file.opened()
    file.put(batch(request("a", "b")))
    file.commit(b"")
    file.let_go()
    with contextlib.closing(sqlite3.connect(file._path, isolation_level=None)) as db:
        db.execute("DROP TRIGGER record_kept")
        db.execute(harm.replace("''", "x''"))
    with pytest.raises(FileMoved, match="its head says 2"):
        LogFile(file._path.parent, LogProof(bytes(16))).opened()


async def test_a_loop_that_ends_waits_for_the_thread_that_commits(engine, handle):
    """The lock is not let go over a connection that still writes."""
    begun, go_on = engine.held_up(handle)
    caller = asyncio.create_task(put(handle, "a"))
    await asyncio.to_thread(begun.wait, 60)
    for task in handle._begun:
        task.cancel()
    await asyncio.sleep(0.02)
    with contextlib.ExitStack() as stack, pytest.raises(LedgerRefused, match="another process holds"):
        await asyncio.to_thread(stack.enter_context, schema.held(engine.where, 0))
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await leaves(handle) == [b"a"]


async def test_a_log_that_is_there_is_not_made_anew(engine, handle):
    await put(handle, "a")
    await asyncio.to_thread(sqlite_log.make_log, engine.where, os.urandom(16), EPOCH)
    assert await leaves(handle) == [b"a"]


# --- the lock of all writers ---


async def test_whoever_has_the_writers_lock_is_waited_for_in_a_thread(engine, handle):
    await put(handle, "a")
    with await asyncio.to_thread(contextlib.ExitStack().__enter__) as stack:
        await asyncio.to_thread(stack.enter_context, schema.held(engine.where))
        task = asyncio.create_task(put(handle, "b"))
        await asyncio.sleep(0.05)
        assert await leaves(handle) == [b"a"], "the loop goes on, and so does reading"
        assert not task.done()
    assert (await task)[0].first == 1


async def test_a_lock_that_is_not_let_go_ends_in_a_no_that_was_not_kept(engine, handle, monkeypatch):
    monkeypatch.setattr(sqlite_log, "PATIENCE", 0.05)
    lost = batch(request("b"))
    with contextlib.ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, schema.held(engine.where))
        with pytest.raises(NothingKept, match="another process holds"):
            await handle.append(lost)
    assert await handle.batch_outcome(lost.id) is None
    assert await handle.append(lost) == ((0, 1, True),)


async def test_nobody_touches_the_connection_while_it_commits(engine, handle):
    """A second batch waits in memory, and so does its BEGIN."""
    begun, go_on = engine.held_up(handle)
    first = asyncio.create_task(put(handle, "a"))
    await asyncio.to_thread(begun.wait, 60)
    put_while, honest = [], handle._file.put
    handle._file.put = lambda batch: (put_while.append(go_on.is_set()), honest(batch))[1]
    second = asyncio.create_task(put(handle, "b"))
    await asyncio.sleep(0.03)
    assert put_while == []
    go_on.set()
    assert (await first, await second) == (((0, 1, True),), ((1, 1, True),))
    assert put_while == [True]


async def test_statements_are_made_on_the_loop_and_the_commit_in_a_thread(engine, handle):
    where, honest = {}, handle._file.put
    handle._file.put = lambda batch: (where.update(put=threading.current_thread()), honest(batch))[1]
    engine.at_commit(handle, lambda: where.update(commit=threading.current_thread()))
    await put(handle, "a")
    assert where["put"] is threading.main_thread()
    assert where["commit"].name.startswith("log-writing")


# --- a file that is not the one it was ---


def moved_away(where, aside):
    (where / FILE).rename(aside / FILE)


def replaced(where, aside):
    (where / FILE).rename(aside / FILE)
    shutil.copy(aside / FILE, where / FILE)  # what is in its write-ahead log goes with the copy's


def cut(where, aside):
    shutil.copy(where / FILE, aside / FILE)
    os.truncate(where / FILE, 0)


def older_copy(where, aside):
    """Of before the last record, as an operator would put it back, with the log beside it taken away."""
    (where / FILE).rename(aside / FILE)
    shutil.copy(aside / "older", where / FILE)
    for name in (f"{FILE}-wal", f"{FILE}-shm"):
        (where / name).unlink(missing_ok=True)


async def with_an_older_copy(engine, aside):
    """A log of two records, open and tidied; what the file was with one of them lies aside."""
    handle = await engine.open()
    await put(handle, "a")
    await handle.close()
    await asyncio.to_thread(shutil.copy, engine.where / FILE, aside / "older")
    handle = await engine.open()
    await put(handle, "b")
    await engine.idle(handle)  # else what is brought over into the file makes one that was cut as long as it was
    return handle


HARMS = [moved_away, replaced, cut, older_copy]


@pytest.mark.parametrize("harm", HARMS, ids=lambda each: each.__name__)
async def test_a_file_that_was_changed_behind_our_back_takes_no_batch(engine, tmp_path_factory, harm):
    aside = tmp_path_factory.mktemp("aside")
    handle = await with_an_older_copy(engine, aside)
    await asyncio.to_thread(harm, engine.where, aside)
    lost = batch(request("c"))
    with pytest.raises(NothingKept):
        await handle.append(lost)
    if harm is replaced:  # by one that has everything: it goes on
        assert await leaves(handle) == [b"a", b"b"]
        assert (await put(handle, "d"))[0].first == 2
    else:
        with pytest.raises(StoreUnavailable):
            await handle.read(0, 10)


@pytest.mark.parametrize("harm", HARMS, ids=lambda each: each.__name__)
async def test_what_is_committed_into_a_file_that_is_gone_is_not_acknowledged(engine, tmp_path_factory, harm):
    aside = tmp_path_factory.mktemp("aside")
    handle = await with_an_older_copy(engine, aside)
    engine.at_commit(handle, after=lambda: harm(engine.where, aside))
    with pytest.raises(NothingKept):
        await put(handle, "c")


async def test_once_the_right_file_is_back_it_goes_on(engine, handle, tmp_path_factory):
    aside = tmp_path_factory.mktemp("aside")
    await put(handle, "a")
    await asyncio.to_thread(moved_away, engine.where, aside)
    with pytest.raises(NothingKept, match="put it back"):
        await put(handle, "b")
    (aside / FILE).rename(engine.where / FILE)
    assert (await put(handle, "c"))[0].first == 1
    assert await leaves(handle) == [b"a", b"c"]


# --- a commit that failed ---


async def test_after_a_commit_that_failed_nothing_is_trusted_before_the_log_was_written_back(
    engine, handle, monkeypatch
):
    await put(handle, "a")
    happened, honest = [], disk.write_log_back
    monkeypatch.setattr(disk, "write_log_back", lambda path: (happened.append(path.name), honest(path)))
    engine.breaks_once(handle, kept=True)
    assert (await put(handle, "b"))[0].first == 1
    assert happened == [f"{FILE}-wal"]
    await put(handle, "c")
    assert happened == [f"{FILE}-wal"], "once"


async def test_nothing_is_read_before_that_either(engine, handle, monkeypatch):
    """A process that died in a commit left it in memory; whoever starts and only reads would show it."""
    await put(handle, "a")
    happened, honest = [], disk.write_log_back
    monkeypatch.setattr(disk, "write_log_back", lambda path: (happened.append(path.name), honest(path)))
    for read in (lambda each: each.head(), leaves, lambda each: each.batch_outcome(bytes(16))):
        await read(await engine.open())
    assert happened == [f"{FILE}-wal"] * 3


async def test_a_disk_that_fails_at_that_too_keeps_nothing_until_it_works_again(engine, handle, monkeypatch):
    await put(handle, "a")
    honest = disk.write_log_back

    def fails(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(disk, "write_log_back", fails)
    engine.breaks_once(handle, kept=True)
    lost = batch(request("b"))
    for each in (lost, batch(request("c"))):
        with pytest.raises(NothingKept):
            await handle.append(each)
    monkeypatch.setattr(disk, "write_log_back", honest)
    assert await handle.append(lost) == ((1, 1, False),), "it is in the log, and now one may say so"
    assert await leaves(handle) == [b"a", b"b"]


async def test_a_statement_that_fails_keeps_nothing_and_the_next_batch_is_on_a_new_connection(handle, monkeypatch):
    await put(handle, "a")
    old = handle._file._open

    def fails(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_log.SqliteTransaction, "keep_outcomes", fails)
        with pytest.raises(NothingKept, match="disk is full"):
            await put(handle, "b")
    assert (await put(handle, "c"))[0].first == 1
    assert handle._file._open is not old


async def test_the_log_beside_the_file_is_brought_over_once_a_second(engine, handle, monkeypatch):
    monkeypatch.setattr(sqlite_log, "TIDIED_EVERY", 0.0)
    for number in range(20):
        await handle.append(batch(request(*[record(bytes(20_000))] * 10), at=NOW + number))
    beside = engine.where / f"{FILE}-wal"
    assert (engine.where / FILE).stat().st_size > 3_000_000
    assert beside.stat().st_size < 3_000_000
