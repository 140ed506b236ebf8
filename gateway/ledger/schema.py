"""Opening the ledger's file: settings, version gate, its schema. A newer, older or damaged file is refused with the
command that helps; nothing is ever moved away or started empty. And where in it the bytes of an entry are: `BODY` and
`JOINED`, pieces of SQL for whoever reads side rows (`detail d`) with what their entries say.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from gateway.disk import locked_by, reserve, whole
from gateway.fold.record import GrantSaid, KeptNo, KeptNotice, NoticeBounced, Record, SaidIn, SaidOut, SaidPruned
from gateway.ledger import tree
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.side import (
    PackedSide,
    SideUnreadable,
    Step,
    add_mentions,
    as_rows,
    led_by,
    pack_side,
    read_side,
    records_within,
    remake_mentions,
    remove_mentions,
    rewrite_side,
    tell_bounces,
    told_rows,
)

FILE = "ledger.sqlite3"
HEADER = b"SQLite format 3\x00"
FIRST = 29  # the version of sql/ledger.sql; those before it were never released, so nothing brings them over
BACK = ".back.sql"
MENTIONS = 35  # the version since which mentions lie in runs
PLACES = 37  # the version since which it is told where somebody said that they are
BOUNCES = 40  # the version since which it is told that a notice came back
JOINED = " LEFT JOIN entry e ON e.seq = d.seq LEFT JOIN restated x ON x.of = d.seq LEFT JOIN entry r ON r.seq = x.seq"
BODY = "coalesce(e.body, CAST(json_extract(CAST(r.body AS TEXT), '$.was') AS BLOB))"  # NULL: nothing rests on it
ENTERED = (
    "SELECT s.place, s.seq, s.packed, v.seq FROM side s LEFT JOIN voided_choice v ON v.seq = s.seq"
    " WHERE s.entered AND s.place > ? ORDER BY s.place LIMIT 500"
)
BEHIND = (
    "INSERT INTO side (place, seq, entered, packed)"
    " SELECT coalesce(max(place), 0) + 1, ?, FALSE, ? FROM side RETURNING place"
)
# What the way back put behind all others, each with the row of its entry. An erasure gives its own number too, to what
# stays of whoever it has forgotten, and that lies apart.
APART = (
    "SELECT b.place, b.seq, b.packed, s.place, s.packed FROM side b"
    " JOIN side s ON s.seq = b.seq AND s.entered AND s.place < b.place"
    " WHERE NOT b.entered AND b.place > ? AND NOT EXISTS (SELECT 1 FROM erasure e WHERE e.seq = b.seq)"
    " ORDER BY b.place LIMIT 500"
)
LONG_AGO = 1  # the first of all days: whoever was told then was told nothing that counts
PLACED = SaidOut | SaidIn | GrantSaid | SaidPruned
MOVED = -1  # in place of version and mark: it goes on elsewhere. Below: of half a copy (`moving`)
UNNAMED = "gateway.invalid/log/"  # a name that can never be a host (RFC 2606), followed by the ledger's own random id
LOCK_SECONDS = 5.0  # a batch of another process takes milliseconds; one that is stopped must not stop us for ever

# synchronous=FULL (2): with NORMAL 84 % of power-cut images lost acknowledged entries (measured).
# wal_autocheckpoint=0: the writer checkpoints itself under its lock (SQLite's WAL-reset bug).
# temp_store stays: in memory a new pepper's savepoint and its VACUUM take as much as the whole file (measured).
SETTINGS = {
    "synchronous": 2, "wal_autocheckpoint": 0, "foreign_keys": 1, "secure_delete": 1, "trusted_schema": 0,
    "cell_size_check": 1, "mmap_size": 0, "busy_timeout": 5000, "journal_size_limit": 64 * 2**20,
}  # fmt: skip


# Errors of what is around the file: its rights, its lock, the disk. None of them says that its content is wrong.
OUTSIDE = frozenset({
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
})  # fmt: skip
# In one statement: of two a rotation may commit between them.
PEPPERS = "SELECT peppers, (SELECT count(*) FROM key_event WHERE kind = 'pepper' AND step = 'replaced') FROM head"
# In one statement, which is one moment: between two of them another process may commit.
ENDS = "SELECT (SELECT size FROM head), (SELECT coalesce(max(seq) + 1, 0) FROM entry)"


@contextlib.contextmanager
def held(folder: Path, patience: float = LOCK_SECONDS) -> Iterator[None]:
    """The writers' lock: across every commit, and every close of a writing connection (a hidden checkpoint). Whoever
    waits for it is next, so that a process with much to write does not take it again and again before one with little.
    Raises `LedgerRefused` when another process does not let it go within so many seconds.
    """
    deadline = time.monotonic() + patience
    with contextlib.ExitStack() as stack:
        with contextlib.ExitStack() as turn:
            _take_lock(turn, folder / f"{FILE}.next", deadline)
            _take_lock(stack, folder / f"{FILE}.writer", deadline)
        yield


def _take_lock(stack: contextlib.ExitStack, path: Path, deadline: float) -> None:
    try:
        stack.enter_context(locked_by(path, deadline))
    except BlockingIOError:
        raise LedgerRefused(f"another process holds {path}; find it with `fuser` and let it finish") from None
    except OSError as error:
        raise LedgerRefused(f"{path.parent} cannot be written to: {error.strerror}") from error


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """(version, SQL) in order: the whole schema, then what was changed since by numbered files beside it, as
    `030_codes.sql`. Read once: every opening asks, the watch twice a second, and the files do not change under a
    process.
    """
    later = [(number, sql) for number, name, sql in _numbered() if not name.endswith(BACK)]
    whole = (resources.files("gateway.ledger") / "sql" / "ledger.sql").read_text(encoding="utf-8")
    return ((FIRST, whole), *later)


@cache
def ways_back() -> Mapping[int, str]:
    """By version the SQL that makes of it the one before, as `030_codes.back.sql` beside the numbered file. No
    migration goes without: a bad release is left by it, with all that was said since (`gateway help upgrade`).
    """
    return {number: sql for number, name, sql in _numbered() if name.endswith(BACK)}


def _numbered() -> Iterator[tuple[int, str, str]]:
    folder = resources.files("gateway.ledger") / "sql"
    for item in sorted(folder.iterdir(), key=lambda each: each.name):
        if item.name.endswith(".sql") and item.name[0].isdigit():
            yield int(item.name.split("_")[0]), item.name, item.read_text(encoding="utf-8")


def version_wanted() -> int:
    return migrations()[-1][0]


def migrate(folder: Path, peppers: int, origin: str = "", marks: Sequence[int] = ()) -> int:
    """Makes the file or brings it up to date, each version in a transaction of its own; under the writers' lock.
    `origin`: the name of a log that begins here. `marks`: of the secrets that its keys are made with. Returns the
    version. Raises `LedgerRefused` for a file that is damaged, newer, or of before the first version.
    """
    path = folder / FILE
    if path.exists() and path.stat().st_size and not _is_begun(path):
        with contextlib.closing(connect_file(path, "ro")) as db:  # what is refused is left as it is to the last byte
            _refuse_others(path, version(db, path))
    reserve(path)
    db = connect_file(path, "rwc")
    try:
        settle_file(db, path)
        return bring_up(db, path, Beginning(peppers, origin, marks))
    finally:
        db.close()


def bring_up(db: sqlite3.Connection, path: Path, new: "Beginning") -> int:
    """Each version that a ledger lacks, on a connection of whichever engine. See `migrate`."""
    _refuse_others(path, found := version(db, path))
    for number, sql in migrations():
        if number > found:
            _apply(db, [(sql, FILLED.get(number))], number, new if number == FIRST else None)
    settle_mark(db, path, new.marks)
    return version(db, path)


def take_back(folder: Path, to: int, marks: Sequence[int] = ()) -> int:
    """Makes of the file what an older gateway opens, in one transaction, so that who was cut off runs it again; under
    the writers' lock, with nobody else there. Entries and what stands beside them stay; it bears the mark of the first
    pepper alone, as releases of before know it. Returns the version. Raises `LedgerRefused` where a version on the way
    has no way back, before anything was changed.
    """
    path = folder / FILE
    with contextlib.closing(_open_existing(path, "ro", folder)) as db:
        if (found := version(db, path)) == to >= FIRST and to < version_wanted():
            return to
    if found < 0:
        _refuse_others(path, found)
    if not FIRST <= to <= found:
        raise LedgerRefused(f"{path} has version {found}: it can be taken back to {FIRST} at the least, not to {to}")
    with contextlib.closing(open_to_write(folder)) as db:
        prove_mark(db, path, marks)
        steps = [(number, ways_back().get(number, "")) for number in range(version(db, path), to, -1)]
        if closed := [number for number, sql in steps if not sql]:
            raise LedgerRefused(
                f"{path} cannot be taken back to {to}: version {max(closed)} has no way back, and nothing was changed."
                " Stay with this release, or put a backup back: gateway help restore"
            )
        back = [(sql, EMPTIED.get(number)) for number, sql in steps]
        _apply(db, back, to, mark=next(iter(marks), 0))
        return version(db, path)


def leave_places_out(db: sqlite3.Connection) -> None:
    """An older gateway reads no row of the log that tells where its person lives."""
    _change_sides(db, _without_place)


def _without_place(record: Record) -> Record:
    return record._replace(said=record.said._replace(place="")) if isinstance(record.said, PLACED) else record


def leave_bounces_out(db: sqlite3.Connection) -> None:
    """An older gateway reads no row of the log that tells that a notice came back, and knows no day that is none."""
    _change_sides(db, _without_bounce)


def _without_bounce(record: Record) -> Record | None:
    if isinstance(record.said, KeptNotice):
        return record._replace(said=record.said._replace(day=max(record.said.day, LONG_AGO)))
    return None if isinstance(record.said, NoticeBounced) else record


def _change_sides(db: sqlite3.Connection, change: Callable[[Record], Record | None]) -> None:
    for place, side, told in told_rows(db):
        if (left := [each for each in map(change, told) if each is not None]) != told:
            rewrite_side(db, place, side, told, left)


def leave_entries_alone(db: sqlite3.Connection) -> None:
    """An older gateway takes a no that stays by an entry for a word of the entry itself, and one of its own for what
    nobody voids: so it lies apart, behind all others, that in doubt it denies; of a voided entry it is gone. It keeps
    its entry's number, by which it is put back there (`put_beside_entries`).
    """
    leave_bounces_out(db)
    after = 0
    while rows := db.execute(ENTERED, (after,)).fetchall():
        for after, seq, packed, voided in rows:
            with contextlib.suppress(SideUnreadable):
                told = records_within(seq, side := read_side(packed))
                if noes := [each for each in told if isinstance(each.said, KeptNo)]:
                    rewrite_side(db, after, side, told, [each for each in told if each not in noes])
                    if voided is None:
                        _put_behind(db, seq, side, noes)


def _put_behind(db: sqlite3.Connection, seq: int, side: PackedSide, records: Sequence[Record]) -> None:
    packed = pack_side(records, side.at, side.peppers)
    [place] = db.execute(BEHIND, (seq, packed)).fetchone()
    add_mentions(db, led_by(place, records))


def put_beside_entries(db: sqlite3.Connection) -> None:
    """The other way: what stays by an entry lies with it again, so that an earlier day is told as it was, a later yes
    holds, and a void takes both. What an older `leave_entries_alone` put behind has no entry's number, and stays there.
    So it is told again that a notice came back.
    """
    tell_bounces(db)
    after = 0
    while rows := db.execute(APART, (after,)).fetchall():
        for after, seq, apart, place, packed in rows:
            with contextlib.suppress(SideUnreadable):
                noes, side = records_within(seq, behind := read_side(apart)), read_side(packed)
                if noes and all(isinstance(each.said, KeptNo) for each in noes):
                    told = records_within(seq, side)
                    peppers = max(side.peppers, behind.peppers)  # a row that told nothing was not wrapped anew
                    rewrite_side(db, place, side._replace(peppers=peppers), told, [*told, *noes])
                    db.execute("DELETE FROM side WHERE place = ?", (after,))
                    remove_mentions(db, led_by(after, noes))


# What SQL alone cannot make of what is there, by the version that it comes or goes with.
FILLED: Mapping[int, Step] = {MENTIONS: remake_mentions, BOUNCES: put_beside_entries}
EMPTIED: Mapping[int, Step] = {MENTIONS: as_rows, PLACES: leave_places_out, BOUNCES: leave_entries_alone}


def _is_begun(path: Path) -> bool:
    """Whether somebody was killed who made the file: only whoever may write can take back what that had begun. A file
    in use has no such journal (SQLite's of before WAL).
    """
    return path.with_name(f"{FILE}-journal").exists()


class Beginning(NamedTuple):
    """What a new ledger is told of the installation; see `migrate`."""

    peppers: int
    origin: str
    marks: Sequence[int]


def _apply(
    db: sqlite3.Connection,
    steps: Iterable[tuple[str, Step | None]],
    becomes: int,
    new: Beginning | None = None,
    *,
    mark: int = 0,
) -> None:
    """All of it, and the version that it becomes, or nothing. `steps`: of each version its SQL, then what SQL alone
    cannot make of what is there. `mark`: another one than it bears.
    """
    with whole(db):
        for sql, fill in steps:
            for statement in statements(sql):
                db.execute(statement)
            if fill:
                fill(db)
        if new:
            ledger = os.urandom(16)
            head = "INSERT INTO head (one, size, ledger, peppers, origin) VALUES (1, 0, ?, ?, ?)"
            db.execute(head, (ledger, new.peppers, new.origin or UNNAMED + ledger.hex()))
            mark = new.marks[-1] if new.marks else 0
        if mark:
            db.execute(f"PRAGMA application_id = {mark:d}")
        db.execute(f"PRAGMA user_version = {becomes:d}")


def statements(sql: str) -> Iterator[str]:
    """One by one: `executescript` would commit before it begins, and a migration is all or nothing."""
    pending = ""
    for line in sql.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


@contextlib.contextmanager
def kept_open(db: sqlite3.Connection, path: Path) -> Iterator[None]:
    """But where anything within fails. A tree that is broken is damage."""
    try:
        yield
    except BaseException as error:
        db.close()
        if isinstance(error, tree.TreeBroken):
            raise LedgerRefused(damaged(path, error)) from error
        raise


def open_to_write(folder: Path) -> sqlite3.Connection:
    """The writer's connection. Raises `LedgerRefused` for a file that is missing, newer, older or damaged."""
    path = folder / FILE
    db = _open_existing(path, "rw", folder)
    with kept_open(db, path):
        gate(db, path, folder)
        settle_file(db, path)
        tree.prove(db)
    return db


def quick_check(folder: Path) -> None:
    """Reads every page; for when the last stop was not clean. Raises `LedgerRefused`."""
    path = folder / FILE
    with contextlib.closing(open_to_read(folder)) as db:
        try:
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise LedgerRefused(damaged(path, error)) from error
    if found != "ok":
        raise LedgerRefused(damaged(path, found))


def has_reset_bug(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether this build can lose pages when two connections write or checkpoint at once (SQLite's WAL-reset bug, fixed
    in 3.51.3, 3.50.7 and 3.44.6). It cannot bite while `held` serialises them, so it is told and not refused.
    """
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return not fixed


def open_to_read(folder: Path) -> sqlite3.Connection:
    """A reader's connection: it cannot write, and its pages come from `read`, never from a mapping of the file."""
    path = folder / FILE
    db = _open_existing(path, "ro", folder)
    with kept_open(db, path):
        db.execute("PRAGMA mmap_size = 0")
        db.execute("PRAGMA busy_timeout = 100")
        gate(db, path, folder)
    return db


def _open_existing(path: Path, mode: str, folder: Path) -> sqlite3.Connection:
    if not path.exists():
        raise LedgerRefused(f"{path} is not there. Make it with: gateway migrate --data {folder}")
    return connect_file(path, mode)


def connect_file(path: Path, mode: str) -> sqlite3.Connection:
    """Without transactions of its own. To read, for any one thread at a time; to write, for the one that opened it:
    SQLite's library crashes where one thread closes what another is using. Raises `LedgerRefused`.
    """
    try:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=mode != "ro"
        )
    except sqlite3.Error as error:
        raise LedgerRefused(f"{path} cannot be opened: {error}") from error


def settle_file(db: sqlite3.Connection, path: Path, settings: Mapping[str, int] = SETTINGS) -> None:
    """The settings, each read back: a build that ignores one must not be trusted with opt-outs. Raises
    `LedgerRefused`.
    """
    try:
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise LedgerRefused(f"{path}: journal_mode is {mode}, not wal; is it on a network file system?")
        for name, wanted in settings.items():
            db.execute(f"PRAGMA {name} = {wanted:d}")
            got = db.execute(f"PRAGMA {name}").fetchone()
            if got is None or got[0] != wanted:
                raise LedgerRefused(f"{path}: PRAGMA {name} reads back as {got}, not {wanted}")
    except sqlite3.DatabaseError as error:
        raise LedgerRefused(damaged(path, error)) from error


def version(db: sqlite3.Connection, path: Path) -> int:
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.DatabaseError as error:
        raise LedgerRefused(damaged(path, error)) from error


def gate(db: sqlite3.Connection, path: Path, folder: Path) -> None:
    """That a ledger is one of this version, and its head that of its entries. Raises `LedgerRefused`."""
    found, wanted = version(db, path), version_wanted()
    _refuse_others(path, found)
    if found == 0:
        raise LedgerRefused(damaged(path, "it is empty"))
    if found < wanted:
        raise LedgerRefused(f"{path} has version {found} of {wanted}. Run: gateway migrate --data {folder}")
    try:
        head, last = db.execute(ENDS).fetchone()
    except sqlite3.DatabaseError as error:
        raise LedgerRefused(damaged(path, error)) from error
    if head != last:
        raise LedgerRefused(damaged(path, f"head says {head}, entries end at {last}"))


def prove_mark(db: sqlite3.Connection, path: Path, marks: Sequence[int]) -> int:
    """That the peppers that wrap the ledger's keys are the first of these secrets', by the mark in its header, which
    copies keep; how many they are. Keys under others find nobody, and nobody found is a yes. `marks`: `Secrets.marks`;
    none: nobody asks. Raises `LedgerRefused`.
    """
    if not marks:
        return peppers_in(db)
    found = _mark_in(db)
    if found == MOVED:
        raise LedgerRefused(moved_on(path))
    applied, rotated = db.execute(PEPPERS).fetchone()
    if rotated >= applied:  # each leaves one more than it found, in one transaction
        raise LedgerRefused(_lost_count(path))
    if found not in {mark_of(path, marks, applied), marks[0]}:  # the latter of before `settle_mark`
        raise LedgerRefused(anothers(path))
    return int(applied)


def settle_mark(db: sqlite3.Connection, path: Path, marks: Sequence[int]) -> None:
    """Where an older release left the mark of the first pepper, that of all that wrap the keys, by a `migrate` that
    knows just as many. Nothing proves that they are these: no start does it by itself, so that whoever runs it has
    compared the machines' secrets. Raises `LedgerRefused` as `prove_mark`.
    """
    if marks:
        with whole(db):
            if prove_mark(db, path, marks) == len(marks) and _mark_in(db) != marks[-1]:
                db.execute(f"PRAGMA application_id = {marks[-1]:d}")


def bear_first_mark(db: sqlite3.Connection, path: Path, marks: Sequence[int]) -> int:
    """For an older release that knows no other, on a ledger of its version; returns that. Raises `LedgerRefused`."""
    with whole(db):
        prove_mark(db, path, marks)
        db.execute(f"PRAGMA application_id = {marks[0]:d}")
    return version(db, path)


def mark_of(path: Path, marks: Sequence[int], applied: int) -> int:
    """Which of the marks a ledger has to bear whose keys so many peppers wrap. Raises `LedgerRefused` where they are
    more than there are here.
    """
    if applied > len(marks):
        raise LedgerRefused(_behind(path, applied, len(marks)))
    return marks[applied - 1]


def _mark_in(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA application_id").fetchone()[0])


def peppers_in(db: sqlite3.Connection) -> int:
    """How many peppers wrap a ledger's keys."""
    return int(db.execute("SELECT peppers FROM head").fetchone()[0])


def anothers(path: Path) -> str:
    return (
        f"{path} was written with other secrets than this secrets.json: nobody in it would be found, and every"
        " opt-out would be lost to sight. Put its own secrets.json back, of several machines from one that serves: that"
        " of the one on which the rotation of the pepper printed its end. Compare all machines' first, and overwrite"
        " none without keeping it; into a new folder: gateway restore BACKUP --data NEW --secrets FOLDER --keys FILE"
    )


def _lost_count(path: Path) -> str:
    return (
        f"{path} had its pepper replaced more often than it has peppers: an older release did so with a secrets.json of"
        " before, and by what it says now nobody from before would be found. Overwrite no secrets.json; put back the"
        " last backup of before that, with the secrets.json of then: gateway restore BACKUP --data NEW"
    )


def _behind(path: Path, applied: int, known: int) -> str:
    return (
        f"the keys of {path} are wrapped by {applied} peppers, this process has {known}: restart it. If it says the"
        " same then, copy secrets.json from the machine that has the newer one, or put its newest backup back: with"
        " this one nobody would be found, and every opt-out would be lost to sight"
    )


def moved_on(path: Path) -> str:
    return (
        f"{path} was moved by gateway copy and goes on elsewhere: nothing is written here any more, so that there are"
        " never two histories. Restart a service that still runs from before; if the copy was cut off, run it again"
    )


def _refuse_others(path: Path, found: int) -> None:
    """Of versions that this gateway does not know. 0: none, of an empty file."""
    if found == MOVED:
        raise LedgerRefused(moved_on(path))
    if found < 0:
        raise LedgerRefused(f"{path} is half of a copy, and no ledger: finish it with gateway copy")
    if found > version_wanted():
        raise LedgerRefused(
            f"{path} has version {found}; this gateway knows up to {version_wanted()}. Install the newer one (pip"
            " install --upgrade gateway), or let that one take it back: gateway migrate --back-to"
            f" {version_wanted()} --data {path.parent}"
        )
    if 0 < found < FIRST:
        raise LedgerRefused(
            f"{path} has version {found}, of before the first release, which nothing brings over: begin a new folder"
            " with gateway migrate --data NEW; nothing here was moved, changed or deleted"
        )


def damaged(path: Path, error: object) -> str:
    """What is told of a file that is broken; and of one that could not be read or locked just now, which is no reason
    to put an older one in its place.
    """
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in OUTSIDE:
        return (
            f"{path} cannot be used now ({error}); by itself that is no damage. It is left as it is. Look whether the"
            " disk is full, read-only or failing, or another process holds the file; then do the same again"
        )
    if not path.suffix:  # a server's
        return f"{path} is damaged ({error}). It is left as it is. Put back the server's last backup by its own means"
    return (
        f"{path} is damaged ({error}). It is left as it is. Look with `sqlite3 {path} 'PRAGMA integrity_check'`, and"
        f" put back the last backup: gateway restore BACKUP --data {path.parent}"
    )


OF_REQUEST = "(d.event = ?1 AND d.request = ?1 OR d.request = ?1 AND d.request <> d.event)"  # said at once


CHUNK = 500  # keys of one statement; SQLite's own limit is 32,766


@cache
def _marks(number: int) -> str:
    """Each with its number: a statement may have them more than once, and what comes behind them goes on counting."""
    return ",".join(f"?{each}" for each in range(1, number + 1))


def rows_of(
    db: sqlite3.Connection, sql: str, keys: Iterable[bytes] | Iterable[int] | Iterable[str], *more: int | str
) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement that has `{marks}` for keys or entries, however many there are, or `{rows}`: one each."""
    listed = sorted(keys)
    for start in range(0, len(listed), CHUNK):
        chunk = listed[start : start + CHUNK]
        marks = _marks(len(chunk))
        yield from db.execute(sql.format(marks=marks, rows=f"({marks.replace(',', '),(')})"), [*chunk, *more])
