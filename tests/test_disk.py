import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from gateway import disk


@pytest.fixture
def file(tmp_path):
    return tmp_path / "some.sqlite3"


@pytest.fixture
def db(file, monkeypatch):
    held = {}
    monkeypatch.setattr(disk, "_in_doubt", held)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("CREATE TABLE kept (n INTEGER)")
        yield db
        for reader in held.values():
            reader.close()


def log(file):
    return file.with_name(f"{file.name}-wal")


class Failing:
    """A connection to a disk that does not sync."""

    def __init__(self, db):
        self._db = db

    def execute(self, sql):
        if "wal_checkpoint" in sql:
            failed = sqlite3.OperationalError("disk I/O error")
            failed.sqlite_errorcode = sqlite3.SQLITE_IOERR | (4 << 8)
            raise failed
        return self._db.execute(sql)


def test_every_page_is_brought_over_and_the_log_is_emptied_where_that_is_asked(db, file):
    done, pages = disk.bring_over(db)
    assert done
    assert pages > 0
    assert log(file).stat().st_size > 0
    assert disk.bring_over(db, empty=True) == (True, 0)
    assert log(file).stat().st_size == 0


def filled(db):
    db.execute("BEGIN")
    db.executemany("INSERT INTO kept VALUES (randomblob(4000))", [()] * disk.LONG)
    db.execute("COMMIT")


def test_a_long_log_is_emptied_once_nobody_waits_and_a_short_one_is_left(db, file):
    disk.tidy(db)
    assert log(file).stat().st_size > 0
    filled(db)
    disk.tidy(db, empty_from=None)
    assert disk.is_long(file)
    disk.tidy(db)
    assert log(file).stat().st_size == 0


def test_tidying_waits_for_no_reader_and_leaves_the_connections_patience_as_it_was(db, file):
    db.execute("PRAGMA busy_timeout = 60000")
    filled(db)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT 1 FROM kept").fetchone()
        disk.tidy(db)
    assert disk.is_long(file)
    assert db.execute("PRAGMA busy_timeout").fetchone() == (60000,)


def test_a_reader_in_the_way_leaves_the_rest_for_another_time(db, file):
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM kept").fetchone()
        db.execute("INSERT INTO kept VALUES (1)")
        assert not disk.bring_over(db)[0]
    assert disk.bring_over(db)[0]


def test_after_a_sync_that_failed_nothing_is_brought_over_and_the_log_never_starts_anew(db, file, caplog):
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        disk.bring_over(Failing(db))
    assert disk.FAILED in caplog.text
    before = log(file).read_bytes()
    assert disk.bring_over(db) == (False, 0)
    assert disk.bring_over(db, empty=True) == (False, 0)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=0.1)) as another:
        another.execute("PRAGMA wal_checkpoint(RESTART)")
        another.execute("INSERT INTO kept VALUES (2)")
    db.execute("INSERT INTO kept VALUES (3)")
    assert log(file).read_bytes().startswith(before)
    assert db.execute("SELECT n FROM kept").fetchall() == [(2,), (3,)]


def test_a_busy_file_is_no_failed_sync(db):
    class Busy(Failing):
        def execute(self, sql):
            if "wal_checkpoint" in sql:
                failed = sqlite3.OperationalError("database table is locked")
                failed.sqlite_errorcode = sqlite3.SQLITE_LOCKED
                raise failed
            return self._db.execute(sql)

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        disk.bring_over(Busy(db))
    assert disk.bring_over(db)[0]


def test_logs_are_written_once_more_as_they_are(db, file, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    before = log(file).read_bytes()
    disk.write_back(file.parent)
    assert synced == [log(file)]
    assert log(file).read_bytes() == before


def test_a_long_log_is_worth_emptying(db, file):
    assert not disk.is_long(file)
    with log(file).open("ab") as grown:
        grown.truncate((disk.LONG + 1) * disk.FRAME)
    assert disk.is_long(file)
    assert not disk.is_long(file.with_name("gone.sqlite3"))


def test_a_file_that_is_held_is_nobody_elses_until_it_is_let_go(tmp_path):
    file = tmp_path / "held"
    with disk.locked(file) as descriptor:
        assert os.fstat(descriptor).st_mode & 0o777 == disk.PRIVATE
        with pytest.raises(BlockingIOError), disk.locked(file, wait=False):
            pass
    with disk.locked(file, wait=False):
        pass
