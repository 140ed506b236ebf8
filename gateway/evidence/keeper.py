"""The keeper of the daily evidence (R31): a thread of the service that counts what the doors counted, watches for
outages, and writes an entry at start and stop, at the end of each day (UTC) and when the texts that people are shown
change.

Nothing that answers a check waits for it. What cannot be written is kept, also in a file, and told once the ledger is
back, or by the next start. That file is one of each run, in `running/` of the data folder, locked while its process
lives. It holds counts and times, never a person.

`Spells` are outages: each alarm is polled twice a second, and from when to when it was on is remembered until it is
written.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as NotYet
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from gateway.delivery.background import Every
from gateway.desk import evidence
from gateway.desk.documents import Document
from gateway.desk.evidence import CHANGE, CUT_OFF, DAILY, START, STOP, Counts, Period, Spell
from gateway.desk.office.desk_log import desk_head
from gateway.keys import seals
from gateway.ledger.entry import b64
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.transaction import Job
from gateway.ledger.writer import WRITE_SECONDS, Writer

FOLDER = "running"


class Running:
    """The file of the run that is on. `run` is its random name."""

    def __init__(self, folder: Path) -> None:
        self.run = secrets.token_hex(8)
        self._path = folder / FOLDER / f"{self.run}.json"
        self._descriptor: int | None = None

    def keep(self, periods: Sequence[Period]) -> None:
        """Replaces the file: whoever reads it finds the older or the newer one, whole and locked. Raises OSError."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        beside = self._path.with_suffix(".new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, json.dumps([_plain(period) for period in periods]).encode())
            os.fsync(descriptor)
            beside.replace(self._path)
        except OSError:
            os.close(descriptor)
            raise
        self.let_go()
        self._descriptor = descriptor

    def let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def end(self) -> None:
        """Everything was told: nothing is left to tell."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        self.let_go()


def left_behind(folder: Path) -> list[tuple[Path, list[Period]]]:
    """What runs that are no more had still to tell; forget each file once it is told. One that cannot be read has
    nothing to tell.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held: that run is alive
            found.append((path, [_period(item) for item in json.loads(file.read())]))
    return found


def _plain(period: Period) -> dict[str, Any]:
    spells = [[item.what, item.start.isoformat(), item.end.isoformat() if item.end else None] for item in period.spells]
    return {
        "event": b64(period.event),
        "run": period.run,
        "kind": period.kind,
        "start": period.start.isoformat(),
        "until": period.until.isoformat(),
        "counts": period.counts,
        "spells": spells,
        "desk": period.desk,
    }


def _period(plain: dict[str, Any]) -> Period:
    moment = datetime.fromisoformat
    desk = plain.get("desk")
    spells = tuple(Spell(what, moment(start), moment(end) if end else None) for what, start, end in plain["spells"])
    return Period(
        seals.unb64(plain["event"]),
        plain["run"],
        plain["kind"],
        moment(plain["start"]),
        moment(plain["until"]),
        plain["counts"],
        spells,
        (desk[0], desk[1]) if desk else None,
    )


APART = timedelta(seconds=2)  # two spells closer than that are one: a disk that fails now and then
MOST = 500  # spells of one entry; the last one then goes on until the end


class Spells:
    """`off`: by name, whether something is off now."""

    def __init__(self, off: Mapping[str, Callable[[], bool]]) -> None:
        self._off = off
        self._known: dict[str, list[Spell]] = {what: [] for what in off}

    def look(self, now: datetime) -> bool:
        """Looks once. True where a spell began or ended."""
        turned = [self._turn(what, now, off=off()) for what, off in self._off.items()]
        return any(turned)

    def _turn(self, what: str, now: datetime, *, off: bool) -> bool:
        known = self._known[what]
        last = known[-1] if known else None
        if (last is not None and last.end is None) == off:
            return False
        if not off:
            assert last is not None
            known[-1] = replace(last, end=now)
        elif last is not None and last.end is not None and (now - last.end < APART or len(known) >= MOST):
            known[-1] = replace(last, end=None)
        else:
            known.append(Spell(what, now))
        return True

    def so_far(self) -> tuple[Spell, ...]:
        return tuple(sorted((spell for known in self._known.values() for spell in known), key=lambda item: item.start))

    def close(self) -> tuple[Spell, ...]:
        """Those of the period that ends; a spell that goes on goes on in the next one, from when it began."""
        told = self.so_far()
        self._known = {what: [spell for spell in known if spell.end is None] for what, known in self._known.items()}
        return told


PERIOD = 0.5  # seconds between two looks, as often as the watch proves the file
KEEP_EVERY = 120  # looks, a minute: how much of its counts a killed process may lose
T = TypeVar("T")


def written(writer: Writer, job: Job[T]) -> T:
    """What a job returned. Raises `StoreUnavailable`, also where it is not written in time."""
    try:
        return writer.submit(job).result(WRITE_SECONDS)
    except NotYet:
        raise StoreUnavailable("not written yet") from None


class Evidence:
    """Keeps the evidence of one run of the service. `counted` gives the totals since its start; `off` as in
    `Spells`.
    """

    def __init__(
        self,
        folder: Path,
        writer: Writer,
        in_force: Sequence[Document],
        clock: Callable[[], datetime],
        *,
        counted: Callable[[], Counts],
        off: Mapping[str, Callable[[], bool]],
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._in_force = in_force
        self._clock = clock
        self._counted = counted
        self._spells = Spells(off)
        self._running = Running(folder)
        self._waiting: list[Period] = []
        self._base: Counts = {}
        self._days = set[date]()  # on which a stretch of this run began
        self._shown: int | None = None
        self._begun = False  # whether the ledger has this run's start
        self._looks = 0
        self._thread = Every("evidence", PERIOD, self._turn)

    def start(self) -> None:
        """What earlier runs had still to tell, and that this one began; while the ledger cannot be written it waits."""
        left = left_behind(self._folder)
        now = self._clock()
        self._open(now)
        self._waiting = [period for _, periods in left for period in periods]
        self._spells.look(now)
        self._close(START, now)
        with contextlib.suppress(StoreUnavailable):
            if not self._writer.hangs():  # it would be waited for in vain
                self._tell_start()
        if self._keep():  # what others left is in this run's file now
            for path, _ in left:
                path.unlink(missing_ok=True)
        self._thread.start()

    def _tell_start(self) -> None:
        self._write()
        self._shown = written(self._writer, evidence.last_shown)
        self._begun = True

    def stop(self) -> None:
        """Writes that the service stopped. Where that cannot be written, its file stays and the next start tells."""
        self._thread.stop()
        self._close(STOP, self._clock())
        with contextlib.suppress(StoreUnavailable):
            if not self._writer.hangs():  # it would be waited for in vain
                self._write()
        if self._waiting:
            self._keep()
            self._running.let_go()
        else:
            self._running.end()

    def _turn(self) -> None:
        self._looks += 1
        turned = self.look()
        if turned or self._looks >= KEEP_EVERY:
            self._looks = 0
            self._keep()  # before: whatever of this is written when the process dies has its event in the file
            if self._writer.keeps():
                self._retry()
                self._keep()

    def look(self) -> bool:
        """One look. True where there is something to write or to keep."""
        now = self._clock()
        turned = self._spells.look(now)
        if self._is_another_day(now):
            self._close(DAILY, now)
            return True
        return turned

    def _is_another_day(self, now: datetime) -> bool:
        """A clock that was ahead goes back to its days; one that goes back and forth writes two of each at most."""
        return now.date() < self._began.date() or now.date() not in self._days

    def _retry(self) -> None:
        """Writes what waits, and an entry of its own where the texts that people are shown have changed."""
        with contextlib.suppress(StoreUnavailable):
            if not self._begun:
                self._tell_start()
            shown = written(self._writer, evidence.last_shown)
            if shown != self._shown:  # what ends here ran with what was shown before; what begins names the new ones
                now = self._clock()
                self._close(CHANGE, now)
                self._shown = shown
                self._close(CHANGE, now)
            self._write()

    def _open(self, now: datetime) -> None:
        self._began = now
        self._days.add(now.date())
        self._event = os.urandom(16)
        self._base = self._counted()

    def _period(self, kind: str, now: datetime) -> Period:
        counts = {
            table: {name: count - self._base.get(table, {}).get(name, 0) for name, count in cells.items()}
            for table, cells in self._counted().items()
        }
        spells, head = self._spells.so_far(), desk_head(self._folder)
        return Period(self._event, self._running.run, kind, self._began, now, counts, spells, head, self._shown)

    def _close(self, kind: str, now: datetime) -> None:
        self._waiting.append(self._period(kind, now))
        self._spells.close()
        self._open(now)

    def _write(self) -> None:
        """Writes what waits, oldest first. Raises `StoreUnavailable`; whatever was tried keeps its event."""
        while self._waiting:
            period = self._waiting[0]
            in_force = self._in_force if period.run == self._running.run else None
            written(self._writer, partial(evidence.note_period, period=period, in_force=in_force, at=self._clock()))
            self._waiting.pop(0)

    def _keep(self) -> bool:
        """What would be lost with the process, as if it ended now. Whether it could be kept."""
        with contextlib.suppress(OSError):
            self._running.keep([*self._waiting, self._period(CUT_OFF, self._clock())])
            return True
        return False
