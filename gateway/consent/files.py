"""Sharing by file, for recipients that take files (I19): rows wait, sealed; they become parts and a manifest; and they
are handed over. The share doors call it.

Rows are checked again when the job is sealed, and may be sent until `valid_until` of the manifest and no later. The
file is good for `valid_minutes` from the beginning of the sealing: so an opt-out's `effective_at` is its `accepted_at`
plus those minutes where somebody takes files. A file that is over is taken away, and the job must be sealed again; so
is one that would be good for longer than those minutes from now, whatever made it so.

    spool/RECIPIENT/JOB/rows.sqlite3    what was posted, sealed chunk by chunk
    spool/RECIPIENT/JOB/sealed/         part-00001.ndjson …, manifest.json: in clear, for as long as they may be sent
    spool/RECIPIENT/JOB/sealing/        the same as it is made

Files are 0600 and durable when a call returns; `sealed` is there whole or not at all. Nothing of a sealing that came to
no end ever left: what it has in clear goes, and its rows are marked as not sent, by itself or by whoever sweeps behind
a process that was killed.

Sealed files go to the operator's own command, one after the other: `[recipients.X] upload`, with the file's path as its
last argument. No shell; whatever it prints is not ours to keep.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import shutil
import sqlite3
import struct
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote

from gateway.choice.recipient import Recipient
from gateway.consent.share import HANDLE, Shared, ShareRow, Sharing
from gateway.delivery.background import Every
from gateway.desk.disclosures import CHUNK, HASH, Mark, hash_of
from gateway.disk import make_folder, reserve, sync_folder, took, write_durably
from gateway.keys import seals
from gateway.keys.secret_files import Secrets
from gateway.ledger.entry import b64
from gateway.ledger.errors import StoreUnavailable

LABEL = b"spool/1\x00"
ROWS = "rows.sqlite3"
TABLE = "CREATE TABLE IF NOT EXISTS chunk (number INTEGER PRIMARY KEY, box BLOB NOT NULL)"
PART_ROWS = 100_000  # rows of one part: 20 MB of points
KEPT = timedelta(days=7)  # rows of a job that nobody seals; a nightly feed has a week of holidays
MARK, SINCE = struct.Struct(">16sQ"), struct.Struct(">Q")
MARKS_AT_ONCE = 1000  # of one transaction: 10 ms of the writer
LOCKS, LOCK_NAMES, LOCK_PAUSE = "sealing", 4, 0.05  # hexadecimal digits of a name: two jobs in 65,536 share one
P = ParamSpec("P")
T = TypeVar("T")
MANIFEST, MARKS, TRIED, UPLOADED = "manifest.json", ".marks", ".tried", ".uploaded"


@dataclass(frozen=True, slots=True)
class SealedFile:
    """What was sealed: the manifest as it goes with the parts, until when, whether it is known to have arrived, whether
    all parts are there. `files`: the parts in order and the manifest, which goes last.
    """

    manifest: Mapping[str, Any]
    valid_until: datetime
    uploaded: bool
    folder: Path
    whole: bool

    def may_go(self, now: datetime, good_for: timedelta) -> bool:
        """Whether it may start to be sent. `good_for`: what its recipient's files are good for by now, so that nobody
        who opts out now is told of a moment at which it still goes: it was sealed by another configuration, or the
        clock was set back since.
        """
        return self.whole and now < self.valid_until <= now + good_for

    @property
    def files(self) -> list[Path]:
        return [self.folder / part["name"] for part in self.manifest["parts"]] + [self.folder / MANIFEST]

    def lines(self, places: Collection[int]) -> list[bytes]:
        """Rows of it by where they stand, as far as its parts are there."""
        found, before = list[bytes](), 0
        with contextlib.suppress(FileNotFoundError):
            for path, part in zip(self.files, self.manifest["parts"], strict=False):
                with path.open("rb") as lines:
                    found += [line for place, line in enumerate(lines, before) if place in places]
                before += part["rows"]
        return found

    def marks(self) -> Iterator[list[Mark]]:
        """Its rows, each by its hash and its entry's number, some at a time."""
        with (self.folder / MARKS).open("rb") as marks:
            while found := marks.read(MARK.size * MARKS_AT_ONCE):
                yield [(row, batch) for row, batch in MARK.iter_unpack(found)]


def _is_held(stack: contextlib.ExitStack, lock: Path) -> bool:
    """Whether it is ours until the stack is left. Raises OSError."""
    make_folder(lock.parent)
    return took(stack, lock)


class Job:
    """One job, in the folder of its name in its recipient's. Callers see to it that one at a time appends or seals.
    Every call does I/O: none is for the event loop.
    """

    def __init__(self, folder: Path, keys: Sequence[bytes]) -> None:
        self._folder = folder
        self._keys = keys
        self._label = LABEL + f"{folder.parent.name}\x00{folder.name}".encode()

    @property
    def is_there(self) -> bool:
        return (self._folder / ROWS).is_file()

    @contextlib.contextmanager
    def _rows(self) -> Iterator[sqlite3.Connection]:
        """The chunks' file; whoever reads it may go on in another thread. Raises OSError."""
        try:
            there = f"file:{quote(str(self._folder / ROWS))}?mode=rw"  # a file that is not there is not made by reading
            made = sqlite3.connect(there, uri=True, isolation_level=None, check_same_thread=False)
            with contextlib.closing(made) as db:
                db.execute("PRAGMA synchronous = EXTRA")  # else a power cut may undo the last chunk
                db.execute(TABLE)
                yield db
        except sqlite3.Error as error:
            raise OSError(f"rows that wait: {error}") from error

    def append(self, lines: Sequence[bytes]) -> None:
        """One chunk. Durable when this returns."""
        make_folder(self._folder)
        reserve(self._folder / ROWS)
        box = seals.seal_box(self._keys[-1], self._label, b"\n".join(lines))
        with self._rows() as db:
            db.execute("INSERT INTO chunk (box) VALUES (?)", (box,))
        sync_folder(self._folder)

    def lines(self) -> Iterator[list[bytes]]:
        """All that waits, as many lines at once as may be checked together, however many were appended at once."""
        with self._rows() as db:
            for (box,) in db.execute("SELECT box FROM chunk ORDER BY number"):
                lines = self._opened(box).split(b"\n")
                yield from (lines[start : start + CHUNK] for start in range(0, len(lines), CHUNK))

    def _opened(self, box: bytes) -> bytes:
        try:
            return seals.open_seal(self._keys, self._label, box)
        except seals.OpeningFailed:
            raise NoSuchJob("the key that its rows were sealed with was ended: post them as another job") from None

    def sealed(self) -> SealedFile | None:
        """What was sealed last, if its files are there, or it is known to have arrived."""
        folder = self._folder / "sealed"
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            until = datetime.fromisoformat(manifest["valid_until"])
            whole = all((folder / part["name"]).exists() for part in manifest["parts"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return SealedFile(manifest, until, (folder / UPLOADED).exists(), folder, whole)

    @property
    def _sealing(self) -> Path:
        return self._folder / "sealing"

    @property
    def is_begun(self) -> bool:
        """Whether a sealing is under way, or came to no end."""
        return self._sealing.exists()

    def begin(self, since: int) -> "Parts":
        """A new set of parts. `since`: entries from it on intend what stands there."""
        self._sealing.mkdir(mode=0o700)
        parts = Parts(self._sealing)
        parts.note(SINCE.pack(since))
        sync_folder(self._sealing)
        sync_folder(self._folder)
        return parts

    def tried(self) -> tuple[int, list[bytes]]:
        """What a sealing that came to no end had begun to write: entries from which on intended which rows, by their
        hashes. Nothing of it is in clear when this returns.
        """
        for path in self._sealing.glob("part-*"):
            path.unlink()
        try:
            noted = (self._sealing / TRIED).read_bytes()
        except FileNotFoundError:
            noted = b""
        (since,) = SINCE.unpack(noted[: SINCE.size].ljust(SINCE.size, b"\xff"))  # cut off before any was
        hashes = noted[SINCE.size :]
        return since, [hashes[start : start + HASH] for start in range(0, len(hashes), HASH)]

    def give_up(self) -> None:
        """Takes away what is left of it."""
        shutil.rmtree(self._sealing, ignore_errors=True)

    def publish(self, parts: "Parts", manifest: Mapping[str, Any]) -> SealedFile:
        """Puts the sealed files in place: all of it is there, or nothing."""
        parts.finish()
        whole = {**manifest, "parts": parts.listed}
        write_durably(parts.folder / MANIFEST, json.dumps(whole, indent=1).encode())
        self.discard()
        parts.folder.rename(self._folder / "sealed")
        sync_folder(self._folder)
        found = self.sealed()
        assert found
        return found

    def discard(self) -> None:
        """The manifest first: parts without one are nothing."""
        (self._folder / "sealed" / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(self._folder / "sealed", ignore_errors=True)

    def arrived(self) -> None:
        """It was sent: what it held goes, that it was stays."""
        sealed = self.sealed()
        assert sealed
        write_durably(sealed.folder / UPLOADED, b"")
        for path in [*sealed.files[:-1], self._folder / ROWS]:
            path.unlink(missing_ok=True)

    def sweep(self, now: datetime, good_for: timedelta) -> None:
        """Takes away files that must not be sent any more, or were, and rows that nobody sealed. For whoever has the
        job alone.
        """
        sealed, rows, folder = self.sealed(), self._folder / ROWS, self._folder / "sealed"
        left_over = not (folder / MANIFEST).exists()  # whoever published, or discarded it, was killed
        if left_over or (sealed and (sealed.uploaded or not sealed.may_go(now, good_for))):
            for path in folder.glob("part-*"):
                path.unlink(missing_ok=True)
        last = max((path.stat().st_mtime for path in (rows, self._folder) if path.exists()), default=0.0)
        if last < (now - KEPT).timestamp():
            shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(slots=True)
class Parts:
    """The part files of one sealing, written one after the other."""

    folder: Path
    listed: list[dict[str, Any]] = field(default_factory=list)
    _open: int = -1
    _marks: int = -1
    _hash: Any = None

    def note(self, tried: bytes) -> None:
        """Before an entry intends it: whoever is killed, or cut off, leaves behind what. Durable when this returns."""
        with os.fdopen(os.open(self.folder / TRIED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
            file.write(tried)
            file.flush()
            os.fsync(file.fileno())

    def write(self, rows: Sequence[bytes], marks: Sequence[Mark]) -> None:
        """Rows of NDJSON, without their line ends, and what they are known by."""
        if self._marks < 0:
            self._marks = os.open(self.folder / MARKS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        if not rows:
            return
        _write(self._marks, b"".join(MARK.pack(*mark) for mark in marks))
        if self._open < 0 or self.listed[-1]["rows"] >= PART_ROWS:
            self._next()
        content = b"".join(row + b"\n" for row in rows)
        _write(self._open, content)
        part = self.listed[-1]
        self._hash.update(content)
        part["rows"] += len(rows)
        part["bytes"] += len(content)

    def _next(self) -> None:
        self._close_part()
        name = f"part-{len(self.listed) + 1:05d}.ndjson"
        self.listed.append({"name": name, "rows": 0, "bytes": 0, "sha256": ""})
        self._open = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._hash = hashlib.sha256()

    def finish(self) -> None:
        """Closes the last part. All parts are durable when this returns."""
        self.write((), ())
        self._close_part()
        os.fsync(self._marks)
        self.abandon()

    def abandon(self) -> None:
        """Closes its files as they are."""
        for descriptor in (self._open, self._marks):
            if descriptor >= 0:
                os.close(descriptor)
        self._open = self._marks = -1

    def _close_part(self) -> None:
        if self._open >= 0:
            self.listed[-1]["sha256"] = self._hash.hexdigest()
            os.fsync(self._open)
            os.close(self._open)
            self._open = -1


def _write(descriptor: int, content: bytes) -> None:
    written = 0
    while written < len(content):
        written += os.write(descriptor, content[written:])


SECONDS = 600.0  # for one part: 20 MB over a slow line


async def upload(command: Sequence[str], path: Path) -> bool:
    """Whether the command took the file (exit status 0). Never raises for what it does."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            str(path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(SECONDS):
            return await process.wait() == 0
    except TimeoutError:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def _done(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """In a thread. Whoever is cancelled meanwhile goes on once it is done all the same: what it works on would be
    closed under it, and a job's lock left while it writes.
    """
    within = partial(copy_context().run, work, *given, **named)
    working = asyncio.get_running_loop().run_in_executor(None, within)  # no task: a loop that ends cancels all of those
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([working])
        working.exception()  # nobody asks for it any more
        raise


MADE = 3  # times that a job is made again, where people are erased meanwhile
SWEEPING = 5.0  # seconds: a file that is over is there for so long at most
Reader = Callable[[Recipient, bytes], ShareRow]  # a posted line as a row
BETWEEN = b" "  # a handle and the line that it is of; before what was put by without one stands a brace


class NoSuchJob(Exception):
    """Nothing was posted under this name, or it is a week ago; or the key that sealed it was ended."""


class JobOver(Exception):
    """Rows came for a job that was sealed: its files may be on their way."""


@dataclass(frozen=True, slots=True)
class Filed:
    """`outcome`: `sealed` (the operator sends it), `sent` (our upload did), `unknown` (it did not end well).
    `refused`: rows that waited and do not stand in the files, by why. `made`: the files are new ones.
    """

    sealed: SealedFile
    outcome: str
    refused: dict[str, int] = field(default_factory=dict)
    made: bool = False


class Filing:
    """The jobs of files, for the share doors; one instance a process. Of a recipient one job at a time is sealed; of a
    job one chunk at a time is kept, whichever process does it.
    """

    def __init__(self, sharing: Sharing, folder: Path, secrets: Secrets, clock: Callable[[], datetime]) -> None:
        self._sharing = sharing
        self._folder = folder / "spool"
        self._keys = [hmac.digest(token, LABEL, "sha256") for token in secrets.tokens]
        self._clock = clock
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Takes away what is over until it is left."""
        return Every("files", SWEEPING, self._sweep, first=0).running()

    def _sweep(self) -> None:
        now = self._clock()
        with contextlib.suppress(OSError):  # a disk that fails now may not the next time
            for path in sorted(self._folder.glob("*/*")):
                job = Job(path, self._keys)
                with contextlib.suppress(OSError, StoreUnavailable), contextlib.ExitStack() as stack:
                    if _is_held(stack, self._lock(path.parent.name, path.name)):  # nobody hands it over, or makes it
                        job.sweep(now, self._sharing.good_for(path.parent.name))
                        self._take_up(path.parent.name, job)

    def _take_up(self, recipient: str, job: Job) -> None:
        """What a process left that was killed over it: nobody who seals holds its locks, the job's and this."""
        if job.is_begun:
            with contextlib.ExitStack() as stack:
                if _is_held(stack, self._lock(recipient)):
                    self._give_up(recipient, job)

    def _give_up(self, recipient: str, job: Job) -> None:
        """Ends a sealing that came to no end. Raises `StoreUnavailable` and OSError: its rows are marked later."""
        if job.is_begun:
            since, rows = job.tried()
            self._sharing.take_out(recipient, rows, since)
            job.give_up()

    def _job(self, recipient: Recipient, name: str) -> Job:
        return Job(self._folder / recipient.name / name, self._keys)

    async def keep(
        self, recipient: Recipient, name: str, lines: Sequence[bytes], rows: Sequence[ShareRow]
    ) -> list[Shared]:
        """Puts aside the rows that may go by what holds now. Durable when this returns. Raises `JobOver`."""
        shared = await self._sharing.try_out(recipient, rows)
        handles = await self._sharing.handles(recipient, [item.id for item in shared if item.outcome == "spooled"])
        told = [replace(item, row={HANDLE: b64(handles[item.id])}) if item.id in handles else item for item in shared]
        going = [
            b64(handles[item.id]).encode() + BETWEEN + line
            for line, item in zip(lines, shared, strict=True)
            if item.outcome == "spooled"
        ]
        async with self._alone(recipient.name, name):
            job = self._job(recipient, name)
            sealed = await _done(job.sealed)
            if sealed and self._stands(recipient, sealed):
                raise JobOver("the job was sealed; take another name for further rows")
            if going:
                await _done(job.append, going)
        return told

    async def seal(self, recipient: Recipient, name: str, read: Reader) -> Filed:
        """Checks every row of a job again and makes its files, or answers with those that are good still. Raises
        `NoSuchJob`, and `StoreUnavailable`: then nothing was sealed.
        """
        async with self._alone(recipient.name), self._alone(recipient.name, name):
            job = self._job(recipient, name)
            sealed, refused, made = await _done(job.sealed), dict[str, int](), False
            for _ in range(MADE):
                if sealed and (made or self._stands(recipient, sealed)) and await self._is_on_record(recipient, sealed):
                    return Filed(sealed, await self._hand_over(recipient, job, sealed), refused, made)
                if not await _done(lambda: job.is_there):
                    raise NoSuchJob("no rows wait under this name")
                if sealed:
                    await self._settle(recipient, sealed, "unknown")
                    await _done(job.discard)
                (sealed, refused), made = await self._make(recipient, name, job, read), True
            if sealed:  # nobody looked who of it is on record still
                try:
                    await self._settle(recipient, sealed, "unknown")
                finally:
                    await _done(job.discard)
            raise StoreUnavailable("people in it were erased again and again; seal it again")

    async def would_seal(self, recipient: Recipient, name: str, read: Reader) -> AsyncGenerator[list[Shared]]:
        """Every row of a job that waits, checked as `seal` would check it, some at a time: nothing is on record, and
        there is no file. Raises `NoSuchJob`. Close it where the rest is not wanted.
        """
        async with self._alone(recipient.name, name):
            job, seen = self._job(recipient, name), set[str]()
            if not await _done(lambda: job.is_there):
                raise NoSuchJob("no rows wait under this name")
            waiting = await _done(lambda: iter(job.lines()))
            while (lines := await _done(next, waiting, None)) is not None:
                yield await self._sharing.try_out(recipient, [_put_by(recipient, line, read) for line in lines], seen)

    async def _is_on_record(self, recipient: Recipient, sealed: SealedFile) -> bool:
        """Whether all that stands in it is: whoever was erased since is on record no more, and does not go."""
        marks = await _done(sealed.marks)
        while not sealed.uploaded and (some := await _done(next, marks, None)) is not None:
            if await self._sharing.gone_of(recipient, some):
                return False
        return True

    def _may_go(self, recipient: Recipient, sealed: SealedFile) -> bool:
        return sealed.may_go(self._clock(), timedelta(minutes=recipient.valid_minutes))

    def _stands(self, recipient: Recipient, sealed: SealedFile) -> bool:
        """Whether it arrived, or may go still: then the job is not sealed again."""
        return sealed.uploaded or self._may_go(recipient, sealed)

    def _lock(self, *names: str) -> Path:
        name = hashlib.sha256("/".join(names).encode()).hexdigest()[:LOCK_NAMES]
        return self._folder.with_name(LOCKS) / f"{len(names)}-{name}"

    @contextlib.asynccontextmanager
    async def _alone(self, *names: str) -> AsyncIterator[None]:
        """While nobody else in this process, then none in another, works on a recipient's jobs, or on one of them.
        Raises OSError.
        """
        async with self._busy["/".join(names)]:
            with contextlib.ExitStack() as stack:
                while not await _done(_is_held, stack, self._lock(*names)):  # noqa: ASYNC110 - another process tells nobody
                    await asyncio.sleep(LOCK_PAUSE)
                yield

    async def _make(self, recipient: Recipient, name: str, job: Job, read: Reader) -> tuple[SealedFile, dict[str, int]]:
        await _done(self._give_up, recipient.name, job)
        began, since = self._clock(), await self._sharing.size()
        parts, counted = await _done(job.begin, since), Counter[str]()
        try:
            waiting = await _done(lambda: iter(job.lines()))
            while (lines := await _done(next, waiting, None)) is not None:
                rows = [_put_by(recipient, line, read) for line in lines]
                await _done(parts.note, b"".join(hash_of(row.id) for row in rows))
                taken = await self._sharing.take(recipient, rows, since)
                counted.update(str(item.reason) for item in taken.shared if item.outcome != "sealed")
                await _done(parts.write, taken.lines, taken.marks)
            return await _done(self._publish, recipient, name, job, parts, began), dict(counted)
        except BaseException:
            parts.abandon()
            with contextlib.suppress(OSError, StoreUnavailable):
                await _done(self._give_up, recipient.name, job)
            raise

    @staticmethod
    def _publish(recipient: Recipient, name: str, job: Job, parts: Parts, began: datetime) -> SealedFile:
        until = began + timedelta(minutes=recipient.valid_minutes)
        manifest = {
            "recipient": recipient.name,
            "job": name,
            "rows": sum(part["rows"] for part in parts.listed),
            "sealed_at": began.isoformat(timespec="seconds"),
            "valid_until": until.isoformat(timespec="milliseconds"),
        }
        return job.publish(parts, manifest)

    async def _hand_over(self, recipient: Recipient, job: Job, sealed: SealedFile) -> str:
        """Files that the operator sends count as sent from now on; what our command did not take, nobody knows of."""
        if sealed.uploaded:
            return "sent"
        if not recipient.upload:
            await self._settle(recipient, sealed, "sent")
            return "sealed"
        for path in sealed.files:
            if not self._may_go(recipient, sealed) or not await upload(recipient.upload, path):
                await self._settle(recipient, sealed, "unknown")
                return "unknown"
        await self._settle(recipient, sealed, "sent")
        await _done(job.arrived)
        return "sent"

    async def _settle(self, recipient: Recipient, sealed: SealedFile, outcome: str) -> None:
        """Of whom nothing is on record any more that may have left behind the word of it."""
        marks, before = await _done(sealed.marks), 0
        while (some := await _done(next, marks, None)) is not None:
            if gone := {*await self._sharing.settle(recipient, some, outcome)}:
                places = {place for place, mark in enumerate(some, before) if mark in gone}
                await self._sharing.take_back(recipient, await _done(sealed.lines, places))
            before += len(some)


def _put_by(recipient: Recipient, line: bytes, read: Reader) -> ShareRow:
    """A row that waited, under the handle that its caller was told."""
    handle, _, posted = line.partition(BETWEEN)
    try:
        told = seals.unb64(handle.decode("ascii"))
    except (seals.OpeningFailed, UnicodeDecodeError):
        return read(recipient, line)
    return replace(read(recipient, posted), handle=told)
