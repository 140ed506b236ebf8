"""Makes a ledger of many entries through the real writing, and times `gateway verify` on it, and a look back.

    python tests/bench/million.py FOLDER [ENTRIES]

The mix: 80 % browsers that send GPC, one entry each; 10 % forms with a browser and an e-mail address, two entries each;
10 % accounts, each with a phone, an address and a device linked, and one choice: four entries. Prints one table.

The rate is by processor time, which is what one core takes however busy the machine is; the wall's time stands beside
it. Peak memory is that of the process so far, which is why the look with the vault comes last.
"""

import asyncio
import contextlib
import os
import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.app import composition
from gateway.ledger import schema
from gateway.ledger.acts import links, records
from gateway.ledger.acts.links import Span
from gateway.ledger.subjects import Choice, milliseconds
from gateway.settings import load
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, Source

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BLOCK = 20  # entries of one turn: 16 browsers, one form, half an account: two turns make one
JOB = 200  # turns of one transaction


def _named(people, kind, value):
    return people.name([{"type": kind, "value": value}]).subjects[0]


def _turn(tx, people, turn):
    """About twenty entries."""
    at = AT + timedelta(milliseconds=turn)
    heard = Choice(ChoiceKind.OPT_OUT, SIGNAL_PURPOSES, Source.GPC, at)
    said = Choice(ChoiceKind.OPT_OUT, SIGNAL_PURPOSES, "form", at, manner="web")
    for number in range(16):
        records.hear_signal(tx, people.browser(f"{turn * 16 + number:032x}"), heard, os.urandom(16))
    request = os.urandom(16)
    for subject in (people.browser(f"f{turn:031x}"), _named(people, "email", f"person{turn}@example.com")):
        records.write_choice(tx, subject, said, request)
    if turn % 2:
        _account(tx, people, turn, said)


def _account(tx, people, turn, said):
    account = _named(people, "account", f"a{turn}")
    things = [
        _named(people, "phone", f"+1415{turn % 10_000_000:07d}")
        if turn > 2_000_000
        else people.browser(f"e{turn:031x}"),
        _named(people, "email", f"account{turn}@example.com"),
        _named(people, "gaid", f"38400000-8cf0-11bd-b23e-{turn:012x}"),
    ]
    now = milliseconds(said.at)
    links.link_identifiers(tx, account, things, Span(now), now)
    records.write_choice(tx, things[1], said, os.urandom(16))


def make(folder, entries):
    """Stops at the first whole transaction past `entries`."""
    composition.migrate(folder)
    with composition.open_house(folder, load.load_settings(load.example_file(), {}), dev=True) as house:
        people, turn, size = house.consent.people, 0, 0
        while size < entries:

            def job(tx, start=turn):
                for each in range(start, start + JOB):
                    _turn(tx, people, each)
                return tx.size

            size, turn = house.writer.submit(job).result(), turn + JOB
    return size


def size_of(folder):
    with contextlib.closing(schema.open_to_read(folder)) as db:
        return size_of_log(db)


def size_of_log(db):
    return db.execute("SELECT size FROM head").fetchone()[0]


def _opens(folder, size):
    """How long a start takes, and a receipt of an entry in the middle."""
    start = time.perf_counter()
    with composition.open_house(folder, load.load_settings(load.example_file(), {}), dev=True) as house:
        print(f"open: {size} entries in {time.perf_counter() - start:.2f} s")
        with contextlib.closing(schema.open_to_read(folder)) as db:
            middle = db.execute(
                "SELECT event FROM detail WHERE seq >= ? ORDER BY seq LIMIT 100", (size // 2,)
            ).fetchall()
        start = time.perf_counter()
        for (event,) in middle:
            assert house.consent.log_reader.receipts([event])[0] is not None
        print(f"receipt: {(time.perf_counter() - start) / len(middle) * 1000:.1f} ms each, one at a time")


def looks_back(folder, size):
    """How long it takes to say what stood of a person at another moment: of a hundred, by the ad ids of their accounts."""
    spread = range(1, size // BLOCK - JOB, max(size // BLOCK // 100 // 2 * 2, 2))
    with composition.open_house(folder, load.load_settings(load.example_file(), {}), dev=True) as house:
        took, spent = [], []
        for turn in spread:
            subject = _named(house.consent.people, "gaid", f"38400000-8cf0-11bd-b23e-{turn:012x}")
            wall, start = time.perf_counter(), time.process_time()
            found = asyncio.run(house.consent.standings_at([subject], AT + timedelta(days=1)))
            took.append(time.perf_counter() - wall)
            spent.append(time.process_time() - start)
            assert any(each.travelled for each in found.standings), "nothing stood"
    took, spent = sorted(took), sorted(spent)
    print(
        f"look back: {took[len(took) // 2] * 1000:.1f} ms in the middle of {len(took)}, {took[-1] * 1000:.1f} at most;"
        f" of the processor {spent[len(spent) // 2] * 1000:.1f} and {spent[-1] * 1000:.1f}"
    )


def verifies(folder, *, boxes):
    start, wall = time.process_time(), time.perf_counter()
    report, _ = composition.verify_ledger(folder, load.load_settings(load.example_file(), {}), boxes=boxes)
    took, wall = time.process_time() - start, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # Linux counts in KiB
    print(
        f"verify{' --vault' if boxes else ''}: {report.entries} entries in {took:.1f} s of processor time"
        f" ({wall:.1f} s by the clock), {report.entries / took:,.0f}/s, {peak} MiB,"
        f" {report.compared or report.uncompared} rows and edges, boxes {report.opened}, {report.different[:3] or 'passed'}",
        flush=True,
    )


def main(folder, entries):
    folder = Path(folder)
    if not folder.exists():
        start = time.process_time()
        size = make(folder, entries)
        print(f"made {size} entries in {time.process_time() - start:.0f} s of processor time")
    _opens(folder, size_of(folder))
    looks_back(folder, size_of(folder))
    for boxes in (False, True):
        verifies(folder, boxes=boxes)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
