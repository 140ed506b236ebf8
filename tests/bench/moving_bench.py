"""Moves a ledger from its folder into a PostgreSQL and back, under load, and says what that took.

    python tests/bench/moving_bench.py FOLDER

FOLDER as `million.py` makes it. Meanwhile one caller says no fifty times a second, if the machine lets it. Each way
once: rows a second by the wall's clock and by this process's own processor time, the pause, and what it is on the disk.
"""

import contextlib
import os
import sys
import threading
import time
from itertools import count
from pathlib import Path

import psycopg
from support import everybody, example, inside, moving, postgres_server
from support.people import gaid

from gateway.app.composition import open_house, verify_ledger
from gateway.cli.ledger import _moved_words
from gateway.ledger.folder_store import store_in
from gateway.ledger.writer import StoreUnavailable

NUMBERS = count(1_000_000)


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


def shown(folder):
    """What would be signed, and receipts of twenty entries all over the log."""
    with open_house(folder, inside.settings(), dev=True) as house:
        with contextlib.closing(store_in(folder).open_to_read()) as db:
            (size,) = db.execute("SELECT size FROM head").fetchone()
            events = [
                db.execute(
                    "SELECT event FROM detail WHERE seq >= ? ORDER BY seq LIMIT 1", (size * at // 50,)
                ).fetchone()[0]
                for at in range(20)
            ]
        receipts = house.consent.log_reader.receipts(events)
    return size, receipts


def timed(folder, source, target):
    said, began, processor = [], time.monotonic(), time.process_time()
    with load(folder, said):
        report = moving.move(source, target)
        processor = time.process_time() - processor
    print(*_moved_words(report), sep="\n")
    print(
        f"{report.copied / (report.copying or 1):,.0f} rows a second by the clock; {processor:.0f} s of processor time for everything, {time.monotonic() - began:.0f} s by the clock"
    )
    print(
        f"load: {len(said)} noes were answered meanwhile, median {sorted(said, key=lambda each: each[1])[len(said) // 2][1] * 1000:.0f} ms, longest {max(each[1] for each in said) * 1000:.0f} ms"
    )
    size, receipts = shown(folder)
    print(f"{size} entries, {sum(map(bool, receipts))} of 20 receipts", flush=True)
    return report


def main(folder):
    folder = Path(folder)
    os.environ["GATEWAY_CONFIG"] = str(example.FILE)
    print(
        f"files: {sum(path.stat().st_size for path in folder.glob('*.sqlite3*')) / 2**20:.0f} MiB; load of the machine {os.getloadavg()[0]:.0f}",
        flush=True,
    )
    with postgres_server.running(postgres_server.programs()) as at:
        url = postgres_server.fresh_url(at)
        timed(folder, folder, url)
        with psycopg.connect(url, autocommit=True) as db:
            print(
                f"PostgreSQL: {db.execute('SELECT pg_database_size(current_database())').fetchone()[0] / 2**20:.0f} MiB",
                flush=True,
            )
        moving.delete_what_was_moved(folder)
        timed(folder, url, folder)
    began = time.process_time()
    report, _ = verify_ledger(folder, inside.settings(), boxes=False)
    print(
        f"verified in {time.process_time() - began:.0f} s of processor time: {report.passed}, {report.entries} entries, {report.compared} rows of state, {report.different[:3]}"
    )


if __name__ == "__main__":
    main(sys.argv[1])
