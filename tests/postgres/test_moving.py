"""An installation is moved from its folder into a PostgreSQL and back: everything that it holds, while others write, cut
off anywhere, and never so that two places go on.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import sqlite3
import sys
import threading
import time
from datetime import UTC, datetime

import pytest
from support import everybody, inside, moving, postgres_server
from support.examples import SOAK
from support.people import GAID, email, gaid, named

from gateway.app import maintenance
from gateway.app.composition import migrate, open_house, verify_ledger
from gateway.app.moving import InstallationMove
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.keys import secret_files
from gateway.keys.person_keys import GONE, Vault, VaultRefused
from gateway.ledger import schema
from gateway.ledger.erasure_steps import EpochTurn
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.folder_store import store_in
from gateway.ledger.moving import changed_rows, copied_database
from gateway.ledger.moving.copied_database import CopiedDatabase, CopyDiffers
from gateway.ledger.moving.move import LedgerMove
from gateway.ledger.moving.places import FolderPlace
from gateway.ledger.store import SqliteStore
from gateway.ledger.writer import StoreUnavailable
from gateway.postgres import address
from gateway.terms import Erasing

pytestmark = pytest.mark.slow
COMPARING = "comparing rows"
SERVED = "test_what_is_written_meanwhile_goes_over_and_whoever_wrote_writes_there_no_more"
COLUMNS = """SELECT table_name, column_name, data_type, column_default, is_nullable, is_identity
FROM information_schema.columns WHERE table_schema = 'gateway_ledger'"""


@pytest.fixture
def where(postgres):
    return postgres_server.fresh_url(postgres)


@pytest.fixture(autouse=True)
def answers(request, monkeypatch):
    """A move waits until no service answers on what it has proved of the source: here one answers in a single test."""
    if request.function.__name__ != SERVED:
        moving.wait_for_nobody(monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Somebody of every sort, an erased person and an unlinked one, under two peppers."""
    folder = inside.install(tmp_path_factory.mktemp("made") / "data")
    with open_house(folder, inside.settings(), dev=True) as house:
        everybody.story(house)
        everybody.fill(house, 600, first=1000)
        for mode, number in ((Erasing.DETAILS, 5), (Erasing.UNLINK, 6)):
            everybody.says_no(house, "email", email(number))
            erase(house, mode, "email", email(number))
    maintenance.pepper(folder, inside.settings())
    return folder


@pytest.fixture
def data(made, tmp_path):
    shutil.copytree(f"{made}.checkpoints", tmp_path / "data.checkpoints")
    return shutil.copytree(made, tmp_path / "data")


def erase(house, mode, kind, value):
    subjects = house.consent.people.name([named(kind, value)]).subjects
    return asyncio.run(house.consent.erase(ErasureOrder(mode, subjects, datetime.now(UTC))))


def receipts(folder):
    """Of the first entries about somebody, as they are given out."""
    with open_house(folder, inside.settings(), dev=True) as house:
        with contextlib.closing(house.writer.store.open_to_read()) as db:
            events = [row[0] for row in db.execute("SELECT event FROM detail ORDER BY seq LIMIT 20").fetchall()]
        return house.consent.log_reader.receipts(events, lasting=False)


def test_everything_goes_over_and_back_and_goes_on_there(data, where):
    given = receipts(data)
    assert len(given) == 20
    assert all(given)
    before = moving.content(data)
    report = moving.move(data, where)
    assert (
        report.copied
        == report.compared
        == sum(len(rows) for name, rows in before.items() if name not in moving.unkeyed())
    )
    assert moving.content(data) == before
    report, _ = verify_ledger(data, inside.settings(), boxes=True)
    assert (report.passed, report.uncompared) == (True, ""), report.different
    assert report.compared
    assert receipts(data) == given, "the same log, signed with the same key"
    with open_house(data, inside.settings(), dev=True) as house:
        everybody.fill(house, 5, first=5000)
        everybody.story(house)  # numbers that the server gives go on
        erase(house, Erasing.UNLINK, "gaid", GAID)
    assert moving.move(data, where) is None
    before = moving.content(data)
    with pytest.raises(LedgerRefused, match="has a ledger already"):
        moving.move(where, data)
    moving.delete_what_was_moved(data)
    moving.move(where, data)
    assert not (data / address.URL_FILE).exists()
    assert moving.content(data) == before
    with open_house(data, inside.settings(), dev=True) as house:
        everybody.fill(house, 5, first=6000)
    shutil.rmtree(data / "state")
    with open_house(data, inside.settings(), dev=True):
        pass  # the state is made again of what was moved
    report, _ = verify_ledger(data, inside.settings(), boxes=True)
    assert (report.passed, report.uncompared) == (True, ""), report.different


def test_rows_of_every_table_go_over_with_the_largest_of_what_a_column_takes(data, where):
    with schema.held(data), contextlib.closing(schema.open_to_write(data)) as db:
        moving.fill_every_table(db)
    before = moving.content(data)
    assert [name for name, rows in before.items() if not rows] == []
    moving.move(data, where)
    assert moving.content(data) == before
    moving.delete_what_was_moved(data)
    moving.move(where, data)
    assert moving.content(data) == before


def test_a_made_ledger_and_a_moved_one_have_one_schema(data, where, postgres, tmp_path):
    moving.move(data, where)
    migrate(made := tmp_path / "made", url=postgres_server.fresh_url(postgres))

    def schema_of(folder):
        with contextlib.closing(store_in(folder).open_to_read()) as db:
            return [
                sorted(db.execute(sql).fetchall())
                for sql in (
                    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'gateway_ledger'",
                    "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
                    COLUMNS,
                )
            ]

    assert schema_of(data) == schema_of(made)
    moving.delete_what_was_moved(data)
    moving.move(where, data)
    with contextlib.closing(schema.open_to_read(data)) as db:
        moved = {*db.execute("SELECT type, name, sql FROM sqlite_schema")}
    with contextlib.closing(schema.open_to_read(inside.install(tmp_path / "other"))) as db:
        assert {name for _, name, _ in moved} == {
            name for _, name, _ in db.execute("SELECT type, name, sql FROM sqlite_schema")
        }


def writes_meanwhile(house, numbers):
    """Whoever is told that a copy goes on, and writes something at each step: a new no, a changed link, an erasure."""

    def tell(what, rows):
        number = next(numbers, None)
        if number is not None:
            everybody.fill(house, 3, first=number)
            everybody.says_no(house, "email", email(number % 100))
            if number % 3 == 0:
                erase(house, Erasing.UNLINK, "email", email(number % 100))

    return tell


@pytest.mark.parametrize("back", [False, True], ids=["into PostgreSQL", "back"])
def test_what_is_written_meanwhile_goes_over_and_whoever_wrote_writes_there_no_more(data, where, back, monkeypatch):
    ends = (data, where)
    if back:
        with monkeypatch.context() as patch:
            moving.wait_for_nobody(patch)
            moving.move(data, where)
        moving.delete_what_was_moved(data)
        ends = (where, data)
    turn = EpochTurn(data, secret_files.load_secrets(data).wraps, lambda: datetime.now(UTC), house_keeps())
    with open_house(data, inside.settings(), dev=True, patient=True) as house:
        everybody.says_no(house, "gaid", gaid(7))
        report = moving.move(*ends, writes_meanwhile(house, iter(range(2000, 2012))))
        assert report.changed
        moved = moving.content(data)
        assert steps_tried(house.writer) == [], "nothing here says which epoch of another vault's keys is over"
        with pytest.raises(StoreUnavailable):
            everybody.says_no(house, "gaid", gaid(8))
        with pytest.raises(LedgerRefused, match="goes on elsewhere"):
            house.writer.store.open_to_write()
        assert turn.forgotten_by()
    assert moving.content(data) == moved, "nothing of what was tried there came here"
    report, _ = verify_ledger(data, inside.settings(), boxes=True)
    assert report.passed, report.different
    with contextlib.closing(Vault(data, secret_files.load_secrets(data).wraps)):
        pass
    with open_house(data, inside.settings(), dev=True) as house:
        everybody.says_no(house, "gaid", gaid(8))


def test_who_is_linked_while_it_is_compared_takes_no_number_that_the_next_links_are_given(data, where):
    """Rows of the last steps bring their numbers along."""
    with open_house(data, inside.settings(), dev=True, patient=True) as house:
        again = iter(range(4))

        def tell(what, rows):
            if what == COMPARING:
                for number in again:
                    everybody.link(house, f"meanwhile {number}", ("gaid", gaid(number)))

        moving.move(data, where, tell)
    with open_house(data, inside.settings(), dev=True) as house:
        for number in range(4, 8):
            everybody.link(house, f"there {number}", ("gaid", gaid(number)))
        assert house.fresh()
    report, _ = verify_ledger(data, inside.settings(), boxes=True)
    assert report.passed, report.different


def steps_tried(writer):
    """What its thread, which alone may touch its connections, does of a change of the keys in three rounds."""
    steps, rounds = [], []

    class Turns:
        def is_due(self):
            rounds.append(writer._db)
            return True

        def step(self, db, vault):
            steps.append(vault)

    writer._turns = Turns()
    while len(rounds) < 3:
        writer._turns_at = 0.0  # after a round that failed it would wait for a minute
        time.sleep(0.02)
    writer._turns = None
    return steps


def house_keeps():
    return maintenance.ROTATED[maintenance.RekeyKind.SIGNING][1]


def test_a_key_that_is_destroyed_meanwhile_is_in_no_target(data, where):
    with open_house(data, inside.settings(), dev=True) as house:
        everybody.says_no(house, "email", email(9))
        with contextlib.closing(schema.open_to_read(data)) as db:
            (person,) = db.execute("SELECT person FROM detail ORDER BY seq DESC LIMIT 1").fetchone()
        done = []

        def tell(what, rows):
            if what == COMPARING and not done:  # its key was copied before
                done.append(erase(house, Erasing.UNLINK, "email", email(9)))

        moving.move(data, where, tell)
    assert done
    [row] = [row for row in moving.content(data)["vault person"] if row[0] == person]
    assert row[1:3] == (bytes(60), bytes(60)), GONE
    with contextlib.closing(Vault(data, secret_files.load_secrets(data).wraps)) as vault:
        assert vault.keys(person).details is None
        assert not vault.is_lost(person)


def test_a_new_pepper_that_was_cut_off_is_finished_where_the_ledger_was_moved_to(data, where):
    ours = (data / secret_files.SECRETS).read_bytes()
    strange = json.loads(ours)
    strange["peppers"][1] = "00" * 32
    (data / secret_files.SECRETS).write_text(json.dumps(strange))
    with pytest.raises(LedgerRefused, match="other secrets"):
        moving.move(data, where)
    (data / secret_files.SECRETS).write_bytes(ours)
    secret_files.add_pepper(data)
    moving.move(data, where)
    with pytest.raises(LedgerRefused, match="gateway rekey pepper"), open_house(data, inside.settings(), dev=True):
        pass
    assert maintenance.pepper(data, inside.settings())[1] == 3
    with open_house(data, inside.settings(), dev=True) as house:
        assert house.fresh()


def test_the_old_place_is_a_ledger_no_more_wherever_it_is_copied(data, where, tmp_path):
    moving.move(data, where)
    copied = tmp_path / "copied"
    copied.mkdir()
    for name in (*moving.FILES, secret_files.SECRETS, "epochs.json"):
        shutil.copy(data / name, copied / name)
    for use in (
        SqliteStore(copied).open_to_write, SqliteStore(copied).open_to_read, lambda: migrate(copied),
        lambda: maintenance.take_back(copied, 33),
    ):  # fmt: skip
        with pytest.raises(LedgerRefused, match="goes on elsewhere"):
            use()
    with pytest.raises(VaultRefused, match="go on elsewhere"):
        Vault(copied, secret_files.load_secrets(copied).wraps)


class Cut(Exception):
    pass


def dies(act, at):
    """What a process does that is killed as it calls its so-manieth function of a move; how many it called, where it
    came to its end.
    """
    reads, writes = os.pipe()
    if not (child := os.fork()):
        calls = [0]

        def called(frame, event, _):
            if event == "call" and "/moving" in frame.f_code.co_filename and "gateway" in frame.f_code.co_filename:
                calls[0] += 1
                if calls[0] == at:
                    os._exit(9)

        code = 1
        try:
            sys.setprofile(called)
            act()
            sys.setprofile(None)
            os.write(writes, str(calls[0]).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writes)
    with os.fdopen(reads) as told:
        said = told.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in {0, 9}
    return int(said or 0)


@pytest.mark.filterwarnings("ignore:This process")
def test_one_that_goes_on_behind_its_mark_waits_for_whoever_answers_from_the_old_place_too(data, where, monkeypatch):
    def cut_off(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(LedgerMove, "_finish", cut_off)
        with pytest.raises(KeyboardInterrupt):
            moving.move(data, where)
    slept, sleeps = [], time.sleep
    monkeypatch.setattr(FolderPlace, "proved_for", 0.0123)
    monkeypatch.setattr(time, "sleep", lambda seconds: slept.append(seconds) or sleeps(seconds))
    moving.move(data, where)
    assert 0.0123 in slept


def test_killed_anywhere_and_run_again_it_comes_to_the_same_end(tmp_path, postgres, monkeypatch):
    """And each time in between one place alone is the ledger."""
    monkeypatch.setattr(copied_database, "CHUNK", 40)
    made = inside.install(tmp_path / "data")
    with open_house(made, inside.settings(), dev=True) as house:
        everybody.story(house)
        everybody.fill(house, 300, first=1000)
    before, luck = moving.content(made), random.Random(23)
    for turn in range(6 if SOAK else 2):
        data, where, kills = tmp_path / f"data-{turn}", postgres_server.fresh_url(postgres), 0
        shutil.copytree(made, data)
        shutil.copytree(tmp_path / "data.checkpoints", tmp_path / f"data-{turn}.checkpoints")
        for ends in ((data, where), (where, data)):
            for step in (20, 90, 300, 5, 40, 200):
                if dies(lambda ends=ends: moving.move(*ends), luck.randint(1, 4 * step)):
                    break
                kills += 1
            moving.move(*ends)
            assert moving.content(data) == before
            moving.delete_what_was_moved(data) if ends[0] == data else None
        assert kills


@pytest.mark.skipif(not SOAK, reason="takes minutes: SOAK=1")
@pytest.mark.filterwarnings("ignore:This process")
def test_killed_at_each_call_of_the_last_steps_it_is_finished(tmp_path, postgres):
    made = inside.install(tmp_path / "data")
    with open_house(made, inside.settings(), dev=True) as house:
        everybody.story(house)
    before = moving.content(made)
    every = dies(lambda: move_a_copy(made, postgres, tmp_path, 0), 0)
    for at in range(every - 1, every - 200, -4):
        where = postgres_server.fresh_url(postgres)
        data = a_copy(made, tmp_path, at)
        assert not dies(lambda where=where, data=data: moving.move(data, where), at)
        moving.move(data, where)
        assert moving.content(data) == before, at


def a_copy(made, tmp_path, number):
    data = shutil.copytree(made, tmp_path / f"data-{number}")
    shutil.copytree(f"{made}.checkpoints", f"{data}.checkpoints")
    return data


def move_a_copy(made, postgres, tmp_path, number):
    moving.move(a_copy(made, tmp_path, number), postgres_server.fresh_url(postgres))


def test_the_control_who_leaves_out_what_changed_is_found_by_the_comparison(data, where, monkeypatch):
    with open_house(data, inside.settings(), dev=True) as house:
        with monkeypatch.context() as patch:
            patch.setattr(CopiedDatabase, "catch_up", lambda *_: 0)
            patch.setattr(CopiedDatabase, "copy_changed", lambda *_: ([], 0))
            with pytest.raises(CopyDiffers, match="not at the target as they are at the source"):
                moving.move(data, where, writes_meanwhile(house, iter(range(2000, 2006))))
        everybody.says_no(house, "gaid", gaid(8))  # the source goes on
    moving.move(data, where)
    assert verify_ledger(data, inside.settings(), boxes=True)[0].passed


@pytest.mark.parametrize("fault", ["skips changed rows", "loses a row", "takes no notes"])
def test_the_control_a_copy_with_a_fault_is_found(data, where, monkeypatch, fault):
    if fault == "skips changed rows":  # the notes are used up, and nothing is done for them
        monkeypatch.setattr(CopiedDatabase, "_copy_rows", lambda *_: None)
    elif fault == "loses a row":
        real = copied_database.put_rows
        monkeypatch.setattr(copied_database, "put_rows", lambda db, table, rows: real(db, table, rows[1:]))
    else:
        monkeypatch.setattr(
            changed_rows,
            "_noting",
            lambda table: [f"CREATE TABLE changed_{table.name} (n INTEGER PRIMARY KEY) STRICT"] if table.key else [],
        )
    with open_house(data, inside.settings(), dev=True) as house:
        written = iter(range(2000, 2003))

        def tell(what, rows):
            if what == "making the indexes":
                for number in written:
                    everybody.fill(house, 3, first=number)
                    house.writer.submit(
                        lambda tx: tx.db.execute("UPDATE detail SET at = at + 1 WHERE seq < 5")
                    ).result()

        with pytest.raises(CopyDiffers, match="not at the target as they are at the source"):
            moving.move(data, where, tell)
    assert not address.url_in(data)


def test_two_at_once_a_foreign_target_and_half_of_another_copy_are_refused_and_given_up(data, where, postgres):
    others = postgres_server.fresh_url(postgres)

    def stops(what, rows):
        with pytest.raises(LedgerRefused, match="another gateway copy"):
            moving.move(data, where)
        raise Cut

    with pytest.raises(Cut):
        moving.move(data, where, stops)
    with pytest.raises(Cut):
        moving.move(data, others, stops)  # from now on the notes are for this one
    with pytest.raises(LedgerRefused, match="half of another copy"):
        moving.move(data, where)
    InstallationMove(str(data), where, inside.settings()).give_up()
    with contextlib.closing(schema.open_to_read(data)) as db:
        assert not [
            row for row in db.execute("SELECT name FROM sqlite_schema") if row[0].startswith(changed_rows.PREFIX)
        ]
    moving.move(data, where)
    for ends, text in (
        ((data, others), "in another PostgreSQL"),
        ((data, data), "the other the url"),
        ((where, where), "the other the url"),
    ):
        with pytest.raises(LedgerRefused, match=text):
            moving.move(*ends)


def test_a_text_with_nul_stays_where_it_is_and_says_so(data, where):
    with schema.held(data), contextlib.closing(schema.open_to_write(data)) as db:
        db.execute("INSERT INTO told_event VALUES (1, 'a' || char(0), 1, 'sent')")
    with pytest.raises(LedgerRefused, match="told_event have a text with a NUL"):
        moving.move(data, where)
    with open_house(data, inside.settings(), dev=True) as house:
        everybody.says_no(house, "gaid", gaid(8))


def test_a_server_that_goes_away_meanwhile_cuts_it_off_and_it_goes_on(data, where):
    import psycopg

    ended = []

    def tell(what, rows):
        if not ended:
            with psycopg.connect(where, autocommit=True) as db:
                ended.append(
                    db.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    ).fetchall()
                )

    before = moving.content(data)
    with pytest.raises(LedgerRefused, match="run the same again"):
        moving.move(data, where, tell)
    moving.move(data, where)
    assert moving.content(data) == before


def test_many_threads_write_while_it_is_moved_and_each_no_that_was_kept_is_there(data, where):
    kept, stop = [], threading.Event()
    with open_house(data, inside.settings(), dev=True, patient=True) as house:

        def writes(first):
            for number in range(first, first + 10_000):
                if stop.is_set():
                    return
                try:
                    everybody.says_no(house, "gaid", gaid(number))
                except (StoreUnavailable, sqlite3.Error):
                    return
                kept.append(number)
                time.sleep(0.01)

        threads = [threading.Thread(target=writes, args=(100_000 * each,)) for each in (1, 2, 3)]
        for each in threads:
            each.start()
        moving.move(data, where)
        stop.set()
        for each in threads:
            each.join()
    assert len(kept) > 10
    with (
        open_house(data, inside.settings(), dev=True) as house,
        contextlib.closing(house.writer.store.open_to_read()) as db,
    ):
        keys = {house.consent.people.name([named("gaid", gaid(number))]).subjects[0].key for number in kept}
        assert keys <= {row[0] for row in db.execute("SELECT key FROM detail").fetchall()}
