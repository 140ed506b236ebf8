"""Signing what is durable, the step between a commit and its answer (`Publisher`, which the writer calls); and the last
checkpoint that was signed, one file a ledger, outside the data folder and never rolled back with it
(`CheckpointStore`). Whoever signs (`witness` and `backup`, too) compares and swaps that first, under a lock of theirs;
anybody reads it.

A log must never sign two trees of which one does not grow out of the other. So a tree that is smaller than the last one
that was signed, or does not grow out of it, is refused: somebody put back an old copy of the folder (found out as in
Sunlight, another log). The head row remembers that something was signed (`signed`), so that a store that is gone is not
taken for one that never was. On a server every machine has a store of its own, and takes into it what the others made
of the tree (`advance`).

The file has three blocks: a slot, a mark, a slot. A slot holds a counter and a checkpoint, under a checksum of the
whole block. A new one goes over the older of the two, in one write and one sync, and is signed once that sync has
returned: what is torn was never signed, and the other slot is whole.

The mark says which slot a sync has returned for: in this boot, in this file. It is not synced. Without it whoever reads
could not tell such a slot from one whose sync is still to come, was cut off by a kill, or failed; Linux shows them all,
and after a sync that failed goes on showing what the disk never got. A mark that names neither slot is of an earlier
boot, of a copy, or half written (then both were synced): the newer slot counts. Before it is built on, it is written
once more as it is, and synced with its folder; the same bytes can tear nothing.

Measured on ext4, medians of 500 in one run: a swap 250 us, 170 of them its sync, where a bare write of 4 kB and its
fdatasync took 130; written beside and renamed, as before, 670. Reading takes 24.
"""

import errno
import functools
import hashlib
import json
import os
import sqlite3
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from gateway import disk
from gateway.disk import boot_id, make_folder, sync_folder, write_durably
from gateway.ledger import tree
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.proof import merkle, note
from gateway.ledger.proof.merkle import Frontier, TailTree
from gateway.ledger.proof.note import Checkpoint, Signer
from gateway.ledger.proof.receipt import Receipt, ReceiptsAtHand, SignedBatch

if TYPE_CHECKING:
    from gateway.postgres.connection import PostgresConnection


SUFFIX = ".checkpoints"  # of the folder beside the data folder
CHECKPOINT = ".checkpoint"  # of a ledger's file in it
REFUSED = ".witness-stopped"  # of a file that says which witness saw another log, and which; one for each
BLOCK, DIGEST = 4096, 32  # bytes: a page, which is what goes to a disk at once; a SHA-256
SLOTS, MARK, WHOLE = (0, 2 * BLOCK), BLOCK, 3 * BLOCK  # where they begin, and how long the file is
FORMAT = b"\xffgateway slot 1\n"
SLOT_HEAD = struct.Struct(">16sQH")  # format, counter, bytes of the checkpoint's text behind it
READS = 1000  # until two are alike; one takes microseconds, a swap a hundred of them


class StoreBroken(LedgerRefused):
    """The store cannot be read, or holds what is no checkpoint. The text says which file."""


class Overtaken(Exception):
    """The stored checkpoint is not the one that was to be replaced."""


def checkpoints_beside(folder: Path) -> Path:
    """Where the store is unless `[ledger] checkpoint_store` says otherwise."""
    whole = folder.absolute()
    return whole.with_name(whole.name + SUFFIX)


@dataclass(frozen=True, slots=True)
class CheckpointSlot:
    """`last`: None until something was signed. The counter says which slot it is in, and which is newer."""

    counter: int
    last: Checkpoint | None

    @property
    def begins(self) -> int:
        """Its first byte in the file."""
        return SLOTS[self.counter % len(SLOTS)]

    def block(self) -> bytes:
        """Raises ValueError where the log's name is too long for it."""
        text = self.last.text().encode() if self.last else b""
        held = (SLOT_HEAD.pack(FORMAT, self.counter, len(text)) + text).ljust(BLOCK - DIGEST, b"\0")
        if len(held) > BLOCK - DIGEST:
            raise ValueError("the log's name is too long")
        return held + hashlib.sha256(held).digest()


def read_slot(content: bytes, begins: int) -> CheckpointSlot | None:
    """The slot at a place of the file; None where it was never written, or is not whole."""
    held, digest = content[begins : begins + BLOCK - DIGEST], _digest_at(content, begins)
    if hashlib.sha256(held).digest() != digest:
        return None
    kind, counter, length = SLOT_HEAD.unpack_from(held)
    text = held[SLOT_HEAD.size : SLOT_HEAD.size + length].decode()
    found = CheckpointSlot(counter, note.parse_checkpoint(text) if text else None)
    return found if kind == FORMAT and found.begins == begins else None


def _digest_at(content: bytes, begins: int) -> bytes:
    return content[begins + BLOCK - DIGEST : begins + BLOCK]


@dataclass(frozen=True, slots=True)
class SlotRead:
    """What counts of a store's file. `sure`: its sync has returned, in this boot."""

    slot: CheckpointSlot
    sure: bool = False


class CheckpointStore:
    """The checkpoint of one ledger, by the random id in its head."""

    def __init__(self, folder: Path, ledger: bytes) -> None:
        self.path = folder / f"{ledger.hex()}{CHECKPOINT}"

    def last(self) -> Checkpoint | None:
        """None where none was ever signed. Needs no lock. Raises `StoreBroken`."""
        found = self._read()
        return found.slot.last if found else None

    def cosigned(self) -> str | None:
        """The last checkpoint that witnesses signed too, as a note; None where there is none that can be read."""
        try:
            return self._cosigned.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    def keep_cosigned(self, signed: str) -> None:
        """Raises `StoreBroken` where it cannot be written."""
        try:
            write_durably(self._cosigned, signed.encode())
        except OSError as error:
            raise StoreBroken(f"{self._cosigned} cannot be written: {error}") from error

    def refusals(self, log: str) -> dict[str, str]:
        """By witness why this log is not signed any more, of whichever process heard it; what was said of a log of
        before counts no more. Raises `StoreBroken`.
        """
        found = dict[str, str]()
        for path in sorted(self.path.parent.glob(f"{self.path.stem}.*{REFUSED}")):
            try:
                told = json.loads(path.read_bytes())
                if told["log"] == log:
                    found[told["witness"]] = f"{told['why']} (kept in {path})"
            except FileNotFoundError:  # it is settled, just now
                continue
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise StoreBroken(
                    f"{path}, where it is kept that a witness has seen another log, cannot be read ({error}). Find out"
                    " which is the true one, and take the file away (gateway help restore)"
                ) from error
        return found

    def keep_refusal(self, log: str, witness: str, why: str) -> None:
        """So that whoever begins anew knows it, also while the witness is away; `why` empty: it is settled. Raises
        `StoreBroken` where that cannot be written.
        """
        path = self.path.with_suffix(f".{hashlib.sha256(witness.encode()).hexdigest()[:16]}{REFUSED}")
        content = json.dumps({"log": log, "witness": witness, "why": why}).encode()
        try:
            if not why:
                path.unlink(missing_ok=True)
            elif not path.exists() or path.read_bytes() != content:
                write_durably(path, content)
        except OSError as error:
            raise StoreBroken(f"{path} cannot be written: {error}") from error

    @property
    def _cosigned(self) -> Path:
        return self.path.with_suffix(".cosigned")

    def swap(self, old: Checkpoint | None, new: Checkpoint) -> None:
        """Replaces `old`, durably before this returns; whoever calls holds the writers' lock. Raises `Overtaken`, and
        `StoreBroken` where it cannot be written: then `old` is what is read, and the next swap begins anew.
        """
        found = self._read()
        if (found.slot.last if found else None) != old:
            raise Overtaken(str(self.path))
        if found and found.sure and new == old:
            return
        try:
            if found is None:
                found = self._lay_out()
            with disk.opened(self.path, os.O_RDWR) as file:
                if not found.sure:
                    sync_folder(self.path.parent)  # whoever laid it out may have been stopped before this
                    _keep_slot(file, found.slot)
                if new != old:
                    _keep_slot(file, CheckpointSlot(found.slot.counter + 1, new))
        except (OSError, ValueError) as error:
            raise StoreBroken(f"{self.path} cannot be written ({error}). Make room, or mend its folder") from error

    def _lay_out(self) -> SlotRead:
        """A file in which nothing is signed yet, with all the room that it will ever take."""
        make_folder(self.path.parent)
        first = CheckpointSlot(0, None)
        write_durably(self.path, first.block().ljust(WHOLE, b"\0"))
        return SlotRead(first)

    def _read(self) -> SlotRead | None:
        return _read_store(self.path)


def is_anything_signed(folder: Path) -> bool:
    """Whether a folder of stores has what was signed last of any ledger. Raises `StoreBroken`."""
    return any((found := _read_store(path)) and found.slot.last for path in folder.glob(f"*{CHECKPOINT}"))


def _read_store(path: Path) -> SlotRead | None:
    """What was signed last. None: there is no file. Raises `StoreBroken`."""
    try:
        with disk.opened(path, os.O_RDONLY) as file:
            return _read_slots(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreBroken(
            f"{path} cannot be read ({error}). Put back its folder; if it is lost for good, move the file away and go"
            " on as a new log: gateway restore --new-log (gateway help restore)"
        ) from error


def _read_slots(file: int) -> SlotRead:
    content = _at_one_moment(file)
    slots = [slot for begins in SLOTS if (slot := read_slot(content, begins))]
    if not slots or len(content) != WHOLE:
        raise ValueError("both of its slots are damaged")
    marked = content[MARK : MARK + DIGEST]
    for slot in slots:
        if marked == _mark_of(file, _digest_at(content, slot.begins)):
            return SlotRead(slot, sure=True)
    return SlotRead(max(slots, key=lambda slot: slot.counter))


def _at_one_moment(file: int) -> bytes:
    """The whole file as it was at some moment although others write: two reads alike, for no block ever comes back to
    what it was.
    """
    before = None
    for _ in range(READS):
        content = os.pread(file, WHOLE + 1, 0)
        if content == before:
            return content
        before = content
    raise ValueError("it is written all the time")


def _keep_slot(file: int, slot: CheckpointSlot) -> None:
    """Durable when this returns, and only then what counts."""
    block = slot.block()
    _write_at(file, block, slot.begins)
    os.fdatasync(file)
    _mark_slot(file, block)


def _mark_slot(file: int, block: bytes) -> None:
    _write_at(file, _mark_of(file, block[-DIGEST:]), MARK)


def _write_at(file: int, content: bytes, begins: int) -> None:
    if os.pwrite(file, content, begins) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _mark_of(file: int, digest: bytes) -> bytes:
    """That a sync of the slot with this checksum has returned, in this boot, in this very file."""
    found = os.fstat(file)
    return hashlib.sha256(_this_boot() + struct.pack(">QQ", found.st_dev, found.st_ino) + digest).digest()


@functools.cache
def _this_boot() -> bytes:
    try:
        return boot_id()
    except OSError as error:
        raise ValueError(
            f"the kernel names no boot: {error}"
        ) from error  # an OSError could mean that nothing is signed


HEAD = "SELECT size, frontier, origin, signed FROM head"
SERVED_HEAD = "SELECT size, frontier, origin, (SELECT max(signed) FROM host WHERE number = ?) FROM head"


class RolledBack(LedgerRefused):
    """The ledger is not the one that was signed last. The text carries the command that helps."""


Signing = Callable[[str], Sequence[Signer]]


class Added(NamedTuple):
    """What one transaction appended. `size` and `packed`: the head row before it."""

    size: int
    packed: bytes
    bodies: Sequence[bytes]
    hashes: Sequence[bytes]


def _host(db: sqlite3.Connection) -> int | None:
    return cast("PostgresConnection", db).host


class Publisher:
    """Signs for one ledger. `signing` gives the keys of a log's name: every one signs, two while a key is replaced.
    `lasting`: those whose signatures take ten times as long, and stand under what is published alone.
    """

    def __init__(self, folder: Path, store: Path, signing: Signing, lasting: Signing = lambda _: ()) -> None:
        self._folder = folder
        self._store_folder = store
        self._signing = signing
        self._lasting = lasting
        self._turn = threading.Lock()  # of many who ask at once one signs
        self._lasts: tuple[Checkpoint, str] | None = None  # the checkpoint that they signed last, and the note
        self._mine: Checkpoint | None = None  # the last one that this process made
        self._end: TailTree | None = None  # of the tree, as this process left it
        self._hand = ReceiptsAtHand()
        self._refusals = dict[str, str]()  # that this process heard
        self._refused = ""  # of all processes, as of the last look

    def refuse(self, db: sqlite3.Connection, told: Mapping[str, str]) -> None:
        """From now on nothing is signed, and nobody is answered from this ledger: these witnesses have seen another
        one, and what each is `told` of carries the command that helps; empty: with that witness it is settled. Whoever
        begins anew knows it. Raises `StoreBroken` where that cannot be kept: here it holds all the same.
        """
        self._refusals = {name: why for name, why in (self._refusals | dict(told)).items() if why}
        self._refused = " ".join(self._refusals.values())
        store, log = self.store(db), self._head(db)[0].origin
        for name, why in told.items():
            store.keep_refusal(log, name, why)

    def _prove_agreed(self, db: sqlite3.Connection, store: CheckpointStore) -> None:
        """That no witness has seen another log. Raises `RolledBack`, `StoreBroken`."""
        self._refused = " ".join((self._refusals | store.refusals(self._head(db)[0].origin)).values())
        if self._refused:
            raise RolledBack(self._refused)

    def store(self, db: sqlite3.Connection) -> CheckpointStore:
        """Where this ledger's last checkpoint is kept."""
        return CheckpointStore(self._store_folder, db.execute("SELECT ledger FROM head").fetchone()[0])

    def prove(self, db: sqlite3.Connection) -> bool:
        """That the ledger grew out of what was signed last; False where nothing was signed yet. Raises `RolledBack`,
        and `StoreBroken` where the store cannot be read.
        """
        store = self.store(db)
        self._prove_agreed(db, store)
        return self._grown_out_of(db, store) is not None

    def _grown_out_of(self, db: sqlite3.Connection, store: CheckpointStore) -> Checkpoint | None:
        """What was signed last, once the ledger is shown to have grown out of it; None: nothing was. As `prove`."""
        last = store.last()  # before the head is read: the log may grow in between, and never shrinks
        now, signed = self._head(db)
        if last is None and signed:  # for the first time just now, or
            last = store.last()
        if last is None and signed:
            raise RolledBack(self._text("was signed, and its last checkpoint is gone from its store", now))
        if last is None:
            return None
        if last.origin != now.origin or last.size > now.size:
            raise RolledBack(self._text(f"was signed at {last.size} entries as {last.origin}", now))
        if (now.root if last.size == now.size else tree.root_at(db, last.size)) != last.root:
            raise RolledBack(self._text(f"was signed with other entries before {last.size}", now))
        return last

    def adopt(self, db: sqlite3.Connection) -> None:
        """Takes what the ledger shows for what was signed last, where this store has nothing of it; under the writers'
        lock, when another machine's ledger is taken over. Raises `RolledBack` where it has something else.
        """
        store = self.store(db)
        if store.last() is None:
            store.swap(None, self._head(db)[0])
        self.prove(db)

    def publish(self, db: sqlite3.Connection, added: Added | None = None) -> None:
        """Makes the committed head the last checkpoint; under the writers' lock. `added`: what the commit appended,
        which is then at hand. Raises `RolledBack`, `StoreBroken`.
        """
        new, signed = self._head(db)
        others = False
        if added is not None and not disk.is_file(db):  # other machines go on: no more than this commit is durable
            before = Frontier(added.size, added.packed)
            others = self._mine != Checkpoint(new.origin, added.size, before.root())
            for each in added.hashes:
                before.append(each)
            new = Checkpoint(new.origin, before.size, before.root())
        if self._mine is None or self._refused or others:
            self.prove(db)
        store = self.store(db)
        try:
            store.swap(store.last() if others else self._mine, new)
        except Overtaken:  # another process signed since, or this one begins
            self.prove(db)
            store.swap(store.last(), new)
        if not signed:  # once, and after the store has it: remembered too early, a crash would look like a lost store
            db.execute("UPDATE head SET signed = 1")
            if not disk.is_file(db):
                db.execute("UPDATE host SET signed = 1 WHERE number = ?", (_host(db),))
        self._mine = new
        if added and added.bodies:
            self._take_in_hand(db, added, new)

    def advance(self, db: sqlite3.Connection, size: int, packed: bytes) -> None:
        """Takes a tree that other machines made, and that is durable, for what was signed last, once it grew out of
        what this one has; under the writers' lock. So this one signs nothing that does not grow out of theirs. Also
        where a witness disagrees, which signs again only what is as long as what it saw. Raises as `publish` does.
        """
        store = self.store(db)
        last = store.last()
        if last is not None and last.size < size and self._grown_out_of(db, store) == last:
            store.swap(last, Checkpoint(last.origin, size, Frontier(size, packed).root()))

    def receipt(self, seq: int, event: str) -> Receipt | None:
        """Of an entry that this process wrote a moment ago, under the checkpoint of its own commit, without reading
        anything; None: it is not at hand. `event` is its id as the entry has it.
        """
        return None if self._refused else self._hand.receipt(seq, event)

    def _take_in_hand(self, db: sqlite3.Connection, added: Added, new: Checkpoint) -> None:
        end = self._end
        if end is None or (end.frontier.size, end.frontier.pack()) != (added.size, added.packed):
            try:  # this process begins, or another one wrote since
                end = tree.tail(db, added.size, added.packed)
            except (ValueError, sqlite3.Error):  # it is durable all the same, and whoever asks for a receipt reads it
                return
        for leaf in added.hashes:
            end.append(leaf)
        if end.frontier.root() != new.root:
            self._end = None
            return
        self._hand.take(SignedBatch(added.size, added.bodies, end, new.text(), self._signing(new.origin)))
        self._end = end.shortened(end.last_tile) if new.size - end.base > 2 * merkle.WIDTH else end

    def latest(self, db: sqlite3.Connection, *, refused_too: bool = False, lasting: bool = False) -> str | None:
        """The last checkpoint, signed: a signed note. Ed25519 gives the same bytes each time. None: nothing yet. Raises
        `RolledBack` where the ledger is another one. `refused_too`: for the witness that is asked once more.
        `lasting`: for what is published; once a checkpoint that takes half a millisecond.
        """
        store = self.store(db)
        if not refused_too:
            self._prove_agreed(db, store)
        last = self._grown_out_of(db, store)
        if last is None or not lasting:
            return note.sign(last.text(), self._signing(last.origin)) if last else None
        with self._turn:
            if self._lasts is None or self._lasts[0] != last:
                signers = [*self._signing(last.origin), *self._lasting(last.origin)]
                self._lasts = last, note.sign(last.text(), signers)
            return self._lasts[1]

    def _head(self, db: sqlite3.Connection) -> tuple[Checkpoint, bool]:
        """What would be signed, and whether anything was."""
        given = () if disk.is_file(db) else (_host(db),)  # whether this machine signed anything is another question
        size, packed, origin, signed = db.execute(SERVED_HEAD if given else HEAD, given).fetchone()
        return Checkpoint(origin, size, Frontier(size, packed).root()), bool(signed)

    def _text(self, signed: str, now: Checkpoint) -> str:
        return (
            f"{self._folder} holds {now.size} entries of {now.origin}, but the log {signed}: nothing is signed on it,"
            f" and nobody is answered from it. Put back the newer one (the folder, or the checkpoints in"
            f" {self._store_folder}); if it is lost for good, go on as a new log:"
            f" gateway restore --new-log --data {self._folder}"
        )
