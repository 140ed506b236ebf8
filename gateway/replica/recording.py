"""Puts a replica's answers on record (R22): in its own spool, whose batches a thread hands over to the gateway, the
oldest first, each until it is taken. The replica's check doors call it. Nothing here waits for the gateway.

A line an answer: its id, which the gateway opens and nobody else. Of an announced send also whom it names, sealed like
the id; so neither the spool nor a call to the gateway shows a person. What is announced, and what callers say, is on
the disk before it is answered.

    disclosures/SPOOL/000000000007      a batch: a head of fixed length, the recipients' names, then a line an answer
    disclosures/SPOOL/boot              of which boot it is; `ended` once the replica stopped in order

A line is the kernel's when `append` returns, so that a killed process loses none, and on the disk after `sync`. The
bytes are bounded: what finds no room is counted in the head of the batch that is open. Each start has a spool of its
own, and finds those before.
"""

import contextlib
import json
import os
import secrets
import shutil
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import httpx2

from gateway.consent.asked import Ask, Checked
from gateway.consent.check import Checks
from gateway.consent.decisions import FORMED, Deciding, Decisions, Issued, Made, NotOurs, Stands, name_of
from gateway.consent.disclosing import INTENDED, LOST, NOT_SENT, WITHDRAWN, OutcomeReport, Tell, is_over
from gateway.consent.people import leaves
from gateway.delivery.background import Every
from gateway.desk.disclosures import DESPITE_NO, SENT
from gateway.disk import make_folder, sync_folder, write_durably
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import milliseconds

FOLDER, BOOT, ENDED = "disclosures", "boot", "ended"
LINES = 1_000  # of one batch, which is one entry
LARGEST = 2**20  # bytes of one batch: names of announced sends may be long
HEAD = 1024  # bytes of a head: the name of a log may have some hundred
DIGITS = 12


@dataclass(slots=True)
class SpoolSegment:
    """One batch's file. `descriptor` -1: on the disk, and let go."""

    path: Path
    head: dict[str, object]
    descriptor: int = -1
    end: int = 0
    lines: int = 0
    lost: int = 0
    known: bool = False  # whether its name is on the disk too

    def write_head(self) -> None:
        stated = {**self.head, **({"lost": self.lost} if self.lost else {})}
        os.pwrite(self.descriptor, json.dumps(stated).encode().ljust(HEAD - 1) + b"\n", 0)

    def put(self, content: bytes, count: int) -> bool:
        """Appends all of it, or nothing; whether it did."""
        try:
            if os.pwrite(self.descriptor, content, self.end) == len(content):
                self.end += len(content)
                self.lines += count
                return True
        except OSError:
            pass
        with contextlib.suppress(OSError):
            os.ftruncate(self.descriptor, self.end)
        return False

    def sync(self) -> None:
        os.fdatasync(self.descriptor)
        if not self.known:
            sync_folder(self.path.parent)
            self.known = True

    def let_go(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


Place = Callable[[], tuple[int, str]]  # what lines are answered from: how many entries of which log


class ReplicaSpool:
    """The spool of one replica, for one process. `size`: the most bytes that wait; `boot`: the kernel's id of
    its boot; `recipients`: the names of all that its answers may be about.
    """

    def __init__(self, folder: Path, size: int, boot: bytes, recipients: Iterable[str]) -> None:
        self._folder = folder / FOLDER
        self._size = size
        self._boot = boot.hex()
        self._recipients = json.dumps({"recipients": sorted(recipients)}).encode() + b"\n"
        self._name = secrets.token_hex(16)
        self._writing, self._syncing = threading.Lock(), threading.Lock()
        self._open: SpoolSegment | None = None
        self._closed: list[SpoolSegment] = []
        self._older: list[Path] = []
        self._number = 0
        self._homeless = 0  # lost while not even a head could be written
        self._doubtful = False
        self._child = False
        self.waiting = 0  # bytes
        self.lost = 0  # answers, since the start

    def start(self) -> None:
        """Finds what earlier runs left. One process at a time: its caller holds the folder."""
        make_folder(self._folder)
        for left in sorted(path for path in self._folder.iterdir() if path.is_dir()):
            boot = left / BOOT
            same = boot.exists() and boot.read_text(encoding="utf-8") == self._boot
            # Another boot and no orderly stop: lines that the kernel had may never have reached the disk.
            self._doubtful |= not same and not (left / ENDED).exists()
            self._older += sorted(_batches(left))
            if not any(_batches(left)):
                shutil.rmtree(left)
        self.waiting = sum(path.stat().st_size for path in self._older)
        own = self._folder / self._name
        own.mkdir(mode=0o700)
        write_durably(own / BOOT, self._boot.encode())
        sync_folder(self._folder)
        if self._doubtful:
            self._begin(lambda: (0, ""))
            self._close()  # it is for the doubt alone

    def forked(self) -> None:
        """In the child of a fork: the files are the parent's, who goes on writing where it is."""
        self._writing, self._syncing, self._child = threading.Lock(), threading.Lock(), True

    def append(self, lines: Sequence[bytes], place: Place, *, given: bool = True) -> bool:
        """Whether they were kept: all of them, or none. Never raises. What was `given` already, and is not kept, is
        counted as lost; of anything else the caller says that it was not taken.
        """
        content = b"".join(lines)
        if self._child:
            self.lost += len(lines) if given else 0
            return False
        with self._writing:
            segment = self._open or self._begin(place)
            room = self.waiting + len(content) <= self._size
            if segment is None or not room or not segment.put(content, len(lines)):
                self._lose(len(lines) if given else 0)
                return False
            self.waiting += len(content)
            if segment.lines >= LINES or segment.end >= LARGEST:
                self._close()
        return True

    def sync(self) -> None:
        """Everything that was appended before is on the disk. Raises OSError."""
        if self._child:
            raise OSError("the files are another process's")
        with self._syncing:
            with self._writing:
                dirty = [*self._closed, *([self._open] if self._open else [])]
            for segment in dirty:  # without `_writing`: no append waits for the disk
                if segment.descriptor >= 0:
                    segment.sync()
            with self._writing:
                for segment in dirty:
                    if segment is not self._open:
                        segment.let_go()

    def oldest(self) -> tuple[Path, bytes] | None:
        """The batch that is next to be handed over, and what it says; it stays until `done`. Raises OSError."""
        while self._older:
            content = _whole(self._older[0])
            if content is not None:
                return self._older[0], content
            self._forget(self._older.pop(0))
        while first := self._first():
            content = _whole(first)
            if content is not None:
                return first, content
            self.done(first)  # the gateway sees by the next one's number that it is missing
        return None

    def _first(self) -> Path | None:
        with self._writing:
            if not self._closed and self._open and (self._open.lines or self._open.lost):
                self._close()
            return self._closed[0].path if self._closed else None

    def done(self, path: Path) -> None:
        """Deletes a batch: it is on the gateway's record."""
        if self._older and self._older[0] == path:
            self._forget(self._older.pop(0))
            return
        with self._syncing, self._writing:
            self._closed.pop(0).let_go()
        self._forget(path)

    def end(self) -> None:
        """The replica stopped in order. What was not handed over waits for the next start."""
        with contextlib.suppress(OSError):
            self.sync()
        with self._syncing, self._writing:
            self._close()
            for segment in self._closed:
                segment.let_go()
        own = self._folder / self._name
        with contextlib.suppress(OSError):  # it may be gone: whoever took it away took what was in it
            if any(_batches(own)):
                write_durably(own / ENDED, b"")
            else:
                shutil.rmtree(own, ignore_errors=True)

    def _forget(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            with self._writing:  # an append that comes meanwhile counts, too
                self.waiting -= size
        if path.parent.name != self._name and not any(_batches(path.parent)):
            shutil.rmtree(path.parent, ignore_errors=True)

    # --- under the lock ---

    def _begin(self, place: Place) -> SpoolSegment | None:
        path, (position, log) = self._folder / self._name / f"{self._number + 1:0{DIGITS}d}", place()
        head: dict[str, object] = {"spool": self._name, "number": self._number + 1, "position": position, "log": log}
        if self._doubtful:
            head["doubtful"] = True
        made = SpoolSegment(path, head, lost=self._homeless, end=HEAD)
        try:
            made.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            made.write_head()
        except OSError:
            made.let_go()
            path.unlink(missing_ok=True)
            return None
        made.put(self._recipients, 0)
        self._number, self._homeless, self._open, self._doubtful = self._number + 1, 0, made, False
        self.waiting += made.end
        return made

    def _close(self) -> None:
        if self._open:
            self._closed.append(self._open)
            self._open = None

    def _lose(self, count: int) -> None:
        if not count:
            return
        self.lost += count
        if self._open is None:
            self._homeless += count
            return
        self._open.lost += count
        with contextlib.suppress(OSError):
            self._open.write_head()


def _batches(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.name.isdecimal())


def _whole(path: Path) -> bytes | None:
    """A batch up to its last whole line; None where it is gone, or its head is none. Raises OSError: it is there, and
    is read another time.
    """
    try:
        content = path.read_bytes()
        json.loads(content[:HEAD])
    except (FileNotFoundError, ValueError):
        return None
    return content[: content.rfind(b"\n") + 1]


def _says_taken(answer: httpx2.Response) -> bool:
    """Whether it is the gateway's word: what stands between may answer 200 to anything, and what is taken goes here."""
    try:
        told = answer.json()
    except ValueError:
        return False
    return isinstance(told, dict) and told.keys() >= {"again", "missing", "unread"}


DOOR = "/v1/disclosures/batches"
LONGEST_PAUSE = 30.0  # seconds between two tries
ANSWER = 10.0  # seconds that the gateway may take: a commit's time
ENDING = 5.0  # seconds that a stop waits


class HandingOver:
    """Hands the batches of one replica over. `key`: an API key with scope replica. `tell` is told each new reason why
    nothing is taken; `period`: seconds between two times.
    """

    def __init__(
        self, spool: ReplicaSpool, client: httpx2.Client, key: str, tell: Callable[[str], None], period: float = 1.0
    ) -> None:
        self.spool, self.client, self._key, self._tell, self._period = spool, client, key, tell, period
        self.why = ""
        self._pause = period
        self._thread = Every("replica-disclosures", period, self._turn, last=self._once)

    def start(self) -> None:
        self.spool.start()
        self._thread.start()

    def stop(self) -> None:
        """Hands over what is left, if that is possible within seconds; what is not waits for the next start."""
        self._thread.stop(ENDING)
        self.spool.end()

    def _turn(self) -> float:
        self._pause = self._period if self._once() else min(2 * self._pause, LONGEST_PAUSE)
        return self._pause

    def _once(self) -> bool:
        """Hands over everything that waits. Returns whether all of it was taken."""
        try:
            self.spool.sync()
            while batch := self.spool.oldest():
                path, content = batch
                if not self._taken(content):
                    return False
                self.spool.done(path)
        except OSError as error:
            self._say(f"the spool cannot be read or written: {error.strerror}")
            return False
        self.why = ""
        return True

    def _taken(self, content: bytes) -> bool:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/x-ndjson"}
        try:
            answer = self.client.post(DOOR, content=content, headers=headers, timeout=ANSWER)
        except httpx2.HTTPError as error:
            self._say(f"disclosures are not handed over: {type(error).__name__}")
            return False
        if not answer.is_success:
            self._say(f"disclosures are not handed over: the gateway answers {answer.status_code}")
            return False
        if not _says_taken(answer):
            self._say("disclosures are not handed over: what answers is no gateway")
            return False
        return True

    def _say(self, why: str) -> None:
        news, self.why = why != self.why, why
        if news:
            self._tell(why)


REMEMBERED = 100_000  # decisions whose report is known again; the gateway knows the others
PASSED_ON = "passed_on"  # a decision of the gateway's own or of another replica: kept, and the gateway reads it
TAKEN = frozenset({"recorded", "denied", PASSED_ON})
NO_ROOM = "the replica cannot keep it: what it has not handed over yet fills its spool, or its disk"

Wait = Callable[[Callable[[], None]], Awaitable[None]]  # runs what waits for the disk


async def at_once(run: Callable[[], None]) -> None:
    """Runs the work in the caller's own thread."""
    run()


class RecordedAnswer(Protocol):
    """What a replica answers from. `place`: how many entries of which log it knows, 0 of none."""

    @property
    def checks(self) -> Checks: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...
    def place(self) -> tuple[int, str]: ...


class Recording(Deciding):
    """Puts the answers of one replica on record. `wait`: how its callers wait for the disk."""

    def __init__(
        self,
        copy: RecordedAnswer,
        decisions: Decisions,
        spool: ReplicaSpool,
        wait: Wait = at_once,
        tell: Tell = lambda *_: None,
    ) -> None:
        super().__init__(copy.checks, decisions, copy.clock)
        self._copy = copy
        self._spool = spool
        self._wait = wait
        self._tell = tell
        self._said: OrderedDict[bytes, str] = OrderedDict()
        self._saying = threading.Lock()

    # --- answers ---

    def _note(self, issued: Sequence[Issued], key: bytes, at: datetime, position: int | None) -> None:  # noqa: ARG002
        lines = [b'"%b"\n' % text.encode() for text, _ in issued]
        if not self._spool.append(lines, lambda: self._place(position)):
            for _, each in issued:
                self._tell(each.recipient, LOST, 1)

    async def _intend(self, ask: Ask, checked: Checked, going: Sequence[Made]) -> None:
        if not going:
            return
        lines = []
        for text, decision in going:
            to = self._checks.recipients[decision.recipient]
            names = {
                "own": [key.hex() for key in checked.own],
                "identifiers": leaves(ask.identifiers, decision.classes, to, seen=ask.seen_to_leave),
                "seen": ask.seen_to_leave,
            }
            lines.append({"decision": text, "names": self._decisions.box(text, json.dumps(names).encode())})
        await self._durably(lines, checked.position)
        for _, decision in going:
            self._tell(decision.recipient, INTENDED, 1)

    async def _withdraw(self, going: Sequence[Made]) -> None:
        now = self._clock()
        await self._durably([_line(OutcomeReport(text, WITHDRAWN), now) for text, _ in going], None)
        for _, decision in going:
            self._tell(decision.recipient, NOT_SENT, 1)

    # --- what became of them ---

    async def report(self, reports: Sequence[OutcomeReport]) -> list[str]:
        """The outcome of each report, in order, as at the gateway, or `passed_on`; durable once this returns. Raises
        `StoreUnavailable`: then nothing was taken, and the same is said again.
        """
        now, news = self._clock(), dict[bytes, str]()
        results = [self._take(each, now, news) for each in reports]
        taken = [(each, result) for each, result in zip(reports, results, strict=True) if result in TAKEN]
        await self._durably([_line(each, now) for each, _ in taken], None)
        with self._saying:  # only now: what is not kept has to be said again
            self._said.update(news)
            while len(self._said) > REMEMBERED:
                self._said.popitem(last=False)
        for each, result in taken:
            if result != PASSED_ON:
                self._tell_of(each, despite=result == "denied")
        return results

    def _take(self, report: OutcomeReport, now: datetime, news: dict[bytes, str]) -> str:
        """`news`: what this call says of decisions, so far."""
        try:
            decision = self._decisions.read(report.decision)
        except NotOurs:
            return PASSED_ON if FORMED.fullmatch(report.decision) else "unknown"
        name = name_of(report.decision)
        if news.get(name, self._said.get(name)) in {report.outcome, SENT}:
            return "repeated"
        if decision.stands is not Stands.INTENDED and not decision.denied and is_over(decision, now):
            return "expired"
        news[name] = report.outcome
        return "denied" if decision.denied and report.outcome != NOT_SENT else "recorded"

    def _tell_of(self, report: OutcomeReport, *, despite: bool) -> None:
        recipient = self._decisions.read(report.decision).recipient or "unknown"
        self._tell(recipient, DESPITE_NO if despite else report.outcome, 1)

    # --- the spool ---

    async def _durably(self, lines: Sequence[object], position: int | None) -> None:
        if not lines:
            return
        kept = [json.dumps(line).encode() + b"\n" for line in lines]
        if not self._spool.append(kept, lambda: self._place(position), given=False):
            raise StoreUnavailable(NO_ROOM)
        try:
            await self._wait(self._spool.sync)
        except OSError as error:
            raise StoreUnavailable(NO_ROOM) from error

    def _place(self, position: int | None) -> tuple[int, str]:
        known, log = self._copy.place()
        return known if position is None else min(position, known), log


def _line(report: OutcomeReport, now: datetime) -> dict[str, object]:
    at = milliseconds(report.at) if report.at else None
    return {"decision": report.decision, "outcome": report.outcome, "at": at, "said": milliseconds(now)}
