"""Moves a ledger from its folder into a PostgreSQL and back, under load, killed in the middle and run again, and says
what that took.

    python tests/bench/moving_bench.py FOLDER [ENTRIES]

FOLDER as `million.py` makes it; where there is none it is made, with so many entries. Meanwhile one caller says no
fifty times a second, if the machine lets it. Each way a process of its own gets SIGKILL once half of the rows are over;
then once more, to the end: rows a second by the wall's clock, this process's own processor time, the pause, and what it
is on the disk. Behind each way the log has the root that it had, receipts made before verify in it, and the state of
this machine, which was made before, is what the log in the new place folds to; else the bench ends.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

import million
import psycopg
from support import everybody, example, inside, moving, postgres_server
from support.people import gaid

from gateway.app.composition import open_house, verify_ledger
from gateway.cli.ledger import _moved_words
from gateway.ledger import tree
from gateway.ledger.audit.log_reader import size_of
from gateway.ledger.folder_store import store_in
from gateway.ledger.moving.tables import ledger_tables
from gateway.ledger.proof import merkle, note
from gateway.ledger.writer import StoreUnavailable

NUMBERS = count(1_000_000)
RECEIPTS = 20


@contextlib.contextmanager
def load(folder, said):
    """Until the old place is none any more."""
    stop = threading.Event()

    def says():
        while not stop.wait(0.02):
            number, began = next(NUMBERS), time.monotonic()
            try:
                everybody.says_no(house, "gaid", gaid(number))
            except StoreUnavailable:
                return
            said.append((number, time.monotonic() - began))

    with open_house(folder, inside.settings(), dev=True, patient=True) as house:
        thread = threading.Thread(target=says)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def looked(folder):
    """The store, read: of the ledger wherever it is now."""
    return contextlib.closing(store_in(folder).open_to_read())


def rows_in(folder):
    with looked(folder) as db:
        return sum(db.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0] for table in ledger_tables())


def given_receipts(folder):
    """Of entries all over the log, as they are handed out."""
    with open_house(folder, inside.settings(), dev=True) as house:
        with looked(folder) as db:
            size, after = million.size_of_log(db), "SELECT event FROM detail WHERE seq >= ? ORDER BY seq LIMIT 1"
            events = [db.execute(after, (size * at // RECEIPTS,)).fetchone()[0] for at in range(RECEIPTS)]
        return house.consent.log_reader.receipts(events)


def prove(folder, receipts):
    """The root of each receipt is the one that the log has at its size, and its entry is in there; then everything."""
    with looked(folder) as db:
        for each in receipts:
            size = size_of(each.note)
            root = tree.root_at(db, size)
            assert root == note.parse_checkpoint(note.text_of(each.note)).root, "another log"
            merkle.check_inclusion(each.index, size, merkle.leaf_hash(each.entry), each.proof, root)
    began, clock = time.process_time(), time.monotonic()
    report, _ = verify_ledger(folder, inside.settings(), boxes=False)
    assert (report.passed, report.uncompared) == (True, ""), report.different[:3] or report.uncompared
    print(
        f"the same root, {len(receipts)} receipts of before verify; verified in {time.process_time() - began:.0f} s of"
        f" processor time, {time.monotonic() - clock:.0f} s by the clock: {report.entries} entries,"
        f" {report.compared} rows and edges of the state are the log's",
        flush=True,
    )


def killed_half_way(source, target, rows):
    """A process that moves it gets SIGKILL, and nobody has seen the end of it."""
    done = subprocess.run([sys.executable, __file__, "half", source, target, str(rows)], check=False)
    assert done.returncode == -signal.SIGKILL, done.returncode


def half(source, target, rows):
    """What `killed_half_way` starts."""
    over = 0

    def tell(what, more):
        nonlocal over
        over += more if what == "copying rows" else 0
        if over >= rows:
            os.kill(os.getpid(), signal.SIGKILL)

    moving.move(source, target, tell)


def timed(folder, source, target):
    said, began, processor, rows = [], time.monotonic(), time.process_time(), rows_in(folder)
    with load(folder, said):
        killed_half_way(source, target, rows // 2)
        cut = time.monotonic() - began
        report = moving.move(source, target)
        processor = time.process_time() - processor
    assert 0 < report.copied < rows, "it did not go on"
    print(f"{rows} rows; killed after {cut:.0f} s and run again:", *_moved_words(report), sep="\n")
    waited = sorted(took for _, took in said)
    print(
        f"{report.copied / (report.copying or 1):,.0f} rows a second by the clock; {processor:.0f} s of processor time"
        f" for everything behind the kill and the load, {time.monotonic() - began:.0f} s by the clock, the kill's too"
    )
    print(
        f"load: {len(said)} noes were answered meanwhile, median {waited[len(said) // 2] * 1000:.0f} ms,"
        f" longest {waited[-1] * 1000:.0f} ms",
        flush=True,
    )


def main(folder, entries):
    folder = Path(folder)
    os.environ["GATEWAY_CONFIG"] = str(example.FILE)
    if not folder.exists():
        million.make(folder, entries)
    receipts = given_receipts(folder)
    size = sum(path.stat().st_size for path in folder.glob("*.sqlite3*"))
    print(f"{time.strftime('%d %B %Y')}; files: {size / 2**20:.0f} MiB; load {os.getloadavg()[0]:.0f}", flush=True)
    with postgres_server.running(postgres_server.programs()) as at:
        url = postgres_server.fresh_url(at)
        timed(folder, folder, url)
        with psycopg.connect(url, autocommit=True) as db:
            (size,) = db.execute("SELECT pg_database_size(current_database())").fetchone()
        print(f"PostgreSQL: {size / 2**20:.0f} MiB", flush=True)
        prove(folder, receipts)
        receipts += given_receipts(folder)
        moving.delete_what_was_moved(folder)
        timed(folder, url, folder)
    prove(folder, receipts)


if __name__ == "__main__":
    if sys.argv[1] == "half":
        half(*sys.argv[2:4], int(sys.argv[4]))
    else:
        main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
