"""When the database is away: what tightens is kept in the emergency file, one sealed line a request, and taken in once
the ledger can be written again. `consent.verbs` keeps, `app.composition` runs the taking in.

The file lies in the folder of the last checkpoint and not in the data folder: it is needed exactly when that was lost
or an older copy was put back, and must not be replaced with it. Its name comes from the first pepper, which never
changes. Durable before `keep` returns. A torn last line was never acknowledged: it is skipped and counted. A line holds
the person's identifiers; nobody opens it without this installation's seal keys.

A request's id becomes its first entry's event id, so that each is entered once, with the time at which it was accepted,
whatever crashed in between. The file is emptied after the entries are durable. Until then the watch lets no check be
answered, so that nobody is allowed whom a waiting line says no for. What is entered later was acknowledged as kept and
not as in effect; it goes in a request at a time and never takes more than half of the writer's time, however much of it
there is.
"""

import asyncio
import base64
import contextlib
import errno
import hmac
import json
import os
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gateway.desk import recipients_to_tell
from gateway.disk import locked, make_folder, sync_folder
from gateway.keys import seals
from gateway.keys.secret_files import Secrets, wrap
from gateway.ledger.acts import idempotency, links, records
from gateway.ledger.acts.folded_people import named_by
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.proof.entry import Notice, b64
from gateway.ledger.schema import OF_REQUEST
from gateway.ledger.subjects import Choice, Subject, Written, milliseconds, moment
from gateway.ledger.transaction import Transaction
from gateway.ledger.watch import PERIOD, LedgerWatch
from gateway.ledger.writer import Writer
from gateway.terms import ChoiceKind, Purpose, Unusable


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """`repeat`: what `idempotency.named` made of the caller's Idempotency-Key, or nothing. `tie`: link what was listed
    to the account among it. `signal`: heard and not chosen, so an entry only where it changes something.
    """

    request: bytes
    subjects: tuple[Subject, ...] = field(repr=False)
    choice: Choice
    repeat: idempotency.RequestName | None = None
    tie: bool = False
    signal: bool = False

    def enter(self, tx: Transaction) -> list[Written]:
        """Writes it: one entry a subject."""
        if self.tie:
            listed = [subject for subject in self.subjects if not subject.reading]
            links.tie(tx, account_of(listed), listed, milliseconds(self.choice.at))
        if self.signal:
            heard = [
                recipients_to_tell.hear_and_tell(tx, subject, self.choice, self.request) for subject in self.subjects
            ]
            return [written for written in heard if written]
        return [recipients_to_tell.write_and_tell(tx, subject, self.choice, self.request) for subject in self.subjects]

    @property
    def asks(self) -> Mapping[str, Collection[bytes]]:
        """What will be looked for when it is written."""
        names = {key for subject in self.subjects for key in named_by(subject)}
        accounts = [subject.key for subject in self.subjects if subject.is_account]
        known = [self.repeat.name] if self.repeat else []
        return {recipients_to_tell.LEFT: names, records.NAMED: accounts, idempotency.KNOWN: known}

    def enter_once(self, tx: Transaction) -> bool:
        """Writes it unless it, or another sending of the same, is there already. Whether it wrote."""
        if tx.db.execute(KEPT, (self.request,)).fetchone():
            return False
        at = milliseconds(self.choice.at)
        try:
            return not idempotency.once(tx, self.repeat, at, lambda: request_answer(self.enter(tx)))[1]
        except idempotency.Mismatch:  # the key was used for another choice; this one was acknowledged all the same
            return bool(self.enter(tx))

    def text(self, peppers: int) -> bytes:
        """`peppers`: how many wrap its keys."""
        choice, notice, repeat = self.choice, self.choice.notice, self.repeat
        members = {
            "request": self.request.hex(),
            "peppers": peppers,
            "tie": self.tie,
            "signal": self.signal,
            "subjects": [_shown(subject) for subject in self.subjects],
            "choice": choice.kind,
            "purposes": choice.purposes,
            "source": choice.source,
            "at": milliseconds(choice.at),
            "place": choice.place,
            "manner": choice.manner,
            "received": milliseconds(choice.received) if choice.received else None,
            "details": choice.details,
            "notice": [notice.sha256.hex(), notice.version, notice.language] if notice else None,
            "repeat": [repeat.name.hex(), repeat.content.hex()] if repeat else None,
        }
        return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()


def account_of(subjects: Sequence[Subject]) -> Subject | None:
    """The account among what was listed."""
    return next((subject for subject in subjects if subject.is_account), None)


def request_answer(written: Sequence[Written]) -> bytes:
    """What an Idempotency-Key is answered with."""
    return json.dumps([[b64(item.event), item.seq] for item in written]).encode()


def read_request(text: bytes, peppers: Sequence[bytes]) -> KeptRequest:
    """What `text` made, its keys under every pepper of now. Raises ValueError for what is none."""
    try:
        return _read_members(json.loads(text), peppers)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError("not a kept request") from error


def _read_members(members: dict[str, Any], peppers: Sequence[bytes]) -> KeptRequest:
    fresh = peppers[members["peppers"] :]

    def keys(texts: Sequence[str]) -> tuple[bytes, ...]:
        return tuple(wrap(bytes.fromhex(text), fresh) for text in texts)

    def subject(kind: str, value: str, own: Sequence[str], more: Sequence[str], box: str, reading: object) -> Subject:
        return Subject(kind, value, keys(own), keys(more), keys([box])[0] if box else None, reading=bool(reading))

    subjects = tuple(subject(*told) for told in members["subjects"])
    notice, repeat, received = members["notice"], members["repeat"], members["received"]
    choice = Choice(
        ChoiceKind(members["choice"]),
        tuple(map(Purpose, members["purposes"])),
        members["source"],
        moment(members["at"]),
        members["place"],
        Notice(bytes.fromhex(notice[0]), notice[1], notice[2]) if notice else None,
        members["manner"],
        None if received is None else moment(received),
        details=members["details"],
    )
    named = idempotency.RequestName(*map(bytes.fromhex, repeat)) if repeat else None
    request = bytes.fromhex(members["request"])
    return KeptRequest(request, subjects, choice, named, tie=members["tie"], signal=members["signal"])


def _shown(subject: Subject) -> list[Any]:
    box = subject.mailbox.hex() if subject.mailbox is not None else ""
    return [subject.kind, subject.value, _hex(subject.keys), _hex(subject.looser), box, subject.reading]


def _hex(keys: Sequence[bytes]) -> list[str]:
    return [key.hex() for key in keys]


# Of whom it was entered may have been unlinked since: nothing but the receipt's place stands then.
KEPT = f"SELECT 1 FROM detail d WHERE {OF_REQUEST} UNION ALL SELECT 1 FROM unlinked_event u WHERE u.event = ?1"  # noqa: S608 - ours
NO_ENTRY = 2**63 - 1  # a place that no log comes to
LABEL = b"emergency/1"
LATER = b"entered-later/1"
NAME_BYTES = 8


@dataclass(frozen=True, slots=True)
class EmergencyWaiting:
    """What the file holds: each request with its line. `size`: bytes that were read; `unread`: whole lines that nobody
    can open; `torn`: bytes after the last whole line.
    """

    requests: tuple[tuple[bytes, KeptRequest], ...]
    size: int
    unread: tuple[bytes, ...] = ()
    torn: int = 0


class Emergency:
    """One installation's file in the folder of its last checkpoint; several processes may share it. `limit`: the size
    in bytes that it never grows beyond. `label`: `LABEL`, or `LATER` for what is entered behind everything else.
    """

    def __init__(self, folder: Path, secrets: Secrets, limit: int, label: bytes = LABEL) -> None:
        name = hmac.digest(secrets.peppers[0], label, "sha256")[:NAME_BYTES].hex()
        self._label = label
        self.path = folder / f"{name}.emergency"
        self._secrets = secrets
        self._limit = limit
        self.torn = 0
        self._threads = ThreadPoolExecutor(1, "keeps-beside")

    async def keep_beside(self, *requests: KeptRequest) -> None:
        """`keep`, for an event loop. In a thread of its own: those that everybody shares may all wait for a ledger that
        says nothing.
        """
        await asyncio.get_running_loop().run_in_executor(self._threads, partial(self.keep, *requests))

    def keep(self, *requests: KeptRequest) -> None:
        """Appends requests, durably. Raises `StoreUnavailable` where that cannot be done: then nothing was kept."""
        texts = [request.text(len(self._secrets.peppers)) for request in requests]
        boxes = [base64.b64encode(seals.seal_box(self._secrets.seals[-1], self._label, text)) for text in texts]
        line = b"".join(box + b"\n" for box in boxes)
        try:
            make_folder(self.path.parent)
            with self._locked() as descriptor:
                self._append(descriptor, line)
        except OSError as error:
            raise StoreUnavailable(f"nothing was kept: {error.strerror}") from error

    def waiting(self) -> bool:
        """Whether there is something to take in. A file that cannot be looked at may hold something."""
        try:
            return self.path.stat().st_size > 0
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def read(self) -> EmergencyWaiting:
        """Everything that was acknowledged and not yet taken in. Raises OSError."""
        with self._locked() as descriptor:
            content = _content(descriptor)
        *lines, rest = content.split(b"\n")
        requests, unread = list[tuple[bytes, KeptRequest]](), list[bytes]()
        for line in lines:
            try:
                requests.append((line, self._open(line)))
            except (seals.OpeningFailed, ValueError):
                unread.append(line)
        return EmergencyWaiting(tuple(requests), len(content), tuple(unread), len(rest))

    def clear(self, read: EmergencyWaiting, refused: Sequence[bytes] = ()) -> bool:
        """Empties the file durably once all of `read` is entered; False where more came meanwhile. Lines that nobody
        can open, and `refused` ones, are laid beside it first: they were acknowledged.
        """
        with self._locked() as descriptor:
            if os.fstat(descriptor).st_size != read.size:
                return False
            self._lay_aside((*read.unread, *refused))
            self.torn += bool(read.torn)
            os.ftruncate(descriptor, 0)
            os.fsync(descriptor)
        return True

    def unread(self) -> bool:
        """Whether lines lie aside that nobody could open."""
        return self._aside.exists()

    @property
    def _aside(self) -> Path:
        return self.path.with_suffix(".unread")

    def _open(self, line: bytes) -> KeptRequest:
        box = base64.b64decode(line, validate=True)
        return read_request(seals.open_seal(self._secrets.seals, self._label, box), self._secrets.peppers)

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

    def _lay_aside(self, lines: tuple[bytes, ...]) -> None:
        if not lines:
            return
        descriptor = os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, b"".join(line + b"\n" for line in lines))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _locked(self) -> contextlib.AbstractContextManager[int]:
        """Raises OSError, also where another process that was stopped has it."""
        return locked(self.path)


def _write(descriptor: int, line: bytes, at: int) -> None:
    if os.pwrite(descriptor, line, at) != len(line):
        raise OSError(errno.ENOSPC, "the line was not written whole")
    os.fsync(descriptor)


def _content(descriptor: int) -> bytes:
    content, part = b"", b"-"
    while part:
        part = os.pread(descriptor, 1 << 20, len(content))
        content += part
    return content


def waiting_of(files: Iterable[Emergency], subjects: Iterable[Subject]) -> list[KeptRequest]:
    """What waits about these people. Raises `StoreUnavailable`: what cannot be read may be about them."""
    keys = {key for subject in subjects for key in subject.keys}
    try:
        found = [kept for each in files if each.waiting() for _, kept in each.read().requests]
    except OSError as error:
        raise StoreUnavailable(f"what waits to be entered cannot be read: {error.strerror}") from error
    return [kept for kept in found if not keys.isdisjoint(key for subject in kept.subjects for key in subject.keys)]


AT_ONCE = 256  # requests of one transaction
ENDS_WITHIN = 5.0  # seconds that the thread may take at the end: what it enters is entered once, whenever it is cut off
WAITS = "requests wait in the emergency file; they are entered as soon as the ledger can be written"


def what_waits(emergency: Emergency) -> str:
    """Why no answer is fresh, for the watch; empty where nothing waits."""
    return WAITS if emergency.waiting() else ""


class Intake:
    """Looks twice a second, in a thread of its own. `later` is the file of what is entered behind everything else."""

    def __init__(self, emergency: Emergency, writer: Writer, watch: LedgerWatch, later: Emergency) -> None:
        self._emergency = emergency
        self._later = later
        self._writer = writer
        self._watch = watch
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="emergency-intake", daemon=True)
        self.entered = 0

    def start(self) -> None:
        """What waits is taken in before anybody is answered, where that can be done."""
        self.once()
        self._thread.start()

    def stop(self) -> None:
        """A disk or a server that says nothing may have the thread for ever, and what waits stays in its file."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(ENDS_WITHIN)

    def once(self) -> bool:
        """Whether nothing waits afterwards."""
        if not self._emergency.waiting():
            return True
        try:
            read = self._emergency.read()
            refused = list(self._enter(read.requests))
            done = self._emergency.clear(read, refused)
        except (Unusable, OSError):
            return False
        if done:
            self._watch.prove()
        return done

    def _enter(self, requests: Sequence[tuple[bytes, KeptRequest]]) -> Iterator[bytes]:
        """Enters them all; the lines of those that the ledger refuses, which somebody has to look at."""
        for start in range(0, len(requests), AT_ONCE):
            chunk = requests[start : start + AT_ONCE]
            news = self._writer.submit(partial(enter_requests, requests=[kept for _, kept in chunk])).result()
            self.entered += sum(bool(new) for new in news)
            yield from (line for (line, _), new in zip(chunk, news, strict=True) if new is None)

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            with contextlib.suppress(Exception):  # what waits is an alarm; a thread that ended enters nothing
                self._turn()

    def _turn(self) -> None:
        if self.once():
            self.enter_later()

    def enter_later(self) -> bool:
        """Whether nothing is left of what is entered behind others."""
        if not self._later.waiting():
            return True
        try:
            read = self._later.read()
            refused = [line for line, kept in read.requests if not self._entered(kept)]
            return not self._stop.is_set() and self._later.clear(read, refused)
        except (Unusable, OSError):
            return False

    def _entered(self, kept: KeptRequest) -> bool:
        """Enters one, unless the service stops meanwhile; False where the ledger refuses it."""
        if self._stop.is_set() or not self.once():  # what waits in the emergency file goes first
            raise StoreUnavailable("entered at another time")
        began = time.monotonic()
        (new,) = self._writer.submit(partial(enter_requests, requests=[kept])).result()
        self.entered += bool(new)
        self._stop.wait(time.monotonic() - began)
        return new is not None


def enter_requests(tx: Transaction, requests: Sequence[KeptRequest]) -> list[bool | None]:
    """Of each request whether it was news; None: the ledger refuses it."""
    return [_enter_one(tx, request) for request in requests]


def enter_for_good(tx: Transaction, requests: Sequence[KeptRequest]) -> None:
    """The same ahead of an unlink, which leaves nothing by which to tell what was entered: the id of one that left no
    entry of its own, for it was no news or sent twice, is written down, so that it is not entered again.
    """
    entered = enter_requests(tx, requests)
    for name in (kept.request for kept, new in zip(requests, entered, strict=True) if new is not None):
        if not tx.db.execute("SELECT 1 FROM detail WHERE event = ?", (name,)).fetchone():
            tx.db.execute("INSERT INTO unlinked_event VALUES (?, ?) ON CONFLICT (event) DO NOTHING", (name, NO_ENTRY))


def _enter_one(tx: Transaction, request: KeptRequest) -> bool | None:
    try:
        with tx.savepoint():
            return request.enter_once(tx)
    except (sqlite3.Error, OSError, Unusable):
        raise  # of the disk or the installation, and no fault of this one
    except Exception:  # noqa: BLE001 - one that cannot be entered must not keep the others out
        return None
