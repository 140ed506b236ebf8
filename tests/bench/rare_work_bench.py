"""`PYTHONPATH=tests:. python tests/bench/rare_work_bench.py [PEOPLE]`: what the rare work on a full ledger takes, and how long opt-outs wait
for it: a void of a screen, of forged choices, an unlink of an account of many browsers, a prune.

Each act is one of another process, as by the command line, while a gateway of the folder writes an opt-out every
few milliseconds. Beside each: its seconds, the longest that either process held the writers' lock, what opt-outs
waited, and whether any of them is missing afterwards, or anybody allowed who may not be.

    PYTHONPATH=tests:. python tests/bench/rare_work_bench.py --rekey FOLDER

The same of a ledger that `million.py` made in FOLDER, which is another one afterwards: the weekly turn of what keys are
wrapped by, which a gateway does between opt-outs; then a new pepper, for which the service is stopped.
"""

import asyncio
import contextlib
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from million import verifies
from support import inside
from support.people import gaid, named

from gateway.app import composition, maintenance
from gateway.app.composition import House
from gateway.consent.asked import Ask
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.keys.epochs import FILE as EPOCHS
from gateway.keys.epochs import read_epochs
from gateway.ledger import schema
from gateway.ledger.acts import links, office_acts, records
from gateway.ledger.acts.links import Span
from gateway.ledger.acts.office_acts import Belief
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.subjects import Choice, Subject, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, Erasing, Purpose

REKEY = "--rekey"
PEOPLE = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 0 if REKEY in sys.argv else 100_000
FORGED, BROWSERS = 1_000, 300
JOB, PAUSE, ASKED = 200, 0.005, 2_000  # people of one transaction; seconds between opt-outs; of how many is asked
SCREEN, ACCOUNT = "a-screen", "an-account"
SAID_LATER = 10_000_000  # whoever says no beside the act has numbers from here on
STRANGER, ACCOUNTS = 9 * SAID_LATER, 1_000  # nobody; up to where `million.py` has certainly made accounts
NEXT_WEEK = timedelta(days=8)
WHY, BELIEF = b"h" * 32, Belief(b"b" * 32, ("Ada Park", "Ben Cole"))
PRUNED_AFTER = timedelta(days=1500)  # past every retention
IN_THE_EXAMPLE = inside.settings()


class Holds:
    """The longest that this process held the writers' lock: seconds by the clock, and of a thread's processor time."""

    def __init__(self) -> None:
        self.longest, self.busiest, self._locked_by = 0.0, 0.0, schema.locked_by
        schema.locked_by = self._timed  # type: ignore[assignment]

    @contextlib.contextmanager
    def _timed(self, path: Path, deadline: float) -> Iterator[None]:
        with self._locked_by(path, deadline):
            since, spent = time.perf_counter(), time.thread_time()
            try:
                yield
            finally:
                if path.name.endswith(".writer"):
                    self.longest = max(self.longest, time.perf_counter() - since)
                    self.busiest = max(self.busiest, time.thread_time() - spent)


def name(house: House, kind: str, value: str) -> Subject:
    return house.consent.people.name([named(kind, value)]).subjects[0]


def known_by(number: int) -> tuple[str, str]:
    """Nine of ten of the people by an account; all others by an ad id, which has a dozen digests."""
    return ("account", f"person-{number}") if number < PEOPLE and number % 10 else ("gaid", gaid(number))


def choice(kind: ChoiceKind = ChoiceKind.OPT_OUT, ui: str = "", source: str = "form") -> Choice:
    """A no of everything, or a yes to sales."""
    purposes = (Purpose.SALE,) if kind == ChoiceKind.OPT_IN else SIGNAL_PURPOSES
    return Choice(kind, purposes, source, datetime.now(UTC), ui=ui)


def fill(house: House) -> None:
    """Everybody said no, and yes on the screen; some said no again, as a forger would have it; one account has many."""

    def part(tx: Transaction, start: int) -> None:
        for number in range(start, min(start + JOB, PEOPLE)):
            who = name(house, *known_by(number))
            records.write_choice(tx, who, choice(), os.urandom(16))
            records.write_choice(tx, who, choice(ChoiceKind.OPT_IN, SCREEN), os.urandom(16))

    for start in range(0, PEOPLE, JOB):
        house.writer.submit(lambda tx, start=start: part(tx, start)).result()

    def forged(tx: Transaction) -> None:
        for number in range(FORGED):
            records.write_choice(tx, name(house, *known_by(PEOPLE + number)), choice(source="agent"), os.urandom(16))

    def family(tx: Transaction) -> None:
        now = milliseconds(datetime.now(UTC))
        its = [house.consent.people.browser(f"{number:032x}") for number in range(BROWSERS)]
        links.link_identifiers(tx, name(house, "account", ACCOUNT), its, Span(now), now)
        for each in its:
            records.write_choice(tx, each, choice(), os.urandom(16))

    for job in (forged, family):
        house.writer.submit(job).result()


def allowed(house: House, numbers: range) -> int:
    """Of so many at most, spread over them all."""
    asked = numbers[:: max(len(numbers) // ASKED, 1)]
    return sum(house.consent.checks.check(_question(number)).verdicts["teemo"].allowed for number in asked)


def _question(number: int) -> Ask:
    return Ask(("teemo",), [named(*known_by(number))], purpose="sale", data=("ad_id",), place="US-NY")


# ---- What the other process does ----


def _void_screen(house: House) -> int:
    return asyncio.run(house.consent.void_consents(SCREEN, WHY))


def _void_choices(house: House) -> int:
    with contextlib.closing(schema.open_to_read(house.writer.store.name.parent)) as db:
        rows = db.execute("SELECT seq FROM entry WHERE instr(CAST(body AS TEXT), '\"agent\"') > 0").fetchall()
    jobs = office_acts.void_jobs([seq for (seq,) in rows], BELIEF, datetime.now(UTC))
    return sum(house.writer.submit(job).result().entries for job in jobs)


def _unlink(house: House) -> int:
    order = ErasureOrder(Erasing.UNLINK, [name(house, "account", ACCOUNT)], datetime.now(UTC))
    asyncio.run(house.consent.erase(order))
    return BROWSERS


ACTS: dict[str, Callable[[House], int]] = {
    "void of a screen": _void_screen, "void of choices": _void_choices, "unlink": _unlink,
}  # fmt: skip
PRUNE = "prune"


def do(act: str, folder: Path) -> None:
    """Prints how much it was, its seconds and the longest hold."""
    gc.freeze()  # as the command does once it is loaded
    holds = Holds()
    if act == PRUNE:
        start = time.perf_counter()
        try:
            pruned = composition.prune_ledger(
                folder, IN_THE_EXAMPLE, dry_run=False, clock=lambda: datetime.now(UTC) + PRUNED_AFTER
            )
        except LedgerRefused as refused:
            report, _ = composition.verify_ledger(folder, IN_THE_EXAMPLE, boxes=False)
            raise LedgerRefused(f"{refused}: {report.different[:9]}") from refused
        done, took = pruned.bodies, time.perf_counter() - start
    else:
        with composition.open_house(folder, IN_THE_EXAMPLE, dev=True) as house:
            start = time.perf_counter()
            done = ACTS[act](house)
            took = time.perf_counter() - start
    print(json.dumps({"done": done, "took": took, "hold": holds.longest, "busy": holds.busiest}))


# ---- What goes on beside it ----


class Load:
    """Opt-outs, one after the other, until told to stop."""

    def __init__(self, house: House, first: int) -> None:
        self.waits, self.said, self._house, self._first = [0.0], range(0), house, first
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _go(self) -> None:
        waits = []
        for number in range(self._first, self._first + SAID_LATER):
            if self._over.wait(PAUSE):
                break
            since = time.perf_counter()
            who = name(self._house, *known_by(number))
            self._house.writer.submit(
                lambda tx, who=who: records.write_choice(tx, who, choice(), os.urandom(16))
            ).result()
            waits.append(time.perf_counter() - since)
            self.said = range(self._first, number + 1)
        self.waits = sorted(waits)


def beside(act: str, folder: Path, house: House, holds: Holds, first: int) -> tuple[dict[str, float], Load]:
    """What the act itself tells, once it is done, and what was said meanwhile."""
    holds.longest = holds.busiest = 0.0
    with Load(house, first) as load:
        ended = subprocess.run([sys.executable, __file__, "--act", act, folder], capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(ended.stderr)
    return json.loads(ended.stdout.splitlines()[-1]), load


# ---- New keys ----


def _wraps_one_epoch(folder: Path, before: int) -> bool:
    """Whether a newer epoch than a number wraps every key that is named."""
    *older, newest = read_epochs(folder / EPOCHS)
    return newest.number > before and all(each.empty for each in older)


def turn_epochs(folder: Path) -> None:
    """By a gateway whose clock says that the week is over, while people opt out."""
    before, holds = read_epochs(folder / EPOCHS)[-1].number, Holds()
    with composition.open_house(folder, IN_THE_EXAMPLE, dev=True, clock=lambda: datetime.now(UTC) + NEXT_WEEK) as house:
        start = time.perf_counter()
        with Load(house, SAID_LATER) as load:
            while not _wraps_one_epoch(folder, before):
                time.sleep(PAUSE)
        took = time.perf_counter() - start
        print(f"turn of the epochs: {took:.0f} s, {_beside(holds, load)}; {_who_is_allowed(house, load)}", flush=True)


def new_pepper(folder: Path) -> None:
    """Then a service is started."""
    holds, start = Holds(), time.perf_counter()
    keys, peppers = maintenance.pepper(folder, IN_THE_EXAMPLE)
    took, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"a new pepper: {keys} keys wrapped by {peppers} in {took:.0f} s, one hold of {holds.longest:.0f} s", flush=True
    )
    with composition.open_house(folder, IN_THE_EXAMPLE, dev=True) as house, Load(house, 2 * SAID_LATER) as load:
        while not house.consent.checks.check(_question(STRANGER)).verdicts["teemo"].allowed:
            time.sleep(PAUSE)  # all are denied until the state is there again
        print(f"answers again after {time.perf_counter() - start:.0f} s, {peak} MiB at most", flush=True)
    with composition.open_house(folder, IN_THE_EXAMPLE, dev=True) as house:
        print(_who_is_allowed(house, load))


def _beside(holds: Holds, load: Load) -> str:
    waits = load.waits
    p50, p99 = (waits[len(waits) * part // 100] * 1000 for part in (50, 99))
    return (
        f"longest hold {holds.longest * 1000:.0f} ms ({holds.busiest * 1000:.0f} of the processor), beside it"
        f" {len(waits)} opt-outs that waited {p50:.0f}, {p99:.0f} and at most {waits[-1] * 1000:.0f} ms"
    )


def _who_is_allowed(house: House, load: Load) -> str:
    """Of those who said no beside it, and of the accounts of `million.py`; and of strangers, the control."""
    among = [allowed(house, each) for each in (load.said, range(1, ACCOUNTS, 2), range(STRANGER, STRANGER + 100))]
    return f"allowed: {among[0]} of those, {among[1]} of before, {among[2]} of 100 strangers"


def rekey(folder: Path) -> None:
    turn_epochs(folder)
    new_pepper(folder)
    verifies(folder, boxes=False)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        composition.migrate(folder)
        holds = Holds()
        with composition.open_house(folder, IN_THE_EXAMPLE, dev=True) as house:
            start = time.perf_counter()
            fill(house)
            gc.collect()  # as a service does once it is started: what was made before is not looked through again
            gc.freeze()
            print(f"{PEOPLE} people in {time.perf_counter() - start:.0f} s", flush=True)
            print("| act | of | seconds | longest hold (processor), ms | the gateway's own | opt-outs beside | p50, p99, longest wait, ms"
                  " | not denied after |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
            everybody = range(PEOPLE)
            print(f"control: {allowed(house, everybody)} of those asked are allowed before", file=sys.stderr)
            for index, act in enumerate([*ACTS, PRUNE]):
                told, load = beside(act, folder, house, holds, SAID_LATER * (index + 1))
                waits = load.waits
                p50, p99 = (waits[len(waits) * part // 100] * 1000 for part in (50, 99))
                print(
                    f"| {act} | {told['done']:,} | {told['took']:.2f} | {told['hold'] * 1000:.0f} ({told['busy'] * 1000:.0f}) |"
                    f" {holds.longest * 1000:.0f} ({holds.busiest * 1000:.0f}) | {len(waits)} | {p50:.0f}, {p99:.0f}, {waits[-1] * 1000:.0f} |"
                    f" {allowed(house, everybody)} and {allowed(house, load.said)} |",
                    flush=True,
                )
        report, _ = composition.verify_ledger(folder, IN_THE_EXAMPLE, boxes=False)
        print(f"verify: {report.entries} entries, {report.different[:3] or 'passed'}")


if __name__ == "__main__":
    if "--act" in sys.argv:
        do(sys.argv[2], Path(sys.argv[3]))
    elif REKEY in sys.argv:
        rekey(Path(sys.argv[2]))
    else:
        main()
