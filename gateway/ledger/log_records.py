"""What the ledger was told, in the order in which it came: the table `side` has a row for each entry and for whatever
is learnt between two, with the records that the fold reads (`gateway.fold.record`) packed; `ledger.side` leads from
a key to the rows that mention it. The writer's transaction writes both; whoever folds reads them here: the state of a
host, some people alone, `verify`.

What was voided by a moment is left out, and a no of a deletion list is over once the list took it back. A row is
rewritten where somebody is forgotten, where an entry is pruned, and under a new pepper; whoever does so tells by a row
of its own whose older word is another one since (`anew`).

The state of a host follows it by positions (`gateway.state.upkeep.FollowedLog`, made behind each commit by
`app.state_keeper`): that of a row, and how many of its records were read. The root at a position is the mark of the row
before it: of any two files that went different ways each has drawn its own.
"""

import contextlib
import sqlite3
import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from operator import itemgetter
from typing import Any, NamedTuple, TypeGuard

from gateway.fold.record import KeptNo, NamesLearnt, OrderOver, Record, Said, SaidOut
from gateway.fold.state import FOR_EVER
from gateway.ledger.errors import EntryUnread, LedgerRefused
from gateway.ledger.schema import rows_of
from gateway.ledger.side import (
    REWRITE,
    Mention,
    PackedSide,
    SideUnreadable,
    add_mentions,
    mentioned,
    mentions_of,
    pack_mention,
    pack_side,
    read_side,
    records_within,
    remake_mentions,
    remove_mentions,
)
from gateway.terms import CLOCKS_APART_MS, Source

NOBODY = b""  # the key of a record about no one: the void of a screen
NUMBERS = "<{}Q"  # of entries, 8 bytes each
SAY = "INSERT INTO side (place, seq, entered, packed) VALUES (?, ?, ?, ?)"
TELL = "INSERT INTO side (place, seq, entered, packed, anew) VALUES (?, ?, FALSE, ?, ?)"
COLUMNS = "s.place, s.seq, s.entered, s.packed"
AT_PLACES = f"SELECT {COLUMNS} FROM side s WHERE s.place IN ({{marks}}) ORDER BY s.place"  # noqa: S608 - ours
ALL = f"SELECT {COLUMNS} FROM side s ORDER BY s.place"  # noqa: S608 - ours
FROM = f"SELECT {COLUMNS} FROM side s WHERE s.place >= ? ORDER BY s.place LIMIT ?"  # noqa: S608 - ours
SINCE = (
    f"SELECT {COLUMNS} FROM side s WHERE s.place >"  # noqa: S608 - ours
    " coalesce((SELECT place FROM side WHERE seq < ? AND entered ORDER BY seq DESC LIMIT 1), 0) ORDER BY s.place"
)
PLACE = "SELECT place FROM side WHERE seq >= ? AND entered ORDER BY seq LIMIT 1"
BEHIND_ALL = 2**40
OF_ENTRIES = f"SELECT {COLUMNS} FROM side s WHERE s.seq IN ({{marks}}) AND s.entered"  # noqa: S608 - ours
VOIDED = "SELECT seq FROM voided_choice WHERE at <= ?"
VOIDED_OF = "SELECT seq FROM voided_choice WHERE seq IN ({marks}) AND at <= ?"
VOIDED_AHEAD = "SELECT seq FROM voided_choice WHERE seq IN ({marks}) AND at > ? AND at <= ? AND by < ?"
ANY_OVER = "SELECT 1 FROM deletion_row WHERE gone IS NOT NULL LIMIT 1"
# Of several requests for one digest in one entry each has to be.
OVER = """
SELECT r.seq, r.key, a.abroad FROM deletion_row r INDEXED BY deletion_row_over
LEFT JOIN deletion_abroad a ON a.key = r.key AND a.seq = r.seq
WHERE r.gone IS NOT NULL AND {which} r.gone_at <= ? AND NOT EXISTS (
  SELECT 1 FROM deletion_row o WHERE o.key = r.key AND o.seq = r.seq AND (o.gone IS NULL OR o.gone_at > r.gone_at))
"""


class SideRow(NamedTuple):
    """`seq`: of the entry that says it; where it is none's own (`entered`), how many there were."""

    place: int
    seq: int
    entered: bool
    side: PackedSide

    def records(self, keys: Collection[bytes] | None = None, words: Collection[type] | None = None) -> list[Record]:
        """`keys`: only what is said of these; `words`: and only in these. Raises `EntryUnread`."""
        try:
            return records_within(self.seq, self.side, keys, words)
        except SideUnreadable as error:
            raise EntryUnread(str(error)) from error

    def own(self) -> list[Record]:
        """What its entry says: one thing, or nothing that anything rests on."""
        return [each for each in self.records() if self.is_own(each)]

    def is_own(self, record: Record) -> bool:
        """Whether it is what an entry says, and not what was learnt beside it or stays with others by it."""
        return self.entered and not isinstance(record.said, (NamesLearnt, KeptNo))

    def changed(self, change: "Change", peppers: int | None = None) -> "RewrittenSide | None":
        """None: it stays as it is. `peppers`: how many wrap the keys now, where that is another number."""
        before = self.records()
        after = [each for each in (change(self, record) for record in before) if each is not None]
        if after == before:
            return None
        were, are = ({each for record in records for each in mentioned(record)} for records in (before, after))
        packed = pack_side(after, self.side.at, peppers or self.side.peppers)
        return RewrittenSide(self._replace(side=read_side(packed)), packed, were, are)


class Ahead(NamedTuple):
    """The places of what a clock that ran ahead dated later though it was said by then, and what was voided so."""

    places: Collection[int] = frozenset()
    voided: frozenset[int] = frozenset()


NOTHING_AHEAD = Ahead()


class RewrittenSide(NamedTuple):
    """A row as it is from now on, and packed; whom it mentioned, and mentions."""

    row: SideRow
    packed: bytes
    were: set[tuple[bytes, Mention]]
    are: set[tuple[bytes, Mention]]

    @property
    def mentioned(self) -> set[bytes]:
        """Every key, before and after."""
        return {key for key, _ in self.were | self.are}


def put_anew(db: sqlite3.Connection, place: int, size: int, seqs: Collection[int], peppers: int) -> None:
    """A row that tells which entries say something else from now on; none: of somebody who is forgotten."""
    db.execute(TELL, (place, size, pack_side((), 0, peppers), struct.pack(NUMBERS.format(len(seqs)), *seqs)))


def side_rows(db: sqlite3.Connection, keys: Collection[bytes], ways: Mention = Mention.MARK) -> list[SideRow]:
    """Every row that mentions any of these, in the order of the log. `ways`: the last of those that count."""
    return sides_at(db, (each.place for each in mentions_of(db, keys, ways)))


def sides_of_entries(db: sqlite3.Connection, seqs: Collection[int]) -> list[SideRow]:
    """What some entries say."""
    return [row_of(row) for row in rows_of(db, OF_ENTRIES, seqs)]


def stays_by(db: sqlite3.Connection, seqs: Collection[int]) -> set[bytes]:
    """With whom a no of nobody who is known stays by what some entries say."""
    return {each.key for row in sides_of_entries(db, seqs) for each in row.records(words={KeptNo})}


def readable_sides_of(db: sqlite3.Connection, seqs: Collection[int]) -> Iterator[SideRow]:
    """The same without those that cannot be read."""
    return _readable(rows_of(db, OF_ENTRIES, seqs))


def sides_from(db: sqlite3.Connection, place: int, most: int) -> list[SideRow]:
    """The next ones from a place on."""
    return [row_of(row) for row in db.execute(FROM, (place, most))]


def sides_since(db: sqlite3.Connection, seq: int) -> Iterator[SideRow]:
    """What was said by an entry and those after it, or learnt since the one before it."""
    return map(row_of, db.execute(SINCE, (seq,)))


def all_sides(db: sqlite3.Connection) -> Iterator[SideRow]:
    """In the order of the log. Whoever asks for one that cannot be read is told so, and may ask for the next one."""
    return map(row_of, db.execute(ALL))


def readable_sides(db: sqlite3.Connection) -> Iterator[SideRow]:
    """The same without those that cannot be read, for whoever tells of these elsewhere."""
    return _readable(db.execute(ALL))


def _readable(rows: Iterable[tuple[Any, ...]]) -> Iterator[SideRow]:
    for each in rows:
        with contextlib.suppress(EntryUnread):
            row = row_of(each)
            row.records()
            yield row


def row_of(row: tuple[int, int, int, bytes]) -> SideRow:
    """As the statements of `COLUMNS` give it. Raises `EntryUnread`."""
    place, seq, entered, packed = row
    try:
        return SideRow(place, seq, bool(entered), read_side(packed))
    except SideUnreadable as error:
        raise EntryUnread(f"what was said by entry {seq} cannot be read") from error


def records_of(db: sqlite3.Connection, now: int = FOR_EVER, keys: Collection[bytes] | None = None) -> list[Record]:
    """Everything until a moment in Unix milliseconds, in the order of the log. `keys`: only what is about these, and
    voids of screens.
    """
    return [record for row, record in placed_records(db, now, keys)]


def placed_records(
    db: sqlite3.Connection, now: int = FOR_EVER, keys: Collection[bytes] | None = None
) -> Iterator[tuple[SideRow, Record]]:
    """The same, each with its row."""
    if keys is None:
        voided = {seq for (seq,) in db.execute(VOIDED, (now,))}
        rows = (row for row in all_sides(db) if row.side.at <= now)
        return _standing(rows, voided, _ended(db.execute(OVER.format(which=""), (now,))), None)
    wanted = {*keys, NOBODY}
    return told_by(db, side_rows(db, wanted, Mention.OF), now, wanted)


def sides_at(db: sqlite3.Connection, places: Iterable[int]) -> list[SideRow]:
    """The rows at some places, in their order."""
    return [row_of(row) for row in rows_of(db, AT_PLACES, {*places})]


def place_of_entry(db: sqlite3.Connection, seq: int) -> int:
    """Where an entry is told, or the first one behind it; where none is, what is behind all places."""
    row = db.execute(PLACE, (seq,)).fetchone()
    return int(row[0]) if row else BEHIND_ALL


def find_ahead(db: sqlite3.Connection, rows: Sequence[SideRow], now: int, last: int) -> Ahead:
    """Of some rows. `last`: the last entry of by a moment; -1: there is none."""
    before, until = [row for row in rows if row.seq <= last], now + CLOCKS_APART_MS
    places = {row.place for row in before if now < row.side.at <= until}
    of = {row.seq for row in before if row.entered}
    return Ahead(places, frozenset(seq for (seq,) in rows_of(db, VOIDED_AHEAD, of, now, until, last)))


def told_by(
    db: sqlite3.Connection, rows: Sequence[SideRow], now: int = FOR_EVER, keys: Collection[bytes] | None = None,
    ahead: Ahead = NOTHING_AHEAD,
) -> Iterator[tuple[SideRow, Record]]:  # fmt: skip
    """What some rows tell until a moment."""
    rows = [row for row in rows if row.side.at <= now or row.place in ahead.places]
    voided = {seq for (seq,) in rows_of(db, VOIDED_OF, {row.seq for row in rows if row.entered}, now)}
    over = set[tuple[int, bytes]]()
    if db.execute(ANY_OVER).fetchone():
        over = _ended(rows_of(db, OVER.format(which="r.seq IN ({marks}) AND"), {row.seq for row in rows}, now))
    return _standing(rows, voided.union(ahead.voided), over, keys)


def _ended(rows: Iterable[tuple[Any, ...]]) -> set[tuple[int, bytes]]:
    """Under each key that a request's no was told."""
    return {(seq, key) for seq, *keys in rows for key in keys if key is not None}


def _standing(
    rows: Iterable[SideRow],
    voided: Collection[int],
    over: Collection[tuple[int, bytes]],
    keys: Collection[bytes] | None,
) -> Iterator[tuple[SideRow, Record]]:
    for row in rows:
        for record in row.records(keys):
            if row.seq not in voided or not row.entered or isinstance(record.said, NamesLearnt):
                yield row, order_over(record) if over and (row.seq, record.key) in over else record


def order_over(record: Record) -> Record:
    """As it is read once a list took its no back; one in place of one, for a state counts them."""
    said = record.said
    return record._replace(said=OrderOver(said.purposes)) if is_order(said) else record


def is_order(said: Said) -> TypeGuard[SaidOut]:
    """Whether it is the no of a state's deletion list, which is told beside the entry of its part."""
    return isinstance(said, SaidOut) and said.source == Source.DROP


Change = Callable[[SideRow, Record], Record | None]
"""What a record is from now on; None: it is not there."""


def rewrite_sides(db: sqlite3.Connection, rows: Iterable[SideRow], change: Change) -> Iterator[set[bytes]]:
    """Gives, for each that changed, every key that is mentioned there, before and after."""
    for row in rows:
        if (side := row.changed(change)) is not None:
            put_rewritten(db, [side])
            yield side.mentioned


def rewrite_all_sides(db: sqlite3.Connection, change: Change, peppers: int) -> None:
    """Under a new pepper: whoever was mentioned is mentioned under another key. `peppers` as in `SideRow.changed`."""
    for row in all_sides(db):
        if (side := row.changed(change, peppers)) is not None:
            db.execute(REWRITE, (side.packed, row.place))
    remake_mentions(db)


def put_rewritten(db: sqlite3.Connection, sides: Sequence[RewrittenSide]) -> None:
    """In place of what lies there."""
    db.executemany(REWRITE, [(each.packed, each.row.place) for each in sides])
    remove_mentions(db, [pack_mention(*whom, each.row.place) for each in sides for whom in each.were - each.are])
    add_mentions(db, [pack_mention(*whom, each.row.place) for each in sides for whom in each.are - each.were])


def mentioned_since(db: sqlite3.Connection, place: int, most: int) -> set[bytes] | None:
    """Of whom anything was said behind a place, and who is named there. None: by more than so many rows."""
    rows = sides_from(db, place + 1, most + 1)
    if len(rows) > most:
        return None
    return {key for row in rows for record in row.records() for key, _ in mentioned(record)}


def unpack_numbers(packed: bytes) -> Sequence[int]:
    """Of the entries that say something else, as the column `anew` has them."""
    return struct.unpack(NUMBERS.format(len(packed) // 8), packed)


CHUNK = 2048  # rows of the table that are read at once
PLACES = 2**20  # records that one row may tell: of an unlink some thousands
LAST_PLACE = "SELECT coalesce(max(place), 0) FROM side"
NAME = f"SELECT origin || ' ' || hex(ledger), peppers, ({LAST_PLACE}) FROM head"  # noqa: S608 - ours
BEFORE = "SELECT seq + 1 FROM side WHERE place < ? AND entered ORDER BY place DESC LIMIT 1"
CHANGES = "SELECT place, anew FROM side WHERE place >= ? AND anew IS NOT NULL"
MADE = "SELECT s.place, d.at FROM side s JOIN detail d ON d.seq = s.seq WHERE s.place IN ({marks}) AND s.entered"
WHOSE = "SELECT key FROM detail WHERE seq IN ({marks})"
# Each by the first row of theirs. A `digest` is what is known by its key alone (`desk.deletion_orders`).
ASKED = "SELECT a.column1, ({one}) FROM (VALUES {{rows}}) AS a"
KIND = "SELECT d.kind FROM detail d WHERE d.key = a.column1 AND d.kind <> 'digest' LIMIT 1"
LISTED = """
SELECT CASE b.kind WHEN 'MAID' THEN 'ad_id_sha256' ELSE b.kind END
FROM deletion_row r JOIN deletion_batch b ON b.seq = r.seq
WHERE r.key = a.column1 AND b.kind IN ('Email', 'Phone', 'MAID', 'CTVID') LIMIT 1
"""
ABROAD = "SELECT 'Phone' FROM deletion_abroad o WHERE o.abroad = a.column1 LIMIT 1"
KINDS = [ASKED.format(one=each) for each in (KIND, LISTED, ABROAD)]
TAKEN_BACK = "SELECT key FROM deletion_key WHERE seq IN ({marks}) AND gone IS NOT NULL"
# First what the log is, with the mark of the row before what the state lacks; then the rows from one on, and of each
# whether anything of it is out of the ordinary, and whom its entry is about.
GROWN = f"""
SELECT 0, ({LAST_PLACE}), (SELECT max(number) FROM shared_epoch), h.peppers, x'', NULL,
  (SELECT b.mark FROM side b WHERE b.place = ?1), EXISTS (SELECT 1 FROM erasure WHERE NOT done),
  h.origin || ' ' || hex(h.ledger), x'' FROM head h
UNION ALL
SELECT 1, s.place, s.seq, s.entered, s.packed, s.anew, s.mark,
  EXISTS (SELECT 1 FROM voided_choice v WHERE v.seq = s.seq)
  OR EXISTS (SELECT 1 FROM deletion_row r WHERE r.seq = s.seq AND r.gone IS NOT NULL), d.kind, d.key
FROM (SELECT * FROM side WHERE place >= ?2 ORDER BY place LIMIT ?3) s LEFT JOIN detail d ON d.seq = s.seq AND s.entered
ORDER BY 1, 2
"""  # noqa: S608 - ours


class FreshRecords:
    """What an open transaction has said so far, as `LedgerLog.read` will give it: who folds it reads nothing back.
    `place`: of the last row of the table, then of the last that it wrote itself.
    """

    def __init__(self, place: int) -> None:
        self.place, self._begun = place, end_behind(place)
        self._whole = True
        self._records: list[tuple[int, Record]] = []  # each with the position behind it
        self.kinds: dict[bytes, str] = {}  # of whom its entries tell, as far as they are at hand

    @property
    def end(self) -> int:
        """The position behind everything that was said."""
        return end_behind(self.place)

    def has(self, after: int, head: int) -> bool:
        """Whether all is among these that lies behind one position and before another, which is the log's end."""
        return self.follows(after) and head == self.end

    def say(self, records: Sequence[Record]) -> int:
        """The place of the row that tells these."""
        self.place += 1
        first = self.place * PLACES + 1
        self._records += enumerate(records, first)
        return self.place

    def leave_out(self) -> None:
        """What is older is told otherwise, which has to be read."""
        self._whole = False
        self.kinds.clear()

    def follows(self, position: int) -> bool:
        """Whether nothing lies between a position and these."""
        return self._whole and self._begun <= position

    def after(self, position: int) -> Sequence[tuple[int, Record]]:
        return self._records[bisect_right(self._records, position, key=itemgetter(0)) :]

    def mark(self) -> tuple[int, bool, int]:
        """For `back`."""
        return self.place, self._whole, len(self._records)

    def back(self, mark: tuple[int, bool, int]) -> None:
        """What came since is not said after all."""
        self.place, self._whole, kept = mark
        del self._records[kept:]
        self.kinds.clear()  # whoever asks reads them


class LedgerLog:
    """`name`: another one for another log. `head`: the position behind everything. `peppers`: how many wrap its
    keys. `fresh`: what the last transaction said, if nobody wrote behind it.
    """

    def __init__(self, db: sqlite3.Connection, fresh: FreshRecords | None = None) -> None:
        self._db, self._fresh = db, fresh
        self._told = fresh.kinds if fresh is not None else {}  # of whom the kind is at hand
        self.name, self.peppers, last = self._look()
        self._seed = f"{self.name} {self.peppers}"  # under another pepper all keys are others
        self.head = end_behind(last)

    def _look(self) -> tuple[str, int, int]:
        found: tuple[str, int, int] = self._db.execute(NAME).fetchone()
        return found

    def root(self, position: int) -> bytes | None:
        """None: it is not as long."""
        place, number = divmod(position, PLACES)
        before = place if number else place - 1
        if before <= 0:
            return sha256(self._seed.encode()).digest()
        mark = self._mark(before)
        return None if mark is None else sha256(f"{self._seed} {before} {mark}".encode()).digest()

    def _mark(self, place: int) -> int | None:
        row = self._db.execute("SELECT mark FROM side WHERE place = ?", (place,)).fetchone()
        return row[0] if row else None

    def entries(self, position: int) -> int:
        """How many are told before a position."""
        place, number = divmod(position, PLACES)
        row = self._db.execute(BEFORE, (place + (number > 0),)).fetchone()
        return int(row[0]) if row else 0

    def kinds(self, keys: Collection[bytes]) -> set[tuple[bytes, str]]:
        """Of whom an entry tells, or a list: each by one of theirs, for all of one's are of one kind."""
        told = {key: self._told[key] for key in keys if key in self._told}
        for sql in KINDS:
            if not (unknown := {*keys} - told.keys()):
                break
            told.update((key, kind) for key, kind in rows_of(self._db, sql, unknown) if kind is not None)
        return {*told.items()}

    def times(self, positions: Collection[int]) -> dict[int, int]:
        """When the entry was made, in Unix milliseconds, that the record before each position tells; of those that
        tell one.
        """
        before = {each: (each - 1) // PLACES for each in positions}
        made = dict(rows_of(self._db, MADE, {*before.values()}))
        return {position: made[place] for position, place in before.items() if place in made}

    def read(self, after: int) -> Iterator[tuple[int, Record]]:
        """Each with the position behind it."""
        if self._fresh is not None and self._fresh.has(after, self.head):
            yield from self._fresh.after(after)
            return
        first, skip = divmod(after, PLACES)
        begun = first
        while rows := sides_from(self._db, begun, CHUNK):
            place, number = 0, 0
            for row, record in told_by(self._db, rows):
                place, number = row.place, number + 1 if row.place == place else 1
                if place > first or number > skip:
                    yield place * PLACES + number, record
            begun = rows[-1].place + 1

    def place_behind(self, position: int) -> int:
        """The last place that a position, which was the end, has behind it."""
        return position // PLACES - 1

    def is_rewritten(self, after: int) -> bool:
        """Whether behind a position something was told otherwise that came before it."""
        return self._db.execute(CHANGES, (after // PLACES,)).fetchone() is not None

    def changed(self, after: int) -> frozenset[bytes] | None:
        """Of whom something is told otherwise than before a position. None: nobody knows, for it went in a process that
        ended before it had told.
        """
        found, gone = set[bytes](), set[int]()
        for place, anew in self._db.execute(CHANGES, (after // PLACES,)).fetchall():
            if anew:
                seqs = unpack_numbers(anew)
                found.update(key for sql in (WHOSE, TAKEN_BACK) for (key,) in rows_of(self._db, sql, seqs))
                found |= stays_by(self._db, seqs)
            else:
                gone.add(place)
        forgotten = _forgotten(self._db) if gone else {}
        if not gone <= forgotten.keys():
            return None
        return frozenset(found.union(*(forgotten[place] for place in gone)))

    def records_about(self, keys: Iterable[bytes]) -> list[Record]:
        """Everything about some keys, in the order of the log."""
        return records_of(self._db, keys={*keys})


class GrownLog(LedgerLog):
    """A server's ledger for a state that has all of it up to a position: what came since, and all that is asked of it,
    is read by one statement, and so at one moment; what is not at hand then never changes. `fresh` as in `LedgerLog`,
    also where others wrote behind it. `epoch`: the newest that machines share. `is_erasing`: an erasure is pending. It
    is none for a state that is not as far, as one that was put in force meanwhile: raises `LedgerRefused`.
    """

    def __init__(self, db: sqlite3.Connection, position: int, fresh: FreshRecords | None = None) -> None:
        self._from = position
        self._before, self._within = divmod(position, PLACES)
        self._before -= 1
        super().__init__(db, fresh if fresh is not None and fresh.follows(position) else None)
        self.has_more = self.head > position

    def _look(self) -> tuple[str, int, int]:
        self._begun = self._fresh.place if self._fresh is not None else self._before
        given = (self._before, self._begun, CHUNK + 1)
        (_, last, self.epoch, peppers, _, _, mark, erasing, name, _), *rows = self._db.execute(GROWN, given).fetchall()
        self.is_erasing = bool(erasing)
        self._marks = {self._before: mark} | {row[1]: row[6] for row in rows}
        self._entered = [seq for _, _, seq, entered, *_ in rows if entered]
        self._rows = [row for row in rows if row[1] > self._begun]
        self._is_whole = not self._within and last in self._marks and last >= self._begun
        self._told = self._told | {key: kind for *_, kind, key in rows if kind not in {None, "digest"}}
        return name, peppers, last

    @property
    def is_plain(self) -> bool:
        """Whether it can be folded on from this alone: nothing is told otherwise than it was first, of nothing it does
        not count, and there is not more than was read. Else whoever folds reads all of one moment (`LedgerLog`).
        """
        return self._is_whole and not any(anew is not None or odd for _, _, _, _, _, anew, _, odd, *_ in self._rows)

    def _mark(self, place: int) -> int | None:
        found = self._marks.get(place)
        return super()._mark(place) if found is None else found

    def entries(self, position: int) -> int:
        """How many are told before a position."""
        if position == self.head and self._entered:
            return int(self._entered[-1]) + 1
        return super().entries(position)

    def read(self, after: int) -> Iterator[tuple[int, Record]]:
        """Each with the position behind it."""
        self._prove_is_there(after)
        if self._fresh is not None:
            yield from self._fresh.after(after)
        for _, place, seq, entered, packed, *_ in self._rows:
            records = row_of((place, seq, entered, packed)).records()
            for position, record in enumerate(records, place * PLACES + 1):
                if position > after:
                    yield position, record

    def changed(self, after: int) -> frozenset[bytes]:
        """Nobody, as `is_plain` says."""
        self._prove_is_there(after)
        return frozenset()

    def _prove_is_there(self, after: int) -> None:
        if after < self._from:
            raise LedgerRefused("the state is another one since, which is behind; it goes on in a moment")


def log_end(db: sqlite3.Connection) -> int:
    """The position behind everything, as `LedgerLog.head`."""
    return end_behind(db.execute(LAST_PLACE).fetchone()[0])


def end_behind(place: int) -> int:
    """The position behind all that is told at a place."""
    return (place + 1) * PLACES


def watch_deletes(db: sqlite3.Connection) -> None:
    """Who is forgotten by this connection, it remembers until the state has been told: the ledger keeps nothing of
    them.
    """
    db.execute("CREATE TEMP TABLE IF NOT EXISTS forgotten (place INTEGER NOT NULL, key BLOB)")


def remember_forgotten(db: sqlite3.Connection, place: int, keys: Iterable[bytes]) -> None:
    """By the place of the row that tells that theirs went."""
    if _watches(db):
        rows = [(place, key) for key in keys]
        db.executemany("INSERT INTO temp.forgotten VALUES (?, ?)", rows or [(place, None)])


def forget_deletes(db: sqlite3.Connection) -> None:
    """Once they were told."""
    if _watches(db) and db.execute("SELECT 1 FROM temp.forgotten").fetchone():
        db.execute("DELETE FROM temp.forgotten")


def _forgotten(db: sqlite3.Connection) -> dict[int, set[bytes]]:
    found = defaultdict[int, set[bytes]](set)
    for place, key in db.execute("SELECT place, key FROM temp.forgotten") if _watches(db) else ():
        found[place].update([] if key is None else [key])
    return found


def _watches(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM temp.sqlite_schema WHERE name = 'forgotten'").fetchone() is not None
