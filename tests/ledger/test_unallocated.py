"""What SQLite leaves of deleted rows in unallocated space is zeroed after an erasure, and nothing else is touched."""

import asyncio
import contextlib
import random
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.moved_rows import left_of
from support.people import email, named, phone

from gateway.app import composition
from gateway.app.composition import open_house
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.ledger import erasure_steps, schema, side
from gateway.ledger.audit import backup
from gateway.ledger.erasure_steps import FIRST_PAGE
from gateway.ledger.subjects import Choice
from gateway.terms import ALL_PURPOSES, ChoiceKind, Erasing

MARK = bytes(range(0x61, 0x71))
ROWS = "SELECT id, wrapped, openings FROM person"


@contextlib.contextmanager
def opened(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        yield db


@pytest.fixture
def file(tmp_path, copies):
    (tmp_path / "rows").write_bytes(copies[0])
    return tmp_path / "rows"


def walk(db, count=erasure_steps.PAGES_AT_ONCE):
    """The steps that it takes."""
    steps, at = 0, FIRST_PAGE
    while at:
        steps, at = steps + 1, erasure_steps.zero_pages(db, at, count)
    return steps


@pytest.mark.parametrize("count", [1, 7, 10_000])
def test_no_copy_of_a_deleted_row_outlives_the_walk_and_every_row_does(file, copies, count):
    with opened(file) as db, opened(file) as other:
        before = db.execute(ROWS).fetchall()
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        assert left_of(copies[1], file.read_bytes()) == copies[1]
        assert walk(db, count) == -(-pages // count)
        assert left_of(copies[1], file.read_bytes()) == []
        assert file.with_name("rows-wal").stat().st_size == 0
        for each in (db, other):
            assert each.execute(ROWS).fetchall() == before
            assert each.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        content = file.read_bytes()
        walk(db)
        assert file.read_bytes() == content, "nothing is left to write"


def test_rows_go_on_being_written_into_the_pages_that_were_zeroed(file):
    with opened(file) as db:
        rows = {row[0]: row for row in db.execute(ROWS)}
        for number, person in enumerate([*rows]):
            if number % 20 == 0:
                erasure_steps.zero_pages(db)
            new = (number.to_bytes(16, "big"), b"w" * (number % 90), b"o" * 60)
            db.execute("INSERT INTO person VALUES (?, ?, ?)", new)
            db.execute("DELETE FROM person WHERE id = ?", (person,))
            rows[new[0]] = new
            del rows[person]
        assert {row[0]: row for row in db.execute(ROWS)} == rows
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_while_somebody_reads_the_log_its_older_pages_are_waited_for(file):
    with opened(file) as db, opened(file) as reader:
        db.execute("DELETE FROM person WHERE id = (SELECT min(id) FROM person)")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM person").fetchone()
        assert erasure_steps.zero_pages(db, FIRST_PAGE, 10_000) == FIRST_PAGE
        reader.execute("COMMIT")
        assert erasure_steps.zero_pages(db, FIRST_PAGE, 10_000) is None


def test_a_file_whose_pages_may_be_anything_is_not_touched(tmp_path, copies, monkeypatch):
    with opened(tmp_path / "vacuums") as db:
        db.execute("PRAGMA auto_vacuum=FULL")
        db.execute("VACUUM")
        if db.execute("PRAGMA auto_vacuum").fetchone() != (0,):
            assert not erasure_steps._walks(db, 1)
    (tmp_path / "rows").write_bytes(copies[0])
    with opened(tmp_path / "rows") as db:
        assert erasure_steps._walks(db, erasure_steps.LARGEST_FILE - 1)
        assert not erasure_steps._walks(db, erasure_steps.LARGEST_FILE)
        monkeypatch.setattr(erasure_steps, "LARGEST_FILE", 2)
        assert erasure_steps.zero_pages(db) is None
        assert left_of(copies[1], (tmp_path / "rows").read_bytes()) == copies[1]


def leaf(cells, start, gap=b""):
    head = b"\x0d\0\0" + cells.to_bytes(2, "big") + start.to_bytes(2, "big") + b"\0" + b"\x0f\xf0" * cells
    return (head + gap).ljust(4096, b"\0")


@pytest.mark.parametrize(
    ("page", "left"),
    [
        (leaf(2, 4000), False),
        (leaf(2, 4000, b"\x0f\xe0\x0e\x10"), False),  # pointers to cells that are there no more
        (leaf(2, 4000, b"\x0f\xe0" + MARK), True),
        (leaf(2, 20, MARK), True),
        (leaf(2, 12, MARK), False),  # all of that are cells
        (leaf(2, 11, MARK), False),  # not formed as a page is
        (leaf(2, 5000, MARK), False),
        (b"\0" + leaf(2, 4000, MARK)[1:], False),  # an overflow page: whatever it holds is somebody's
    ],
)
def test_unallocated_is_what_lies_between_the_pointers_and_the_first_cell(page, left):
    assert erasure_steps.is_left_on(page, 7) is left
    if left:
        assert MARK[:8] not in erasure_steps.zeroed_page(page, 7)
        assert erasure_steps.zeroed_page(page, 7)[:12] == page[:12]


def plant(db):
    """Puts a mark where SQLite would have left it, in every page that has room."""
    for number in range(FIRST_PAGE + 1, db.execute("PRAGMA page_count").fetchone()[0] + 1):
        page = erasure_steps._page(db, number)
        start, end = erasure_steps._unallocated(page, number)
        if end - start >= len(MARK):
            page = page[: end - len(MARK)] + MARK + page[end:]
            db.execute("UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?", (page, number))


def planted(folder):
    with schema.held(folder), contextlib.closing(schema.open_to_write(folder)) as db:
        plant(db)
    assert marks(folder) > 10


def marks(folder):
    """How many are in the file and its log, read as another process reads them."""
    return sum(each.read_bytes().count(MARK) for each in folder.glob(f"{schema.FILE}*") if each.suffix != ".writer")


def opt_out(house):
    subjects = house.consent.people.name([named("email", email(1))]).subjects
    asyncio.run(house.consent.choose(subjects, Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "form", house.consent.clock())))
    return subjects


def unlink(house):
    subjects = house.consent.people.name([named("email", email(1))]).subjects
    asyncio.run(house.consent.erase(ErasureOrder(Erasing.UNLINK, subjects, house.consent.clock())))


def gone(folder, seconds=60.0):
    end = time.monotonic() + seconds
    while marks(folder) and time.monotonic() < end:
        time.sleep(0.02)
    return not marks(folder)


@pytest.mark.slow
@pytest.mark.parametrize("walks", [True, False])
def test_an_erasure_is_followed_by_a_walk(folder, monkeypatch, walks):
    inside.steps_at_once(monkeypatch)
    with open_house(folder, inside.settings(), dev=True) as house:
        opt_out(house)
        while house.writer._zero_at is not None:  # the walk of its start
            time.sleep(0.02)
        house.writer.submit(lambda tx: plant(tx.db)).result(60)
        time.sleep(0.5)  # of many steps
        assert marks(folder) > 10, "no other walk is due"
        if not walks:
            monkeypatch.setattr(erasure_steps, "is_built_in", lambda: False)
        unlink(house)
        assert gone(folder, 60.0 if walks else 0.5) is walks


@pytest.mark.slow
def test_an_erasure_that_another_process_finished_is_followed_by_a_walk_of_who_goes_on_writing(folder, monkeypatch):
    """A command ends with its answer, before its walk is over."""
    inside.steps_at_once(monkeypatch)
    with open_house(folder, inside.settings(), dev=True) as house:
        opt_out(house)
        while house.writer._zero_at is not None:  # the walk of its start
            time.sleep(0.02)
        zero = erasure_steps.zero_pages
        monkeypatch.setattr(erasure_steps, "zero_pages", lambda db, at: zero(db, at) if db is house.writer._db else at)
        planted(folder)
        with open_house(folder, inside.settings(), dev=True) as command:
            time.sleep(0.5)  # of many steps
            assert marks(folder) > 10, "no walk is due"
            unlink(command)
        assert gone(folder)


@pytest.mark.slow
def test_what_a_kill_left_is_walked_over_after_the_next_start(folder, monkeypatch):
    inside.steps_at_once(monkeypatch)
    with open_house(folder, inside.settings(), dev=True) as house:
        opt_out(house)
    planted(folder)
    with open_house(folder, inside.settings(), dev=True) as house:
        opt_out(house)
        assert gone(folder)
    assert not marks(folder)


@pytest.mark.slow
@pytest.mark.parametrize("built_in", [True, False])
def test_a_prune_leaves_nothing_behind_with_and_without_pages_that_can_be_written(folder, monkeypatch, built_in):
    with open_house(folder, inside.settings(), dev=True) as house:
        opt_out(house)
    planted(folder)
    if not built_in:
        monkeypatch.setattr(erasure_steps, "is_built_in", lambda: False)
    later = datetime.now(UTC) + timedelta(days=900)
    composition.prune_ledger(folder, inside.settings(), dry_run=False, clock=lambda: later)
    assert not marks(folder)


@pytest.mark.parametrize("walks", [True, False])
def test_a_backup_keeps_nothing_that_the_walk_has_not_come_to_yet(folder, tmp_path, monkeypatch, walks):
    with open_house(folder, inside.settings(), dev=True) as house:
        subjects = opt_out(house)
    planted(folder)
    monkeypatch.setattr(erasure_steps, "is_built_in", lambda: walks)
    (tmp_path / "copy").mkdir()
    backup.copy(folder / schema.FILE, tmp_path / "copy" / schema.FILE)
    assert [each.name for each in (tmp_path / "copy").iterdir()] == [schema.FILE]
    assert bool(marks(tmp_path / "copy")) is not walks
    assert marks(folder) > 10, "it reads the ledger and writes nothing to it"
    backup.examined(tmp_path / "copy")
    assert {subject.key for subject in subjects} <= blobs(tmp_path / "copy")


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), RuntimeError("none that is expected")])
def test_a_walk_that_fails_is_gone_on_with_over_a_new_connection_and_opt_outs_are_written(folder, monkeypatch, error):
    zero, failed, connections = erasure_steps.zero_pages, [], []

    def fails(db, at):
        connections.append(db)
        if len(failed) < 3:
            failed.append(at)
            raise error
        return zero(db, at)

    monkeypatch.setattr(erasure_steps, "zero_pages", fails)
    with open_house(folder, inside.settings(), dev=True) as house:
        for _ in range(5):
            opt_out(house)
        assert house.writer._zero_at is None or gone(folder)
    assert len(failed) == 3
    assert len({*map(id, connections[:4])}) > 1 or connections[0] is not connections[3]


def blobs(folder):
    """What the tables hold that may name somebody: digests, boxes, keys."""
    found = set()
    with contextlib.closing(schema.open_to_read(folder)) as db:
        names = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        found |= {*side.all_mentions(db)}  # one by one: whose is gone stood among others'
        for name in names - {"entry", "tile", "mention_piece"}:
            for row in db.execute(f"SELECT * FROM {name}"):
                found |= {each for each in row if isinstance(each, bytes) and len(each) >= 16}
    return found


def left_of_unlinked(folder):
    """(how many digests and boxes the tables held of 93 unlinked people of 150, how many of them are in the files)."""
    with open_house(inside.install(folder), inside.settings(), dev=True) as house:
        everybody = []
        for number in range(150):
            names = [named("email", email(number)), *([named("phone", phone(number))] if number % 2 else [])]
            everybody.append(house.consent.people.name(names).subjects)
            choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "form", house.consent.clock())
            asyncio.run(house.consent.choose(everybody[-1], choice))
        before = blobs(folder)
        for subjects in random.Random(1).sample(everybody, 93):
            asyncio.run(house.consent.erase(ErasureOrder(Erasing.UNLINK, subjects, house.consent.clock())))
        gone = before - blobs(folder)
        content = b"".join(each.read_bytes() for each in folder.glob(f"{schema.FILE}*") if each.suffix != ".writer")
        return len(gone), sum(each in content for each in gone)


@pytest.mark.slow
def test_nothing_that_the_tables_held_of_unlinked_people_is_in_the_files(tmp_path, figure):
    gone, left = left_of_unlinked(tmp_path / "data")
    figure("93 of 150 people unlinked", f"{left} of {gone} digests and boxes left")
    assert gone > 93
    assert left == 0


@pytest.mark.slow
def test_control_without_the_walk_some_of_it_is(tmp_path, monkeypatch, figure):
    monkeypatch.setattr(erasure_steps, "is_built_in", lambda: False)
    for life in range(20):  # most leave 1 to 4
        gone, left = left_of_unlinked(tmp_path / str(life))
        if left:
            figure("93 of 150 people unlinked, control", f"{left} of {gone} digests and boxes left")
            return
    pytest.fail("nothing was left in twenty lives")
