"""The keeper of the rehearsals, a thread of the service: starts one when it is due, writes what it found into the
ledger, and tells when one has failed or is missing (L45). The rehearsal itself is a process of its own
(`gateway.rehearsal`).

Whether an alarm rings is asked of the ledger and the clock, never of the thread that should have rehearsed: one that is
stuck is missed like one that never was.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import TimeoutError as NotYet
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import structlog

from gateway.delivery.background import thread_beside
from gateway.ledger import rehearsals
from gateway.ledger.documents import Document
from gateway.ledger.errors import LedgerRefused, StoreUnavailable
from gateway.ledger.rehearsals import Last, Rehearsal
from gateway.ledger.writer import WRITE_SECONDS, Writer
from gateway.settings.load import Settings

FOUND = "found.json"
MEMORY, ROOM = "/dev/shm", 2**28  # noqa: S108 - a stage takes some ten MiB (measured), and a fresh folder in there
NICE = 19  # the lowest priority there is
SECONDS = 900.0  # for one rehearsal; it takes 20 of processor time (measured)
PERIOD = 30.0  # seconds between two looks whether one is due
FIRST = 120.0  # seconds after a start; one that fails at once is not started over and over
AGAIN = timedelta(hours=1)  # after a failure, so that a passing trouble is not an alarm for a day
AHEAD = timedelta(minutes=5)  # what was rehearsed later than that was told by a clock that was wrong
STALE = 5.0  # seconds for which what the ledger said is believed
LOCK = "rehearsal.lock"
log = structlog.get_logger("gateway")


class RehearsalOrder(msgspec.Struct, frozen=True):
    """What the process is to rehearse. `only`: the ways whose name has this in it."""

    settings: Settings
    dev: bool = False
    only: str = ""


def rehearse(order: RehearsalOrder, ends: Callable[[], bool] = lambda: False) -> Rehearsal:
    """One rehearsal in a process of its own, waited for; given up after `SECONDS`, or once `ends` says so. One that
    does not come to its end has failed.
    """
    start = datetime.now(UTC)
    try:
        found = _run(order, ends)
    except OSError as error:  # no room, no such interpreter: the schedule goes on, and the alarm rings
        found = f"could not be started: {type(error).__name__}"
    return (
        found
        if isinstance(found, Rehearsal)
        else rehearsals.failed(secrets.token_bytes(16), start, datetime.now(UTC), found)
    )


def _run(order: RehearsalOrder, ends: Callable[[], bool]) -> Rehearsal | str:
    """What was found, or why nothing was. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix="gateway-rehearsal-", dir=_where()) as name:
        folder = Path(name)
        (folder / "order.json").write_bytes(msgspec.json.encode(order))
        with (folder / "order.json").open("rb") as said, (folder / "errors").open("wb") as errors:
            command = [sys.executable, "-m", "gateway.rehearsal", name]
            process = subprocess.Popen(command, stdin=said, stdout=subprocess.DEVNULL, stderr=errors)  # noqa: S603
            ended = _waited(process, ends)
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode((folder / FOUND).read_bytes(), type=Rehearsal)
        return _last_word(folder / "errors") if ended else f"did not come to its end in {SECONDS:.0f} seconds"


def _where() -> str | None:
    """In memory where there is some: the stage's thousand commits are no load on the disk of the true ledger."""
    room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    return MEMORY if room and "TMPDIR" not in os.environ else None


def _waited(process: "subprocess.Popen[bytes]", ends: Callable[[], bool]) -> bool:
    """Whether the process ended before it had to be stopped."""
    until = datetime.now(UTC) + timedelta(seconds=SECONDS)
    while not ends() and datetime.now(UTC) < until:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
            return True
    process.kill()
    process.wait()
    return False


def _last_word(errors: Path) -> str:
    """The kind of the error that it ended with; never its text, which may name what it was about."""
    lines = errors.read_text(errors="replace").strip().splitlines()
    kind = lines[-1].partition(":")[0] if lines else "no error was told"
    return f"ended without a result: {kind[:80]}"


class Rehearsing:
    """The schedule of one service. `run` rehearses; it is told when to give up."""

    def __init__(
        self,
        folder: Path,
        writer: Writer,
        settings: Settings,
        in_force: Sequence[Document],
        clock: Callable[[], datetime],
        *,
        wanted: bool = True,
        run: Callable[[RehearsalOrder, Callable[[], bool]], Rehearsal] = rehearse,
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._settings = settings
        self._in_force = in_force
        self._clock = clock
        self._every = timedelta(hours=settings.rehearsal.every_hours)
        self._late = timedelta(hours=settings.rehearsal.alarm_after_hours)
        self._wanted = wanted and bool(self._every)
        self._run = run
        self._stopping = threading.Event()
        self._tried: datetime | None = None
        self._read: tuple[datetime, Last | None, datetime | None] | None = None
        self._told: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks until it is left; what is under way then is given up, and nothing of it is on record."""
        if not self._wanted:
            yield
            return
        async with thread_beside("rehearsing", self._work, self._stopping.set):
            yield

    def _work(self) -> None:
        wait = FIRST
        while not self._stopping.wait(wait):
            wait = PERIOD
            if self.is_due():
                self.rehearse()

    def is_due(self) -> bool:
        """Whether the last one is old enough, or has failed and an hour has passed since."""
        now, last = self._clock(), self.last()
        if self._tried and timedelta(0) <= now - self._tried < min(AGAIN, self._every):  # unless the clock was put back
            return False
        if last is None or last.until > now + AHEAD:
            return True
        return now - last.until >= (self._every if last.passed else min(AGAIN, self._every))

    def rehearse(self) -> None:
        """One now, unless another process of this installation has one under way; on record when this returns. While
        the ledger cannot be written it is lost, and the next look makes another.
        """
        self._tried = self._clock()
        with _alone(self._folder) as alone:
            if not alone:
                return
            found = self._run(RehearsalOrder(self._settings), self._stopping.is_set)
            if self._stopping.is_set():
                return
            now = self._clock()  # the service's own, as of everything else on record
            with contextlib.suppress(StoreUnavailable):
                enter_rehearsal(self._writer, replace(found, start=self._tried, until=now), self._in_force, now)
        self._read = None
        self.alarms()

    def last(self) -> Last | None:
        """The youngest on record; None too while that cannot be read."""
        return self._known()[0]

    def _known(self) -> tuple[Last | None, datetime | None]:
        now = self._clock()
        if self._read is None or not timedelta(0) <= now - self._read[0] < timedelta(seconds=STALE):
            last = since = None
            with (
                contextlib.suppress(sqlite3.Error, LedgerRefused),
                contextlib.closing(self._writer.store.open_to_read()) as db,
            ):
                last, since = rehearsals.last(db), rehearsals.owed_since(db)
            self._read = (now, last, since)
        return self._read[1], self._read[2]

    def alarms(self) -> list[str]:
        """The alarms that somebody has to look at; each text with the command that shows more. A new one is logged,
        once.
        """
        found = list(self._ringing())
        for text in found:
            if text not in self._told:
                log.error("rehearsal", error=text)
        self._told = found
        return found

    def _ringing(self) -> Iterator[str]:
        last, since = self._known()
        owed = last.until if last else since
        if last and not last.passed:
            yield f"the last rehearsal found {last.failures} that failed: gateway rehearse --show"
        if self._wanted and owed and not -AHEAD <= self._clock() - owed <= self._late:
            hours = self._settings.rehearsal.alarm_after_hours
            yield f"no rehearsal is on record for more than {hours} hours: gateway help rehearsal"


def enter_rehearsal(writer: Writer, found: Rehearsal, in_force: Sequence[Document], at: datetime) -> int:
    """Writes it down; the entry's number. Raises `StoreUnavailable`."""
    job = partial(rehearsals.note, rehearsal=found, in_force=in_force, at=at)
    try:
        return writer.submit(job).result(WRITE_SECONDS)
    except NotYet:
        raise StoreUnavailable("not written yet") from None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other process of this installation rehearses now."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        yield True  # a disk that takes no file takes no entry either; two that rehearse do no harm
        return
    try:
        yield _taken(descriptor)
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
