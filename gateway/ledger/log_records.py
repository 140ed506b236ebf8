"""What the ledger was told, in the order in which it came: the table `side` has a row for each entry and for whatever
is learnt between two, with the records that the fold reads (`gateway.fold.record`) packed; `ledger.mentions` leads from
a key to the rows that mention it. The writer's transaction writes both; whoever folds reads them here: the state of a
host, some people alone, `verify`.

What was voided by a moment is left out, and a no of a deletion list is over once the list took it back. A row is
rewritten where somebody is forgotten, where an entry is pruned, and under a new pepper; whoever does so tells by a row
of its own whose older word is another one since (`anew`).
"""

import contextlib
import sqlite3
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeGuard

from gateway.fold.record import NamesLearnt, OrderOver, Record, Said, SaidOut, SaidPruned
from gateway.fold.state import FOR_EVER
from gateway.ledger.errors import EntryUnread
from gateway.ledger.mentions import (
    add_mentions,
    mentions_of,
    pack_mention,
    pack_mentions,
    remake_mentions,
    remove_mentions,
)
from gateway.ledger.schema import rows_of
from gateway.ledger.side import Mention, PackedSide, SideUnreadable, mentioned, pack_side, read_side, records_within
from gateway.terms import Source

NOBODY = b""  # the key of a record about no one: the void of a screen
NUMBERS = "<{}Q"  # of entries, 8 bytes each
SAY = "INSERT INTO side (place, seq, entered, packed) VALUES (?, ?, ?, ?)"
REWRITE = "UPDATE side SET packed = ? WHERE place = ?"
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
        """Whether it is what an entry says, and not what was learnt beside it."""
        return self.entered and not isinstance(record.said, NamesLearnt)

    def changed(self, change: "Change", peppers: int | None = None) -> "RewrittenSide | None":
        """None: it stays as it is. `peppers`: how many wrap the keys now, where that is another number."""
        before = self.records()
        after = [each for each in (change(self, record) for record in before) if each is not None]
        if after == before:
            return None
        were, are = ({each for record in records for each in mentioned(record)} for records in (before, after))
        packed = pack_side(after, self.side.at, peppers or self.side.peppers)
        return RewrittenSide(self._replace(side=read_side(packed)), packed, were, are)


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


def row_of_side(
    place: int, seq: int, records: Sequence[Record], at: int, peppers: int, *, entered: bool
) -> tuple[int, int, bool, bytes]:
    """What `SAY` inserts for a row behind all others. `at`: when it was said, Unix milliseconds."""
    return place, seq, entered, pack_side(records, at, peppers)


def mentions_in(place: int, records: Iterable[Record]) -> set[bytes]:
    """What leads to a row, packed."""
    return pack_mentions(place, chain.from_iterable(map(mentioned, records)))


def put_side(
    db: sqlite3.Connection, place: int, seq: int, records: Sequence[Record], at: int, peppers: int, *, entered: bool
) -> None:
    """The same, inserted at once."""
    db.execute(SAY, row_of_side(place, seq, records, at, peppers, entered=entered))
    add_mentions(db, mentions_in(place, records))


def put_anew(db: sqlite3.Connection, place: int, size: int, seqs: Collection[int], peppers: int) -> None:
    """A row that tells which entries say something else from now on; none: of somebody who is forgotten."""
    db.execute(TELL, (place, size, pack_side((), 0, peppers), struct.pack(NUMBERS.format(len(seqs)), *seqs)))


def side_rows(db: sqlite3.Connection, keys: Collection[bytes], ways: Mention = Mention.MARK) -> list[SideRow]:
    """Every row that mentions any of these, in the order of the log. `ways`: the last of those that count."""
    return sides_at(db, (each.place for each in mentions_of(db, keys, ways)))


def sides_of_entries(db: sqlite3.Connection, seqs: Collection[int]) -> list[SideRow]:
    """What some entries say."""
    return [row_of(row) for row in rows_of(db, OF_ENTRIES, seqs)]


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
        return _standing(all_sides(db), voided, _ended(db.execute(OVER.format(which=""), (now,))), now, None)
    wanted = {*keys, NOBODY}
    return told_by(db, side_rows(db, wanted, Mention.OF), now, wanted)


def sides_at(db: sqlite3.Connection, places: Iterable[int]) -> list[SideRow]:
    """The rows at some places, in their order."""
    return [row_of(row) for row in rows_of(db, AT_PLACES, {*places})]


def place_of_entry(db: sqlite3.Connection, seq: int) -> int:
    """Where an entry is told, or the first one behind it; where none is, what is behind all places."""
    row = db.execute(PLACE, (seq,)).fetchone()
    return int(row[0]) if row else BEHIND_ALL


def told_by(
    db: sqlite3.Connection, rows: Sequence[SideRow], now: int = FOR_EVER, keys: Collection[bytes] | None = None
) -> Iterator[tuple[SideRow, Record]]:
    """What some rows tell until a moment."""
    voided = {seq for (seq,) in rows_of(db, VOIDED_OF, {row.seq for row in rows if row.entered}, now)}
    over = set[tuple[int, bytes]]()
    if db.execute(ANY_OVER).fetchone():
        over = _ended(rows_of(db, OVER.format(which="r.seq IN ({marks}) AND"), {row.seq for row in rows}, now))
    return _standing(rows, voided, over, now, keys)


def _ended(rows: Iterable[tuple[Any, ...]]) -> set[tuple[int, bytes]]:
    """Under each key that a request's no was told."""
    return {(seq, key) for seq, *keys in rows for key in keys if key is not None}


def _standing(
    rows: Iterable[SideRow],
    voided: Collection[int],
    over: Collection[tuple[int, bytes]],
    now: int,
    keys: Collection[bytes] | None,
) -> Iterator[tuple[SideRow, Record]]:
    for row in rows:
        if row.side.at <= now:
            for record in row.records(keys):
                if row.seq not in voided or not row.is_own(record):
                    yield row, _over(record) if over and (row.seq, record.key) in over else record


def _over(record: Record) -> Record:
    """One in place of one, for a state counts them."""
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


def pruned_record(row: SideRow, record: Record) -> Record:
    """As it is read once its entry is pruned: only that something was said is known, and where somebody is."""
    said = SaidPruned(*(getattr(record.said, name, "") for name in SaidPruned._fields))
    return record._replace(said=said) if row.is_own(record) else record


def unpack_numbers(packed: bytes) -> Sequence[int]:
    """Of the entries that say something else, as the column `anew` has them."""
    return struct.unpack(NUMBERS.format(len(packed) // 8), packed)
