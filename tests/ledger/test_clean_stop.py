import contextlib
import subprocess
import sys

import pytest

from gateway.ledger import schema
from gateway.ledger.audit import examination
from gateway.ledger.audit.examination import NAME, Examination, marked_while_open
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.store import SqliteStore

KILLED = """
import os, sys
from pathlib import Path
from gateway.ledger.audit.examination import marked_while_open
with marked_while_open(Path(sys.argv[1])):
    os._exit(9)
"""


def kill_one(folder):
    assert subprocess.run([sys.executable, "-c", KILLED, folder]).returncode == 9


def test_the_first_start_and_one_after_a_clean_stop_are_not_in_doubt(folder):
    for _ in range(2):
        with marked_while_open(folder) as stop:
            assert not stop.doubtful
    assert (folder / NAME).read_bytes() == b""


def test_a_start_after_a_kill_is_in_doubt_until_every_page_was_read(folder):
    kill_one(folder)
    for _ in range(2):
        with marked_while_open(folder) as stop:
            assert stop.doubtful
    with marked_while_open(folder) as stop:
        stop.settled()
    with marked_while_open(folder) as stop:
        assert not stop.doubtful


def test_whoever_comes_while_another_is_there_has_no_doubt_and_the_last_one_takes_the_mark_away(folder):
    with marked_while_open(folder):
        with marked_while_open(folder) as second:
            assert not second.doubtful
        assert (folder / NAME).read_bytes() == examination.MARK
    assert (folder / NAME).read_bytes() == b""


def test_whoever_comes_while_the_first_one_reads_every_page_reads_them_too(folder):
    kill_one(folder)
    with marked_while_open(folder) as first:
        with marked_while_open(folder) as second:
            assert (first.doubtful, second.doubtful) == (True, True)
            second.settled()
        with marked_while_open(folder) as third:
            assert not third.doubtful, "somebody has read them"


def test_an_error_within_is_no_crash(folder):
    with pytest.raises(LookupError), marked_while_open(folder):
        raise LookupError
    with marked_while_open(folder) as stop:
        assert not stop.doubtful


def test_nobody_is_alone_while_another_has_it_open(folder):
    with (
        marked_while_open(folder),
        pytest.raises(LedgerRefused, match="stop the service first"),
        examination.nobody_else(folder),
    ):
        raise AssertionError("it is in use")
    with examination.nobody_else(folder):
        assert (folder / NAME).exists()


@pytest.fixture
def looks(monkeypatch):
    made = []
    whole = schema.quick_check
    monkeypatch.setattr(schema, "quick_check", lambda folder: made.append(folder) or whole(folder))
    return made


class Signed:
    def prove(self, db):
        return True


@pytest.mark.parametrize("doubtful", [False, True])
def test_every_page_is_read_once_and_only_in_doubt(folder, looks, doubtful):
    stop = examination.Stop(doubtful)
    judge = Examination(SqliteStore(folder), Signed(), stop=stop)
    with contextlib.closing(schema.open_to_read(folder)) as db:
        assert [judge(db) for _ in range(3)] == [True, True, True]
    assert len(looks) == int(doubtful)
    assert not stop.doubtful


def test_a_file_that_was_put_back_meanwhile_has_every_page_read(folder, looks):
    judge = Examination(SqliteStore(folder), Signed(), stop=examination.Stop(False))
    with contextlib.closing(schema.open_to_read(folder)) as db:
        judge(db)
    file = folder / schema.FILE
    content = file.read_bytes()
    file.rename(folder / "away")
    file.write_bytes(content)
    with contextlib.closing(schema.open_to_read(folder)) as db:
        judge(db)
    assert len(looks) == 1


def test_what_was_found_damaged_is_not_read_through_twice_a_second(folder, monkeypatch):
    asked, now = [], [0.0]

    def damaged(_):
        asked.append(1)
        raise LedgerRefused("damaged")

    monkeypatch.setattr(schema, "quick_check", damaged)
    stop = examination.Stop(True)
    judge = Examination(SqliteStore(folder), Signed(), stop=stop, clock=lambda: now[0])
    with contextlib.closing(schema.open_to_read(folder)) as db:
        for now[0] in (0.0, 0.5, 1.0, 6.0):
            with pytest.raises(LedgerRefused, match="damaged"):
                judge(db)
    assert len(asked) == 2
    assert stop.doubtful


@pytest.mark.parametrize(
    ("version", "bug"),
    [
        ((3, 46, 1), True), ((3, 44, 5), True), ((3, 44, 6), False), ((3, 45, 0), True), ((3, 50, 6), True),
        ((3, 50, 7), False), ((3, 51, 0), True), ((3, 51, 2), True), ((3, 51, 3), False), ((3, 53, 4), False),
    ],
)  # fmt: skip
def test_which_builds_of_sqlite_have_the_wal_reset_bug(version, bug):
    assert schema.has_reset_bug(version) is bug
