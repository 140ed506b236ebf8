import asyncio
import contextlib
import errno
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from support import inside

from gateway.app.composition import publisher_of
from gateway.keys import secret_files
from gateway.keys.person_keys import Vault
from gateway.ledger import schema
from gateway.ledger.errors import NothingKept, StoreUnavailable
from gateway.ledger.store import SqliteStore
from gateway.ledger.watch import FileWatch
from gateway.ledger.writer import Writer


@contextlib.contextmanager
def writing(folder, count=1):
    """Writers of one folder in this process, which share its watch."""
    secrets = secret_files.load_secrets(folder)
    watch = FileWatch(SqliteStore(folder), len(secrets.peppers))
    watch.start()
    made = [
        Writer(
            SqliteStore(folder),
            lambda: Vault(folder, secrets.wraps),
            watch,
            publisher_of(folder, inside.settings(), secrets),
        )
        for _ in range(count)
    ]
    try:
        yield made
    finally:
        for writer in made:
            writer.close()
        watch.stop()


@pytest.fixture
def writer(folder):
    with writing(folder) as [one]:
        yield one


def bodies(folder):
    with contextlib.closing(schema.open_to_read(folder)) as db:
        return [body for (body,) in db.execute("SELECT body FROM entry ORDER BY seq")]


def appends(body):
    return lambda tx: tx.append(body)


def in_one_batch(writer, *jobs):
    """Jobs that wait together behind one that is held up, so that they become one batch."""
    held, go = threading.Event(), threading.Event()

    def hold(tx):
        held.set()
        go.wait(60)

    first = writer.submit(hold)
    assert held.wait(60)
    futures = [writer.submit(job) for job in jobs]
    go.set()
    first.result(60)
    return futures


def fails(tx):
    tx.append(b"never seen")
    raise LookupError("this one alone")


def test_an_entry_is_on_disk_before_its_number_is_told(folder, writer):
    assert writer.submit(appends(b"one")).result(60) == 0
    assert bodies(folder) == [b"one"]


def test_a_job_that_raises_is_refused_alone_and_the_others_are_kept(folder, writer):
    one, bad, two = in_one_batch(writer, appends(b"one"), fails, appends(b"two"))
    assert (one.result(60), two.result(60)) == (0, 1)
    with pytest.raises(LookupError, match="this one alone"):
        bad.result(60)
    assert bodies(folder) == [b"one", b"two"]


def test_what_the_disk_refuses_one_job_beside_the_ledger_is_not_kept_and_the_others_are(folder, writer):
    def finds_no_room(tx):
        tx.append(b"never seen")
        raise OSError(errno.ENOSPC, "no room")

    one, bad, two = in_one_batch(writer, appends(b"one"), finds_no_room, appends(b"two"))
    assert (one.result(60), two.result(60)) == (0, 1)
    with pytest.raises(NothingKept, match="OSError"):  # so a no waits in the emergency file
        bad.result(60)
    assert bodies(folder) == [b"one", b"two"]


def test_an_error_of_the_database_refuses_the_whole_batch_and_keeps_none_of_it(folder, writer):
    def breaks(tx):
        tx.db.execute("INSERT INTO nowhere VALUES (1)")

    futures = in_one_batch(writer, appends(b"one"), breaks, appends(b"two"))
    for future in futures:
        with pytest.raises(StoreUnavailable, match="nothing was kept: OperationalError"):
            future.result(60)
    assert bodies(folder) == []
    assert writer.submit(appends(b"later")).result(60) == 0


def test_a_row_that_cannot_be_written_behind_its_job_refuses_the_whole_batch_whoever_finds_it_out(folder, writer):
    def says(tx):
        tx.append(b"one")
        tx.unwritten.add("INSERT INTO entry VALUES (?, ?)", (2**70, b""))  # no error of the database

    def reads(tx):
        return tx.db.execute("SELECT count(*) FROM entry").fetchone()

    for jobs in ([says, reads], [says, appends(b"two")], [appends(b"one"), says, reads, reads]):
        for future in in_one_batch(writer, *jobs):
            with pytest.raises(NothingKept, match="nothing was kept: BatchUnwritten"):
                future.result(60)
        assert bodies(folder) == []
    assert writer.submit(appends(b"later")).result(60) == 0


def test_nobody_is_answered_before_the_commit(folder, writer):
    seen = []

    def job(tx):
        seen.append(bodies(folder))
        return tx.append(b"one")

    future = writer.submit(job)
    future.add_done_callback(lambda _: seen.append(bodies(folder)))
    future.result(60)
    for _ in range(3000):
        if len(seen) == 2:
            break
        time.sleep(0.01)
    assert seen == [[], [b"one"]]


def test_what_one_job_wrote_the_next_of_its_batch_reads(writer):
    one, two = in_one_batch(writer, appends(b"one"), lambda tx: (tx.size, tx.append(b"two")))
    assert (one.result(60), two.result(60)) == (0, (1, 1))


@pytest.mark.anyio
async def test_a_person_who_hangs_up_is_opted_out_all_the_same(folder, writer):
    held, go = threading.Event(), threading.Event()

    def slow(tx):
        held.set()
        go.wait(60)
        return tx.append(b"one")

    waiting = asyncio.create_task(writer.commit(slow))
    await asyncio.to_thread(held.wait, 60)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    assert await writer.commit(appends(b"two")) == 1
    assert await asyncio.to_thread(bodies, folder) == [b"one", b"two"]


@pytest.mark.anyio
async def test_whoever_waits_too_long_is_told_to_ask_again(writer):
    go = threading.Event()
    with pytest.raises(StoreUnavailable, match="same Idempotency-Key"):
        await writer.commit(lambda tx: go.wait(60), 0.05)
    go.set()


def test_nothing_is_acknowledged_into_a_file_that_was_renamed_and_all_is_well_when_it_is_back(folder, writer):
    file, away = folder / schema.FILE, folder / "away"
    assert writer.submit(appends(b"one")).result(60) == 0
    file.rename(away)
    with pytest.raises(StoreUnavailable):
        writer.submit(appends(b"lost")).result(60)
    away.rename(file)
    assert writer.submit(appends(b"two")).result(60) == 1
    assert bodies(folder) == [b"one", b"two"]


def test_another_file_under_the_same_name_takes_no_entry(folder, writer):
    writer.submit(appends(b"one")).result(60)
    (folder / schema.FILE).rename(folder / "away")
    for more in ("-wal", "-shm"):
        (folder / f"{schema.FILE}{more}").rename(folder / f"away{more}")
    schema.migrate(folder, 1)
    with pytest.raises(StoreUnavailable, match="FileMoved"):
        writer.submit(appends(b"lost")).result(60)
    assert bodies(folder) == []


def test_a_file_that_moves_while_a_batch_is_written_is_not_acknowledged(folder, writer):
    file, away = folder / schema.FILE, folder / "away"

    def moves(tx):
        file.rename(away)
        return tx.append(b"one")

    with pytest.raises(StoreUnavailable):
        writer.submit(moves).result(60)
    away.rename(file)
    assert writer.submit(lambda tx: tx.size).result(60) in {0, 1}


def test_a_writer_with_other_peppers_than_the_rows_keeps_nothing(folder, writer):
    writer.submit(lambda tx: tx.db.execute("UPDATE head SET peppers = 2")).result(60)
    with pytest.raises(StoreUnavailable, match="nothing was kept"):
        writer.submit(appends(b"one")).result(60)
    assert bodies(folder) == []


def test_a_closed_writer_finishes_what_waits_and_takes_nothing_more(folder):
    with writing(folder) as [writer]:
        futures = [writer.submit(appends(b"%d" % number)) for number in range(50)]
        writer.close()
        assert [future.result(0) for future in futures] == list(range(50))
        with pytest.raises(StoreUnavailable, match="closed"):
            writer.submit(appends(b"late")).result(0)
    assert len(bodies(folder)) == 50


def test_an_end_does_not_wait_for_a_disk_that_says_nothing(folder, monkeypatch, caplog):
    """Of what waited nothing is kept, and it is told; of what was in hand nobody knows."""
    says, stands = threading.Event(), threading.Event()

    @contextlib.contextmanager
    def still():
        stands.set()
        says.wait(60)
        raise OSError(errno.EIO, "it had stood still")
        yield

    monkeypatch.setattr("gateway.ledger.writer.ENDS_WITHIN", 0.2)
    with writing(folder) as [writer]:
        monkeypatch.setattr(SqliteStore, "held", lambda _: still())
        in_hand = writer.submit(appends(b"in hand"))
        assert stands.wait(30)
        waits = writer.submit(appends(b"waits"))
        began = time.monotonic()
        assert not writer.close()
        assert writer._watch._left, "its locks would be dropped"
        assert time.monotonic() - began < 30
        with pytest.raises(NothingKept):
            waits.result(0)
        with pytest.raises(StoreUnavailable, match="nobody knows"):
            in_hand.result(0)
        [line] = [each.getMessage() for each in caplog.records if "does not end" in each.getMessage()]
        assert line.endswith("not kept of what waited: 1")
        monkeypatch.undo()
        says.set()
        writer._thread.join(60)
        assert writer.close()
    assert bodies(folder) == []


@pytest.mark.slow
def test_two_writers_of_one_folder_interleave_and_lose_nobody(folder):
    with writing(folder, 2) as both:
        futures = [both[number % 2].submit(appends(b"%d" % number)) for number in range(200)]
        numbers = [future.result(60) for future in futures]
    assert sorted(numbers) == list(range(200))
    assert sorted(map(int, bodies(folder))) == list(range(200))
    assert [bodies(folder)[seq] for seq in numbers] == [b"%d" % number for number in range(200)]


OTHER = """
import sys
from pathlib import Path
from gateway.app import composition
from gateway.ledger.store import SqliteStore
from gateway.ledger.watch import FileWatch
from gateway.ledger.writer import Writer
from gateway.keys.person_keys import Vault
from gateway.keys.secret_files import load_secrets
from gateway.settings.load import load_settings
folder, name = Path(sys.argv[1]), sys.argv[2].encode()
secrets = load_secrets(folder)
watch = FileWatch(SqliteStore(folder), 1)
watch.start()
publisher = composition.publisher_of(folder, load_settings(None, {}), secrets)
writer = Writer(SqliteStore(folder), lambda: Vault(folder, secrets.wraps), watch, publisher)
print("ready", flush=True)
sys.stdin.readline()
for number in range(60):
    writer.submit(lambda tx: tx.append(b"%s%d" % (name, number))).result(60)
writer.close()
watch.stop()
"""


@pytest.mark.slow
def test_two_processes_on_one_folder_interleave_and_every_number_is_used_once(folder):
    started = [
        subprocess.Popen([sys.executable, "-c", OTHER, folder, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name in "ab"
    ]
    for process in started:
        assert process.stdout.readline() == b"ready\n"
    for process in started:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120) and process.returncode for process in started] == [0, 0]
    kept = bodies(folder)  # gap-free: the gate of open_to_read compares the head with the last number
    assert sorted(kept) == sorted(b"%c%d" % (name, number) for name in b"ab" for number in range(60))
    for name in b"ab":
        mine = [body for body in kept if body[0] == name]
        assert mine == [b"%c%d" % (name, number) for number in range(60)]


def test_the_checkpoint_empties_the_log_file_into_the_ledger(folder):
    with writing(folder) as [writer]:
        writer.submit(appends(b"one")).result(60)
    wal = folder / f"{schema.FILE}-wal"
    assert not wal.exists() or wal.stat().st_size == 0
    with contextlib.closing(sqlite3.connect(f"{(folder / schema.FILE).as_uri()}?immutable=1", uri=True)) as db:
        assert db.execute("SELECT size FROM head").fetchone() == (1,)
