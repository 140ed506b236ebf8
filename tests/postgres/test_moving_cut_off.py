"""A move that is cut off: what a power cut may take, a server that stands still with the writers' lock held, what is left
in the place where it goes, and a copy that nobody finishes.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import stat
from datetime import timedelta

import pytest
from support import everybody, inside, moving, postgres_server
from support.opting_in import Clock
from support.people import email, gaid

from gateway.app.composition import migrate, open_house
from gateway.app.moving import InstallationMove
from gateway.ledger import schema
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.folder_store import store_in
from gateway.ledger.moving import changed_rows
from gateway.ledger.moving import move as moves
from gateway.ledger.moving.copied_database import CopiedDatabase
from gateway.postgres import address

pytestmark = pytest.mark.slow
ARRIVING = [f"{name}.arriving" for name in moving.FILES]


class Cut(Exception):
    pass


def cuts(what, rows):
    raise Cut


@pytest.fixture
def where(postgres):
    return postgres_server.fresh_url(postgres)


@pytest.fixture
def data(tmp_path, monkeypatch):
    moving.wait_for_nobody(monkeypatch)
    folder = inside.install(tmp_path / "data")
    with open_house(folder, inside.settings(), dev=True) as house:
        everybody.story(house)
    return folder


@pytest.fixture
def moved(data, where):
    """Into PostgreSQL, with nothing left in the folder."""
    moving.move(data, where)
    moving.delete_what_was_moved(data)
    return data


def noted(folder):
    """Every table and trigger of a copy in the ledger of a folder, and in its vault where that is a file."""
    found = []
    if address.url_in(folder):
        with contextlib.closing(store_in(folder).open_to_read()) as db:
            for sql in (changed_rows.TABLES, changed_rows.FUNCTIONS):
                found += db.execute(sql, ("changed_%",)).fetchall()
        return found
    for name in moving.FILES:
        with contextlib.closing(sqlite3.connect(folder / name)) as db:
            found += db.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'changed_%'").fetchall()
    return found


def test_what_was_copied_is_on_the_disk_before_its_notes_go_and_before_the_source_is_marked(moved, where, monkeypatch):
    """A file's log is kept only once it was brought over: one that is not empty may lose its end in a power cut."""
    logs, forget, mark = [], changed_rows.forget_notes, moves.LedgerMove._mark_moved

    def looks(*names):
        logs.extend((moved / f"{name}.sqlite3.arriving-wal").stat().st_size for name in names)

    def forgets(db, used):
        looks(db._schema.removeprefix("gateway_"))
        forget(db, used)

    def marks(db):
        looks("ledger", "vault")
        mark(db)

    monkeypatch.setattr(changed_rows, "forget_notes", forgets)
    monkeypatch.setattr(moves.LedgerMove, "_mark_moved", staticmethod(marks))
    with open_house(moved, inside.settings(), dev=True, patient=True) as house:

        def tell(what, rows):
            if what in {"making the indexes", "comparing rows"}:
                everybody.says_no(house, "email", email(7))

        moving.move(where, moved, tell)
    assert len(logs) > 4
    assert {*logs} == {0}


@pytest.mark.parametrize("left", ["ledger.sqlite3-wal", "vault.sqlite3", "vault.sqlite3-shm"])
def test_what_is_left_of_an_older_file_is_found_before_anything_is_copied(moved, where, left):
    """A log beside a file of another history would be taken for its own."""
    (moved / left).write_bytes(b"of before")
    with pytest.raises(LedgerRefused, match=left):
        moving.move(where, moved)
    assert not noted(moved)
    (moved / left).unlink()
    moving.move(where, moved)


def test_a_schema_that_is_left_is_found_before_anything_is_copied(data, where):
    import psycopg

    with psycopg.connect(where, autocommit=True) as db:
        db.execute("CREATE SCHEMA gateway_vault")
        with pytest.raises(LedgerRefused, match="gateway_vault"):
            moving.move(data, where)
        db.execute("DROP SCHEMA gateway_vault")
    moving.move(data, where)


def test_a_copy_whose_tables_are_another_releases_by_now_is_given_up(data, where):
    with pytest.raises(Cut):
        moving.move(data, where, cuts)
    with schema.held(data), contextlib.closing(schema.open_to_write(data)) as db:
        db.execute("DROP TRIGGER changed_detail_insert")  # as a migration does that makes the table anew
        db.execute("DROP TABLE changed_side")
        db.execute("DROP TRIGGER changed_side_insert")
    InstallationMove(str(data), where, inside.settings()).give_up()
    assert not noted(data)
    moving.move(data, where)


def test_a_server_that_stands_still_in_the_last_step_holds_up_nobody_for_long(data, where, monkeypatch):
    stopped = []

    def stops(self, source, target):
        stopped.append(target._db.info.backend_pid)
        os.kill(stopped[0], signal.SIGSTOP)
        return prove(self, source, target)

    prove = moves.LedgerMove._prove_log
    before = moving.content(data)
    with monkeypatch.context() as patch:
        patch.setattr(moves, "LAST_SECONDS", 1.0)
        patch.setattr(moves.LedgerMove, "_prove_log", stops)
        try:
            with pytest.raises(LedgerRefused, match="run the same again"):
                moving.move(data, where)
        finally:
            os.kill(stopped[0], signal.SIGCONT)
    assert moving.content(data) == before
    with open_house(data, inside.settings(), dev=True) as house:
        everybody.says_no(house, "gaid", gaid(8))
    moving.move(data, where)


@pytest.mark.parametrize("back", [False, True], ids=["into PostgreSQL", "back"])
def test_a_copy_that_nobody_finishes_is_given_up_by_the_service_after_a_day(data, where, back, monkeypatch):
    ends = (data, where)
    if back:
        moving.move(*ends)
        moving.delete_what_was_moved(data)
        ends = (where, data)
    with pytest.raises(Cut):
        moving.move(*ends, cuts)
    assert [stat.S_IMODE((data / name).stat().st_mode) for name in ARRIVING if back] == [0o600] * 2 * back
    clock = Clock()
    monkeypatch.setattr(changed_rows, "FIRST_LOOK", 0.0)

    def serves():
        with open_house(data, inside.settings(), dev=True, clock=clock) as house:
            everybody.says_no(house, "email", email(3))

    clock.later = timedelta(hours=23)
    serves()
    assert noted(data)
    clock.later = timedelta(hours=25)
    with moves.disk.locked(data / changed_rows.LOCK):
        serves()
    assert noted(data), "it is under way"
    serves()
    assert not noted(data)
    assert not [name for name in ARRIVING if (data / name).exists()]
    if not back:
        with pytest.raises(LedgerRefused, match="half of another copy"):
            moving.move(*ends)
        InstallationMove(str(data), where, inside.settings()).give_up()
    moving.move(*ends)


def another(data, tmp_path):
    migrate(tmp_path / "another")
    return tmp_path / "another"


def the_same_of_before(data, tmp_path):
    """As a backup is put back, where somebody does not know that it was moved."""
    return tmp_path / "before"


@pytest.mark.parametrize("whose", [another, the_same_of_before])
def test_what_another_folder_has_moved_there_is_given_up_by_none_that_has_not_all_of_it(
    data, where, tmp_path, monkeypatch, whose
):
    """Behind the mark it is the only ledger, whatever its schemas are called."""
    shutil.copytree(data, tmp_path / "before")
    with open_house(data, inside.settings(), dev=True) as house:
        everybody.says_no(house, "email", email(9))
    before = moving.content(data)
    with monkeypatch.context() as patch:
        patch.setattr(moves.LedgerMove, "_finish", lambda _: cuts("", 0))
        with pytest.raises(Cut):
            moving.move(data, where)
    folder = whose(data, tmp_path)
    for use in (lambda: moving.move(folder, where), InstallationMove(str(folder), where, inside.settings()).give_up):
        with pytest.raises(LedgerRefused, match=r"another installation has.*gateway_vault_arriving") as refused:
            use()
        assert "--give-up" not in str(refused.value)
    moving.move(data, where)
    assert moving.content(data) == before


def test_a_server_that_was_made_anew_behind_a_move_gets_no_empty_ledger_by_the_same_command(moved, where):
    import psycopg

    store_in(moved).close()
    with psycopg.connect(where, autocommit=True) as db:
        for name in ("gateway_ledger", "gateway_vault"):
            db.execute(f"DROP SCHEMA {name} CASCADE")
    for use in (lambda: moving.move(moved, where), lambda: migrate(moved, url=where)):
        with pytest.raises(LedgerRefused, match="its people are not"):
            use()
        assert not store_in(moved).exists()


def test_a_source_that_a_newer_release_migrates_meanwhile_stays_the_ledger(data, where):
    """Its new tables were not copied."""

    def becomes(version):
        with contextlib.closing(sqlite3.connect(data / moving.FILES[0])) as db:
            db.execute(f"PRAGMA user_version = {version}")

    def migrates(what, rows):
        if what == "comparing rows":
            becomes(schema.version_wanted() + 1)

    with pytest.raises(LedgerRefused, match=rf"has version {schema.version_wanted() + 1} by now.*--give-up"):
        moving.move(data, where, migrates)
    assert not address.url_in(data)
    becomes(schema.version_wanted())
    moving.move(data, where)


def test_a_file_that_somebody_reads_is_given_no_name_without_its_log(moved, where, monkeypatch):
    complete, reading = moves.LedgerMove._complete, []

    def reads(self, which, db):
        reader = sqlite3.connect(moved / f"{which}.sqlite3.arriving", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        reading.append(reader)
        complete(self, which, db)

    before = moving.content(moved)
    with monkeypatch.context() as patch:
        patch.setattr(moves.LedgerMove, "_complete", reads)
        with pytest.raises(LedgerRefused, match="another process reads a file that is being made"):
            moving.move(where, moved)
    assert not [name for name in moving.FILES if (moved / name).exists()]
    for each in reading:
        each.close()
    moving.move(where, moved)
    assert moving.content(moved) == before


def test_an_url_with_a_password_is_refused_and_written_nowhere(data, where):
    said = where.replace("postgresql://", "postgresql://me:secret@", 1) if "@" not in where else f"{where}"
    for url in (said if "secret" in said else "postgresql://me:secret@127.0.0.1/x", f"{where}?password=secret"):
        with pytest.raises(LedgerRefused, match="password") as refused:
            moving.move(data, url)
        assert "secret" not in str(refused.value)
    assert not (data / address.URL_FILE).exists()


def test_the_control_a_copy_that_is_not_kept_before_the_mark_has_a_log_that_a_power_cut_takes(
    moved, where, monkeypatch
):
    monkeypatch.setattr(CopiedDatabase, "keep_target", lambda _: None)
    with pytest.raises(AssertionError, match=r"== \{0\}"):
        test_what_was_copied_is_on_the_disk_before_its_notes_go_and_before_the_source_is_marked(
            moved, where, monkeypatch
        )
