"""Whether the ledger is what it says, and what checks of this host are answered from is what it folds to (`gateway
verify`); and what the last `gateway verify --keep` found, a small file in the folder: for the alarm of a service whose
ledger is read again each night (`gateway recipe backup` and `kubernetes` do), and for the desk. Without it none is
missed.

One pass over the entries feeds the tree, the boxes, where the vault is open, and the look at the state; then what was
sent after an opt-out is looked for. Names entries, tiles and prefixes of keys, never a person. Reads only, in one
snapshot.

What was sent to somebody outside after its person had opted out is the one question whose answer is nothing, for ever
(11 CCR 7026(f)(1)). A row was checked once more after its entry was written. So whoever had opted out in an earlier
entry of the log was known to be out when it left. A replica's row is written later than it left: it broke the promise
where the choice had long been effective at its time, by the replica's clock and not before what the replica knew of.
Whether they were out is folded again from what the log had by then, never read from what stands now: somebody may have
come back since.
"""

import gc
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec

from gateway.disk import write_durably
from gateway.fold import fold, reading
from gateway.fold import record as told
from gateway.fold.record import Record
from gateway.fold.state import Place
from gateway.keys.person_keys import Vault
from gateway.ledger.acts.folded_people import connected_people
from gateway.ledger.audit.reading import (
    GOING,
    KEPT,
    PRUNED,
    BoxesCheck,
    Entry,
    LedgerReading,
    Sides,
    SidesCheck,
    blocks,
)
from gateway.ledger.log_records import records_of
from gateway.ledger.proof.note import Checkpoint
from gateway.ledger.side import mentions_of
from gateway.ledger.tree import TreeCheck
from gateway.terms import Purpose

# Milliseconds in which a choice is effective on every replica (the longest term, half a second and send window: 4.5 s),
# and what two clocks may differ.
EFFECTIVE = 10_000
SENT_MINUTE = 60_000  # milliseconds: an entry's time is when it was said, a moment before it was written
LEFT = "outcome IN ('sent', 'unknown', 'possible')"
# A row is kept by whom it names first. By each identifier that it took along it is found over what recipients hold, in
# this order alone: of one person there are few rows.
TOOK = (
    " FROM held_key n CROSS JOIN held h ON h.id = n.held AND h.named = n.key CROSS JOIN held_key k ON k.held = h.id"
    " CROSS JOIN disclosure d ON d.key = k.key AND d.recipient = h.recipient AND d.held LIKE '%,' || h.id || ':%'"
    f" WHERE {LEFT}"
)
# Grouped in each half first, for there are many rows of each key and few keys.
RECEIVED = (
    "SELECT key, max(batch), max(at) FROM ("  # noqa: S608 - ours
    f"SELECT key, max(batch) AS batch, max(at) AS at FROM disclosure WHERE {LEFT} GROUP BY key"
    f" UNION ALL SELECT n.key, max(d.batch), max(d.at){TOOK} GROUP BY n.key) AS received GROUP BY key"
)
ROWS = (
    f"SELECT recipient, row, batch, purpose, at, position FROM disclosure WHERE key = ?1 AND {LEFT} AND batch > ?2"  # noqa: S608 - ours
    f" UNION SELECT d.recipient, d.row, d.batch, d.purpose, d.at, d.position{TOOK} AND n.key = ?1 AND d.batch > ?2"
    " ORDER BY batch"
)
# Nobody with whom nothing of these is on record can be wronged.
NOES = told.SaidOut | told.StateSaid | told.ChildFound | told.KeptNo | told.KeptEnd


@dataclass(frozen=True, slots=True)
class SentAfter:
    """`batch`: the disclosure's entry; `purposes`: those that were opted out; `at`: Unix milliseconds."""

    recipient: str
    batch: int
    purposes: tuple[str, ...]
    at: int
    key: bytes = field(repr=False)


def find_sent_after(db: sqlite3.Connection) -> Iterator[SentAfter]:
    """Every row of a share, and every send that was announced, that broke the promise, once. Within an open
    transaction.
    """
    found = set[tuple[str, bytes, int]]()
    for key, last, at in db.execute(RECEIVED):
        everybody = connected_people(db, [key])
        if len(everybody) > 1 or mentions_of(db, [key]):
            records = records_of(db, at + SENT_MINUTE, everybody)
            first = next((each.seq for each in records if isinstance(each.said, NOES)), last)
            if first < last:
                yield from _sent_to(db, key, first, records, found)


def _sent_to(
    db: sqlite3.Connection, key: bytes, first: int, records: Sequence[Record], found: set[tuple[str, bytes, int]]
) -> Iterator[SentAfter]:
    """The rows of one key, but those that were found by another one."""
    rows = [row for row in db.execute(ROWS, (key, first)).fetchall() if row[:3] not in found]
    before = [_known_before(db, records, *row[2:]) for row in rows]
    denied = _denied(key, records, {*before}) if rows else {}
    for (recipient, row, batch, purposes, at, _), known in zip(rows, before, strict=True):
        out = tuple(purpose for purpose in purposes.split(",") if purpose in denied[known])
        if out:
            found.add((recipient, row, batch))
            yield SentAfter(recipient, batch, out, at, key)


def _known_before(db: sqlite3.Connection, records: Sequence[Record], batch: int, _: str, at: int, position: int) -> int:
    """How many of the records whoever sent a row had to know of."""
    count = bisect_left(records, batch, key=itemgetter(0))
    if position >= batch:
        return count
    latest = max(at, _known_at(db, position)) - EFFECTIVE  # a replica's
    return next((number for number in range(count, 0, -1) if records[number - 1].at <= latest), 0)


def _known_at(db: sqlite3.Connection, position: int) -> int:
    """When the last choice was accepted that a replica knew of."""
    row = db.execute("SELECT at FROM detail WHERE seq < ? ORDER BY seq DESC LIMIT 1", (position,)).fetchone()
    return row[0] if row else 0


def _denied(key: bytes, records: Sequence[Record], counts: set[int]) -> dict[int, frozenset[str]]:
    """The purposes that a key was opted out of after so many of the records."""
    state, found = dict[Place, Any](), dict[int, frozenset[str]]()
    for number in range(max(counts) + 1):
        if number in counts:
            standing = reading.standing_of(key, state.get, 0)
            found[number] = frozenset(purpose for purpose in Purpose if standing.denies(purpose))
        if number < len(records):
            state.update(fold(records[number], state.get))
    return found


LAST_VERIFY = "verified.json"
VERIFY_LATE = timedelta(hours=50)  # two nights, and as long as it takes


class LastVerify(msgspec.Struct, frozen=True):
    """When it ended, and whether all was as it should be."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    passed: bool

    def keep(self, folder: Path) -> None:
        """In the place of the one before. Raises `OSError`."""
        write_durably(folder / LAST_VERIFY, msgspec.json.encode(self))


def read_last_verify(folder: Path) -> LastVerify | None:
    """None: none was ever kept. Raises `OSError`, and `msgspec.DecodeError` for what is none."""
    try:
        return msgspec.json.decode((folder / LAST_VERIFY).read_bytes(), type=LastVerify)
    except FileNotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class NightlyVerify:
    """The alarm of one folder."""

    folder: Path
    clock: Callable[[], datetime]

    def alarms(self) -> list[str]:
        """What somebody has to look at; empty where the last one passed, or none was ever kept."""
        try:
            last = read_last_verify(self.folder)
        except (OSError, msgspec.DecodeError) as error:
            return [f"{self.folder / LAST_VERIFY} cannot be read ({error}); make it anew: gateway verify --keep"]
        if last is None:
            return []
        day = f"{last.at.astimezone(UTC):%Y-%m-%d %H:%M} (UTC)"
        if not last.passed:
            return [
                f"the ledger was found different, or unreadable, at {day}; see gateway verify; gateway help restore"
            ]
        if abs(self.clock() - last.at) > VERIFY_LATE:  # kept while a clock was ahead it is no word of tonight
            return [
                f"nobody has verified the ledger since {day}: the nightly backup fails or is gone; gateway help backup"
            ]
        return []


@dataclass(slots=True)
class VerifyReport:
    """`different`: what is not as it should be, by entry, tile or prefix of a key. `compared`: rows and edges of the
    state of this host; None: there was no state at the position of the log, and `uncompared` says why.
    """

    entries: int = 0
    pruned: int = 0
    checkpoint: Checkpoint | None = None
    compared: int | None = None
    uncompared: str = ""
    opened: int | None = None  # boxes, where the vault was asked
    different: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.different


class StateLook(Protocol):
    """A look at the state of this host while the entries go by (`app.state_check`). `found`: what is not as it should
    be.
    """

    found: list[str]

    @property
    def compared(self) -> int: ...
    def add(self, rows: Sequence[Entry], sides: Sides) -> None: ...
    def finish(self) -> None: ...


Last = Callable[[bytes], Checkpoint | None]
Look = Callable[[], StateLook]


def examine(db: sqlite3.Connection, last: Last, vault: Vault | None, look: Look | None = None) -> VerifyReport:
    """Within a transaction that is open: one snapshot. `last` gives the last checkpoint of a ledger's id; without a
    vault no box is opened.
    """
    collects, reads = gc.isenabled(), db.text_factory
    gc.disable()  # millions of small rows and no cycles: looking through them again and again took a sixth of the time
    try:
        return _examine(db, last, vault, look)
    except sqlite3.OperationalError:  # text that is none
        db.text_factory = _readable
        return _examine(db, last, vault, look)
    finally:
        db.text_factory = reads
        if collects:
            gc.enable()


def _readable(text: bytes) -> str:
    """What is no UTF-8 is as wrong as any other text, and no reason to stop looking."""
    return text.decode(errors="backslashreplace")


def _take_going(db: sqlite3.Connection, reading: LedgerReading, sides: SidesCheck, boxes: BoxesCheck | None) -> None:
    """Bodies that count as pruned and lie there still: they are as true as others, until they go."""
    for block in blocks(db, GOING, boxes=boxes is not None):
        told = sides.add_going(block, reading.add(block))
        if boxes:
            boxes.add(block, told)


def _examine(db: sqlite3.Connection, last: Last, vault: Vault | None, look: Look | None) -> VerifyReport:
    [ledger, pruned] = db.execute("SELECT ledger, pruned FROM head").fetchone()
    report = VerifyReport(checkpoint=last(ledger), pruned=pruned)
    hashes, reading, sides = TreeCheck(db), LedgerReading(db), SidesCheck(db)
    boxes = BoxesCheck(db, vault) if vault else None
    _take_going(db, reading, sides, boxes)
    kept = look() if look else None
    hashes.start()
    for block in blocks(db, PRUNED, KEPT, boxes=boxes is not None):
        if block[0][0] >= pruned:
            if (block[0][0], block[-1][0]) != (hashes.size, hashes.size + len(block) - 1):
                report.different.append(f"an entry between {hashes.size} and {block[-1][0]} is missing")
            hashes.add([row[1] for row in block])
        told = sides.add(block, reading.add(block))
        if boxes:
            boxes.add(block, told)
        if kept:
            kept.add(block, told)
    hashes.finish(report.checkpoint)
    reading.finish()
    sides.finish()
    report.entries = hashes.size
    report.different += hashes.found + reading.found + sides.found
    if kept:
        kept.finish()
        report.compared = kept.compared
        report.different += kept.found
    report.different += [
        f"entry {each.batch}: a row went to {each.recipient} after an opt-out of {', '.join(each.purposes)}"
        for each in find_sent_after(db)
    ]
    if boxes:
        boxes.finish()
        report.different += boxes.found
        report.opened = boxes.opened
    return report
