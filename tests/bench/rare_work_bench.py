"""`PYTHONPATH=tests:. python tests/bench/rare_work_bench.py [PEOPLE]`: what the rare work on a full ledger takes, and how long opt-outs wait
for it: a void of a screen, of forged choices, an unlink of an account of many browsers, a prune.

Each act is one of another process, as by the command line, while a gateway of the folder writes an opt-out every
few milliseconds. Beside each: its seconds, the longest that either process held the writers' lock, what opt-outs
waited, and whether any of them is missing afterwards, or anybody allowed who may not be.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from support import inside
from support.people import gaid, named

from gateway.app import composition
from gateway.app.composition import House
from gateway.consent.asked import Ask
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.ledger import schema
from gateway.ledger.acts import links, records, voiding
from gateway.ledger.acts.links import Span
from gateway.ledger.acts.voiding import Belief
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.subjects import Choice, Subject, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, Erasing, Purpose

PEOPLE = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 100_000
FORGED, BROWSERS = 1_000, 300
JOB, PAUSE, ASKED = 200, 0.005, 2_000  # people of one transaction; seconds between opt-outs; of how many is asked
SCREEN, ACCOUNT = "a-screen", "an-account"
SAID_LATER = 10_000_000  # whoever says no beside the act has numbers from here on
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


def choice(kind: ChoiceKind = ChoiceKind.OPT_OUT, ui: str = "", source: str = "form") -> Choice:
    """A no of everything, or a yes to sales."""
    purposes = (Purpose.SALE,) if kind == ChoiceKind.OPT_IN else SIGNAL_PURPOSES
    return Choice(kind, purposes, source, datetime.now(UTC), ui=ui)


def fill(house: House) -> None:
    """Everybody said no, and yes on the screen; some said no again, as a forger would have it; one account has many."""

    def part(tx: Transaction, start: int) -> None:
        for number in range(start, min(start + JOB, PEOPLE)):
            who = name(house, "gaid", gaid(number))
            records.write_choice(tx, who, choice(), os.urandom(16))
            records.write_choice(tx, who, choice(ChoiceKind.OPT_IN, SCREEN), os.urandom(16))

    for start in range(0, PEOPLE, JOB):
        house.writer.submit(lambda tx, start=start: part(tx, start)).result()

    def forged(tx: Transaction) -> None:
        for number in range(FORGED):
            records.write_choice(tx, name(house, "gaid", gaid(PEOPLE + number)), choice(source="agent"), os.urandom(16))

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
    asks = (
        Ask(("teemo",), [named("gaid", gaid(number))], purpose="sale", data=("ad_id",), place="US-NY")
        for number in asked
    )
    return sum(house.consent.check(ask).verdicts["teemo"].allowed for ask in asks)


# ---- What the other process does ----


def _void_screen(house: House) -> int:
    return asyncio.run(house.consent.void_consents(SCREEN, WHY))


def _void_choices(house: House) -> int:
    with contextlib.closing(schema.open_to_read(house.writer.store.name.parent)) as db:
        rows = db.execute("SELECT seq FROM entry WHERE instr(CAST(body AS TEXT), '\"agent\"') > 0").fetchall()
    jobs = voiding.void_jobs([seq for (seq,) in rows], BELIEF, datetime.now(UTC))
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
        done, took = pruned.plan.bodies, time.perf_counter() - start
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
            who = name(self._house, "gaid", gaid(number))
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


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "data"
        composition.migrate(folder)
        holds = Holds()
        with composition.open_house(folder, IN_THE_EXAMPLE, dev=True) as house:
            start = time.perf_counter()
            fill(house)
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
    else:
        main()
