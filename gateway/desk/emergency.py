"""When the database is away: what tightens is kept in the emergency file, one sealed line a request, and taken in once
the ledger can be written again. `consent.verbs` keeps, `app.composition` runs the taking in.

The file lies in the folder of the last checkpoint and not in the data folder: it is needed exactly when that was lost
or an older copy was put back, and must not be replaced with it. While that folder is not there (its disk is not
mounted, it was moved, or another one is named) its lines go into a second file in the data folder: what is said into an
empty mount point is found by nobody once the disk is back. So neither file is made when something is to be kept: the
first is as soon as the checkpoint of this very ledger is seen in its folder, the other when the installation is opened.

Their name and what seals their lines come from the first pepper, which never goes: a line waits for as long as its
machine is cut off, on however many others the seals are retired meanwhile. Durable before `keep` returns. A torn last
line was never acknowledged: it is skipped and counted. A line holds the person's identifiers; nobody opens it without
this installation's secrets. One that this process cannot open is laid beside the file, and entered from there by
whoever can: an older release opens no line of a newer one.

A request's id becomes its first entry's event id, so that each is entered once, with the time at which it was accepted,
whatever crashed in between. Once the entries are durable their lines are taken out, each by what it is (every seal has
its own nonce) and never by its place: several processes enter one file. Until it is empty no process of this host
answers a check, so that nobody is allowed whom a waiting line says no for: each check looks at the size of the file
before it reads anything (`lies`), so from before the 202 on, and until what was entered is in the state. The line is
the only word of it, so there is none that a killed process leaves behind. What is entered later was acknowledged as
kept and not as in effect; it goes in a request at a time and never takes more than half of the writer's time, however
much of it there is.
"""

import asyncio
import base64
import contextlib
import errno
import hmac
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gateway.desk.kept_request import KeptRequest, read_request
from gateway.disk import locked, make_beside, sync_folder, write_durably
from gateway.fold.state import widened
from gateway.keys import seals
from gateway.keys.secret_files import Secrets
from gateway.ledger.acts.folded_people import connected_people, named_by
from gateway.ledger.errors import EntryUnread, StoreUnavailable
from gateway.ledger.store import Store, ledger_snapshot
from gateway.ledger.subjects import Subject
from gateway.ledger.transaction import Transaction
from gateway.ledger.watch import PERIOD, LedgerWatch
from gateway.ledger.writer import Writer
from gateway.terms import Purpose, Unusable

NO_ENTRY = 2**63 - 1  # a place that no log comes to
LABEL = b"emergency/1"
LATER = b"entered-later/1"
NAME_BYTES = 8
LONG = 256 * 1024  # bytes: some ten milliseconds


Requests = Sequence[tuple[bytes, KeptRequest]]  # each with its line


@dataclass(frozen=True, slots=True)
class EmergencyWaiting:
    """What is held: each request with its line. `unread`: whole lines of the file that this process cannot open;
    `torn`: bytes after the last whole one.
    """

    requests: tuple[tuple[bytes, KeptRequest], ...] = ()
    unread: tuple[bytes, ...] = ()
    torn: int = 0

    def and_more(self, other: "EmergencyWaiting") -> "EmergencyWaiting":
        """With what another file holds."""
        return EmergencyWaiting(self.requests + other.requests, self.unread + other.unread, self.torn + other.torn)


class OpenedFile:
    """One that is open until nobody has it any more, for checks that look at it while a proof opens the next one: a
    number that was closed would be another file's.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)

    def is_at(self, path: Path) -> bool:
        """Raises OSError."""
        return os.path.samestat(os.fstat(self._descriptor), path.stat())

    def holds(self) -> bool:
        """Whether it is not empty, as of which another one that has lines took its place is not. Without its path: on
        the way there a disk may say nothing, and all checks of the process would wait for it.
        """
        try:
            return os.lseek(self._descriptor, 0, os.SEEK_END) > 0  # half of what `fstat` takes
        except OSError:
            return True


class Emergency:
    """One installation's file in the folder of its last checkpoint; several processes may share it. `limit`: the size
    in bytes that it never grows beyond. `label`: `LABEL`, or `LATER` for what is entered behind everything else.
    `instead`: the one that is kept in where this one is not there.
    """

    def __init__(
        self, folder: Path, secrets: Secrets, limit: int, label: bytes = LABEL, instead: "Emergency | None" = None
    ) -> None:
        name = hmac.digest(secrets.peppers[0], label, "sha256")[:NAME_BYTES].hex()
        self._label = label
        self.path = folder / f"{name}.emergency"
        self._instead = instead
        self._secrets, self._limit = secrets, limit
        self._opens = (*secrets.seals, secrets.beside)  # by the seals, what an older release kept
        self._opened_file: OpenedFile | None = None
        self._looked: tuple[object, bool] = None, False  # which file lay aside then, and whether a line of it opens
        self.torn = 0
        self.unentered = ""  # why one of its lines could not be entered at the last try, and stays
        self._turned = 0  # how often a proof found nothing in it, or another file
        self._threads = ThreadPoolExecutor(1, "keeps-beside")

    def lay_out(self, known: Path) -> None:
        """Makes the file, where there is none, beside one by which its folder is known. Nothing else makes it: in a
        folder that is not mounted, or is another one, nobody would find what was kept there.
        """
        with contextlib.suppress(OSError):  # then what comes is kept in the other one, or refused
            if not self.path.exists():
                make_beside(self.path, known)

    async def keep_beside(self, *requests: KeptRequest) -> None:
        """`keep`, for an event loop. In a thread of its own: those that everybody shares may all wait for a ledger that
        says nothing.
        """
        await asyncio.get_running_loop().run_in_executor(self._threads, partial(self.keep, *requests))

    def keep(self, *requests: KeptRequest) -> None:
        """Appends requests, durably, also what waits already and is sent again: a yes may have come in between, once
        its line was entered, and it was acknowledged as a no of now. Raises `StoreUnavailable` where that cannot be
        done: then nothing was kept.
        """
        texts = [request.text(self._secrets.peppers) for request in requests]
        boxes = [base64.b64encode(seals.seal_box(self._secrets.beside, self._label, text)) for text in texts]
        try:
            with self._held() as descriptor:
                self._append(descriptor, _joined(boxes))
        except OSError as error:
            if self._instead is None:
                raise StoreUnavailable(f"nothing was kept: {error.strerror}") from error
            self._instead.keep(*requests)

    def waiting(self) -> bool:
        """Whether there is something to take in. A file that cannot be looked at may hold something."""
        try:
            return self._holds() or bool(self._instead and self._instead.waiting())
        except OSError:
            return True

    def open_anew(self) -> None:
        """With each proof, before it looks: what `lies` looks at from then on is the file that is there. Raises
        OSError.
        """
        try:
            if self._opened_file is None or not self._opened_file.is_at(self.path):
                self._opened_file = OpenedFile(self.path)
                self._turned += 1
        except (FileNotFoundError, NotADirectoryError):
            self._opened_file = None
        if self._instead is not None:
            self._instead.open_anew()

    def turned(self) -> int:
        """Another number once something of what lay there may have been entered, as proofs found; also where the rest
        lies there still.
        """
        return self._turned + (self._instead.turned() if self._instead else 0)

    def found_empty(self) -> None:
        """By a proof."""
        self._turned += 1

    def lies(self) -> bool:
        """Whether something lies in the file that the last proof found, for each check."""
        opened = self._opened_file  # once: a proof may put another one in its place
        if opened is not None and opened.holds():
            return True
        return self._instead is not None and self._instead.lies()

    def is_long(self) -> bool:
        """Whether it takes more than some hundredths of a second to read."""
        try:
            return _size(self.path) > LONG or bool(self._instead and self._instead.is_long())
        except OSError:
            return False

    def read(self) -> EmergencyWaiting:
        """Everything that was acknowledged and not yet taken in. Raises OSError, `Unusable`."""
        found = self._read() if self._holds() else EmergencyWaiting()
        return found.and_more(self._instead.read()) if self._instead else found

    def clear(self, read: EmergencyWaiting, refused: Sequence[bytes] = ()) -> bool:
        """Takes the lines of `read` out durably, which are entered, and no other; whether none is left. Those that it
        could not open, and `refused` ones, are laid beside it first: they were acknowledged. Raises OSError; then none
        is gone that is not entered.
        """
        instead_left = self._instead is None or self._instead.clear(read, refused)  # whatever becomes of this one
        return (not self._holds() or self._clear(read, refused)) and instead_left

    def unread(self) -> bool:
        """Whether lines lie aside that nobody could open, or the ledger refused."""
        return self._aside.exists() or self._refused.exists() or bool(self._instead and self._instead.unread())

    def _held(self) -> contextlib.AbstractContextManager[int]:
        return locked(self.path, make=self._aside.exists())  # what was laid beside it shows whose folder it is

    def _holds(self) -> bool:
        return _size(self.path) > 0 or self._opens_aside()  # in this order: what is laid aside is there first

    def _read(self) -> EmergencyWaiting:
        with self._held() as descriptor:
            content, aside = _content(descriptor), _lines_of(self._aside)
        *lines, rest = content.split(b"\n")
        opened = {line: self._opened(line) for line in (*lines, *aside)}
        requests = tuple((line, kept) for line, kept in opened.items() if kept)
        return EmergencyWaiting(requests, tuple(line for line in lines if not opened[line]), len(rest))

    def _clear(self, read: EmergencyWaiting, refused: Sequence[bytes]) -> bool:
        entered, unread, no = {line for line, _ in read.requests}, set(read.unread), set(refused)
        with self._held() as descriptor:
            self._mended(descriptor)
            lines, aside = _content(descriptor).split(b"\n")[:-1], _lines_of(self._aside)
            self._sweep()
            _replace(self._refused, _lines_of(self._refused), [line for line in (*lines, *aside) if line in no])
            gone = entered | no
            _replace(
                self._aside, [line for line in aside if line not in gone], [each for each in lines if each in unread]
            )
            left = [line for line in lines if line not in gone and line not in unread]
            if left and left != lines:
                write_durably(self.path, _joined(left))
            elif not left:  # in its place: a full disk has no room for another one
                os.ftruncate(descriptor, 0)
                os.fsync(descriptor)
        return not left

    @property
    def _aside(self) -> Path:
        return self.path.with_suffix(".unread")

    @property
    def _refused(self) -> Path:
        """Apart from those that others may open: each turn would try these again."""
        return self.path.with_suffix(".refused")

    def _opened(self, line: bytes) -> KeptRequest | None:
        try:
            text = seals.open_seal(self._opens, self._label, base64.b64decode(line, validate=True))
            return read_request(text, self._secrets)
        except (seals.OpeningFailed, ValueError):
            return None

    def _opens_aside(self) -> bool:
        """Whether a line that was laid aside can be entered. Raises OSError."""
        looked, file = self._looked, _file_of(self._aside)
        if file != looked[0]:
            self._looked = looked = file, any(map(self._opened, _lines_of(self._aside)))
        return looked[1]

    def _append(self, descriptor: int, line: bytes) -> None:
        content_ends = self._mended(descriptor)
        if content_ends + len(line) > self._limit:
            raise StoreUnavailable("nothing was kept: the emergency file is full")
        try:
            _write(descriptor, line, content_ends)
        except OSError:
            with contextlib.suppress(OSError):  # it was not acknowledged; left there, it would be torn or entered
                os.ftruncate(descriptor, content_ends)
            raise
        sync_folder(self.path.parent)

    def _mended(self, descriptor: int) -> int:
        """The size without a torn last line, which the next one must not continue."""
        size = os.fstat(descriptor).st_size
        if not size or os.pread(descriptor, 1, size - 1) == b"\n":
            return size
        whole = _content(descriptor).rfind(b"\n") + 1
        os.ftruncate(descriptor, whole)
        self.torn += 1
        return whole

    def _sweep(self) -> None:
        """What a process that was killed over one of these files left beside it."""
        for left in self.path.parent.glob(f".{self.path.stem}.*"):
            left.unlink()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _file_of(path: Path) -> object:
    """By which a file that is there is told from the one before: each is written anew. Raises OSError."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _lines_of(path: Path) -> list[bytes]:
    """Those that were laid aside in a file. Raises OSError."""
    try:
        return [line for line in path.read_bytes().split(b"\n") if line]
    except FileNotFoundError:
        return []


def _replace(path: Path, left: Sequence[bytes], more: Sequence[bytes]) -> None:
    """What lies aside in a file from now on, each once; without any there is no file, for which no disk is too full.
    Raises OSError.
    """
    if (lines := list(dict.fromkeys([*left, *more]))) == _lines_of(path):
        return
    if lines:
        write_durably(path, _joined(lines))
    else:
        path.unlink()
        sync_folder(path.parent)


def _write(descriptor: int, line: bytes, at: int) -> None:
    if os.pwrite(descriptor, line, at) != len(line):
        raise OSError(errno.ENOSPC, "the line was not written whole")
    os.fsync(descriptor)


def _content(descriptor: int) -> bytes:
    parts, size = [b"-"], 0
    while parts[-1]:
        parts.append(os.pread(descriptor, 1 << 20, size))
        size += len(parts[-1])
    return b"".join(parts[1:])


def _joined(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def waiting_of(files: Iterable[Emergency], keys: Collection[bytes]) -> list[KeptRequest]:
    """What waits about whoever has one of these. Raises `StoreUnavailable`: what cannot be read may be about them."""
    try:
        found = [kept for each in files if each.waiting() for _, kept in each.read().requests]
    except OSError as error:
        raise StoreUnavailable(f"what waits to be entered cannot be read: {error.strerror}") from error
    return [kept for kept in found if not _named_by(kept.subjects).isdisjoint(keys)]


def _named_by(subjects: Iterable[Subject]) -> set[bytes]:
    return {key for subject in subjects for key in named_by(subject)}


def a_no_waits(files: Iterable[Emergency], subjects: Iterable[Subject], purposes: Collection[Purpose]) -> bool:
    """Whether something is kept that no yes of these people may come before. Of a file so long that to read it for each
    yes would hold others up nothing is: its noes are entered behind the yes, and win. Raises `StoreUnavailable`.
    """
    waits = waiting_of((each for each in files if not each.is_long()), _named_by(subjects))
    return any(not set(purposes).isdisjoint(widened(kept.choice.purposes)) for kept in waits)


AT_ONCE = 256  # requests of one transaction
ENDS_WITHIN = 5.0  # seconds that the thread may take at the end: what it enters is entered once, whenever it is cut off
WAITS = "requests wait in the emergency file; they are entered as soon as the ledger can be written"
UNENTERED = (
    "a request in the emergency file cannot be entered, and waits until it can: {why}. gateway verify names what is"
    " damaged (gateway help restore)"
)
Entered = bool | EntryUnread | None  # of a request: whether it was news; why it stays; None: the ledger refuses it


def what_waits(emergency: Emergency) -> str:
    """Why no answer is fresh, for the watch; empty where nothing waits."""
    try:
        emergency.open_anew()
    except OSError:  # what cannot be looked at may hold something
        return WAITS
    if not emergency.waiting():
        emergency.found_empty()
        return ""
    return UNENTERED.format(why=emergency.unentered) if emergency.unentered else WAITS


class Intake:
    """Looks twice a second, in a thread of its own. `later` is the file of what is entered behind everything else."""

    def __init__(self, emergency: Emergency, writer: Writer, watch: LedgerWatch, later: Emergency) -> None:
        self._emergency = emergency
        self._later = later
        self._writer = writer
        self._watch = watch
        self._stop, self._looked = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="emergency-intake", daemon=True)
        self.entered = 0

    def start(self, within: float | None = None) -> None:
        """What waits is taken in before anybody is answered, where that can be done, and within so many seconds."""
        self._thread.start()
        self._looked.wait(within)

    def stop(self) -> None:
        """From now on nothing more is begun. Behind it the writer is ended, and then this (`end`)."""
        self._stop.set()

    def end(self) -> None:
        """A disk may have the thread for ever; what waits stays in its file."""
        if self._thread.ident is not None:
            self._thread.join(ENDS_WITHIN)

    def once(self) -> bool:
        """Whether nothing waits afterwards."""
        if not self._emergency.waiting():
            return True
        done = self._take_in(self._emergency, self._enter)
        if done:
            self._watch.prove()
        return done

    def _take_in(self, file: Emergency, enter: Callable[[Requests], Iterable[tuple[bytes, Entered]]]) -> bool:
        """Enters what a file holds now; whether nothing is left in it. What is entered is taken out each time that it
        is half of what was left: a pass that is cut off has come further, and what stays is rewritten a few times only.
        One of people of whom a row is damaged stays, and all others go in: laid aside it would be a no that nobody
        enters once the row is mended, while its person is allowed.
        """
        try:
            read = file.read()
            if read.unread:  # refused to a process of before a newer pepper: what it cannot read, others can
                self._writer.submit(partial(enter_requests, requests=())).result()
            left, refused, stays = read.requests, list[bytes](), dict[bytes, EntryUnread]()
            done: Requests = ()
            while True:
                part, left = left[: (half := max(AT_ONCE, len(left) // 2))], left[half:]
                outcomes = dict(enter(part))
                refused += [line for line, new in outcomes.items() if new is None]
                stays |= {line: new for line, new in outcomes.items() if isinstance(new, EntryUnread)}
                file.unentered = next(map(str, stays.values()), "")
                done = (*done, *(each for each in part if each[0] not in stays))
                try:
                    none_left = file.clear(replace(read, requests=done), refused)
                except OSError:  # a full disk has no room for what would be left; it needs none once nothing is
                    if not left:
                        raise
                else:
                    read, done, refused = replace(read, unread=()), (), []
                if not left:
                    return none_left and not stays
        except (Unusable, OSError):
            return False

    def _enter(self, requests: Requests) -> Iterator[tuple[bytes, Entered]]:
        """Enters them all; what became of each line."""
        for start in range(0, len(requests), AT_ONCE):
            chunk = requests[start : start + AT_ONCE]
            news = self._writer.submit(partial(enter_requests, requests=[kept for _, kept in chunk])).result()
            self.entered += news.count(True)
            yield from ((line, new) for (line, _), new in zip(chunk, news, strict=True))

    def _run(self) -> None:
        with contextlib.suppress(Exception):  # as below
            self.once()
        self._looked.set()
        while not self._stop.wait(PERIOD):
            with contextlib.suppress(Exception):  # what waits is an alarm; a thread that ended enters nothing
                self._turn()

    def _turn(self) -> None:
        if self.once():
            self.enter_later()

    def enter_later(self) -> bool:
        """Whether nothing is left of what is entered behind others."""
        return not self._later.waiting() or self._take_in(self._later, self._enter_behind)

    def _enter_behind(self, requests: Requests) -> Iterator[tuple[bytes, Entered]]:
        return ((line, self._entered(kept)) for line, kept in requests)

    def _entered(self, kept: KeptRequest) -> Entered:
        """Enters one, unless the service stops meanwhile."""
        if self._stop.is_set() or not self.once():  # what waits in the emergency file goes first
            raise StoreUnavailable("entered at another time")
        began = time.monotonic()
        (new,) = self._writer.submit(partial(enter_requests, requests=[kept])).result()
        self.entered += new is True
        self._stop.wait(time.monotonic() - began)
        return new


def enter_requests(tx: Transaction, requests: Sequence[KeptRequest]) -> list[Entered]:
    """What became of each request, whatever became of the others."""
    return [_enter_one(tx, request) for request in requests]


def enter_for_good(tx: Transaction, requests: Sequence[KeptRequest]) -> None:
    """The same ahead of an unlink, which leaves nothing by which to tell what was entered: the id of one that left no
    entry of its own, for it was no news or sent twice, is written down, so that it is not entered again. Raises
    `EntryUnread` where one of them cannot be.
    """
    entered = enter_requests(tx, requests)
    if unread := [each for each in entered if isinstance(each, EntryUnread)]:
        raise unread[0]
    for name in (kept.request for kept, new in zip(requests, entered, strict=True) if new is not None):
        if not tx.db.execute("SELECT 1 FROM detail WHERE event = ?", (name,)).fetchone():
            tx.db.execute("INSERT INTO unlinked_event VALUES (?, ?) ON CONFLICT (event) DO NOTHING", (name, NO_ENTRY))


async def enter_waiting(writer: Writer, files: Sequence[Emergency], subjects: Sequence[Subject]) -> None:
    """What waits about these people goes in ahead of what forgets them, so that none of it comes behind that; in parts,
    for anybody can have said much of somebody. Looked for again behind them: one may tie others to these. Raises
    `StoreUnavailable`.
    """
    entered = set[bytes]()
    while waits := await asyncio.to_thread(_waiting_near, writer.store, files, subjects, entered):
        for start in range(0, len(waits), AT_ONCE):
            part = waits[start : start + AT_ONCE]
            await writer.commit(partial(enter_for_good, requests=part))
        entered.update(kept.request for kept in waits)


def _waiting_near(
    store: Store, files: Sequence[Emergency], subjects: Sequence[Subject], but: Collection[bytes]
) -> list[KeptRequest]:
    """Of whoever is connected with them, too: what a number says goes to its account and on to what that has, which
    nobody finds behind an unlink. `but`: requests that are entered.
    """
    if not any(each.waiting() for each in files):
        return []
    with ledger_snapshot(store) as db:
        near = connected_people(db, _named_by(subjects))
    return [kept for kept in waiting_of(files, near) if kept.request not in but]


def _enter_one(tx: Transaction, request: KeptRequest) -> Entered:
    try:
        with tx.savepoint():
            return request.enter_once(tx)
    except EntryUnread as unread:
        return unread
    except (sqlite3.Error, OSError, Unusable):
        raise  # of the disk or the installation, and no fault of this one
    except Exception:  # noqa: BLE001 - one that cannot be entered must not keep the others out
        return None
